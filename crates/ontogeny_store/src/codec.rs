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

    /// Fills `raw` exactly; the caller has bounded its length, and checks the hash. What was in it does not matter.
    ///
    /// `ancestors` are the raw bytes of the chunks against which it is stored, all as long as `raw`.
    fn decode(
        &self,
        stored: &[u8],
        ancestors: &[&[u8]],
        raw: &mut [u8],
        unpacker: &mut Unpacker,
    ) -> io::Result<()>;
}

/// Zstandard, and room for what comes out of it, kept from one object to the next.
#[derive(Default)]
pub(crate) struct Unpacker {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    fn zstd(&mut self) -> io::Result<&mut zstd::bulk::Decompressor<'static>> {
        if self.zstd.is_none() {
            self.zstd = Some(zstd::bulk::Decompressor::new()?);
        }
        self.zstd.as_mut().ok_or_else(malformed)
    }

    /// One Zstandard frame into exactly these bytes.
    fn fill(&mut self, stored: &[u8], raw: &mut [u8]) -> io::Result<()> {
        let n = self.zstd()?.decompress_to_buffer(stored, raw)?;
        if n == raw.len() { Ok(()) } else { Err(malformed()) }
    }

    /// One Zstandard frame of `n` bytes, a number that the caller has bounded.
    fn unpack(&mut self, stored: &[u8], n: usize) -> io::Result<&[u8]> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.reserve(n);
        let done = self.zstd()?.decompress_to_buffer(stored, &mut bytes);
        self.bytes = bytes;
        if done? == n { Ok(&self.bytes) } else { Err(malformed()) }
    }
}

/// Every codec that can be read.
pub(crate) const CODECS: &[&dyn ChunkCodec] = &[&plain::Plain, &planes::Planes, &delta::Delta];

/// The reason of a codec to refuse an object.
fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
