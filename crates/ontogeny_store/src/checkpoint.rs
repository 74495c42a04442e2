//! Checkpoints: the exact bytes of named tensors at a step.
//!
//! `checkpoints/<step>.json` lists the tensors and the pieces of chunks that hold them. A tensor of at least
//! [`OWN_BYTES`] has chunks of its own, so that runs and forks share what they have in common; smaller ones are
//! packed together, in order, so that a small model is a few files and not hundreds.

use crate::chain::{CACHE_BYTES, MIN_CACHE_BYTES};
use crate::chunks::{Before, CHUNK_BYTES, ChunkId, Chunks};
use crate::codec::Number;
use crate::codec::delta::Part;
use crate::tensors::n_values;
use crate::{Damage, StoreError, disk, faults};
use ontogeny_core::{Dtype, Step};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Smallest tensor with chunks of its own.
const OWN_BYTES: usize = 1 << 18;
const FORMAT_VERSION: u32 = 1;

/// A tensor to be checkpointed.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Unique in the checkpoint, e.g. `embed.weight` or `adam.m/embed.weight`.
    pub name: &'a str,
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Lengths of the axes, row-major.
    pub shape: &'a [usize],
    /// The numbers, little-endian.
    pub bytes: &'a [u8],
}

/// A tensor read from a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedTensor {
    /// Unique in the checkpoint.
    pub name: String,
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Lengths of the axes, row-major.
    pub shape: Vec<usize>,
    /// The numbers, little-endian.
    pub bytes: Vec<u8>,
}

impl OwnedTensor {
    /// A tensor of single-precision numbers.
    pub fn from_f32(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Self {
        // In one piece: a training waits for this copy.
        let mut bytes = vec![0; 4 * values.len()];
        let places = bytes.as_chunks_mut::<4>().0.iter_mut();
        places.zip(values).for_each(|(place, v)| *place = v.to_le_bytes());
        Self { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// The numbers in single precision; `None` if they are of another type.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let chunks = self.bytes.as_chunks::<4>().0;
        (self.dtype == Dtype::F32).then(|| chunks.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }

    /// The tensor, borrowed.
    pub fn view(&self) -> TensorView<'_> {
        TensorView { name: &self.name, dtype: self.dtype, shape: &self.shape, bytes: &self.bytes }
    }
}

/// A checkpoint read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The step: the state after that many updates.
    pub step: Step,
    /// The tensors, in the order in which they were given.
    pub tensors: Vec<OwnedTensor>,
    /// What was given beside them: data cursor, counters; the store does not interpret it.
    pub extra: serde_json::Value,
    /// BLAKE3 of names, types, shapes and bytes of the tensors.
    pub state_hash: String,
}

/// What storing a checkpoint took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// The step.
    pub step: Step,
    /// BLAKE3 of names, types, shapes and bytes of the tensors: equal states have equal hashes.
    pub state_hash: String,
    /// Bytes of the tensors.
    pub raw_bytes: u64,
    /// Bytes that were added to `objects/`; what was there already costs nothing.
    pub stored_bytes: u64,
    /// Chunks of the checkpoint.
    pub n_chunks: usize,
    /// Chunks that were not there yet.
    pub n_new_chunks: usize,
}

/// Bytes `offset..offset + n_bytes` of a chunk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) chunk: ChunkId,
    offset: u64,
    pub(crate) n_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) pieces: Vec<Piece>,
}

/// `checkpoints/<step>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Index {
    format_version: u32,
    step: Step,
    pub(crate) tensors: Vec<Entry>,
    pub(crate) extra: serde_json::Value,
    pub(crate) state_hash: String,
    /// BLAKE3 of the JSON array of the fields above, without spaces and with sorted keys.
    hash: String,
}

