//! How far numbers lie from what was predicted: a token of one byte, and bits that are noise.
//!
//! A distance `d` in bit patterns loses its `k` lowest bits first: they are written as they are. Of what is left,
//! `h`, the token holds the sign, the position of the leading one and the `TOP` bits after it; the bits below
//! them are written as they are too. Tokens of all numbers are compressed together; the bits are not, they hold
//! nothing that could be known.
//!
//! `k` is one number for the part where errors are relative. Where they are absolute (all weights move alike,
//! small and large ones), it falls by one as the exponent of the prediction grows by one.
//!
//! The loops go over short blocks, so that each of their steps is the same for many numbers and what lies between
//! two steps stays in the nearest memory. They are compiled for several instruction sets. All give the same bits:
//! none of them contracts a multiplication and an addition into one operation.
#![expect(
    clippy::inline_always,
    reason = "a loop's instructions are those of what is inlined into it"
)]

use crate::codec::bits::{BLOCK, BitReader, BitWriter};
use crate::codec::numbers::{Coefs, Float};
use multiversion::multiversion;

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

/// The share of the bits that is the same for all numbers of a part.
struct Noise {
    level: i32,
    /// All ones where the exponent of the prediction counts.
    exponents: i32,
    cap: i32,
}

impl Noise {
    #[inline(always)]
    fn of<F: Float>(model: &Model) -> Self {
        let exponents = if model.scale == Scale::Absolute { -1 } else { 0 };
        // Small predictions of a number that may cross zero: four bits of the mantissa stay in the token.
        Self { level: model.level.into(), exponents, cap: F::MANTISSA.cast_signed() - 4 }
    }

    #[inline(always)]
    fn low_bits<F: Float>(&self, prediction: F::Bits) -> u32 {
        let k = self.level - (F::exponent(prediction) & self.exponents);
        k.clamp(0, self.cap).cast_unsigned()
    }
}

/// The words before a block of them, latest first. Where there are none, or none are looked at, it is the latest.
#[inline(always)]
fn before<'a, F: Float, const N: usize>(ancestors: &[&'a [u8]; 3]) -> [&'a [F::Word]; 3] {
    std::array::from_fn(|i| F::words(ancestors[if i < N { i } else { 0 }]))
}

/// Tokens, widths and low bits of a block of at most [`BLOCK`] words.
#[inline(always)]
fn split<F: Float, const N: usize>(
    words: &[F::Word],
    before: [&[F::Word]; 3],
    (noise, coefs): (&Noise, &Coefs),
    tokens: &mut [u8],
    widths: &mut [u32; BLOCK],
    lows: &mut [F::Bits; BLOCK],
) {
    let n = words.len().min(BLOCK);
    let [x1, x2, x3] = before.map(|b| &b[..n]);
    let tokens = &mut tokens[..n];
    for i in 0..n {
        let p = F::predict::<N>(coefs, [F::load(x1[i]), F::load(x2[i]), F::load(x3[i])]);
        let split = F::split(F::load(words[i]), p, noise.low_bits::<F>(p));
        tokens[i] = split.token;
        widths[i] = split.n_low;
        lows[i] = split.low;
    }
}

/// Calls the function for the number of coefficients, which decides what is computed for each number.
macro_rules! by_n_coefs {
    ($n:expr, $function:ident::<$float:ident>($($argument:expr),*)) => {
        match $n {
            0 => $function::<$float, 0>($($argument),*),
            1 => $function::<$float, 1>($($argument),*),
            2 => $function::<$float, 2>($($argument),*),
            _ => $function::<$float, 3>($($argument),*),
        }
    };
}

