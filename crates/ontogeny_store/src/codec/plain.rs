//! Codec 1: one Zstandard frame.

use crate::chunks::ChunkId;
use crate::codec::{ChunkCodec, ChunkSource};
use std::io;

/// Zstandard at its fastest level: weights have little to compress, and training waits for it.
pub(crate) struct Plain;

impl ChunkCodec for Plain {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, raw: &[u8], _: Option<&ChunkId>, _: &dyn ChunkSource) -> io::Result<Vec<u8>> {
        zstd::bulk::compress(raw, 1)
    }

    fn decode(&self, stored: &[u8], n_raw: usize, _: &dyn ChunkSource) -> io::Result<Vec<u8>> {
        zstd::bulk::decompress(stored, n_raw)
    }
}
