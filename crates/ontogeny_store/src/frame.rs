//! Frames: how bytes lie in an append log, and how a torn tail is told from damage.
//!
//! A frame is a header of 20 bytes, all integers little-endian, and a payload:
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `ONTF` |
//! | 4..8 | length of the payload |
//! | 8..16 | `acked`: length of the log that was durable when this frame was written |
//! | 16..20 | CRC32C of bytes 4..16 and the payload |
//!
//! The first frame that fails its checksum ends the log. If no later frame claims that this place had been
//! durable, it is the torn tail of a crash: unacknowledged, and cut by the next writer. If one does, or the
//! place lies before the `acked` of an earlier frame, acknowledged bytes were changed: that is damage.

use crate::Damage;
use std::ops::Range;

const MARKER: [u8; 4] = *b"ONTF";
/// Length of the header.
pub(crate) const HEADER: usize = 20;

/// What a log holds.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Payloads of the whole frames, in order.
    pub(crate) payloads: Vec<Range<usize>>,
    /// End of the last whole frame; what follows is torn.
    pub(crate) end: usize,
}

/// Appends one frame to `out`.
pub(crate) fn write(out: &mut Vec<u8>, acked: u64, payload: &[u8]) {
    let mut covered = [0; 12];
    covered[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    covered[4..].copy_from_slice(&acked.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&covered), payload);
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&covered);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The frame at `at`: (acked, payload).
fn read(bytes: &[u8], at: usize) -> Option<(u64, Range<usize>)> {
    let head = bytes.get(at..at.checked_add(HEADER)?)?;
    if head[..4] != MARKER {
        return None;
    }
    let len = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let acked = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let crc = u32::from_le_bytes(head[16..20].try_into().ok()?);
    let payload = at + HEADER..(at + HEADER).checked_add(len)?;
    let covered = crc32c::crc32c(&head[4..16]);
    (crc32c::crc32c_append(covered, bytes.get(payload.clone())?) == crc).then_some((acked, payload))
}

/// Reads the frames of a log.
///
/// # Errors
/// [`Damage::Log`] if a frame in the acknowledged part is not as it was written.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, Damage> {
    let mut scan = Scan { payloads: Vec::new(), end: 0 };
    let mut acked_bytes = 0;
    while let Some((acked, payload)) = read(bytes, scan.end) {
        acked_bytes = acked_bytes.max(acked);
        scan.end = payload.end;
        scan.payloads.push(payload);
    }
    let tail = &bytes[scan.end..];
    for at in (0..tail.len()).filter(|&at| tail[at..].starts_with(&MARKER)) {
        if let Some((acked, _)) = read(tail, at) {
            acked_bytes = acked_bytes.max(acked);
        }
    }
    if acked_bytes > scan.end as u64 {
        return Err(Damage::Log { at_byte: scan.end as u64, acked_bytes });
    }
    Ok(scan)
}

/// The length of the part of a log that was known to be on disk when its last whole frame was written: whole frames,
/// and at least the first, with which the log appeared.
///
/// # Errors
/// As [`scan`].
#[cfg(feature = "object-store")]
pub(crate) fn acknowledged(bytes: &[u8]) -> Result<usize, Damage> {
    let whole = scan(bytes)?;
    let acked = whole.payloads.iter().filter_map(|p| read(bytes, p.start - HEADER)).map(|f| f.0);
    let acked = acked.max().unwrap_or(0) as usize;
    Ok(whole.payloads.first().map_or(0, |first| acked.max(first.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(acked: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, &a) in acked.iter().enumerate() {
            write(&mut out, a, &[i as u8; 10]);
        }
        out
    }

    #[test]
    fn a_log_cut_anywhere_gives_a_prefix() {
        let whole = log(&[0, 0, 0, 0]);
        for cut in 0..=whole.len() {
            let s = scan(&whole[..cut]).unwrap();
            assert_eq!(s.payloads.len(), cut / 30);
            assert_eq!(s.end, cut / 30 * 30);
        }
    }

    #[test]
    fn a_flipped_byte_is_torn_when_unacknowledged_and_damage_when_acknowledged() {
        for at in 30..60 {
            let mut torn = log(&[0, 0, 30, 30]);
            torn[at] ^= 1;
            assert_eq!(scan(&torn).unwrap().end, 30, "byte {at}");
            let mut damaged = log(&[0, 0, 30, 60]);
            damaged[at] ^= 1;
            let e = scan(&damaged).unwrap_err();
            assert!(matches!(e, Damage::Log { at_byte: 30, acked_bytes: 60 }), "byte {at}");
        }
    }

    #[test]
    fn a_log_shorter_than_it_was_acknowledged_is_damaged() {
        let mut cut = log(&[0, 60]);
        cut.truncate(60);
        assert_eq!(scan(&cut).unwrap().end, 60);
        assert!(scan(&log(&[0, 90])).is_err());
    }
}
