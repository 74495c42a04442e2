//! Suites of whole runs: some are seen to their ends, of the others nothing but what was known before.

use super::*;
use ontogeny_core::random::Philox;
use ontogeny_core::{RunId, Series};

fn run(name: &str, attributes: &[(&str, String)], series: Vec<Series>) -> SuiteRun {
    let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    SuiteRun { id: RunId::made_of(name).unwrap(), attributes, series }
}

fn protocol(json: &serde_json::Value) -> Protocol {
    let mut all = serde_json::json!({ "name": "t", "title": "?", "scale": "one" });
    all.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn lines(suite: &Suite, p: &Protocol) -> Vec<Line> {
    summarize_replay(&replay(suite, p, &|_| {}).unwrap(), p)
}

fn of<'a>(lines: &'a [Line], name: &str) -> &'a Line {
    lines.iter().find(|l| l.forecaster == name).unwrap()
}

/// Loss 1.7 + 400 N^-.34 + 400 D^-.28 with one percent of a nat of noise, on a grid of sizes and data.
fn ladder(seed: u64) -> Suite {
    let mut runs = Vec::new();
    for i in 0..9_i32 {
        for j in 0..5_i32 {
            let (n, d) = (1e7 * 3_f64.powi(i), 2e9 * 3_f64.powi(i + j - 2));
            let noise =
                0.003 * Philox::new(seed, "ladder").at((i * 9 + j).unsigned_abs().into()).normal(0);
            let loss = 1.7 + 400.0 * n.powf(-0.34) + 400.0 * d.powf(-0.28) + noise;
            let about = [("params", n.to_string()), ("tokens", d.to_string())];
            runs.push(run(
                &format!("r{i}-{j}"),
                &about,
                vec![Series::from_pairs("loss", "nats", [(0, loss)])],
            ));
        }
    }
    Suite { runs }
}

#[test]
fn a_planted_scaling_law_is_found_beyond_the_budgets_seen() {
    let p = protocol(&serde_json::json!({
        "features": ["params", "tokens"],
        "visible": { "axis": "runs", "by": ["params", "tokens"], "cuts": [1e20] },
        "target": [{ "series": "loss", "log": true, "better": "lower" }],
        "forecasters": ["scaling-chinchilla", "scaling-average"],
    }));
    let suite = ladder(3);
    let found = replay(&suite, &p, &|_| {}).unwrap();
    // Nobody is asked about what has been seen.
    let asked: std::collections::BTreeSet<&str> =
        found.records.iter().map(|r| r.run.as_str()).collect();
    for r in &suite.runs {
        let size: f64 =
            ["params", "tokens"].iter().map(|k| r.attributes[*k].parse::<f64>().unwrap()).product();
        assert_eq!(asked.contains(r.id.as_str()), size > 1e20, "{}", r.id);
    }
    let lines = summarize_replay(&found, &p);
    for name in ["scaling-chinchilla", "scaling-average"] {
        let l = of(&lines, name);
        assert_eq!(l.n, asked.len(), "{name}");
        assert!(l.mean_error.unwrap() < 0.01, "{name} {:?}", l.mean_error);
        assert!(l.skill.as_ref().unwrap().lo > 0.5, "{name} {:?}", l.skill);
    }
    // Baselines that need readings of the run have none.
    assert!(lines.iter().all(|l| l.forecaster != "persistence" || l.n == 0));
}

/// Units of one suite share the errors of the parameters, so coverage is a matter of many suites.
#[test]
fn intervals_beyond_the_budgets_cover_over_many_draws_of_the_noise() {
    let p = protocol(&serde_json::json!({
        "features": ["params", "tokens"],
        "visible": { "axis": "runs", "by": ["params", "tokens"], "cuts": [1e20] },
        "target": [{ "series": "loss", "log": true }],
        "forecasters": ["scaling-chinchilla"],
    }));
    let covered: Vec<f64> = (0..16)
        .map(|seed| of(&lines(&ladder(seed), &p), "scaling-chinchilla").coverage.unwrap()[2])
        .collect();
    let mean = covered.iter().sum::<f64>() / covered.len() as f64;
    assert!(mean > 0.8, "{mean} {covered:.2?}");
}

/// Learning rate over the fraction of the run.
type Rate = fn(f64) -> f64;

