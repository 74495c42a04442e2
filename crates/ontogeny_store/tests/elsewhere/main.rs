//! Stores on a server that speaks S3, and other readers of them: DuckDB and Polars.
//!
//! The server and the readers come from PyPI into a virtual environment below `target/`, which takes a network and some
//! minutes the first time; so these tests are not among those that run by default:
//! `cargo test -p ontogeny_store --features object-store --test elsewhere -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was compared, and what was skipped, is shown"
)]

use ontogeny_core::{
    Censoring, Clocks, Event, RunId, RunManifest, RunStatus, Seeds, Step, Versions,
};
use ontogeny_store::{OwnedTensor, PushOptions, Remote, RunWriter, Store, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Only one test makes the virtual environment.
static MAKING: Mutex<()> = Mutex::new(());

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elsewhere").join(name)
}

/// The Python of an environment with what `requirements.txt` names; `None`, with a line that says so, if it cannot be
/// made here.
fn python() -> Option<PathBuf> {
    let _making = MAKING.lock().unwrap();
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere-venv");
    let done = venv.join("done");
    let python = venv.join("bin/python");
    let run = |command: &mut Command| command.status().is_ok_and(|s| s.success());
    let is_made = done.is_file()
        || run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            && run(Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "-r"])
                .arg(script("requirements.txt")))
            && std::fs::write(&done, "").is_ok();
    if !is_made {
        eprintln!(
            "skipped: no Python with the packages of {}",
            script("requirements.txt").display()
        );
    }
    is_made.then_some(python)
}

/// A server with the bucket `lab`, until it is dropped.
struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg(script("serve.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the server says its port");
        Self { process, endpoint: format!("http://127.0.0.1:{port}") }
    }

    fn options(&self) -> BTreeMap<String, String> {
        let options = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ];
        options.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn remote(&self, url: &str) -> Remote {
        Remote::connect(url, &self.options()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input; if it does not, it is ended.
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn manifest(name: &str) -> RunManifest {
    RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: RunId::new(name).unwrap(),
        study: None,
        role: "fit".to_owned(),
        cell: String::new(),
        config: json!({}),
        seeds: Seeds::all(0),
        fork: None,
        rules: Vec::new(),
        versions: Versions { ontogeny: String::new(), engine: String::new() },
        created_unix_secs: 1.0,
        step: Step(0),
        clocks: Clocks::default(),
        status: RunStatus::Open,
        unread: BTreeMap::new(),
    }
}

/// Rows as they lie in segments: what another tool sees, by run, name and step.
type Rows = BTreeMap<(String, String, u64), (String, u64)>;

fn record(writer: &mut RunWriter, rows: &mut Rows, steps: std::ops::Range<u64>, shift: f64) -> u64 {
    let mut n = 0;
    let run = writer.run().to_string();
    for t in steps {
        let odd = f64::from_bits(0x7ff8_0000_0000_0000 + 17 * t);
        let values =
            [("Verlust/π", "nats", odd), ("损失", "nats", t as f64 + shift), ("x", "1", -0.0)];
        writer.append(Step(t), Clocks::default(), &values).unwrap();
        for (name, unit, value) in values {
            rows.insert((run.clone(), name.to_owned(), t), (unit.to_owned(), value.to_bits()));
            n += 1;
        }
    }
    n
}

/// Several runs: one that was resumed, with vectors, events and checkpoints; one that went back beyond what was sealed
/// and did not come as far again. Gives what others should find.
fn make(dir: &Path) -> (Store, Value) {
    let store = Store::open_or_create(dir).unwrap();
    let mut rows = Rows::new();
    let mut n_sealed = 0;
    let plain = manifest("plain");
    let mut writer = store.create_run(&plain).unwrap();
    n_sealed += record(&mut writer, &mut rows, 0..50, 0.0);
    writer.seal().unwrap();
    drop(writer);
    let mut writer = store.resume_run(&plain.run).unwrap();
    n_sealed += record(&mut writer, &mut rows, 50..60, 0.0);
    // Late, and once more: the last reading counts.
    n_sealed += record(&mut writer, &mut rows, 7..9, 0.25);
    let mut vectors = Vec::new();
    for t in [0_u64, 1, 2] {
        let narrow = [t as f32, f32::from_bits(0x7fc0_1234), f32::NEG_INFINITY];
        writer.append_tensor(Step(t), "spectrum", "1", &[3], &narrow).unwrap();
        let bits: Vec<u32> = narrow.iter().map(|v| v.to_bits()).collect();
        vectors.push(json!(["plain", "spectrum", t, [3], bits, []]));
    }
    let wide = [0.1, f64::from_bits(0x7ff8_0000_0000_0042)];
    writer.append_tensor_f64(Step(4), "wide", "1", &[2, 1], &wide).unwrap();
    let bits: Vec<u64> = wide.iter().map(|v| v.to_bits()).collect();
    vectors.push(json!(["plain", "wide", 4, [2, 1], [], bits]));
    for t in [50, 60] {
        let weights: Vec<f32> = (0..70_000).map(|i| (i as f32 + t as f32 * 1e-3).sin()).collect();
        let weights = OwnedTensor::from_f32("w", &[70_000], &weights);
        writer.checkpoint(Step(t), &[weights.view()], json!({})).unwrap();
    }
    let event = |name: &str, when| Event {
        run: plain.run.clone(),
        name: name.to_owned(),
        series: "损失".to_owned(),
        when,
        known_at: Step(9),
        detector: "cusum".to_owned(),
        evidence: 2.5,
    };
    let interval = Censoring::Interval { lo: Step(3), hi: Step(7) };
    let right = Censoring::Right { horizon: Step(9) };
    writer.write_events(&[event("début", interval), event("fin", right)]).unwrap();
    writer.seal().unwrap();
    let back = manifest("back");
    let mut writer = store.create_run(&back).unwrap();
    n_sealed += record(&mut writer, &mut rows, 0..10, 0.0);
    writer.seal().unwrap();
    writer.truncate_after(Step(4)).unwrap();
    n_sealed += record(&mut writer, &mut rows, 5..8, 0.5);
    writer.seal().unwrap();
    let rows: Vec<Value> = (rows.into_iter())
        .map(|((run, name, step), (unit, bits))| json!([run, name, unit, step, bits]))
        .collect();
    let mut recorded = Vec::new();
    for run in ["back", "plain"] {
        let reader = store.run(&RunId::new(run).unwrap()).unwrap();
        for (name, series) in reader.recorded().unwrap() {
            let row = |p: &ontogeny_core::Point| {
                json!([run, name, series.unit, p.step.0, p.value.to_bits()])
            };
            recorded.extend(series.points.iter().map(row));
        }
    }
    // What is void and was not recorded again: two steps of three series.
    assert_eq!(rows.len(), recorded.len() + 2 * 3);
    let expected = json!({
        "n_sealed_rows": n_sealed, "rows": rows, "rows_without_void": recorded, "vectors": vectors,
        "events": [
            ["plain", "début", "损失", "cusum", 3, 7, null, 2.5],
            ["plain", "fin", "损失", "cusum", null, null, 9, 2.5],
        ],
    });
    (store, expected)
}

fn others_agree(python: &Path, store: &str, expected: &Path, server: &Server) {
    let mut others = Command::new(python);
    others.arg(script("others.py")).arg(store).arg(expected).envs(server.options());
    let answer = others.output().unwrap();
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.status.success(), "{text}{}", String::from_utf8_lossy(&answer.stderr));
    println!("{text}");
}

