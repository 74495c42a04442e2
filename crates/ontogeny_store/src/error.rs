//! What can go wrong with a store, and what to do about it.

use crate::mounts;
use ontogeny_core::{ChainBreak, RunId, Step, ZoomId};
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what was asked. Messages read on after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum StoreError {
    /// There is nothing at this path.
    #[error("open the store: there is none yet, start a run to make one: {}", path.display())]
    NoStore { path: PathBuf },
    /// The folder has content but no marker.
    #[error(
        "open the store: the folder holds other files and no `ontogeny.json`, choose another one: {}",
        path.display()
    )]
    NotAStore { path: PathBuf },
    /// The store, or a file in it, was written by a later Ontogeny.
    #[error(
        "open a file of format version {found}: this Ontogeny reads up to {supported}, update it: {}",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, supported: u32 },
    /// The folder or file system does not permit writing.
    #[error("write: no permission or a read-only file system: {}", path.display())]
    ReadOnly { path: PathBuf, source: io::Error },
    /// The disk is full. What was acknowledged is kept; buffered rows stay in memory and can be synced again.
    #[error(
        "write: the disk is full; everything acknowledged is safe, free some space and go on: {}",
        path.display()
    )]
    Full { path: PathBuf, source: io::Error },
    /// Any other failure of the file system.
    #[error("{action}: {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A run of this name exists already.
    #[error("create run {run}: it exists already, resume it or choose another name: {}", path.display())]
    RunExists { run: RunId, path: PathBuf },
    /// There is no run of this name.
    #[error("find run {run}{}: {}", hint(nearest.as_deref()), path.display())]
    UnknownRun { run: RunId, nearest: Option<String>, path: PathBuf },
    /// Another process, or another writer in this one, writes this run.
    #[error(
        "write run {run}: another process is writing it; wait for it or stop it (a dead one frees the lock): {}",
        path.display()
    )]
    Locked { run: RunId, path: PathBuf },
    /// A file of a run is not as it was written. Other runs are not affected.
    #[error("read run {run}: {damage}: {}", path.display())]
    Damaged { run: RunId, path: PathBuf, damage: Box<Damage> },
    /// A file that belongs to no run is not as it was written.
    #[error("read: {damage}: {}", path.display())]
    DamagedFile { path: PathBuf, damage: Box<Damage> },
    /// A reading came under a unit other than before.
    #[error(
        "append to run {run}: series {name} is in `{was}`, not in `{now}`; give it another name"
    )]
    UnitChanged { run: RunId, name: String, was: String, now: String },
    /// There is no checkpoint at this step.
    #[error("find a checkpoint of run {run} at step {step}: {}", neighbours(*before, *after))]
    NoCheckpoint { run: RunId, step: Step, before: Option<Step>, after: Option<Step> },
    /// There is no zoom of this name.
    #[error("find zoom {zoom} of run {run}{}", hint(nearest.as_deref()))]
    UnknownZoom { run: RunId, zoom: ZoomId, nearest: Option<String> },
    /// A write was lost by the operating system; only reopening shows what is on disk.
    #[error("write run {run}: an earlier fsync failed, so the state on disk is unknown; resume the run: {}", path.display())]
    Poisoned { run: RunId, path: PathBuf },
    /// The ledger's entries do not follow one another.
    #[error("trust the ledger: {}", path.display())]
    LedgerBroken { path: PathBuf, source: ChainBreak },
    /// A line of the ledger cannot be read.
    #[error("trust the ledger: line {line} is not an entry: {}", path.display())]
    LedgerLine { path: PathBuf, line: usize, source: serde_json::Error },
    /// Sealed entries are gone from the end of the ledger.
    #[error(
        "trust the ledger: {sealed} entries were sealed and {found} are there, the last ones were removed: {}",
        path.display()
    )]
    LedgerCut { path: PathBuf, sealed: u64, found: u64 },
    /// The record of how many entries were sealed is gone.
    #[error("trust the ledger: the record of its last entry was removed: {}", path.display())]
    NoLedgerHead { path: PathBuf },
    /// What is asked for needs a file system, and the store lies on an object store.
    #[error("{action}: a store on an object store is only read: {url}")]
    OnlyRead { action: &'static str, url: String },
    /// This Ontogeny cannot reach object stores.
    #[error("open the store: this Ontogeny was built without object stores: {url}")]
    NoObjectStores { url: String },
    /// The URL of an object store cannot be understood.
    #[error("understand the URL of an object store: {why}: {url}")]
    BadUrl { url: String, why: String },
    /// There is no such bucket or container.
    #[error("{action}: there is no such bucket or container: {url}")]
    NoBucket { action: &'static str, url: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// The object store wants credentials, or others.
    #[error("{action}: the object store refuses these credentials, or has found none: {url}")]
    Credentials {
        action: &'static str,
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object store cannot be reached, or cannot do what was asked, after several attempts.
    #[error("{action}: {url}")]
    Remote { action: &'static str, url: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// What would be pushed is not a continuation of what is there.
    #[error("push: {what} there is not the one that is here: {url}")]
    Diverged { what: String, url: String },
    /// A file was changed while it was being pushed.
    #[error("push: the file was changed meanwhile, push again: {}", path.display())]
    Changed { path: PathBuf },
    /// A value cannot be written as JSON (which has no NaN) or Parquet.
    #[error("encode a value so that it can be read back, is it finite?: {}", path.display())]
    Encode { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
}

/// How a file differs from what was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum Damage {
    /// Text that is not the JSON it should be.
    #[error("bad JSON at line {line}, column {column} ({source}); restore the file from a copy")]
    Json { line: usize, column: usize, source: serde_json::Error },
    /// A checksum does not match.
    #[error("its checksum does not match its content, bytes were changed; restore it from a copy")]
    Checksum,
    /// A figure or report is not as it was drawn.
    #[error("it is not as it was drawn, or its line in files.b3 was changed; draw it again")]
    Drawing,
    /// The file with the checksum is missing.
    #[error("the checksum file beside it is missing")]
    NoChecksum,
    /// A frame in the acknowledged part of a log is not as it was written.
    #[error(
        "the log is damaged at byte {at_byte}, before its acknowledged end at {acked_bytes}; restore it from a copy"
    )]
    Log { at_byte: u64, acked_bytes: u64 },
    /// The file does not begin as a log of this kind.
    #[error("it is not a log of this run")]
    LogHeader,
    /// A number in the sequence of segments has no file.
    #[error("segment {number} is missing")]
    MissingSegment { number: u32 },
    /// The Parquet layer refuses the file.
    #[error("not a readable Parquet file ({source})")]
    Parquet { source: parquet::errors::ParquetError },
    /// A column is absent or has another type.
    #[error("column {column} is missing or of another type")]
    Column { column: &'static str },
    /// A chunk that a checkpoint needs is not in the store.
    #[error("chunk {chunk} is missing, copy it from another store that has it")]
    MissingChunk { chunk: String },
    /// A chunk is shorter than the part a checkpoint takes from it, or cannot be decoded.
    #[error("chunk {chunk} cannot be decoded")]
    Chunk { chunk: String },
    /// Objects that are differences go on for too long, in a circle, or are of different lengths.
    #[error("its chain of differences has no end; restore the objects from a copy")]
    Chain,
    /// What is wrong is with an object against which another is stored.
    #[error("{damage} (chunk {chunk} is stored as a difference against it)")]
    Base { chunk: String, damage: Box<Self> },
    /// A shape does not fit the number of bytes.
    #[error("tensor {tensor} has {found} bytes and its shape needs {expected}")]
    Shape { tensor: String, found: u64, expected: u64 },
    /// The index of a segment cannot be used. It is made from the segment, which has all of the data.
    #[error(
        "the index of the segment is not as it was written; nothing is lost, `ontogeny store repair` makes it anew"
    )]
    Index,
    /// A segment that should have an index has none.
    #[error(
        "the index of the segment is missing; nothing is lost, `ontogeny store repair` makes it anew"
    )]
    MissingIndex,
    /// The copies of manifests cannot be used. Every listing makes do without them.
    #[error(
        "the index of runs is not as it was written; nothing is lost, `ontogeny store repair` removes it"
    )]
    RunsIndex,
    /// The content belongs under another name.
    #[error("it says that it belongs to {found}")]
    Misplaced { found: String },
}

