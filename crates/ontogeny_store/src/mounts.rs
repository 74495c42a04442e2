//! Folders whose files lie elsewhere and come when they are asked for.
//!
//! Every reader of the store asks [`crate::disk`] for files by their path. A *mount* says that the files below a
//! folder come from somewhere else: `disk` then asks it instead of the file system. So readers do not know where a
//! store lies, and whoever adds a file to the format adds nothing here.
//!
//! A mount stays until the process ends, because readers outlive the [`crate::Store`] they came from. Without the
//! feature `object-store` nobody mounts anything.

use crate::StoreError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Where the files below a folder come from. Paths are those that readers ask for, below the folder.
pub(crate) trait Elsewhere: fmt::Debug + Send + Sync {
    /// Names of files and folders, sorted; none if there is no such folder.
    fn names(&self, dir: &Path) -> Result<Vec<String>, StoreError>;
    /// Names of the folders in a folder, sorted.
    fn folders(&self, dir: &Path) -> Result<Vec<String>, StoreError>;
    /// The content, or `None` if there is no such file; of a file longer than `limit` so much that it shows.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError>;
    /// The length of a file, if it is there.
    fn size_bytes(&self, path: &Path) -> Result<Option<u64>, StoreError>;
    /// These will be read next: brings what can be had. What fails is tried again when it is read.
    fn expect(&self, paths: &[PathBuf]);
    /// Where a file lies, as a person would name it.
    fn url_of(&self, path: &Path) -> PathBuf;
    /// Why nothing is written here.
    fn refusal(&self, action: &'static str) -> StoreError;
}

type Mount = (PathBuf, Arc<dyn Elsewhere>);

static MOUNTS: RwLock<Vec<Mount>> = RwLock::new(Vec::new());
/// Whether there is any, so that stores on disk pay nothing.
static IS_ANY: AtomicBool = AtomicBool::new(false);

/// From now on the files below `root` come from there.
#[cfg(feature = "object-store")]
pub(crate) fn mount(root: &Path, elsewhere: Arc<dyn Elsewhere>) {
    let mut mounts = MOUNTS.write().unwrap_or_else(PoisonError::into_inner);
    mounts.retain(|(r, _)| r != root);
    mounts.push((root.to_path_buf(), elsewhere));
    IS_ANY.store(true, Ordering::Release);
}

/// Where a file or folder comes from; `None` if it lies on disk.
pub(crate) fn of(path: &Path) -> Option<Arc<dyn Elsewhere>> {
    if !IS_ANY.load(Ordering::Acquire) {
        return None;
    }
    let mounts = MOUNTS.read().unwrap_or_else(PoisonError::into_inner);
    mounts.iter().find(|(root, _)| path.starts_with(root)).map(|(_, m)| Arc::clone(m))
}

/// Refuses what can only be done on disk.
pub(crate) fn refuse(path: &Path, action: &'static str) -> Result<(), StoreError> {
    of(path).map_or(Ok(()), |m| Err(m.refusal(action)))
}

/// Where a file lies, as a person would name it.
pub(crate) fn shown(path: &Path) -> PathBuf {
    of(path).map_or_else(|| path.to_path_buf(), |m| m.url_of(path))
}
