//! The bytes of words sorted by their place in the word: all first bytes, then all second ones, and so on.
//!
//! Exponents of weights are alike and compress, mantissas are noise: together they would hide one another.

use crate::codec::{ChunkCodec, Unpacker};
use multiversion::multiversion;
use std::io;

/// Codec 2: planes of 4-byte words, then one Zstandard frame. Bytes after the last whole word follow as they
/// are. It is read, and no longer written.
pub(crate) struct Planes;

/// Words that are sorted together, while they are near.
const BLOCK: usize = 256;

/// Sorts whole words of a width into as many planes. Each word is first turned left by one bit, so that the exponent
/// of a float lies in one plane and the sign is noise in the lowest; or replaced by its difference to that of the base.
pub(crate) fn take_planes(
    words: &[u8],
    base: Option<&[u8]>,
    is_float: bool,
    planes: &mut [&mut [u8]],
) {
    match planes.len() {
        8 => take_64(words, base, is_float, planes),
        4 => take_32(words, base, is_float, planes),
        2 => take_16(words, base, is_float, planes),
        _ => take_8(words, base, is_float, planes),
    }
}

/// The inverse of [`take_planes`].
pub(crate) fn put_planes(planes: &[&[u8]], base: Option<&[u8]>, is_float: bool, words: &mut [u8]) {
    match planes.len() {
        8 => put_64(planes, base, is_float, words),
        4 => put_32(planes, base, is_float, words),
        2 => put_16(planes, base, is_float, words),
        _ => put_8(planes, base, is_float, words),
    }
}

macro_rules! planes_of {
    ($word:ty, $take:ident, $put:ident) => {
        #[multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512vbmi+avx2",
            "x86_64+avx2"
        ))]
        fn $take(words: &[u8], base: Option<&[u8]>, is_float: bool, planes: &mut [&mut [u8]]) {
            const N: usize = size_of::<$word>();
            let words = words.as_chunks::<N>().0;
            let base = base.map(|b| b.as_chunks::<N>().0);
            let turn = u32::from(is_float);
            let mut block = [0; BLOCK];
            for (b, words) in words.chunks(BLOCK).enumerate() {
                let range = b * BLOCK..b * BLOCK + words.len();
                let block = &mut block[..words.len()];
                match base {
                    Some(base) => {
                        for ((to, &w), &b) in block.iter_mut().zip(words).zip(&base[range.clone()])
                        {
                            *to = <$word>::from_le_bytes(w).wrapping_sub(<$word>::from_le_bytes(b));
                        }
                    }
                    None => {
                        for (to, &w) in block.iter_mut().zip(words) {
                            *to = <$word>::from_le_bytes(w).rotate_left(turn);
                        }
                    }
                }
                for (place, plane) in planes.iter_mut().enumerate().take(N) {
                    for (to, w) in plane[range.clone()].iter_mut().zip(&*block) {
                        *to = (w >> (8 * place)) as u8;
                    }
                }
            }
        }

        #[multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512vbmi+avx2",
            "x86_64+avx2"
        ))]
        fn $put(planes: &[&[u8]], base: Option<&[u8]>, is_float: bool, words: &mut [u8]) {
            const N: usize = size_of::<$word>();
            let words = words.as_chunks_mut::<N>().0;
            let base = base.map(|b| b.as_chunks::<N>().0);
            let turn = u32::from(is_float);
            let mut block: [$word; BLOCK] = [0; BLOCK];
            for (b, words) in words.chunks_mut(BLOCK).enumerate() {
                let range = b * BLOCK..b * BLOCK + words.len();
                let block = &mut block[..words.len()];
                block.fill(0);
                for (place, plane) in planes.iter().enumerate().take(N) {
                    for (w, &byte) in block.iter_mut().zip(&plane[range.clone()]) {
                        *w |= <$word>::from(byte) << (8 * place);
                    }
                }
                match base {
                    Some(base) => {
                        for ((to, w), &b) in words.iter_mut().zip(&*block).zip(&base[range]) {
                            *to = w.wrapping_add(<$word>::from_le_bytes(b)).to_le_bytes();
                        }
                    }
                    None => {
                        for (to, w) in words.iter_mut().zip(&*block) {
                            *to = w.rotate_right(turn).to_le_bytes();
                        }
                    }
                }
            }
        }
    };
}

planes_of!(u64, take_64, put_64);
planes_of!(u32, take_32, put_32);
planes_of!(u16, take_16, put_16);
planes_of!(u8, take_8, put_8);

impl ChunkCodec for Planes {
    fn id(&self) -> u8 {
        2
    }

    fn decode(
        &self,
        stored: &[u8],
        _: &[&[u8]],
        raw: &mut [u8],
        unpacker: &mut Unpacker,
    ) -> io::Result<()> {
        const WIDTH: usize = 4;
        let planes = unpacker.unpack(stored, raw.len())?;
        let (planes, rest) = planes.split_at(planes.len() / WIDTH * WIDTH);
        let (words, last) = raw.split_at_mut(planes.len());
        last.copy_from_slice(rest);
        let n = planes.len() / WIDTH;
        let planes: [&[u8]; WIDTH] = std::array::from_fn(|place| &planes[place * n..][..n]);
        put_planes(&planes, None, false, words);
        Ok(())
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
            let mut planes: Vec<u8> =
                (0..4).flat_map(|p| raw[..whole].iter().skip(p).step_by(4).copied()).collect();
            planes.extend(&raw[whole..]);
            let stored = zstd::bulk::compress(&planes, 1).unwrap();
            let mut found = vec![0xaa; raw.len()];
            Planes.decode(&stored, &[], &mut found, &mut Unpacker::default()).unwrap();
            assert_eq!(found, raw);
        }
    }
}
