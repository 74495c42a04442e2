//! Whether what is read of a store depends on how much else it holds, and what appending costs.
//!
//! `cargo bench -p ontogeny_store --bench scale -- [rows=100000000] [parts=append,rows,series,checkpoints,runs] [keep=DIR]`
//!
//! `parts=draw keep=DIR` makes a store of 50 runs of a million points, for `ontogeny series --figure`. Files are dropped
//! from the page cache before each reading that is called cold (`dd oflag=nocache`), which begins with opening the store.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use ontogeny_core::{Clocks, RunId, RunManifest, RunStatus, Seeds, Step, Versions};
use ontogeny_store::{OwnedTensor, RunWriter, Store};
use std::path::Path;
use std::time::{Duration, Instant};

/// Values of each kind of call: fewer than an append seals by itself.
const N_VALUES: u64 = 1_000_000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What `cargo bench` gives a benchmark is not for us.
fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|a| a.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
}

fn main() -> Outcome {
    let n_rows: u64 = argument("rows").map_or(Ok(100_000_000), |r| r.parse())?;
    let parts =
        argument("parts").unwrap_or_else(|| "append,rows,series,checkpoints,runs".to_owned());
    let scratch = tempfile::tempdir()?;
    let dir = argument("keep").map_or_else(|| scratch.path().to_path_buf(), Into::into);
    for part in parts.split(',') {
        let store = Store::open_or_create(&dir.join(part))?;
        match part {
            "append" => append(&store)?,
            "rows" => rows(&store, n_rows)?,
            "series" => series(&store)?,
            "checkpoints" => checkpoints(&store)?,
            "runs" => runs(&store)?,
            "draw" => draw(&store)?,
            _ => return Err(format!("there is no part {part}").into()),
        }
    }
    Ok(())
}

fn manifest(run: &str) -> Result<RunManifest, String> {
    Ok(RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: RunId::new(run).ok_or_else(|| format!("{run} names no run"))?,
        study: None,
        role: "bench".to_owned(),
        cell: "wd=0.1".to_owned(),
        config: serde_json::json!({ "lr": 1e-3, "weight_decay": 0.1, "batch_size": 512 }),
        seeds: Seeds::all(0),
        fork: None,
        rules: Vec::new(),
        versions: Versions { ontogeny: "0".to_owned(), engine: "none".to_owned() },
        created_unix_secs: 0.0,
        step: Step(0),
        clocks: Clocks::default(),
        status: RunStatus::Open,
        unread: std::collections::BTreeMap::new(),
    })
}

fn create(store: &Store, run: &str) -> Result<RunWriter, Box<dyn std::error::Error>> {
    Ok(store.create_run(&manifest(run)?)?)
}

fn id(run: &str) -> Result<RunId, String> {
    RunId::new(run).ok_or_else(|| format!("{run} names no run"))
}

/// Values as training makes them: a fall with noise.
fn value(step: u64, series: u64) -> f64 {
    let noise = (step * 31 + series).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
    2.0 / (1.0 + step as f64 * 1e-4) + noise as f64 * 1e-17
}

fn clocks(step: u64) -> Clocks {
    Clocks { n_examples: 512 * step, flop: 1e9 * step as f64, lr_time: 1e-3, wall_secs: 0.1 }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Takes all files below a folder out of the page cache.
fn forget(dir: &Path) -> Outcome {
    let script = "find \"$1\" -type f -size +0 -exec dd of={} oflag=nocache conv=notrunc,fdatasync count=0 status=none \\;";
    let done = std::process::Command::new("sh").args(["-c", script, "sh"]).arg(dir).status()?;
    if done.success() { Ok(()) } else { Err("dd could not drop the page cache".into()) }
}

/// Times a reading that begins with opening the store: the first is cold where `cold` names a folder, then warm ones.
fn reading(
    what: &str,
    cold: Option<&Path>,
    mut read: impl FnMut() -> Result<usize, Box<dyn std::error::Error>>,
) -> Outcome {
    let mut first = String::new();
    if let Some(dir) = cold {
        forget(dir)?;
        let start = Instant::now();
        read()?;
        first = format!("{:>10.2} ms cold", start.elapsed().as_secs_f64() * 1e3);
    }
    let mut times = Vec::new();
    let mut n = 0;
    for _ in 0..7 {
        let start = Instant::now();
        n = read()?;
        times.push(start.elapsed());
    }
    println!("{what:<58}{:>10.2} ms{first:>18}   {n} found", median(times).as_secs_f64() * 1e3);
    Ok(())
}

/// Seconds that this thread has had a core, where Linux tells.
fn core_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanos.map_or(f64::NAN, |n| n * 1e-9)
}

