//! Garbage is collected, and nothing else, whatever others do meanwhile.

use crate::support::{child, drifting, flip, manifest, object_names, run_id, scratch, told};
use crate::zooms::described;
use ontogeny_core::{Clocks, Step, ZoomId};
use ontogeny_store::{RunWriter, Store, ZoomWriter};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

fn save(w: &mut RunWriter, step: u64) {
    w.checkpoint(Step(step), &[drifting(step).view()], step.into()).unwrap();
}

#[track_caller]
fn check_states(store: &Store, run: &str, steps: &[u64]) {
    let reader = store.run(&run_id(run)).unwrap();
    assert_eq!(reader.checkpoints().unwrap().iter().map(|s| s.0).collect::<Vec<_>>(), steps);
    for &t in steps {
        assert_eq!(reader.checkpoint(Step(t)).unwrap().tensors, [drifting(t)], "{run} at {t}");
    }
}

#[test]
fn what_no_checkpoint_needs_is_found_and_removed_only_if_asked() {
    let (_dir, store) = scratch();
    assert_eq!(store.collect_garbage(&[], true).unwrap().n_objects, 0);
    let mut w = store.create_run(&manifest("r")).unwrap();
    (0..10).for_each(|t| save(&mut w, t));
    assert_eq!(object_names(&store).len(), 10);
    w.truncate_after(Step(3)).unwrap();
    let found = store.collect_garbage(&[], false).unwrap();
    assert_eq!((found.n_needed, found.n_objects, found.is_removed), (4, 6, false));
    assert_eq!(object_names(&store).len(), 10);
    let usage = store.usage().unwrap();
    assert_eq!(usage.garbage, found.object_bytes);
    assert_eq!(usage.runs[0].objects_alone, usage.objects);
    let found = store.collect_garbage(&[], true).unwrap();
    assert_eq!((found.n_objects, found.is_removed), (6, true));
    assert_eq!(object_names(&store).len(), 4);
    check_states(&store, "r", &[0, 1, 2, 3]);
    // The writer, which has written what is gone, writes it again.
    (4..10).for_each(|t| save(&mut w, t));
    check_states(&store, "r", &(0..10).collect::<Vec<_>>());
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn what_a_needed_object_is_stored_against_stays() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    (0..6).for_each(|t| save(&mut w, t));
    drop(w);
    for t in 0..5 {
        fs::remove_file(store.path().join(format!("runs/r/checkpoints/{t}.json"))).unwrap();
    }
    let found = store.collect_garbage(&[], true).unwrap();
    assert!(found.is_removed && found.n_needed > 1, "{found:?}");
    check_states(&store, "r", &[5]);
}

#[test]
fn unfinished_objects_of_the_dead_go() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    save(&mut w, 0);
    let kept = object_names(&store).remove(0);
    let left = store.path().join("objects").join(&kept[..2]).join(".tmp-1-1");
    fs::write(&left, b"half").unwrap();
    let foreign = store.path().join("objects").join(&kept[..2]).join("README");
    fs::write(&foreign, b"not ours").unwrap();
    let found = store.collect_garbage(&[], true).unwrap();
    assert_eq!((found.n_unfinished, found.unfinished_bytes, found.n_objects), (1, 4, 0));
    assert!(!left.exists() && foreign.exists());
}

#[test]
fn what_cannot_be_read_stops_the_collection_unless_its_run_is_ignored() {
    let (_dir, store) = scratch();
    for run in ["a", "b"] {
        let mut w = store.create_run(&manifest(run)).unwrap();
        let from = if run == "a" { 0 } else { 100 };
        (from..from + 4).for_each(|t| save(&mut w, t));
        w.truncate_after(Step(from + 2)).unwrap();
    }
    let list = store.path().join("runs/a/checkpoints/1.json");
    flip(&list, 40);
    for remove in [false, true] {
        let found = store.collect_garbage(&[run_id("b")], remove).unwrap();
        assert!(!found.is_removed);
        assert_eq!(found.obstacles.len(), 1);
        assert_eq!(found.obstacles[0].owner, "a");
        assert_eq!(found.obstacles[0].error.path(), Some(list.as_path()));
    }
    assert_eq!(object_names(&store).len(), 8);
    // Set aside it still stands in the way: it may be mended by hand.
    store.repair(true).unwrap();
    assert!(!list.exists());
    assert!(store.run(&run_id("a")).unwrap().checkpoint(Step(2)).is_ok());
    assert!(!store.collect_garbage(&[], true).unwrap().is_removed);
    let found = store.collect_garbage(&[run_id("a")], true).unwrap();
    assert_eq!((found.is_removed, found.ignored.len()), (true, 1));
    check_states(&store, "a", &[0, 2]);
    check_states(&store, "b", &[100, 101, 102]);
}

