//! What a dense series of checkpoints takes, and how fast it goes in and comes out.
//!
//! `cargo bench -p ontogeny_store --bench series -- FOLDER`, where the folder holds `layout.json`
//! (`[[name, "f32", shape], ...]`) and files `step*.bin` with the bytes of the tensors joined, as
//! `benches/peers/series.py` makes them. The store is made in the folder for temporary files: on a disk in
//! memory (`TMPDIR=/dev/shm`) the times are those of the code. Every series is written and read several times. With `--middle` instead: how long one tensor takes.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use ontogeny_core::{Clocks, RunId, RunManifest, RunStatus, Seeds, Step, Versions};
use ontogeny_store::{Dtype, OwnedTensor, Store, TensorView};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Layout = Vec<(String, Dtype, Vec<usize>)>;

fn manifest(run: &RunId) -> RunManifest {
    RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: run.clone(),
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
    }
}

fn views<'a>(layout: &'a Layout, bytes: &'a [u8]) -> Vec<TensorView<'a>> {
    let mut at = 0;
    let view = |(name, dtype, shape): &'a (String, Dtype, Vec<usize>)| {
        let n = shape.iter().product::<usize>() * dtype.size_bytes();
        at += n;
        TensorView { name, dtype: *dtype, shape, bytes: &bytes[at - n..at] }
    };
    layout.iter().map(view).collect()
}

/// Seconds that this thread has had a core, where the system tells; else the seconds that have passed.
fn core_secs(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ns = told.and_then(|t| t.split(' ').next()?.parse::<f64>().ok());
    ns.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let entries = entries.map(|e| e.expect("an entry"));
    entries
        .map(
            |e| if e.path().is_dir() { size(&e.path()) } else { e.metadata().expect("size").len() },
        )
        .sum()
}

fn measure(folder: &Path) {
    let begun = Instant::now();
    let layout: Layout =
        serde_json::from_slice(&std::fs::read(folder.join("layout.json")).expect("layout.json"))
            .expect("a layout");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "bin"));
    files.sort();
    let states: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).expect("a state")).collect();
    let raw: usize = states.iter().map(Vec::len).sum();
    let rounds: Vec<Round> = (0..ROUNDS).map(|i| round(&layout, &states, begun, i == 0)).collect();
    let n = states.len() as u64;
    let (objects, lists) = (rounds[0].objects, rounds[0].lists);
    println!(
        "{}: {n} checkpoints of {} bytes; objects {} bytes each ({:.4} of raw, {:.2} bits in 32), lists {}; \
         write {}; read {}",
        folder.display(),
        raw as u64 / n,
        objects / n,
        objects as f64 / raw as f64,
        32.0 * objects as f64 / raw as f64,
        lists / n,
        speeds(raw, rounds.iter().map(|r| r.wrote)),
        speeds(raw, rounds.iter().map(|r| r.read)),
    );
}

/// Times that a series is written and read, each time into a store of its own.
const ROUNDS: usize = 5;

/// Seconds of a core and of the clock, and bytes.
struct Round {
    wrote: (f64, f64),
    read: (f64, f64),
    objects: u64,
    lists: u64,
}

/// The first round takes memory from the system, the others find it: a long training is like them.
fn speeds(raw: usize, secs: impl Iterator<Item = (f64, f64)>) -> String {
    let mb = |secs: f64| raw as f64 / 1e6 / secs;
    let mut secs: Vec<(f64, f64)> = secs.collect();
    let first = secs.remove(0).0;
    secs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (core, clock) = secs[secs.len() / 2];
    format!(
        "{:.0} MB/s of a core (best {:.0}, first {:.0}; {:.0} of the clock)",
        mb(core),
        mb(secs[0].0),
        mb(first),
        mb(clock)
    )
}

fn round(layout: &Layout, states: &[Vec<u8>], begun: Instant, is_checked: bool) -> Round {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open_or_create(dir.path()).expect("a store");
    let run = RunId::new("r").expect("a valid name");
    let mut w = store.create_run(&manifest(&run)).expect("a run");
    let (start, core) = (Instant::now(), core_secs(begun));
    for (i, state) in states.iter().enumerate() {
        w.checkpoint(Step(i as u64), &views(layout, state), serde_json::Value::Null)
            .expect("checkpoint");
    }
    let wrote = (core_secs(begun) - core, start.elapsed().as_secs_f64());
    drop(w);
    let reader = store.run(&run).expect("the run");
    let (start, core) = (Instant::now(), core_secs(begun));
    for (i, state) in states.iter().enumerate() {
        let c = reader.checkpoint(Step(i as u64)).expect("checkpoint");
        std::hint::black_box(state);
        std::hint::black_box(c);
    }
    let read = (core_secs(begun) - core, start.elapsed().as_secs_f64());
    for (i, state) in states.iter().enumerate().filter(|_| is_checked) {
        let c = reader.checkpoint(Step(i as u64)).expect("checkpoint");
        let joined = c.tensors.iter().map(|t| t.bytes.as_slice()).collect::<Vec<_>>().concat();
        assert!(&joined == state, "checkpoint {i} came back otherwise");
    }
    let objects = size(&dir.path().join("objects"));
    Round { wrote, read, objects, lists: size(&reader.path().join("checkpoints")) }
}

/// How long one tensor alone takes, by readers that know nothing yet, from the middle of many checkpoints.
fn middle(n_checkpoints: u64, n_numbers: usize) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open_or_create(dir.path()).expect("a store");
    let run = RunId::new("r").expect("a valid name");
    let mut w = store.create_run(&manifest(&run)).expect("a run");
    let at = |t: u64| {
        let value = |i: usize| (i as f32).sin() + 1e-3 * (i as f32 + t as f32 * 0.1).cos();
        let values: Vec<f32> = (0..n_numbers).map(value).collect();
        OwnedTensor::from_f32("w", &[n_numbers], &values)
    };
    for t in 0..n_checkpoints {
        let other = OwnedTensor::from_f32("b", &[8], &[t as f32; 8]);
        w.checkpoint_later(Step(t), vec![at(t), other], serde_json::Value::Null)
            .expect("checkpoint");
    }
    drop(w);
    let mut ms: Vec<f64> = (0..130)
        .map(|i| {
            let step = n_checkpoints / 2 - 65 + i;
            let start = Instant::now();
            let reader = store.run(&run).expect("the run");
            let found = reader.checkpoint_tensor(Step(step), "w").expect("a checkpoint");
            let took = 1e3 * start.elapsed().as_secs_f64();
            assert_eq!(found, Some(at(step)));
            took
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    println!(
        "one tensor of {} bytes from the middle of {n_checkpoints} checkpoints: {:.2} ms median, {:.2} ms at most",
        4 * n_numbers,
        ms[65],
        ms[129]
    );
}

fn main() {
    if std::env::args().any(|a| a == "--middle") {
        middle(10_000, 2_000);
        middle(300, 1 << 18);
        return;
    }
    let folders = std::env::args_os().skip(1).filter(|a| !a.to_string_lossy().starts_with("--"));
    let folders: Vec<PathBuf> = folders.map(PathBuf::from).collect();
    if folders.is_empty() {
        println!("no series given: name folders made by benches/peers/series.py");
    }
    for folder in folders {
        measure(&folder);
    }
}
