//! Tensors that are one number.

use crate::wire::{self, Field, varint};

/// The types of TensorFlow that are numbers.
pub(crate) mod dtype {
    pub(crate) const FLOAT: u64 = 1;
    pub(crate) const DOUBLE: u64 = 2;
    pub(crate) const INT32: u64 = 3;
    pub(crate) const UINT8: u64 = 4;
    pub(crate) const INT16: u64 = 5;
    pub(crate) const INT8: u64 = 6;
    pub(crate) const INT64: u64 = 9;
    pub(crate) const BOOL: u64 = 10;
    pub(crate) const BFLOAT16: u64 = 14;
    pub(crate) const UINT16: u64 = 17;
    pub(crate) const HALF: u64 = 19;
    pub(crate) const UINT32: u64 = 22;
    pub(crate) const UINT64: u64 = 23;
}

/// The number that a tensor holds; `Some(None)` if it holds none or several, `None` if it is malformed.
#[expect(clippy::option_option, reason = "something else and a mistake are different things")]
#[inline]
pub(super) fn scalar(bytes: &[u8]) -> Option<Option<f64>> {
    // One `float` as TensorFlow and as PyTorch write it: with its shape, and without.
    if let &[0x08, 0x01, 0x12, 0x00, 0x22 | 0x2a, 0x04, a, b, c, d]
    | &[0x08, 0x01, 0x22 | 0x2a, 0x04, a, b, c, d] = bytes
    {
        return Some(Some(f64::from(f32::from_le_bytes([a, b, c, d]))));
    }
    scalar_of_any_layout(bytes)
}

#[expect(clippy::option_option, reason = "something else and a mistake are different things")]
fn scalar_of_any_layout(bytes: &[u8]) -> Option<Option<f64>> {
    let (mut kind, mut is_scalar) = (0, true);
    let (mut content, mut value): (Option<&[u8]>, Option<(u32, Field<'_>)>) = (None, None);
    wire::each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Varint(v)) => kind = v,
            (2, Field::Bytes(shape)) => is_scalar &= holds_one(shape)?,
            (4, Field::Bytes(bytes)) => content = Some(bytes),
            (5..=7 | 10 | 11 | 13 | 16 | 17, Field::Bytes([])) => {}
            (5..=7 | 10 | 11 | 13 | 16 | 17, field) => {
                value.get_or_insert((number, field));
            }
            _ => {}
        }
        Some(())
    })?;
    if !is_scalar {
        return Some(None);
    }
    match (content, value) {
        (Some(bytes), _) if !bytes.is_empty() => from_content(kind, bytes),
        (_, Some((number, field))) => from_value(kind, number, field).map(Some),
        // A zero is not written out.
        _ => Some(is_number(kind).then_some(0.0)),
    }
}

/// Whether a shape has one element.
fn holds_one(shape: &[u8]) -> Option<bool> {
    let mut one = true;
    wire::each(shape, |number, field| {
        if let (2, Field::Bytes(dim)) = (number, field) {
            let mut size = 0;
            wire::each(dim, |number, field| {
                if let (1, Field::Varint(n)) = (number, field) {
                    size = n;
                }
                Some(())
            })?;
            one &= size == 1;
        }
        Some(())
    })?;
    Some(one)
}

fn is_number(kind: u64) -> bool {
    use dtype::{
        BFLOAT16, BOOL, DOUBLE, FLOAT, HALF, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32,
        UINT64,
    };
    matches!(
        kind,
        FLOAT
            | DOUBLE
            | INT32
            | UINT8
            | INT16
            | INT8
            | INT64
            | BOOL
            | BFLOAT16
            | UINT16
            | HALF
            | UINT32
            | UINT64
    )
}

#[expect(clippy::option_option, reason = "something else and a mistake are different things")]
fn from_content(kind: u64, bytes: &[u8]) -> Option<Option<f64>> {
    /// All the bytes, as many as the type has.
    fn all<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    Some(Some(match kind {
        dtype::FLOAT => f64::from(f32::from_le_bytes(all(bytes)?)),
        dtype::DOUBLE => f64::from_le_bytes(all(bytes)?),
        dtype::INT32 => f64::from(i32::from_le_bytes(all(bytes)?)),
        dtype::UINT8 => f64::from(u8::from_le_bytes(all(bytes)?)),
        dtype::INT16 => f64::from(i16::from_le_bytes(all(bytes)?)),
        dtype::INT8 => f64::from(i8::from_le_bytes(all(bytes)?)),
        dtype::INT64 => i64::from_le_bytes(all(bytes)?) as f64,
        dtype::BOOL => f64::from(u8::from(all::<1>(bytes)? != [0])),
        dtype::BFLOAT16 => bf16(u16::from_le_bytes(all(bytes)?)),
        dtype::UINT16 => f64::from(u16::from_le_bytes(all(bytes)?)),
        dtype::HALF => f16(u16::from_le_bytes(all(bytes)?)),
        dtype::UINT32 => f64::from(u32::from_le_bytes(all(bytes)?)),
        dtype::UINT64 => u64::from_le_bytes(all(bytes)?) as f64,
        _ => return Some(None),
    }))
}

