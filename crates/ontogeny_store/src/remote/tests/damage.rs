//! Damage, there and here, is named with its place and does not spread.

use super::support::{Watched, make, on, push, read};
use crate::{Store, StoreError};
use ontogeny_core::{RunId, Step};
use std::path::{Path, PathBuf};

fn a() -> RunId {
    RunId::new("a").unwrap()
}

#[test]
fn a_damaged_object_there_is_named_by_its_url_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    push(&store, &on(&memory));
    let is_object = |k: &&String| k.contains("/objects/");
    for key in memory.keys().iter().filter(is_object) {
        memory.flip(key);
        let cache = tempfile::tempdir().unwrap();
        let there = read(&memory, cache.path());
        let problems = there.verify().unwrap().problems;
        let url = format!("mem://bucket/{key}");
        assert!(!problems.is_empty());
        for e in &problems {
            assert!(e.to_string().contains(&url), "{e}");
        }
        memory.flip(key);
        assert!(read(&memory, cache.path()).verify().unwrap().is_whole());
    }
}

#[test]
fn a_damaged_file_of_a_run_there_is_named_by_its_url_and_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    push(&store, &on(&memory));
    for name in [
        "metrics/seg-000001.parquet",
        "metrics/seg-000001.b3",
        "checkpoints/1.json",
        "metrics/live.log",
        "events.parquet",
    ] {
        let key = format!("a/b/runs/a/{name}");
        memory.flip(&key);
        let cache = tempfile::tempdir().unwrap();
        let there = read(&memory, cache.path());
        let problems = there.verify().unwrap().problems;
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        let text = problems[0].to_string();
        let stem = format!("mem://bucket/{key}");
        let stem = stem.trim_end_matches("b3").trim_end_matches("parquet");
        assert!(text.starts_with("read run a: ") && text.contains(stem), "{text}");
        memory.flip(&key);
        assert!(read(&memory, cache.path()).verify().unwrap().is_whole(), "{name}");
    }
}

/// A file of the store that is named so, found below a folder.
fn below(dir: &Path) -> PathBuf {
    let mut path = dir.to_path_buf();
    while path.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
        entries.retain(|p| p.is_dir() || p.file_name().unwrap().len() == 64);
        entries.sort();
        path = entries.remove(0);
    }
    path
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_damaged_here_is_not_pushed_and_everything_else_is() {
    for name in [
        "runs/b/metrics/seg-000001.parquet",
        "runs/b/manifest.json",
        "objects",
        "ledger/ledger.jsonl",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = make(dir.path());
        let path = store.path().join(name);
        let path = if path.is_dir() { below(&path) } else { path };
        flip(&path);
        let memory = Watched::in_memory();
        let pushed = push(&store, &on(&memory));
        assert!(!pushed.problems.is_empty(), "{name}");
        for e in &pushed.problems {
            assert!(e.to_string().contains(path.to_str().unwrap()), "{name}: {e}");
        }
        let cache = tempfile::tempdir().unwrap();
        let there = read(&memory, cache.path());
        let found = there.verify().unwrap();
        assert!(found.is_whole(), "{name}: {:?}", found.problems);
        // Once it is mended the next push brings the rest.
        flip(&path);
        let rest = push(&store, &on(&memory));
        assert!(rest.problems.is_empty() && rest.n_files > 0, "{name}: {rest:?}");
        super::assert_equal(&store, &read(&memory, cache.path()));
    }
}

#[test]
fn only_acknowledged_rows_of_a_live_log_are_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let mut writer = store.resume_run(&a()).unwrap();
    let clocks = ontogeny_core::Clocks::default();
    writer.append(Step(20), clocks, &[("x", "1", 1.0)]).unwrap();
    writer.sync().unwrap();
    writer.append(Step(21), clocks, &[("x", "1", 1.0)]).unwrap();
    writer.flush().unwrap();
    let memory = Watched::in_memory();
    assert!(push(&store, &on(&memory)).problems.is_empty());
    let cache = tempfile::tempdir().unwrap();
    let there = read(&memory, cache.path());
    let last = |s: &Store| s.run(&a()).unwrap().series("x").unwrap().unwrap().last().unwrap().step;
    assert_eq!((last(&store), last(&there)), (Step(21), Step(20)));
    assert!(there.verify().unwrap().is_whole());
    let sync_and_push = writer.sync().map(|()| push(&store, &on(&memory)));
    sync_and_push.unwrap();
    assert_eq!(last(&there), Step(21));
    assert!(matches!(there.resume_run(&a()), Err(StoreError::OnlyRead { .. })));
}
