//! The formats, one file or folder each, and the table of them.

mod csv;
mod hf_trainer;
mod jsonl;
mod lm_eval;
mod step_key;
mod table;
mod text;
mod tfevents;
mod tidy;
mod wandb;

pub(crate) use tfevents::frame::put as put_record;
pub(crate) use tfevents::tensor::dtype;

use crate::recorder::Recorder;
use crate::walk::Unit;
use crate::{ImportError, Input, Options};

/// Bytes of a file that are looked at to recognise its format.
const HEAD: usize = 1 << 16;

/// Every format. The first that recognises a file has it, so the surest come first.
static FORMATS: &[&dyn Format] = &[
    &tfevents::TfEvents,
    &wandb::Wandb,
    &hf_trainer::HfTrainer,
    &lm_eval::LmEval,
    &jsonl::Jsonl,
    &table::Table,
    &tidy::Tidy,
    &csv::Csv,
    &text::Text,
];

/// Which files are one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Each file by itself.
    File,
    /// The files of one folder.
    Folder,
    /// All files that were found below the folder that was named.
    All,
}

/// A format that can be read.
pub trait Format: Sync + std::fmt::Debug {
    /// Its name: a word for `--format`, and the `format` of reports and manifests. Stable once released.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn summary(&self) -> &'static str;

    /// Which files are one unit.
    fn grouping(&self) -> Grouping {
        Grouping::File
    }

    /// Whether a file that begins like this is in this format.
    fn recognises(&self, head: &Head, options: &Options) -> bool;

    /// Reads a unit, handing on readings in the order in which they were written.
    ///
    /// # Errors
    /// The first mistake that the recorder does not pass over.
    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError>;
}

/// The beginning of a file, by which its format is recognised.
#[derive(Debug, Clone)]
pub struct Head {
    /// The file's name without `.gz`.
    pub name: String,
    /// Its first 64 KiB, unpacked.
    pub bytes: Vec<u8>,
    /// Whether that is all of it.
    pub is_whole: bool,
    /// The columns, if it is a Parquet file: they are named at its end.
    pub columns: Option<Vec<String>>,
}

impl Head {
    /// Reads it.
    ///
    /// # Errors
    /// If the file cannot be read at all; a damaged gzip stream only ends the head.
    pub fn of(input: &Input) -> Result<Self, ImportError> {
        let mut source = input.open("file")?;
        match source.peek(HEAD) {
            Ok(_) | Err(ImportError::Record { .. }) => {}
            Err(e) => return Err(e),
        }
        let bytes = source.window();
        let is_whole = bytes.len() < HEAD;
        let bytes = bytes[..bytes.len().min(HEAD)].to_vec();
        let columns = bytes.starts_with(tidy::PARQUET).then(|| tidy::parquet_columns(input));
        Ok(Self { name: input.file_name(), bytes, is_whole, columns: columns.flatten() })
    }

    /// Whole lines, as long as they are text; the last one only if the file ends there.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        let end = match memchr::memrchr(b'\n', &self.bytes) {
            Some(i) if !self.is_whole => i,
            _ => self.bytes.len(),
        };
        let lines = self.bytes[..end].split(|&b| b == b'\n');
        lines.map_while(|l| std::str::from_utf8(l).ok()).map(|l| l.trim_end_matches('\r'))
    }

    /// Whether this can be text at all.
    pub(crate) fn is_text(&self) -> bool {
        !self.bytes.is_empty() && !self.bytes.contains(&0)
    }
}

/// Every format, in the order in which they are tried.
pub fn formats() -> &'static [&'static dyn Format] {
    FORMATS
}

/// The names of the formats.
pub fn format_names() -> Vec<&'static str> {
    FORMATS.iter().map(|f| f.name()).collect()
}

/// The format of this name.
///
/// # Errors
/// [`ImportError::UnknownFormat`].
pub fn format_named(name: &str) -> Result<&'static dyn Format, ImportError> {
    let found = FORMATS.iter().copied().find(|f| f.name() == name);
    found.ok_or_else(|| ImportError::UnknownFormat { name: name.to_owned() })
}

/// The format of a file: the one that the user names, or the first that recognises it.
pub(crate) fn recognise(head: &Head, options: &Options) -> Option<&'static dyn Format> {
    options.format.or_else(|| FORMATS.iter().copied().find(|f| f.recognises(head, options)))
}
