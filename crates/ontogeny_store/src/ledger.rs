//! The ledger on disk: `ledger/ledger.jsonl`, one sealed entry per line.
//!
//! Appending takes an exclusive lock on `ledger/lock`, reads and checks what others have added, writes one
//! line, syncs it, and then replaces `ledger/head.json` (number of entries and hash of the last), which makes
//! the entry acknowledged and shows if the end of the ledger is taken away. What follows the acknowledged
//! entries and is not a whole entry is the torn line of a crash, cut by the next append. Nothing else is ever
//! removed.

use crate::{StoreError, TornTail, disk, faults, lock, mounts};
use ontogeny_core::{ChainBreak, Clock, LedgerBody, LedgerEntry, verify_chain};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The record of forecasts, outcomes and scores. Clones share what they have read; any number of threads and
/// processes may append.
#[derive(Debug, Clone)]
pub struct Ledger {
    dir: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

/// The checked part of the file.
#[derive(Debug, Default)]
struct Seen {
    bytes: u64,
    last: Option<LedgerEntry>,
}

/// `ledger/head.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    n_entries: u64,
    hash: String,
}

impl Ledger {
    pub(crate) fn new(store: &Path) -> Self {
        Self { dir: store.join("ledger"), seen: Arc::default() }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.dir.join("ledger.jsonl")
    }

    fn head_path(&self) -> PathBuf {
        self.dir.join("head.json")
    }

    /// Seals `body` behind the last entry, durably: when this returns, the entry stays.
    ///
    /// The first append reads and checks the whole chain, later ones what has been added since.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`], [`StoreError::LedgerLine`] or [`StoreError::LedgerCut`] if entries were
    /// changed or removed; nothing is appended to a broken chain. [`StoreError::Encode`] if `body` holds a NaN
    /// or an infinity, which a line of JSON could not give back.
    pub fn append(&self, body: LedgerBody, clock: &dyn Clock) -> Result<LedgerEntry, StoreError> {
        let mut sealed = self.append_all([body], clock)?;
        Ok(sealed.remove(0))
    }

