//! How fast rows and checkpoints go to disk and come back.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use ontogeny_core::random::Philox;
use ontogeny_core::{Clocks, RunId, RunManifest, RunStatus, Seeds, Step, Versions};
use ontogeny_store::{OwnedTensor, RunWriter, Store};
use tempfile::TempDir;

const ROWS: [u64; 3] = [1_000, 10_000, 100_000];
const MIB: [usize; 3] = [1, 8, 64];
/// Readings per step, as a small training run has them.
const READINGS: usize = 20;

fn main() {
    divan::main();
}

fn id() -> RunId {
    RunId::new("r").expect("a valid name")
}

fn scratch() -> (TempDir, Store, RunWriter) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open_or_create(dir.path()).expect("a store");
    let manifest = RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: id(),
        study: None,
        role: "bench".to_owned(),
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
    };
    let writer = store.create_run(&manifest).expect("a run");
    (dir, store, writer)
}

fn names() -> Vec<String> {
    (0..READINGS).map(|i| format!("layer{i}.weight_norm")).collect()
}

fn append_rows(w: &mut RunWriter, names: &[String], n: u64) {
    let draws = Philox::new(1, "bench").at(0);
    for t in 0..n / READINGS as u64 {
        let value = draws.uniform(t);
        let rows: Vec<(&str, &str, f64)> = names.iter().map(|s| (s.as_str(), "1", value)).collect();
        w.append(Step(t), Clocks { n_examples: t * 512, ..Clocks::default() }, &rows)
            .expect("append");
    }
}

#[divan::bench(name = "store/append/rows", args = ROWS, sample_count = 20)]
fn append(bencher: Bencher<'_, '_>, n: u64) {
    let names = names();
    bencher.counter(ItemsCount::new(n)).with_inputs(scratch).bench_local_refs(|(_, _, w)| {
        append_rows(w, &names, n);
    });
}

#[divan::bench(name = "store/append_and_sync/rows", args = ROWS, sample_count = 20)]
fn append_and_sync(bencher: Bencher<'_, '_>, n: u64) {
    let names = names();
    bencher.counter(ItemsCount::new(n)).with_inputs(scratch).bench_local_refs(|(_, _, w)| {
        append_rows(w, &names, n);
        w.sync().expect("sync");
    });
}

#[divan::bench(name = "store/seal/rows", args = ROWS, sample_count = 10)]
fn seal(bencher: Bencher<'_, '_>, n: u64) {
    let names = names();
    let filled = || {
        let mut s = scratch();
        append_rows(&mut s.2, &names, n);
        s
    };
    bencher.counter(ItemsCount::new(n)).with_inputs(filled).bench_local_refs(|(_, _, w)| {
        w.seal().expect("seal");
    });
}

#[divan::bench(name = "store/read_sealed/rows", args = ROWS, sample_count = 10)]
fn read_sealed(bencher: Bencher<'_, '_>, n: u64) {
    let (_dir, store, mut w) = scratch();
    append_rows(&mut w, &names(), n);
    w.seal().expect("seal");
    bencher.counter(ItemsCount::new(n)).bench_local(|| {
        let run = store.run(&id()).expect("the run");
        assert_eq!(run.all_series().expect("series").len(), READINGS);
    });
}

/// Weights as training makes them: normal, so that there is little to compress.
fn weights(mib: usize) -> OwnedTensor {
    let n = mib << 18;
    let draws = Philox::new(2, "bench").at(0);
    let values: Vec<f32> = (0..n as u64).map(|i| 0.02 * draws.normal(i) as f32).collect();
    OwnedTensor::from_f32("w", &[n], &values)
}

#[divan::bench(name = "checkpoint/write/mib", args = MIB, sample_count = 5)]
fn checkpoint_write(bencher: Bencher<'_, '_>, mib: usize) {
    let state = weights(mib);
    bencher.counter(BytesCount::new(mib << 20)).with_inputs(scratch).bench_local_refs(
        |(_, _, w)| {
            w.checkpoint(Step(0), &[state.view()], serde_json::Value::Null).expect("checkpoint");
        },
    );
}

#[divan::bench(name = "checkpoint/write_again/mib", args = MIB, sample_count = 5)]
fn checkpoint_write_again(bencher: Bencher<'_, '_>, mib: usize) {
    let state = weights(mib);
    let (_dir, _store, mut w) = scratch();
    bencher.counter(BytesCount::new(mib << 20)).bench_local(|| {
        w.checkpoint(Step(0), &[state.view()], serde_json::Value::Null).expect("checkpoint");
    });
}

#[divan::bench(name = "checkpoint/read/mib", args = MIB, sample_count = 5)]
fn checkpoint_read(bencher: Bencher<'_, '_>, mib: usize) {
    let state = weights(mib);
    let (_dir, store, mut w) = scratch();
    w.checkpoint(Step(0), &[state.view()], serde_json::Value::Null).expect("checkpoint");
    let run = store.run(&id()).expect("the run");
    assert_eq!(run.checkpoint(Step(0)).expect("checkpoint").tensors, [state]);
    bencher
        .counter(BytesCount::new(mib << 20))
        .bench_local(|| run.checkpoint(Step(0)).expect("checkpoint"));
}
