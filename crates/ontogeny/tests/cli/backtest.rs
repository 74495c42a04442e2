//! Finished runs, forecast from their beginnings: a suite nobody here has seen, with a protocol and no code.

use crate::support::Sandbox;
use std::fmt::Write as _;
use std::fs;

const PROTOCOL: &str = r#"
name = "mine"
title = "Does the level of a run show early?"
hide = ["family"]
features = ["lr"]
forecasters = ["pooled-ridge"]

[visible]
axis = "fraction"
cuts = [0.3]

[[target]]
series = "loss"
better = "lower"
"#;

/// A tidy folder of 40 runs in 8 families: where they end shows early, if one knows the learning rate.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let (mut runs, mut points) =
        ("run_id,family,lr\n".to_owned(), "run_id,step,metric,value\n".to_owned());
    for i in 0..40 {
        writeln!(runs, "r{i},f{},0.{}", i % 8, 1 + i % 3).unwrap();
        let level = 1.0 + f64::from(i * 7 % 40) / 40.0;
        for t in 0..=20 {
            let wiggle = 0.01 * f64::from((i * 13 + t * 7) % 11 - 5);
            let value = level + f64::from(1 + i % 3) * (-f64::from(t) / 8.0).exp() + wiggle;
            writeln!(points, "r{i},{},loss,{value}", t * 10).unwrap();
        }
    }
    fs::create_dir(sandbox.path("suite")).unwrap();
    fs::write(sandbox.path("suite/runs.csv"), runs).unwrap();
    fs::write(sandbox.path("suite/points.csv"), points).unwrap();
    fs::write(sandbox.path("protocol.toml"), PROTOCOL).unwrap();
    sandbox
}

#[test]
fn a_suite_is_scored_by_a_protocol_alone() {
    let sandbox = sandbox();
    let text = sandbox.run("backtest suite --protocol protocol.toml").ok();
    for part in
        ["visible: 30 % of the run", "pooled-ridge", "climatology (baseline)", "delta (baseline)"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = sandbox.run("backtest suite --protocol protocol.toml --json").json();
    let line = |name: &str| {
        let lines = json["lines"].as_array().unwrap();
        lines.iter().find(|l| l["forecaster"] == name).unwrap().clone()
    };
    let ridge = line("pooled-ridge");
    assert_eq!((ridge["n"].as_u64(), ridge["n_asked"].as_u64()), (Some(40), Some(40)));
    assert!(ridge["skill"]["lo"].as_f64().unwrap() > 0.0, "{ridge}");
    assert!(line("climatology")["is_baseline"].as_bool().unwrap());
    let markdown = sandbox.run("backtest suite --protocol protocol.toml --markdown").ok();
    assert!(markdown.starts_with("## mine\n") && markdown.contains("| pooled-ridge | 40 |"));
}

#[test]
fn every_forecast_can_be_had_with_its_outcome() {
    let sandbox = sandbox();
    sandbox.run("backtest suite --protocol protocol.toml --records all.jsonl").ok();
    let all = fs::read_to_string(sandbox.path("all.jsonl")).unwrap();
    let records: Vec<serde_json::Value> =
        all.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    // Six baselines and the ridge, for each of 40 runs.
    assert_eq!(records.len(), 7 * 40);
    assert!(records.iter().all(|r| r["truth"].is_number() && r["run"].is_string()));
}

#[test]
fn says_what_is_wrong_with_a_protocol() {
    let sandbox = sandbox();
    let with = |from: &str, to: &str| {
        fs::write(sandbox.path("protocol.toml"), PROTOCOL.replace(from, to)).unwrap();
        sandbox.run("backtest suite --protocol protocol.toml").fails_with(2)
    };
    let text = with("[visible]", "[visibel]");
    assert!(text.contains("protocol.toml") && text.contains("did you mean visible?"), "{text}");
    let text = with("\"loss\"", "\"los\"");
    assert!(text.contains("no run has such a series; there is e.g. loss"), "{text}");
    let text = with("pooled-ridge", "pooled-rigde");
    assert!(text.contains("did you mean pooled-ridge?"), "{text}");
    let text = with("[0.3]", "[3.0]");
    assert!(text.contains("a cut must lie between 0 and 1"), "{text}");
    let text = with("hide = [\"family\"]", "hide = [\"famly\"]");
    assert!(text.contains("no run has it"), "{text}");
    let text = sandbox.run("backtest suite --protocol nowhere.toml").fails_with(2);
    assert!(text.contains("nowhere.toml") && text.contains("protocols/"), "{text}");
    fs::write(sandbox.path("suite/points.csv"), "run_id,step,metric,value\nr0,x,loss,1\n").unwrap();
    let text = sandbox.run("backtest suite --protocol protocol.toml").fails_with(3);
    assert!(text.contains("points.csv"), "{text}");
}

#[test]
fn a_table_of_models_is_scored_by_its_largest() {
    let sandbox = Sandbox::empty();
    let mut rows = "params,flops,loss\n".to_owned();
    for i in 0..7 {
        for j in 0..5 {
            let (n, d) = (1e7 * 3_f64.powi(i), 2e9 * 3_f64.powi(i + j - 2));
            let wiggle = 0.002 * f64::from((i * 5 + j * 3) % 7 - 3);
            let loss = 1.7 + 400.0 * n.powf(-0.34) + 400.0 * d.powf(-0.28) + wiggle;
            writeln!(rows, "{n},{},{loss}", 6.0 * n * d).unwrap();
        }
    }
    fs::write(sandbox.path("runs.csv"), rows).unwrap();
    let protocol = r#"
name = "mine"
title = "The largest from the rest."
features = ["params", "flops"]
scale = "one"
forecasters = ["scaling-chinchilla"]
[table]
file = "runs.csv"
series = ["loss"]
[visible]
axis = "runs"
by = ["flops"]
cuts = [2e19]
[[target]]
series = "loss"
log = true
"#;
    fs::write(sandbox.path("p.toml"), protocol).unwrap();
    let text = sandbox.run("backtest runs.csv --protocol p.toml").ok();
    assert!(text.contains("visible: runs with flops up to 2.00e19"), "{text}");
    let line = text.lines().find(|l| l.contains("scaling-chinchilla")).unwrap();
    assert!(line.contains('+'), "{line}");
    fs::write(sandbox.path("p.toml"), protocol.replace("\"params\", ", "\"size\", ")).unwrap();
    let said = sandbox.run("backtest runs.csv --protocol p.toml").fails_with(2);
    assert!(said.contains("find the attribute size in the suite"), "{said}");
    fs::write(sandbox.path("p.toml"), protocol.replace("[\"loss\"]", "[\"los\"]")).unwrap();
    let said = sandbox.run("backtest runs.csv --protocol p.toml").fails_with(2);
    assert!(said.contains("los"), "{said}");
}
