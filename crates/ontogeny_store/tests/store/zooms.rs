//! Denser readings beside a run.

use crate::support::{append, manifest, message, run_id, scratch, steps};
use ontogeny_core::{Clocks, Step, Versions, ZoomId, ZoomManifest};
use ontogeny_store::{OwnedTensor, Store, StoreError, ZoomWriter};

pub(crate) fn described(id: &str, created: f64) -> ZoomManifest {
    ZoomManifest {
        format_version: ZoomManifest::FORMAT_VERSION,
        run: run_id("r"),
        id: ZoomId::new(id).unwrap(),
        from: Step(2),
        to: Step(9),
        every: 1,
        probes: vec!["loss".into()],
        began_here: vec![],
        has_checkpoints: false,
        origin: Step(0),
        n_hashes_equal: 1,
        equal_at: Step(9),
        n_readings_equal: 0,
        n_readings: 8,
        versions: Versions { ontogeny: "0.1.0".into(), engine: "test".into() },
        created_unix_secs: created,
        unread: std::collections::BTreeMap::new(),
    }
}

/// A zoom with `value` at some steps of `loss`, not yet shown.
fn begun(store: &Store, at: &[u64], value: f64) -> ZoomWriter {
    let mut zoom = store.begin_zoom(&run_id("r")).unwrap();
    let clocks = Clocks { wall_secs: f64::NAN, ..Clocks::default() };
    for &t in at {
        zoom.append(Step(t), clocks, &[("loss", "nats", value)]).unwrap();
        zoom.append_tensor(Step(t), "spectrum", "1", &[2], &[t as f32, 1.0]).unwrap();
    }
    zoom
}

fn values(store: &Store) -> Vec<(u64, f64)> {
    let series = store.run(&run_id("r")).unwrap().series("loss").unwrap().unwrap();
    series.points.iter().map(|p| (p.step.0, p.value)).collect()
}

#[test]
fn the_recorded_reading_counts_and_then_the_first_zoom() {
    let (_dir, store) = scratch();
    let mut run = store.create_run(&manifest("r")).unwrap();
    append(&mut run, 0..3);
    append(&mut run, 8..9);
    run.flush().unwrap();
    // Beside the writer of the run, whose lock is not needed. The later one is published first.
    assert!(begun(&store, &[5, 6], 60.0).publish(&described("b", 2.0)).unwrap());
    assert!(begun(&store, &[2, 5, 8], 50.0).publish(&described("a", 1.0)).unwrap());
    assert_eq!(values(&store), [(0, 0.0), (1, 1.0), (2, 2.0), (5, 50.0), (6, 60.0), (8, 8.0)]);

    let reader = store.run(&run_id("r")).unwrap();
    let from: Vec<(u64, String)> =
        (reader.zoomed("loss").unwrap().iter()).map(|(s, z)| (s.0, z.to_string())).collect();
    assert_eq!(from, [(5, "a".into()), (6, "b".into())]);
    assert_eq!(reader.recorded().unwrap()["loss"].points.len(), 4);
    assert_eq!((reader.recorded_clocks().unwrap().len(), reader.clocks().unwrap().len()), (4, 6));
    assert!(reader.clocks().unwrap()[&Step(6)].wall_secs.is_nan());
    // A name that only zooms have read.
    assert_eq!(reader.recorded_tensor_names().unwrap(), Vec::<String>::new());
    let read: Vec<u64> = reader.tensor("spectrum").unwrap().iter().map(|r| r.step.0).collect();
    assert_eq!(read, [2, 5, 6, 8]);

    // What the run records later counts too.
    append(&mut run, 9..11);
    run.seal().unwrap();
    append(&mut run, 6..7);
    run.flush().unwrap();
    assert_eq!(values(&store)[4], (6, 6.0));
    let ids = |store: &Store| -> Vec<String> {
        let zooms = store.zooms(&run_id("r")).unwrap().zooms;
        zooms.iter().map(|z| z.id.to_string()).collect()
    };
    assert_eq!(ids(&store), ["a", "b"]);
    store.remove_zoom(&run_id("r"), &ZoomId::new("a").unwrap()).unwrap();
    store.remove_zoom(&run_id("r"), &ZoomId::new("b").unwrap()).unwrap();
    assert_eq!(steps(&store, "r"), [0, 1, 2, 6, 8, 9, 10]);
    let missing = store.remove_zoom(&run_id("r"), &ZoomId::new("a").unwrap());
    assert_eq!(message(missing, &store), "find zoom a of run r: there is none of that name");
}

