//! Damaged data: one bad run hurts nobody, a bad ledger says nothing.

use crate::support::{Sandbox, claim, conduct, plan};
use insta::assert_snapshot;
use std::fs;

#[test]
fn law_8_one_bad_run_hurts_nobody() {
    let sandbox = Sandbox::with_runs();
    fs::write(sandbox.path("ontogeny-store/runs/tiny.s0/manifest.json"), "{ \"run\": ").unwrap();
    let answer = sandbox.run("runs ls");
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.contains("tiny.s1") && !answer.stdout.contains("tiny.s0"));
    assert!(
        answer.stderr.starts_with("warning: run tiny.s0 is damaged and skipped"),
        "{}",
        answer.stderr
    );
    sandbox.run("runs show tiny.s1").ok();

    let text = sandbox.run("runs show tiny.s0").fails_with(3);
    assert!(text.contains("bad JSON at line 1"), "{text}");
    assert!(text.contains("help: other runs are not affected"), "{text}");

    let json = sandbox.run("runs ls --json");
    let warning: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(warning["warning"]["what"], "run tiny.s0 is damaged and skipped");
    assert_eq!(json.json().as_array().unwrap().len(), 1);
}

#[test]
fn a_flipped_byte_in_the_readings_is_found() {
    let sandbox = Sandbox::with_runs();
    let folder = sandbox.path("ontogeny-store/runs/tiny.s0/metrics");
    let segment = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "parquet"))
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let text = sandbox.run("series tiny.s0 batch.loss").fails_with(3);
    assert!(text.contains("its checksum does not match its content"), "{text}");
    sandbox.run("series tiny.s1 batch.loss").ok();
}

/// A store with a ledger, and the path of the ledger.
fn with_ledger() -> (Sandbox, std::path::PathBuf) {
    let sandbox = Sandbox::with_runs();
    let store = sandbox.store();
    claim(&store, &conduct(&store, &plan(0)));
    let path = sandbox.path("ontogeny-store/ledger/ledger.jsonl");
    (sandbox, path)
}

#[test]
fn law_5_failures_stay_a_broken_ledger_says_nothing() {
    let (sandbox, path) = with_ledger();
    let whole = fs::read_to_string(&path).unwrap();
    let edited = whole.replacen("learning time", "forgetting time", 1);
    let lines: Vec<&str> = whole.lines().collect();
    let without_third = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
    let without_last = lines[..lines.len() - 1].join("\n") + "\n";
    for broken in [edited, without_third, without_last, whole.replacen("{\"seq\"", "{\"sq\"", 1)] {
        assert_ne!(broken, whole);
        fs::write(&path, broken).unwrap();
        for command in ["ledger verify", "ledger ls", "ledger score", "scorecard"] {
            let text = sandbox.run(command).fails_with(3);
            assert!(text.starts_with("error: failed to trust the ledger"), "{command}: {text}");
            assert!(text.contains("help: nothing in it counts any more"), "{command}: {text}");
        }
    }
    fs::write(&path, whole).unwrap();
    sandbox.run("ledger verify").ok();
}

#[test]
fn an_edited_entry_is_named() {
    let (sandbox, path) = with_ledger();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("\"known_at\":60", "\"known_at\":61", 1)).unwrap();
    assert_snapshot!(sandbox.run("ledger verify").fails_with(3), @r"
    error: failed to trust the ledger: ontogeny-store/ledger/ledger.jsonl
      caused by: ledger entry 1 was changed after it was sealed: its hash does not match its content
      help: nothing in it counts any more; restore the ledger folder from a copy
    ");
}

#[test]
fn damaged_findings_are_named() {
    let sandbox = Sandbox::with_runs();
    let folder = sandbox.path("ontogeny-store/studies/tiny");
    fs::create_dir_all(&folder).unwrap();
    let text = sandbox.run("report tiny").fails_with(2);
    assert!(text.starts_with("error: study tiny is not finished"), "{text}");
    fs::write(folder.join("findings.json"), "[]").unwrap();
    let text = sandbox.run("report tiny").fails_with(3);
    assert!(text.contains("findings.json"), "{text}");
    assert!(sandbox.run("report").ok().contains("damaged: failed to read"));
}