impl StoreError {
    /// The file or folder that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::NoStore { path }
            | Self::NotAStore { path }
            | Self::Newer { path, .. }
            | Self::ReadOnly { path, .. }
            | Self::Full { path, .. }
            | Self::Io { path, .. }
            | Self::RunExists { path, .. }
            | Self::UnknownRun { path, .. }
            | Self::Locked { path, .. }
            | Self::Damaged { path, .. }
            | Self::DamagedFile { path, .. }
            | Self::Poisoned { path, .. }
            | Self::LedgerBroken { path, .. }
            | Self::LedgerLine { path, .. }
            | Self::LedgerCut { path, .. }
            | Self::NoLedgerHead { path }
            | Self::Changed { path }
            | Self::Encode { path, .. } => Some(path),
            Self::UnitChanged { .. }
            | Self::NoCheckpoint { .. }
            | Self::UnknownZoom { .. }
            | Self::OnlyRead { .. }
            | Self::BadUrl { .. }
            | Self::NoObjectStores { .. }
            | Self::NoBucket { .. }
            | Self::Credentials { .. }
            | Self::Remote { .. }
            | Self::Diverged { .. } => None,
        }
    }

    /// Names an I/O failure by what the person can do about it.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = mounts::shown(path);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Puts the run to a damaged file, so that a listing can say whose it is.
    pub(crate) fn of_run(self, run: &RunId) -> Self {
        match self {
            Self::DamagedFile { path, damage } => Self::Damaged { run: run.clone(), path, damage },
            other => other,
        }
    }

    /// A damaged file that belongs to no run, or whose run the caller adds.
    pub(crate) fn damaged(path: &Path, damage: Damage) -> Self {
        Self::DamagedFile { path: mounts::shown(path), damage: Box::new(damage) }
    }

    /// Says which chunk needed the object that is damaged.
    pub(crate) fn of_base(self, chunk: &str) -> Self {
        match self {
            Self::DamagedFile { path, damage } => {
                Self::damaged(&path, Damage::Base { chunk: chunk.to_owned(), damage })
            }
            other => other,
        }
    }

    /// Bad JSON with its place.
    pub(crate) fn json(path: &Path, source: serde_json::Error) -> Self {
        let (line, column) = (source.line(), source.column());
        Self::damaged(path, Damage::Json { line, column, source })
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || ": there is none of that name".to_owned(),
        |n| format!(": there is none of that name, did you mean `{n}`?"),
    )
}

fn neighbours(before: Option<Step>, after: Option<Step>) -> String {
    match (before, after) {
        (Some(b), Some(a)) => format!("there is none, the nearest are at {b} and {a}"),
        (Some(b), None) => format!("there is none, the last is at {b}"),
        (None, Some(a)) => format!("there is none, the first is at {a}"),
        (None, None) => "the run has none".to_owned(),
    }
}
