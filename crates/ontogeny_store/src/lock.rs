//! Locks between processes: advisory, on a file of their own, freed when their holder dies.

use crate::{StoreError, mounts};
use ontogeny_core::RunId;
use std::fs::{File, TryLockError};
use std::path::Path;

/// A held lock.
///
/// It is freed explicitly: closing the file is not enough while a child that was forked at this moment still
/// has a copy of it.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, closing the file frees the lock.
        let _ = self.0.unlock();
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    mounts::refuse(path, "take a lock")?;
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.map_err(|e| StoreError::io("open", path, e))
}

/// Takes the lock of a run's folder, without waiting.
pub(crate) fn of_run(dir: &Path, run: &RunId) -> Result<Lock, StoreError> {
    let path = dir.join("lock");
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { run: run.clone(), path }),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &path, e)),
    }
}

/// Takes a lock, waiting for it.
pub(crate) fn wait(path: &Path) -> Result<Lock, StoreError> {
    let file = open(path)?;
    file.lock().map_err(|e| StoreError::io("lock", path, e))?;
    Ok(Lock(file))
}

/// Takes a lock together with others who share it, waiting for one who does not.
pub(crate) fn share(path: &Path) -> Result<Lock, StoreError> {
    let file = open(path)?;
    file.lock_shared().map_err(|e| StoreError::io("lock", path, e))?;
    Ok(Lock(file))
}

/// Takes a lock if nobody has it.
pub(crate) fn free(path: &Path) -> Result<Option<Lock>, StoreError> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", path, e)),
    }
}
