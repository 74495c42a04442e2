//! The framing of W&B's log: records in pieces that never cross a border of 32 KiB.
//!
//! After a header of seven bytes, each piece has a CRC, a length and a type (whole, first, middle, last). The CRC is
//! the common CRC-32 of the type and the data, not masked; LevelDB itself uses a masked CRC-32C.

use crate::source::{MAX_PIECE, Source};
use crate::{ImportError, Problem};

/// The beginning of a file: a word and a magic number; a version follows.
pub(super) const MAGIC: &[u8] = b":W&B\xe1\xbe";
/// Bytes of the file header.
pub(super) const HEADER: usize = 7;
const BLOCK: u64 = 32 * 1024;
const PIECE_HEADER: usize = 7;
const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What comes next.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// A record.
    Record(&'a [u8]),
    /// Something that was damaged; what comes after can be read.
    Bad(Problem),
    /// The file ends within a record.
    Torn,
    /// The file ends.
    End,
}

/// Puts the pieces of records together.
pub(super) struct Blocks<'s> {
    source: &'s mut Source,
    record: Vec<u8>,
}

/// One piece.
enum Piece {
    /// Its type, and that its data were added to the record.
    Sound(u8),
    Bad(Problem),
    Torn,
    End,
}

impl<'s> Blocks<'s> {
    /// Begins after the file header.
    pub(super) fn new(source: &'s mut Source) -> Self {
        source.consume(source.window().len().min(HEADER));
        Self { source, record: Vec::new() }
    }

    /// The next record, and where it begins.
    pub(super) fn next(&mut self) -> Result<(u64, Next<'_>), ImportError> {
        self.record.clear();
        let mut offset = self.source.offset();
        let mut is_inside = false;
        loop {
            if !is_inside {
                self.record.clear();
                offset = self.source.offset();
            }
            match self.piece()? {
                Piece::Sound(WHOLE) if !is_inside => {
                    return Ok((offset, Next::Record(&self.record)));
                }
                Piece::Sound(LAST) if is_inside => return Ok((offset, Next::Record(&self.record))),
                Piece::Sound(FIRST) if !is_inside => is_inside = true,
                Piece::Sound(MIDDLE) if is_inside => {}
                Piece::Sound(_) => {
                    let what = "pieces of a record in order";
                    return Ok((offset, Next::Bad(Problem::Expected { what })));
                }
                Piece::Bad(problem) => return Ok((offset, Next::Bad(problem))),
                Piece::Torn => return Ok((offset, Next::Torn)),
                Piece::End if is_inside => return Ok((offset, Next::Torn)),
                Piece::End => return Ok((offset, Next::End)),
            }
            if self.record.len() > MAX_PIECE {
                let (claimed, limit) = (self.record.len() as u64, MAX_PIECE as u64);
                return Ok((offset, Next::Bad(Problem::Length { claimed, limit })));
            }
        }
    }

    /// Takes one piece and adds its data to the record.
    fn piece(&mut self) -> Result<Piece, ImportError> {
        let mut left = BLOCK - self.source.offset() % BLOCK;
        if left < PIECE_HEADER as u64 {
            // Too short for a header: filled with zeros.
            let n = self.source.peek(left as usize)?.len().min(left as usize);
            self.source.consume(n);
            if (n as u64) < left {
                return Ok(Piece::End);
            }
            left = BLOCK;
        }
        let window = self.source.peek(PIECE_HEADER)?;
        let Some(&[c0, c1, c2, c3, l0, l1, kind]) = window.first_chunk() else {
            let is_end = window.is_empty();
            let n = window.len();
            self.source.consume(n);
            return Ok(if is_end { Piece::End } else { Piece::Torn });
        };
        let n = usize::from(u16::from_le_bytes([l0, l1]));
        if (n + PIECE_HEADER) as u64 > left {
            // The length is not to be trusted; the next block can be.
            let problem = Problem::Length { claimed: n as u64, limit: left - PIECE_HEADER as u64 };
            return self.leave_block(left, problem);
        }
        let window = self.source.peek(PIECE_HEADER + n)?;
        if window.len() < PIECE_HEADER + n {
            let n = window.len();
            self.source.consume(n);
            return Ok(Piece::Torn);
        }
        let data = &window[PIECE_HEADER - 1..PIECE_HEADER + n]; // The type and the data.
        if crc32fast::hash(data) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return self.leave_block(left, Problem::Checksum { part: "data" });
        }
        self.record.extend_from_slice(&data[1..]);
        self.source.consume(PIECE_HEADER + n);
        Ok(Piece::Sound(kind))
    }

    /// Goes on with the next block, as LevelDB does after damage.
    fn leave_block(&mut self, left: u64, problem: Problem) -> Result<Piece, ImportError> {
        let n = self.source.peek(left as usize)?.len().min(left as usize);
        self.source.consume(n);
        Ok(Piece::Bad(problem))
    }
}
