//! Writing one run.

use crate::background::{Background, Failure, Job, LogMark, Recorder};
use crate::checkpoint::{self, CheckpointInfo, OwnedTensor, TensorView};
use crate::chunks::{ChunkId, Chunks};
use crate::lock::Lock;
use crate::merging::Merger;
use crate::rows::RowBlock;
use crate::tape::{Tape, TornTail};
use crate::tensors::{TensorBlock, ValuesRef};
use crate::{StoreError, disk};
use ontogeny_core::{Clocks, Event, RunId, RunManifest, Step};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Live rows from which a checkpoint seals, so that what is sealed lies before the place of a later resume.
const SEAL_ROWS_AT_CHECKPOINT: usize = 1 << 18;
/// Live rows from which an append seals.
const SEAL_ROWS: usize = 1 << 20;
/// Live bytes of tensors from which a checkpoint seals, and four times that for an append.
const SEAL_BYTES_AT_CHECKPOINT: u64 = 16 << 20;

/// Writes one run. At any time there is one writer of a run, in all processes together; dropping it, or the
/// death of its process, frees the run.
///
/// Appended rows wait in memory. [`RunWriter::flush`] shows them to readers; [`RunWriter::sync`] and
/// [`RunWriter::checkpoint`] acknowledge them: from then on neither `kill -9` nor a power loss takes them away.
#[derive(Debug)]
pub struct RunWriter {
    dir: PathBuf,
    manifest: RunManifest,
    metrics: Tape<RowBlock>,
    tensors: Tape<TensorBlock>,
    recorder: Arc<Mutex<Recorder>>,
    background: Option<Background>,
    pub(crate) merger: Merger,
    torn: Vec<TornTail>,
    scratch: Vec<u8>,
    _lock: Lock,
}

pub(crate) fn manifest_path(dir: &Path) -> PathBuf {
    dir.join("manifest.json")
}

/// Replaces the manifest, unless it could not be read back: JSON has no NaN, and a clock may be one.
pub(crate) fn write_manifest(dir: &Path, manifest: &RunManifest) -> Result<(), StoreError> {
    let path = manifest_path(dir);
    disk::check_readable::<RunManifest>(&path, manifest)?;
    disk::replace_json(&path, manifest)
}

/// Chunks of the last checkpoint of a run, or of the one at which it was forked off: the next one will be like
/// it. Whether they can be read shows when they are used.
fn chunks_before(dir: &Path, manifest: &RunManifest) -> Vec<ChunkId> {
    let parent = || {
        let fork = manifest.fork.as_ref()?;
        let parent = dir.parent()?.join(fork.parent.as_str());
        checkpoint::last_step(&parent, fork.step).map(|step| (parent, step))
    };
    let own = checkpoint::last_step(dir, Step(u64::MAX)).map(|step| (dir.to_path_buf(), step));
    own.or_else(parent).map_or_else(Vec::new, |(dir, step)| checkpoint::chunks_of(&dir, step))
}

impl RunWriter {
    pub(crate) fn open(
        store: &Path,
        dir: PathBuf,
        manifest: RunManifest,
        lock: Lock,
    ) -> Result<Self, StoreError> {
        let run = &manifest.run;
        disk::remove_leftovers(&dir)?;
        disk::remove_leftovers(&dir.join("checkpoints"))?;
        let (metrics, torn_metrics) = Tape::open(&dir, run).map_err(|e| e.of_run(run))?;
        let (tensors, torn_tensors) = Tape::open(&dir, run).map_err(|e| e.of_run(run))?;
        let recorder = Recorder {
            dir: dir.clone(),
            chunks: Chunks::new(store),
            last_chunks: chunks_before(&dir, &manifest),
        };
        let merger = Merger::new(metrics.dir(), run);
        Ok(Self {
            dir,
            merger,
            metrics,
            tensors,
            recorder: Arc::new(Mutex::new(recorder)),
            background: None,
            torn: torn_metrics.into_iter().chain(torn_tensors).collect(),
            scratch: Vec::new(),
            manifest,
            _lock: lock,
        })
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.manifest.run
    }

    /// The folder of the run.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The manifest as it is on disk.
    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// What a crash had left unfinished and opening has cut; nothing in it was ever acknowledged.
    pub fn torn_tails(&self) -> &[TornTail] {
        &self.torn
    }

