//! Chunks: content-addressed pieces of checkpoints, shared by all runs and forks.
//!
//! `objects/ab/<id>` where the id is the BLAKE3 of the raw bytes in hexadecimal and `ab` its first two letters.
//! An object is `ONTC`, the number of its codec u8, the raw length u64 little-endian, and the compressed bytes.
//! Objects are written once, whole, and their hash is checked whenever they are read.

use crate::codec::{CODECS, ChunkSource, WRITTEN};
use crate::{Damage, StoreError, disk};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Raw bytes per chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Longest chunk that is read, so that a forged length cannot exhaust memory.
const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// Objects that are written before they are synced; each holds a file open.
const MAX_STAGED: usize = 64;
/// Threads that wait for the disk.
const N_SYNC_THREADS: usize = 16;
const MAGIC: [u8; 4] = *b"ONTC";
const HEADER: usize = 13;

/// Name of a chunk: the BLAKE3 of its raw bytes, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ChunkId(String);

impl ChunkId {
    fn of(raw: &[u8]) -> Self {
        Self(blake3::hash(raw).to_hex().to_string())
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is an id, and so safe as a file name.
    fn is_valid(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// The objects of a store.
#[derive(Debug)]
pub(crate) struct Chunks {
    dir: PathBuf,
    /// Chunks that this value has written or checked.
    known: BTreeSet<ChunkId>,
    /// Objects that are written and have no name yet.
    staged: BTreeMap<ChunkId, disk::Staged>,
    /// Folders with entries that are not durable yet.
    unsynced: BTreeSet<PathBuf>,
}

impl Chunks {
    pub(crate) fn new(store: &Path) -> Self {
        let dir = store.join("objects");
        Self { dir, known: BTreeSet::new(), staged: BTreeMap::new(), unsynced: BTreeSet::new() }
    }

    fn path(&self, id: &ChunkId) -> PathBuf {
        self.dir.join(&id.0[..2]).join(&id.0)
    }

    /// Stores a chunk; says how many bytes that took, 0 if it was there. Durable after [`Chunks::sync`].
    pub(crate) fn put(
        &mut self,
        raw: &[u8],
        previous: Option<&ChunkId>,
    ) -> Result<(ChunkId, u64), StoreError> {
        let id = ChunkId::of(raw);
        if self.known.contains(&id) || self.staged.contains_key(&id) {
            return Ok((id, 0));
        }
        let path = self.path(&id);
        let folder = self.dir.join(&id.0[..2]);
        if self.get(&id).is_ok_and(|found| found == raw) {
            // Who wrote it may not have synced the folder yet, so this is ours to do too.
            self.unsynced.insert(folder);
            self.known.insert(id.clone());
            return Ok((id, 0));
        }
        disk::create_dir(&self.dir)?;
        if disk::make_dir(&folder)? {
            self.unsynced.insert(self.dir.clone());
        }
        let stored = WRITTEN
            .encode(raw, previous, self)
            .map_err(|e| StoreError::Encode { path: path.clone(), source: Box::new(e) })?;
        let mut bytes = Vec::with_capacity(HEADER + stored.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(WRITTEN.id());
        bytes.extend_from_slice(&(raw.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&stored);
        match disk::stage(&path, &bytes) {
            Ok(staged) => self.staged.insert(id.clone(), staged),
            Err(e) => {
                self.staged.clear(); // Their checkpoint has failed: give the space back.
                return Err(e);
            }
        };
        self.unsynced.insert(folder);
        if self.staged.len() >= MAX_STAGED {
            self.place_staged()?;
        }
        Ok((id, bytes.len() as u64))
    }

    fn place_staged(&mut self) -> Result<(), StoreError> {
        let (ids, staged): (Vec<_>, Vec<_>) = std::mem::take(&mut self.staged).into_iter().unzip();
        together(staged, disk::Staged::place)?;
        self.known.extend(ids);
        Ok(())
    }

    /// Makes every chunk that was put durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.place_staged()?;
        together(self.unsynced.iter().collect(), |dir| disk::sync_dir(dir))?;
        self.unsynced.clear();
        Ok(())
    }

    /// Bytes that an object takes on disk, if it is there.
    pub(crate) fn stored_bytes(&self, id: &ChunkId) -> Option<u64> {
        let meta = id.is_valid().then(|| std::fs::metadata(self.path(id)).ok()).flatten();
        meta.filter(std::fs::Metadata::is_file).map(|m| m.len())
    }

    /// Reads a chunk and checks its hash.
    pub(crate) fn get(&self, id: &ChunkId) -> Result<Vec<u8>, StoreError> {
        if !id.is_valid() {
            return Err(StoreError::damaged(&self.dir, Damage::Chunk { chunk: id.0.clone() }));
        }
        let path = self.path(id);
        let bytes = disk::read_if_there(&path)?.ok_or_else(|| {
            StoreError::damaged(&path, Damage::MissingChunk { chunk: id.0.clone() })
        })?;
        let raw = self
            .decode(&bytes)
            .ok_or_else(|| StoreError::damaged(&path, Damage::Chunk { chunk: id.0.clone() }))?;
        if ChunkId::of(&raw) != *id {
            return Err(StoreError::damaged(&path, Damage::Checksum));
        }
        Ok(raw)
    }

    fn decode(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (head, stored) = bytes.split_at_checked(HEADER)?;
        let n_raw = u64::from_le_bytes(head[5..].try_into().ok()?);
        if head[..4] != MAGIC || n_raw > MAX_CHUNK_BYTES {
            return None;
        }
        let codec = CODECS.iter().find(|c| c.id() == head[4])?;
        codec.decode(stored, n_raw as usize, self).ok()
    }
}

/// Does something slow to each item, several at a time, because file systems commit the fsyncs that wait at
/// the same moment together. The first error in the order of the items is returned.
fn together<T: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    let share = items.len().div_ceil(N_SYNC_THREADS).max(1);
    let mut items = items.into_iter();
    let shares: Vec<Vec<T>> = std::iter::from_fn(|| {
        let share: Vec<T> = items.by_ref().take(share).collect();
        (!share.is_empty()).then_some(share)
    })
    .collect();
    if shares.len() == 1 {
        return shares.into_iter().flatten().try_for_each(work);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let start = |share: Vec<T>| scope.spawn(move || share.into_iter().try_for_each(work));
        let threads: Vec<_> = shares.into_iter().map(start).collect();
        threads.into_iter().try_for_each(|t| match t.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

impl ChunkSource for Chunks {
    fn chunk(&self, id: &ChunkId) -> Option<Vec<u8>> {
        self.get(id).ok()
    }
}
