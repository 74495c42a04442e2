//! What can be wrong with a checkpoint that others wrote.

use crate::ImportError;
use std::path::Path;

/// What is wrong with a part of a checkpoint file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum Flaw {
    /// The file ends too early.
    #[error("it needs bytes {from} to {to} of a file of {n_bytes}; the file was cut off")]
    Truncated { from: u64, to: u64, n_bytes: u64 },
    /// A length that no sound file has.
    #[error("it claims {claimed} bytes where at most {limit} are possible")]
    Length { claimed: u64, limit: u64 },
    /// Text that is not the JSON it should be.
    #[error("bad JSON ({error})")]
    Json { error: serde_json::Error },
    /// Something else is expected there.
    #[error("expected {what}")]
    Expected { what: &'static str },
    /// Something else is expected there, and this was found.
    #[error("expected {what}, found `{found}`")]
    Found { what: &'static str, found: String },
    /// A name that is there twice.
    #[error("the name is there twice")]
    Twice,
    /// Bytes of tensors overlap, or leave some over.
    #[error(
        "its bytes begin at {found} and should begin at {expected}: tensors overlap or leave a hole"
    )]
    Offsets { found: u64, expected: u64 },
    /// Bytes that belong to nothing.
    #[error("{n_bytes} bytes belong to no tensor")]
    LeftOver { n_bytes: u64 },
    /// A shape does not fit the bytes.
    #[error("shape [{shape}] of {dtype} needs {needs} bytes and there are {has}")]
    Size { shape: String, dtype: String, needs: u64, has: u64 },
    /// A shape whose size is beyond all numbers.
    #[error("shape [{shape}] is larger than memory can be")]
    Huge { shape: String },
    /// A type of numbers that cannot be kept.
    #[error("numbers of type {dtype} cannot be kept")]
    Dtype { dtype: String },
    /// A view that reaches outside its storage.
    #[error(
        "offset {offset}, shape [{shape}] and strides [{strides}] reach outside a storage of {n} values"
    )]
    View { offset: String, shape: String, strides: String, n: u64 },
    /// More bytes than the file accounts for.
    #[error(
        "the tensors take more than {limit} bytes, far more than the file has: it repeats or expands \
        the same bytes; save copies of its tensors if you trust it"
    )]
    Bomb { limit: u64 },
    /// A checksum does not match.
    #[error("its checksum does not match, bytes were changed or lost")]
    Checksum,
    /// A compression that checkpoints do not have.
    #[error("it is packed with method {method}; unpack and pack it again without compression")]
    Compression { method: u16 },
    /// A name that leads out of the archive.
    #[error("the name leaves its folder")]
    Escapes,
    /// Bytes of a big-endian machine.
    #[error("it was written by a big-endian machine; save it again on a little-endian one")]
    BigEndian,
    /// The format of PyTorch before 1.6.
    #[error(
        "it has the format of PyTorch before 1.6; load it there with \
        `torch.load(path, map_location=\"cpu\", weights_only=True)` and save it again with `torch.save`"
    )]
    Legacy,
    /// A byte that is no instruction, or one that is refused.
    #[error("instruction 0x{code:02x} is not one that tensors are saved with")]
    Opcode { code: u8 },
    /// Instructions that do not fit together.
    #[error("the instructions do not fit together")]
    Stack,
    /// Nested too deeply.
    #[error("it is nested more than {limit} levels deep")]
    Deep { limit: usize },
    /// Too much of something.
    #[error("more than {limit} {what}: not a checkpoint")]
    TooMany { what: &'static str, limit: usize },
    /// A shard that is not there.
    #[error("shard {shard} is missing; all shards must lie beside one another")]
    MissingShard { shard: String },
    /// A tensor in another shard than the index says.
    #[error("it lies in {found} and the index says {expected}")]
    WrongShard { found: String, expected: String },
    /// A tensor that the index does not name.
    #[error("it lies in {found} and the index does not name it")]
    NotIndexed { found: String },
    /// A tensor that the index names and no shard has.
    #[error("the index says that it lies in {expected}, and it does not")]
    NotInShard { expected: String },
    /// No tensor was found.
    #[error("it holds no tensor{skipped}")]
    NoTensors { skipped: String },
}

/// A flaw with its place, before it is known in which file, or another failure.
#[derive(Debug)]
pub(crate) enum Fault {
    Flawed { place: String, flaw: Flaw },
    Import(ImportError),
}

impl Fault {
    pub(crate) fn new(place: impl Into<String>, flaw: Flaw) -> Self {
        Self::Flawed { place: place.into(), flaw }
    }

    /// The error, now that format and file are known.
    pub(crate) fn of(self, format: &'static str, path: &Path) -> ImportError {
        match self {
            Self::Flawed { place, flaw } => ImportError::Checkpoint {
                format,
                path: path.to_path_buf(),
                place,
                flaw: Box::new(flaw),
            },
            Self::Import(e) => e,
        }
    }
}

impl From<ImportError> for Fault {
    fn from(e: ImportError) -> Self {
        Self::Import(e)
    }
}

/// Numbers with commas.
pub(crate) fn list<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
