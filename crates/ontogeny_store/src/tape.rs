//! A tape: rows that are appended to a log, sealed into Parquet segments, and read back as one sequence.
//!
//! The first frame of `live.log` names its *generation* G: the number of the segment it will become. Sealing
//! writes `seg-G.parquet` whole and then replaces the log by an empty one of generation G + 1. A crash in
//! between leaves both, and then the segment counts and the log of the same number does not: rows are
//! neither doubled nor lost. The log is read before the segments, so a reader beside a writer sees a prefix.
//!
//! Cutting a tape at a step drops later rows of the log, and voids later rows of earlier segments by a note in
//! the log's header, which sealing copies into the metadata of the segment. Segments never change; several may be
//! replaced by one that holds the same ([`crate::merge`]).

use crate::background::LogMark;
use crate::frame;
use crate::index::{self, Index};
use crate::segments::{self, SegmentId, Source};
use crate::table::Table;
use crate::wire::{Named, Names};
use crate::{Damage, StoreError, disk, faults};
use bytes::Bytes;
use ontogeny_core::{RunId, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are gathered into one frame.
const FRAME_BYTES: usize = 1 << 16;

/// Rows of one kind, in the order in which they were appended.
pub(crate) trait Block: Sized + Default {
    /// Name of the folder and of the log's kind.
    const KIND: &'static str;
    /// Version of logs and segments of this kind that is written, and the last that is read.
    const VERSION: u32;
    fn names(&self) -> &[Named];
    fn len(&self) -> usize;
    /// Appends the records of a payload; `None` if they cannot be understood.
    fn take_records(&mut self, payload: &[u8]) -> Option<()>;
    /// The inverse of [`Block::take_records`].
    fn put_records(&self, out: &mut Vec<u8>);
    /// Drops rows after `last`.
    fn cut(&mut self, last: Step);
    fn last_step(&self) -> Option<Step>;
    /// Says in a log which session writes what follows; nothing for a kind that does not keep it.
    fn put_session(_out: &mut Vec<u8>, _session: u32) {}
    /// The last session that wrote one of the rows, 0 if that is not known.
    fn last_session(&self) -> u32 {
        0
    }
    /// Keeps the rows whose numbers are in a range.
    fn only(&mut self, rows: std::ops::Range<usize>);
    fn sealed(&self, path: &Path, run: &str, meta: &[(&str, String)])
    -> Result<Sealed, StoreError>;
    fn from_table(table: &Table) -> Result<Self, StoreError>;
}

/// The files of a segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) parquet: Bytes,
    pub(crate) index: Option<Vec<u8>>,
}

/// Bytes at the end of a log that a crash left unfinished. They were never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The log.
    pub path: PathBuf,
    /// Where the last whole frame ends.
    pub at_byte: u64,
    /// How many bytes follow it.
    pub n_bytes: u64,
}

impl std::fmt::Display for TornTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} unfinished bytes after byte {} (never acknowledged): {}",
            self.n_bytes,
            self.at_byte,
            self.path.display()
        )
    }
}

/// The first frame of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    format_version: u32,
    kind: String,
    run: RunId,
    generation: u32,
    /// Rows of earlier segments after this step are void.
    cut: Option<Step>,
}

impl Header {
    fn new<B: Block>(run: &RunId, generation: u32, cut: Option<Step>) -> Self {
        let kind = B::KIND.to_owned();
        Self { format_version: B::VERSION, kind, run: run.clone(), generation, cut }
    }
}

/// The rows of a tape, oldest block first, without those that were cut.
#[derive(Debug)]
pub(crate) struct Snapshot<B> {
    pub(crate) blocks: Vec<B>,
    pub(crate) torn: Option<TornTail>,
}

/// What a tape consisted of at one moment: its log, and the segments before it.
#[derive(Debug)]
pub(crate) struct Parts<B> {
    /// Rows that are not sealed, and the cut of the log: rows of segments after it are void.
    pub(crate) live: Option<(B, Option<Step>)>,
    pub(crate) sealed: Vec<SegmentId>,
    pub(crate) torn: Option<TornTail>,
}

/// The rows of a segment, and what its metadata tells.
#[derive(Debug)]
pub(crate) struct Segment<B> {
    pub(crate) block: B,
    pub(crate) cut: Option<Step>,
    /// The segments that were merged into it; none if it is one alone.
    pub(crate) sources: Vec<Source>,
}

/// What a segment tells without its rows.
struct Peek {
    names: Vec<Named>,
    last_step: Option<Step>,
    last_session: u32,
}

