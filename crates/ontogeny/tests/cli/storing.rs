//! `ontogeny store`: damage is named, garbage is shown before it goes, and nothing is mended that cannot be proven.

use crate::support::Sandbox;
use insta::assert_snapshot;
use std::fs;
use std::path::PathBuf;

/// A file of a run whose name ends so.
fn file(sandbox: &Sandbox, folder: &str, ending: &str) -> PathBuf {
    let files = fs::read_dir(sandbox.path(folder)).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|p| p.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files.remove(0)
}

fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_named_with_its_run_and_ends_with_code_3() {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run("store verify").ok();
    assert!(text.starts_with("everything is as it was written: 2 runs"), "{text}");
    flip(&file(&sandbox, "ontogeny-store/runs/tiny.s0/metrics", ".parquet"));
    let answer = sandbox.run("store verify");
    assert_eq!(answer.code, 3);
    assert!(
        answer.stdout.starts_with("run tiny.s0: failed to read run tiny.s0: its checksum"),
        "{answer:?}"
    );
    assert!(!answer.stdout.contains("tiny.s1"), "{answer:?}");
    assert!(answer.stderr.contains("error: 1 damage in the store"), "{answer:?}");
    let answer = sandbox.run("store verify --json");
    assert_eq!(answer.code, 3);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(json["is_whole"], false);
    assert_eq!(json["problems"][0]["run"], "tiny.s0");
    assert_eq!(json["problems"][0]["path"], "runs/tiny.s0/metrics/seg-000001.parquet");
}

#[test]
fn space_is_added_up_by_run_and_kind() {
    let sandbox = Sandbox::with_runs();
    let json = sandbox.run("store du --json").json();
    let of = |key: &str| json[key].as_u64().unwrap();
    let runs: u64 = (json["runs"].as_array().unwrap().iter())
        .flat_map(|r| {
            ["metrics", "tensors", "lists", "zooms", "other"].map(|k| r[k].as_u64().unwrap())
        })
        .sum();
    let parts = of("studies")
        + of("ledger")
        + of("objects")
        + of("index")
        + of("garbage")
        + of("unfinished");
    assert_eq!(of("total"), runs + parts);
    assert!(of("objects") > 0 && of("garbage") == 0, "{json}");
    let text = sandbox.run("store du").ok();
    assert!(text.contains("objects alone") && text.contains("tiny.s1"), "{text}");
}

#[test]
fn garbage_is_shown_and_goes_with_yes() {
    let sandbox = Sandbox::with_runs();
    assert!(sandbox.run("store gc").ok().starts_with("no garbage: "));
    for run in ["tiny.s0", "tiny.s1"] {
        fs::remove_dir_all(sandbox.path(&format!("ontogeny-store/runs/{run}/checkpoints")))
            .unwrap();
    }
    let text = sandbox.run("store gc").ok();
    assert!(text.starts_with("garbage: ") && text.contains("--yes removes it"), "{text}");
    let text = sandbox.run("store gc --yes").ok();
    assert!(text.starts_with("removed ") && text.ends_with("0 objects needed\n"), "{text}");
    assert_eq!(sandbox.run("store gc").ok(), "no garbage: 0 objects needed\n");
}

#[test]
fn a_list_that_cannot_be_read_stops_the_collection() {
    let sandbox = Sandbox::with_runs();
    flip(&file(&sandbox, "ontogeny-store/runs/tiny.s0/checkpoints", ".json"));
    let answer = sandbox.run("store gc --yes");
    assert_eq!(answer.code, 3);
    assert!(answer.stdout.starts_with("in the way: tiny.s0: "), "{answer:?}");
    assert!(answer.stderr.contains("--ignore-damaged RUN"), "{answer:?}");
    let text = sandbox.run("store gc --ignore-damaged tiny.s0 --yes").ok();
    assert!(text.starts_with("ignored: tiny.s0: "), "{text}");
    sandbox.run("store gc --ignore-damaged tiny.s7").fails_with(2);
}

#[test]
fn repair_says_what_it_would_do_and_does_it_with_yes() {
    let sandbox = Sandbox::with_runs();
    assert_snapshot!(sandbox.run("store repair").ok(), @"there is nothing that can be put in order");
    fs::write(sandbox.path("ontogeny-store/runs/tiny.s0/.tmp-1-1"), "half").unwrap();
    let log = sandbox.path("ontogeny-store/runs/tiny.s1/metrics/live.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(b"torn");
    fs::write(&log, &bytes).unwrap();
    fs::write(sandbox.path("ontogeny-store/runs/tiny.s1/checkpoints/7.json"), "{").unwrap();
    let would = sandbox.run("store repair").ok();
    assert!(would.contains("remove unfinished runs/tiny.s0/.tmp-1-1\n"), "{would}");
    assert!(would.contains("set aside runs/tiny.s1/checkpoints/7.json as runs/tiny.s1/damaged/1/checkpoints/7.json: "), "{would}");
    assert!(would.contains("cut 4 unacknowledged bytes at byte "), "{would}");
    assert!(would.ends_with("3 things can be put in order; --yes does it\n"), "{would}");
    assert_eq!(fs::read(&log).unwrap(), bytes);
    let did = sandbox.run("store repair --yes").ok();
    assert!(did.ends_with("3 things put in order\n"), "{did}");
    assert!(sandbox.path("ontogeny-store/runs/tiny.s1/damaged/1/checkpoints/7.json").exists());
    assert_eq!(sandbox.run("store repair --json").json()["repairs"], serde_json::json!([]));
    sandbox.run("store verify").ok();
}
