//! What can be wrong with foreign files, and where.

use crate::checkpoints::{Flaw, checkpoint_formats};
use crate::sink::SinkError;
use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be imported or exported.
///
/// Messages are fragments that read on after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum ImportError {
    /// A record is not what its format says.
    #[error("read {format}: record {record} at byte {offset}: {problem}: {}", path.display())]
    Record {
        format: &'static str,
        path: PathBuf,
        record: u64,
        offset: u64,
        #[source]
        problem: Box<Problem>,
    },
    /// The operating system refuses.
    #[error("{action}: {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Nothing is there.
    #[error("find {}: there is no such file or folder", path.display())]
    Missing { path: PathBuf },
    /// No format recognises the content.
    #[error(
        "recognise {}: its content is in none of the known formats ({}); name one with --format, or \
        describe the lines of a log with --pattern",
        path.display(), crate::formats::format_names().join(", ")
    )]
    Unrecognised { path: PathBuf },
    /// A folder holds nothing that could be read.
    #[error("find anything to import: no file is in a known format: {}", path.display())]
    NothingThere { path: PathBuf },
    /// A link leads out of the folder that was named.
    #[error(
        "follow {}: the link leaves the folder that was named, to {}; name its target if you mean it",
        path.display(), target.display()
    )]
    LinkOutside { path: PathBuf, target: PathBuf },
    /// No format has this name.
    #[error("use format {name}: there is none of that name; there are {}", crate::formats::format_names().join(", "))]
    UnknownFormat { name: String },
    /// No format to write has this name.
    #[error("write {name}: there is no such format; there are {}", crate::export::FORMATS.join(", "))]
    UnknownExport { name: String },
    /// A rule or pattern of the user is not a regular expression.
    #[error("use {option} `{text}`: it is not a regular expression")]
    BadPattern { option: &'static str, text: String, source: Box<regex_lite::Error> },
    /// A rule or pattern lacks what it needs.
    #[error("use {option} `{text}`: {wants}")]
    PatternLacks { option: &'static str, text: String, wants: &'static str },
    /// A part of a checkpoint is not what its format says.
    #[error("read {format}: {place}: {flaw}: {}", path.display())]
    Checkpoint { format: &'static str, path: PathBuf, place: String, flaw: Box<Flaw> },
    /// Nothing at a path is a checkpoint.
    #[error(
        "find a checkpoint: no file is in a known format ({}): {}",
        checkpoint_formats().iter().map(|f| f.name()).collect::<Vec<_>>().join(", "), path.display()
    )]
    NoCheckpoint { path: PathBuf },
    /// No checkpoint tells its step.
    #[error(
        "find the step of {}: its name and folder tell none; say where it is with --step-from, e.g. 'net(\\d+)'",
        path.display()
    )]
    NoStepInName { path: PathBuf },
    /// Some names count steps and others something else.
    #[error(
        "put checkpoints in order: {} tells {counts}, {} tells {other_counts}; name those of one kind, or say \
        where the step is with --step-from",
        path.display(), other.display()
    )]
    MixedCounts { path: PathBuf, counts: &'static str, other: PathBuf, other_counts: &'static str },
    /// Two files tell one step and do not belong together.
    #[error(
        "put checkpoints in order: {} and {} both tell step {step} and do not lie together; import them as two runs",
        path.display(), other.display()
    )]
    SameStep { step: u64, path: PathBuf, other: PathBuf },
    /// The receiver of the readings failed.
    #[error("keep what was read")]
    Sink { source: SinkError },
    /// A table could not be written.
    #[error("write Parquet: {}", path.display())]
    WriteParquet { path: PathBuf, source: parquet::errors::ParquetError },
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum Problem {
    /// The file ends within a record.
    #[error("the file ends in the middle of it")]
    Truncated,
    /// A checksum does not match.
    #[error("the checksum of its {part} does not match, bytes were changed or lost")]
    Checksum { part: &'static str },
    /// A length that no sound file has.
    #[error("it claims a length of {claimed} bytes where at most {limit} are possible")]
    Length { claimed: u64, limit: u64 },
    /// Too much of something.
    #[error("more than {limit} {what}: not a training log")]
    TooMany { what: &'static str, limit: usize },
    /// Bytes that are no protocol-buffer message.
    #[error("it is not a well-formed protocol buffer")]
    Protobuf,
    /// Bytes that are no text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// A cell that should be a number.
    #[error("expected a number in `{column}`, found `{text}`")]
    NotANumber { column: String, text: String },
    /// A cell that should be a step.
    #[error("expected a step (a whole number from 0) in `{column}`, found `{text}`")]
    NotAStep { column: String, text: String },
    /// A row is longer or shorter than the header.
    #[error("expected {expected} fields as in the header, found {found}")]
    Fields { expected: usize, found: usize },
    /// A column that the format needs.
    #[error("expected a column `{column}`")]
    MissingColumn { column: String },
    /// A column twice.
    #[error("column `{column}` is there twice")]
    DoubleColumn { column: String },
    /// A run twice in the table of runs.
    #[error("run `{run}` is described twice")]
    DoubleRun { run: String },
    /// JSON that does not parse.
    #[error("bad JSON: {what}")]
    Json { what: &'static str },
    /// A JSON object or an entry without what makes it one.
    #[error("expected {what}")]
    Expected { what: &'static str },
    /// The step of an evaluation is told nowhere.
    #[error(
        "no step in the file's name, folder or model_args; say where it is with --step-from, e.g. 'step(\\d+)'"
    )]
    NoStep,
    /// A compressed file is damaged.
    #[error("the gzip stream is damaged ({source})")]
    Gzip { source: io::Error },
    /// A compressed file expands without end.
    #[error(
        "{n_in} compressed bytes expand to more than {n_out}: too much to be a log; unpack it yourself if you trust it"
    )]
    Bomb { n_in: u64, n_out: u64 },
    /// A file of another format.
    #[error("it is not a {expected} file")]
    Magic { expected: &'static str },
    /// The Parquet layer refuses the file.
    #[error("not a readable Parquet file ({source})")]
    Parquet { source: parquet::errors::ParquetError },
    /// The Parquet layer stumbled over the file.
    #[error("not a readable Parquet file: its pages contradict its schema")]
    ParquetBroken,
    /// A Parquet column of a type that cannot be meant.
    #[error(
        "column `{column}` has a type that cannot be read here; expected plain numbers or text"
    )]
    ColumnType { column: String },
}

impl ImportError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            return Self::Missing { path: path.to_path_buf() };
        }
        Self::Io { action, path: path.to_path_buf(), source }
    }

    /// Whether the user asked for something that cannot be, rather than gave a bad file.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::UnknownFormat { .. }
                | Self::UnknownExport { .. }
                | Self::BadPattern { .. }
                | Self::PatternLacks { .. }
                | Self::LinkOutside { .. }
                | Self::NoStepInName { .. }
                | Self::MixedCounts { .. }
                | Self::SameStep { .. }
        )
    }
}
