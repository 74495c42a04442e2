//! A foreign file that is read from any place, never beyond its end.

use super::flaw::{Fault, Flaw};
use crate::input::Seekable;
use crate::{ImportError, Input};
use std::io::{Read, Seek, SeekFrom};

/// Bytes that are looked at together when a file is only passed through.
const BLOCK: u64 = 1 << 18;

/// A file that is read from any place.
#[derive(Debug)]
pub(crate) struct RandomFile<'a> {
    input: &'a Input,
    inner: Seekable,
    n_bytes: u64,
}

impl<'a> RandomFile<'a> {
    pub(crate) fn open(input: &'a Input) -> Result<Self, ImportError> {
        Ok(Self { input, inner: input.seekable()?, n_bytes: input.n_bytes()? })
    }

    pub(crate) fn input(&self) -> &'a Input {
        self.input
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Bytes `from..from + n`; `place` says what they are if they are not there.
    pub(crate) fn read(
        &mut self,
        from: u64,
        n: u64,
        place: impl FnOnce() -> String,
    ) -> Result<Vec<u8>, Fault> {
        let n_bytes = self.n_bytes;
        let to = from.saturating_add(n);
        // Before memory is set aside.
        let (Some(_), Ok(len)) = (n_bytes.checked_sub(to), usize::try_from(n)) else {
            return Err(Fault::new(place(), Flaw::Truncated { from, to, n_bytes }));
        };
        let mut bytes = vec![0; len];
        match &mut self.inner {
            Seekable::Memory(all) => {
                // In range: `to` is at most the length.
                bytes.copy_from_slice(&all[from as usize..to as usize]);
            }
            Seekable::Disk(file) => {
                let read =
                    file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut bytes));
                match read {
                    Ok(()) => {}
                    // It was longer when it was opened.
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                        return Err(Fault::new(place(), Flaw::Truncated { from, to, n_bytes }));
                    }
                    Err(e) => return Err(ImportError::io("read", self.input.path(), e).into()),
                }
            }
        }
        Ok(bytes)
    }

    /// Passes through bytes `from..from + n`.
    pub(crate) fn scan(
        &mut self,
        from: u64,
        n: u64,
        place: impl Fn() -> String,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        let (mut at, mut left) = (from, n);
        while left > 0 {
            let block = left.min(BLOCK);
            take(&self.read(at, block, &place)?);
            at += block;
            left -= block;
        }
        Ok(())
    }
}