    /// Appends readings `(name, unit, value)` of one step. NaN and infinities are kept bit for bit.
    ///
    /// A second reading of a name at a step replaces the first when read.
    ///
    /// # Errors
    /// [`StoreError::UnitChanged`] if a name came with another unit before; then none of these readings is
    /// kept. [`StoreError::Full`] and the like if gathered rows cannot be written: they stay in memory.
    pub fn append(
        &mut self,
        step: Step,
        clocks: Clocks,
        readings: &[(&str, &str, f64)],
    ) -> Result<(), StoreError> {
        self.metrics.append_readings(&mut self.scratch, step, clocks, readings)?;
        if self.metrics.n_live() >= SEAL_ROWS { self.seal() } else { Ok(()) }
    }

    /// Appends a vector-valued reading in single precision, row-major.
    ///
    /// # Errors
    /// As [`RunWriter::append`].
    ///
    /// # Panics
    /// If the shape does not hold as many values as are given.
    pub fn append_tensor(
        &mut self,
        step: Step,
        name: &str,
        unit: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<(), StoreError> {
        self.append_values(step, name, unit, shape, ValuesRef::F32(values))
    }

    /// Appends a vector-valued reading in double precision, row-major.
    ///
    /// # Errors
    /// As [`RunWriter::append`].
    ///
    /// # Panics
    /// If the shape does not hold as many values as are given.
    pub fn append_tensor_f64(
        &mut self,
        step: Step,
        name: &str,
        unit: &str,
        shape: &[usize],
        values: &[f64],
    ) -> Result<(), StoreError> {
        self.append_values(step, name, unit, shape, ValuesRef::F64(values))
    }

    fn append_values(
        &mut self,
        step: Step,
        name: &str,
        unit: &str,
        shape: &[usize],
        values: ValuesRef<'_>,
    ) -> Result<(), StoreError> {
        self.tensors.append_values(step, name, unit, shape, values)?;
        if self.tensors.live_bytes() >= 4 * SEAL_BYTES_AT_CHECKPOINT {
            self.tensors.seal()?;
        }
        Ok(())
    }

    /// Shows everything appended to readers. It survives the death of this process, but not a power loss.
    ///
    /// # Errors
    /// If the log cannot be written; the rows stay in memory.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.metrics.flush()?;
        self.tensors.flush()
    }

