//! A series read alone, from afar or with its history, is that of the whole, whatever was sealed, cut and repeated.

use crate::support::{flip_bit, manifest, run_id, scratch};
use ontogeny_core::{Clocks, Point, Step};
use ontogeny_store::{Bin, RunReader, Store};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NAMES: [&str; 3] = ["a", "b.c", "ä"];
const VALUES: [f64; 8] = [0.0, -0.0, 1.0, 2.0, -3.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

#[derive(Debug, Clone)]
enum Op {
    /// Readings of a name at so many steps from `from` on, `stride` apart, in either direction.
    Stretch {
        name: usize,
        from: u64,
        n: u64,
        stride: u64,
        back: bool,
        salt: u64,
    },
    Seal,
    /// So many small segments, enough to be merged.
    Seals {
        n: u64,
        from: u64,
    },
    Reopen,
    Cut {
        step: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let from = prop_oneof![4 => 0..3000_u64, 1 => any::<u64>().prop_map(|s| s >> 8)];
    let stretch = (0..NAMES.len(), from, 1..700_u64, 1..6_u64, any::<bool>(), any::<u64>());
    prop_oneof![
        6 => stretch.prop_map(|(name, from, n, stride, back, salt)| Op::Stretch { name, from, n, stride, back, salt }),
        3 => Just(Op::Seal),
        2 => (1..20_u64, 0..4000_u64).prop_map(|(n, from)| Op::Seals { n, from }),
        1 => Just(Op::Reopen),
        1 => (0..4000_u64).prop_map(|step| Op::Cut { step }),
    ]
}

fn value(step: u64, salt: u64) -> f64 {
    let mixed = (step ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    // Mostly numbers of which sums are exact, so that bins can be compared to the bit.
    if mixed.is_multiple_of(5) {
        VALUES[(mixed / 5 % 8) as usize]
    } else {
        (mixed % 100) as f64 - 50.0
    }
}

/// What a bin should be, found without bins.
fn expected(points: &[Point]) -> String {
    let real = || points.iter().filter(|p| !p.value.is_nan());
    let extreme = |is_better: fn(f64, f64) -> bool| {
        let mut found: Option<Point> = None;
        for p in real() {
            if found.is_none_or(|f| is_better(p.value, f.value)) {
                found = Some(*p);
            }
        }
        found
    };
    let finite: Vec<f64> = points.iter().map(|p| p.value).filter(|v| v.is_finite()).collect();
    let (n, n_nan) = (points.len() as u64, (points.len() - real().count()) as u64);
    let (min, max) = (extreme(|a, b| a < b), extreme(|a, b| a > b));
    let sum = finite.iter().fold(0.0, |a, b| a + b);
    shown(n, n_nan, &[Some(points[0]), points.last().copied(), min, max], sum, finite.len() as u64)
}

/// To the bit: NaN is equal to itself, and -0 is not 0. Of sums the sign of zero depends on the order.
fn shown(n: u64, n_nan: u64, points: &[Option<Point>; 4], sum: f64, n_finite: u64) -> String {
    let bits = points.map(|p| p.map(|p| (p.step.0, p.value.to_bits())));
    format!("{n} {n_nan} {bits:?} {} {n_finite}", sum + 0.0)
}

fn of_bin(b: &Bin) -> String {
    shown(b.n, b.n_nan, &[Some(b.first), Some(b.last), b.min, b.max], b.sum, b.n_finite)
}

#[track_caller]
fn check_overview(
    reader: &RunReader,
    name: &str,
    all: &[Point],
    from: u64,
    to: u64,
    max_bins: u64,
) {
    let found = reader.overview(name, Step(from)..=Step(to), max_bins).unwrap();
    let Some(found) = found else { return assert!(all.is_empty(), "{name} was not found") };
    assert!(found.bins.len() as u64 <= max_bins, "{} bins", found.bins.len());
    let place = |step: u64| step.checked_shr(found.level).unwrap_or(0);
    let touched = all.iter().filter(|p| (place(from)..=place(to)).contains(&place(p.step.0)));
    let touched: Vec<Point> = touched.copied().collect();
    let bins = touched.chunk_by(|a, b| place(a.step.0) == place(b.step.0));
    let bins: Vec<String> = bins.map(expected).collect();
    // Between the first and the last reading there may be none at the asked steps.
    let inside = all.iter().any(|p| (from..=to).contains(&p.step.0));
    if inside || !found.bins.is_empty() {
        assert_eq!(found.bins.iter().map(of_bin).collect::<Vec<_>>(), bins, "{name} {from} {to}");
    }
}

fn check_all(store: &Store, expected_rows: &[BTreeMap<u64, f64>; 3]) {
    let reader = store.run(&run_id("r")).unwrap();
    let names: Vec<&str> = NAMES
        .into_iter()
        .zip(expected_rows)
        .filter(|(_, r)| !r.is_empty())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(reader.series_names().unwrap(), names);
    let summaries = reader.summaries().unwrap();
    assert_eq!(summaries.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), names);
    for (name, rows) in NAMES.into_iter().zip(expected_rows) {
        let all: Vec<Point> =
            rows.iter().map(|(&s, &value)| Point { step: Step(s), value }).collect();
        let bits = |points: &[Point]| -> Vec<(u64, u64)> {
            points.iter().map(|p| (p.step.0, p.value.to_bits())).collect()
        };
        let alone = reader.series(name).unwrap().map(|s| s.points).unwrap_or_default();
        assert_eq!(bits(&alone), bits(&all), "{name}");
        if let Some(s) = summaries.iter().find(|s| s.name == name) {
            assert_eq!(of_bin(&s.all), expected(&all));
        }
        for max_bins in [1, 3, 40, 1000] {
            check_overview(&reader, name, &all, 0, u64::MAX, max_bins);
            check_overview(&reader, name, &all, 500, 1700, max_bins);
        }
        let readings = reader.readings(name).unwrap();
        let mut counted: Vec<Point> =
            readings.iter().filter(|r| r.counts).map(|r| r.point).collect();
        counted.sort_by_key(|p| p.step);
        assert_eq!(bits(&counted), bits(&all), "{name}");
        let place = |r: &ontogeny_store::Reading| (r.segment.unwrap_or(u32::MAX), r.row);
        assert!(
            readings
                .windows(2)
                .all(|w| place(&w[0]) < place(&w[1]) && w[0].session <= w[1].session)
        );
    }
    let whole = store.run(&run_id("r")).unwrap();
    for (name, series) in whole.all_series().unwrap() {
        let alone = reader.series(name).unwrap().unwrap();
        assert_eq!(format!("{alone:?}"), format!("{series:?}"));
    }
}

fn indices(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("metrics")).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.extension().is_some_and(|e| e == "idx")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_series_alone_is_that_of_the_whole(ops in proptest::collection::vec(op(), 1..14)) {
        let (_dir, store) = scratch();
        let mut w = store.create_run(&manifest("r")).unwrap();
        let mut rows: [BTreeMap<u64, f64>; 3] = Default::default();
        for op in ops {
            match op {
                Op::Stretch { name, from, n, stride, back, salt } => {
                    for i in 0..n {
                        let step = from + stride * if back { n - 1 - i } else { i };
                        w.append(Step(step), Clocks::default(), &[(NAMES[name], "1", value(step, salt))]).unwrap();
                        rows[name].insert(step, value(step, salt));
                    }
                }
                Op::Seal => w.seal().unwrap(),
                Op::Seals { n, from } => {
                    for i in 0..n {
                        // Some repeat a step, and some are late.
                        let (name, step) = ((i % 3) as usize, from + 3 * (i ^ 2));
                        w.append(Step(step), Clocks { n_examples: i, ..Clocks::default() }, &[(NAMES[name], "1", value(step, i))]).unwrap();
                        rows[name].insert(step, value(step, i));
                        w.seal().unwrap();
                    }
                }
                Op::Reopen => {
                    drop(w);
                    w = store.resume_run(&run_id("r")).unwrap();
                }
                Op::Cut { step } => {
                    w.truncate_after(Step(step)).unwrap();
                    for r in &mut rows {
                        r.retain(|&s, _| s <= step);
                    }
                }
            }
        }
        w.flush().unwrap();
        check_all(&store, &rows);
        prop_assert!(store.verify().unwrap().is_whole());
        // From here on nobody merges.
        let path = w.path().to_path_buf();
        drop(w);
        check_all(&store, &rows);
        // Without its index, or with a damaged one, a segment is read whole.
        let indices = indices(&path);
        for (i, path) in indices.iter().enumerate() {
            if i % 2 == 0 {
                std::fs::remove_file(path).unwrap();
            } else {
                let n_bits = 8 * std::fs::metadata(path).unwrap().len() as usize;
                flip_bit(path, n_bits / 3);
            }
        }
        check_all(&store, &rows);
        prop_assert_eq!(store.verify().unwrap().problems.len(), indices.len());
        store.repair(true).unwrap();
        prop_assert!(store.verify().unwrap().is_whole());
        check_all(&store, &rows);
    }
}

#[test]
fn a_segment_of_many_pages_and_groups_is_read_in_parts() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let names: Vec<String> = (0..300).map(|i| format!("layer{i}.norm")).collect();
    for t in 0..600_u64 {
        let clocks = Clocks { n_examples: 8 * t, ..Clocks::default() };
        let value = |i: usize| (t as f64).sin() + i as f64;
        let rows: Vec<_> =
            names.iter().enumerate().map(|(i, n)| (n.as_str(), "1", value(i))).collect();
        w.append(Step(3 * t), clocks, &rows).unwrap();
    }
    w.seal().unwrap();
    let reader = store.run(&run_id("r")).unwrap();
    for (i, name) in names.iter().enumerate().step_by(37) {
        let points = reader.series(name).unwrap().unwrap().points;
        assert_eq!(points.len(), 600);
        assert!(
            points
                .iter()
                .zip(0..)
                .all(|(p, t)| p.step == Step(3 * t) && p.value == (t as f64).sin() + i as f64)
        );
        check_overview(&reader, name, &points, 100, 700, 10);
        check_overview(&reader, name, &points, 600, 601, 10);
    }
    assert_eq!(reader.series("layer").unwrap(), None);
    assert_eq!(reader.clocks().unwrap()[&Step(30)].n_examples, 80);
    assert_eq!(reader.summaries().unwrap().len(), 300);
}

