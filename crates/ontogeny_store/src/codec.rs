//! How chunks are compressed. A codec is one file with an implementation of [`ChunkCodec`], and its row in
//! [`CODECS`].

mod plain;
mod planes;

use crate::chunks::ChunkId;
use std::io;

/// Turns the bytes of a chunk into the bytes of its object, and back.
///
/// `previous` is the chunk at the same place of the checkpoint before, so that a codec can store a difference;
/// `source` fetches any chunk by its id. The hash of the result is checked by the caller.
pub(crate) trait ChunkCodec: Sync {
    /// Stable number, written into every object.
    fn id(&self) -> u8;

    /// Compresses.
    fn encode(
        &self,
        raw: &[u8],
        previous: Option<&ChunkId>,
        source: &dyn ChunkSource,
    ) -> io::Result<Vec<u8>>;

    /// Decompresses into exactly `n_raw` bytes; the caller has bounded `n_raw`.
    fn decode(&self, stored: &[u8], n_raw: usize, source: &dyn ChunkSource) -> io::Result<Vec<u8>>;
}

/// Fetches chunks for a codec that refers to others.
pub(crate) trait ChunkSource {
    /// The bytes of a chunk, if it is there and intact.
    #[expect(dead_code, reason = "for codecs that store differences")]
    fn chunk(&self, id: &ChunkId) -> Option<Vec<u8>>;
}

/// Every codec that can be read.
pub(crate) const CODECS: &[&dyn ChunkCodec] = &[&plain::Plain, &planes::Planes];
/// The codec that is written.
pub(crate) const WRITTEN: &dyn ChunkCodec = &planes::Planes;
