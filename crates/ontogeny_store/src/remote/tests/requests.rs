//! How much is asked for: what does not concern the question is not fetched.

use super::support::{Watched, make, on, push, read};
use crate::Store;
use ontogeny_core::{RunId, Step};
use std::sync::Arc;

fn there() -> (tempfile::TempDir, Arc<Watched>) {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    push(&store, &on(&memory));
    memory.forget();
    (dir, memory)
}

/// The requests so far, which are forgotten, without what comes before the store in their keys.
fn asked(memory: &Watched) -> Vec<String> {
    let asked = memory.asked().iter().map(|a| a.replace("a/b/", "").replace("a/b", "")).collect();
    memory.forget();
    asked
}

#[test]
fn listing_runs_asks_for_manifests_alone() {
    let (dir, memory) = there();
    let there = read(&memory, &dir.path().join("cache"));
    there.runs().unwrap();
    let mut first = asked(&memory);
    first[2..].sort();
    let expected =
        ["GET ontogeny.json", "LIST runs", "GET runs/a/manifest.json", "GET runs/b/manifest.json"];
    assert_eq!(first, expected);
    // Manifests are asked for each time: their runs may have gone on.
    there.runs().unwrap();
    assert_eq!(asked(&memory).len(), 3);
}

#[test]
fn a_series_asks_for_the_rows_of_its_run_alone_and_once() {
    let (dir, memory) = there();
    let cache = dir.path().join("cache");
    let series = |there: &Store| {
        let reader = there.run(&RunId::new("b").unwrap()).unwrap();
        assert_eq!(reader.series("x").unwrap().unwrap().points.len(), 5);
    };
    series(&read(&memory, &cache));
    insta::assert_snapshot!(asked(&memory).join("\n"), @r"
    GET ontogeny.json
    LIST runs/b
    GET runs/b/manifest.json
    GET runs/b/metrics/live.log
    LIST runs/b/metrics
    GET runs/b/metrics/seg-000001.idx
    GET runs/b/metrics/seg-000001.b3
    LIST runs/b/zooms
    GET runs/b/metrics/seg-000001.parquet
    ");
    // From the copies: the segments are known by the listing.
    series(&read(&memory, &cache));
    insta::assert_snapshot!(asked(&memory).join("\n"), @r"
    GET ontogeny.json
    LIST runs/b
    GET runs/b/manifest.json
    GET runs/b/metrics/live.log
    LIST runs/b/metrics
    LIST runs/b/zooms
    ");
}

#[test]
fn a_tensor_asks_for_the_objects_that_it_is_stored_against_alone() {
    let (dir, memory) = there();
    let cache = dir.path().join("cache");
    let tensor = |step| {
        let reader = read(&memory, &cache).run(&RunId::new("a").unwrap()).unwrap();
        memory.forget();
        reader.checkpoint_tensor(Step(step), "w").unwrap().unwrap();
        let asked = asked(&memory);
        let n_objects = asked.iter().filter(|a| a.starts_with("GET objects/")).count();
        (asked.len(), n_objects)
    };
    // The list, its object and those before it.
    let n_all = memory.keys().iter().filter(|k| k.contains("/objects/")).count();
    let (n_asked, n_objects) = tensor(2);
    assert_eq!(n_asked, n_objects + 1);
    assert!(n_objects < n_all, "{n_objects} of {n_all}");
    // An earlier state of the chain is here by now, with its list still to be asked for.
    assert_eq!(tensor(1), (1, 0));
}

#[test]
fn a_copy_that_was_cut_short_or_changed_is_fetched_again() {
    let (dir, memory) = there();
    let cache = dir.path().join("cache");
    let look = || {
        let store = read(&memory, &cache);
        assert!(store.verify().unwrap().is_whole());
        store.path().to_path_buf()
    };
    let root = look();
    asked(&memory);
    look();
    let n_unchanged = asked(&memory).len();
    for (name, cut) in [
        ("runs/b/metrics/seg-000001.parquet", true),
        ("runs/b/manifest.json", true),
        ("runs/a/metrics/live.log", false),
        ("runs/a/checkpoints/1.json", false),
        ("objects", false),
    ] {
        let mut path = root.join(name);
        while path.is_dir() {
            path = std::fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.truncate(if cut { middle } else { bytes.len() });
        std::fs::write(&path, bytes).unwrap();
        look();
        let n = asked(&memory).len();
        assert!(n >= n_unchanged && n <= n_unchanged + 1, "{name}: {n} for {n_unchanged}");
    }
}
