//! The directory of a zip archive, as PyTorch and numpy write it, and the bytes of its entries.
//!
//! Nothing is ever unpacked to disk. Only stored and deflated entries are read; the second kind is what
//! `numpy.savez_compressed` writes. Source: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3.

use super::file::RandomFile;
use super::flaw::{Fault, Flaw};
use super::gathered::clipped;
use std::collections::BTreeMap;
use std::io::Read;

/// Entries of an archive.
const MAX_ENTRIES: usize = 1_000_000;
/// Bytes of the directory.
const MAX_DIRECTORY: u64 = 256 << 20;
/// The end record and the longest comment after it.
const MAX_END: u64 = 22 + 0xffff;
/// What a 32-bit field holds if the 64-bit one counts.
const ELSEWHERE: u64 = 0xffff_ffff;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// A file in the archive.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Bytes once unpacked.
    pub(crate) n_bytes: u64,
    /// Its first byte in the archive.
    at: u64,
    packed: u64,
    crc: u32,
    method: u16,
}

/// An archive, by the names of its files.
#[derive(Debug)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

/// Little-endian fields, taken one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, n: usize) -> Option<u64> {
        let bytes = self.take(n)?;
        Some(bytes.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    fn u16(&mut self) -> Option<u16> {
        self.number(2).map(|v| v as u16)
    }

    fn u32(&mut self) -> Option<u64> {
        self.number(4)
    }
}

fn directory_fault(flaw: Flaw) -> Fault {
    Fault::new("the directory of the archive", flaw)
}

fn malformed(what: &'static str) -> Fault {
    directory_fault(Flaw::Expected { what })
}

