//! Looking at runs and series.

use crate::support::{Sandbox, conduct, plan};
use insta::assert_snapshot;
use std::fs;

#[test]
fn runs_are_listed() {
    assert_snapshot!(Sandbox::with_runs().run("runs ls").ok(), @r"
    run      study  role  cell   seed  step   status  events
    tiny.s0  tiny   fit   wd0.1     0  60/60  done    T_start 0, T_learn >60
    tiny.s1  tiny   fit   wd0.1     1  60/60  done    T_start 0, T_learn >60

    2 runs
    ");
}

#[test]
fn runs_are_listed_in_json_with_everything() {
    let json = Sandbox::with_runs().run("runs ls --json").json();
    let first = &json[0];
    assert_eq!(first["run"], "tiny.s0");
    assert_eq!(first["seeds"]["data_seed"], 0);
    assert_eq!((first["step"].as_u64(), first["horizon"].as_u64()), (Some(60), Some(60)));
    assert_eq!(first["status"]["state"], "done");
    assert_eq!(first["events"][1]["when"]["kind"], "right");
}

#[test]
fn a_store_without_runs_says_so() {
    let sandbox = Sandbox::with_runs();
    fs::remove_dir_all(sandbox.path("ontogeny-store/runs")).unwrap();
    assert_snapshot!(sandbox.run("runs ls").ok(), @"no runs yet; `ontogeny studies` lists what can be run");
    assert_snapshot!(sandbox.run("report").ok(), @"no study yet; `ontogeny studies` lists what can be run");
    assert_eq!(sandbox.run("runs ls --json").json(), serde_json::json!([]));
}

#[test]
fn a_run_is_shown_with_its_configuration_series_checkpoints_and_forks() {
    let sandbox = Sandbox::with_runs();
    sandbox.run("fork tiny.s0@20 --set optimizer.weight_decay=0 --name child").ok();
    let text = sandbox.run("runs show tiny.s0").ok();
    for part in [
        "run tiny.s0\n  status    done\n  step      60/60\n  study     tiny\n",
        "created   2023-11-14 22:13:20Z",
        "  horizon = 60\n",
        "  optimizer.weight_decay = 0.1\n",
        "  T_learn",
        "  batch.loss",
        "  skill.losses",
        "checkpoints at steps 20 40 60\n",
        "  child at step 20: optimizer.weight_decay=0\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let child = sandbox.run("runs show child").ok();
    assert!(
        child.contains("fork of tiny.s0 at step 20\n  optimizer.weight_decay = 0\n"),
        "{child}"
    );
    let json = sandbox.run("runs show tiny.s0 --json").json();
    assert_eq!(json["manifest"]["config"]["horizon"], 60);
    assert_eq!(json["checkpoints"], serde_json::json!([20, 40, 60]));
    assert_eq!(json["forks"][0]["run"], "child");
}

#[test]
fn series_are_listed_and_printed() {
    let sandbox = Sandbox::with_runs();
    let list = sandbox.run("series tiny.s0").ok();
    assert!(list.contains("batch.loss") && list.contains("0 to 60"), "{list}");
    assert!(list.contains("skill.losses") && list.contains("[4]"), "{list}");
    let text = sandbox.run("series tiny.s0 lr batch.loss --from 10 --to 30 --every 10").ok();
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["step", "lr", "batch.loss"]);
    assert_eq!(rows.iter().skip(1).map(|r| r[0]).collect::<Vec<_>>(), ["10", "20", "30"]);
    assert!(rows[1..].iter().all(|r| r[1] == "0.001"), "{text}");
}

#[test]
fn exports_keep_every_bit() {
    let sandbox = Sandbox::with_runs();
    let record = conduct(&sandbox.store(), &plan(0));
    let csv = sandbox.run("series tiny.s0 batch.loss --csv").ok();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("run_id,step,metric,value"));
    let points = &record.series["batch.loss"].points;
    assert_eq!(lines.clone().count(), points.len());
    for (line, p) in lines.zip(points) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!((fields[0], fields[2]), ("tiny.s0", "batch.loss"));
        assert_eq!(fields[1].parse::<u64>().unwrap(), p.step.0);
        assert_eq!(fields[3].parse::<f64>().unwrap().to_bits(), p.value.to_bits());
    }
    let json = sandbox.run("series tiny.s0 batch.loss skill.losses --json").json();
    let first = &json["series"][0]["points"][0];
    assert_eq!(first[1].as_f64().unwrap().to_bits(), points[0].value.to_bits());
    assert_eq!(json["tensors"][0]["points"][0]["values"].as_array().unwrap().len(), 4);
}

