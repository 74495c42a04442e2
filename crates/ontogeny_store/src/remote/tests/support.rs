//! A store with everything in it, and an object store that counts, and fails when told to.

use crate::remote::{PushOptions, Pushed, Remote};
use crate::{OwnedTensor, Store, TensorReading, TensorValues};
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use ontogeny_core::{
    Censoring, Clocks, Event, Findings, FixedClock, LedgerBody, RunId, RunManifest, RunStatus,
    Seeds, Step, StudyId, Versions, ZoomId, ZoomManifest,
};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// An object store in memory that remembers what was asked of it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) inner: InMemory,
    asked: Mutex<Vec<String>>,
    fails_at: AtomicUsize,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

impl Watched {
    pub(super) fn in_memory() -> Arc<Self> {
        let (inner, asked) = (InMemory::new(), Mutex::default());
        Arc::new(Self { inner, asked, fails_at: AtomicUsize::new(usize::MAX) })
    }

    /// Every request from this one on fails, counted since [`Watched::forget`].
    pub(super) fn fail_at(&self, n: usize) {
        self.fails_at.store(n, Ordering::Relaxed);
    }

    pub(super) fn heal(&self) {
        self.fail_at(usize::MAX);
    }

    pub(super) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }

    /// What was asked, as `GET key`, `LIST key`, `PUT key`.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn puts(&self) -> Vec<String> {
        let asked = self.asked();
        asked.iter().filter_map(|a| a.strip_prefix("PUT ")).map(str::to_owned).collect()
    }

    fn ask(&self, what: &str, key: Option<&Key>) -> Result<()> {
        let mut asked = self.asked.lock().unwrap();
        let n = asked.len();
        asked.push(format!("{what} {}", key.map(Key::as_ref).unwrap_or_default()));
        if n < self.fails_at.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Error::Generic { store: "watched", source: "made to fail by a test".into() })
    }

    /// Changes a byte in the middle of a file.
    pub(super) fn flip(&self, key: &str) {
        let key = Key::from(key);
        now(async {
            let mut bytes = self.inner.get(&key).await.unwrap().bytes().await.unwrap().to_vec();
            // Inside the first hash of a file of checksums.
            let at = bytes.len() / 4;
            bytes[at] ^= 1;
            self.inner.put(&key, bytes.into()).await.unwrap();
        });
    }

    /// The keys of all files, sorted.
    pub(super) fn keys(&self) -> Vec<String> {
        let all = now(self.inner.list(None).try_collect::<Vec<_>>());
        let mut keys: Vec<String> =
            all.unwrap().into_iter().map(|m| m.location.to_string()).collect();
        keys.sort();
        keys
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, key: &Key, data: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.ask("PUT", Some(key))?;
        self.inner.put_opts(key, data, o).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Key,
        o: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask("PUT", Some(key))?;
        self.inner.put_multipart_opts(key, o).await
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        self.ask("GET", Some(key))?;
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, Result<Key>>,
    ) -> BoxStream<'static, Result<Key>> {
        match self.ask("DELETE", None) {
            Ok(()) => self.inner.delete_stream(keys),
            Err(e) => stream::once(async { Err(e) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask("LIST", prefix) {
            Ok(()) => self.inner.list(prefix),
            Err(e) => stream::once(async { Err(e) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.ask("LIST", prefix)?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.ask("COPY", Some(from))?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// The place `mem://bucket/a/b`.
pub(super) fn on(store: &Arc<Watched>) -> Remote {
    let store: Arc<dyn ObjectStore> = Arc::clone(store) as Arc<dyn ObjectStore>;
    Remote::new("mem://bucket/a/b/", "memory".to_owned(), store, Key::from("a/b")).unwrap()
}

pub(super) fn push(store: &Store, remote: &Remote) -> Pushed {
    store.push(remote, PushOptions::default(), &|_| ()).unwrap()
}

pub(super) fn read(store: &Arc<Watched>, cache: &Path) -> Store {
    Store::open_remote(&on(store), cache).unwrap()
}

fn id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

pub(super) fn manifest(name: &str, created: f64) -> RunManifest {
    RunManifest {
        format_version: RunManifest::FORMAT_VERSION,
        run: id(name),
        study: None,
        role: "fit".to_owned(),
        cell: String::new(),
        config: serde_json::json!({ "lr": 0.1 }),
        seeds: Seeds::all(3),
        fork: None,
        rules: Vec::new(),
        versions: versions(),
        created_unix_secs: created,
        step: Step(0),
        clocks: Clocks::default(),
        status: RunStatus::Open,
        unread: BTreeMap::new(),
    }
}

fn versions() -> Versions {
    Versions { ontogeny: "0".to_owned(), engine: "0".to_owned() }
}

/// A state that moves a little, so that each is stored against the one before.
fn state(t: u64) -> OwnedTensor {
    let value = |i: u16| (f32::from(i) * 0.7).sin() + 1e-4 * (t as f32 + f32::from(i)).cos();
    OwnedTensor::from_f32("w", &[600], &(0..600).map(value).collect::<Vec<_>>())
}

fn event(name: &str) -> Event {
    Event {
        run: id("a"),
        name: name.to_owned(),
        series: "x".to_owned(),
        when: Censoring::Right { horizon: Step(3) },
        known_at: Step(3),
        detector: "d".to_owned(),
        evidence: 0.5,
    }
}

fn record(writer: &mut crate::RunWriter, steps: std::ops::Range<u64>, shift: f64) {
    for t in steps {
        let odd = f64::from_bits(0x7ff8_0000_0000_1234 + t);
        let values = [("x", "1", t as f64 + shift), ("π/loss", "nats", odd), ("low", "1", -0.0)];
        writer.append(Step(t), Clocks::default(), &values).unwrap();
        writer.append_tensor(Step(t), "v", "1", &[2], &[t as f32, f32::NAN]).unwrap();
    }
}

pub(super) fn make_run(store: &Store, name: &str, created: f64) {
    let mut writer = store.create_run(&manifest(name, created)).unwrap();
    record(&mut writer, 0..5, 0.0);
    writer.checkpoint(Step(4), &[state(4).view()], serde_json::json!({})).unwrap();
    writer.seal().unwrap();
}

/// Runs `a` (sealed, gone back beyond what was sealed, with a live log, events, a zoom) and `b`, a ledger and a study.
pub(super) fn make(dir: &Path) -> Store {
    let store = Store::open_or_create(&dir.join("here")).unwrap();
    make_run(&store, "b", 2.0);
    let mut writer = store.create_run(&manifest("a", 1.0)).unwrap();
    record(&mut writer, 0..4, 0.0);
    for t in 0..4 {
        writer.checkpoint(Step(t), &[state(t).view()], serde_json::json!({ "t": t })).unwrap();
    }
    writer.seal().unwrap();
    writer.truncate_after(Step(2)).unwrap();
    record(&mut writer, 3..6, 0.5);
    writer.write_events(&[event("first")]).unwrap();
    writer.seal().unwrap();
    record(&mut writer, 6..8, 0.5);
    writer.checkpoint(Step(7), &[state(7).view()], serde_json::json!({})).unwrap();
    record(&mut writer, 8..9, 0.5);
    writer.sync().unwrap();
    drop(writer);
    let mut zoom = store.begin_zoom(&id("a")).unwrap();
    zoom.append(Step(3), Clocks::default(), &[("closer", "1", 1.0)]).unwrap();
    zoom.checkpoint(Step(3), &[state(103).view()], serde_json::json!({})).unwrap();
    assert!(zoom.publish(&zoom_manifest()).unwrap());
    note(&store, "one");
    note(&store, "two");
    let study = store.study(&StudyId::new("s").unwrap());
    study.write_manifest(&serde_json::json!({ "asks": "why" })).unwrap();
    study.write_figure("f.svg", b"<svg/>").unwrap();
    study.write_report("<html>").unwrap();
    store
}

fn zoom_manifest() -> ZoomManifest {
    ZoomManifest {
        format_version: ZoomManifest::FORMAT_VERSION,
        run: id("a"),
        id: ZoomId::new("closer").unwrap(),
        from: Step(3),
        to: Step(3),
        every: 1,
        probes: Vec::new(),
        began_here: Vec::new(),
        has_checkpoints: true,
        origin: Step(0),
        n_hashes_equal: 0,
        equal_at: Step(0),
        n_readings_equal: 0,
        n_readings: 1,
        versions: versions(),
        created_unix_secs: 5.0,
        unread: BTreeMap::new(),
    }
}

pub(super) fn note(store: &Store, text: &str) {
    let body = LedgerBody::Note { about: "a".to_owned(), text: text.to_owned() };
    store.ledger().append(body, &FixedClock(0.0)).unwrap();
}

/// Run `a` goes on: more rows, two more segments, a state, other events, a manifest, an entry of the ledger.
pub(super) fn grow(store: &Store) {
    let mut writer = store.resume_run(&id("a")).unwrap();
    writer.seal().unwrap();
    record(&mut writer, 9..12, 0.5);
    writer.checkpoint(Step(11), &[state(11).view()], serde_json::json!({})).unwrap();
    writer.seal().unwrap();
    writer.write_events(&[event("first"), event("second")]).unwrap();
    let manifest = RunManifest { step: Step(11), ..manifest("a", 1.0) };
    writer.set_manifest(&manifest).unwrap();
    drop(writer);
    note(store, "three");
}

/// Run `a` goes back to before its last checkpoint, and its zoom goes.
pub(super) fn go_back(store: &Store) {
    let mut writer = store.resume_run(&id("a")).unwrap();
    writer.truncate_after(Step(5)).unwrap();
    writer.sync().unwrap();
    store.remove_zoom(&id("a"), &ZoomId::new("closer").unwrap()).unwrap();
}

/// A series: name, unit, and its points as bits.
type Bits = (String, String, Vec<(u64, u64)>);

/// A reading with its values as bits.
fn bits(reading: &TensorReading) -> (u64, Vec<usize>, Vec<u64>) {
    let values = match &reading.values {
        TensorValues::F32(v) => v.iter().map(|v| u64::from(v.to_bits())).collect(),
        TensorValues::F64(v) => v.iter().map(|v| v.to_bits()).collect(),
    };
    (reading.step.0, reading.shape.clone(), values)
}

/// Everything that can be read from one store can be read from the other, bit for bit.
#[track_caller]
pub(super) fn assert_equal(here: &Store, there: &Store) {
    let found = there.verify().unwrap();
    assert!(found.is_whole(), "{:?}", found.problems);
    let (runs, theirs) = (here.runs().unwrap(), there.runs().unwrap());
    assert_eq!(runs.runs, theirs.runs);
    for manifest in runs.runs {
        let (a, b) = (here.run(&manifest.run).unwrap(), there.run(&manifest.run).unwrap());
        let series = |r: &crate::RunReader| -> Vec<Bits> {
            let all = r.all_series().unwrap().values();
            let points = |s: &ontogeny_core::Series| {
                s.points.iter().map(|p| (p.step.0, p.value.to_bits())).collect()
            };
            all.map(|s| (s.name.clone(), s.unit.clone(), points(s))).collect()
        };
        assert!(!series(&a).is_empty());
        assert_eq!(series(&a), series(&b));
        assert_eq!(a.tensor_names().unwrap(), b.tensor_names().unwrap());
        for name in a.tensor_names().unwrap() {
            let of = |r: &crate::RunReader| -> Vec<_> {
                r.tensor(&name).unwrap().iter().map(bits).collect()
            };
            assert_eq!(of(&a), of(&b));
        }
        assert_eq!(a.checkpoints().unwrap(), b.checkpoints().unwrap());
        let steps = a.checkpoints().unwrap().into_iter().chain(a.zoomed_checkpoints().unwrap());
        for step in steps {
            assert_eq!(a.checkpoint(step).unwrap(), b.checkpoint(step).unwrap());
        }
        assert_eq!(a.events().unwrap(), b.events().unwrap());
        assert_eq!(a.zooms().unwrap(), b.zooms().unwrap());
    }
    assert_eq!(here.ledger().entries().unwrap(), there.ledger().entries().unwrap());
    assert_eq!(here.studies().unwrap(), there.studies().unwrap());
    for study in here.studies().unwrap() {
        let read = |s: &Store| -> (Option<serde_json::Value>, Option<Findings>) {
            (s.study(&study).manifest().unwrap(), s.study(&study).findings().unwrap())
        };
        assert_eq!(read(here).0, read(there).0);
        assert!(read(there).1.is_none());
    }
}

/// Waits for it.
pub(super) fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}
