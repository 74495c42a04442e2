//! Real files with known content, where this machine has them.

use crate::support::{points, shared};
use ontogeny_import::{Collected, Options, Report, find, import};
use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &Path) -> Vec<(String, Collected, Report)> {
    let options = Options { keep_going: true, ..Options::default() };
    let found = find(&[path.to_path_buf()], &options).unwrap();
    found
        .units
        .iter()
        .map(|unit| {
            let mut collected = Collected::default();
            let report = import(unit, &options, &mut collected).unwrap();
            collected.settle();
            (unit.name.clone(), collected, report)
        })
        .collect()
}

#[test]
fn tfevents_agree_with_the_table_of_the_same_run() {
    let Some(path) = shared("fixtures/tfevents") else { return };
    for workload in ["fastmri_jax", "ogbg_jax"] {
        let units = read(&path.join(workload));
        let of = |format: &str| units.iter().find(|u| u.2.format == format).unwrap();
        let (events, table) = (&of("tfevents").1.runs[0], &of("csv").1.runs[0]);
        let mut n = 0;
        for truth in &table.series {
            // Clocks are read anew for each of the two files; what was measured is the same.
            let is_measured =
                ["train/", "validation/", "test/"].iter().any(|p| truth.name.starts_with(p));
            let Some(series) = events.get(&truth.name).filter(|_| is_measured) else { continue };
            let read: BTreeMap<u64, f64> =
                series.points.iter().map(|p| (p.step.0, p.value)).collect();
            for p in &truth.points {
                // The file holds single precision.
                let expected = f64::from(p.value as f32);
                let found = read.get(&p.step.0).copied();
                assert_eq!(found, Some(expected), "{workload} {} at {}", truth.name, p.step);
                n += 1;
            }
        }
        println!("{workload}: {n} values agree");
        assert!(n > 300, "{workload}: {n}");
    }
}

#[test]
fn wandb_and_text_logs_of_the_same_run_agree() {
    let (Some(wandb), Some(text)) =
        (shared("fixtures/wandb-offline"), shared("fixtures/training-logs-text"))
    else {
        return;
    };
    let (wandb, text) = (read(&wandb), read(&text));
    let muon = text.iter().find(|u| u.0.contains("muon")).unwrap();
    let (logged, plain) = (points(&wandb[0].1, 0, "val/loss"), points(&muon.1, 0, "val_loss"));
    assert_eq!((logged.len(), plain.last()), (51, Some(&(6200, 3.2785))));
    assert_eq!(logged, plain);
    assert_eq!(points(&muon.1, 0, "train_loss").len(), 6200);
    assert_eq!(wandb[0].1.runs[0].meta.config["optimizer"], "Muon");
    let medium = text.iter().find(|u| u.0.contains("medium")).unwrap();
    assert_eq!(points(&medium.1, 0, "val_loss").last(), Some(&(5960, 2.919_75)));
}

#[test]
fn a_trainer_state_agrees_with_its_json() {
    let Some(path) = shared("fixtures/hf-trainer-state") else { return };
    let units = read(&path);
    let text = std::fs::read_to_string(path.join("trainer_state.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut n = 0;
    for entry in json["log_history"].as_array().unwrap() {
        let step = entry["step"].as_u64().unwrap();
        for (key, value) in entry.as_object().unwrap().iter().filter(|(k, _)| *k != "step") {
            let series = points(&units[0].1, 0, key);
            let place = series.binary_search_by_key(&step, |p| p.0);
            assert!(place.is_ok(), "{key} at {step}");
            n += u64::from(series[place.unwrap()].1 == value.as_f64().unwrap());
        }
    }
    // `epoch` is told by every entry of a step; the same number each time.
    assert_eq!(n, units[0].2.n_points, "every value");
}

#[test]
fn evaluations_agree_with_their_json() {
    let Some(path) = shared("fixtures/lm-eval-json") else { return };
    let units = read(&path);
    // Two of the three tell no step, and are passed over with a word.
    assert_eq!(units[0].2.n_problems, 2);
    let text = std::fs::read_to_string(path.join("410m_step0.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut n = 0;
    for (task, metrics) in json["results"].as_object().unwrap() {
        for (metric, value) in metrics.as_object().unwrap() {
            let name = match metric.strip_suffix("_stderr") {
                Some(base) => format!("{task}/{base}.stderr"),
                None => format!("{task}/{metric}"),
            };
            assert_eq!(points(&units[0].1, 0, &name), [(0, value.as_f64().unwrap())]);
            n += 1;
        }
    }
    assert_eq!(n, units[0].2.n_points);
}

#[test]
fn tidy_suites_are_whole() {
    for (suite, n_runs, n_points) in [
        ("grokking-modular", 77, 732_488),
        ("algoperf", 2099, 745_675),
        ("lr-schedule-curves", 27, 12_530),
        ("nanogpt-speedrun", 1129, 65_649),
    ] {
        let Some(path) = shared(&format!("trajectories/{suite}")) else { continue };
        let units = read(&path);
        let (_, collected, report) = units.iter().find(|u| u.2.format == "tidy").unwrap();
        assert_eq!((collected.runs.len(), report.n_points), (n_runs, n_points), "{suite}");
        assert_eq!(report.n_problems, 0, "{suite}");
    }
}
