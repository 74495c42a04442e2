//! How chunks are compressed. A codec is one file with an implementation of [`ChunkCodec`], and its row in
//! [`CODECS`]; [`delta`] is the one that is written.

mod bits;
pub(crate) mod delta;
mod fit;
mod numbers;
mod plain;
mod planes;
mod residual;

pub(crate) use numbers::Number;
use std::io;

/// Chunks of earlier checkpoints at the same place that a codec may look at.
pub(crate) const N_ANCESTORS: usize = 3;

/// BLAKE3 of the raw bytes of a chunk.
pub(crate) type RawId = [u8; 32];

/// Turns the bytes of an object back into those of its chunk.
pub(crate) trait ChunkCodec: Sync {
    /// Stable number, written into every object.
    fn id(&self) -> u8;

    /// The chunks against which this one is stored, up to [`N_ANCESTORS`]; none if it stands alone. Fails if the
    /// object is not as it was written, where the codec can tell.
    fn ancestors(&self, _stored: &[u8], _n_raw: usize) -> io::Result<Vec<RawId>> {
        Ok(Vec::new())
    }

    /// Decompresses into exactly `n_raw` bytes; the caller has bounded `n_raw`, and checks the hash.
    ///
    /// `ancestors` are the raw bytes of the chunks against which it is stored, all of `n_raw` bytes.
    fn decode(&self, stored: &[u8], n_raw: usize, ancestors: &[&[u8]]) -> io::Result<Vec<u8>>;
}

/// Every codec that can be read.
pub(crate) const CODECS: &[&dyn ChunkCodec] = &[&plain::Plain, &planes::Planes, &delta::Delta];

/// The reason of a codec to refuse an object.
fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