/// Appends the tokens of whole words to `tokens` and the other bits to `plain`.
pub(crate) fn encode<F: Float>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    tokens: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) {
    by_n_coefs!(model.n_coefs, encode_with::<F>(raw, ancestors, model, tokens, plain));
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512cd+avx2+bmi1+bmi2+lzcnt",
    "x86_64+avx2+bmi1+bmi2+lzcnt"
))]
fn encode_with<F: Float, const N: usize>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    tokens: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) {
    let (words, before) = (F::words(raw), before::<F, N>(ancestors));
    let noise = Noise::of::<F>(model);
    let first = tokens.len();
    tokens.resize(first + words.len(), 0);
    let mut bits = BitWriter::new(plain);
    let (mut widths, mut lows) = ([0; BLOCK], [F::Bits::default(); BLOCK]);
    for (b, words) in words.chunks(BLOCK).enumerate() {
        let at = b * BLOCK;
        if words.len() < BLOCK {
            widths.fill(0);
            lows.fill(F::Bits::default());
        }
        let before = before.map(|b| &b[at..at + words.len()]);
        let tokens = &mut tokens[first + at..];
        split::<F, N>(words, before, (&noise, &model.coefs), tokens, &mut widths, &mut lows);
        bits.push::<F>(&lows, &widths);
    }
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
    by_n_coefs!(model.n_coefs, decode_with::<F>(tokens, plain, ancestors, model, out))
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512cd+avx2+bmi1+bmi2+lzcnt",
    "x86_64+avx2+bmi1+bmi2+lzcnt"
))]
fn decode_with<'a, F: Float, const N: usize>(
    tokens: &[u8],
    plain: &'a [u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
    out: &mut [u8],
) -> Option<&'a [u8]> {
    let (out, before) = (F::words_mut(out), before::<F, N>(ancestors));
    let noise = Noise::of::<F>(model);
    let mut bits = BitReader::new(plain);
    let zero = F::Bits::default();
    let (mut widths, mut lows) = ([0; BLOCK], [zero; BLOCK]);
    let (mut predictions, mut highs) = ([zero; BLOCK], [zero; BLOCK]);
    for (b, out) in out.chunks_mut(BLOCK).enumerate() {
        let (at, n) = (b * BLOCK, out.len().min(BLOCK));
        if n < BLOCK {
            widths.fill(0);
        }
        let [x1, x2, x3] = before.map(|b| &b[at..at + n]);
        let tokens = tokens.get(at..at + n)?;
        for i in 0..n {
            let before = [F::load(x1[i]), F::load(x2[i]), F::load(x3[i])];
            let p = F::predict::<N>(&model.coefs, before);
            (widths[i], highs[i]) = F::unsplit(tokens[i], noise.low_bits::<F>(p));
            predictions[i] = F::order(p);
        }
        bits.take::<F>(&widths, &mut lows);
        for i in 0..n {
            out[i] = F::store(F::join(tokens[i], predictions[i], highs[i], lows[i]));
        }
    }
    bits.finish()
}

/// What a part would take.
#[derive(Debug)]
pub(crate) struct Taken {
    /// How often each token occurs.
    pub(crate) tokens: [u32; 256],
    /// The other bits.
    pub(crate) n_bits: u64,
}

/// What a model would take, without writing it.
pub(crate) fn measure<F: Float>(raw: &[u8], ancestors: &[&[u8]; 3], model: &Model) -> Taken {
    by_n_coefs!(model.n_coefs, measure_with::<F>(raw, ancestors, model))
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512cd+avx2+bmi1+bmi2+lzcnt",
    "x86_64+avx2+bmi1+bmi2+lzcnt"
))]
fn measure_with<F: Float, const N: usize>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
) -> Taken {
    let (words, before) = (F::words(raw), before::<F, N>(ancestors));
    let noise = Noise::of::<F>(model);
    let mut taken = Taken { tokens: [0; 256], n_bits: 0 };
    let (mut tokens, mut widths) = ([0; BLOCK], [0; BLOCK]);
    let mut lows = [F::Bits::default(); BLOCK];
    for (b, words) in words.chunks(BLOCK).enumerate() {
        let (at, n) = (b * BLOCK, words.len());
        let before = before.map(|b| &b[at..at + n]);
        split::<F, N>(words, before, (&noise, &model.coefs), &mut tokens, &mut widths, &mut lows);
        tokens[..n].iter().for_each(|&t| taken.tokens[usize::from(t)] += 1);
        taken.n_bits += u64::from(widths[..n].iter().sum::<u32>());
    }
    taken
}

