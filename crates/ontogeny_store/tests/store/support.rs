//! A store in a folder that goes away, and a manifest to fill it with.

use ontogeny_core::{Clocks, RunId, RunManifest, RunStatus, Seeds, Step, Versions};
use ontogeny_store::{OwnedTensor, RunWriter, Store, StoreError};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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

/// Weights that move a little at each step: stored as differences.
pub(crate) fn drifting(step: u64) -> OwnedTensor {
    let t = step as f32;
    let value = |i: usize| (i as f32 * 0.7).sin() + 1e-4 * (t * 0.1 + i as f32).cos() * t.sqrt();
    OwnedTensor::from_f32("w", &[2000], &(0..2000).map(value).collect::<Vec<_>>())
}

/// Names of the objects of a store.
pub(crate) fn object_names(store: &Store) -> Vec<String> {
    let objects = store.path().join("objects");
    let below = |dir: &Path| -> Vec<std::path::PathBuf> {
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect()
    };
    let folders = below(&objects).into_iter().filter(|p| p.is_dir());
    let names = folders.flat_map(|f| below(&f));
    names
        .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|n| n.len() == 64)
        .collect()
}

/// Starts a test of this binary in a process of its own, and tells it a store and a word.
pub(crate) fn child(test: &str, store: &Store, word: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}\n{word}", store.path().display()).unwrap();
    child
}

/// The store and the word that [`child`] tells; `None` if this is no such process.
pub(crate) fn told() -> Option<(Store, String)> {
    let (mut path, mut word) = (String::new(), String::new());
    std::io::stdin().read_line(&mut path).unwrap();
    std::io::stdin().read_line(&mut word).unwrap();
    let path = path.trim();
    (!path.is_empty()).then(|| (Store::open(Path::new(path)).unwrap(), word.trim().to_owned()))
}

/// Changes one bit of a file.
pub(crate) fn flip_bit(path: &Path, at_bit: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at_bit / 8] ^= 1 << (at_bit % 8);
    std::fs::write(path, bytes).unwrap();
}
