//! Zooms: denser readings of a stretch of a run, kept beside what was recorded.
//!
//! A zoom is the folder `zooms/<id>/` of its run: a manifest, tapes of its own, and checkpoints if they were
//! wanted. It is made under a temporary name and appears whole or not at all; no file of the run itself is
//! opened for writing, and removing a zoom leaves the run as it was.

use crate::background::Recorder;
use crate::checkpoint::{CheckpointInfo, TensorView};
use crate::chunks::Chunks;
use crate::lock::{self, Lock};
use crate::rows::RowBlock;
use crate::tape::{Block, Snapshot, Tape};
use crate::tensors::{TensorBlock, ValuesRef};
use crate::{Damage, Store, StoreError, disk, faults, mounts, store, tape};
use ontogeny_core::{Clocks, RunId, Step, ZoomId, ZoomManifest, nearest};
use std::fs;
use std::path::{Path, PathBuf};

/// The zooms of a run.
#[derive(Debug, Default)]
pub struct ZoomListing {
    /// Zooms whose manifest is readable, in the order in which they were made.
    pub zooms: Vec<ZoomManifest>,
    /// Folders that should be zooms and cannot be read, sorted by name, with the reason.
    pub damaged: Vec<(String, StoreError)>,
}

/// Writes one zoom, out of sight until [`ZoomWriter::publish`]. Dropped before that, nothing of it is left;
/// after a crash the next zoom of the run clears it away.
#[derive(Debug)]
pub struct ZoomWriter {
    run: RunId,
    zooms: PathBuf,
    metrics: Tape<RowBlock>,
    tensors: Tape<TensorBlock>,
    /// Its folder is that of the zoom, under its temporary name.
    recorder: Recorder,
    scratch: Vec<u8>,
    is_published: bool,
    _lock: Lock,
}

pub(crate) fn dir_of(run_dir: &Path) -> PathBuf {
    run_dir.join("zooms")
}

pub(crate) fn list(run_dir: &Path, run: &RunId) -> Result<ZoomListing, StoreError> {
    let dir = dir_of(run_dir);
    let mut listing = ZoomListing::default();
    for name in disk::folders(&dir)? {
        let Some(id) = ZoomId::new(name.as_str()) else { continue };
        match read_manifest(&dir.join(&name), run, &id) {
            Ok(manifest) => listing.zooms.push(manifest),
            Err(e) => listing.damaged.push((name, e)),
        }
    }
    listing.zooms.sort_by(|a, b| {
        a.created_unix_secs.total_cmp(&b.created_unix_secs).then_with(|| a.id.cmp(&b.id))
    });
    Ok(listing)
}

fn read_manifest(dir: &Path, run: &RunId, id: &ZoomId) -> Result<ZoomManifest, StoreError> {
    let path = dir.join("manifest.json");
    let manifest: ZoomManifest = store::read_versioned(&path, run, ZoomManifest::FORMAT_VERSION)?;
    if (&manifest.run, &manifest.id) != (run, id) {
        let found = format!("zoom {} of run {}", manifest.id, manifest.run);
        return Err(StoreError::damaged(&path, Damage::Misplaced { found }).of_run(run));
    }
    Ok(manifest)
}

/// The rows of a zoom.
pub(crate) fn read<B: Block>(zoom_dir: &Path, run: &RunId) -> Result<Snapshot<B>, StoreError> {
    tape::read(&zoom_dir.join(B::KIND), run).map_err(|e| e.of_run(run))
}

/// Removes what unfinished zooms of dead processes have left: their lock is free.
fn clear_leftovers(zooms: &Path) -> Result<(), StoreError> {
    for name in disk::names(zooms)?.into_iter().filter(|n| n.starts_with(".tmp-")) {
        let dir = zooms.join(name);
        let lock = dir.join("lock");
        if lock.is_file() && lock::free(&lock)?.is_some() {
            fs::remove_dir_all(&dir).map_err(|e| StoreError::io("remove", &dir, e))?;
        }
    }
    Ok(())
}

impl Store {
    /// The zooms of a run. A damaged one is listed as such and hurts no other.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`]; if the folder cannot be listed.
    pub fn zooms(&self, run: &RunId) -> Result<ZoomListing, StoreError> {
        list(&self.existing(run)?, run)
    }

    /// Begins a zoom of a run, out of sight. The run may be written at the same time: nothing of it is touched.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`]; errors of the file system.
    pub fn begin_zoom(&self, run: &RunId) -> Result<ZoomWriter, StoreError> {
        let zooms = dir_of(&self.existing(run)?);
        disk::create_dir(&zooms)?;
        clear_leftovers(&zooms)?;
        let dir = disk::create_tmp_dir(&zooms)?;
        let lock = lock::wait(&dir.join("lock"))?;
        let (metrics, _) = Tape::open(&dir, run).map_err(|e| e.of_run(run))?;
        let (tensors, _) = Tape::open(&dir, run).map_err(|e| e.of_run(run))?;
        Ok(ZoomWriter {
            run: run.clone(),
            zooms,
            metrics,
            tensors,
            recorder: Recorder { dir, chunks: Chunks::new(self.path()), last_chunks: Vec::new() },
            scratch: Vec::new(),
            is_published: false,
            _lock: lock,
        })
    }

