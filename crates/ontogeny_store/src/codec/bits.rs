//! Numbers of any few bits, one after the other, least significant bit first.
#![expect(
    clippy::inline_always,
    reason = "a loop's instructions are those of what is inlined into it"
)]

use crate::codec::numbers::Float;

/// Numbers that are written or read together.
pub(crate) const BLOCK: usize = 256;
/// Bytes that a block may take: no number has more than 63 bits.
const BLOCK_BYTES: usize = 8 * BLOCK;
/// A block and the whole word that its last number may begin in.
const WINDOW: usize = BLOCK_BYTES + 7;

/// Writes blocks of numbers.
#[derive(Debug)]
pub(crate) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    rest: u64,
    n_rest: u32,
}

impl<'a> BitWriter<'a> {
    /// Writes behind what is in `bytes`.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, rest: 0, n_rest: 0 }
    }

    /// Appends the low `widths` bits of `values`, whose other bits are zero; together no more than 62 bits a
    /// whole word of 64.
    #[inline(always)]
    pub(crate) fn push<F: Float>(&mut self, values: &[F::Bits; BLOCK], widths: &[u32; BLOCK]) {
        // Several short numbers make one long one, which shortens the chain of steps that wait for each other.
        let together = (u64::BITS / F::BITS) as usize;
        let mut out = [[0; 8]; BLOCK];
        let (mut at, mut rest, mut n_rest) = (0, self.rest, self.n_rest);
        for (v, w) in values.chunks_exact(together).zip(widths.chunks_exact(together)) {
            let (mut value, mut n) = (0_u64, 0);
            for (&v, &w) in v.iter().zip(w) {
                value |= v.into() << n;
                n += w;
            }
            rest |= value << n_rest;
            n_rest += n;
            out[at % BLOCK] = rest.to_le_bytes();
            let is_full = n_rest >= 64;
            at += usize::from(is_full);
            // What did not fit: shifted twice, for it may be nothing.
            let left = value >> 1 >> ((63 + n - n_rest) & 63);
            rest = if is_full { left } else { rest };
            n_rest &= 63;
        }
        self.bytes.extend_from_slice(out[..at].as_flattened());
        (self.rest, self.n_rest) = (rest, n_rest);
    }

    /// Ends with a whole byte.
    #[inline(always)]
    pub(crate) fn finish(self) {
        self.bytes.extend_from_slice(&self.rest.to_le_bytes()[..self.n_rest.div_ceil(8) as usize]);
    }
}

/// Reads what a [`BitWriter`] wrote. Beyond the end there are zeros; [`BitReader::finish`] tells.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes a block of numbers of these widths, below 64.
    #[inline(always)]
    pub(crate) fn take<F: Float>(&mut self, widths: &[u32; BLOCK], values: &mut [F::Bits; BLOCK]) {
        let from = self.at / 8;
        let there = self.bytes.get(from..).unwrap_or_default();
        let n_bits = if let Some(window) = there.first_chunk() {
            take::<F>(window, self.at % 8, widths, values)
        } else {
            let mut window = [0; WINDOW];
            window[..there.len()].copy_from_slice(there);
            take::<F>(&window, self.at % 8, widths, values)
        };
        self.at = 8 * from + n_bits;
    }

    /// What follows the last byte that was begun; `None` if more was read than there is.
    #[inline(always)]
    pub(crate) fn finish(self) -> Option<&'a [u8]> {
        self.bytes.get(self.at.div_ceil(8)..)
    }
}

/// Gives the bit behind the last one.
#[inline(always)]
fn take<F: Float>(
    window: &[u8; WINDOW],
    first: usize,
    widths: &[u32; BLOCK],
    values: &mut [F::Bits; BLOCK],
) -> usize {
    let word = |at: usize| {
        let from = at / 8 % BLOCK_BYTES;
        let bytes = window[from..].first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(bytes) >> (at % 8)
    };
    let mut at = first;
    for (value, &n) in values.iter_mut().zip(widths) {
        // 57 bits of a word are sure to be there.
        let found =
            if F::BITS > 57 { word(at) & 0xffff_ffff | word(at + 32) << 32 } else { word(at) };
        *value = F::narrow(found & ((1 << n) - 1));
        at += n as usize;
    }
    at
}