/// The mean number of bits of a distance, with the exponent of its prediction where errors are absolute, rounded.
pub(crate) fn mean_bits<F: Float>(raw: &[u8], ancestors: &[&[u8]; 3], model: &Model) -> i32 {
    by_n_coefs!(model.n_coefs, mean_bits_with::<F>(raw, ancestors, model))
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512cd+avx2+bmi1+bmi2+lzcnt",
    "x86_64+avx2+bmi1+bmi2+lzcnt"
))]
fn mean_bits_with<F: Float, const N: usize>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    model: &Model,
) -> i32 {
    let (words, noise) = (F::words(raw), Noise::of::<F>(model));
    let n = words.len();
    let [x1, x2, x3] = before::<F, N>(ancestors).map(|b| &b[..n]);
    let mut sum = 0_i64;
    for i in 0..n {
        let before = [F::load(x1[i]), F::load(x2[i]), F::load(x3[i])];
        let p = F::predict::<N>(&model.coefs, before);
        let n_bits = F::n_bits_between(F::load(words[i]), p).cast_signed();
        sum += i64::from(n_bits + (F::exponent(p) & noise.exponents));
    }
    let n = n.max(1).cast_signed() as i64;
    ((sum + n / 2) / n) as i32
}

/// Sums that are added up side by side.
const LANES: usize = 8;

