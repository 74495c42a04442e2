//! Numbers as bit patterns: their order as integers, their exponent, and what they are predicted to be.
//!
//! Everything here is integer arithmetic or single IEEE additions and multiplications, so that every machine
//! comes to the same bits.

use ontogeny_core::Dtype;

/// What the words of a part are. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Number {
    F64 = 1,
    F32 = 2,
    F16 = 3,
    Bf16 = 4,
    Word8 = 5,
    Word16 = 6,
    Word32 = 7,
    Word64 = 8,
}

impl Number {
    const ALL: [Self; 8] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Word8,
        Self::Word16,
        Self::Word32,
        Self::Word64,
    ];

    pub(crate) fn of(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
            Dtype::I64 | Dtype::U64 => Self::Word64,
            Dtype::I32 | Dtype::U32 => Self::Word32,
            Dtype::I16 | Dtype::U16 => Self::Word16,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => Self::Word8,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|n| *n as u8 == code)
    }

    /// Bytes of a word.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::F64 | Self::Word64 => 8,
            Self::F32 | Self::Word32 => 4,
            Self::F16 | Self::Bf16 | Self::Word16 => 2,
            Self::Word8 => 1,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }
}

/// Coefficients of a prediction from the three numbers before it at the same place.
pub(crate) type Coefs = [f32; 3];

/// What of a distance compresses, and what does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split<B> {
    /// Sign, position of the leading one, and the `TOP` bits after it.
    pub(crate) token: u8,
    /// How many of the lowest bits the token leaves out.
    pub(crate) n_low: u32,
    /// These bits.
    pub(crate) low: B,
}

/// A format of floating-point numbers, by its bit patterns.
///
/// The small functions are always inlined: so they are compiled for the instructions of the loop around them.
pub(crate) trait Float {
    type Bits: Copy + Default + Into<u64>;
    type Word: Copy;
    /// Bits of a pattern.
    const BITS: u32;
    /// Stored bits of the mantissa.
    const MANTISSA: u32;
    /// Bits below its leading one that a token carries of a difference: as many as let it fit a byte.
    const TOP: u32;
    /// The whole words in these bytes.
    fn words(bytes: &[u8]) -> &[Self::Word];
    fn words_mut(bytes: &mut [u8]) -> &mut [Self::Word];
    fn load(word: Self::Word) -> Self::Bits;
    fn store(bits: Self::Bits) -> Self::Word;
    /// The lowest bits of a wider number.
    fn narrow(bits: u64) -> Self::Bits;
    /// The number, for fitting coefficients; never for coding.
    fn value(bits: Self::Bits) -> f64;
    /// The biased exponent.
    fn exponent(bits: Self::Bits) -> i32;
    /// Bit patterns as integers in the order of the numbers they stand for; its own inverse.
    fn order(bits: Self::Bits) -> Self::Bits;
    /// The number of bits that the distance between two patterns in the order of numbers has. Around the end of
    /// the order it wraps.
    fn n_bits_between(x: Self::Bits, p: Self::Bits) -> u32;
    /// The distance of `x` from `p`, of which `k` bits are noise.
    fn split(x: Self::Bits, p: Self::Bits, k: u32) -> Split<Self::Bits>;
    /// Undoes the token: how many bits it leaves out beside the `k`, and the distance without them. What no
    /// encoder writes gives some number or other.
    fn unsplit(token: u8, k: u32) -> (u32, Self::Bits);
    /// `x` from `p`, both in the order of numbers, and the rest of the distance.
    fn join(token: u8, p: Self::Bits, high: Self::Bits, low: Self::Bits) -> Self::Bits;
    /// `x1 + (c0 x1 + c1 (x1 - x2) + c2 ((x1 - x2) - (x2 - x3)))`, each operation rounded to the format, terms
    /// beyond `N` left out; `x1` itself if that is no number.
    fn predict<const N: usize>(coefs: &Coefs, before: [Self::Bits; 3]) -> Self::Bits;
}

