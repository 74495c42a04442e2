//! How far numbers lie from what was predicted: a token of one byte, and bits that are noise.
//!
//! A distance `d` in bit patterns loses its `k` lowest bits first: they are written as they are. Of what is left,
//! `h`, the token holds the sign, the position of the leading one and the `TOP` bits after it; the bits below
//! them are written as they are too. Tokens of all numbers are compressed together; the bits are not, they hold
//! nothing that could be known.
//!
//! `k` is one number for the part where errors are relative. Where they are absolute (all weights move alike,
//! small and large ones), it falls by one as the exponent of the prediction grows by one.

use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::numbers::{Coefs, Float};

/// How the size of the errors depends on the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Relative,
    Absolute,
}

/// How a part is predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Model {
    pub(crate) scale: Scale,
    /// `k`, or for absolute errors `k` plus the exponent.
    pub(crate) level: i16,
    /// Coefficients in use: 0 predicts the number before.
    pub(crate) n_coefs: u8,
    pub(crate) coefs: Coefs,
}

/// Numbers before the one to be predicted that a prediction of so many coefficients needs.
pub(crate) fn n_before(n_coefs: u8) -> usize {
    usize::from(n_coefs).max(1)
}

impl Model {
    #[inline]
    pub(crate) fn low_bits<F: Float>(&self, prediction: F::Bits) -> u32 {
        // Small predictions of a number that may cross zero: four bits of the mantissa stay in the token.
        let cap = i32::try_from(F::MANTISSA).unwrap_or(0) - 4;
        let k = match self.scale {
            Scale::Relative => i32::from(self.level),
            Scale::Absolute => i32::from(self.level) - F::exponent(prediction).cast_signed(),
        };
        k.clamp(0, cap).cast_unsigned()
    }
}

/// The token of a distance, and how many of its lowest bits it leaves out.
#[inline]
pub(crate) fn token<F: Float>(is_before: bool, distance: u64, k: u32) -> (u8, u32) {
    let h = distance >> k;
    let extra = (64 - h.leading_zeros()).max(F::TOP + 1) - (F::TOP + 1);
    let place = (extra << F::TOP) + (h >> extra) as u32;
    (place as u8 | u8::from(is_before) << 7, extra + k)
}

/// Where the bits of a token lie: the number of bits left out after `k`, and the bits in the token.
#[inline]
fn untoken<F: Float>(token: u8) -> (u32, u64) {
    let place = u32::from(token & 0x7f);
    let extra = (place >> F::TOP).saturating_sub(1);
    (extra, u64::from(place - (extra << F::TOP)))
}

#[inline]
fn before<F: Float, const N: usize>(ancestors: &[&[u8]; 3], at: usize) -> [F::Bits; 3] {
    let mut found = [F::Bits::default(); 3];
    for (f, bytes) in found.iter_mut().zip(ancestors).take(N.max(1)) {
        *f = F::load(&bytes[at..at + F::BYTES]);
    }
    found
}

/// Sees every prediction and number of `raw`.
#[inline]
pub(crate) fn for_each<F: Float, const N: usize>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    coefs: &Coefs,
    mut see: impl FnMut(F::Bits, F::Bits),
) {
    for (i, x) in raw.chunks_exact(F::BYTES).enumerate() {
        let p = F::predict::<N>(coefs, before::<F, N>(ancestors, i * F::BYTES));
        see(p, F::load(x));
    }
}

/// Appends the tokens of whole words to `tokens` and the other bits to `plain`.
pub(crate) fn encode<F: Float>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    tokens: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) {
    match model.n_coefs {
        0 => encode_with::<F, 0>(raw, ancestors, model, tokens, plain),
        1 => encode_with::<F, 1>(raw, ancestors, model, tokens, plain),
        2 => encode_with::<F, 2>(raw, ancestors, model, tokens, plain),
        _ => encode_with::<F, 3>(raw, ancestors, model, tokens, plain),
    }
}

fn encode_with<F: Float, const N: usize>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    tokens: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) {
    let mut bits = BitWriter::new(plain, raw.len() * 8);
    tokens.reserve(raw.len() / F::BYTES);
    for_each::<F, N>(raw, ancestors, &model.coefs, |p, x| {
        let (is_before, distance) = F::difference(x, p);
        let (token, n) = token::<F>(is_before, distance, model.low_bits::<F>(p));
        tokens.push(token);
        bits.push(distance & ((1 << n) - 1), n);
    });
    bits.finish();
}

/// Fills `out`, whole words, from tokens, as many as there are words, and bits; gives what follows the bits.
pub(crate) fn decode<'a, F: Float>(
    tokens: &[u8],
    plain: &'a [u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    out: &mut [u8],
) -> Option<&'a [u8]> {
    match model.n_coefs {
        0 => decode_with::<F, 0>(tokens, plain, ancestors, model, out),
        1 => decode_with::<F, 1>(tokens, plain, ancestors, model, out),
        2 => decode_with::<F, 2>(tokens, plain, ancestors, model, out),
        _ => decode_with::<F, 3>(tokens, plain, ancestors, model, out),
    }
}

fn decode_with<'a, F: Float, const N: usize>(
    tokens: &[u8],
    plain: &'a [u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    out: &mut [u8],
) -> Option<&'a [u8]> {
    let mut bits = BitReader::new(plain);
    for (i, (word, &token)) in out.chunks_exact_mut(F::BYTES).zip(tokens).enumerate() {
        let p = F::predict::<N>(&model.coefs, before::<F, N>(ancestors, i * F::BYTES));
        let (extra, top) = untoken::<F>(token);
        // A forged token may ask for more bits than a number has.
        let n = (extra + model.low_bits::<F>(p)).min(63);
        let distance = top << n | bits.take(n);
        F::store(F::shift(p, token >> 7 == 1, distance), word);
    }
    bits.finish()
}