fn append(store: &Store) -> Outcome {
    let names: Vec<String> =
        (0..1000).map(|i| format!("layer{}.head{}.norm", i / 20, i % 20)).collect();
    for n_keys in [1, 20, 1000] {
        let mut w = create(store, &format!("keys{n_keys}"))?;
        let n_steps = N_VALUES / n_keys as u64;
        let mut calls = Vec::new();
        let (start, core) = (Instant::now(), core_secs());
        let rate = |core: f64, start: Instant| {
            let (core, wall) = (core_secs() - core, start.elapsed().as_secs_f64());
            format!("{:.2} ({:.2})", N_VALUES as f64 * 1e-6 / core, N_VALUES as f64 * 1e-6 / wall)
        };
        for t in 0..n_steps {
            let row: Vec<(&str, &str, f64)> =
                names[..n_keys].iter().map(|n| (n.as_str(), "1", value(t, 0))).collect();
            let call = Instant::now();
            w.append(Step(t), clocks(t), &row)?;
            calls.push(call.elapsed());
        }
        w.sync()?;
        let acknowledged = rate(core, start);
        w.seal()?;
        let sealed = rate(core, start);
        calls.sort_unstable();
        let call = |share: usize| calls[calls.len() * share / 100].as_secs_f64() * 1e6;
        println!(
            "{N_VALUES} values, {n_keys} a call: median call {:.2} us, 99 % {:.2} us; million values a second of a core (of the clock): {acknowledged} acknowledged, {sealed} and sealed",
            call(50),
            call(99),
        );
    }
    Ok(())
}

/// A series of 100,000 points in runs with more and more other rows.
fn rows(store: &Store, n_rows: u64) -> Outcome {
    let mut n = 1_000_000;
    while n <= n_rows {
        let run = format!("rows{n}");
        let mut w = create(store, &run)?;
        let names: Vec<String> = (0..n / 100_000 - 1).map(|i| format!("layer{i}.norm")).collect();
        let start = Instant::now();
        for t in 0..100_000 {
            let mut row: Vec<(&str, &str, f64)> = vec![("train.loss", "nats", value(t, 7))];
            row.extend(names.iter().zip(0..).map(|(n, i)| (n.as_str(), "1", value(t, i))));
            w.append(Step(t), clocks(t), &row)?;
        }
        w.seal()?;
        drop(w);
        let secs = start.elapsed().as_secs_f64();
        println!(
            "{n} rows written and sealed in {secs:.1} s, {:.2} million/s",
            n as f64 / secs / 1e6
        );
        let cold = Some(store.path());
        let open =
            || Ok::<_, Box<dyn std::error::Error>>(Store::open(store.path())?.run(&id(&run)?)?);
        reading(&format!("beside {n} rows: one series, 1e5 points"), cold, || {
            Ok(open()?.series("train.loss")?.map_or(0, |s| s.points.len()))
        })?;
        reading(&format!("beside {n} rows: its overview, 2000 bins"), cold, || {
            let all = Step(0)..=Step(u64::MAX);
            Ok(open()?.overview("train.loss", all, 2000)?.map_or(0, |o| o.bins.len()))
        })?;
        reading(&format!("beside {n} rows: 1000 steps of it"), cold, || {
            let some = Step(50_000)..=Step(50_999);
            Ok(open()?.overview("train.loss", some, 1000)?.map_or(0, |o| o.bins.len()))
        })?;
        reading(&format!("beside {n} rows: summaries of all series"), cold, || {
            Ok(open()?.summaries()?.len())
        })?;
        reading(&format!("beside {n} rows: resuming the run"), None, || {
            drop(store.resume_run(&id(&run)?)?);
            Ok(1)
        })?;
        println!(
            "bytes of its metrics: {}",
            size(&store.path().join("runs").join(&run).join("metrics"))?
        );
        n *= 10;
    }
    Ok(())
}

fn size(dir: &Path) -> std::io::Result<u64> {
    let mut n = 0;
    for entry in std::fs::read_dir(dir)? {
        n += entry?.metadata()?.len();
    }
    Ok(n)
}

/// Series of 100 points in runs with more and more series.
fn series(store: &Store) -> Outcome {
    for n in [1000_u64, 10_000, 100_000] {
        let run = format!("series{n}");
        let mut w = create(store, &run)?;
        let names: Vec<String> =
            (0..n).map(|i| format!("layer{}.neuron{i}.rate", i / 100)).collect();
        for t in 0..100 {
            let row: Vec<_> =
                names.iter().zip(0..).map(|(n, i)| (n.as_str(), "1", value(t, i))).collect();
            w.append(Step(t), clocks(t), &row)?;
        }
        w.seal()?;
        drop(w);
        let cold = Some(store.path());
        let open =
            || Ok::<_, Box<dyn std::error::Error>>(Store::open(store.path())?.run(&id(&run)?)?);
        let name = format!("layer{}.neuron{}.rate", n / 2 / 100, n / 2);
        reading(&format!("of {n} series: one, 100 points"), cold, || {
            Ok(open()?.series(&name)?.map_or(0, |s| s.points.len()))
        })?;
        reading(&format!("of {n} series: their names"), None, || {
            Ok(open()?.series_names()?.len())
        })?;
        reading(&format!("of {n} series: summaries of all"), None, || {
            Ok(open()?.summaries()?.len())
        })?;
    }
    Ok(())
}

