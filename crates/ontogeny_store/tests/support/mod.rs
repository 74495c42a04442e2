//! A store in a folder that goes away, and a manifest to fill it with.
#![allow(dead_code, reason = "each test file uses a part")]

use ontogeny_core::{Clocks, RunId, RunManifest, RunStatus, Seeds, Step, Versions};
use ontogeny_store::Store;
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
        versions: Versions { ontogeny: "0.1.0".to_owned(), engine: "test".to_owned() },
        created_unix_secs: 1.5e9,
        step: Step(0),
        clocks: Clocks::default(),
        status: RunStatus::Open,
    }
}
