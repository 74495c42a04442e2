//! Runs that are made out of sight.

use crate::support::{append, manifest, message, run_id, scratch, steps};

#[test]
fn staged_runs_appear_when_they_are_published_and_not_before() {
    let (_dir, store) = scratch();
    let staging = store.stage().unwrap();
    let mut writer = staging.create_run(&manifest("a")).unwrap();
    append(&mut writer, 0..5);
    drop(writer);
    let mut writer = staging.resume_run(&run_id("a")).unwrap();
    append(&mut writer, 5..9);
    writer.seal().unwrap();
    drop(writer);
    assert!(store.runs().unwrap().runs.is_empty());
    staging.publish(&[run_id("a")], false).unwrap();
    drop(staging);
    assert_eq!(steps(&store, "a"), (0..9).collect::<Vec<_>>());
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_run_that_exists_makes_way_only_if_asked() {
    let (_dir, store) = scratch();
    append(&mut store.create_run(&manifest("a")).unwrap(), 0..3);
    let staging = store.stage().unwrap();
    append(&mut staging.create_run(&manifest("a")).unwrap(), 0..2);
    let refused = message(staging.publish(&[run_id("a")], false), &store);
    assert!(refused.starts_with("create run a: it exists already"), "{refused}");
    assert_eq!(steps(&store, "a").len(), 3);
    staging.publish(&[run_id("a")], true).unwrap();
    assert_eq!(steps(&store, "a").len(), 2);
}

#[test]
fn what_was_not_published_is_gone() {
    let (dir, store) = scratch();
    let names = || -> Vec<String> {
        let all = std::fs::read_dir(dir.path()).unwrap();
        all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    let before = names();
    let staging = store.stage().unwrap();
    append(&mut staging.create_run(&manifest("a")).unwrap(), 0..3);
    // A second staging beside a living one leaves it alone.
    drop(store.stage().unwrap());
    staging.publish(&[], false).unwrap();
    drop(staging);
    // What a dead process left, nobody locks.
    std::fs::create_dir_all(dir.path().join(".tmp-1-1/store")).unwrap();
    std::fs::write(dir.path().join(".tmp-1-1/lock"), "").unwrap();
    drop(store.stage().unwrap());
    let mut after = names();
    after.retain(|n| n != "runs");
    assert_eq!(after, before);
}
