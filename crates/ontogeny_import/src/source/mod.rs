//! A file as a window that moves over its bytes: unpacked, hashed on the way, never wholly in memory.

mod ahead;
mod gunzip;

use crate::{Fingerprint, ImportError, Problem};
use ahead::Ahead;
use gunzip::Gunzip;
use std::cell::RefCell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Bytes that are asked for at a time.
const CHUNK: usize = 1 << 18;
/// Files of at least so many bytes are read and hashed by a thread of their own.
const LARGE: u64 = 4 << 20;
/// The longest line, and the longest piece that is ever held at once.
pub(crate) const MAX_PIECE: usize = 64 << 20;

/// The bytes as they are on disk, hashed as they pass.
enum Raw {
    Here { reader: Box<dyn Read>, hasher: Box<blake3::Hasher>, n: u64 },
    Elsewhere { ahead: Ahead, n: u64 },
}

impl Raw {
    fn new(reader: Box<dyn Read + Send>, n_bytes: u64) -> Self {
        let reader = if n_bytes < LARGE {
            reader
        } else {
            match Ahead::new(reader) {
                Ok(ahead) => return Self::Elsewhere { ahead, n: 0 },
                Err(reader) => reader,
            }
        };
        Self::Here { reader, hasher: Box::default(), n: 0 }
    }

    /// `None` before all bytes have been read.
    fn fingerprint(&self) -> Option<Fingerprint> {
        let (hasher, n_bytes) = match self {
            Self::Here { hasher, n, .. } => (&**hasher, *n),
            Self::Elsewhere { ahead, n } => (ahead.hasher()?, *n),
        };
        Some(Fingerprint { n_bytes, blake3: hasher.finalize().to_hex().to_string() })
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here { reader, hasher, n } => {
                let n_read = reader.read(buffer)?;
                hasher.update(&buffer[..n_read]);
                *n += n_read as u64;
                Ok(n_read)
            }
            Self::Elsewhere { ahead, n } => {
                let n_read = ahead.read(buffer)?;
                *n += n_read as u64;
                Ok(n_read)
            }
        }
    }
}

/// A handle on the raw bytes: one for who reads them, one for who wants the hash.
#[derive(Clone)]
struct Tap(Rc<RefCell<Raw>>);

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

/// A window that moves over a file.
pub(crate) struct Source {
    format: &'static str,
    path: PathBuf,
    tap: Tap,
    reader: Box<dyn Read>,
    is_gzip: bool,
    /// Bytes of the file on disk.
    n_bytes: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where `start` is in the unpacked file.
    offset: u64,
    at_end: bool,
}

impl Source {
    pub(crate) fn new(
        format: &'static str,
        path: &Path,
        reader: Box<dyn Read + Send>,
        n_bytes: u64,
    ) -> Result<Self, ImportError> {
        let tap = Tap(Rc::new(RefCell::new(Raw::new(reader, n_bytes))));
        let mut source = Self {
            format,
            path: path.to_path_buf(),
            reader: Box::new(tap.clone()),
            tap,
            is_gzip: false,
            n_bytes,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            at_end: false,
        };
        if source.peek(2)?.starts_with(&[0x1f, 0x8b]) {
            let seen = io::Cursor::new(source.buffer[..source.end].to_vec());
            source.reader = Box::new(Gunzip::new(seen.chain(source.tap.clone())));
            (source.end, source.at_end, source.is_gzip) = (0, false, true);
        }
        Ok(source)
    }

    /// Where the window begins in the unpacked file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is in the window.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Bytes from the window's beginning to the end of the file, if that is known.
    pub(crate) fn n_left(&self) -> Option<u64> {
        (!self.is_gzip).then(|| self.n_bytes.saturating_sub(self.offset))
    }

    /// Lets the window show at least `want` bytes, or all there are; `want` is checked by the caller. Memory
    /// grows only as bytes really come.
    pub(crate) fn peek(&mut self, want: usize) -> Result<&[u8], ImportError> {
        while self.end - self.start < want && !self.at_end {
            if self.start > 0
                && (self.start == self.end || self.buffer.len() - self.end < CHUNK / 2)
            {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if self.buffer.len() - self.end < CHUNK / 2 {
                let len = (self.buffer.len() * 2).max(CHUNK);
                self.buffer.resize(len, 0);
            }
            let n = match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.failed(e)),
            };
            self.at_end = n == 0;
            self.end += n;
        }
        Ok(self.window())
    }

    /// Moves the window on.
    pub(crate) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.end - self.start, "only what was seen can be consumed");
        self.start += n;
        self.offset += n as u64;
    }

    /// The next line without its end, and where it begins; `None` after the last. `record` is named if the
    /// line is longer than any line can be.
    pub(crate) fn line(&mut self, record: u64) -> Result<Option<(u64, &[u8])>, ImportError> {
        let mut searched = 0;
        let n = loop {
            if let Some(i) = memchr::memchr(b'\n', &self.window()[searched..]) {
                break searched + i + 1;
            }
            searched = self.end - self.start;
            if self.at_end {
                break searched;
            }
            if searched >= MAX_PIECE {
                let (claimed, limit) = (searched as u64, MAX_PIECE as u64);
                return Err(self.error(record, Problem::Length { claimed, limit }));
            }
            self.peek(searched + 1)?;
        };
        if n == 0 {
            return Ok(None);
        }
        let (from, offset) = (self.start, self.offset);
        self.consume(n);
        let line = &self.buffer[from..from + n];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Ok(Some((offset, line.strip_suffix(b"\r").unwrap_or(line))))
    }

    /// An error of the record at the window's beginning.
    pub(crate) fn error(&self, record: u64, problem: Problem) -> ImportError {
        let (format, path, offset) = (self.format, self.path.clone(), self.offset);
        ImportError::Record { format, path, record, offset, problem: Box::new(problem) }
    }

    fn failed(&self, e: io::Error) -> ImportError {
        // Errors of the operating system carry its number; those of the decoder do not.
        if !self.is_gzip || e.raw_os_error().is_some() {
            return ImportError::io("read", &self.path, e);
        }
        let offset = self.offset + (self.end - self.start) as u64;
        let (format, path) = (self.format, self.path.clone());
        let problem = Box::new(gunzip::problem(e));
        ImportError::Record { format, path, record: 0, offset, problem }
    }

    /// Size and hash of the file on disk, after reading what is left of it.
    pub(crate) fn fingerprint(mut self) -> Result<Fingerprint, ImportError> {
        self.buffer.resize(self.buffer.len().max(CHUNK), 0);
        loop {
            match self.tap.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(ImportError::io("read", &self.path, e)),
            }
        }
        let print = self.tap.0.borrow().fingerprint();
        let ended = || ImportError::io("read", &self.path, io::ErrorKind::UnexpectedEof.into());
        print.ok_or_else(ended)
    }
}
