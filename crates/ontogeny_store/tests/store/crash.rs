//! Every state in which a crash can leave a run is put in order by the next writer, and read meanwhile.

use crate::support::{append, flip, manifest, run_id, scratch, steps};
use ontogeny_core::{Clocks, Step};
use ontogeny_store::{RunWriter, Store, StoreError};
use std::fs;
use std::path::{Path, PathBuf};

/// What a test does to the folder of the metrics, given the log before the seal and after it.
type Disturb = fn(&Path, &[u8], &[u8]);

/// Seals rows 0..10, disturbs, and expects all rows once: read, resumed, gone on with, sealed again.
#[track_caller]
fn check_seal(disturb: Disturb) {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    append(&mut w, 0..5);
    w.seal().unwrap();
    append(&mut w, 5..10);
    w.sync().unwrap();
    let metrics = w.path().join("metrics");
    let before = fs::read(metrics.join("live.log")).unwrap();
    w.seal().unwrap();
    drop(w);
    let after = fs::read(metrics.join("live.log")).unwrap();
    disturb(&metrics, &before, &after);

    let all: Vec<u64> = (0..10).collect();
    assert_eq!(steps(&store, "r"), all);
    let mut w = store.resume_run(&run_id("r")).unwrap();
    assert_eq!(steps(&store, "r"), all);
    append(&mut w, 10..13);
    w.seal().unwrap();
    w.seal().unwrap();
    drop(w);
    assert_eq!(steps(&store, "r"), (0..13).collect::<Vec<_>>());
    assert!(!names(&metrics).iter().any(|n| n.starts_with(".tmp")), "{:?}", names(&metrics));
    assert!(store.verify().unwrap().is_whole());
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn second(dir: &Path) -> [PathBuf; 2] {
    [dir.join("seg-000002.parquet"), dir.join("seg-000002.b3")]
}

#[test]
fn a_seal_that_was_not_interrupted() {
    check_seal(|_, _, _| {});
}

#[test]
fn a_seal_interrupted_before_its_segment_was_whole() {
    check_seal(|dir, before, _| {
        for path in second(dir) {
            fs::remove_file(path).unwrap();
        }
        fs::write(dir.join("live.log"), before).unwrap();
        fs::write(dir.join(".tmp-77-1"), b"half a segment").unwrap();
    });
}

#[test]
fn a_seal_interrupted_between_checksum_and_segment() {
    check_seal(|dir, before, _| {
        fs::remove_file(&second(dir)[0]).unwrap();
        fs::write(dir.join("live.log"), before).unwrap();
    });
}

#[test]
fn a_seal_interrupted_between_segment_and_new_log() {
    check_seal(|dir, before, _| fs::write(dir.join("live.log"), before).unwrap());
}

#[test]
fn a_seal_interrupted_while_the_new_log_was_written() {
    check_seal(|dir, before, after| {
        fs::write(dir.join("live.log"), before).unwrap();
        fs::write(dir.join(".tmp-77-2"), &after[..after.len() / 2]).unwrap();
    });
}

#[test]
fn a_log_cut_anywhere_keeps_what_was_acknowledged_before_the_cut() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let log = w.path().join("metrics/live.log");
    let header = fs::metadata(&log).unwrap().len();
    let mut acked = Vec::new(); // (length of the log, rows)
    for t in 0..6 {
        append(&mut w, t..t + 1);
        w.sync().unwrap();
        acked.push((fs::metadata(&log).unwrap().len(), t + 1));
    }
    drop(w);
    let whole = fs::read(&log).unwrap();
    for cut in header..=whole.len() as u64 {
        fs::write(&log, &whole[..cut as usize]).unwrap();
        let rows = acked.iter().filter(|a| a.0 <= cut).map(|a| a.1).max().unwrap_or(0);
        let found = steps(&store, "r");
        // Each sync ends with an empty frame, so a row may be there slightly before its sync is complete.
        assert!((rows..=rows + 1).contains(&(found.len() as u64)), "cut {cut}: {found:?}");
        let torn = store.run(&run_id("r")).unwrap().torn_tails().unwrap();
        let w = store.resume_run(&run_id("r")).unwrap();
        assert_eq!(w.torn_tails(), torn);
        drop(w);
        assert_eq!(steps(&store, "r"), found);
        assert!(store.run(&run_id("r")).unwrap().torn_tails().unwrap().is_empty());
    }
}

