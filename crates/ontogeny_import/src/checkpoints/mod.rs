//! Checkpoints that others wrote: safetensors, PyTorch's zip files, arrays of numpy; read as data, never run.
//!
//! [`find_checkpoints`] walks paths, recognises files by their content, tells steps from their names and puts the files
//! of a step together; [`read_checkpoint`] reads one step. Memory is bounded by one checkpoint.
//!
//! # Names
//!
//! Nested dicts and lists become names with slashes, `optimizer/state/0/exp_avg`; what is no tensor becomes JSON of the
//! same structure in [`ForeignCheckpoint::extra`]. Where a step has several files, names begin with what each is.
//! Tensors are sorted by name, so one state has one hash, in whatever format it came.
//!
//! # Foreign bytes
//!
//! Pickles are described and never executed: what a few well-known names mean is known here, all others are told and left
//! out. Lengths, offsets, shapes and strides are checked before memory is set aside; tensors may repeat bytes of
//! their file only up to a bound; nothing is unpacked to disk.

mod dtype;
mod file;
mod find;
mod flaw;
mod gathered;
mod numpy;
mod pickle;
mod safetensors;
mod shards;
mod steps;
mod strided;
mod torch;
mod write;
mod zip;

pub use find::{FoundCheckpoints, Part, StepFiles, find_checkpoints};
pub use flaw::Flaw;
pub use gathered::ForeignTensor;
pub use ontogeny_core::Dtype;
pub use steps::Counts;
pub use write::{OutTensor, write_safetensors};

use crate::input::Fingerprint;
use crate::{ImportError, Input};
use file::RandomFile;
use flaw::Fault;
use gathered::Gathered;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Debug;

/// Bytes of a file that are looked at to recognise it, beside the directory of an archive.
const HEAD: u64 = 64;

/// Every format. The first that recognises a file has it.
static FORMATS: &[&dyn CheckpointFormat] =
    &[&safetensors::Safetensors, &torch::Torch, &torch::LegacyTorch, &numpy::Npz, &numpy::Npy];

/// A format of checkpoints that can be read.
#[expect(private_interfaces, reason = "readers are of this crate only")]
pub trait CheckpointFormat: Sync + Debug {
    /// Its name, as manifests keep it. Stable once released.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn summary(&self) -> &'static str;

    /// Whether a file that looks like this is in this format.
    #[doc(hidden)]
    fn recognises(&self, glimpse: &Glimpse) -> bool;

    /// Reads a file.
    #[doc(hidden)]
    fn read(&self, file: &mut RandomFile<'_>, out: &mut Gathered) -> Result<(), Fault>;
}

/// What a file is recognised by.
#[derive(Debug)]
pub(crate) struct Glimpse {
    /// Its first bytes.
    head: Vec<u8>,
    /// The files in it, if it is a zip archive; only the first one if its directory is damaged.
    members: Vec<String>,
}

impl Glimpse {
    fn of(input: &Input) -> Result<Self, ImportError> {
        let mut file = RandomFile::open(input)?;
        let n = HEAD.min(file.n_bytes());
        let fail = |fault: Fault| fault.of("file", input.path());
        let head = file.read(0, n, || "the beginning".to_owned()).map_err(fail)?;
        let mut members = Vec::new();
        if head.starts_with(b"PK\x03\x04") {
            match zip::Archive::open(&mut file) {
                Ok(archive) => members.extend(archive.names().map(str::to_owned)),
                // Whoever reads it will say what is wrong.
                Err(Fault::Flawed { .. }) => {
                    let n =
                        head.get(26..28).map_or(0, |n| usize::from(n[0]) | usize::from(n[1]) << 8);
                    let name =
                        head.get(30..30 + n).map(|n| String::from_utf8_lossy(n).into_owned());
                    members.extend(name);
                }
                Err(Fault::Import(e)) => return Err(e),
            }
        }
        Ok(Self { head, members })
    }
}

fn recognise(glimpse: &Glimpse) -> Option<&'static dyn CheckpointFormat> {
    FORMATS.iter().copied().find(|f| f.recognises(glimpse))
}

/// Every format of checkpoints, in the order in which they are tried.
pub fn checkpoint_formats() -> &'static [&'static dyn CheckpointFormat] {
    FORMATS
}