/// The normal equations of `x - x1` on `x1`, its last change and the change of that, of which `n_coefs` are looked
/// at; numbers that are not finite are left out.
pub(crate) fn normal_equations<F: Float>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
    n_coefs: usize,
) -> [[f64; 4]; 3] {
    by_n_coefs!(n_coefs, normal_equations_with::<F>(raw, ancestors))
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn normal_equations_with<F: Float, const N: usize>(
    raw: &[u8],
    ancestors: &[&[u8]; 3],
) -> [[f64; 4]; 3] {
    let (words, [x1, x2, x3]) = (F::words(raw), before::<F, N>(ancestors));
    let mut sums = [[[0.0; LANES]; 4]; 3];
    let lanes = (words.chunks_exact(LANES).zip(x1.chunks_exact(LANES)))
        .zip(x2.chunks_exact(LANES).zip(x3.chunks_exact(LANES)));
    for ((x, x1), (x2, x3)) in lanes {
        let mut rows = [[0.0; LANES]; 4];
        for i in 0..LANES {
            let [x, x1, x2, x3] = [x[i], x1[i], x2[i], x3[i]].map(|w| F::value(F::load(w)));
            let change = x1 - x2;
            let row = [
                if N > 0 { x1 } else { 0.0 },
                if N > 1 { change } else { 0.0 },
                if N > 2 { change - (x2 - x3) } else { 0.0 },
                x - x1,
            ];
            // Whatever is not finite makes this sum NaN.
            let is_finite = row.iter().map(|r| r * 0.0).sum::<f64>() == 0.0;
            for (r, row) in rows.iter_mut().zip(row) {
                r[i] = if is_finite { row } else { 0.0 };
            }
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            for (j, sums) in sums.iter_mut().enumerate() {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += rows[i][lane] * rows[j][lane];
                }
            }
        }
    }
    sums.map(|row| row.map(|lanes| lanes.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::numbers::{Bf16, F16, F32, F64};
    use proptest::prelude::*;

    /// The format word by word and bit by bit, in 64 bits: what no instruction set changes.
    fn plainly<F: Float, const N: usize>(
        raw: &[u8],
        ancestors: &[&[u8]; 3],
        model: &Model,
    ) -> (Vec<u8>, Vec<u8>) {
        let (mut tokens, mut bits) = (Vec::new(), Vec::new());
        let ordered = |x: u64| {
            let below = (1_u64 << (F::BITS - 1)) - 1;
            if x > below { x ^ below } else { x }
        };
        for (i, &x) in F::words(raw).iter().enumerate() {
            let before =
                ancestors.map(|a| F::words(a).get(i).map_or(F::Bits::default(), |&w| F::load(w)));
            let (x, p): (u64, u64) =
                (F::load(x).into(), F::predict::<N>(&model.coefs, before).into());
            let exponent = p << (65 - F::BITS) >> (65 - F::BITS) >> F::MANTISSA;
            let k = match model.scale {
                Scale::Relative => i64::from(model.level),
                Scale::Absolute => i64::from(model.level) - exponent.cast_signed(),
            };
            let k = k.clamp(0, i64::from(F::MANTISSA) - 4) as u32;
            let d = ordered(x).wrapping_sub(ordered(p)) << (64 - F::BITS);
            let d = d.cast_signed() >> (64 - F::BITS);
            let h = d.unsigned_abs() >> k;
            let e = (64 - h.leading_zeros()).max(F::TOP + 1) - (F::TOP + 1);
            let sign = if d < 0 { 128 } else { 0 };
            tokens.push((u64::from(e << F::TOP) + (h >> e)) as u8 + sign);
            bits.extend((0..e + k).map(|bit| d.unsigned_abs() >> bit & 1 == 1));
        }
        let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, &b| byte << 1 | u8::from(b));
        (tokens, bits.chunks(8).map(byte).collect())
    }

    fn check<F: Float>(words: &[[u64; 4]], model: &Model) {
        let of = |i: usize| -> Vec<u8> {
            let n = F::BITS as usize / 8;
            words.iter().flat_map(|w| w[i].to_le_bytes()[8 - n..].to_vec()).collect()
        };
        let (raw, x1, x2, x3) = (of(0), of(1), of(2), of(3));
        let ancestors = [x1.as_slice(), &x2, &x3];
        let (mut tokens, mut plain) = (vec![7], vec![8, 9]);
        encode::<F>(&raw, &ancestors, model, &mut tokens, &mut plain);
        let expected = by_n_coefs!(model.n_coefs, plainly::<F>(&raw, &ancestors, model));
        assert_eq!((&tokens[..1], &plain[..2]), (&[7][..], &[8, 9][..]));
        assert_eq!((&tokens[1..], &plain[2..]), (&expected.0[..], &expected.1[..]));
        plain.extend([1, 2, 3]);
        let mut found = vec![0x55; raw.len()];
        let rest = decode::<F>(&tokens[1..], &plain[2..], &ancestors, model, &mut found);
        assert_eq!((found, rest), (raw, Some(&[1, 2, 3][..])));
        // Bits that are missing are missed, and nothing is read that is not there.
        let short = &plain[2..plain.len() - 3];
        if let Some((_, short)) = short.split_last() {
            let mut found = vec![0; words.len() * F::BITS as usize / 8];
            assert_eq!(decode::<F>(&tokens[1..], short, &ancestors, model, &mut found), None);
        }
    }

    fn words() -> impl Strategy<Value = Vec<[u64; 4]>> {
        let special = proptest::sample::select(vec![
            0,
            1 << 63,
            1,
            f64::NAN.to_bits() | 0xBEEF,
            f64::INFINITY.to_bits(),
            0x7F80_0001_FFC0_0002,
            0x8000_0000_0000_8000,
            u64::MAX,
        ]);
        // Numbers that move a little, or by anything.
        let word = (prop_oneof![special, any::<u64>()], 0..64_u32, any::<[u64; 3]>()).prop_map(
            |(x, shift, noise)| {
                let [a, b, c] = noise.map(|n| x.wrapping_add(n >> shift));
                [x, a, b, c]
            },
        );
        // Around the ends of blocks, too.
        let few = proptest::collection::vec(word, 1..40);
        (few, 0..3_usize).prop_map(|(few, n)| {
            let n = [few.len(), BLOCK, 2 * BLOCK + few.len()][n];
            few.into_iter().cycle().take(n).collect()
        })
    }

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_bits_of_the_format(
            words in words(),
            is_absolute: bool,
            level in prop_oneof![-4..64_i16, 100..1100_i16, any::<i16>()],
            n_coefs in 0..4_u8,
            coefs in proptest::array::uniform3(-2.0..2.0_f32),
        ) {
            let scale = if is_absolute { Scale::Absolute } else { Scale::Relative };
            let model = Model { scale, level, n_coefs, coefs };
            check::<F64>(&words, &model);
            check::<F32>(&words, &model);
            check::<F16>(&words, &model);
            check::<Bf16>(&words, &model);
        }

        #[test]
        fn forged_tokens_harm_nobody(
            tokens in proptest::collection::vec(any::<u8>(), 0..600),
            plain in proptest::collection::vec(any::<u8>(), 0..600),
            level: i16,
        ) {
            let model = Model { scale: Scale::Absolute, level, n_coefs: 3, coefs: [0.5; 3] };
            let before = vec![0x3f; tokens.len() * 8];
            let mut out = vec![0; tokens.len() * 8];
            let ancestors = [before.as_slice(); 3];
            let _ = decode::<F64>(&tokens, &plain, &ancestors, &model, &mut out);
            let n = tokens.len() * 4;
            let ancestors = [&before[..n]; 3];
            let _ = decode::<F32>(&tokens, &plain, &ancestors, &model, &mut out[..n]);
        }
    }
}
