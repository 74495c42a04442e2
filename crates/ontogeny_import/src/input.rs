//! A foreign file, or bytes that stand for one.

use crate::ImportError;
use crate::source::Source;
use bytes::Bytes;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Size and hash of a file's bytes as they are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes.
    pub n_bytes: u64,
    /// BLAKE3, in lower-case hexadecimal.
    pub blake3: String,
}

/// A foreign file, or bytes that stand for one.
#[derive(Debug, Clone)]
pub struct Input {
    path: PathBuf,
    bytes: Option<Bytes>,
}

/// Bytes that can be read from any place.
#[derive(Debug)]
pub(crate) enum Seekable {
    Disk(File),
    Memory(Bytes),
}

impl Input {
    /// A file on disk. It is opened when it is read.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), bytes: None }
    }

    /// Bytes under a name, which formats may look at as they would at a path.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: impl Into<Bytes>) -> Self {
        Self { path: name.into(), bytes: Some(bytes.into()) }
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without `.gz`.
    pub fn file_name(&self) -> String {
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
    }

    /// Bytes in the file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn n_bytes(&self) -> Result<u64, ImportError> {
        match &self.bytes {
            Some(bytes) => Ok(bytes.len() as u64),
            None => std::fs::metadata(&self.path)
                .map(|m| m.len())
                .map_err(|e| ImportError::io("read the size of", &self.path, e)),
        }
    }

    /// Hashes the whole file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, ImportError> {
        let mut hasher = blake3::Hasher::new();
        let io = |e| ImportError::io("read", &self.path, e);
        let mut reader = self.raw()?;
        let mut buffer = vec![0; 1 << 18];
        let mut n_bytes = 0;
        loop {
            let n = reader.read(&mut buffer).map_err(io)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            n_bytes += n as u64;
        }
        Ok(Fingerprint { n_bytes, blake3: hasher.finalize().to_hex().to_string() })
    }

    /// Opens it for reading from the beginning, unpacked if it is gzip; `format` is named in errors.
    pub(crate) fn open(&self, format: &'static str) -> Result<Source, ImportError> {
        let n_bytes = self.n_bytes()?;
        Source::new(format, &self.path, self.raw()?, n_bytes)
    }

    pub(crate) fn seekable(&self) -> Result<Seekable, ImportError> {
        match &self.bytes {
            Some(bytes) => Ok(Seekable::Memory(bytes.clone())),
            None => File::open(&self.path)
                .map(Seekable::Disk)
                .map_err(|e| ImportError::io("open", &self.path, e)),
        }
    }

    fn raw(&self) -> Result<Box<dyn Read + Send>, ImportError> {
        match self.seekable()? {
            Seekable::Disk(file) => Ok(Box::new(file)),
            Seekable::Memory(bytes) => Ok(Box::new(std::io::Cursor::new(bytes))),
        }
    }

    /// A file beside this one, if it is there and small: configuration that a format keeps apart.
    pub(crate) fn sibling(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        if self.bytes.is_some() {
            return None;
        }
        let path = self.path.with_file_name(name);
        let meta = std::fs::symlink_metadata(&path).ok()?;
        (meta.is_file() && meta.len() <= limit).then(|| std::fs::read(&path).ok()).flatten()
    }
}
