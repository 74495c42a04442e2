//! Unpacking gzip from a source that may mean harm.

use crate::Problem;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unpacked bytes that are always allowed.
const ALWAYS: u64 = 256 << 20;
/// Unpacked bytes per packed one that are allowed beyond that. Logs reach 5 to 50; nothing exceeds 1032.
const RATIO: u64 = 300;

/// More came out than a log can hold.
#[derive(Debug, thiserror::Error)]
#[error("a gzip bomb")]
pub(super) struct Bomb {
    n_in: u64,
    n_out: u64,
}

/// Counts the bytes that go into the decoder.
#[derive(Debug)]
struct Counted<R> {
    inner: R,
    n: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Unpacks one or several gzip members, as long as the result is in proportion.
#[derive(Debug)]
pub(super) struct Gunzip<R> {
    decoder: MultiGzDecoder<BufReader<Counted<R>>>,
    n_in: Arc<AtomicU64>,
    n_out: u64,
}

impl<R: Read> Gunzip<R> {
    pub(super) fn new(inner: R) -> Self {
        let n_in = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner, n: n_in.clone() };
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, counted));
        Self { decoder, n_in, n_out: 0 }
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buffer)?;
        self.n_out += n as u64;
        let n_in = self.n_in.load(Ordering::Relaxed);
        if self.n_out > ALWAYS && self.n_out > n_in.saturating_mul(RATIO) {
            return Err(io::Error::other(Bomb { n_in, n_out: self.n_out }));
        }
        Ok(n)
    }
}

/// What an error of the stream says about the file.
pub(super) fn problem(source: io::Error) -> Problem {
    match source.get_ref().and_then(|e| e.downcast_ref::<Bomb>()) {
        Some(bomb) => Problem::Bomb { n_in: bomb.n_in, n_out: bomb.n_out },
        None => Problem::Gzip { source },
    }
}