/// Runs with more and more checkpoints.
fn checkpoints(store: &Store) -> Outcome {
    for n in [1000_u64, 10_000, 100_000] {
        let run = format!("checkpoints{n}");
        let mut w = create(store, &run)?;
        let start = Instant::now();
        for t in 0..n {
            let weights = OwnedTensor::from_f32("w", &[4], &[value(t, 0) as f32, 1.0, 2.0, 3.0]);
            w.checkpoint_later(Step(t), vec![weights], t.into())?;
        }
        w.sync()?;
        drop(w);
        println!("{n} checkpoints written in {:.1} s", start.elapsed().as_secs_f64());
        let open =
            || Ok::<_, Box<dyn std::error::Error>>(Store::open(store.path())?.run(&id(&run)?)?);
        let at = Step(n / 2);
        reading(&format!("of {n} checkpoints: one"), None, || {
            Ok(open()?.checkpoint(at)?.tensors.len())
        })?;
        reading(&format!("of {n} checkpoints: one tensor"), None, || {
            Ok(usize::from(open()?.checkpoint_tensor(at, "w")?.is_some()))
        })?;
        reading(&format!("of {n} checkpoints: the hash of a state"), None, || {
            Ok(open()?.state_hash(at)?.len())
        })?;
        reading(&format!("of {n} checkpoints: their steps"), None, || {
            Ok(open()?.checkpoints()?.len())
        })?;
        reading(&format!("of {n} checkpoints: resuming the run"), None, || {
            drop(store.resume_run(&id(&run)?)?);
            Ok(1)
        })?;
    }
    Ok(())
}

/// Stores with more and more runs. All but one have a manifest and no rows.
fn runs(store: &Store) -> Outcome {
    let mut w = create(store, "the-run")?;
    for t in 0..10_000 {
        w.append(Step(t), clocks(t), &[("train.loss", "nats", value(t, 0))])?;
    }
    w.seal()?;
    drop(w);
    let mut n_there = 0;
    for n in [100, 1000, 10_000] {
        for i in n_there..n {
            // As `create_run` leaves it, without waiting for the disk each time.
            let run = format!("run{i}");
            let dir = store.path().join("runs").join(&run);
            std::fs::create_dir(&dir)?;
            let path = dir.join("manifest.json");
            std::fs::write(&path, serde_json::to_vec_pretty(&manifest(&run)?)?)?;
            // Not just now: what was just written is not copied to the index of runs.
            let file = std::fs::File::options().write(true).open(&path)?;
            file.set_modified(file.metadata()?.modified()? - Duration::from_mins(1))?;
        }
        n_there = n;
        let cold = Some(store.path());
        let index = store.path().join("index/runs.idx");
        reading(&format!("of {n} runs: listing them, no index"), cold, || {
            // It is made by the listing.
            let _ = std::fs::remove_file(&index);
            Ok(Store::open(store.path())?.runs()?.runs.len())
        })?;
        reading(&format!("of {n} runs: opening the store"), cold, || {
            Ok(usize::from(Store::open(store.path())?.path().exists()))
        })?;
        reading(&format!("of {n} runs: a series of one"), cold, || {
            let run = Store::open(store.path())?.run(&id("the-run")?)?;
            Ok(run.series("train.loss")?.map_or(0, |s| s.points.len()))
        })?;
        reading(&format!("of {n} runs: listing them"), cold, || {
            Ok(Store::open(store.path())?.runs()?.runs.len())
        })?;
    }
    Ok(())
}

/// Fifty runs of a million points.
fn draw(store: &Store) -> Outcome {
    for r in 0..50 {
        let mut w = create(store, &format!("r{r:02}"))?;
        for t in 0..1_000_000 {
            w.append(Step(t), clocks(t), &[("train.loss", "nats", value(t, r) + r as f64 * 0.01)])?;
        }
        w.seal()?;
    }
    let all = Step(0)..=Step(u64::MAX);
    reading("50 runs of 1e6 points: overviews of 2000 bins", Some(store.path()), || {
        let store = Store::open(store.path())?;
        let mut n = 0;
        for r in 0..50 {
            let run = store.run(&id(&format!("r{r:02}"))?)?;
            n += run.overview("train.loss", all.clone(), 2000)?.map_or(0, |o| o.bins.len());
        }
        Ok(n)
    })
}
