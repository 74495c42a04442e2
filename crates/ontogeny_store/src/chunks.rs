//! Chunks: content-addressed pieces of checkpoints, shared by all runs and forks.
//!
//! `objects/ab/<id>` where the id is the BLAKE3 of the raw bytes in hexadecimal and `ab` its first two letters.
//! An object is `ONTC`, the number of its codec u8, the raw length u64 little-endian, and the compressed bytes.
//!
//! An object is named once, and only after the object that it is stored against: so chains have an end, whoever
//! writes beside us. The exception is a damaged object, which is replaced by one that stands alone.

use crate::chain::{self, Cache, Loaded, MAGIC};
use crate::codec::delta::{self, Part};
use crate::codec::{ChunkCodec, N_ANCESTORS, RawId};
use crate::lock::Lock;
use crate::{StoreError, disk, gate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Raw bytes per chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Objects that are written before they are synced; each holds a file open.
const MAX_STAGED: usize = 64;
/// Threads that wait for the disk.
const N_SYNC_THREADS: usize = 16;

/// Name of a chunk: the BLAKE3 of its raw bytes, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ChunkId(String);

impl ChunkId {
    pub(crate) fn of(raw: &[u8]) -> Self {
        Self(blake3::hash(raw).to_hex().to_string())
    }

    pub(crate) fn from_raw(id: &RawId) -> Self {
        Self(blake3::Hash::from_bytes(*id).to_hex().to_string())
    }

    /// The bytes of a file name that is an id.
    pub(crate) fn from_name(name: &str) -> Option<RawId> {
        let id = Self(name.to_owned());
        id.is_valid().then(|| id.to_raw()).flatten()
    }

    pub(crate) fn to_raw(&self) -> Option<RawId> {
        blake3::Hash::from_hex(&self.0).ok().map(|h| *h.as_bytes())
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder of its object.
    pub(crate) fn folder(&self) -> &str {
        &self.0[..2]
    }

    /// Whether the text is an id, and so safe as a file name.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// What may be used to store a chunk as a difference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before<'a> {
    /// The chunk at the same place of the checkpoint before.
    pub(crate) chunk: &'a ChunkId,
    /// How many of those before it, at most, may be looked at: what memory holds.
    pub(crate) max_ancestors: usize,
}

/// The objects of a store.
#[derive(Debug)]
pub(crate) struct Chunks {
    dir: PathBuf,
    /// Chunks that this value has written or checked.
    known: BTreeSet<ChunkId>,
    /// Objects that are written and have no name yet, in the order in which they get one.
    staged: Vec<(ChunkId, disk::Staged)>,
    staged_ids: BTreeSet<ChunkId>,
    /// Folders with entries that are not durable yet.
    unsynced: BTreeSet<PathBuf>,
    cache: Mutex<Cache>,
    encoder: delta::Encoder,
    /// The last object that was written: its memory is used again.
    object: Vec<u8>,
    /// The collection of garbage after which this value has last looked.
    generation: Option<u64>,
}

impl Chunks {
    pub(crate) fn new(store: &Path) -> Self {
        Self {
            dir: store.join("objects"),
            known: BTreeSet::new(),
            staged: Vec::new(),
            staged_ids: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            cache: Mutex::default(),
            encoder: delta::Encoder::default(),
            object: Vec::new(),
            generation: None,
        }
    }

    fn with_cache<T>(&self, work: impl FnOnce(&mut Cache) -> T) -> T {
        // What a panicking thread has left is whole: entries are inserted at once.
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Memory for a chunk, to be [put](Chunks::put); holds anything.
    pub(crate) fn buffer(&self, n_bytes: usize) -> Vec<u8> {
        self.with_cache(|c| c.buffer(n_bytes))
    }

    /// Remembers the chunks of checkpoints of so many bytes in all, and no more.
    pub(crate) fn remember(&self, n_bytes: u64) {
        // The chunk that comes is there before another one goes.
        self.with_cache(|c| c.set_limit(n_bytes.saturating_add(CHUNK_BYTES as u64)));
    }

    /// Keeps collections of garbage away, until what this gives is dropped: from before the first chunk of a
    /// checkpoint is put until the list that names it is shown. What was known before a collection is forgotten.
    pub(crate) fn enter(&mut self) -> Result<Lock, StoreError> {
        disk::create_dir(&self.dir)?;
        let lock = gate::enter(&self.dir)?;
        let generation = gate::generation(&self.dir)?;
        if self.generation != Some(generation) {
            if self.generation.is_some() {
                self.known.clear();
                self.with_cache(|c| *c = Cache::default());
            }
            self.generation = Some(generation);
        }
        Ok(lock)
    }

    /// Stores a chunk of these parts; says how many bytes that took, 0 if it was there. Durable after
    /// [`Chunks::sync`].
    pub(crate) fn put(
        &mut self,
        raw: Vec<u8>,
        parts: &[Part],
        before: Option<Before<'_>>,
    ) -> Result<(ChunkId, u64), StoreError> {
        let id = ChunkId::of(&raw);
        if self.known.contains(&id) || self.staged_ids.contains(&id) {
            self.with_cache(|c| c.give_back(raw));
            return Ok((id, 0));
        }
        let path = chain::path(&self.dir, &id);
        let folder = self.dir.join(id.folder());
        let exists = path.exists();
        if exists && self.get(&id).is_ok_and(|found| *found == raw) {
            // Who wrote it may not have synced the folder yet, so this is ours to do too.
            self.unsynced.insert(folder);
            self.known.insert(id.clone());
            self.with_cache(|c| c.give_back(raw));
            return Ok((id, 0));
        }
        disk::create_dir(&self.dir)?;
        if disk::make_dir(&folder)? {
            self.unsynced.insert(self.dir.clone());
        }
        // An object that is replaced may be in the chain of any other: it must not be stored against one.
        let ancestors = match before {
            Some(before) if !exists => self.ancestors(before, raw.len()),
            _ => Vec::new(),
        };
        let slices: Vec<(RawId, &[u8])> = (ancestors.iter())
            .filter_map(|(id, a)| Some((id.to_raw()?, a.raw.as_slice())))
            .collect();
        let object = &mut self.object;
        object.clear();
        object.extend_from_slice(&MAGIC);
        object.push(delta::Delta.id());
        object.extend_from_slice(&(raw.len() as u64).to_le_bytes());
        let n_needed = (self.encoder.encode(&raw, parts, &slices, object))
            .map_err(|e| StoreError::Encode { path: path.clone(), source: Box::new(e) })?;
        let n_stored = object.len() as u64;
        match disk::stage(&path, object) {
            Ok(staged) => self.staged.push((id.clone(), staged.replacing(exists))),
            Err(e) => {
                self.forget_staged(); // Their checkpoint has failed: give the space back.
                return Err(e);
            }
        }
        self.staged_ids.insert(id.clone());
        let used = ancestors.iter().take(n_needed);
        let loaded = Loaded {
            raw: Arc::new(raw),
            n_links: used.clone().map(|(_, a)| a.n_links + 1).max().unwrap_or(0),
            ancestors: used.map(|(id, _)| id.clone()).collect(),
            is_checked: true,
        };
        self.with_cache(|c| c.insert(id.clone(), loaded));
        self.unsynced.insert(folder);
        if self.staged.len() >= MAX_STAGED {
            self.place_staged()?;
        }
        Ok((id, n_stored))
    }

    /// The chunks against which one of `n_raw` bytes may be stored, latest first; none if it must stand alone.
    fn ancestors(&self, before: Before<'_>, n_raw: usize) -> Vec<(ChunkId, Loaded)> {
        let mut found: Vec<(ChunkId, Loaded)> = Vec::new();
        let mut next = Some(before.chunk.clone());
        while let Some(id) = next.take()
            && found.len() < before.max_ancestors.min(N_ANCESTORS)
        {
            // One that cannot be read is as if it were not there; `verify` names it.
            let Ok(loaded) = self.load(&id) else { break };
            if loaded.raw.len() != n_raw
                || found.is_empty() && !chain::may_link(loaded.n_links + 1, n_raw)
            {
                break;
            }
            next = loaded.ancestors.first().cloned();
            found.push((id, loaded));
        }
        found
    }

    fn forget_staged(&mut self) {
        self.staged.clear();
        self.staged_ids.clear();
        // Nothing may be stored against what was never named.
        self.with_cache(|c| *c = Cache::default());
    }

    fn place_staged(&mut self) -> Result<(), StoreError> {
        let placed = together(self.staged.iter().collect(), |(_, s)| s.sync()).and_then(|()| {
            // In their order: an object that has a name has a base that has one.
            self.staged.drain(..).try_for_each(|(_, staged)| staged.name_it())
        });
        if placed.is_err() {
            self.forget_staged();
            return placed;
        }
        // Not `append`, which makes a set anew of all that is known.
        self.known.extend(std::mem::take(&mut self.staged_ids));
        Ok(())
    }

    /// Makes every chunk that was put durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.place_staged()?;
        together(self.unsynced.iter().collect(), |dir| disk::sync_dir(dir))?;
        self.unsynced.clear();
        Ok(())
    }

    fn load(&self, id: &ChunkId) -> Result<Loaded, StoreError> {
        self.with_cache(|cache| chain::load(&self.dir, cache, id))
    }

    /// These will be read next.
    pub(crate) fn expect<'a>(&self, ids: impl IntoIterator<Item = &'a ChunkId>) {
        let valid = ids.into_iter().filter(|id| id.is_valid());
        disk::expect(valid.map(|id| chain::path(&self.dir, id)));
    }

    /// Bytes that an object takes on disk, if it is there.
    pub(crate) fn stored_bytes(&self, id: &ChunkId) -> Option<u64> {
        id.is_valid().then(|| disk::size_bytes(&chain::path(&self.dir, id))).flatten()
    }

    /// Reads a chunk and checks its hash.
    pub(crate) fn get(&self, id: &ChunkId) -> Result<Arc<Vec<u8>>, StoreError> {
        self.load(id).map(|l| l.raw)
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