impl Archive {
    /// Reads the directory and checks that every entry lies in the file, by itself.
    pub(crate) fn open(file: &mut RandomFile<'_>) -> Result<Self, Fault> {
        let (from, len, n) = end(file)?;
        if len > MAX_DIRECTORY {
            let (claimed, limit) = (len, MAX_DIRECTORY);
            return Err(directory_fault(Flaw::Length { claimed, limit }));
        }
        // An entry takes 46 bytes at least.
        if n > MAX_ENTRIES as u64 || n > len / 46 {
            return Err(malformed("as many entries as the archive says"));
        }
        let bytes = file.read(from, len, || "the directory of the archive".to_owned())?;
        let mut fields = Fields(&bytes);
        let mut all = Vec::new();
        for _ in 0..n {
            all.push(entry(&mut fields)?);
        }
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut taken: Vec<(u64, u64, String)> = Vec::new();
        for mut entry in all {
            let place = format!("entry `{}`", clipped(&entry.name));
            let name = entry.name.trim_end_matches('/');
            let leaves = |part| matches!(part, "" | "." | "..");
            if name.contains(['\\', '\0']) || name.contains(':') || name.split('/').any(leaves) {
                return Err(Fault::new(place, Flaw::Escapes));
            }
            let header_at = entry.at;
            entry.at = data_at(file, &entry)?;
            taken.push((header_at, entry.at.saturating_add(entry.packed), entry.name.clone()));
            if entry.at.saturating_add(entry.packed) > from {
                let (from, to) = (entry.at, entry.at.saturating_add(entry.packed));
                let n_bytes = file.n_bytes();
                return Err(Fault::new(place, Flaw::Truncated { from, to, n_bytes }));
            }
            if entry.name.ends_with('/') {
                continue;
            }
            if entry.method != STORED && entry.method != DEFLATED {
                return Err(Fault::new(place, Flaw::Compression { method: entry.method }));
            }
            if entry.method == STORED && entry.packed != entry.n_bytes {
                return Err(Fault::new(place, Flaw::Expected { what: "one length, not two" }));
            }
            if entries.insert(entry.name.clone(), entry).is_some() {
                return Err(Fault::new(place, Flaw::Twice));
            }
        }
        // Archives whose entries share bytes are made to expand without end.
        taken.sort_unstable();
        for pair in taken.windows(2) {
            if pair[1].0 < pair[0].1 {
                let place = format!("entry `{}`", clipped(&pair[1].2));
                return Err(Fault::new(
                    place,
                    Flaw::Offsets { found: pair[1].0, expected: pair[0].1 },
                ));
            }
        }
        Ok(Self { entries })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

impl Entry {
    fn place(&self) -> String {
        format!("entry `{}`", clipped(&self.name))
    }

    /// All bytes, checked; no more than `limit` are set aside.
    pub(crate) fn read(&self, file: &mut RandomFile<'_>, limit: u64) -> Result<Vec<u8>, Fault> {
        if self.n_bytes > limit {
            let flaw = Flaw::Length { claimed: self.n_bytes, limit };
            return Err(Fault::new(self.place(), flaw));
        }
        let packed = file.read(self.at, self.packed, || self.place())?;
        let bytes = if self.method == STORED { packed } else { self.inflate(&packed)? };
        let found = crc32fast::hash(&bytes);
        if found != self.crc {
            return Err(Fault::new(self.place(), Flaw::Checksum));
        }
        Ok(bytes)
    }

    fn inflate(&self, packed: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        // One more than there should be, so that more is seen.
        let mut reader =
            flate2::read::DeflateDecoder::new(packed).take(self.n_bytes.saturating_add(1));
        let read = reader.read_to_end(&mut bytes);
        if read.is_err() || bytes.len() as u64 != self.n_bytes {
            let what = "as many bytes as its header says";
            return Err(Fault::new(self.place(), Flaw::Expected { what }));
        }
        Ok(bytes)
    }

    /// Checks the bytes of a stored entry without keeping them.
    pub(crate) fn check(&self, file: &mut RandomFile<'_>) -> Result<(), Fault> {
        let mut hasher = crc32fast::Hasher::new();
        file.scan(self.at, self.packed, || self.place(), |block| hasher.update(block))?;
        if hasher.finalize() == self.crc {
            Ok(())
        } else {
            Err(Fault::new(self.place(), Flaw::Checksum))
        }
    }

    /// Bytes `from..from + n` of a stored entry.
    pub(crate) fn part(
        &self,
        file: &mut RandomFile<'_>,
        from: u64,
        n: u64,
    ) -> Result<Vec<u8>, Fault> {
        let to = from.saturating_add(n);
        if to > self.n_bytes {
            let n_bytes = self.n_bytes;
            return Err(Fault::new(self.place(), Flaw::Truncated { from, to, n_bytes }));
        }
        file.read(self.at + from, n, || self.place())
    }

    /// Whether its bytes are in the archive as they are.
    pub(crate) fn is_stored(&self) -> bool {
        self.method == STORED
    }
}

/// Where the directory begins, its bytes and its entries.
fn end(file: &mut RandomFile<'_>) -> Result<(u64, u64, u64), Fault> {
    let n_bytes = file.n_bytes();
    let tail_at = n_bytes.saturating_sub(MAX_END);
    let tail = file.read(tail_at, n_bytes - tail_at, || "the end of the archive".to_owned())?;
    // The last place from which a comment of the right length follows.
    let found = (0..=tail.len().saturating_sub(22)).rev().find_map(|at| {
        let mut fields = Fields(tail.get(at..)?);
        (fields.take(4)? == b"PK\x05\x06").then_some(())?;
        let (disk, start_disk) = (fields.u16()?, fields.u16()?);
        let (here, n) = (fields.u16()?, fields.u16()?);
        let (len, from, comment) = (fields.u32()?, fields.u32()?, fields.u16()?);
        (usize::from(comment) == fields.0.len()).then_some(())?;
        Some((at, disk, start_disk, here, n, len, from))
    });
    let what = "the end of a zip archive; was the file cut off?";
    let (at, disk, start_disk, here, n, len, from) = found.ok_or_else(|| malformed(what))?;
    let end_at = tail_at + at as u64;
    let needs_64 = from == ELSEWHERE || len == ELSEWHERE || n == 0xffff;
    let (from, len, n) = match needs_64.then(|| end_64(file, end_at)).transpose()?.flatten() {
        Some(found) => found,
        None if disk != 0 || start_disk != 0 || here != n => {
            return Err(malformed("an archive in one piece"));
        }
        None => (from, len, u64::from(n)),
    };
    if from.checked_add(len).is_none_or(|to| to > end_at) {
        return Err(malformed("a directory that lies before the end of the archive"));
    }
    Ok((from, len, n))
}

/// The same of a large archive; `None` if there is no such record.
fn end_64(file: &mut RandomFile<'_>, end_at: u64) -> Result<Option<(u64, u64, u64)>, Fault> {
    let Some(locator_at) = end_at.checked_sub(20) else { return Ok(None) };
    let place = || "the end of the archive".to_owned();
    let locator = file.read(locator_at, 20, place)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let at = Fields(&locator[8..]).number(8).unwrap_or(u64::MAX);
    let record = file.read(at, 56, place)?;
    let mut fields = Fields(&record);
    let mut found = || -> Option<(u64, u64, u64)> {
        (fields.take(4)? == b"PK\x06\x06").then_some(())?;
        fields.take(28)?;
        let (n, len, from) = (fields.number(8)?, fields.number(8)?, fields.number(8)?);
        Some((from, len, n))
    };
    let what = "the 64-bit end of a zip archive";
    found().map(Some).ok_or_else(|| malformed(what))
}

/// The next entry of the directory; `at` is that of its local header.
fn entry(fields: &mut Fields<'_>) -> Result<Entry, Fault> {
    let mut parse = || -> Option<(Entry, bool)> {
        (fields.take(4)? == b"PK\x01\x02").then_some(())?;
        fields.take(4)?; // Versions.
        let (flags, method) = (fields.u16()?, fields.u16()?);
        fields.take(4)?; // Time and date.
        let (crc, mut packed, mut n_bytes) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.take(8)?; // Disk and attributes.
        let mut at = fields.u32()?;
        let name = fields.take(name.into())?;
        let mut extra = Fields(fields.take(extra.into())?);
        fields.take(comment.into())?;
        // Sizes that do not fit are in an extra field, in this order, those that are missing only.
        while let (Some(id), Some(len)) = (extra.u16(), extra.u16()) {
            let mut field = Fields(extra.take(len.into())?);
            if id != 1 {
                continue;
            }
            for value in [&mut n_bytes, &mut packed, &mut at] {
                if *value == ELSEWHERE {
                    *value = field.number(8)?;
                }
            }
        }
        let name = String::from_utf8(name.to_vec()).ok()?;
        let is_encrypted = flags & 1 != 0;
        Some((Entry { name, n_bytes, at, packed, crc: crc as u32, method }, is_encrypted))
    };
    match parse() {
        Some((entry, false)) => Ok(entry),
        Some((entry, true)) => Err(Fault::new(
            entry.place(),
            Flaw::Expected { what: "an entry that is not encrypted" },
        )),
        None => Err(malformed("an entry with a name in UTF-8")),
    }
}

/// Where the bytes of an entry begin: after its local header, which must name it too.
fn data_at(file: &mut RandomFile<'_>, entry: &Entry) -> Result<u64, Fault> {
    let header = file.read(entry.at, 30, || entry.place())?;
    let mut fields = Fields(&header);
    let mut lengths = || -> Option<(u16, u16)> {
        (fields.take(4)? == b"PK\x03\x04").then_some(())?;
        fields.take(22)?;
        Some((fields.u16()?, fields.u16()?))
    };
    let what = "a local header";
    let (name, extra) =
        lengths().ok_or_else(|| Fault::new(entry.place(), Flaw::Expected { what }))?;
    let found = file.read(entry.at + 30, name.into(), || entry.place())?;
    if found != entry.name.as_bytes() {
        let what = "the name that the directory has";
        return Err(Fault::new(entry.place(), Flaw::Expected { what }));
    }
    Ok(entry.at + 30 + u64::from(name) + u64::from(extra))
}