#[test]
fn an_unfinished_zoom_is_not_there_and_is_cleared_away() {
    let (_dir, store) = scratch();
    append(&mut store.create_run(&manifest("r")).unwrap(), 0..3);
    let zooms = store.path().join("runs/r/zooms");
    let names = || {
        let all = std::fs::read_dir(&zooms).unwrap();
        all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    drop(begun(&store, &[1], 1.0));
    assert_eq!(names(), Vec::<String>::new());
    // As a process that was killed leaves it: nobody holds its lock.
    let dead = zooms.join(".tmp-1-2");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("lock"), "").unwrap();
    let alive = begun(&store, &[1], 1.0);
    assert_eq!(steps(&store, "r"), [0, 1, 2]);
    let other = begun(&store, &[5], 5.0);
    assert_eq!(names().len(), 2, "{:?}", names());
    assert!(alive.publish(&described("a", 1.0)).unwrap());
    // Of two of one name the first stays.
    assert!(!other.publish(&described("a", 2.0)).unwrap());
    assert_eq!(names(), ["a"]);
    assert_eq!(steps(&store, "r"), [0, 1, 2]);
    let unknown = store.begin_zoom(&run_id("q"));
    assert!(matches!(unknown, Err(StoreError::UnknownRun { .. })));
}

#[test]
fn states_that_a_zoom_has_kept_are_read_and_checked() {
    let (_dir, store) = scratch();
    let weights = |x: f32| OwnedTensor::from_f32("w", &[1], &[x]);
    let mut run = store.create_run(&manifest("r")).unwrap();
    run.checkpoint(Step(4), &[weights(4.0).view()], serde_json::json!({})).unwrap();
    let mut zoom = begun(&store, &[5], 5.0);
    for t in [4, 5] {
        zoom.checkpoint(Step(t), &[weights(t as f32).view()], serde_json::json!({})).unwrap();
    }
    zoom.publish(&described("a", 1.0)).unwrap();
    let reader = store.run(&run_id("r")).unwrap();
    assert_eq!(reader.checkpoints().unwrap(), [Step(4)]);
    assert_eq!(reader.zoomed_checkpoints().unwrap(), [Step(4), Step(5)]);
    assert_eq!(reader.checkpoint(Step(5)).unwrap().tensors, [weights(5.0)]);
    assert!(reader.checkpoint(Step(6)).is_err());
    assert!(store.verify().unwrap().is_whole());
    // A chunk that only the zoom needs is missed.
    let index = store.path().join("runs/r/zooms/a/checkpoints/5.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(index).unwrap()).unwrap();
    let chunk = json["tensors"][0]["pieces"][0]["chunk"].as_str().unwrap().to_owned();
    std::fs::remove_file(store.path().join("objects").join(&chunk[..2]).join(&chunk)).unwrap();
    let problems = store.verify().unwrap().problems;
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("is missing"), "{}", problems[0]);
}

#[test]
fn a_zoom_of_a_later_version_is_refused() {
    let (_dir, store) = scratch();
    append(&mut store.create_run(&manifest("r")).unwrap(), 0..3);
    begun(&store, &[5], 5.0).publish(&described("a", 1.0)).unwrap();
    let path = store.path().join("runs/r/zooms/a/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"format_version\": 1", "\"format_version\": 2")).unwrap();
    let reader = store.run(&run_id("r")).unwrap();
    assert!(message(reader.series("loss"), &store).starts_with("open a file of format version 2"));
    assert_eq!(reader.recorded().unwrap()["loss"].points.len(), 3);
}