impl Index {
    fn content_hash(&self) -> String {
        let mut text = format!("[{},{},[", self.format_version, self.step);
        for (i, t) in self.tensors.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let (dtype, name) = (serde_json::json!(t.dtype), quoted(&t.name));
            let _ = write!(text, r#"{comma}{{"dtype":{dtype},"name":{name},"pieces":["#);
            for (i, p) in t.pieces.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let (chunk, n_bytes, offset) = (quoted(p.chunk.as_str()), p.n_bytes, p.offset);
                let _ = write!(
                    text,
                    r#"{comma}{{"chunk":{chunk},"n_bytes":{n_bytes},"offset":{offset}}}"#
                );
            }
            text.push_str(r#"],"shape":["#);
            for (i, n) in t.shape.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let _ = write!(text, "{comma}{n}");
            }
            text.push_str("]}");
        }
        text.push_str("],");
        canonical(&mut text, &self.extra);
        let _ = write!(text, ",{}]", quoted(&self.state_hash));
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// Text as JSON has it.
fn quoted(text: &str) -> Cow<'_, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("null"), Cow::Owned)
}

/// JSON without spaces and with sorted keys, whatever features the JSON library was built with.
fn canonical(out: &mut String, value: &serde_json::Value) {
    let separated = |out: &mut String, i: usize| {
        if i > 0 {
            out.push(',');
        }
    };
    match value {
        serde_json::Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separated(out, i);
                canonical(out, item);
            }
            out.push(']');
        }
        serde_json::Value::Object(fields) => {
            let sorted: BTreeMap<&String, &serde_json::Value> = fields.iter().collect();
            out.push('{');
            for (i, (key, field)) in sorted.into_iter().enumerate() {
                separated(out, i);
                out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(out, field);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

pub(crate) fn state_hash(tensors: &[TensorView<'_>]) -> String {
    let mut hasher = blake3::Hasher::new();
    for t in tensors {
        let head = serde_json::json!([t.name, t.dtype, t.shape]).to_string();
        hasher.update(&(head.len() as u64).to_le_bytes());
        hasher.update(head.as_bytes());
        hasher.update(t.bytes);
    }
    hasher.finalize().to_hex().to_string()
}

pub(crate) fn index_path(run_dir: &Path, step: Step) -> PathBuf {
    run_dir.join("checkpoints").join(format!("{step}.json"))
}

/// Cuts tensors into the stretches of bytes that become chunks, each with the tensors it holds.
fn stretches<'a>(tensors: &[TensorView<'a>]) -> Vec<Vec<(usize, &'a [u8])>> {
    let mut own = Vec::new();
    let mut packed: Vec<Vec<(usize, &[u8])>> = Vec::new();
    let mut room = 0;
    for (i, t) in tensors.iter().enumerate() {
        if t.bytes.len() >= OWN_BYTES {
            own.extend(t.bytes.chunks(CHUNK_BYTES).map(|piece| vec![(i, piece)]));
        } else if t.bytes.len() <= room
            && let Some(last) = packed.last_mut()
        {
            room -= t.bytes.len();
            last.push((i, t.bytes));
        } else if !t.bytes.is_empty() {
            room = CHUNK_BYTES - t.bytes.len();
            packed.push(vec![(i, t.bytes)]);
        }
    }
    own.extend(packed);
    own
}

/// A checkpoint whose chunks are put, and whose list is not written yet.
#[derive(Debug)]
pub(crate) struct Stored {
    index: Index,
    pub(crate) info: CheckpointInfo,
}

/// Puts the chunks of a checkpoint. `previous` are those of the checkpoint before; it becomes those of this one.
pub(crate) fn store(
    chunks: &mut Chunks,
    previous: &mut Vec<ChunkId>,
    step: Step,
    tensors: &[TensorView<'_>],
    extra: serde_json::Value,
) -> Result<Stored, StoreError> {
    let mut entries: Vec<Entry> = tensors
        .iter()
        .map(|t| {
            let expected = n_values(t.shape).and_then(|n| n.checked_mul(t.dtype.size_bytes()));
            assert!(
                expected == Some(t.bytes.len()),
                "checkpoint at step {step}: {} bytes do not fit tensor {} of shape {:?}",
                t.bytes.len(),
                t.name,
                t.shape
            );
            let (name, shape) = (t.name.to_owned(), t.shape.to_vec());
            Entry { name, dtype: t.dtype, shape, pieces: Vec::new() }
        })
        .collect();
    let mut info = CheckpointInfo {
        step,
        state_hash: state_hash(tensors),
        raw_bytes: tensors.iter().map(|t| t.bytes.len() as u64).sum(),
        stored_bytes: 0,
        n_chunks: 0,
        n_new_chunks: 0,
    };
    let mut ids = Vec::new();
    // Three checkpoints before this one are looked at, or as many as can be remembered.
    let remembered = CACHE_BYTES as u64 / info.raw_bytes.max(1);
    let max_ancestors = remembered.saturating_sub(1).clamp(1, 3) as usize;
    chunks.remember(info.raw_bytes.saturating_mul(max_ancestors as u64 + 1));
    for stretch in stretches(tensors) {
        let mut joined = chunks.buffer(stretch.iter().map(|(_, b)| b.len()).sum());
        joined.clear();
        let mut parts = Vec::with_capacity(stretch.len());
        for (i, bytes) in &stretch {
            joined.extend_from_slice(bytes);
            parts.push(Part { n_bytes: bytes.len(), number: Number::of(tensors[*i].dtype) });
        }
        let before = previous.get(info.n_chunks).map(|chunk| Before { chunk, max_ancestors });
        let (chunk, n_stored) = chunks.put(joined, &parts, before)?;
        info.n_chunks += 1;
        info.n_new_chunks += usize::from(n_stored > 0);
        info.stored_bytes += n_stored;
        let mut offset = 0;
        for (i, bytes) in stretch {
            let n_bytes = bytes.len() as u64;
            entries[i].pieces.push(Piece { chunk: chunk.clone(), offset, n_bytes });
            offset += n_bytes;
        }
        ids.push(chunk);
    }
    let mut index = Index {
        format_version: FORMAT_VERSION,
        step,
        tensors: entries,
        extra,
        state_hash: info.state_hash.clone(),
        hash: String::new(),
    };
    index.hash = index.content_hash();
    *previous = ids;
    Ok(Stored { index, info })
}

/// Writes the lists of checkpoints durably, in their order. Their chunks are durable.
pub(crate) fn show(run_dir: &Path, stored: &[Stored]) -> Result<(), StoreError> {
    if stored.is_empty() {
        return Ok(());
    }
    let dir = run_dir.join("checkpoints");
    disk::create_dir(&dir)?;
    for s in stored {
        let path = index_path(run_dir, s.index.step);
        let mut bytes = serde_json::to_vec(&s.index)
            .map_err(|e| StoreError::Encode { path: path.clone(), source: Box::new(e) })?;
        bytes.push(b'\n');
        disk::place(&path, &bytes)?;
    }
    disk::sync_dir(&dir)
}

/// Steps that have a checkpoint, in order.
pub(crate) fn steps(run_dir: &Path) -> Result<Vec<Step>, StoreError> {
    let names = disk::names(&run_dir.join("checkpoints"))?;
    let step = |n: &String| n.strip_suffix(".json")?.parse().ok().map(Step);
    let mut steps: Vec<Step> = names.iter().filter_map(step).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Forgets the checkpoints after `last`; their chunks stay for others.
pub(crate) fn truncate_after(run_dir: &Path, last: Step) -> Result<(), StoreError> {
    let dir = run_dir.join("checkpoints");
    let late: Vec<Step> = steps(run_dir)?.into_iter().filter(|&s| s > last).collect();
    for &step in &late {
        let path = index_path(run_dir, step);
        let removed = faults::point(&path).and_then(|()| std::fs::remove_file(&path));
        removed.map_err(|e| StoreError::io("remove", &path, e))?;
    }
    if late.is_empty() { Ok(()) } else { disk::sync_dir(&dir) }
}

/// Reads the list of a checkpoint; `None` if there is none at this step.
pub(crate) fn read_index(run_dir: &Path, step: Step) -> Result<Option<Index>, StoreError> {
    let path = index_path(run_dir, step);
    let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
    let index: Index = serde_json::from_slice(&bytes).map_err(|e| StoreError::json(&path, e))?;
    if index.format_version > FORMAT_VERSION {
        let (found, supported) = (index.format_version, FORMAT_VERSION);
        return Err(StoreError::Newer { path, found, supported });
    }
    if index.hash != index.content_hash() {
        return Err(StoreError::damaged(&path, Damage::Checksum));
    }
    if index.step != step {
        let found = format!("step {}", index.step);
        return Err(StoreError::damaged(&path, Damage::Misplaced { found }));
    }
    Ok(Some(index))
}

/// Reads a checkpoint; `None` if there is none at this step.
pub(crate) fn read(
    run_dir: &Path,
    chunks: &Chunks,
    step: Step,
) -> Result<Option<Checkpoint>, StoreError> {
    let Some(index) = read_index(run_dir, step)? else { return Ok(None) };
    let path = index_path(run_dir, step);
    chunks.expect(index.tensors.iter().flat_map(|t| &t.pieces).map(|p| &p.chunk));
    // Who reads on needs this one and the three before it.
    let pieces = index.tensors.iter().flat_map(|t| &t.pieces);
    let n_bytes = pieces.fold(0_u64, |n, p| n.saturating_add(p.n_bytes));
    chunks.remember(n_bytes.saturating_mul(4).max(MIN_CACHE_BYTES as u64));
    let tensors = index.tensors.into_iter().map(|entry| read_tensor(&path, chunks, entry));
    let tensors = tensors.collect::<Result<_, _>>()?;
    Ok(Some(Checkpoint { step, tensors, extra: index.extra, state_hash: index.state_hash }))
}

/// Reads one tensor; `None` if there is no checkpoint at this step, or it has no tensor of this name.
pub(crate) fn read_one(
    run_dir: &Path,
    chunks: &Chunks,
    step: Step,
    name: &str,
) -> Result<Option<OwnedTensor>, StoreError> {
    let Some(index) = read_index(run_dir, step)? else { return Ok(None) };
    let path = index_path(run_dir, step);
    let entry = index.tensors.into_iter().find(|t| t.name == name);
    chunks.expect(entry.iter().flat_map(|t| &t.pieces).map(|p| &p.chunk));
    entry.map(|entry| read_tensor(&path, chunks, entry)).transpose()
}

fn read_tensor(path: &Path, chunks: &Chunks, entry: Entry) -> Result<OwnedTensor, StoreError> {
    let misfit = |found: usize, expected: Option<u64>| {
        let tensor = entry.name.clone();
        let (found, expected) = (found as u64, expected.unwrap_or(u64::MAX));
        StoreError::damaged(path, Damage::Shape { tensor, found, expected })
    };
    let expected = n_values(&entry.shape).and_then(|n| n.checked_mul(entry.dtype.size_bytes()));
    let n_expected = expected.unwrap_or(0);
    let mut bytes = Vec::new();
    for piece in &entry.pieces {
        let raw = chunks.get(&piece.chunk)?;
        let end = piece.offset.checked_add(piece.n_bytes);
        let range = usize::try_from(piece.offset).ok().zip(end.and_then(|e| e.try_into().ok()));
        let part = range.and_then(|(from, to): (usize, usize)| raw.get(from..to));
        let part = part.ok_or_else(|| misfit(raw.len(), end))?;
        if bytes.is_empty() {
            // In one piece, where the pieces are like the first.
            bytes.reserve_exact(part.len().saturating_mul(entry.pieces.len()).min(n_expected));
        }
        bytes.extend_from_slice(part);
    }
    if expected != Some(bytes.len()) {
        return Err(misfit(bytes.len(), expected.map(|e| e as u64)));
    }
    let Entry { name, dtype, shape, .. } = entry;
    Ok(OwnedTensor { name, dtype, shape, bytes })
}

/// The chunks of a checkpoint in the order in which [`store`] took them; none if it cannot be read.
pub(crate) fn chunks_of(run_dir: &Path, step: Step) -> Vec<ChunkId> {
    let Ok(Some(index)) = read_index(run_dir, step) else { return Vec::new() };
    let (own, packed): (Vec<Entry>, Vec<Entry>) = (index.tensors.into_iter())
        .partition(|t| t.pieces.iter().map(|p| p.n_bytes).sum::<u64>() >= OWN_BYTES as u64);
    let mut ids: Vec<ChunkId> = Vec::new();
    for piece in own.into_iter().chain(packed).flat_map(|t| t.pieces) {
        if piece.offset == 0 {
            ids.push(piece.chunk);
        }
    }
    ids
}

/// Every chunk that the list of a checkpoint names; none if there is no list.
pub(crate) fn chunks_named(run_dir: &Path, step: Step) -> Result<Vec<ChunkId>, StoreError> {
    let index = read_index(run_dir, step)?;
    let pieces = index.into_iter().flat_map(|i| i.tensors).flat_map(|t| t.pieces);
    Ok(pieces.map(|p| p.chunk).collect())
}

/// The last checkpoint of a run at or before a step.
pub(crate) fn last_step(run_dir: &Path, step: Step) -> Option<Step> {
    steps(run_dir).ok()?.into_iter().rfind(|&s| s <= step)
}

/// The hash of the state at a step, without reading the state.
pub(crate) fn read_state_hash(run_dir: &Path, step: Step) -> Result<Option<String>, StoreError> {
    Ok(read_index(run_dir, step)?.map(|i| i.state_hash))
}

/// Checks that a checkpoint can be read, skipping chunks in `checked`, to which it adds.
pub(crate) fn check(
    run_dir: &Path,
    chunks: &Chunks,
    step: Step,
    checked: &Mutex<BTreeSet<ChunkId>>,
) -> Result<(), StoreError> {
    let checked = || checked.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(index) = read_index(run_dir, step)? else { return Ok(()) };
    chunks.expect(index.tensors.iter().flat_map(|t| &t.pieces).map(|p| &p.chunk));
    for piece in index.tensors.into_iter().flat_map(|t| t.pieces) {
        let is_known = checked().contains(&piece.chunk);
        if !is_known {
            chunks.get(&piece.chunk)?;
            checked().insert(piece.chunk);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_list_is_that_of_its_canonical_form() {
        let piece = |n| Piece { chunk: ChunkId::of(&[n]), offset: n.into(), n_bytes: 7 };
        let entry = |name: &str, dtype, shape: &[usize], n| Entry {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            pieces: (0..n).map(piece).collect(),
        };
        let tensors = vec![
            entry("a \"quoted\"\n\u{1}\u{e9}", Dtype::F32, &[2, 3], 2),
            entry("", Dtype::Bool, &[], 0),
            entry("c", Dtype::U64, &[0], 1),
        ];
        for tensors in [tensors, Vec::new()] {
            let index = Index {
                format_version: 1,
                step: Step(20),
                tensors,
                extra: serde_json::json!({"z": 1.5, "a": [null, "\t"]}),
                state_hash: "ab".to_owned(),
                hash: String::new(),
            };
            let (tensors, extra) = (&index.tensors, &index.extra);
            let mut text = String::new();
            canonical(&mut text, &serde_json::json!([1, index.step, tensors, extra, "ab"]));
            assert_eq!(index.content_hash(), blake3::hash(text.as_bytes()).to_hex().as_str());
        }
    }

    #[test]
    fn the_canonical_form_is_that_of_sorted_keys() {
        let json = r#"{"b":[1,2.5,null,{"z":"\"","a":1e300}],"a":{},"c":[]}"#;
        let mut out = String::new();
        canonical(&mut out, &serde_json::from_str(json).unwrap());
        assert_eq!(out, r#"{"a":{},"b":[1,2.5,null,{"a":1e+300,"z":"\""}],"c":[]}"#);
    }

    #[test]
    fn small_tensors_are_packed_and_large_ones_cut() {
        let bytes = vec![0; 3 * CHUNK_BYTES];
        let view = |n| TensorView { name: "", dtype: Dtype::U8, shape: &[], bytes: &bytes[..n] };
        let small = OWN_BYTES - 1;
        let tensors = [view(small), view(2 * CHUNK_BYTES + 1), view(0), view(small), view(small)]
            .into_iter()
            .chain([view(small), view(small)])
            .collect::<Vec<_>>();
        let sizes: Vec<Vec<(usize, usize)>> = stretches(&tensors)
            .into_iter()
            .map(|s| s.into_iter().map(|(i, b)| (i, b.len())).collect())
            .collect();
        assert_eq!(
            sizes,
            [
                vec![(1, CHUNK_BYTES)],
                vec![(1, CHUNK_BYTES)],
                vec![(1, 1)],
                vec![(0, small), (2, 0), (3, small), (4, small), (5, small)],
                vec![(6, small)],
            ]
        );
    }
}
