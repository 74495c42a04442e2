//! Copies of all manifests in one file, so that a listing opens one file instead of one for each run.
//!
//! `index/runs.idx` is made from the manifests alone, by whoever lists them, and never trusted over them: an entry counts
//! only while the manifest has the size, time and inode that it had when it was copied. A file that is missing, damaged or
//! of another version counts as none. A manifest that was written less than two seconds before is not copied, because
//! another one could still get the same time.

use crate::wire::Cursor;
use crate::{disk, lock, mounts};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const MARKER: [u8; 4] = *b"ONTR";
const FORMAT_VERSION: u32 = 1;
/// Bytes of the hash at the end.
const HASH_BYTES: usize = 32;
/// A longer file is not read.
const MAX_BYTES: u64 = 1 << 30;
/// Within this time two manifests may have got the same stamp.
const RACE: Duration = Duration::from_secs(2);
/// So many manifests are read before it is worth to write the file.
const WORTH: usize = 64;

/// What tells that a manifest is still the one that was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    n_bytes: u64,
    nanos: u128,
    inode: u64,
}

impl Stamp {
    /// The stamp of a file, if it is there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        let nanos = nanos(&meta)?;
        Some(Self { n_bytes: meta.len(), nanos, inode: inode(&meta) })
    }
}

fn nanos(meta: &Metadata) -> Option<u128> {
    Some(meta.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos())
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_meta: &Metadata) -> u64 {
    0
}

/// Manifests that were read before, by the name of the folder.
#[derive(Debug, Default)]
pub(crate) struct RunsIndex {
    entries: BTreeMap<String, (Stamp, Vec<u8>)>,
    /// How many were added since the file was read.
    n_new: usize,
}

/// Where it is.
pub(crate) fn folder(store: &Path) -> PathBuf {
    store.join("index")
}

fn path(store: &Path) -> PathBuf {
    folder(store).join("runs.idx")
}

impl RunsIndex {
    /// What the file has; nothing if it cannot be used.
    pub(crate) fn read(store: &Path) -> Self {
        let read = || {
            if mounts::of(store).is_some() {
                return None;
            }
            let bytes = disk::read_at_most(&path(store), MAX_BYTES, Vec::with_capacity).ok()??;
            Self::take(&bytes)
        };
        read().unwrap_or_default()
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        let (covered, hash) = bytes.split_last_chunk::<HASH_BYTES>()?;
        let mut cursor = Cursor(covered);
        if cursor.bytes(4)? != MARKER || cursor.u32()? != FORMAT_VERSION {
            return None;
        }
        if blake3::hash(covered).as_bytes() != hash {
            return None;
        }
        let mut entries = BTreeMap::new();
        while !cursor.is_empty() {
            let name = std::str::from_utf8(take_bytes(&mut cursor)?).ok()?.to_owned();
            let (n_bytes, inode) = (cursor.u64()?, cursor.u64()?);
            let nanos = u128::from(cursor.u64()?) | u128::from(cursor.u64()?) << 64;
            let manifest = take_bytes(&mut cursor)?.to_vec();
            entries.insert(name, (Stamp { n_bytes, nanos, inode }, manifest));
        }
        Some(Self { entries, n_new: 0 })
    }

    /// The bytes of a manifest that has this stamp.
    pub(crate) fn get(&self, name: &str, stamp: Stamp) -> Option<&[u8]> {
        self.entries.get(name).filter(|e| e.0 == stamp).map(|e| e.1.as_slice())
    }

    /// Remembers a manifest that was read after its stamp was taken, and was whole.
    pub(crate) fn add(&mut self, name: &str, stamp: Stamp, manifest: Vec<u8>) {
        self.entries.insert(name.to_owned(), (stamp, manifest));
        self.n_new += 1;
    }

    /// Writes the file if much of it is new, unless somebody else does. If it cannot be written there is none.
    pub(crate) fn save(mut self, store: &Path, names: &[String]) {
        if mounts::of(store).is_some() || self.n_new < WORTH.max(names.len() / 16) {
            return;
        }
        self.entries.retain(|name, _| names.binary_search(name).is_ok());
        let dir = folder(store);
        let write = || -> Option<()> {
            disk::make_dir(&dir).ok()?;
            let _only = lock::free(&dir.join("lock")).ok()??;
            disk::remove_leftovers(&dir).ok()?;
            let mut staged = disk::stage_empty(&path(store)).ok()?;
            // What the file system takes for now.
            let now = nanos(&std::fs::metadata(staged.tmp()).ok()?)?;
            let before = now.saturating_sub(RACE.as_nanos());
            let bytes = self.bytes(|stamp| stamp.nanos < before);
            staged.write(&bytes).ok()?;
            // It need not survive a power loss: its hash tells.
            staged.name_it().ok()
        };
        let _ = write();
    }

    fn bytes(&self, keeps: impl Fn(&Stamp) -> bool) -> Vec<u8> {
        let mut out = MARKER.to_vec();
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        for (name, (stamp, manifest)) in self.entries.iter().filter(|e| keeps(&e.1.0)) {
            put_bytes(&mut out, name.as_bytes());
            out.extend_from_slice(&stamp.n_bytes.to_le_bytes());
            out.extend_from_slice(&stamp.inode.to_le_bytes());
            out.extend_from_slice(&stamp.nanos.to_le_bytes());
            put_bytes(&mut out, manifest);
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }
}

/// Whether there is a file that nobody can use. A later version is no damage.
pub(crate) fn is_broken(store: &Path) -> bool {
    if mounts::of(store).is_some() {
        return false;
    }
    match disk::read_at_most(&path(store), MAX_BYTES, Vec::with_capacity) {
        Ok(Some(bytes)) => {
            let is_later =
                bytes.get(4..8).is_some_and(|v| v > FORMAT_VERSION.to_le_bytes().as_slice());
            let is_ours = bytes.starts_with(&MARKER);
            !(is_ours && is_later) && RunsIndex::take(&bytes).is_none()
        }
        _ => false,
    }
}

/// The file, for whoever reports or removes it.
pub(crate) fn file(store: &Path) -> PathBuf {
    path(store)
}

fn take_bytes<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let n = cursor.u32()? as usize;
    cursor.bytes(n)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}
