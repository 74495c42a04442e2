//! Stores on object stores in memory and in a folder: what is pushed is what is read, whatever fails on the way.

mod damage;
mod refusals;
mod requests;
mod support;

use super::{PushOptions, Pushed, Remote};
use crate::Store;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use std::sync::Arc;
use support::{Watched, assert_equal, grow, make, on, push, read};

#[test]
fn what_is_pushed_reads_as_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    let folder = dir.path().join("there");
    std::fs::create_dir(&folder).unwrap();
    let prefix = Key::from_absolute_path(&folder).unwrap();
    let local: Arc<dyn object_store::ObjectStore> = Arc::new(LocalFileSystem::new());
    let remotes =
        [on(&memory), Remote::new("file:///there", "folder".to_owned(), local, prefix).unwrap()];
    for remote in remotes {
        let pushed = push(&store, &remote);
        assert!(pushed.problems.is_empty() && pushed.stale.is_empty(), "{pushed:?}");
        assert!(pushed.n_objects > 4 && pushed.n_files > 20, "{pushed:?}");
        let cache = tempfile::tempdir().unwrap();
        // The second time from copies.
        for _ in 0..2 {
            assert_equal(&store, &Store::open_remote(&remote, cache.path()).unwrap());
        }
    }
    // What lies in the folder is itself a store on disk.
    assert_equal(&store, &Store::open(&folder).unwrap());
}

#[test]
fn a_second_push_copies_nothing_and_a_third_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    push(&store, &on(&memory));
    memory.forget();
    let again = push(&store, &on(&memory));
    assert_eq!((again.n_objects, again.n_files, again.n_bytes), (0, 0, 0));
    assert!(memory.puts().is_empty(), "{:?}", memory.puts());
    grow(&store);
    memory.forget();
    let dry = store.push(&on(&memory), PushOptions { is_dry: true, prune: false }, &|_| ());
    let dry = dry.unwrap();
    assert!(memory.puts().is_empty(), "{:?}", memory.puts());
    let more = push(&store, &on(&memory));
    let counts = |p: &Pushed| (p.n_objects, p.n_files, p.n_bytes);
    assert_eq!(counts(&dry), counts(&more));
    assert!(more.n_objects > 0, "{more:?}");
    let touched = memory.puts();
    assert!(touched.iter().all(|key| !key.contains("runs/b/")), "{touched:?}");
    assert!(touched.iter().all(|key| !key.contains("seg-000001")), "{touched:?}");
    let cache = tempfile::tempdir().unwrap();
    assert_equal(&store, &read(&memory, cache.path()));
}

/// Lets the first requests of a push fail each in turn, and then one of so many.
fn fail_at_each(stride: usize) {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let grown_dir = tempfile::tempdir().unwrap();
    let grown = make(grown_dir.path());
    grow(&grown);
    // First into nothing, then onto what was pushed before the store grew.
    for before in [None, Some(&store)] {
        let mut n = 0;
        loop {
            let memory = Watched::in_memory();
            if let Some(before) = before {
                push(before, &on(&memory));
            }
            memory.forget();
            memory.fail_at(n);
            let failed = grown.push(&on(&memory), PushOptions::default(), &|_| ());
            memory.heal();
            let cache = tempfile::tempdir().unwrap();
            if let Ok(there) = Store::open_remote(&on(&memory), cache.path()) {
                let found = there.verify().unwrap();
                assert!(found.is_whole(), "after request {n}: {:?}", found.problems);
                if let Some(before) = before {
                    assert_eq!(found.n_runs, before.runs().unwrap().runs.len());
                }
            } else {
                assert!(before.is_none() && n < 4, "no store after request {n}");
            }
            if failed.is_ok() {
                break;
            }
            let rest = push(&grown, &on(&memory));
            assert!(rest.problems.is_empty(), "after request {n}: {rest:?}");
            assert_equal(&grown, &read(&memory, cache.path()));
            n += if n < 8 { 1 } else { stride };
        }
        assert!(n > 30, "only {n} requests");
    }
}

#[test]
fn a_push_that_fails_anywhere_leaves_a_store_and_the_next_one_goes_on() {
    fail_at_each(7);
}

#[test]
#[ignore = "slow: every request"]
fn slow_a_push_that_fails_at_any_request_leaves_a_store_and_the_next_one_goes_on() {
    fail_at_each(1);
}

#[test]
fn what_went_away_here_is_named_and_removed_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    push(&store, &on(&memory));
    support::go_back(&store);
    let stale = push(&store, &on(&memory)).stale;
    let expected = [
        "runs/a/checkpoints/7.json",
        "runs/a/zooms/closer/checkpoints/3.json",
        "runs/a/zooms/closer/manifest.json",
        "runs/a/zooms/closer/metrics/live.log",
        "runs/a/zooms/closer/metrics/seg-000001.b3",
        "runs/a/zooms/closer/metrics/seg-000001.idx",
        "runs/a/zooms/closer/metrics/seg-000001.parquet",
        "runs/a/zooms/closer/tensors/live.log",
    ];
    assert_eq!(stale, expected);
    let options = PushOptions { is_dry: false, prune: true };
    let pruned = store.push(&on(&memory), options, &|_| ()).unwrap();
    assert_eq!(pruned.stale, expected);
    assert_eq!(push(&store, &on(&memory)).stale, [""; 0]);
    let cache = tempfile::tempdir().unwrap();
    assert_equal(&store, &read(&memory, cache.path()));
}

#[test]
fn runs_of_several_stores_share_a_place() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, other) = (make(dirs[0].path()), Store::open_or_create(dirs[1].path()).unwrap());
    support::make_run(&other, "c", 1.0);
    let memory = Watched::in_memory();
    push(&one, &on(&memory));
    assert!(push(&other, &on(&memory)).problems.is_empty());
    let cache = tempfile::tempdir().unwrap();
    let there = read(&memory, cache.path());
    assert_eq!(there.runs().unwrap().runs.len(), 3);
    assert!(there.verify().unwrap().is_whole());
}