/// A log as it was read.
struct Live<B> {
    header: Header,
    block: B,
    end: usize,
    torn: Option<TornTail>,
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("live.log")
}

fn read_log<B: Block>(dir: &Path, run: &RunId) -> Result<Option<Live<B>>, StoreError> {
    let path = log_path(dir);
    let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
    let scan = frame::scan(&bytes).map_err(|d| StoreError::damaged(&path, d))?;
    let bad_header = || StoreError::damaged(&path, Damage::LogHeader);
    let (first, rest) = scan.payloads.split_first().ok_or_else(bad_header)?;
    let header: Header =
        serde_json::from_slice(&bytes[first.clone()]).map_err(|_ignored| bad_header())?;
    if header.format_version > B::VERSION {
        let (found, supported) = (header.format_version, B::VERSION);
        return Err(StoreError::Newer { path, found, supported });
    }
    if header.kind != B::KIND || header.run != *run {
        let found = format!("the {} of run {}", header.kind, header.run);
        return Err(StoreError::damaged(&path, Damage::Misplaced { found }));
    }
    let mut block = B::default();
    for payload in rest {
        block.take_records(&bytes[payload.clone()]).ok_or_else(|| {
            let (at_byte, acked_bytes) = (payload.start as u64, payload.end as u64);
            StoreError::damaged(&path, Damage::Log { at_byte, acked_bytes })
        })?;
    }
    let n_torn = (bytes.len() - scan.end) as u64;
    let torn = TornTail { path, at_byte: scan.end as u64, n_bytes: n_torn };
    let torn = (n_torn > 0).then_some(torn);
    Ok(Some(Live { header, block, end: scan.end, torn }))
}

/// The log of a tape and its version, if there is one.
pub(crate) fn log_version<B: Block>(
    dir: &Path,
    run: &RunId,
) -> Result<Option<(PathBuf, u32)>, StoreError> {
    Ok(read_log::<B>(dir, run)?.map(|live| (log_path(dir), live.header.format_version)))
}

/// What the metadata of a segment tells: its version, its cut, and the segments that were merged into it.
pub(crate) fn read_meta<B: Block>(
    table: &Table,
    path: &Path,
    run: &RunId,
) -> Result<(u32, Option<Step>, Vec<Source>), StoreError> {
    let version = table.meta("ontogeny.format_version").and_then(|v| v.parse().ok()).unwrap_or(0);
    if version > B::VERSION {
        return Err(StoreError::Newer {
            path: path.to_path_buf(),
            found: version,
            supported: B::VERSION,
        });
    }
    if table.meta("ontogeny.run") != Some(run.as_str()) {
        let found = format!("run {}", table.meta("ontogeny.run").unwrap_or("unknown"));
        return Err(StoreError::damaged(path, Damage::Misplaced { found }));
    }
    let cut = table.meta("ontogeny.cut").and_then(|v| v.parse().ok()).map(Step);
    let sources =
        table.meta("ontogeny.sources").map_or_else(|| Ok(Vec::new()), serde_json::from_str);
    let sources = sources.map_err(|e| StoreError::json(path, e))?;
    Ok((version, cut, sources))
}

/// Reads a segment whole; if it was merged with others meanwhile, its rows there.
pub(crate) fn read_segment<B: Block>(
    dir: &Path,
    run: &RunId,
    id: SegmentId,
) -> Result<Segment<B>, StoreError> {
    let path = id.path(dir);
    let bytes = disk::read_sealed(&path);
    let bytes = match bytes {
        Ok(Some(bytes)) => bytes,
        absent => {
            if let Some(found) = read_successor::<B>(dir, run, id)? {
                return Ok(found);
            }
            absent?.ok_or_else(|| segments::missing(dir, id.first))?
        }
    };
    let table = Table::open(&path, bytes)?;
    let (_, cut, sources) = read_meta::<B>(&table, &path, run)?;
    Ok(Segment { block: B::from_table(&table)?, cut, sources })
}

/// The rows of segments in the file with which they were merged.
fn read_successor<B: Block>(
    dir: &Path,
    run: &RunId,
    id: SegmentId,
) -> Result<Option<Segment<B>>, StoreError> {
    let Some(new) = segments::successor(dir, id)? else { return Ok(None) };
    let Segment { mut block, sources, .. } = read_segment::<B>(dir, run, new)?;
    let place = segments::within(new, &sources, id);
    block.only(place.rows.start as usize..place.rows.end as usize);
    Ok(Some(Segment { block, cut: place.cut.map(Step), sources: place.sources }))
}

