//! Many writers and readers, each in a process of its own, on one store.

use crate::support::{child, drifting, manifest, run_id, scratch, told};
use ontogeny_core::{Clocks, FixedClock, LedgerBody, Step};
use ontogeny_store::Store;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const N_WRITERS: u64 = 16;
const N_READERS: u64 = 4;

/// Writes a run until its time is over, then says how much it wrote: `name seconds`.
#[test]
#[ignore = "started by writers_and_readers_do_not_disturb_each_other"]
fn one_of_many_writers() {
    let Some((store, word)) = told() else { return };
    let (name, secs) = word.split_once(' ').unwrap();
    let (began, time) = (Instant::now(), Duration::from_secs(secs.parse().unwrap()));
    let ledger = store.ledger();
    let mut w = store.create_run(&manifest(name)).unwrap();
    let (mut t, mut n_notes) = (0, 0);
    while began.elapsed() < time {
        w.append(Step(t), Clocks::default(), &[("x", "1", t as f64)]).unwrap();
        w.append_tensor(Step(t), "v", "1", &[1], &[t as f32]).unwrap();
        if t.is_multiple_of(10) {
            // All runs go through the same states, and share their chunks.
            w.checkpoint_later(Step(t), vec![drifting(t / 10)], t.into()).unwrap();
        }
        if t.is_multiple_of(16) {
            w.flush().unwrap();
        }
        if t.is_multiple_of(50) {
            w.sync().unwrap();
            let body = LedgerBody::Note { about: name.to_owned(), text: n_notes.to_string() };
            ledger.append(body, &FixedClock(0.0)).unwrap();
            n_notes += 1;
        }
        if t.is_multiple_of(170) {
            w.seal().unwrap();
        }
        t += 1;
    }
    w.sync().unwrap();
    println!("wrote {t} {n_notes}");
}

/// Reads all runs until its time is over: each is a prefix that never becomes shorter.
#[test]
#[ignore = "started by writers_and_readers_do_not_disturb_each_other"]
fn one_of_many_readers() {
    let Some((store, secs)) = told() else { return };
    let (began, time) = (Instant::now(), Duration::from_secs(secs.parse().unwrap()));
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut n_entries, mut n_looks) = (0, 0);
    while began.elapsed() < time {
        let listing = store.runs().unwrap();
        assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
        for run in listing.runs {
            let found = check_prefix(&store, run.run.as_str());
            let before = seen.insert(run.run.to_string(), found).unwrap_or_default();
            assert!(found.0 >= before.0 && found.1 >= before.1, "{before:?} became {found:?}");
            n_looks += 1;
        }
        let n = store.ledger().verify().unwrap();
        assert!(n >= n_entries);
        n_entries = n;
    }
    println!("looked {n_looks}");
}

/// Rows and checkpoints of a run that are there; none is missing before the last.
fn check_prefix(store: &Store, run: &str) -> (usize, usize) {
    let reader = store.run(&run_id(run)).unwrap();
    // Checkpoints first: the rows before them are there already.
    let checkpoints = reader.checkpoints().unwrap();
    let series = reader.series("x").unwrap().unwrap_or_default();
    for (i, p) in series.points.iter().enumerate() {
        assert_eq!((p.step.0, p.value), (i as u64, i as f64), "{run}");
    }
    for (i, step) in checkpoints.iter().enumerate() {
        assert_eq!(step.0, 10 * i as u64, "{run}");
        assert!(series.points.len() as u64 > step.0, "{run} at {step}");
    }
    if let Some(&last) = checkpoints.last() {
        let found = reader.checkpoint(last).unwrap();
        assert_eq!(found.tensors, [drifting(last.0 / 10)], "{run} at {last}");
    }
    (series.points.len(), checkpoints.len())
}

fn all_at_once(secs: u64) -> String {
    let (_dir, store) = scratch();
    let name = |i| format!("run{i}");
    let writers: Vec<_> = (0..N_WRITERS)
        .map(|i| child("together::one_of_many_writers", &store, &format!("{} {secs}", name(i))))
        .collect();
    let readers: Vec<_> = (0..N_READERS)
        .map(|_| child("together::one_of_many_readers", &store, &secs.to_string()))
        .collect();
    let said = |child: std::process::Child| -> Vec<u64> {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let line =
            text.lines().find_map(|l| Some(l.split_once("wrote ").or(l.split_once("looked "))?.1));
        line.unwrap().split(' ').map(|n| n.parse().unwrap()).collect()
    };
    let (mut n_notes, mut n_rows) = (0, 0);
    for (i, writer) in writers.into_iter().enumerate() {
        let wrote = said(writer);
        let (rows, checkpoints) = check_prefix(&store, &name(i as u64));
        assert_eq!((rows as u64, checkpoints as u64), (wrote[0], wrote[0].div_ceil(10)));
        n_rows += wrote[0];
        n_notes += wrote[1];
    }
    let n_looks: u64 = readers.into_iter().map(|r| said(r)[0]).sum();
    assert!(n_looks > 0, "the readers have seen nothing");
    let found = store.verify().unwrap();
    assert!(found.is_whole(), "{:?}", found.problems);
    assert!(found.torn_tails.is_empty());
    assert_eq!((found.n_runs as u64, found.n_ledger_entries), (N_WRITERS, n_notes));
    assert_eq!(store.collect_garbage(&[], false).unwrap().n_objects, 0);
    format!("{n_rows} rows, {n_notes} entries, {n_looks} looks at a run")
}

#[test]
fn writers_and_readers_do_not_disturb_each_other() {
    println!("{}", all_at_once(4));
}

#[test]
#[ignore = "slow: a minute"]
fn slow_writers_and_readers_do_not_disturb_each_other() {
    println!("{}", all_at_once(60));
}
