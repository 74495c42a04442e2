//! What has been read of a checkpoint so far.

use super::dtype::Kind;
use super::flaw::{Fault, Flaw, list};
use ontogeny_core::Dtype;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Tensors of a checkpoint.
const MAX_TENSORS: usize = 1_000_000;
/// Bytes of a name.
const MAX_NAME: usize = 4_096;
/// Things left out that are named one by one.
const MAX_SKIPPED: usize = 100;
/// Axes of a tensor.
const MAX_AXES: usize = 64;
/// Tensors may repeat bytes of the file (views, expanded tensors) up to this many times ...
const MAX_REPEATS: u64 = 16;
/// ... and however often as long as they are small.
const SMALL_BYTES: u64 = 256 << 20;

/// A tensor that others wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTensor {
    /// Unique in the checkpoint, e.g. `model/embed.weight`.
    pub name: String,
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Lengths of the axes, row-major.
    pub shape: Vec<usize>,
    /// The numbers, little-endian, every bit as it was.
    pub bytes: Vec<u8>,
}

/// Gathers what readers find, and keeps it within bounds.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) tensors: Vec<ForeignTensor>,
    names: BTreeSet<String>,
    /// Put before all names, with a slash.
    prefix: String,
    /// What is beside the tensors, by prefix.
    pub(crate) values: Map<String, Value>,
    /// What tensors were that are kept as bytes.
    pub(crate) dtypes: Map<String, Value>,
    pub(crate) skipped: Vec<String>,
    pub(crate) n_skipped: usize,
    /// Bytes that may still be set aside for the file that is being read.
    room: u64,
    limit: u64,
}

impl Gathered {
    /// The next part begins: names get `prefix`, and a file of `n_bytes` accounts for their size.
    pub(crate) fn begin(&mut self, prefix: &str, n_bytes: u64) {
        prefix.clone_into(&mut self.prefix);
        self.limit = SMALL_BYTES.saturating_add(n_bytes.saturating_mul(MAX_REPEATS));
        self.room = self.limit;
    }

    /// Bytes of a tensor of this shape, if they may still be set aside. To be asked before that is done.
    pub(crate) fn reserve(&mut self, name: &str, kind: Kind, shape: &[u64]) -> Result<u64, Fault> {
        let place = || format!("tensor `{}`", clipped(name));
        let huge = || Fault::new(place(), Flaw::Huge { shape: list(shape) });
        if shape.len() > MAX_AXES {
            let (what, limit) = ("axes", MAX_AXES);
            return Err(Fault::new(place(), Flaw::TooMany { what, limit }));
        }
        let n = n_bytes(kind, shape).ok_or_else(huge)?;
        self.room = (self.room.checked_sub(n))
            .ok_or_else(|| Fault::new(place(), Flaw::Bomb { limit: self.limit }))?;
        Ok(n)
    }

    /// Takes a tensor whose bytes have been reserved.
    pub(crate) fn tensor(
        &mut self,
        name: &str,
        kind: Kind,
        shape: &[u64],
        bytes: Vec<u8>,
    ) -> Result<(), Fault> {
        let name = self.named(name);
        let place = || format!("tensor `{}`", clipped(&name));
        if name.len() > MAX_NAME {
            let (claimed, limit) = (name.len() as u64, MAX_NAME as u64);
            return Err(Fault::new(place(), Flaw::Length { claimed, limit }));
        }
        if self.tensors.len() >= MAX_TENSORS {
            let (what, limit) = ("tensors", MAX_TENSORS);
            return Err(Fault::new(place(), Flaw::TooMany { what, limit }));
        }
        if !self.names.insert(name.clone()) {
            return Err(Fault::new(place(), Flaw::Twice));
        }
        // The bytes are there, so the lengths fit.
        let mut shape: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        if let Some(was) = kind.was {
            self.dtypes.insert(name.clone(), was.into());
            if kind.size_bytes > 1 {
                shape.push(kind.size_bytes);
            }
        }
        self.tensors.push(ForeignTensor { name, dtype: kind.dtype, shape, bytes });
        Ok(())
    }

    /// Keeps what is beside the tensors.
    pub(crate) fn value(&mut self, value: Value) {
        let prefix = self.prefix.clone();
        match value {
            Value::Object(fields) if prefix.is_empty() => self.values.extend(fields),
            value => {
                let key = if prefix.is_empty() { "value".to_owned() } else { prefix };
                self.values.insert(key, value);
            }
        }
    }

    /// Something that is not read; `what` reads on after its name.
    pub(crate) fn skip(&mut self, name: &str, what: &str) {
        self.n_skipped += 1;
        if self.skipped.len() < MAX_SKIPPED {
            let is_all = name.is_empty() && self.prefix.is_empty();
            let name = if is_all { "all of it".to_owned() } else { self.named(name) };
            self.skipped.push(format!("`{}`: {what}", clipped(&name)));
        }
    }

    fn named(&self, name: &str) -> String {
        match (self.prefix.as_str(), name) {
            ("", "") => "tensor".to_owned(),
            (prefix, "") => prefix.to_owned(),
            ("", name) => name.to_owned(),
            (prefix, name) => format!("{prefix}/{name}"),
        }
    }
}

/// Bytes that a tensor takes; `None` if that is beyond all numbers.
pub(crate) fn n_bytes(kind: Kind, shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    let n = shape.iter().try_fold(kind.size_bytes as u64, |n, &len| n.checked_mul(len))?;
    isize::try_from(n).is_ok().then_some(n)
}

/// A name, cut at a character boundary if it is absurdly long.
pub(crate) fn clipped(name: &str) -> &str {
    &name[..name.floor_char_boundary(200)]
}