/// Reads the log and lists the segments; a missing folder or log is a tape without rows of its own.
pub(crate) fn parts<B: Block>(dir: &Path, run: &RunId) -> Result<Parts<B>, StoreError> {
    let log = read_log::<B>(dir, run)?;
    let listed = segments::list(dir)?;
    let n_sealed = log.as_ref().map_or(0, |l| l.header.generation.saturating_sub(1));
    if let Some(number) = listed.missing {
        return Err(segments::missing(dir, number));
    }
    if n_sealed > listed.last() {
        return Err(segments::missing(dir, listed.last() + 1));
    }
    let log = log.filter(|l| l.header.generation > listed.last());
    let torn = log.as_ref().and_then(|l| l.torn.clone());
    Ok(Parts { live: log.map(|l| (l.block, l.header.cut)), sealed: listed.ids, torn })
}

/// Reads a tape; a missing folder or log is a tape without rows of its own.
pub(crate) fn read<B: Block>(dir: &Path, run: &RunId) -> Result<Snapshot<B>, StoreError> {
    let Parts { live, sealed, torn } = parts::<B>(dir, run)?;
    let mut blocks: Vec<B> = Vec::new();
    let paths = sealed.iter().map(|id| id.path(dir));
    disk::expect(paths.flat_map(|path| [disk::checksum_path(&path), path]));
    let sealed = sealed.into_iter().map(|id| {
        read_segment(dir, run, id).map(|segment: Segment<B>| (segment.block, segment.cut))
    });
    for found in sealed.chain(live.map(Ok)) {
        let (block, cut) = found?;
        if let Some(last) = cut {
            for b in &mut blocks {
                b.cut(last);
            }
        }
        blocks.push(block);
    }
    Ok(Snapshot { blocks, torn })
}

/// What a writer needs to know of a segment: of its index, or else of its rows.
fn peek<B: Block>(
    dir: &Path,
    run: &RunId,
    id: SegmentId,
    known: &mut BTreeSet<[u8; 16]>,
) -> Result<Peek, StoreError> {
    let mut from_index = || {
        let segment = id.path(dir);
        let Some(index) = Index::open(&segment)?.filter(|_| segment.is_file()) else {
            return Ok(None);
        };
        let mut names = Vec::new();
        if known.insert(index.header.names_hash) {
            names = index.entries()?.into_iter().map(|e| (e.name, e.unit)).collect();
        }
        let (last_step, last_session) = (Some(index.header.last_step), index.header.last_session);
        Ok::<_, StoreError>(Some(Peek { names, last_step, last_session }))
    };
    if let Ok(Some(peek)) = from_index() {
        return Ok(peek);
    }
    let block = read_segment::<B>(dir, run, id)?.block;
    let (last_step, last_session) = (block.last_step(), block.last_session());
    Ok(Peek { names: block.names().to_vec(), last_step, last_session })
}

/// A tape that is being written. The caller holds the lock of the run.
#[derive(Debug)]
pub(crate) struct Tape<B> {
    dir: PathBuf,
    log: PathBuf,
    run: RunId,
    file: Arc<File>,
    header: Header,
    names: Names,
    /// Records that are not in the file yet.
    buffer: Vec<u8>,
    /// Memory for the frame that is written.
    frame: Vec<u8>,
    /// Length of the file up to its last whole frame.
    end: u64,
    /// Length that is known to be durable.
    acked: u64,
    /// Length after the last sync, with the frame that says so.
    settled: u64,
    /// Rows in the log and in the buffer.
    n_live: usize,
    /// Number of this opening among those that left rows, from 1.
    session: u32,
    /// Whether the log says so already.
    is_announced: bool,
    poisoned: bool,
    kind: std::marker::PhantomData<B>,
}

