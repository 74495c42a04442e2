//! Pushing a store: copying what is new to an object store.
//!
//! What is pushed is what was there when the push looked: manifests and lists are read first and put last, after
//! everything that they speak of. So a push that is interrupted anywhere leaves a store that can be read, and the next
//! one goes on. Nothing is ever removed, unless that is asked for.

use super::objects::Objects;
use super::record::Target;
use super::{Remote, Seen};
use crate::codec::RawId;
use crate::store::{self, FORMAT, FORMAT_VERSION, MARKER, Marker};
use crate::{Damage, Store, StoreError, checkpoint, disk, frame, mounts, writer, zoom};
use futures::lock::Mutex as AsyncMutex;
use futures::{StreamExt, TryStreamExt};
use ontogeny_core::{RunId, Step, StudyId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs that are pushed at once.
const N_RUNS: usize = 8;
/// Lists whose objects are sent together.
const N_LISTS: usize = 256;
/// Lists after which it is written down what was put, so that an interrupted push does not begin again.
const N_NOTED: usize = 4096;

/// What to push, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct PushOptions {
    /// Only say what would be copied.
    pub is_dry: bool,
    /// Remove lists of checkpoints, zooms and events there that their run no longer has here. Objects, segments, runs,
    /// studies and the ledger stay in any case.
    pub prune: bool,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Push {
    /// Runs that are done.
    pub n_runs: usize,
    /// Runs that the store has.
    pub n_all_runs: usize,
    /// Files that were put.
    pub n_files: usize,
    /// Bytes of these.
    pub n_bytes: u64,
}

/// What a push has copied.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Runs that were looked at.
    pub n_runs: usize,
    /// Objects that were put.
    pub n_objects: usize,
    /// Other files that were put, without the record of what was pushed.
    pub n_files: usize,
    /// Bytes of objects and files.
    pub n_bytes: u64,
    /// Files there that are gone here, with their paths in the store; removed if that was asked for.
    pub stale: Vec<String>,
    /// What could not be pushed because it is damaged here, was changed meanwhile, or is another one there. Other runs
    /// are not affected.
    pub problems: Vec<Arc<StoreError>>,
}

struct Pusher<'a> {
    store: &'a Store,
    remote: &'a Remote,
    options: PushOptions,
    objects: AsyncMutex<Objects>,
    pushed: Mutex<Pushed>,
    n_done: AtomicUsize,
    n_all: usize,
    seen: &'a (dyn Fn(Push) + Sync),
}

/// The lists of checkpoints of a run or a zoom: step and hash of the file.
type Lists = Vec<(Step, String)>;

/// A list with the objects that it names.
type List = (BTreeSet<RawId>, Vec<u8>);

/// A zoom as it was when the push looked.
struct Zoom {
    name: String,
    manifest: Vec<u8>,
    lists: Lists,
}

impl Store {
    /// Copies to an object store what is new or changed since the last push. Runs may be written at the same time: of
    /// their logs the acknowledged part is copied. `seen` hears how far it is.
    ///
    /// Objects that nobody needs stay here. A place holds what several stores push to it as long as their runs and
    /// studies have different names and only one of them has a ledger.
    ///
    /// # Errors
    /// [`StoreError::NoBucket`], [`StoreError::Credentials`], [`StoreError::Remote`]: then what was copied so far is
    /// kept, and another push goes on. [`StoreError::NotAStore`] if there is something else. What is wrong with one run
    /// is a problem in the result.
    pub fn push(
        &self,
        remote: &Remote,
        options: PushOptions,
        seen: &(dyn Fn(Push) + Sync),
    ) -> Result<Pushed, StoreError> {
        mounts::refuse(self.path(), "push")?;
        let runs: Vec<RunId> = self.run_names()?.into_iter().filter_map(RunId::new).collect();
        let pusher = Pusher {
            store: self,
            remote,
            options,
            objects: AsyncMutex::new(Objects::new(remote, self.objects_dir(), options.is_dry)),
            pushed: Mutex::default(),
            n_done: AtomicUsize::new(0),
            n_all: runs.len(),
            seen,
        };
        remote.block_on(pusher.all(&runs))?;
        let mut pushed = pusher.pushed.into_inner().unwrap_or_else(PoisonError::into_inner);
        pushed.n_runs = runs.len();
        pushed.stale.sort_unstable();
        pushed.problems.sort_by_key(ToString::to_string);
        Ok(pushed)
    }
}

