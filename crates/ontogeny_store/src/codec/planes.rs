//! Codec 2: the bytes of 4-byte words sorted by their place in the word, then one Zstandard frame.
//!
//! First all first bytes, then all second ones, and so on; bytes after the last whole word follow as they are.
//! Exponents of weights are alike and compress, mantissas are noise and are copied: together they would hide
//! one another. Chunks of other types lose little by it.

use crate::chunks::ChunkId;
use crate::codec::{ChunkCodec, ChunkSource};
use std::io;

const WORD: usize = 4;

/// Zstandard over byte planes.
pub(crate) struct Planes;

fn split(raw: &[u8]) -> Vec<u8> {
    let (words, rest) = raw.as_chunks::<WORD>();
    let mut out = Vec::with_capacity(raw.len());
    for place in 0..WORD {
        out.extend(words.iter().map(|w| w[place]));
    }
    out.extend_from_slice(rest);
    out
}

fn join(planes: &[u8]) -> Vec<u8> {
    let n = planes.len() / WORD;
    let mut out = planes.to_vec();
    for (i, word) in out.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
        *word = std::array::from_fn(|place| planes[place * n + i]);
    }
    out
}

impl ChunkCodec for Planes {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, raw: &[u8], _: Option<&ChunkId>, _: &dyn ChunkSource) -> io::Result<Vec<u8>> {
        zstd::bulk::compress(&split(raw), 1)
    }

    fn decode(&self, stored: &[u8], n_raw: usize, _: &dyn ChunkSource) -> io::Result<Vec<u8>> {
        Ok(join(&zstd::bulk::decompress(stored, n_raw)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::plain::Plain;
    use ontogeny_core::random::Philox;

    struct Nothing;

    impl ChunkSource for Nothing {
        fn chunk(&self, _: &ChunkId) -> Option<Vec<u8>> {
            None
        }
    }

    #[test]
    fn every_length_comes_back() {
        for n in 0..70 {
            let raw: Vec<u8> = (0..n).map(|i| i * 3).collect();
            let stored = Planes.encode(&raw, None, &Nothing).unwrap();
            assert_eq!(Planes.decode(&stored, raw.len(), &Nothing).unwrap(), raw);
        }
    }

    #[test]
    fn weights_take_less_than_as_they_are() {
        let draws = Philox::new(1, "weights").at(0);
        let raw: Vec<u8> =
            (0..1 << 18).flat_map(|i| (0.02 * draws.normal(i) as f32).to_le_bytes()).collect();
        let len = |codec: &dyn ChunkCodec| codec.encode(&raw, None, &Nothing).unwrap().len();
        let (plain, planes) = (len(&Plain), len(&Planes));
        // Sign and exponent of normal numbers hold about 4 of their 9 bits.
        println!("{} raw, {plain} plain, {planes} in planes", raw.len());
        assert!(planes * 100 < plain * 95 && planes * 100 < raw.len() * 87);
    }
}
