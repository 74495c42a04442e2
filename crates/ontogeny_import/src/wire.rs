//! Protocol buffers, the little of them that logs need: fields one after another over borrowed bytes.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    /// A number of variable length: integers, booleans, enumerations.
    Varint(u64),
    /// Eight bytes: doubles and the like.
    Fixed64(u64),
    /// Four bytes: floats and the like.
    Fixed32(u32),
    /// Text, bytes, messages, packed numbers.
    Bytes(&'a [u8]),
}

/// Takes a number of variable length from the front; `None` if there is none.
#[inline]
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    let mut value = 0;
    for (i, &b) in bytes.iter().take(10).enumerate() {
        value |= u64::from(b & 0x7f) << (7 * i);
        if b < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes the next field from the front: its number and value. `Some(None)` at the end, `None` if the bytes
/// are no message.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as for `each`")]
#[expect(clippy::option_option, reason = "the end and a mistake are different things")]
pub(crate) fn field<'a>(bytes: &mut &'a [u8]) -> Option<Option<(u32, Field<'a>)>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let key = varint(bytes)?;
    let number = u32::try_from(key >> 3).ok()?;
    let value = match key & 7 {
        0 => Field::Varint(varint(bytes)?),
        1 => {
            let (head, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Field::Fixed64(u64::from_le_bytes(*head))
        }
        2 => {
            let n = usize::try_from(varint(bytes)?).ok()?;
            let (head, rest) = bytes.split_at_checked(n)?;
            *bytes = rest;
            Field::Bytes(head)
        }
        5 => {
            let (head, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Field::Fixed32(u32::from_le_bytes(*head))
        }
        _ => return None,
    };
    Some(Some((number, value)))
}

/// Calls `f` for every field of a message; `None` if it is none, or if `f` says so.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "half the time of reading an event file was spent in calls"
)]
pub(crate) fn each<'a>(
    mut bytes: &'a [u8],
    mut f: impl FnMut(u32, Field<'a>) -> Option<()>,
) -> Option<()> {
    while let Some((number, value)) = field(&mut bytes)? {
        f(number, value)?;
    }
    Some(())
}

/// Writes a field key and a length-delimited value.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Writes a number of variable length.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut rest = &bytes[..];
            assert_eq!((varint(&mut rest), rest.len()), (Some(value), 0));
        }
        assert_eq!(varint(&mut &[0xff; 11][..]), None, "too long");
        assert_eq!(varint(&mut &[0x80][..]), None, "cut off");
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let mut bytes = vec![0x0a];
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(field(&mut &bytes[..]), None);
    }
}