#[test]
fn late_repeated_and_resumed_steps_are_kept_with_where_they_come_from() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let append = |w: &mut ontogeny_store::RunWriter, step, value| {
        w.append(Step(step), Clocks::default(), &[("x", "1", value), ("y", "1", 0.0)]).unwrap();
    };
    append(&mut w, 10, 1.0);
    append(&mut w, 20, 2.0);
    append(&mut w, 5, 0.5); // Late.
    w.seal().unwrap();
    append(&mut w, 30, 3.0);
    drop(w);
    let mut w = store.resume_run(&run_id("r")).unwrap();
    append(&mut w, 20, 2.5); // Again.
    w.seal().unwrap();
    append(&mut w, 40, 4.0);
    w.truncate_after(Step(20)).unwrap();
    drop(w);
    // An opening that leaves nothing is not counted.
    drop(store.resume_run(&run_id("r")).unwrap());
    let mut w = store.resume_run(&run_id("r")).unwrap();
    append(&mut w, 25, 2.75);
    w.sync().unwrap();
    let found = store.run(&run_id("r")).unwrap().readings("x").unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|r| (r.point.step.0, r.point.value, r.segment, r.row, r.session, r.is_late, r.counts))
        .collect();
    assert_eq!(
        told,
        [
            (10, 1.0, Some(1), 0, 1, false, true),
            (20, 2.0, Some(1), 2, 1, false, false),
            (5, 0.5, Some(1), 4, 1, true, true),
            (30, 3.0, Some(2), 0, 1, false, false),
            (20, 2.5, Some(2), 2, 2, true, true),
            (25, 2.75, None, 0, 3, true, true),
        ]
    );
}