#[test]
fn exports_go_to_a_file() {
    let sandbox = Sandbox::with_runs();
    let said = sandbox.run("series tiny.s0 skill.losses --out points.csv").ok();
    // Seven readings of four skills.
    assert_eq!(said, "wrote 28 readings to points.csv\n");
    let csv = fs::read_to_string(sandbox.path("points.csv")).unwrap();
    assert_eq!(csv.lines().count(), 29);
    assert!(csv.contains("tiny.s0,60,skill.losses[3],"), "{csv}");
    let said = sandbox.run("series tiny.s0 batch.loss --json --out points.json").json();
    assert_eq!(
        (said["file"].as_str(), said["n_readings"].as_u64()),
        (Some("points.json"), Some(60))
    );
    let json = fs::read_to_string(sandbox.path("points.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["series"].is_array());
    let text = sandbox.run("series tiny.s0 --out nowhere/points.csv").fails_with(1);
    assert!(text.starts_with("error: cannot write nowhere/points.csv"), "{text}");
    let text = sandbox.run("series tiny.s0 --csv --json").fails_with(2);
    assert!(text.contains("--csv and --json cannot both be had"), "{text}");
}

#[test]
fn runs_are_compared() {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run("compare tiny.s0 tiny.s1").ok();
    for part in ["seeds.data_seed   0  1", "B and A are not paired", "T_learn", "batch.loss"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("cost.") && !text.contains("fingerprint"), "{text}");
    let json = sandbox.run("compare tiny.s0 tiny.s1 --json").json();
    assert_eq!(json["common_step"], 60);
    assert!(json["pairings"][0]["paired"].is_null());
    sandbox.run("compare tiny.s0").fails_with(2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;
    let sandbox = Sandbox::with_runs();
    let mut child = sandbox
        .command("series tiny.s0 --csv")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_report_is_drawn_again_from_its_findings() {
    let sandbox = Sandbox::with_runs();
    let folder = sandbox.store().study(&ontogeny_core::StudyId::new("tiny").unwrap());
    let findings = ontogeny_core::Findings {
        study: "tiny".into(),
        title: "Does it learn?".into(),
        ..ontogeny_core::Findings::default()
    };
    folder.write_findings(&findings).unwrap();
    let report = sandbox.run("report tiny").ok();
    assert_eq!(report, "ontogeny-store/studies/tiny/report.html\n");
    let html = fs::read_to_string(sandbox.path(report.trim())).unwrap();
    assert!(html.contains("Does it learn?"));
    assert_snapshot!(sandbox.run("report").ok(), @r"
    study  title           report
    tiny   Does it learn?  ontogeny-store/studies/tiny/report.html
    ");
}

#[test]
fn series_are_drawn_and_tell_where_their_readings_come_from() {
    let sandbox = Sandbox::with_runs();
    let said = sandbox.run("series tiny.s0 batch.loss --figure loss.svg --with tiny.s1").ok();
    assert_eq!(said, "drew 120 readings into loss.svg\n");
    let svg = fs::read_to_string(sandbox.path("loss.svg")).unwrap();
    assert!(svg.contains("tiny.s0") && svg.contains("tiny.s1") && svg.contains("batch.loss"));
    let text = sandbox.run("series tiny.s0 batch.loss --figure loss.jpg").fails_with(2);
    assert!(text.contains("loss.jpg"), "{text}");
    let text = sandbox.run("series tiny.s0 --figure loss.svg").fails_with(2);
    assert!(text.contains("which series?"), "{text}");
    let text = sandbox.run("series tiny.s0 batch.lss --figure loss.svg").fails_with(2);
    assert!(text.contains("did you mean batch.loss?"), "{text}");

    let json = sandbox.run("series tiny.s0 batch.loss --provenance --json").json();
    let readings = json["series"][0]["readings"].as_array().unwrap();
    assert_eq!(readings.len(), 60);
    assert!(readings.iter().all(|r| r["session"] == 1 && r["counts"] == true));
    let text = sandbox.run("series tiny.s0 batch.loss --provenance --from 58").ok();
    assert!(text.starts_with("batch.loss\n"), "{text}");
    assert!(text.lines().nth(1).unwrap().contains("session"), "{text}");
}