macro_rules! bit_patterns {
    ($bits:ty) => {
        type Bits = $bits;
        type Word = [u8; size_of::<$bits>()];
        const BITS: u32 = <$bits>::BITS;

        #[inline(always)]
        fn words(bytes: &[u8]) -> &[Self::Word] {
            bytes.as_chunks().0
        }

        #[inline(always)]
        fn words_mut(bytes: &mut [u8]) -> &mut [Self::Word] {
            bytes.as_chunks_mut().0
        }

        #[inline(always)]
        fn load(word: Self::Word) -> $bits {
            <$bits>::from_le_bytes(word)
        }

        #[inline(always)]
        fn store(bits: $bits) -> Self::Word {
            bits.to_le_bytes()
        }

        #[inline(always)]
        fn narrow(bits: u64) -> $bits {
            bits as $bits
        }

        #[inline(always)]
        fn exponent(bits: $bits) -> i32 {
            let exponent = (bits & (<$bits>::MAX >> 1)) >> Self::MANTISSA;
            u64::from(exponent).cast_signed() as i32
        }

        #[inline(always)]
        fn order(bits: $bits) -> $bits {
            // Below a sign that is set, all bits are turned.
            bits ^ ((bits.cast_signed() >> (<$bits>::BITS - 1)).cast_unsigned() >> 1)
        }

        #[inline(always)]
        fn n_bits_between(x: $bits, p: $bits) -> u32 {
            let d = Self::order(x).wrapping_sub(Self::order(p)).cast_signed();
            <$bits>::BITS - d.unsigned_abs().leading_zeros()
        }

        #[inline(always)]
        fn split(x: $bits, p: $bits, k: u32) -> Split<$bits> {
            let d = Self::order(x).wrapping_sub(Self::order(p)).cast_signed();
            let distance = d.unsigned_abs();
            let h = distance >> k;
            let extra = (<$bits>::BITS - h.leading_zeros()).max(Self::TOP + 1) - (Self::TOP + 1);
            let place = (extra << Self::TOP) + u64::from(h >> extra) as u32;
            let token = place as u8 | u8::from(d < 0) << 7;
            let n_low = extra + k;
            Split { token, n_low, low: distance & ((1 << n_low) - 1) }
        }

        #[inline(always)]
        fn unsplit(token: u8, k: u32) -> (u32, $bits) {
            let place = u32::from(token & 0x7f);
            let extra = (place >> Self::TOP).saturating_sub(1);
            let top = place - (extra << Self::TOP);
            let n_low = (extra + k).min(<$bits>::BITS - 1);
            (n_low, (top as $bits) << n_low)
        }

        #[inline(always)]
        fn join(token: u8, p: $bits, high: $bits, low: $bits) -> $bits {
            // All ones if the number comes before the prediction: turned and less all ones is negated.
            let sign = <$bits>::from(token >> 7).wrapping_neg();
            Self::order(p.wrapping_add(((high | low) ^ sign).wrapping_sub(sign)))
        }
    };
}

macro_rules! predict_in {
    ($float:ty) => {
        #[inline(always)]
        fn predict<const N: usize>(coefs: &Coefs, before: [Self::Bits; 3]) -> Self::Bits {
            let [c0, c1, c2] = coefs.map(<$float>::from);
            let [x1, x2, x3] = before.map(<$float>::from_bits);
            let change = x1 - x2;
            let p = match N {
                0 => return before[0],
                1 => x1 + c0 * x1,
                2 => x1 + (c0 * x1 + c1 * change),
                _ => x1 + ((c0 * x1 + c1 * change) + c2 * (change - (x2 - x3))),
            };
            if p.is_nan() { before[0] } else { p.to_bits() }
        }
    };
}

/// For formats without arithmetic of their own.
macro_rules! predict_the_same {
    () => {
        #[inline(always)]
        fn predict<const N: usize>(_: &Coefs, before: [u16; 3]) -> u16 {
            before[0]
        }
    };
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct F64;

impl Float for F64 {
    const MANTISSA: u32 = 52;
    const TOP: u32 = 1;
    bit_patterns!(u64);
    predict_in!(f64);

    fn value(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct F32;

impl Float for F32 {
    const MANTISSA: u32 = 23;
    const TOP: u32 = 2;
    bit_patterns!(u32);
    predict_in!(f32);

    fn value(bits: u32) -> f64 {
        f32::from_bits(bits).into()
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct F16;

impl Float for F16 {
    const MANTISSA: u32 = 10;
    const TOP: u32 = 2;
    bit_patterns!(u16);
    predict_the_same!();

    fn value(_: u16) -> f64 {
        f64::NAN
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bf16;

impl Float for Bf16 {
    const MANTISSA: u32 = 7;
    const TOP: u32 = 2;
    bit_patterns!(u16);
    predict_the_same!();

    fn value(_: u16) -> f64 {
        f64::NAN
    }
}