#[test]
fn a_run_of_the_first_version_goes_on_in_this_one() {
    let (dir, _) = scratch();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    copy(&from, dir.path());
    let store = Store::open(dir.path()).unwrap();
    let before = store.run(&run_id("demo-s0")).unwrap();
    let series = before.series("train.loss").unwrap().unwrap();
    assert_eq!(series.points.len(), 1001);
    assert!(before.readings("train.loss").unwrap().iter().all(|r| r.session == 0 && r.counts));
    let mut w = store.resume_run(&run_id("demo-s0")).unwrap();
    w.append(Step(1001), Clocks::default(), &[("train.loss", "nats", 0.0)]).unwrap();
    w.append(Step(500), Clocks::default(), &[("train.loss", "nats", -1.0)]).unwrap();
    w.seal().unwrap();
    let after = store.run(&run_id("demo-s0")).unwrap();
    let mut points = series.points;
    points[500].value = -1.0;
    points.push(Point { step: Step(1001), value: 0.0 });
    assert_eq!(after.series("train.loss").unwrap().unwrap().points, points);
    check_overview(&after, "train.loss", &points, 0, u64::MAX, 7);
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_store_of_this_version_is_read() {
    let (dir, _) = scratch();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1-rows2"), dir.path());
    let store = Store::open(dir.path()).unwrap();
    assert!(store.verify().unwrap().is_whole());
    let reader = store.run(&run_id("demo-s0")).unwrap();
    assert_eq!(reader.series("lr").unwrap().unwrap().points.len(), 1001);
    let readings = reader.readings("train.loss").unwrap();
    let told =
        readings.iter().filter(|r| r.is_late).map(|r| (r.point.step.0, r.segment, r.session));
    assert_eq!(told.collect::<Vec<_>>(), [(450, Some(3), 2)]);
    assert_eq!(indices(reader.path()).len(), 3);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}