    /// Seals several bodies in order behind the last entry, for the price of one wait for the disk.
    ///
    /// # Errors
    /// As [`append`](Self::append); then none of them is sealed.
    pub fn append_all(
        &self,
        bodies: impl IntoIterator<Item = LedgerBody>,
        clock: &dyn Clock,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        mounts::refuse(&self.dir, "append to the ledger")?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        disk::create_dir(&self.dir)?;
        let _lock = lock::wait(&self.dir.join("lock"))?;
        let path = self.path();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| StoreError::io("open", &path, e))?;
        self.catch_up(&mut seen)?;
        file.set_len(seen.bytes).map_err(|e| StoreError::io("cut the torn line of", &path, e))?;
        let mut entries: Vec<LedgerEntry> = Vec::new();
        let mut lines = Vec::new();
        for body in bodies {
            let last = entries.last().or(seen.last.as_ref());
            let entry = LedgerEntry::seal(last, clock.unix_secs(), body);
            disk::check_readable(&path, &entry)?;
            serde_json::to_writer(&mut lines, &entry)
                .map_err(|e| StoreError::Encode { path: path.clone(), source: Box::new(e) })?;
            lines.push(b'\n');
            entries.push(entry);
        }
        let Some(last) = entries.last() else { return Ok(entries) };
        if !self.head_path().is_file() {
            // A death between lines and their head must never leave several entries without one.
            let (n_entries, hash) = match &seen.last {
                Some(last) => (last.seq + 1, last.hash.clone()),
                None => (0, LedgerEntry::genesis()),
            };
            disk::replace_json(&self.head_path(), &Head { n_entries, hash })?;
        }
        let sealed = self.write_lines(&mut file, &lines, entries[0].seq == 0, last);
        if let Err(e) = sealed {
            // A head that was replaced and whose folder could not be synced counts: the lines are on disk, and
            // stay, whichever head does. Without that the caller may try again, and one claim must not stand
            // twice. If cutting fails too, or nobody knows the head, the next append finds whole entries and
            // keeps them, or a torn line and cuts it.
            match disk::read_json::<Head>(&self.head_path()) {
                Ok(Some(head)) if head.hash == last.hash => {}
                Ok(_) => {
                    let _ = faults::point(&path).and_then(|()| file.set_len(seen.bytes));
                    return Err(e);
                }
                Err(_) => return Err(e),
            }
        }
        seen.bytes += lines.len() as u64;
        seen.last = Some(last.clone());
        Ok(entries)
    }

    fn write_lines(
        &self,
        file: &mut File,
        lines: &[u8],
        is_first: bool,
        last: &LedgerEntry,
    ) -> Result<(), StoreError> {
        let path = self.path();
        faults::write_all(&path, file, lines)
            .and_then(|()| faults::sync(&path, || file.sync_all()))
            .map_err(|e| StoreError::io("append to", &path, e))?;
        if is_first {
            disk::sync_dir(&self.dir)?;
        }
        let head = Head { n_entries: last.seq + 1, hash: last.hash.clone() };
        disk::replace_json(&self.head_path(), &head)
    }

    /// Reads and checks what was added since; the caller holds the lock.
    fn catch_up(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let path = self.path();
        let head: Option<Head> = disk::read_json(&self.head_path())?;
        let n_bytes = path.metadata().map_err(|e| StoreError::io("read", &path, e))?.len();
        let last = seen.last.as_ref();
        if n_bytes == seen.bytes && last.map(|l| &l.hash) == head.as_ref().map(|h| &h.hash) {
            return Ok(());
        }
        // Others have appended, or this is the first look: the whole chain is checked.
        let bytes = disk::read_if_there(&path)?.unwrap_or_default();
        let whole = self.checked(&bytes, head.as_ref())?;
        if let Some(last) = last {
            let found = whole.entries.len() as u64;
            match whole.entries.get(last.seq as usize) {
                None => return Err(StoreError::LedgerCut { path, sealed: last.seq + 1, found }),
                Some(now) if now.hash != last.hash => {
                    let source = ChainBreak::Link { seq: last.seq };
                    return Err(StoreError::LedgerBroken { path, source });
                }
                Some(_) => {}
            }
        }
        *seen = Seen { bytes: whole.end as u64, last: whole.entries.into_iter().last() };
        Ok(())
    }

    /// Parses and checks a whole ledger.
    fn checked(&self, bytes: &[u8], head: Option<&Head>) -> Result<Whole, StoreError> {
        let path = self.path();
        // An older version wrote the first entry before its head; more entries without a head do not arise.
        let sealed = head.map_or(0, |h| h.n_entries);
        let whole = parse(&path, bytes, sealed)?;
        verify_chain(&whole.entries)
            .map_err(|source| StoreError::LedgerBroken { path: path.clone(), source })?;
        let found = whole.entries.len() as u64;
        if head.is_none() && found > 1 {
            return Err(StoreError::NoLedgerHead { path: self.head_path() });
        }
        if found < sealed {
            return Err(StoreError::LedgerCut { path, sealed, found });
        }
        let last = sealed.checked_sub(1).and_then(|i| whole.entries.get(i as usize));
        let genesis = LedgerEntry::genesis();
        let last = last.map_or(&genesis, |e| &e.hash);
        if head.is_some_and(|h| h.hash != *last) {
            let source = ChainBreak::Link { seq: sealed.saturating_sub(1) };
            return Err(StoreError::LedgerBroken { path, source });
        }
        Ok(whole)
    }

    /// All entries, checked; entries that a crash left unfinished are not among them.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn entries(&self) -> Result<Vec<LedgerEntry>, StoreError> {
        // Read before the entries, the head never claims more than is there.
        let head: Option<Head> = disk::read_json(&self.head_path())?;
        let bytes = disk::read_if_there(&self.path())?.unwrap_or_default();
        match self.checked(&bytes, head.as_ref()) {
            // Entries came between the two readings.
            Err(StoreError::NoLedgerHead { .. }) if head.is_none() => {
                let head: Option<Head> = disk::read_json(&self.head_path())?;
                let bytes = disk::read_if_there(&self.path())?.unwrap_or_default();
                Ok(self.checked(&bytes, head.as_ref())?.entries)
            }
            whole => Ok(whole?.entries),
        }
    }

    /// The torn line at the end, if there is one; cuts it if asked to, as the next append would.
    pub(crate) fn torn_line(&self, cut: bool) -> Result<Option<TornTail>, StoreError> {
        let path = self.path();
        if !path.is_file() {
            return Ok(None);
        }
        let _lock = lock::wait(&self.dir.join("lock"))?;
        let head: Option<Head> = disk::read_json(&self.head_path())?;
        let bytes = disk::read_if_there(&path)?.unwrap_or_default();
        let at_byte = self.checked(&bytes, head.as_ref())?.end as u64;
        let n_bytes = bytes.len() as u64 - at_byte;
        if n_bytes == 0 {
            return Ok(None);
        }
        if cut {
            disk::cut(&path, at_byte)?;
        }
        Ok(Some(TornTail { path, at_byte, n_bytes }))
    }

    /// The whole entries as lines, and a head that vouches for all of them; `None` if there is no ledger.
    #[cfg(feature = "object-store")]
    pub(crate) fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        // As in [`Ledger::entries`]: the head never claims more than is there.
        let read_head = || disk::read_json::<Head>(&self.head_path());
        let read = |head: Option<&Head>| {
            let bytes = disk::read_if_there(&self.path())?.unwrap_or_default();
            let whole = self.checked(&bytes, head)?;
            Ok((bytes, whole))
        };
        let head = read_head()?;
        let (mut lines, whole) = match read(head.as_ref()) {
            Err(StoreError::NoLedgerHead { .. }) => read(read_head()?.as_ref())?,
            other => other?,
        };
        let Some(last) = whole.entries.last() else { return Ok(None) };
        lines.truncate(whole.end);
        let json = |n_entries, hash: &str| {
            let encode = |e| StoreError::Encode { path: self.head_path(), source: Box::new(e) };
            let head = Head { n_entries, hash: hash.to_owned() };
            serde_json::to_vec_pretty(&head).map_err(encode)
        };
        let head = json(last.seq + 1, &last.hash)?;
        Ok(Some(Snapshot { lines, head, first_head: json(0, &LedgerEntry::genesis())? }))
    }

    /// Checks the whole chain and gives the number of entries.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn verify(&self) -> Result<u64, StoreError> {
        Ok(self.entries()?.len() as u64)
    }
}

/// A ledger at a moment, as files.
#[cfg(feature = "object-store")]
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// `ledger.jsonl`.
    pub(crate) lines: Vec<u8>,
    /// `head.json` for these lines.
    pub(crate) head: Vec<u8>,
    /// `head.json` of a ledger that has no entries yet.
    pub(crate) first_head: Vec<u8>,
}

/// The whole entries of a ledger, and where they end.
struct Whole {
    entries: Vec<LedgerEntry>,
    end: usize,
}

/// Parses lines. What comes after `sealed` entries and is not an entry is a torn line.
fn parse(path: &Path, bytes: &[u8], sealed: u64) -> Result<Whole, StoreError> {
    let mut whole = Whole { entries: Vec::new(), end: 0 };
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let torn = !line.ends_with(b"\n");
        match serde_json::from_slice(line) {
            Ok(entry) if !torn => whole.entries.push(entry),
            Err(source) if (whole.entries.len() as u64) < sealed => {
                let (path, line) = (path.to_path_buf(), whole.entries.len() + 1);
                return Err(StoreError::LedgerLine { path, line, source });
            }
            _ => break,
        }
        whole.end += line.len();
    }
    Ok(whole)
}