#[test]
#[ignore = "slow: installs a server, DuckDB and Polars from PyPI"]
fn slow_duckdb_and_polars_read_what_we_read_from_disk_and_from_s3() {
    let Some(python) = python() else { return };
    let server = Server::start(&python);
    let dir = tempfile::tempdir().unwrap();
    let (store, expected) = make(&dir.path().join("here"));
    let path = dir.path().join("expected.json");
    std::fs::write(&path, expected.to_string()).unwrap();
    others_agree(&python, store.path().to_str().unwrap(), &path, &server);
    let remote = server.remote("s3://lab/some/prefix");
    let pushed = store.push(&remote, PushOptions::default(), &|_| ()).unwrap();
    assert!(pushed.problems.is_empty(), "{pushed:?}");
    others_agree(&python, remote.url(), &path, &server);
}

#[test]
#[ignore = "slow: installs a server from PyPI"]
fn slow_what_is_pushed_to_a_server_reads_as_on_disk() {
    let Some(python) = python() else { return };
    let server = Server::start(&python);
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = make(&dir.path().join("here"));
    let remote = server.remote("s3://lab/prefix");
    let first = store.push(&remote, PushOptions::default(), &|_| ()).unwrap();
    assert!(first.problems.is_empty() && first.n_objects > 0, "{first:?}");
    let again = store.push(&remote, PushOptions::default(), &|_| ()).unwrap();
    assert_eq!((again.n_objects, again.n_files), (0, 0));
    let cache = dir.path().join("cache");
    for _ in 0..2 {
        let there = Store::open_remote(&remote, &cache).unwrap();
        let found = there.verify().unwrap();
        assert!(found.is_whole(), "{:?}", found.problems);
        assert_eq!(there.runs().unwrap().runs, store.runs().unwrap().runs);
        for run in ["back", "plain"] {
            let run = RunId::new(run).unwrap();
            let (a, b) = (store.run(&run).unwrap(), there.run(&run).unwrap());
            let bits = |r: &ontogeny_store::RunReader| -> Vec<(String, Vec<(u64, u64)>)> {
                let points = |s: &ontogeny_core::Series| {
                    s.points.iter().map(|p| (p.step.0, p.value.to_bits())).collect()
                };
                r.all_series().unwrap().iter().map(|(n, s)| (n.clone(), points(s))).collect()
            };
            assert_eq!(bits(&a), bits(&b));
            for step in a.checkpoints().unwrap() {
                assert_eq!(a.checkpoint(step).unwrap(), b.checkpoint(step).unwrap());
            }
            assert_eq!(a.events().unwrap(), b.events().unwrap());
        }
    }
    let nobody = server.remote("s3://nobody/prefix");
    let e = store.push(&nobody, PushOptions::default(), &|_| ()).unwrap_err();
    assert!(matches!(e, StoreError::NoBucket { .. }), "{e}");
    let e = Store::open_remote(&nobody, &cache).unwrap_err();
    assert!(matches!(e, StoreError::NoBucket { .. }), "{e}");
    drop(server);
    let e = Store::open_remote(&remote, &cache).unwrap_err();
    assert!(matches!(e, StoreError::Remote { .. }), "{e}");
}
