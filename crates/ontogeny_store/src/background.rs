//! Checkpoints are compressed and written beside the training, by a thread of their own.
//!
//! Jobs are done in their order. Those that wait when the thread comes back are done together: their rows, chunks
//! and lists are synced at once, rows first and lists last. What waits is bounded in memory; who brings more waits.

use crate::checkpoint::{self, CheckpointInfo, OwnedTensor, TensorView};
use crate::chunks::{ChunkId, Chunks};
use crate::writer::write_manifest;
use crate::{StoreError, faults};
use ontogeny_core::{RunManifest, Step};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Bytes of checkpoints that may wait, unless it is only one.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Jobs that may wait.
const MAX_WAITING: usize = 32;

/// Where checkpoints of a run or zoom go, the chunks of its store, and what the next one is stored against.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) dir: PathBuf,
    pub(crate) chunks: Chunks,
    pub(crate) last_chunks: Vec<ChunkId>,
}

impl Recorder {
    /// Writes one checkpoint durably.
    pub(crate) fn write(
        &mut self,
        step: Step,
        tensors: &[TensorView<'_>],
        extra: serde_json::Value,
    ) -> Result<CheckpointInfo, StoreError> {
        // No garbage is collected between the first chunk and the list.
        let _inside = self.chunks.enter()?;
        let stored =
            checkpoint::store(&mut self.chunks, &mut self.last_chunks, step, tensors, extra)?;
        self.chunks.sync()?;
        checkpoint::show(&self.dir, std::slice::from_ref(&stored))?;
        Ok(stored.info)
    }
}

/// A log with rows that must be durable first.
#[derive(Debug, Clone)]
pub(crate) struct LogMark {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) generation: u32,
    pub(crate) end: u64,
}

/// Something to be written later.
#[derive(Debug)]
pub(crate) enum Job {
    Checkpoint {
        step: Step,
        tensors: Vec<OwnedTensor>,
        extra: serde_json::Value,
        logs: [LogMark; 2],
    },
    Manifest(Box<RunManifest>),
}

impl Job {
    fn n_bytes(&self) -> usize {
        match self {
            Self::Checkpoint { tensors, .. } => tensors.iter().map(|t| t.bytes.len()).sum(),
            Self::Manifest(_) => 0,
        }
    }
}

/// Why jobs were not done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    /// An fsync of the logs failed: what is on disk is unknown.
    pub(crate) logs_are_lost: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Job>,
    n_bytes: usize,
    is_working: bool,
    is_closed: bool,
    is_dead: bool,
    failure: Option<Failure>,
    /// Logs as far as they are known to be durable.
    synced: Option<[LogMark; 2]>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_while(state, |s| !until(s) && !s.is_dead);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread, and what waits for it.
#[derive(Debug)]
pub(crate) struct Background {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start(recorder: Arc<Mutex<Recorder>>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let work = move || {
            let _last_words = LastWords(&theirs);
            run(&theirs, &recorder);
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(work)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands over a job, waiting for room.
    pub(crate) fn give(&mut self, job: Job) -> Result<(), Failure> {
        let n = job.n_bytes();
        let room = |s: &State| {
            s.failure.is_some()
                || s.waiting.is_empty()
                || s.waiting.len() < MAX_WAITING && s.n_bytes + n <= MAX_WAITING_BYTES
        };
        let mut state = self.shared.wait(self.shared.lock(), room);
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        state.n_bytes += n;
        state.waiting.push(job);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits until everything is done; tells how far the logs are durable.
    pub(crate) fn drain(&mut self) -> Result<Option<[LogMark; 2]>, Failure> {
        let idle = |s: &State| s.waiting.is_empty() && !s.is_working;
        let mut state = self.shared.wait(self.shared.lock(), idle);
        if state.is_dead {
            drop(state);
            self.join();
            return Ok(None);
        }
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(state.synced.take()),
        }
    }

    /// How far the logs are durable, if that has changed.
    pub(crate) fn synced(&self) -> Option<[LogMark; 2]> {
        self.shared.lock().synced.take()
    }

    fn join(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        self.join();
    }
}

/// However the thread ends, nobody waits for it for ever.
struct LastWords<'a>(&'a Shared);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        self.0.lock().is_dead = true;
        self.0.changed.notify_all();
    }
}

fn run(shared: &Shared, recorder: &Mutex<Recorder>) {
    loop {
        let mut state = shared.wait(shared.lock(), |s| s.is_closed || !s.waiting.is_empty());
        if state.waiting.is_empty() {
            return;
        }
        let jobs = std::mem::take(&mut state.waiting);
        state.n_bytes = 0;
        state.is_working = true;
        drop(state);
        shared.changed.notify_all();
        let done = do_together(jobs, &mut recorder.lock().unwrap_or_else(PoisonError::into_inner));
        let mut state = shared.lock();
        state.is_working = false;
        match done {
            Ok(synced) => state.synced = synced.or(state.synced.take()),
            Err(failure) => {
                // What came after it may build on it.
                state.waiting.clear();
                state.n_bytes = 0;
                state.failure.get_or_insert(failure);
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
}

fn do_together(jobs: Vec<Job>, to: &mut Recorder) -> Result<Option<[LogMark; 2]>, Failure> {
    let failed = |error| Failure { error, logs_are_lost: false };
    let marks = jobs.iter().rev().find_map(|job| match job {
        Job::Checkpoint { logs, .. } => Some(logs.clone()),
        Job::Manifest(_) => None,
    });
    let has_checkpoints = marks.is_some();
    // No garbage is collected between the first chunk and the last list.
    let _inside = has_checkpoints.then(|| to.chunks.enter()).transpose().map_err(failed)?;
    let (mut lists, mut manifest) = (Vec::new(), None);
    for job in jobs {
        match job {
            Job::Manifest(m) => manifest = Some(m),
            Job::Checkpoint { step, tensors, extra, logs } => {
                // Rows of an earlier log were sealed or written again, or this one is synced below.
                let is_last = |mark: &LogMark| {
                    let marks = marks.iter().flatten();
                    marks.into_iter().any(|m| Arc::ptr_eq(&m.file, &mark.file))
                };
                for mark in logs.iter().filter(|m| !is_last(m)) {
                    sync_log(mark)?;
                }
                let views: Vec<_> = tensors.iter().map(OwnedTensor::view).collect();
                let list =
                    checkpoint::store(&mut to.chunks, &mut to.last_chunks, step, &views, extra);
                lists.push(list.map_err(failed)?);
            }
        }
    }
    marks.iter().flatten().try_for_each(sync_log)?;
    to.chunks.sync().map_err(failed)?;
    checkpoint::show(&to.dir, &lists).map_err(failed)?;
    if let Some(manifest) = manifest {
        write_manifest(&to.dir, &manifest).map_err(failed)?;
    }
    Ok(marks)
}

fn sync_log(mark: &LogMark) -> Result<(), Failure> {
    let synced = faults::sync(&mark.path, || mark.file.sync_data());
    synced
        .map_err(|e| Failure { error: StoreError::io("sync", &mark.path, e), logs_are_lost: true })
}
