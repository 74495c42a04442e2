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

/// A format of floating-point numbers, by its bit patterns.
pub(crate) trait Float {
    type Bits: Copy + Default;
    const BYTES: usize;
    /// Stored bits of the mantissa.
    const MANTISSA: u32;
    /// Bits below its leading one that a token carries of a difference: as many as let it fit a byte.
    const TOP: u32;
    fn load(bytes: &[u8]) -> Self::Bits;
    fn store(bits: Self::Bits, out: &mut [u8]);
    /// The number, for fitting coefficients; never for coding.
    fn value(bits: Self::Bits) -> f64;
    /// The biased exponent.
    fn exponent(bits: Self::Bits) -> u32;
    /// Whether `x` comes before `p` in the order of numbers, and how many bit patterns lie between them. Around
    /// the end of the order it wraps.
    fn difference(x: Self::Bits, p: Self::Bits) -> (bool, u64);
    /// The inverse: `x` from `p`.
    fn shift(p: Self::Bits, is_before: bool, distance: u64) -> Self::Bits;
    /// `x1 + (c0 x1 + c1 (x1 - x2) + c2 ((x1 - x2) - (x2 - x3)))`, each operation rounded to the format, terms
    /// beyond `N` left out; `x1` itself if that is no number.
    fn predict<const N: usize>(coefs: &Coefs, before: [Self::Bits; 3]) -> Self::Bits;
}

/// Bit patterns as integers in the order of the numbers they stand for; its own inverse.
macro_rules! order {
    ($bits:ty, $x:expr) => {{
        let x: $bits = $x;
        // Below a sign that is set, all bits are turned.
        x ^ ((x.cast_signed() >> (<$bits>::BITS - 1)).cast_unsigned() >> 1)
    }};
}

macro_rules! bit_patterns {
    ($bits:ty) => {
        type Bits = $bits;
        const BYTES: usize = size_of::<$bits>();

        #[inline]
        fn load(bytes: &[u8]) -> $bits {
            <$bits>::from_le_bytes(bytes.try_into().unwrap_or_default())
        }

        #[inline]
        fn store(bits: $bits, out: &mut [u8]) {
            out.copy_from_slice(&bits.to_le_bytes());
        }

        #[inline]
        fn exponent(bits: $bits) -> u32 {
            let exponent = (bits & (<$bits>::MAX >> 1)) >> Self::MANTISSA;
            u64::from(exponent) as u32
        }

        #[inline]
        fn difference(x: $bits, p: $bits) -> (bool, u64) {
            let d = order!($bits, x).wrapping_sub(order!($bits, p)).cast_signed();
            (d < 0, d.unsigned_abs().into())
        }

        #[inline]
        fn shift(p: $bits, is_before: bool, distance: u64) -> $bits {
            let (p, d) = (order!($bits, p), distance as $bits);
            order!($bits, if is_before { p.wrapping_sub(d) } else { p.wrapping_add(d) })
        }
    };
}

macro_rules! predict_in {
    ($float:ty) => {
        #[inline]
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
        #[inline]
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