impl Pusher<'_> {
    fn tell(&self, add: impl FnOnce(&mut Pushed)) {
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut pushed);
        let (n_files, n_bytes) = (pushed.n_objects + pushed.n_files, pushed.n_bytes);
        drop(pushed);
        let n_runs = self.n_done.load(Ordering::Relaxed);
        (self.seen)(Push { n_runs, n_all_runs: self.n_all, n_files, n_bytes });
    }

    fn problem(&self, e: StoreError) {
        self.tell(|p| p.problems.push(Arc::new(e)));
    }

    async fn all(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.mark().await?;
        let each = futures::stream::iter(runs).map(|run| async move {
            let done = self.contained(self.run(run).await.map_err(|e| e.of_run(run)));
            self.n_done.fetch_add(1, Ordering::Relaxed);
            self.tell(|_| ());
            done
        });
        each.buffer_unordered(N_RUNS).try_collect::<Vec<()>>().await?;
        for study in self.store.studies()? {
            self.contained(self.study(&study).await)?;
        }
        self.contained(self.ledger().await)
    }

    /// What is wrong with the object store ends the push; anything else is a problem of one run, study or the ledger.
    fn contained(&self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        match done {
            Err(
                e @ (StoreError::NoBucket { .. }
                | StoreError::Credentials { .. }
                | StoreError::Remote { .. }),
            ) => Err(e),
            Err(e) => {
                self.problem(e);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Makes the place a store, or sees that it is one.
    async fn mark(&self) -> Result<(), StoreError> {
        let url = || PathBuf::from(self.remote.url_of(MARKER));
        if let Some(bytes) = self.remote.get_all(MARKER).await? {
            let found: Marker =
                serde_json::from_slice(&bytes).map_err(|e| StoreError::json(&url(), e))?;
            if found.format != FORMAT {
                return Err(StoreError::NotAStore { path: self.remote.url().into() });
            }
            if found.version > FORMAT_VERSION {
                let (found, supported) = (found.version, FORMAT_VERSION);
                return Err(StoreError::Newer { path: url(), found, supported });
            }
            return Ok(());
        }
        let there = self.remote.list_folder("").await?;
        if !there.files.is_empty() || !there.folders.is_empty() {
            return Err(StoreError::NotAStore { path: self.remote.url().into() });
        }
        let bytes = disk::read(&self.store.path().join(MARKER))?;
        if !self.options.is_dry {
            self.remote.put(MARKER, bytes).await?;
        }
        Ok(())
    }

    async fn run(&self, run: &RunId) -> Result<(), StoreError> {
        let dir = self.store.run_dir(run);
        // First what speaks of other files: these are there when they are read, or a later version of them.
        let manifest = store::read_manifest(&dir, run)?;
        let manifest_bytes = disk::read(&writer::manifest_path(&dir))?;
        let lists = lists(&dir)?;
        let zooms = zooms(&dir)?;
        let created = Some(manifest.created_unix_secs);
        let rel = format!("runs/{run}");
        let mut target = Target::open(self.remote, rel, created, self.options.is_dry).await?;
        let put = self.run_files(&mut target, &dir, &lists, &zooms, manifest_bytes).await;
        // What was put is written down also where something has failed.
        let saved = target.save().await;
        put.and(saved)
    }

    async fn run_files(
        &self,
        target: &mut Target<'_>,
        dir: &Path,
        lists: &Lists,
        zooms: &[Zoom],
        manifest: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.tapes(target, dir, "").await?;
        self.events(target, dir).await?;
        self.lists(target, dir, "", lists).await?;
        for zoom in zooms {
            let (inside, dir) =
                (format!("zooms/{}/", zoom.name), zoom::dir_of(dir).join(&zoom.name));
            self.tapes(target, &dir, &inside).await?;
            self.lists(target, &dir, &inside, &zoom.lists).await?;
            self.put(target, &format!("{inside}manifest.json"), zoom.manifest.clone()).await?;
        }
        self.put(target, "manifest.json", manifest).await?;
        self.stale(target).await
    }

    async fn put(
        &self,
        target: &mut Target<'_>,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        if let Some(n) = target.put(name, bytes).await? {
            self.tell(|p| (p.n_files, p.n_bytes) = (p.n_files + 1, p.n_bytes + n));
        }
        Ok(())
    }

    /// The acknowledged part of the log, and the segments before it. A reader there reads the log first, so the segments
    /// come first, in their order, and of each the Parquet file last: it does not look for what is beside it before.
    async fn tapes(
        &self,
        target: &mut Target<'_>,
        dir: &Path,
        inside: &str,
    ) -> Result<(), StoreError> {
        for kind in ["metrics", "tensors"] {
            let dir = dir.join(kind);
            let path = dir.join("live.log");
            let log = disk::read_if_there(&path)?;
            let mut names = disk::names(&dir)?;
            names.retain(|n| n.starts_with("seg-"));
            names.sort_by_key(|n| {
                let (number, rest) = n.split_once('.').unwrap_or((n, ""));
                (number.to_owned(), rest == "parquet", n.clone())
            });
            for name in names {
                let to = format!("{inside}{kind}/{name}");
                match self.segment(target, &dir, &name, &to).await {
                    // Merged with others meanwhile: the next push brings what has its rows.
                    Err(StoreError::Io { path, source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound =>
                    {
                        return Err(StoreError::Changed { path });
                    }
                    put => put?,
                }
            }
            if let Some(mut bytes) = log {
                let acked = frame::acknowledged(&bytes);
                bytes.truncate(acked.map_err(|d| StoreError::damaged(&path, d))?);
                self.put(target, &format!("{inside}{kind}/live.log"), bytes).await?;
            }
        }
        Ok(())
    }

    /// A file of a segment. It never changes once it has its name, so its length tells whether it is there.
    async fn segment(
        &self,
        target: &mut Target<'_>,
        dir: &Path,
        name: &str,
        rel: &str,
    ) -> Result<(), StoreError> {
        let path = dir.join(name);
        target.keep(rel);
        let n_bytes = disk::size_bytes(&path);
        if n_bytes.is_some() && n_bytes == target.n_bytes(rel) {
            return Ok(());
        }
        let is_sealed = disk::checksum_path(&path).is_file() && name.ends_with(".parquet");
        let sealed = if is_sealed { disk::read_sealed(&path)? } else { None };
        let bytes = sealed.map_or_else(|| disk::read(&path), Ok)?;
        self.put(target, rel, bytes).await
    }

    /// The table of events is replaced as on disk: at every moment the checksum file vouches for the one that is there.
    async fn events(&self, target: &mut Target<'_>, dir: &Path) -> Result<(), StoreError> {
        let (table, sums) = ("events.parquet", "events.b3");
        let Some(bytes) = disk::read_sealed(&dir.join(table))? else { return Ok(()) };
        let new = disk::sum_line(Path::new(table), blake3::hash(&bytes));
        let is_replaced = target.n_bytes(table).is_some() && !target.has(table, &new[..64]);
        if is_replaced {
            let old = self.remote.get_all(&target.path(sums)).await?.unwrap_or_default();
            let old = String::from_utf8_lossy(&old).into_owned();
            if !self.options.is_dry && !old.contains(&new) {
                target.put(sums, format!("{new}{old}").into_bytes()).await?;
            }
        } else {
            self.put(target, sums, new.clone().into_bytes()).await?;
        }
        self.put(target, table, bytes).await?;
        if is_replaced { self.put(target, sums, new.into_bytes()).await } else { Ok(()) }
    }

    /// Lists of checkpoints, each after the objects that it needs.
    async fn lists(
        &self,
        target: &mut Target<'_>,
        dir: &Path,
        inside: &str,
        lists: &Lists,
    ) -> Result<(), StoreError> {
        let rel = |step: Step| format!("{inside}checkpoints/{step}.json");
        let mut new: Vec<&(Step, String)> = Vec::new();
        for list in lists {
            target.keep(&rel(list.0));
            if !target.has(&rel(list.0), &list.1) {
                new.push(list);
            }
        }
        let mut n_unnoted = 0;
        for batch in new.chunks(N_LISTS) {
            let mut needs: Vec<BTreeSet<RawId>> = Vec::new();
            let mut files: Vec<(Step, Vec<u8>)> = Vec::new();
            for (step, hash) in batch {
                match read_list(dir, *step, hash) {
                    Ok(Some((need, bytes))) => {
                        needs.push(need);
                        files.push((*step, bytes));
                    }
                    Ok(None) => {} // The run has gone back meanwhile.
                    Err(e) => self.problem(e),
                }
            }
            let mut objects = self.objects.lock().await;
            let told =
                |n| self.tell(|p| (p.n_objects, p.n_bytes) = (p.n_objects + 1, p.n_bytes + n));
            let obstacles = objects.ensure(&needs, told).await?;
            drop(objects);
            let mut whole = Vec::new();
            for ((step, bytes), obstacle) in files.into_iter().zip(obstacles) {
                match obstacle {
                    Some(e) => self.tell(|p| p.problems.push(e)),
                    None => whole.push((rel(step), bytes)),
                }
            }
            n_unnoted += whole.len();
            self.put_together(target, whole).await?;
            if n_unnoted >= N_NOTED {
                n_unnoted = 0;
                target.save().await?;
            }
        }
        Ok(())
    }

    /// Puts files that do not depend on one another.
    async fn put_together(
        &self,
        target: &mut Target<'_>,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let is_dry = self.options.is_dry;
        let paths: Vec<_> = files.into_iter().map(|(n, b)| (target.path(&n), n, b)).collect();
        let puts = futures::stream::iter(paths).map(|(path, name, bytes)| async move {
            let (hash, n) = (blake3::hash(&bytes).to_hex().to_string(), bytes.len() as u64);
            let etag = if is_dry { String::new() } else { self.remote.put(&path, bytes).await? };
            self.tell(|p| (p.n_files, p.n_bytes) = (p.n_files + 1, p.n_bytes + n));
            Ok::<_, StoreError>((name, hash, Seen { n_bytes: n, etag }))
        });
        let mut puts = puts.buffer_unordered(super::N_REQUESTS);
        while let Some(put) = puts.next().await {
            let (name, hash, seen) = put?;
            if !is_dry {
                let etag = super::plain_tag(Some(&seen.etag));
                target.note(&name, seen.n_bytes, hash, etag);
            }
        }
        Ok(())
    }

    /// Files there that the run no longer has.
    async fn stale(&self, target: &mut Target<'_>) -> Result<(), StoreError> {
        for name in target.stale() {
            let is_list = name.starts_with("checkpoints/");
            // Segments that were merged since: readers there pass over them.
            let is_segment = name.starts_with("metrics/seg-");
            let is_kind = is_list || is_segment || name.starts_with("zooms/");
            if !is_kind && !name.starts_with("events.") {
                continue;
            }
            if self.options.prune && !self.options.is_dry {
                target.remove(&name).await?;
            }
            let path = target.path(&name);
            self.tell(|p| p.stale.push(path));
        }
        Ok(())
    }

    /// A study: figures and report, then what was found.
    async fn study(&self, study: &StudyId) -> Result<(), StoreError> {
        let dir = self.store.study(study).path().to_path_buf();
        let mut target =
            Target::open(self.remote, format!("studies/{study}"), None, self.options.is_dry)
                .await?;
        let first = ["manifest.json", "findings.json", "report.html"].map(|name| {
            disk::read_if_there(&dir.join(name)).map(|bytes| bytes.map(|b| (name.to_owned(), b)))
        });
        let first = first.into_iter().collect::<Result<Vec<_>, _>>()?;
        for name in disk::names(&dir.join("figures"))?.iter().filter(|n| !n.starts_with('.')) {
            if let Some(bytes) = disk::read_if_there(&dir.join("figures").join(name))? {
                self.put(&mut target, &format!("figures/{name}"), bytes).await?;
            }
        }
        for (name, bytes) in first.into_iter().flatten().rev() {
            self.put(&mut target, &name, bytes).await?;
        }
        target.save().await
    }

    /// The ledger: only ever continued, lines before the head that counts them.
    async fn ledger(&self) -> Result<(), StoreError> {
        let Some(here) = self.store.ledger().snapshot()? else { return Ok(()) };
        let (lines, head) = ("ledger.jsonl", "head.json");
        let mut target =
            Target::open(self.remote, "ledger".to_owned(), None, self.options.is_dry).await?;
        let hash = blake3::hash(&here.lines).to_hex();
        if target.n_bytes(lines).is_some() && !target.has(lines, &hash) {
            let there = self.remote.get_all(&target.path(lines)).await?.unwrap_or_default();
            if !here.lines.starts_with(&there) {
                let (what, url) = ("the ledger".to_owned(), self.remote.url_of("ledger"));
                return Err(StoreError::Diverged { what, url });
            }
        }
        if target.n_bytes(head).is_none() {
            // As on disk: several entries without a head would look as if it had been removed.
            self.put(&mut target, head, here.first_head).await?;
        }
        self.put(&mut target, lines, here.lines).await?;
        self.put(&mut target, head, here.head).await?;
        target.save().await
    }
}

/// The lists of checkpoints of a run or a zoom as they are now.
fn lists(dir: &Path) -> Result<Lists, StoreError> {
    let mut lists = Vec::new();
    for step in checkpoint::steps(dir)? {
        if let Some(bytes) = disk::read_if_there(&checkpoint::index_path(dir, step))? {
            lists.push((step, blake3::hash(&bytes).to_hex().to_string()));
        }
    }
    Ok(lists)
}

fn zooms(run_dir: &Path) -> Result<Vec<Zoom>, StoreError> {
    let dir = zoom::dir_of(run_dir);
    let mut zooms = Vec::new();
    for name in disk::folders(&dir)?.into_iter().filter(|n| !n.starts_with('.')) {
        // Without a manifest it is being removed.
        if let Some(manifest) = disk::read_if_there(&dir.join(&name).join("manifest.json"))? {
            let lists = lists(&dir.join(&name))?;
            zooms.push(Zoom { name, manifest, lists });
        }
    }
    Ok(zooms)
}

/// A list that has this hash, with the objects that it names; `None` if it is gone.
fn read_list(dir: &Path, step: Step, hash: &str) -> Result<Option<List>, StoreError> {
    let path = checkpoint::index_path(dir, step);
    let chunks = checkpoint::chunks_named(dir, step)?;
    let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
    if blake3::hash(&bytes).to_hex().as_str() != hash {
        return Err(StoreError::Changed { path });
    }
    let mut needed = BTreeSet::new();
    for chunk in chunks {
        let damage = || Damage::Chunk { chunk: chunk.as_str().to_owned() };
        needed.insert(chunk.to_raw().ok_or_else(|| StoreError::damaged(&path, damage()))?);
    }
    Ok(Some((needed, bytes)))
}
