//! The frames of a TFRecord file: length, its checksum, payload, its checksum.

use crate::ImportError;
use crate::source::{MAX_PIECE, Source};

/// Bytes before the payload.
pub(super) const HEADER: usize = 12;

/// Lengths whose checksums are kept.
const N_SHORT: usize = 512;

/// What comes next in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A record: its payload in the window, followed by four bytes of checksum.
    Record { from: usize, to: usize },
    /// A record that is larger than any scalar, consumed.
    Skipped { sound: bool },
    /// The file ends within a record.
    Torn { n_bytes: u64 },
    /// The checksum of the length does not match.
    BadLength,
    /// The file ends.
    End,
}

/// CRC32C as TensorFlow stores it.
pub(crate) fn masked_crc(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether a file begins with a sound frame header.
pub(super) fn begins(head: &[u8]) -> bool {
    head.first_chunk::<8>().is_some_and(|len| u32_at(head, 8) == Some(masked_crc(len)))
}

/// Whether a payload is as it was written; `after` begins with its checksum.
#[inline]
pub(super) fn is_sound(payload: &[u8], after: &[u8]) -> bool {
    u32_at(after, 0) == Some(masked_crc(payload))
}

/// The checksums of short lengths. Records of a log differ little in length, and a look-up costs a tenth of
/// the checksum; one that is stored wrongly is told apart all the same.
#[derive(Debug)]
pub(super) struct Lengths([u32; N_SHORT]);

impl Default for Lengths {
    fn default() -> Self {
        Self(std::array::from_fn(|len| masked_crc(&(len as u64).to_le_bytes())))
    }
}

impl Lengths {
    /// The payload of the record that `bytes` begin with and what follows it, if `bytes` hold it and four bytes
    /// more, and it is short and its length sound.
    #[inline]
    pub(super) fn short<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let len = u64::from_le_bytes(*header.first_chunk()?);
        let crc = u32::from_le_bytes(*header.last_chunk()?);
        if *self.0.get(usize::try_from(len).ok()?)? != crc {
            return None;
        }
        let (payload, after) = rest.split_at_checked(len as usize)?;
        (after.len() >= 4).then_some((payload, after))
    }
}

/// Brings the next record into the window, without consuming it. Nothing is set aside for a length before the
/// file is known to be that long.
#[inline]
pub(super) fn next(source: &mut Source) -> Result<Next, ImportError> {
    if source.window().len() < HEADER {
        source.peek(HEADER)?;
    }
    let window = source.window();
    let (Some(len), Some(crc)) = (window.first_chunk::<8>(), u32_at(window, 8)) else {
        let n_bytes = window.len() as u64;
        return Ok(if n_bytes == 0 { Next::End } else { Next::Torn { n_bytes } });
    };
    if masked_crc(len) != crc {
        return Ok(Next::BadLength);
    }
    let len = u64::from_le_bytes(*len);
    let whole = len.saturating_add(HEADER as u64 + 4);
    if whole <= window.len() as u64 {
        let to = HEADER + len as usize;
        return Ok(Next::Record { from: HEADER, to });
    }
    if let Some(n_bytes) = source.n_left().filter(|&left| whole > left) {
        return Ok(Next::Torn { n_bytes });
    }
    if whole > MAX_PIECE as u64 {
        return skip(source, len);
    }
    let seen = source.peek(whole as usize)?.len() as u64;
    if seen < whole {
        return Ok(Next::Torn { n_bytes: seen });
    }
    let to = HEADER + len as usize;
    Ok(Next::Record { from: HEADER, to })
}

/// Passes over a record that is too large to hold, checking it on the way.
fn skip(source: &mut Source, len: u64) -> Result<Next, ImportError> {
    source.consume(HEADER);
    let (mut left, mut crc) = (len, 0);
    while left > 0 {
        let window = source.peek(1)?;
        if window.is_empty() {
            return Ok(Next::Torn { n_bytes: len - left + HEADER as u64 });
        }
        let n = window.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        crc = crc32c::crc32c_append(crc, &window[..n]);
        source.consume(n);
        left -= n as u64;
    }
    let Some(stored) = u32_at(source.peek(4)?, 0) else {
        return Ok(Next::Torn { n_bytes: len + HEADER as u64 });
    };
    source.consume(4);
    Ok(Next::Skipped { sound: stored == mask(crc) })
}

/// Writes a record.
pub(crate) fn put(out: &mut Vec<u8>, payload: &[u8]) {
    let len = (payload.len() as u64).to_le_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&masked_crc(&len).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&masked_crc(payload).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_that_of_tensorflow() {
        // From the test of TensorFlow's crc32c: the mask of the CRC of "foo" is not the CRC.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(mask(0), 0xa282_ead8);
        assert_ne!(masked_crc(b"foo"), crc32c::crc32c(b"foo"));
    }

    #[test]
    fn a_short_record_is_found_where_it_is_whole_and_its_length_sound() {
        let lengths = Lengths::default();
        for len in [0, 1, 37, N_SHORT - 1, N_SHORT] {
            let mut bytes = Vec::new();
            put(&mut bytes, &vec![7; len]);
            let found = lengths.short(&bytes).map(|(payload, after)| (payload.len(), after.len()));
            assert_eq!(found, (len < N_SHORT).then_some((len, 4)));
            assert_eq!(lengths.short(&bytes[..bytes.len() - 1]), None, "cut off");
            for bit in 0..8 * HEADER {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(lengths.short(&bytes), None, "bit {bit} of {len}");
            }
        }
    }

    #[test]
    fn a_record_comes_back() {
        let mut bytes = Vec::new();
        put(&mut bytes, b"hello");
        assert!(begins(&bytes));
        assert!(is_sound(&bytes[12..17], &bytes[17..]));
        bytes[13] ^= 1;
        assert!(!is_sound(&bytes[12..17], &bytes[17..]));
    }
}