#[test]
fn a_planned_rate_tells_what_another_schedule_will_do() {
    // The annealing law itself, with lambda .999 as published: two schedules are seen, three are not.
    let steps = 4000_u64;
    let rates: [(&str, Rate); 5] = [
        ("constant", |_| 3e-4),
        ("cosine", |x| 3e-5 + 1.35e-4 * (1.0 + (std::f64::consts::PI * x).cos())),
        ("linear", |x| 3e-4 * (1.0 - 0.9 * x)),
        ("wsd", |x| if x < 0.8 { 3e-4 } else { 3e-4 * (1.0 - (x - 0.8) / 0.2 * 0.9) }),
        ("two-step", |x| if x < 0.5 { 3e-4 } else { 6e-5 }),
    ];
    let runs = rates.iter().map(|(name, rate)| {
        let lr: Vec<f64> = (0..=steps).map(|t| rate(t as f64 / steps as f64)).collect();
        let (mut s1, mut m, mut s2, mut loss) = (0.0, 0.0, 0.0, Vec::new());
        for (t, w) in lr.windows(2).enumerate() {
            s1 += w[1];
            m = 0.999 * m + (w[0] - w[1]);
            s2 += m;
            if (t + 1) % 20 == 0 && t > 100 {
                loss.push((t as u64 + 1, 2.0 + 0.6 * f64::powf(s1, -0.5) - 2.0 * s2));
            }
        }
        let rate = lr.iter().enumerate().step_by(20).map(|(t, lr)| (t as u64, *lr));
        let series =
            vec![Series::from_pairs("loss", "nats", loss), Series::from_pairs("lr", "1", rate)];
        run(name, &[("schedule", (*name).to_owned())], series)
    });
    let suite = Suite { runs: runs.collect() };
    let p = protocol(&serde_json::json!({
        "planned": ["lr"], "least_runs": 3,
        "visible": { "axis": "runs", "seen": { "schedule": ["constant", "cosine"] } },
        "target": [{ "series": "loss", "log": true, "better": "lower" }],
        "forecasters": ["schedule-law"],
    }));
    let lines = lines(&suite, &p);
    let l = of(&lines, "schedule-law");
    assert_eq!((l.n, l.n_asked), (3, 3));
    assert!(l.mean_error.unwrap() < 0.01, "{:?}", l.mean_error);
    let climatology = of(&lines, "climatology").mean_error.unwrap();
    assert!(l.mean_error.unwrap() < 0.3 * climatology, "{:?} {climatology}", l.mean_error);
}

#[test]
fn mixtures_are_ranked_by_their_shares() {
    let runs = (0..80_u64).map(|i| {
        let d = Philox::new(5, "mix").at(i);
        let raw: Vec<f64> = (0..3).map(|k| 0.05 + d.uniform(k)).collect();
        let total: f64 = raw.iter().sum();
        let w: Vec<f64> = raw.iter().map(|r| r / total).collect();
        let loss = 2.0 + (-2.0 * w[0] - 0.5 * w[1]).exp() + 0.01 * d.normal(9);
        let about = [
            ("mix:a", w[0].to_string()),
            ("mix:b", w[1].to_string()),
            ("mix:c", w[2].to_string()),
            ("split", if i < 60 { "train" } else { "test" }.to_owned()),
        ];
        run(&format!("m{i}"), &about, vec![Series::from_pairs("loss:a", "nats", [(0, loss)])])
    });
    let suite = Suite { runs: runs.collect() };
    let p = protocol(&serde_json::json!({
        "features": ["mix:*"],
        "visible": { "axis": "runs", "seen": { "split": ["train"] } },
        "target": [{ "series": "loss:*", "log": true, "better": "lower" }],
        "forecasters": ["mixture-law"],
    }));
    let lines = lines(&suite, &p);
    let l = of(&lines, "mixture-law");
    assert_eq!(l.n, 20);
    assert!(l.rho.unwrap() > 0.95, "{:?}", l.rho);
}

#[test]
fn what_is_known_of_a_model_is_a_feature_and_the_model_itself_is_hidden() {
    let runs = (0..60_u64).map(|i| {
        let d = Philox::new(11, "models").at(i);
        let clean = 0.5 + 0.4 * d.uniform(0);
        let shifted = clean * 0.8 + 0.02 * d.normal(1);
        let series = vec![
            Series::from_pairs("val", "1", [(0, clean)]),
            Series::from_pairs("shift", "1", [(0, shifted)]),
        ];
        run(&format!("m{i}"), &[("model", format!("m{i}"))], series)
    });
    let suite = Suite { runs: runs.collect() };
    let p = protocol(&serde_json::json!({
        "known": ["val"], "hide": ["model"],
        "visible": { "axis": "runs" },
        "target": [{ "series": "shift", "better": "higher" }],
        "forecasters": ["climatology"],
    }));
    let lines = lines(&suite, &p);
    let l = of(&lines, "hparams-only");
    assert_eq!(l.n, 60);
    assert!(l.mean_error.unwrap() < 0.03, "{:?}", l.mean_error);
    let blind = of(&lines, "climatology").mean_error.unwrap();
    assert!(l.mean_error.unwrap() < 0.5 * blind, "{:?} {blind}", l.mean_error);
    let c90 = l.coverage.unwrap()[2];
    assert!((0.8..=0.98).contains(&c90), "{c90}");
}

#[test]
fn a_series_that_nobody_planned_is_refused() {
    let p = protocol(&serde_json::json!({
        "planned": ["rate"], "visible": { "axis": "runs" },
        "target": [{ "series": "loss" }],
    }));
    let said = replay(&ladder(3), &p, &|_| {}).unwrap_err().to_string();
    assert!(said.starts_with("find rate in the suite"), "{said}");
}

#[test]
fn an_answer_that_is_given_is_refused() {
    for given in ["known", "planned"] {
        let p = protocol(&serde_json::json!({
            given: ["loss"], "visible": { "axis": "runs" },
            "target": [{ "series": "lo*" }],
        }));
        let said = replay(&ladder(3), &p, &|_| {}).unwrap_err().to_string();
        assert!(said.starts_with("keep the answer hidden: loss is given"), "{said}");
        assert!(said.contains("target lo*"), "{said}");
    }
}
