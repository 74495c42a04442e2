//! Safetensors: a length, a JSON header, and the bytes of the tensors one after the other.
//!
//! Source: <https://huggingface.co/docs/safetensors>. Every byte of the data belongs to exactly one tensor.

use super::dtype::Kind;
use super::file::RandomFile;
use super::flaw::{Fault, Flaw, list};
use super::gathered::{Gathered, clipped, n_bytes};
use super::{CheckpointFormat, Glimpse};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Longest header; the reference implementation has the same limit.
const MAX_HEADER: u64 = 100_000_000;

/// The format.
#[derive(Debug)]
pub(crate) struct Safetensors;

/// What the header says of a tensor.
#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header in its order, so that names that come twice are seen.
#[derive(Debug, Default)]
struct Header {
    entries: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with a tensor per key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "__metadata__" {
                        header.metadata = map.next_value()?;
                    } else {
                        header.entries.push((key, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl CheckpointFormat for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn summary(&self) -> &'static str {
        "safetensors files, also sharded ones with their index"
    }

    fn recognises(&self, glimpse: &Glimpse) -> bool {
        let Some((n, rest)) = glimpse.head.split_first_chunk::<8>() else { return false };
        let n = u64::from_le_bytes(*n);
        rest.first() == Some(&b'{') && n <= MAX_HEADER
    }

    fn read(&self, file: &mut RandomFile<'_>, out: &mut Gathered) -> Result<(), Fault> {
        let n = file.read(0, 8, || "the length of the header".to_owned())?;
        // Eight bytes were asked for.
        let n = n.first_chunk().map_or(0, |n| u64::from_le_bytes(*n));
        let place = || "the header".to_owned();
        if n > MAX_HEADER {
            let (claimed, limit) = (n, MAX_HEADER);
            return Err(Fault::new(place(), Flaw::Length { claimed, limit }));
        }
        let text = file.read(8, n, place)?;
        let header: Header = serde_json::from_slice(&text)
            .map_err(|error| Fault::new(place(), Flaw::Json { error }))?;
        let entries = checked(header.entries, 8 + n, file.n_bytes())?;
        for (name, kind, entry) in entries {
            let len = out.reserve(&name, kind, &entry.shape)?;
            let at = 8 + n + entry.data_offsets.0;
            let bytes = file.read(at, len, || format!("tensor `{}`", clipped(&name)))?;
            out.tensor(&name, kind, &entry.shape, bytes)?;
        }
        if !header.metadata.is_empty() {
            let metadata: Map<String, Value> =
                header.metadata.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
            out.value(json!({ "metadata": metadata }));
        }
        Ok(())
    }
}

/// Sorts the entries by their place and checks that they cover the bytes from `data_at`, each once.
fn checked(
    mut entries: Vec<(String, Entry)>,
    data_at: u64,
    file_bytes: u64,
) -> Result<Vec<(String, Kind, Entry)>, Fault> {
    let n_data = file_bytes - data_at;
    // Empty tensors lie before the one that begins where they do.
    entries.sort_by_key(|(_, e)| e.data_offsets);
    let (mut names, mut end, mut out) = (BTreeSet::new(), 0, Vec::new());
    for (name, entry) in entries {
        let fault = |flaw| Fault::new(format!("tensor `{}`", clipped(&name)), flaw);
        if !names.insert(name.clone()) {
            return Err(fault(Flaw::Twice));
        }
        let kind = Kind::of_safetensors(&entry.dtype)
            .ok_or_else(|| fault(Flaw::Dtype { dtype: clipped(&entry.dtype).to_owned() }))?;
        let (from, to) = entry.data_offsets;
        if from != end {
            return Err(fault(Flaw::Offsets { found: from, expected: end }));
        }
        if to > n_data {
            let (from, to) = (data_at + from, data_at.saturating_add(to));
            return Err(fault(Flaw::Truncated { from, to, n_bytes: file_bytes }));
        }
        let needs = n_bytes(kind, &entry.shape)
            .ok_or_else(|| fault(Flaw::Huge { shape: list(&entry.shape) }))?;
        let has = to.saturating_sub(from);
        if needs != has {
            let (shape, dtype) = (list(&entry.shape), entry.dtype.clone());
            return Err(fault(Flaw::Size { shape, dtype, needs, has }));
        }
        end = to;
        out.push((name, kind, entry));
    }
    if end != n_data {
        let n_bytes = n_data - end;
        return Err(Fault::new("the end", Flaw::LeftOver { n_bytes }));
    }
    Ok(out)
}