impl<B: Block> Tape<B> {
    /// Opens a tape for writing, making it if it is new, and brings it to order after a crash.
    pub(crate) fn open(
        run_dir: &Path,
        run: &RunId,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        let dir = run_dir.join(B::KIND);
        disk::create_dir(&dir)?;
        disk::remove_leftovers(&dir)?;
        segments::leftovers(&dir)?.iter().try_for_each(|path| segments::remove_file(path))?;
        let listed = segments::list(&dir)?;
        if let Some(number) = listed.missing {
            return Err(segments::missing(&dir, number));
        }
        let last_sealed = listed.last();
        let (mut names, mut known, mut last_session) = (Names::default(), BTreeSet::new(), 0);
        for &id in &listed.ids {
            let peek = peek::<B>(&dir, run, id, &mut known)?;
            peek.names.iter().for_each(|n| names.learn(n));
            last_session = last_session.max(peek.last_session);
        }
        let live = match read_log::<B>(&dir, run) {
            Ok(Some(live)) if live.header.generation > last_sealed => Some(live),
            // A damaged log may still be the only copy of acknowledged rows: never write over it.
            Err(e) => return Err(e),
            Ok(_) => None,
        };
        let live = match live {
            // A log of an earlier version does not take what this one writes. It is replaced whole.
            Some(mut live)
                if live.header.generation == last_sealed + 1
                    && live.header.format_version < B::VERSION =>
            {
                live.header.format_version = B::VERSION;
                live.end = start_log(&dir, &live.header, &live.block)? as usize;
                live
            }
            Some(live) if live.header.generation == last_sealed + 1 => live,
            Some(_) => return Err(segments::missing(&dir, last_sealed + 1)),
            None => {
                let header = Header::new::<B>(run, last_sealed + 1, None);
                let end = start_log(&dir, &header, &B::default())?;
                Live { header, block: B::default(), end: end as usize, torn: None }
            }
        };
        names.renumber(live.block.names().to_vec());
        let log = log_path(&dir);
        let file = open_log(&log)?;
        let end = live.end as u64;
        if live.torn.is_some() {
            // After a log that was replaced there is nothing left to cut.
            file.set_len(end).map_err(|e| StoreError::io("cut the torn tail of", &log, e))?;
        }
        let synced = faults::sync(&log, || file.sync_all());
        synced.map_err(|e| StoreError::io("sync", &log, e))?;
        let tape = Self {
            dir,
            log,
            run: run.clone(),
            file: Arc::new(file),
            header: live.header,
            names,
            buffer: Vec::new(),
            frame: Vec::new(),
            end,
            acked: end,
            settled: end,
            n_live: live.block.len(),
            session: last_session.max(live.block.last_session()).saturating_add(1),
            is_announced: false,
            poisoned: false,
            kind: std::marker::PhantomData,
        };
        Ok((tape, live.torn))
    }

    /// The number of a name in the log; a new one is recorded.
    pub(crate) fn number(&mut self, name: &str, unit: &str) -> Result<u32, StoreError> {
        self.names.number(name, unit, &mut self.buffer).map_err(|was| StoreError::UnitChanged {
            run: self.run.clone(),
            name: name.to_owned(),
            was,
            now: unit.to_owned(),
        })
    }

    /// Appends records that hold `n` rows; writes them to the file when enough have gathered.
    pub(crate) fn append(
        &mut self,
        n: usize,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        if !self.is_announced {
            B::put_session(&mut self.buffer, self.session);
            self.is_announced = true;
        }
        put(&mut self.buffer);
        self.n_live += n;
        if self.buffer.len() >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    /// Rows that are not sealed yet.
    pub(crate) fn n_live(&self) -> usize {
        self.n_live
    }

    /// Bytes that are not sealed yet.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    /// Hands the buffer to the operating system: readers see it, `kill -9` does not harm it.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_frame(&buffer);
        if written.is_ok() {
            buffer.clear();
        }
        // The memory is used again. Where it could not be written nothing is lost: the rows wait for the next attempt.
        self.buffer = buffer;
        written
    }

