//! A large file, read and hashed by a second thread that stays a few pieces ahead of who wants the bytes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes of a piece: large beside what it costs to hand it over, small beside a cache.
const PIECE: usize = 1 << 18;
/// Pieces that exist: one that is read from, one that is written to, and some that wait.
const N_PIECES: usize = 6;

/// What the thread has to say.
enum Word {
    Bytes(Vec<u8>),
    /// Reading failed at this place; it is tried again after.
    Failed(io::Error),
    End(Box<blake3::Hasher>),
}

/// The bytes of a reader that another thread reads. The thread ends with the file, or after this does.
pub(super) struct Ahead {
    words: Receiver<Word>,
    spent: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    hasher: Option<Box<blake3::Hasher>>,
}

impl Ahead {
    /// Starts to read; gives the reader back if no thread can be had.
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Result<Self, Box<dyn Read + Send>> {
        // The reader follows the thread, so that it is not lost with one that does not start.
        let (lend, lent) = channel::<Box<dyn Read + Send>>();
        let (say, words) = sync_channel(N_PIECES);
        let (spent, pieces) = channel();
        let work = move || {
            if let Ok(reader) = lent.recv() {
                read_all(reader, &pieces, &say);
            }
        };
        if thread::Builder::new().name("ontogeny-read".to_owned()).spawn(work).is_err() {
            return Err(reader);
        }
        for _ in 1..N_PIECES {
            give(&spent, Vec::new());
        }
        lend.send(reader).map_err(|unsent| unsent.0)?;
        Ok(Self { words, spent, piece: Vec::new(), at: 0, hasher: None })
    }

    /// The hash of all bytes, once they have been read to their end.
    pub(super) fn hasher(&self) -> Option<&blake3::Hasher> {
        self.hasher.as_deref()
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.words.recv() {
                Ok(Word::Bytes(piece)) => {
                    give(&self.spent, std::mem::replace(&mut self.piece, piece));
                    self.at = 0;
                }
                Ok(Word::Failed(e)) => return Err(e),
                Ok(Word::End(hasher)) => self.hasher = Some(hasher),
                // The thread has ended, and said so before.
                Err(_) if self.hasher.is_some() => return Ok(0),
                Err(e) => return Err(io::Error::other(e)),
            }
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// A piece that is no longer needed; a thread that has ended wants none.
fn give(spent: &Sender<Vec<u8>>, piece: Vec<u8>) {
    drop(spent.send(piece));
}

/// The thread: ends at the end of the file, or when nobody listens.
fn read_all(mut reader: impl Read, pieces: &Receiver<Vec<u8>>, say: &SyncSender<Word>) {
    let mut hasher = blake3::Hasher::new();
    while let Ok(mut piece) = pieces.recv() {
        piece.resize(PIECE, 0);
        let word = loop {
            match reader.read(&mut piece) {
                Ok(0) => break Word::End(Box::new(hasher.clone())),
                Ok(n) => {
                    hasher.update(&piece[..n]);
                    piece.truncate(n);
                    break Word::Bytes(piece);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    if say.send(Word::Failed(e)).is_err() {
                        return;
                    }
                }
            }
        };
        let is_end = matches!(word, Word::End(_));
        if say.send(word).is_err() || is_end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it has in small parts, with mistakes in between.
    struct Halting {
        bytes: io::Cursor<Vec<u8>>,
        n_calls: usize,
    }

    impl Read for Halting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.n_calls += 1;
            match self.n_calls % 7 {
                3 => Err(io::ErrorKind::Interrupted.into()),
                5 => Err(io::ErrorKind::TimedOut.into()),
                k => {
                    let n = buffer.len().min(20_011 * (k + 1));
                    self.bytes.read(&mut buffer[..n])
                }
            }
        }
    }

    fn numbers(n: usize) -> Vec<u8> {
        (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    #[test]
    fn gives_the_same_bytes_mistakes_and_hash_as_its_reader() {
        for n in [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 77] {
            let bytes = numbers(n);
            let reader = Halting { bytes: io::Cursor::new(bytes.clone()), n_calls: 0 };
            let Ok(mut ahead) = Ahead::new(Box::new(reader)) else { panic!("no thread") };
            let (mut got, mut buffer) = (Vec::new(), vec![0; 70_001]);
            loop {
                match ahead.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => got.extend_from_slice(&buffer[..n]),
                    Err(e) => assert_eq!(e.kind(), io::ErrorKind::TimedOut),
                }
            }
            assert!(got == bytes, "{n} bytes");
            assert_eq!(ahead.hasher().map(blake3::Hasher::finalize), Some(blake3::hash(&bytes)));
            assert_eq!(ahead.read(&mut buffer).ok(), Some(0), "the end stays the end");
        }
    }

    #[test]
    fn a_file_that_is_given_up_ends_its_thread() {
        struct Flag(std::sync::mpsc::Sender<()>);
        impl Read for Flag {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
        }
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (ended, is_ended) = channel();
        let Ok(mut ahead) = Ahead::new(Box::new(Flag(ended))) else { panic!("no thread") };
        assert_eq!(ahead.read(&mut [0; 10]).ok(), Some(10));
        drop(ahead);
        assert!(is_ended.recv_timeout(std::time::Duration::from_mins(1)).is_ok());
    }
}
