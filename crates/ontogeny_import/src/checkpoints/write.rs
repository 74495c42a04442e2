//! Writing safetensors: a file is there whole or not at all.

use super::dtype::{Kind, safetensors_name};
use crate::ImportError;
use crate::export::Draft;
use ontogeny_core::Dtype;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A tensor to be written.
#[derive(Debug, Clone, Copy)]
pub struct OutTensor<'a> {
    /// Unique in the file.
    pub name: &'a str,
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Lengths of the axes, row-major.
    pub shape: &'a [usize],
    /// The numbers, little-endian.
    pub bytes: &'a [u8],
    /// What the numbers were before they were kept as bytes: a safetensors name, as the importer remembers it.
    pub was: Option<&'a str>,
}

/// Writes a safetensors file. Tensors with wide numbers come first, so that all are aligned.
///
/// # Errors
/// If it cannot be written; then there is nothing, or what was there before.
///
/// # Panics
/// If two tensors have one name.
pub fn write_safetensors(
    path: &Path,
    tensors: &[OutTensor<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<PathBuf, ImportError> {
    let mut sorted: Vec<(&OutTensor<'_>, String, Vec<usize>)> = tensors
        .iter()
        .map(|t| {
            let (dtype, shape) = told(t);
            (t, dtype, shape)
        })
        .collect();
    sorted.sort_by_key(|(t, ..)| (std::cmp::Reverse(t.dtype.size_bytes()), t.name));
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut at = 0;
    for (t, dtype, shape) in &sorted {
        let to = at + t.bytes.len();
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, to] });
        let before = header.insert(t.name.to_owned(), entry);
        assert!(before.is_none(), "two tensors called {} were given", t.name);
        at = to;
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let (draft, mut out) = Draft::new(path.to_path_buf())?;
    let written = (|| {
        out.write_all(&(text.len() as u64).to_le_bytes())?;
        out.write_all(&text)?;
        sorted.iter().try_for_each(|(t, ..)| out.write_all(t.bytes))
    })();
    written.map_err(|e| draft.failed(e))?;
    draft.place(out)
}

/// Type and shape as they are written. What was kept as bytes becomes what it was, where safetensors has a name for that.
fn told(t: &OutTensor<'_>) -> (String, Vec<usize>) {
    let plain = (safetensors_name(t.dtype).to_owned(), t.shape.to_vec());
    let known = ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"];
    let Some(was) = t.was.filter(|was| t.dtype == Dtype::U8 && known.contains(was)) else {
        return plain;
    };
    match (Kind::of_safetensors(was).map(|k| k.size_bytes), t.shape.split_last()) {
        (Some(1), _) => (was.to_owned(), t.shape.to_vec()),
        (Some(size), Some((&last, shape))) if last == size => (was.to_owned(), shape.to_vec()),
        _ => plain,
    }
}
