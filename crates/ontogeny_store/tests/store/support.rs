//! A store in a folder that goes away, and a manifest to fill it with.

use ontogeny_core::{Clocks, RunId, RunManifest, RunStatus, Seeds, Step, Versions};
use ontogeny_store::{RunWriter, Store, StoreError};
use std::path::Path;
use tempfile::TempDir;

pub(crate) fn scratch() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path()).unwrap();
    (dir, store)
}

pub(crate) fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

pub(crate) fn manifest(name: &str) -> RunManifest {
    RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: run_id(name),
        study: None,
        role: "fit".to_owned(),
        cell: "wd=1".to_owned(),
        config: serde_json::json!({"weight_decay": 1.0, "betas": [0.9, 0.98]}),
        seeds: Seeds::all(3),
        fork: None,
        rules: Vec::new(),
        versions: Versions { ontogeny: "0.1.0".to_owned(), engine: "test".to_owned() },
        created_unix_secs: 1.5e9,
        step: Step(0),
        clocks: Clocks::default(),
        status: RunStatus::Open,
        unread: std::collections::BTreeMap::new(),
    }
}

/// Rows at `steps` of one series, written and left unsynced.
pub(crate) fn append(w: &mut RunWriter, steps: std::ops::Range<u64>) {
    for t in steps {
        w.append(Step(t), Clocks::default(), &[("loss", "nats", t as f64)]).unwrap();
    }
}

/// Steps at which `loss` has a reading; each must have the value that [`append`] gave it.
pub(crate) fn steps(store: &Store, run: &str) -> Vec<u64> {
    let series = store.run(&run_id(run)).unwrap().series("loss").unwrap().unwrap_or_default();
    assert!(series.points.iter().all(|p| p.value == p.step.0 as f64));
    series.points.iter().map(|p| p.step.0).collect()
}

/// The message of an error with the place of the store taken out.
pub(crate) fn message<T>(result: Result<T, StoreError>, store: &Store) -> String {
    let Err(e) = result else { panic!("expected an error") };
    e.to_string().replace(&store.path().display().to_string(), "<store>")
}

pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
