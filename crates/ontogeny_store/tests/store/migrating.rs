//! Stores of earlier versions give the same readings after they were migrated.

use crate::support::{run_id, scratch};
use ontogeny_store::{RunReader, Store};
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// Everything of a run that a reader gives.
fn told(reader: &RunReader) -> String {
    let mut text = String::new();
    for name in reader.series_names().unwrap() {
        let series = reader.series(&name).unwrap().unwrap();
        write!(text, "{series:?} {:?}", reader.readings(&name).unwrap()).unwrap();
    }
    for name in reader.tensor_names().unwrap() {
        write!(text, "{:?}", reader.tensor(&name).unwrap()).unwrap();
    }
    write!(text, "{:?} {:?}", reader.recorded_clocks().unwrap(), reader.events().unwrap()).unwrap();
    for step in reader.checkpoints().unwrap() {
        write!(text, "{}", reader.checkpoint(step).unwrap().state_hash).unwrap();
    }
    text
}

#[track_caller]
fn check(fixture: &str, migrations: &[&str]) {
    let (dir, _) = scratch();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture), dir.path());
    let store = Store::open(dir.path()).unwrap();
    let run = store.runs().unwrap().runs.remove(0).run;
    let before = told(&store.run(&run).unwrap());
    let planned = store.migrate(false, &|_, _| ()).unwrap();
    assert!(planned.left.is_empty(), "{:?}", planned.left);
    let mut names: Vec<&str> = planned.files.iter().map(|f| f.migration).collect();
    names.dedup();
    assert_eq!(names, migrations);
    assert_eq!(told(&store.run(&run).unwrap()), before, "a dry run changes nothing");
    let reader = store.run(&run).unwrap();
    reader.series_names().unwrap();
    let done = store.migrate(true, &|_, _| ()).unwrap();
    assert_eq!(done.files, planned.files);
    // Somebody who looked before, and somebody who looks now.
    assert_eq!(told(&reader), before);
    assert_eq!(told(&store.run(&run).unwrap()), before);
    let verified = store.verify().unwrap();
    assert!(verified.is_whole(), "{:?}", verified.problems);
    assert!(store.migrate(true, &|_, _| ()).unwrap().files.is_empty());
    drop(store.resume_run(&run).unwrap());
    assert_eq!(told(&store.run(&run).unwrap()), before);
}

#[test]
fn rows_of_the_first_version() {
    check("v1", &["logs_to_v3", "rows_to_v3"]);
}

#[test]
fn checkpoints_of_codec_3_beside_rows_of_the_first_version() {
    check("v1-codec-3", &["logs_to_v3"]);
}

#[test]
fn rows_of_the_second_version() {
    check("v1-rows2", &["logs_to_v3"]);
}

#[test]
fn rows_of_this_version() {
    check("v1-rows3", &[]);
}

#[test]
fn a_run_that_is_being_written_is_left_alone() {
    let (dir, _) = scratch();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1"), dir.path());
    let store = Store::open(dir.path()).unwrap();
    let _writer = store.resume_run(&run_id("demo-s0")).unwrap();
    let found = store.migrate(true, &|_, _| ()).unwrap();
    assert!(found.files.is_empty() && found.left.len() == 1, "{found:?}");
}
