//! Merging segments changes nothing of what is read.

use crate::support::{append, manifest, run_id, scratch, steps};
use ontogeny_core::Step;
use std::fs;
use std::path::Path;

/// Names of the Parquet files of a run's rows, sorted.
fn segments(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("metrics")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|n| n.ends_with(".parquet")).collect();
    names.sort();
    names
}

#[test]
fn eight_segments_of_a_size_become_one() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    for t in 0..64 {
        append(&mut w, 10 * t..10 * t + 10);
        w.seal().unwrap();
    }
    drop(w);
    let left = segments(&store.path().join("runs/r"));
    assert!(left.len() <= 14, "{left:?}");
    assert_eq!(steps(&store, "r"), (0..640).collect::<Vec<_>>());
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_reader_goes_on_with_what_it_saw_before_segments_were_merged() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    for t in 0..5 {
        append(&mut w, 10 * t..10 * t + 10);
        w.seal().unwrap();
    }
    append(&mut w, 50..55);
    w.flush().unwrap();
    let before = store.run(&run_id("r")).unwrap();
    assert_eq!(before.series_names().unwrap(), ["loss"]);
    for t in 5..8 {
        append(&mut w, 10 * t + 5..10 * t + 15);
        w.seal().unwrap();
    }
    drop(w);
    assert_eq!(segments(&store.path().join("runs/r")), ["seg-000001-000008.parquet"]);
    let found: Vec<u64> =
        before.series("loss").unwrap().unwrap().points.iter().map(|p| p.step.0).collect();
    assert_eq!(found, (0..55).collect::<Vec<_>>());
    let readings = before.readings("loss").unwrap();
    assert_eq!(readings[20].segment, Some(3));
    assert_eq!((readings[54].segment, readings.len()), (None, 55));
    let bins = before.overview("loss", Step(0)..=Step(u64::MAX), 3).unwrap().unwrap().bins;
    assert_eq!(bins.iter().map(|b| b.n).sum::<u64>(), 55);
    assert_eq!(before.recorded().unwrap()["loss"].points.len(), 55);
}

/// Eight segments that were merged, disturbed as a crash leaves them; expects all rows once.
#[track_caller]
fn check_crash(disturb: impl Fn(&Path, &Path)) {
    let before = tempfile::tempdir().unwrap();
    let keep = |metrics: &Path, number: u32| {
        for ending in ["parquet", "idx", "b3"] {
            let name = format!("seg-{number:06}.{ending}");
            fs::copy(metrics.join(&name), before.path().join(&name)).unwrap();
        }
    };
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let metrics = w.path().join("metrics");
    for t in 0..7 {
        append(&mut w, 10 * t..10 * t + 10);
        w.seal().unwrap();
    }
    (1..=7).for_each(|number| keep(&metrics, number));
    // The eighth starts the merging, which another thread may end before it can be copied. It is the eighth of another run,
    // too, whose first seven hold as many rows and are not alike in size.
    let (_other_dir, other) = scratch();
    let mut o = other.create_run(&manifest("r")).unwrap();
    for rows in [0..64, 64..65, 65..66, 66..67, 67..68, 68..69, 69..70, 70..80] {
        append(&mut o, rows);
        o.seal().unwrap();
    }
    keep(&o.path().join("metrics"), 8);
    drop(o);
    append(&mut w, 70..80);
    w.seal().unwrap();
    drop(w);
    disturb(&metrics, before.path());
    let all: Vec<u64> = (0..80).collect();
    assert_eq!(steps(&store, "r"), all);
    assert!(store.verify().unwrap().is_whole());
    let mut w = store.resume_run(&run_id("r")).unwrap();
    append(&mut w, 80..85);
    w.seal().unwrap();
    drop(w);
    assert_eq!(steps(&store, "r"), (0..85).collect::<Vec<_>>());
    let left = fs::read_dir(&metrics).unwrap().count();
    assert!(left <= 3 * 9 + 1, "{left} files");
    assert!(store.verify().unwrap().is_whole());
}

fn bring_back(metrics: &Path, before: &Path, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        for ending in ["parquet", "idx", "b3"] {
            let name = format!("seg-{number:06}.{ending}");
            fs::copy(before.join(&name), metrics.join(&name)).unwrap();
        }
    }
}

#[test]
fn a_merge_that_was_not_interrupted() {
    check_crash(|_, _| ());
}

#[test]
fn a_merge_interrupted_before_the_old_segments_went() {
    check_crash(|metrics, before| bring_back(metrics, before, 1..=8));
}

#[test]
fn a_merge_interrupted_while_the_old_segments_went() {
    check_crash(|metrics, before| {
        bring_back(metrics, before, 5..=8);
        fs::remove_file(metrics.join("seg-000005.parquet")).unwrap();
        fs::remove_file(metrics.join("seg-000006.idx")).unwrap();
    });
}

#[test]
fn a_merge_interrupted_before_the_new_segment_had_its_name() {
    check_crash(|metrics, before| {
        bring_back(metrics, before, 1..=8);
        let new = metrics.join("seg-000001-000008.parquet");
        fs::rename(&new, metrics.join(".tmp-77-1")).unwrap();
    });
}