#[test]
fn a_reader_beside_a_writer_sees_a_prefix() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let other = Store::open(store.path()).unwrap();
    std::thread::scope(|s| {
        let reader = s.spawn(move || {
            let mut most = 0;
            while most < 2000 {
                let seen = steps(&other, "r");
                assert!(seen.iter().enumerate().all(|(i, &t)| i as u64 == t), "a gap in {seen:?}");
                assert!(seen.len() >= most, "went back from {most} to {}", seen.len());
                most = seen.len();
            }
        });
        for t in 0..200 {
            append(&mut w, t * 10..t * 10 + 10);
            w.flush().unwrap();
            if t % 7 == 0 {
                w.seal().unwrap();
            }
        }
        reader.join().unwrap();
    });
}

#[test]
fn what_is_cut_in_sealed_segments_stays_cut() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    append(&mut w, 0..10);
    w.seal().unwrap();
    append(&mut w, 10..20);
    w.truncate_after(Step(14)).unwrap();
    assert_eq!(steps(&store, "r"), (0..15).collect::<Vec<_>>());
    w.truncate_after(Step(4)).unwrap();
    assert_eq!(steps(&store, "r"), (0..5).collect::<Vec<_>>());
    drop(w);
    let mut w = store.resume_run(&run_id("r")).unwrap();
    assert_eq!(steps(&store, "r"), (0..5).collect::<Vec<_>>());
    append(&mut w, 5..7);
    w.seal().unwrap();
    append(&mut w, 7..8);
    w.sync().unwrap();
    assert_eq!(steps(&store, "r"), (0..8).collect::<Vec<_>>());
}

#[test]
fn a_cut_takes_checkpoints_along() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    for t in [0, 10, 20] {
        w.checkpoint(Step(t), &[], serde_json::Value::Null).unwrap();
    }
    w.truncate_after(Step(10)).unwrap();
    assert_eq!(w.checkpoints().unwrap(), [Step(0), Step(10)]);
}

#[test]
fn rows_kept_by_a_cut_are_acknowledged() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    append(&mut w, 0..10);
    w.truncate_after(Step(7)).unwrap();
    let log = w.path().join("metrics/live.log");
    drop(w);
    flip(&log, 200);
    let e = store.resume_run(&run_id("r")).unwrap_err();
    assert!(matches!(e, StoreError::Damaged { .. }), "{e}");
}

#[test]
fn a_long_run_is_sealed_by_itself_and_first_of_all_at_checkpoints() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let segments = |w: &RunWriter| {
        names(&w.path().join("metrics")).iter().filter(|n| n.ends_with(".parquet")).count()
    };
    let readings: Vec<String> = (0..1024).map(|i| format!("head{i}")).collect();
    let append = |w: &mut RunWriter, steps: std::ops::Range<u64>| {
        for t in steps {
            let rows: Vec<_> = readings.iter().map(|n| (n.as_str(), "1", t as f64)).collect();
            w.append(Step(t), Clocks::default(), &rows).unwrap();
        }
    };
    append(&mut w, 0..300);
    assert_eq!(segments(&w), 0);
    w.checkpoint(Step(299), &[], serde_json::Value::Null).unwrap();
    assert_eq!(segments(&w), 1);
    append(&mut w, 300..1400);
    assert_eq!(segments(&w), 2);
    w.sync().unwrap();
    let run = store.run(&run_id("r")).unwrap();
    let all = run.all_series().unwrap();
    assert_eq!(all.len(), readings.len());
    for series in all.values() {
        assert!((0..1400).eq(series.points.iter().map(|p| p.step.0)));
        assert!(series.points.iter().all(|p| p.value == p.step.0 as f64));
    }
}
