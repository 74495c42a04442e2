//! Codec 1: one Zstandard frame. It is read, and no longer written.

use crate::codec::{ChunkCodec, Unpacker};
use std::io;

/// Zstandard as it is.
pub(crate) struct Plain;

impl ChunkCodec for Plain {
    fn id(&self) -> u8 {
        1
    }

    fn decode(
        &self,
        stored: &[u8],
        _: &[&[u8]],
        raw: &mut [u8],
        unpacker: &mut Unpacker,
    ) -> io::Result<()> {
        unpacker.fill(stored, raw)
    }
}