    /// Acknowledges everything appended, and every checkpoint that was to be written later: when this returns, it
    /// is on disk.
    ///
    /// # Errors
    /// If it is not; after a failed fsync the writer refuses further work ([`StoreError::Poisoned`]).
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.drain()?;
        self.metrics.sync()?;
        self.tensors.sync()
    }

    /// Stores the exact state at `step` and acknowledges it, and with it everything appended so far.
    ///
    /// # Errors
    /// If it cannot be written; then there is no checkpoint at this step, or the one that was there.
    ///
    /// # Panics
    /// If the shape of a tensor does not fit its bytes.
    pub fn checkpoint(
        &mut self,
        step: Step,
        tensors: &[TensorView<'_>],
        extra: serde_json::Value,
    ) -> Result<CheckpointInfo, StoreError> {
        // Who resumes here relies on the rows before it.
        self.sync()?;
        let info = self.recorder().write(step, tensors, extra)?;
        self.seal_what_has_gathered()?;
        Ok(info)
    }

    /// Stores the exact state at `step` beside what goes on, and returns as soon as there is room for it in memory
    /// (64 MiB, or one checkpoint). [`RunWriter::sync`] waits until it is acknowledged; until then it may be gone
    /// after a crash, and with it every later one. A checkpoint that is there has its rows: those appended before
    /// this call are on disk first.
    ///
    /// # Errors
    /// If this, or one that was given earlier, cannot be written; then none of those that waited is.
    ///
    /// # Panics
    /// If the shape of a tensor does not fit its bytes; the next call tells.
    pub fn checkpoint_later(
        &mut self,
        step: Step,
        tensors: Vec<OwnedTensor>,
        extra: serde_json::Value,
    ) -> Result<(), StoreError> {
        if let Some(marks) = self.background.as_ref().and_then(Background::synced) {
            self.was_synced(&marks);
        }
        let logs = [self.metrics.mark()?, self.tensors.mark()?];
        self.give(Job::Checkpoint { step, tensors, extra, logs })?;
        self.seal_what_has_gathered()
    }

    fn seal_what_has_gathered(&mut self) -> Result<(), StoreError> {
        if self.metrics.n_live() >= SEAL_ROWS_AT_CHECKPOINT {
            self.metrics.seal()?;
            self.merger.look(self.metrics.n_sealed());
        }
        if self.tensors.live_bytes() >= SEAL_BYTES_AT_CHECKPOINT {
            self.tensors.seal()?;
        }
        Ok(())
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&mut self, job: Job) -> Result<(), StoreError> {
        if self.background.is_none() {
            let started = Background::start(Arc::clone(&self.recorder));
            let started =
                started.map_err(|e| StoreError::io("start a thread for", &self.dir, e))?;
            self.background = Some(started);
        }
        let Some(background) = &mut self.background else { return Ok(()) };
        let given = background.give(job);
        given.map_err(|failure| self.failed(failure))
    }

    /// Waits for everything that is written later.
    fn drain(&mut self) -> Result<(), StoreError> {
        let Some(background) = &mut self.background else { return Ok(()) };
        match background.drain() {
            Ok(marks) => {
                if let Some(marks) = marks {
                    self.was_synced(&marks);
                }
                Ok(())
            }
            Err(failure) => Err(self.failed(failure)),
        }
    }

    fn was_synced(&mut self, [metrics, tensors]: &[LogMark; 2]) {
        self.metrics.was_synced(metrics);
        self.tensors.was_synced(tensors);
    }

    fn failed(&mut self, failure: Failure) -> StoreError {
        if failure.logs_are_lost {
            self.metrics.poison();
            self.tensors.poison();
        }
        failure.error
    }

    /// Steps that have a checkpoint, in order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn checkpoints(&self) -> Result<Vec<Step>, StoreError> {
        checkpoint::steps(&self.dir)
    }

    /// Replaces the events of the run, durably.
    ///
    /// # Errors
    /// If they cannot be written; then the old ones stay.
    pub fn write_events(&mut self, events: &[Event]) -> Result<(), StoreError> {
        crate::events::write(&self.dir, &self.manifest.run, events)
    }

    /// Replaces the manifest, durably.
    ///
    /// # Errors
    /// If it cannot be written, or not be read back because a clock is NaN or infinite; then the old one stays.
    ///
    /// # Panics
    /// If the manifest is that of another run.
    pub fn set_manifest(&mut self, manifest: &RunManifest) -> Result<(), StoreError> {
        self.check_owner(manifest);
        self.drain()?;
        write_manifest(&self.dir, manifest)?;
        self.manifest = manifest.clone();
        Ok(())
    }

    /// Replaces the manifest after the checkpoints that wait to be written; of several that wait, the last one
    /// counts. [`RunWriter::sync`] waits for it. [`RunWriter::manifest`] gives it at once.
    ///
    /// # Errors
    /// As [`RunWriter::checkpoint_later`].
    ///
    /// # Panics
    /// If the manifest is that of another run.
    pub fn set_manifest_later(&mut self, manifest: &RunManifest) -> Result<(), StoreError> {
        self.check_owner(manifest);
        self.give(Job::Manifest(Box::new(manifest.clone())))?;
        self.manifest = manifest.clone();
        Ok(())
    }

    fn check_owner(&self, manifest: &RunManifest) {
        assert!(
            manifest.run == self.manifest.run,
            "the manifest of {} was given to the writer of {}",
            manifest.run,
            self.manifest.run
        );
    }

    /// Turns the live logs into Parquet segments. Done by itself when much has gathered; call it when a run
    /// ends, so that every tool finds all of its rows.
    ///
    /// Where that makes eight segments of rows of about one size, they are merged into one, beside what goes on, by a
    /// thread of its own; dropping the writer waits for it. If that fails they stay, and nothing is lost.
    ///
    /// # Errors
    /// If a segment cannot be written; the rows stay in the log.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        self.metrics.seal().map_err(|e| e.of_run(&self.manifest.run))?;
        self.merger.look(self.metrics.n_sealed());
        self.tensors.seal().map_err(|e| e.of_run(&self.manifest.run))
    }

    /// Forgets rows, vector-valued readings and checkpoints after `last`, for a run that goes on from there and
    /// will record them again. Events stay until they are replaced.
    ///
    /// Sealed rows are not changed: what is void in them is noted, and left out by [`crate::RunReader`].
    ///
    /// # Errors
    /// If the logs cannot be read or replaced.
    pub fn truncate_after(&mut self, last: Step) -> Result<(), StoreError> {
        // Checkpoints first: one without the rows before it would break a promise, rows without one do not.
        self.drain()?;
        self.merger.wait();
        let run = &self.manifest.run;
        checkpoint::truncate_after(&self.dir, last)?;
        self.recorder().last_chunks = chunks_before(&self.dir, &self.manifest);
        self.metrics.truncate_after(last).map_err(|e| e.of_run(run))?;
        self.tensors.truncate_after(last).map_err(|e| e.of_run(run))
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        // The thread finishes what waits. Its failure and this one find no ear here: who must know calls `sync`.
        self.background = None;
        // Best effort: what was not synced was not acknowledged, but there is no reason to lose it.
        let _ = self.flush();
        if !std::thread::panicking() {
            self.merger.finish(self.metrics.n_sealed());
        }
        self.merger.wait();
    }
}
