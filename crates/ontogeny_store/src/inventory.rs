//! What a checkpoint holds and takes, without reading the numbers.

use crate::checkpoint::{self, OwnedTensor, TensorView};
use crate::{RunReader, StoreError};
use ontogeny_core::{Dtype, Step};
use std::collections::BTreeMap;

/// Name, type and shape of a tensor in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Unique in the checkpoint.
    pub name: String,
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Lengths of the axes, row-major.
    pub shape: Vec<usize>,
    /// Bytes of the numbers.
    pub raw_bytes: u64,
}

/// What a checkpoint holds and takes.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointSummary {
    /// The step.
    pub step: Step,
    /// BLAKE3 of names, types, shapes and bytes of the tensors.
    pub state_hash: String,
    /// The tensors, in their order.
    pub tensors: Vec<TensorInfo>,
    /// What was given beside them.
    pub extra: serde_json::Value,
    /// Bytes of the tensors.
    pub raw_bytes: u64,
    /// Size on disk of every chunk that holds a part of them, by its name. Chunks may be shared with other
    /// checkpoints, runs and forks; one that is missing has no entry.
    pub chunks: BTreeMap<String, u64>,
    /// Chunks of the checkpoint, missing ones too.
    pub n_chunks: usize,
}

impl CheckpointSummary {
    /// Bytes on disk of all chunks of the checkpoint, as if it were alone.
    pub fn stored_bytes(&self) -> u64 {
        self.chunks.values().sum()
    }
}

impl OwnedTensor {
    /// The numbers one after another, exactly; `None` if they are whole numbers or truth values.
    pub fn floats(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        let (halves, singles) = (self.bytes.as_chunks::<2>().0, self.bytes.as_chunks::<4>().0);
        Some(match self.dtype {
            Dtype::F64 => {
                Box::new(self.bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b)))
            }
            Dtype::F32 => Box::new(singles.iter().map(|&b| f32::from_le_bytes(b).into())),
            Dtype::F16 => Box::new(halves.iter().map(|&b| f16_to_f64(u16::from_le_bytes(b)))),
            Dtype::Bf16 => Box::new(
                halves
                    .iter()
                    .map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16).into()),
            ),
            _ => return None,
        })
    }
}

/// IEEE 754 binary16.
fn f16_to_f64(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2.0_f64.powi(-14),
        0x1f if fraction == 0.0 => sign * f64::INFINITY,
        0x1f => f64::NAN,
        exponent => sign * (1.0 + fraction) * 2.0_f64.powi(i32::from(exponent) - 15),
    }
}

/// The hash that a checkpoint of these tensors has: BLAKE3 of names, types, shapes and bytes, in their order.
pub fn state_hash(tensors: &[TensorView<'_>]) -> String {
    checkpoint::state_hash(tensors)
}

impl RunReader {
    /// What the checkpoint at a step holds and takes, without reading its chunks.
    ///
    /// # Errors
    /// [`StoreError::NoCheckpoint`] with its neighbours, [`StoreError::Damaged`] if its list is not as it was written.
    pub fn checkpoint_summary(&self, step: Step) -> Result<CheckpointSummary, StoreError> {
        let run = &self.manifest().run;
        let found = checkpoint::read_index(self.path(), step).map_err(|e| e.of_run(run))?;
        let index = found.ok_or_else(|| self.no_checkpoint(step))?;
        let (mut chunks, mut n_chunks) = (BTreeMap::new(), 0);
        let mut tensors = Vec::with_capacity(index.tensors.len());
        let mut seen = std::collections::BTreeSet::new();
        for entry in index.tensors {
            for piece in &entry.pieces {
                if seen.insert(piece.chunk.clone()) {
                    n_chunks += 1;
                    if let Some(n) = self.chunks().stored_bytes(&piece.chunk) {
                        chunks.insert(piece.chunk.as_str().to_owned(), n);
                    }
                }
            }
            let raw_bytes = entry.pieces.iter().map(|p| p.n_bytes).sum();
            let checkpoint::Entry { name, dtype, shape, .. } = entry;
            tensors.push(TensorInfo { name, dtype, shape, raw_bytes });
        }
        let raw_bytes = tensors.iter().map(|t| t.raw_bytes).sum();
        let (state_hash, extra) = (index.state_hash, index.extra);
        Ok(CheckpointSummary { step, state_hash, tensors, extra, raw_bytes, chunks, n_chunks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_numbers_are_read_exactly() {
        let tensor = |dtype, halves: &[u16]| OwnedTensor {
            name: String::new(),
            dtype,
            shape: vec![halves.len()],
            bytes: halves.iter().flat_map(|h| h.to_le_bytes()).collect(),
        };
        // 1, -2, the least subnormal, the greatest, infinity, -0.
        let half = tensor(Dtype::F16, &[0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000]);
        let found: Vec<f64> = half.floats().unwrap().collect();
        let expected = [1.0, -2.0, 2.0_f64.powi(-24), 65504.0, f64::INFINITY, -0.0];
        assert_eq!(found, expected);
        assert!(found[5].is_sign_negative());
        let brain = tensor(Dtype::Bf16, &[0x3f80, 0xc000]);
        assert_eq!(brain.floats().unwrap().collect::<Vec<_>>(), [1.0, -2.0]);
        assert!(tensor(Dtype::F16, &[0x7e00]).floats().unwrap().all(f64::is_nan));
        assert!(tensor(Dtype::I16, &[1]).floats().is_none());
    }
}
