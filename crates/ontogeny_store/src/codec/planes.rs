//! The bytes of words sorted by their place in the word: all first bytes, then all second ones, and so on.
//!
//! Exponents of weights are alike and compress, mantissas are noise: together they would hide one another.

use crate::codec::ChunkCodec;
use std::io;

/// Codec 2: planes of 4-byte words, then one Zstandard frame. Bytes after the last whole word follow as they
/// are. It is read, and no longer written.
pub(crate) struct Planes;

/// Appends one plane of whole words.
pub(crate) fn take_plane(words: &[u8], place: usize, width: usize, out: &mut Vec<u8>) {
    // With the width known, the loops become shuffles.
    match width {
        8 => out.extend(words.as_chunks::<8>().0.iter().map(|w| w[place])),
        4 => out.extend(words.as_chunks::<4>().0.iter().map(|w| w[place])),
        2 => out.extend(words.as_chunks::<2>().0.iter().map(|w| w[place])),
        _ => out.extend_from_slice(words),
    }
}

/// Puts one plane back into the words.
pub(crate) fn put_plane(plane: &[u8], place: usize, width: usize, words: &mut [u8]) {
    match width {
        8 => words.as_chunks_mut::<8>().0.iter_mut().zip(plane).for_each(|(w, &b)| w[place] = b),
        4 => words.as_chunks_mut::<4>().0.iter_mut().zip(plane).for_each(|(w, &b)| w[place] = b),
        2 => words.as_chunks_mut::<2>().0.iter_mut().zip(plane).for_each(|(w, &b)| w[place] = b),
        _ => words.copy_from_slice(plane),
    }
}

impl ChunkCodec for Planes {
    fn id(&self) -> u8 {
        2
    }

    fn decode(&self, stored: &[u8], n_raw: usize, _: &[&[u8]]) -> io::Result<Vec<u8>> {
        const WIDTH: usize = 4;
        let planes = zstd::bulk::decompress(stored, n_raw)?;
        let n = planes.len() / WIDTH;
        let mut words = planes.clone();
        if n > 0 {
            for (place, plane) in planes.chunks_exact(n).take(WIDTH).enumerate() {
                put_plane(plane, place, WIDTH, &mut words[..n * WIDTH]);
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        for n in 0..70 {
            let raw: Vec<u8> = (0..n).map(|i| i * 3).collect();
            let whole = raw.len() / 4 * 4;
            let mut planes = Vec::new();
            (0..4).for_each(|place| take_plane(&raw[..whole], place, 4, &mut planes));
            planes.extend(&raw[whole..]);
            let stored = zstd::bulk::compress(&planes, 1).unwrap();
            assert_eq!(Planes.decode(&stored, raw.len(), &[]).unwrap(), raw);
        }
    }
}