/// From one of the typed lists, packed or not: its first number.
fn from_value(kind: u64, number: u32, field: Field<'_>) -> Option<f64> {
    let whole = |field: Field<'_>| match field {
        Field::Varint(v) => Some(v),
        Field::Bytes(mut packed) => varint(&mut packed),
        _ => None,
    };
    match (number, field) {
        (5, Field::Fixed32(bits)) => Some(f64::from(f32::from_bits(bits))),
        (5, Field::Bytes(packed)) => Some(f64::from(f32::from_le_bytes(*packed.first_chunk()?))),
        (6, Field::Fixed64(bits)) => Some(f64::from_bits(bits)),
        (6, Field::Bytes(packed)) => Some(f64::from_le_bytes(*packed.first_chunk()?)),
        (7 | 10, field) => Some(whole(field)?.cast_signed() as f64),
        (11, field) => Some(f64::from(u8::from(whole(field)? != 0))),
        (13, field) if kind == dtype::BFLOAT16 => Some(bf16(whole(field)? as u16)),
        (13, field) => Some(f16(whole(field)? as u16)),
        (16 | 17, field) => Some(whole(field)? as f64),
        _ => None,
    }
}

/// IEEE half precision, exactly.
fn f16(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    }
}

/// The upper half of a single-precision number.
fn bf16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_bytes, put_varint};

    fn tensor(kind: u64, dims: &[u64], number: u32, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x08];
        put_varint(&mut bytes, kind);
        let mut shape = Vec::new();
        for &n in dims {
            let mut dim = vec![0x08];
            put_varint(&mut dim, n);
            put_bytes(&mut shape, 2, &dim);
        }
        put_bytes(&mut bytes, 2, &shape);
        put_bytes(&mut bytes, number, value);
        bytes
    }

    #[test]
    fn numbers_of_every_type_are_read_from_content() {
        for (kind, bytes, expected) in [
            (dtype::FLOAT, 1.5f32.to_le_bytes().to_vec(), 1.5),
            (dtype::DOUBLE, 0.1f64.to_le_bytes().to_vec(), 0.1),
            (dtype::INT64, (-7i64).to_le_bytes().to_vec(), -7.0),
            (dtype::HALF, 0x3c01u16.to_le_bytes().to_vec(), 1.0 + 1.0 / 1024.0),
            (dtype::HALF, 0x8001u16.to_le_bytes().to_vec(), -(2f64.powi(-24))),
            (dtype::BFLOAT16, 0x3fc0u16.to_le_bytes().to_vec(), 1.5),
            (dtype::BOOL, vec![1], 1.0),
            (dtype::UINT64, u64::MAX.to_le_bytes().to_vec(), u64::MAX as f64),
        ] {
            assert_eq!(scalar(&tensor(kind, &[], 4, &bytes)), Some(Some(expected)), "{kind}");
            assert_eq!(scalar(&tensor(kind, &[1], 4, &bytes)), Some(Some(expected)), "{kind}");
            assert_eq!(scalar(&tensor(kind, &[2], 4, &bytes)), Some(None), "{kind}");
        }
        assert_eq!(scalar(&tensor(dtype::FLOAT, &[], 4, &[1, 2, 3])), None, "wrong length");
        assert_eq!(scalar(&tensor(7, &[], 8, b"text")), Some(None), "a string");
    }

    #[test]
    fn numbers_are_read_from_typed_lists() {
        let packed = |v: u64| {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, v);
            bytes
        };
        for (kind, number, bytes, expected) in [
            (dtype::FLOAT, 5, 2.5f32.to_le_bytes().to_vec(), 2.5),
            (dtype::DOUBLE, 6, 0.1f64.to_le_bytes().to_vec(), 0.1),
            (dtype::INT32, 7, packed((-3i64).cast_unsigned()), -3.0),
            (dtype::INT64, 10, packed(12), 12.0),
            (dtype::BOOL, 11, packed(1), 1.0),
            (dtype::HALF, 13, packed(0x7c00), f64::INFINITY),
            (dtype::BFLOAT16, 13, packed(0x4000), 2.0),
            (dtype::UINT32, 16, packed(9), 9.0),
        ] {
            assert_eq!(scalar(&tensor(kind, &[], number, &bytes)), Some(Some(expected)), "{kind}");
        }
        assert_eq!(
            scalar(&tensor(dtype::FLOAT, &[], 9, &[])),
            Some(Some(0.0)),
            "an unwritten zero"
        );
    }
}