#[test]
fn a_needed_object_that_cannot_be_read_stops_the_collection() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    (0..3).for_each(|t| save(&mut w, t));
    let all = object_names(&store);
    w.truncate_after(Step(1)).unwrap();
    for name in all {
        let path = store.path().join("objects").join(&name[..2]).join(&name);
        let is_needed = {
            let aside = path.with_extension("aside");
            fs::rename(&path, &aside).unwrap();
            let found = store.collect_garbage(&[], true).unwrap();
            fs::rename(&aside, &path).unwrap();
            !found.obstacles.is_empty()
        };
        if is_needed {
            return;
        }
    }
    panic!("no object was needed");
}

/// What somebody does to a store of two runs.
#[derive(Debug, Clone)]
enum Op {
    Save { run: usize },
    SaveLater { run: usize },
    Truncate { run: usize, back: u64 },
    Reopen { run: usize },
    Zoom,
    ZoomSave,
    Publish,
    RemoveZoom,
    Collect,
}

fn op() -> impl Strategy<Value = Op> {
    let run = || 0..2_usize;
    prop_oneof![
        3 => run().prop_map(|run| Op::Save { run }),
        3 => run().prop_map(|run| Op::SaveLater { run }),
        2 => (run(), 1..4_u64).prop_map(|(run, back)| Op::Truncate { run, back }),
        1 => run().prop_map(|run| Op::Reopen { run }),
        1 => Just(Op::Zoom),
        2 => Just(Op::ZoomSave),
        1 => Just(Op::Publish),
        1 => Just(Op::RemoveZoom),
        4 => Just(Op::Collect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_things_makes_a_collection_take_what_is_needed(
        ops in proptest::collection::vec(op(), 1..30),
    ) {
        let (_dir, store) = scratch();
        // Both runs go through the same states, as a run and its fork do.
        let names = ["r", "fork"];
        let mut writers: Vec<Option<RunWriter>> =
            names.iter().map(|n| Some(store.create_run(&manifest(n)).unwrap())).collect();
        let mut saved: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
        let mut draft: Option<(ZoomWriter, Vec<u64>)> = None;
        let mut zooms: BTreeMap<ZoomId, Vec<u64>> = BTreeMap::new();
        let mut n_zooms = 0;
        for op in ops {
            match op {
                Op::Save { run } | Op::SaveLater { run } => {
                    let t = saved[run].last().map_or(0, |t| t + 1);
                    let w = writers[run].as_mut().unwrap();
                    if matches!(op, Op::Save { .. }) {
                        save(w, t);
                    } else {
                        w.checkpoint_later(Step(t), vec![drifting(t)], t.into()).unwrap();
                    }
                    saved[run].push(t);
                }
                Op::Truncate { run, back } => {
                    let last = saved[run].last().map_or(0, |t| t.saturating_sub(back));
                    writers[run].as_mut().unwrap().truncate_after(Step(last)).unwrap();
                    saved[run].retain(|&t| t <= last);
                }
                Op::Reopen { run } => {
                    writers[run] = None;
                    writers[run] = Some(store.resume_run(&run_id(names[run])).unwrap());
                }
                Op::Zoom => draft = Some((store.begin_zoom(&run_id("r")).unwrap(), Vec::new())),
                Op::ZoomSave => if let Some((zoom, steps)) = &mut draft {
                    let t = steps.last().map_or(1000, |t| t + 1);
                    zoom.checkpoint(Step(t), &[drifting(t).view()], t.into()).unwrap();
                    steps.push(t);
                },
                Op::Publish => if let Some((mut zoom, steps)) = draft.take() {
                    n_zooms += 1;
                    let id = format!("z{n_zooms}");
                    zoom.append(Step(0), Clocks::default(), &[("x", "1", 0.0)]).unwrap();
                    prop_assert!(zoom.publish(&described(&id, f64::from(n_zooms))).unwrap());
                    zooms.insert(ZoomId::new(id).unwrap(), steps);
                },
                Op::RemoveZoom => if let Some((id, _)) = zooms.pop_first() {
                    store.remove_zoom(&run_id("r"), &id).unwrap();
                },
                Op::Collect => {
                    let found = store.collect_garbage(&[], true).unwrap();
                    prop_assert!(found.is_removed && found.obstacles.is_empty());
                }
            }
        }
        // What an unfinished zoom has kept is there when it appears.
        if let Some((zoom, steps)) = draft.take() {
            store.collect_garbage(&[], true).unwrap();
            prop_assert!(zoom.publish(&described("last", 99.0)).unwrap());
            zooms.insert(ZoomId::new("last").unwrap(), steps);
        }
        drop(writers);
        store.collect_garbage(&[], true).unwrap();
        prop_assert_eq!(store.collect_garbage(&[], false).unwrap().n_objects, 0);
        prop_assert!(store.verify().unwrap().is_whole());
        for (name, steps) in names.iter().zip(&saved) {
            check_states(&store, name, steps);
        }
        let reader = store.run(&run_id("r")).unwrap();
        for t in zooms.values().flatten() {
            prop_assert_eq!(&reader.checkpoint(Step(*t)).unwrap().tensors, &[drifting(*t)]);
        }
    }
}

/// A writer that goes forth and back, so that garbage arises and is needed again.
#[test]
#[ignore = "started by a_collection_beside_writers_takes_nothing_of_theirs"]
fn writer_beside_a_collection() {
    let Some((store, name)) = told() else { return };
    let began = Instant::now();
    let mut w = store.create_run(&manifest(&name)).unwrap();
    let mut t = 0;
    for round in 0_u64.. {
        for _ in 0..6 {
            w.checkpoint_later(Step(t), vec![drifting(t)], t.into()).unwrap();
            t += 1;
        }
        if round.is_multiple_of(3) {
            w.sync().unwrap();
        }
        if began.elapsed() > Duration::from_secs(2) {
            break;
        }
        let back = t.saturating_sub(5 + round % 4);
        w.truncate_after(Step(back)).unwrap();
        t = back + 1;
        if round.is_multiple_of(7) {
            drop(w);
            w = store.resume_run(&run_id(&name)).unwrap();
        }
    }
    w.sync().unwrap();
    println!("end {t}");
}

#[test]
fn a_collection_beside_writers_takes_nothing_of_theirs() {
    let (_dir, store) = scratch();
    let mut children: Vec<_> = (["a", "b", "c"].iter())
        .map(|name| child("collecting::writer_beside_a_collection", &store, name))
        .collect();
    let (mut n, mut n_removed) = (0, 0);
    while children.iter_mut().any(|c| c.try_wait().unwrap().is_none()) {
        let found = store.collect_garbage(&[], true).unwrap();
        assert!(found.obstacles.is_empty(), "{:?}", found.obstacles);
        n += 1;
        n_removed += found.n_objects;
    }
    for mut c in children {
        assert!(c.wait().unwrap().success());
    }
    assert!(n_removed > 0, "nothing was collected in {n} rounds");
    for name in ["a", "b", "c"] {
        let reader = store.run(&run_id(name)).unwrap();
        let steps = reader.checkpoints().unwrap();
        assert!(!steps.is_empty());
        for step in steps {
            assert_eq!(reader.checkpoint(step).unwrap().tensors, [drifting(step.0)]);
        }
    }
    assert!(store.verify().unwrap().is_whole());
    println!("{n} collections took {n_removed} objects");
}