/// A checkpoint that others wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignCheckpoint {
    /// The number that its names tell.
    pub step: u64,
    /// The tensors, sorted by name.
    pub tensors: Vec<ForeignTensor>,
    /// What was beside them, `{"values": {...}, "dtypes": {...}}`: numbers and texts by their names, and the safetensors
    /// types of tensors that are kept as bytes. Empty entries are left out.
    pub extra: Map<String, Value>,
    /// The formats, joined by `+`.
    pub format: String,
    /// Path, size and hash of every file, in the order of reading.
    pub files: Vec<(String, Fingerprint)>,
    /// What was not read, and why; the first hundred.
    pub skipped: Vec<String>,
    /// How much was not read.
    pub n_skipped: usize,
}

/// Reads the checkpoint of a step.
///
/// # Errors
/// [`ImportError::Checkpoint`] with file and place for what is damaged, cannot be kept, or holds no tensor.
pub fn read_checkpoint(step: &StepFiles) -> Result<ForeignCheckpoint, ImportError> {
    let mut out = Gathered::default();
    let (mut files, mut formats) = (Vec::new(), BTreeSet::new());
    for part in &step.parts {
        formats.insert(part.format.name());
        let from = out.tensors.len();
        if let Some((input, _)) = &part.index {
            files.push((input.path().display().to_string(), input.fingerprint()?));
        }
        for input in &part.files {
            read_file(part, input, &mut out)?;
            files.push((input.path().display().to_string(), input.fingerprint()?));
        }
        if let Some((input, index)) = &part.index {
            let bare = |t: &'_ ForeignTensor| t.name[label_len(part)..].to_owned();
            let found: BTreeSet<String> = out.tensors[from..].iter().map(bare).collect();
            index.check_all(&found).map_err(|f| f.of("index", input.path()))?;
        }
    }
    if out.tensors.is_empty() {
        let skipped = out.skipped.first().map(|s| format!("; {s}")).unwrap_or_default();
        let first = step.parts.first();
        let path = first.and_then(|p| p.files.first()).map(|f| f.path().to_path_buf());
        let fault = Fault::new("the content", Flaw::NoTensors { skipped });
        let format = first.map_or("checkpoint", |p| p.format.name());
        return Err(fault.of(format, &path.unwrap_or_default()));
    }
    out.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut extra = Map::new();
    for (key, values) in [("values", out.values), ("dtypes", out.dtypes)] {
        if !values.is_empty() {
            extra.insert(key.to_owned(), json!(values));
        }
    }
    Ok(ForeignCheckpoint {
        step: step.step,
        tensors: out.tensors,
        extra,
        format: formats.into_iter().collect::<Vec<_>>().join("+"),
        files,
        skipped: out.skipped,
        n_skipped: out.n_skipped,
    })
}

/// Bytes of a part's label in names, with the slash.
fn label_len(part: &Part) -> usize {
    if part.label.is_empty() { 0 } else { part.label.len() + 1 }
}

fn read_file(part: &Part, input: &Input, out: &mut Gathered) -> Result<(), ImportError> {
    let from = out.tensors.len();
    let mut file = RandomFile::open(input)?;
    out.begin(&part.label, file.n_bytes());
    // Shards may be in another format than the first of them.
    let format = if part.files.len() > 1 {
        let glimpse = Glimpse::of(file.input())?;
        recognise(&glimpse)
            .ok_or_else(|| ImportError::NoCheckpoint { path: input.path().to_path_buf() })?
    } else {
        part.format
    };
    let fail = |fault: Fault| fault.of(format.name(), input.path());
    format.read(&mut file, out).map_err(fail)?;
    if let Some((_, index)) = &part.index {
        let shard = input.path().file_name().map(|n| n.to_string_lossy().into_owned());
        let shard = shard.unwrap_or_default();
        for tensor in &out.tensors[from..] {
            index.check(&tensor.name[label_len(part)..], &shard).map_err(fail)?;
        }
    }
    Ok(())
}

/// The checkpoint that one file is by itself, at step 0: for files whose name does not matter.
///
/// # Errors
/// [`ImportError::NoCheckpoint`] if no format recognises it; as [`read_checkpoint`].
pub fn read_checkpoint_file(input: Input) -> Result<ForeignCheckpoint, ImportError> {
    let format = recognise(&Glimpse::of(&input)?)
        .ok_or_else(|| ImportError::NoCheckpoint { path: input.path().to_path_buf() })?;
    let part = Part { label: String::new(), format, files: vec![input], index: None };
    read_checkpoint(&StepFiles { step: 0, parts: vec![part] })
}

/// Reads bytes as an index of shards, for who fuzzes it.
///
/// # Errors
/// [`ImportError::Checkpoint`].
#[doc(hidden)]
pub fn parse_index(input: &Input, bytes: &[u8]) -> Result<usize, ImportError> {
    let index = shards::Index::parse(bytes).map_err(|f| f.of("index", input.path()))?;
    Ok(index.shards().len())
}
