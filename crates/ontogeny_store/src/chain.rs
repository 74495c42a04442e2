//! Reading objects that are stored against others: a chain is followed back to a chunk that stands alone, or that
//! is remembered, and decoded forward from there.

use crate::chunks::ChunkId;
use crate::codec::{CODECS, ChunkCodec, Unpacker};
use crate::{Damage, StoreError, disk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest chunk that is read, so that a forged length cannot exhaust memory.
pub(crate) const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// Differences one after the other until a chunk stands alone.
pub(crate) const MAX_LINKS: usize = 64;
/// Raw bytes of all chunks of a chain together, which bounds the time that reading one of them takes.
pub(crate) const MAX_CHAIN_BYTES: usize = 16 << 20;
/// Raw bytes that are remembered, at most.
pub(crate) const CACHE_BYTES: usize = 256 << 20;
/// Raw bytes that a reader remembers at least: a whole chain, so that going back along it is no slower, and as much
/// again.
pub(crate) const MIN_CACHE_BYTES: usize = 2 * MAX_CHAIN_BYTES;
/// Buffers that wait to be used again, and their bytes, at most.
const MAX_SPARE: usize = 32;
const MAX_SPARE_BYTES: usize = 16 << 20;
pub(crate) const MAGIC: [u8; 4] = *b"ONTC";
pub(crate) const HEADER: usize = 13;

/// A chunk in memory.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) raw: Arc<Vec<u8>>,
    /// The chunks against which it is stored, latest first.
    pub(crate) ancestors: Vec<ChunkId>,
    /// Differences between this one and the chunk that stands alone.
    pub(crate) n_links: usize,
    /// Whether the raw bytes have the hash that they should have.
    pub(crate) is_checked: bool,
}

/// Whether a chunk of so many bytes may stand behind so many others.
pub(crate) fn may_link(n_links: usize, n_raw: usize) -> bool {
    n_links <= MAX_LINKS && (n_links <= 1 || n_links * n_raw <= MAX_CHAIN_BYTES)
}

/// The chunks that were used last, and memory that is used again: fresh pages cost as much as coding does.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: BTreeMap<ChunkId, (Loaded, u64)>,
    by_use: BTreeMap<u64, ChunkId>,
    n_uses: u64,
    n_bytes: usize,
    limit: usize,
    spare: Vec<Vec<u8>>,
    unpacker: Unpacker,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            by_use: BTreeMap::new(),
            n_uses: 0,
            n_bytes: 0,
            limit: MIN_CACHE_BYTES,
            spare: Vec::new(),
            unpacker: Unpacker::default(),
        }
    }
}

impl Cache {
    /// Remembers so many bytes from now on, or [`CACHE_BYTES`] if that is less.
    pub(crate) fn set_limit(&mut self, n_bytes: u64) {
        self.limit = n_bytes.min(CACHE_BYTES as u64) as usize;
    }

    fn touch(&mut self, id: &ChunkId) -> Option<Loaded> {
        let (loaded, used) = self.entries.get_mut(id)?;
        self.by_use.remove(used);
        self.n_uses += 1;
        *used = self.n_uses;
        self.by_use.insert(self.n_uses, id.clone());
        Some(loaded.clone())
    }

    pub(crate) fn insert(&mut self, id: ChunkId, loaded: Loaded) {
        self.n_uses += 1;
        self.n_bytes += loaded.raw.len();
        self.by_use.insert(self.n_uses, id.clone());
        if let Some((old, used)) = self.entries.insert(id, (loaded, self.n_uses)) {
            self.n_bytes -= old.raw.len();
            self.by_use.remove(&used);
        }
        while self.n_bytes > self.limit
            && let Some((_, id)) = self.by_use.pop_first()
        {
            if let Some((old, _)) = self.entries.remove(&id) {
                self.n_bytes -= old.raw.len();
                if let Some(raw) = Arc::into_inner(old.raw) {
                    self.give_back(raw);
                }
            }
        }
    }

    /// Memory for `n_bytes`; holds anything.
    pub(crate) fn buffer(&mut self, n_bytes: usize) -> Vec<u8> {
        // Not one that is much too large: it may be remembered for long.
        let fits = |b: &Vec<u8>| (n_bytes..=2 * n_bytes).contains(&b.capacity());
        match self.spare.iter().rposition(fits) {
            Some(i) => self.spare.swap_remove(i),
            None => Vec::with_capacity(n_bytes),
        }
    }

    pub(crate) fn give_back(&mut self, buffer: Vec<u8>) {
        let n_bytes: usize = self.spare.iter().map(Vec::capacity).sum();
        if n_bytes + buffer.capacity() > MAX_SPARE_BYTES || self.spare.len() >= MAX_SPARE {
            self.spare.clear(); // What nobody has asked for for so long.
        }
        if buffer.capacity() <= MAX_SPARE_BYTES {
            self.spare.push(buffer);
        }
    }
}

/// An object as it was read.
struct Object {
    codec: &'static dyn ChunkCodec,
    bytes: Vec<u8>,
    n_raw: usize,
    ancestors: Vec<ChunkId>,
}

/// Where an object lies.
pub(crate) fn path(objects: &Path, id: &ChunkId) -> PathBuf {
    objects.join(id.folder()).join(id.as_str())
}

fn damaged(objects: &Path, id: &ChunkId, damage: Damage) -> StoreError {
    let path = if id.is_valid() { path(objects, id) } else { objects.to_path_buf() };
    StoreError::damaged(&path, damage)
}

