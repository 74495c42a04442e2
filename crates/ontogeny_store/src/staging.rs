//! Runs that are made out of sight and appear when they are whole.

use crate::lock::{self, Lock};
use crate::writer::RunWriter;
use crate::{Store, StoreError, disk, mounts};
use ontogeny_core::{RunId, RunManifest};
use std::path::{Path, PathBuf};

/// A place beside the runs of a store in which runs are made. Nobody sees them there; [`Staging::publish`] puts
/// them among the others. Dropped, what is still in it is gone; after a crash the next staging clears it away.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    inner: Store,
    dir: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Makes a place for runs that are to appear whole or not at all.
    ///
    /// # Errors
    /// If the folder of the store cannot be written.
    pub fn stage(&self) -> Result<Staging, StoreError> {
        mounts::refuse(self.path(), "import")?;
        clear_leftovers(self.path())?;
        let dir = disk::create_tmp_dir(self.path())?;
        let lock = lock::wait(&dir.join("lock"))?;
        let inner = Self::open_or_create(&dir.join("store"))?;
        Ok(Staging { store: self.clone(), inner, dir, _lock: lock })
    }
}

/// Removes stagings whose process is dead: their lock is free.
fn clear_leftovers(store: &Path) -> Result<(), StoreError> {
    for name in disk::names(store)?.into_iter().filter(|n| n.starts_with(".tmp-")) {
        let dir = store.join(name);
        let lock = dir.join("lock");
        if lock.is_file() && lock::free(&lock)?.is_some() {
            std::fs::remove_dir_all(&dir).map_err(|e| StoreError::io("remove", &dir, e))?;
        }
    }
    Ok(())
}

impl Staging {
    /// Makes a run out of sight and opens it for writing.
    ///
    /// # Errors
    /// As [`Store::create_run`]; a run that the store itself has is no obstacle before it is published.
    pub fn create_run(&self, manifest: &RunManifest) -> Result<RunWriter, StoreError> {
        self.inner.create_run(manifest)
    }

    /// Opens a run that was made here for more.
    ///
    /// # Errors
    /// As [`Store::resume_run`].
    pub fn resume_run(&self, run: &RunId) -> Result<RunWriter, StoreError> {
        self.inner.resume_run(run)
    }

    /// Puts runs among the others, durably. Their writers must have been dropped. With `replace`, a run that the
    /// store has under this name makes way; without, it is an error, and nothing is published.
    ///
    /// # Errors
    /// [`StoreError::RunExists`]; errors of the file system, after which some runs may have been published: each
    /// is whole.
    pub fn publish(&self, runs: &[RunId], replace: bool) -> Result<(), StoreError> {
        let target = self.store.path().join("runs");
        disk::create_dir(&target)?;
        let exists = |run: &&RunId| target.join(run.as_str()).exists();
        if let Some(run) = runs.iter().find(exists).filter(|_| !replace) {
            return Err(StoreError::RunExists {
                run: run.clone(),
                path: target.join(run.as_str()),
            });
        }
        for run in runs {
            let (from, to) =
                (self.inner.path().join("runs").join(run.as_str()), target.join(run.as_str()));
            if to.exists() {
                let old = self.dir.join(format!("old-{run}"));
                // Not while somebody writes it.
                let lock = lock::of_run(&to, run)?;
                std::fs::rename(&to, &old).map_err(|e| StoreError::io("replace", &to, e))?;
                drop(lock);
            }
            std::fs::rename(&from, &to).map_err(|e| StoreError::io("publish", &to, e))?;
        }
        disk::sync_dir(&target)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next staging.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