    fn write_frame(&mut self, payload: &[u8]) -> Result<(), StoreError> {
        let bytes = &mut self.frame;
        bytes.clear();
        frame::write(bytes, self.acked, payload);
        if let Err(e) = faults::write_all(&self.log, &mut &*self.file, bytes) {
            // A half-written frame would make everything after it unreadable.
            let cut = faults::point(&self.log).and_then(|()| self.file.set_len(self.end));
            if cut.is_err() {
                self.poisoned = true;
            }
            return Err(StoreError::io("append to", &self.log, e));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything that was appended durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        if self.end == self.settled {
            return Ok(());
        }
        let synced = faults::sync(&self.log, || self.file.sync_data());
        if let Err(e) = synced {
            // After a failed fsync the next one may succeed without having written the lost pages.
            self.poisoned = true;
            return Err(StoreError::io("sync", &self.log, e));
        }
        self.acked = self.end;
        // From now on a reader can tell damage before this place from a torn tail. The frame need not be
        // durable, and if it cannot be written nothing acknowledged is lost.
        let _ = self.write_frame(&[]);
        self.settled = self.end;
        Ok(())
    }

    /// Hands everything to the operating system and tells what somebody else has to sync.
    pub(crate) fn mark(&mut self) -> Result<LogMark, StoreError> {
        self.flush()?;
        Ok(LogMark {
            path: self.log.clone(),
            file: Arc::clone(&self.file),
            generation: self.header.generation,
            end: self.end,
        })
    }

    /// Somebody else has synced the log as far as that: the next frame says so.
    pub(crate) fn was_synced(&mut self, mark: &LogMark) {
        if mark.generation == self.header.generation && Arc::ptr_eq(&mark.file, &self.file) {
            self.acked = self.acked.max(mark.end);
        }
    }

    /// Somebody else's sync has failed.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number of the last segment.
    pub(crate) fn n_sealed(&self) -> u32 {
        self.header.generation.saturating_sub(1)
    }

    /// Turns the log into a segment; a log without rows stays as it is.
    pub(crate) fn seal(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        if self.n_live == 0 {
            return Ok(());
        }
        let live = self.reread()?;
        let path = SegmentId::sealed(self.header.generation).path(&self.dir);
        let mut meta = vec![
            ("ontogeny.format_version", B::VERSION.to_string()),
            ("ontogeny.run", self.run.to_string()),
            ("ontogeny.segment", self.header.generation.to_string()),
        ];
        meta.extend(self.header.cut.map(|step| ("ontogeny.cut", step.to_string())));
        let Sealed { parquet, index } = live.block.sealed(&path, self.run.as_str(), &meta)?;
        let index_path = index::path_of(&path);
        let beside = index.as_deref().map(|i| (index_path.as_path(), i));
        // Once the segment is in place the old log counts no more, so until there is a new one nothing may
        // be appended.
        let next = Header::new::<B>(&self.run, self.header.generation + 1, None);
        let sealed =
            disk::seal(&path, &parquet, beside).and_then(|()| self.restart(next, &B::default()));
        if sealed.is_err() && path.exists() {
            self.poisoned = true;
        }
        sealed
    }

    /// Drops rows after `last`, as if they had never been appended.
    pub(crate) fn truncate_after(&mut self, last: Step) -> Result<(), StoreError> {
        self.sync()?;
        let mut header = self.header.clone();
        let mut known = BTreeSet::new();
        for id in segments::list(&self.dir)?.ids {
            let peek = peek::<B>(&self.dir, &self.run, id, &mut known)?;
            if peek.last_step.is_some_and(|s| s > last) {
                header.cut = Some(header.cut.map_or(last, |c| c.min(last)));
            }
        }
        let mut block = self.reread()?.block;
        block.cut(last);
        self.restart(header, &block)
    }

    fn reread(&self) -> Result<Live<B>, StoreError> {
        read_log::<B>(&self.dir, &self.run)?
            .ok_or_else(|| StoreError::damaged(&self.log, Damage::LogHeader))
    }

    fn restart(&mut self, header: Header, block: &B) -> Result<(), StoreError> {
        let end = start_log(&self.dir, &header, block)?;
        self.file = Arc::new(open_log(&self.log).inspect_err(|_| self.poisoned = true)?);
        self.names.renumber(block.names().to_vec());
        self.header = header;
        (self.end, self.acked, self.settled) = (end, end, end);
        self.is_announced = false;
        self.n_live = block.len();
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { run: self.run.clone(), path: self.log.clone() });
        }
        Ok(())
    }
}

/// Puts a new log in place of the old one and gives its length.
fn start_log<B: Block>(dir: &Path, header: &Header, block: &B) -> Result<u64, StoreError> {
    let path = log_path(dir);
    let header = serde_json::to_vec(header)
        .map_err(|e| StoreError::Encode { path: path.clone(), source: Box::new(e) })?;
    let (mut bytes, mut records) = (Vec::new(), Vec::new());
    frame::write(&mut bytes, 0, &header);
    block.put_records(&mut records);
    if !records.is_empty() {
        frame::write(&mut bytes, 0, &records);
        // The file appears whole and on disk: its rows are acknowledged from the beginning.
        let acked = bytes.len() as u64;
        frame::write(&mut bytes, acked, &[]);
    }
    disk::replace(&path, &bytes)?;
    Ok(bytes.len() as u64)
}

fn open_log(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().append(true).open(path).map_err(|e| StoreError::io("open", path, e))
}
