//! The law of merging: nothing that is read changes by it.

use super::*;
use crate::{RunReader, RunWriter, Store};
use ontogeny_core::{Clocks, RunManifest, RunStatus, Seeds, Versions};
use proptest::prelude::*;
use std::fs;

const NAMES: [&str; 3] = ["a", "b.c", "ä"];

/// Everything that a reader tells of the rows, to the bit.
fn told(reader: &RunReader, with_overviews: bool) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{:?}", reader.series_names().unwrap());
    for name in NAMES {
        for r in reader.readings(name).unwrap() {
            let value = r.point.value.to_bits();
            let place = (r.segment, r.row, r.session, r.is_late, r.counts);
            write!(text, "{} {value:x} {place:?};", r.point.step).unwrap();
        }
        let series = reader.series(name).unwrap().map(|s| s.points).unwrap_or_default();
        for p in series {
            write!(text, "{} {:x};", p.step, p.value.to_bits()).unwrap();
        }
        // Their level depends on how far a series may reach, which is known more exactly without an index.
        for max_bins in [1, 7, 500].into_iter().filter(|_| with_overviews) {
            let overview = reader.overview(name, Step(0)..=Step(u64::MAX), max_bins).unwrap();
            for bin in overview.into_iter().flat_map(|o| o.bins) {
                write!(text, "{} {:?} {:?} {:?}", bin.n, bin.first, bin.min, bin.max).unwrap();
            }
        }
    }
    for s in reader.summaries().unwrap() {
        write!(text, "{} {} {} {:?}", s.name, s.unit, s.all.n, s.all.last).unwrap();
    }
    text
}

fn clocks(reader: &RunReader) -> String {
    format!("{:?} {:?}", reader.recorded_clocks().unwrap(), reader.recorded().unwrap())
}

#[derive(Debug, Clone)]
enum Op {
    Stretch { name: usize, from: u64, n: u64, back: bool },
    Seal,
    Reopen,
    Cut { step: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let stretch = (0..NAMES.len(), 0..300_u64, 1..60_u64, any::<bool>());
    prop_oneof![
        6 => stretch.prop_map(|(name, from, n, back)| Op::Stretch { name, from, n, back }),
        8 => Just(Op::Seal),
        1 => Just(Op::Reopen),
        1 => (0..350_u64).prop_map(|step| Op::Cut { step }),
    ]
}

fn run_id() -> RunId {
    RunId::new("r").unwrap()
}

fn manifest() -> RunManifest {
    RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: run_id(),
        study: None,
        role: "fit".to_owned(),
        cell: String::new(),
        config: serde_json::Value::Null,
        seeds: Seeds::all(0),
        fork: None,
        rules: Vec::new(),
        versions: Versions { ontogeny: String::new(), engine: String::new() },
        created_unix_secs: 0.0,
        step: Step(0),
        clocks: Clocks::default(),
        status: RunStatus::Open,
        unread: std::collections::BTreeMap::new(),
    }
}

fn value(step: u64, i: u64) -> f64 {
    match (step ^ i) % 11 {
        0 => f64::from_bits(0x7ff8_0000_0000_0000 | step),
        1 => -0.0,
        2 => f64::INFINITY,
        n => (step * 31 + i) as f64 / n as f64,
    }
}

/// Carries operations out; without merging if so wanted.
fn record(store: &Store, ops: &[Op], merges: bool, mut after_seal: impl FnMut(&RunWriter)) {
    let set = |mut w: RunWriter| {
        w.merger.is_off = !merges;
        w
    };
    let mut w = set(store.create_run(&manifest()).unwrap());
    for (salt, op) in (0_u64..).zip(ops) {
        match *op {
            Op::Stretch { name, from, n, back } => {
                for i in 0..n {
                    let step = from + if back { n - 1 - i } else { i };
                    let clocks =
                        Clocks { n_examples: salt, wall_secs: i as f64, ..Clocks::default() };
                    w.append(Step(step), clocks, &[(NAMES[name], "1", value(step, salt))]).unwrap();
                }
            }
            Op::Seal => {
                w.seal().unwrap();
                after_seal(&w);
            }
            Op::Reopen => {
                drop(w);
                w = set(store.resume_run(&run_id()).unwrap());
            }
            Op::Cut { step } => w.truncate_after(Step(step)).unwrap(),
        }
    }
    w.flush().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merged_segments_give_the_same_readings(ops in proptest::collection::vec(op(), 20..90)) {
        let dir = tempfile::tempdir().unwrap();
        let merged = Store::open_or_create(&dir.path().join("merged")).unwrap();
        // Readers from before a merge go on with what they saw then.
        let mut readers: Vec<(RunReader, String)> = Vec::new();
        let mut n = 0_u64;
        record(&merged, &ops, true, |_| {
            n += 1;
            if n.is_multiple_of(4) {
                let fresh = merged.run(&run_id()).unwrap();
                let told = told(&merged.run(&run_id()).unwrap(), false);
                if n.is_multiple_of(8) {
                    fresh.series_names().unwrap();
                } else {
                    fresh.series("a").unwrap();
                }
                readers.push((fresh, told));
            }
        });
        for (reader, expected) in &readers {
            prop_assert_eq!(&told(reader, false), expected);
        }
        let apart = Store::open_or_create(&dir.path().join("apart")).unwrap();
        record(&apart, &ops, false, |_| ());
        let (a, b) = (merged.run(&run_id()).unwrap(), apart.run(&run_id()).unwrap());
        prop_assert_eq!(told(&a, true), told(&b, true));
        prop_assert_eq!(clocks(&a), clocks(&b));
        prop_assert!(merged.verify().unwrap().is_whole());
        // Indices can be made anew, and what has none is read whole.
        let indices = files(&a.path().join("metrics"), "idx");
        for path in &indices {
            fs::remove_file(path).unwrap();
        }
        let whole = merged.run(&run_id()).unwrap();
        prop_assert_eq!(told(&whole, false), told(&b, false));
        prop_assert_eq!(merged.verify().unwrap().problems.len(), indices.len());
        merged.repair(true).unwrap();
        prop_assert!(merged.verify().unwrap().is_whole());
        prop_assert_eq!(told(&merged.run(&run_id()).unwrap(), true), told(&b, true));
    }
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    paths.filter(|p| p.extension().is_some_and(|e| e == ending)).collect()
}