/// Reads an object, into memory for so many bytes.
fn read_object(
    objects: &Path,
    id: &ChunkId,
    memory: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Object, StoreError> {
    let chunk = || Damage::Chunk { chunk: id.as_str().to_owned() };
    if !id.is_valid() {
        return Err(damaged(objects, id, chunk()));
    }
    // Objects take at most a little more than their raw bytes.
    let bytes = disk::read_at_most(&path(objects, id), MAX_CHUNK_BYTES + (1 << 20), memory)?
        .ok_or_else(|| {
            damaged(objects, id, Damage::MissingChunk { chunk: id.as_str().to_owned() })
        })?;
    let (codec, n_raw) = parse(&bytes).ok_or_else(|| damaged(objects, id, chunk()))?;
    let ancestors = codec.ancestors(&bytes[HEADER..], n_raw);
    let ancestors = ancestors.map_err(|_ignored| damaged(objects, id, Damage::Checksum))?;
    let ancestors = ancestors.iter().map(ChunkId::from_raw).collect();
    Ok(Object { codec, bytes, n_raw, ancestors })
}

/// The chunks against which an object is stored, whose checksum is checked where its codec has one.
pub(crate) fn bases(objects: &Path, id: &ChunkId) -> Result<Vec<ChunkId>, StoreError> {
    Ok(read_object(objects, id, Vec::with_capacity)?.ancestors)
}

/// The same of an object in memory; `None` if it is not as it was written, where its codec can tell.
#[cfg(feature = "object-store")]
pub(crate) fn bases_of(bytes: &[u8]) -> Option<Vec<ChunkId>> {
    let (codec, n_raw) = parse(bytes)?;
    let ancestors = codec.ancestors(&bytes[HEADER..], n_raw).ok()?;
    Some(ancestors.iter().map(ChunkId::from_raw).collect())
}

fn parse(bytes: &[u8]) -> Option<(&'static dyn ChunkCodec, usize)> {
    let (head, _) = bytes.split_at_checked(HEADER)?;
    let n_raw = u64::from_le_bytes(head[5..].try_into().ok()?);
    if head[..4] != MAGIC || n_raw > MAX_CHUNK_BYTES {
        return None;
    }
    let codec = *CODECS.iter().find(|c| c.id() == head[4])?;
    Some((codec, n_raw as usize))
}

/// Reads a chunk and checks its hash. What is decoded on the way is remembered.
pub(crate) fn load(objects: &Path, cache: &mut Cache, id: &ChunkId) -> Result<Loaded, StoreError> {
    let found = follow(objects, cache, id)?;
    if found.is_checked {
        return Ok(found);
    }
    if ChunkId::of(&found.raw) != *id {
        return Err(damaged(objects, id, Damage::Checksum));
    }
    let found = Loaded { is_checked: true, ..found };
    cache.insert(id.clone(), found.clone());
    Ok(found)
}

/// Decodes what a chunk is stored against, and what that is, from the far end on.
fn follow(objects: &Path, cache: &mut Cache, id: &ChunkId) -> Result<Loaded, StoreError> {
    let whose = |at: &ChunkId, e: StoreError| if at == id { e } else { e.of_base(id.as_str()) };
    let bad = |at: &ChunkId, damage| whose(at, damaged(objects, at, damage));
    // Objects that wait for others, each for the one after it.
    let mut waiting: Vec<(ChunkId, Object)> = Vec::new();
    let mut done: BTreeMap<ChunkId, Loaded> = BTreeMap::new();
    let mut n_read = 0;
    let mut next = Some(id.clone());
    while let Some(at) = next.take() {
        if let Some(known) = cache.touch(&at) {
            done.insert(at, known);
        } else {
            let object =
                read_object(objects, &at, |n| cache.buffer(n)).map_err(|e| whose(&at, e))?;
            // Who waits for itself waits for ever.
            if waiting.iter().any(|(w, _)| *w == at) || !may_link(n_read, object.n_raw) {
                return Err(bad(&at, Damage::Chain));
            }
            n_read += 1;
            waiting.push((at, object));
        }
        while let Some((at, object)) = waiting.pop() {
            next = object.ancestors.iter().find(|a| !done.contains_key(a)).cloned();
            if next.is_some() {
                waiting.push((at, object));
                break;
            }
            let ancestors: Vec<&Loaded> = object.ancestors.iter().map(|a| &done[a]).collect();
            if ancestors.iter().any(|a| a.raw.len() != object.n_raw) {
                return Err(bad(&at, Damage::Chain));
            }
            let slices: Vec<&[u8]> = ancestors.iter().map(|a| a.raw.as_slice()).collect();
            let mut raw = cache.buffer(object.n_raw);
            raw.resize(object.n_raw, 0);
            let stored = &object.bytes[HEADER..];
            let decoded = object.codec.decode(stored, &slices, &mut raw, &mut cache.unpacker);
            let chunk = || Damage::Chunk { chunk: at.as_str().to_owned() };
            decoded.map_err(|_ignored| bad(&at, chunk()))?;
            let loaded = Loaded {
                raw: Arc::new(raw),
                n_links: ancestors.iter().map(|a| a.n_links + 1).max().unwrap_or(0),
                ancestors: object.ancestors,
                is_checked: false,
            };
            cache.give_back(object.bytes);
            cache.insert(at.clone(), loaded.clone());
            done.insert(at, loaded);
        }
    }
    done.remove(id).ok_or_else(|| bad(id, Damage::Chain))
}
