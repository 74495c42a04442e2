//! Codec 1: one Zstandard frame. It is read, and no longer written.

use crate::codec::ChunkCodec;
use std::io;

/// Zstandard as it is.
pub(crate) struct Plain;

impl ChunkCodec for Plain {
    fn id(&self) -> u8 {
        1
    }

    fn decode(&self, stored: &[u8], n_raw: usize, _: &[&[u8]]) -> io::Result<Vec<u8>> {
        zstd::bulk::decompress(stored, n_raw)
    }
}
