//! Checkpoints that are cut into several files, with or without an index that says which tensor lies where.

use super::flaw::{Fault, Flaw};
use super::gathered::clipped;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of an index.
pub(crate) const MAX_INDEX: u64 = 64 << 20;

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`: names of tensors, and their files.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index and checks that its files lie beside it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let index: Self = serde_json::from_slice(bytes)
            .map_err(|error| Fault::new("the index", Flaw::Json { error }))?;
        for file in index.weight_map.values() {
            if file.is_empty() || file.contains(['/', '\\', '\0', ':']) || file.starts_with('.') {
                return Err(Fault::new(format!("shard `{}`", clipped(file)), Flaw::Escapes));
            }
        }
        Ok(index)
    }

    /// The files, sorted.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Checks that a tensor that was found in `shard` should be there.
    pub(crate) fn check(&self, tensor: &str, shard: &str) -> Result<(), Fault> {
        let found = shard.to_owned();
        let flaw = match self.weight_map.get(tensor) {
            Some(expected) if expected == shard => return Ok(()),
            Some(expected) => Flaw::WrongShard { found, expected: expected.clone() },
            None => Flaw::NotIndexed { found },
        };
        Err(Fault::new(format!("tensor `{}`", clipped(tensor)), flaw))
    }

    /// Checks that everything the index names was found.
    pub(crate) fn check_all(&self, found: &BTreeSet<String>) -> Result<(), Fault> {
        match self.weight_map.iter().find(|(name, _)| !found.contains(*name)) {
            None => Ok(()),
            Some((name, expected)) => {
                let expected = expected.clone();
                Err(Fault::new(
                    format!("tensor `{}`", clipped(name)),
                    Flaw::NotInShard { expected },
                ))
            }
        }
    }
}

/// `model-00002-of-00007`: what is before the numbers, and the numbers.
pub(crate) fn numbered(stem: &str) -> Option<(&str, u64, u64)> {
    let (rest, of) = stem.rsplit_once("-of-")?;
    let (name, number) = rest.rsplit_once('-')?;
    let is_number = |s: &str| (1..=9).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    if !is_number(of) || !is_number(number) {
        return None;
    }
    Some((name, number.parse().ok()?, of.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_known_by_their_numbers() {
        assert_eq!(numbered("model-00002-of-00007"), Some(("model", 2, 7)));
        assert_eq!(numbered("a-b-1-of-2"), Some(("a-b", 1, 2)));
        for other in ["model", "model-of-3", "model-1-of-x", "best-of-5"] {
            assert_eq!(numbered(other), None, "{other}");
        }
    }
}