    /// Removes a zoom, damaged or not. The run stays as it was recorded; chunks of the zoom's checkpoints stay in
    /// `objects/`, where others may share them.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`], [`StoreError::UnknownZoom`]; errors of the file system.
    pub fn remove_zoom(&self, run: &RunId, id: &ZoomId) -> Result<(), StoreError> {
        let zooms = dir_of(&self.existing(run)?);
        mounts::refuse(&zooms, "remove a zoom")?;
        let dir = zooms.join(id.as_str());
        if !dir.is_dir() {
            let names = disk::names(&zooms)?;
            let there_is = names.iter().map(String::as_str).filter(|n| !n.starts_with('.'));
            let nearest = nearest(id.as_str(), there_is).map(str::to_owned);
            return Err(StoreError::UnknownZoom { run: run.clone(), zoom: id.clone(), nearest });
        }
        // Out of sight at once; what a crash leaves of it is cleared away by the next zoom.
        let gone = disk::create_tmp_dir(&zooms)?;
        let _lock = lock::wait(&gone.join("lock"))?;
        fs::rename(&dir, gone.join("zoom")).map_err(|e| StoreError::io("remove", &dir, e))?;
        disk::sync_dir(&zooms)?;
        fs::remove_dir_all(&gone).map_err(|e| StoreError::io("remove", &gone, e))
    }
}

impl ZoomWriter {
    /// Appends readings `(name, unit, value)` of one step, as [`crate::RunWriter::append`].
    ///
    /// # Errors
    /// [`StoreError::UnitChanged`]; errors of the file system.
    pub fn append(
        &mut self,
        step: Step,
        clocks: Clocks,
        readings: &[(&str, &str, f64)],
    ) -> Result<(), StoreError> {
        self.metrics.append_readings(&mut self.scratch, step, clocks, readings)
    }

    /// Appends a vector-valued reading, as [`crate::RunWriter::append_tensor`].
    ///
    /// # Errors
    /// As [`ZoomWriter::append`].
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
        self.tensors.append_values(step, name, unit, shape, ValuesRef::F32(values))
    }

    /// Stores the exact state at `step`, as [`crate::RunWriter::checkpoint`].
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Panics
    /// If the shape of a tensor does not fit its bytes.
    pub fn checkpoint(
        &mut self,
        step: Step,
        tensors: &[TensorView<'_>],
        extra: serde_json::Value,
    ) -> Result<CheckpointInfo, StoreError> {
        self.recorder.write(step, tensors, extra)
    }

    /// Seals the readings and shows the zoom under its name, durably. Says whether it did: if a zoom of this
    /// name has appeared meanwhile, that one stays.
    ///
    /// # Errors
    /// If it cannot be written; then there is no zoom.
    ///
    /// # Panics
    /// If the manifest is that of a zoom of another run.
    pub fn publish(mut self, manifest: &ZoomManifest) -> Result<bool, StoreError> {
        assert!(
            manifest.run == self.run,
            "a zoom of {} was given the manifest of one of {}",
            self.run,
            manifest.run
        );
        self.metrics.seal().map_err(|e| e.of_run(&self.run))?;
        self.tensors.seal().map_err(|e| e.of_run(&self.run))?;
        let Recorder { dir, chunks, last_chunks } = &mut self.recorder;
        let path = dir.join("manifest.json");
        disk::check_readable::<ZoomManifest>(&path, manifest)?;
        disk::replace_json(&path, manifest)?;
        disk::sync_dir(dir)?;
        let target = self.zooms.join(manifest.id.as_str());
        // A collection of garbage finds the lists under the old name or under the new one.
        let _inside = (!last_chunks.is_empty()).then(|| chunks.enter()).transpose()?;
        // Renaming onto a folder that has content fails, so of two writers one wins.
        match faults::point(&target).and_then(|()| fs::rename(&*dir, &target)) {
            Ok(()) => self.is_published = true,
            Err(_) if target.exists() => return Ok(false),
            Err(e) => return Err(StoreError::io("publish", &target, e)),
        }
        disk::sync_dir(&self.zooms)?;
        Ok(true)
    }
}

impl Drop for ZoomWriter {
    fn drop(&mut self) {
        if !self.is_published {
            // What cannot be removed now is removed by the next zoom of the run.
            let _ = fs::remove_dir_all(&self.recorder.dir);
        }
    }
}
