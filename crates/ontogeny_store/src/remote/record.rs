//! What was pushed into a folder: `pushed.json` in it.
//!
//! Files that are replaced whole may have another content at the same length, and the tags of object stores are not
//! hashes. So each push writes down the hash of what it has put, and the tag that this was given. A file is left alone
//! if its hash is still this one, and its tag there too: nobody has put anything else in its place.

use super::{Remote, Seen, plain_tag};
use crate::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(super) const FILE: &str = "pushed.json";
const FORMAT_VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format_version: u32,
    /// What tells the run from another of the same name.
    created_unix_secs: Option<f64>,
    /// By path in the folder: BLAKE3 and tag.
    files: BTreeMap<String, (String, String)>,
}

/// A folder to which files are pushed.
#[derive(Debug)]
pub(super) struct Target<'a> {
    remote: &'a Remote,
    rel: String,
    there: BTreeMap<String, Seen>,
    record: Record,
    /// Files that are here, whether or not they had to be put.
    kept: BTreeSet<String>,
    is_changed: bool,
    is_dry: bool,
}

/// What putting a file has taken.
pub(super) type Sent = Option<u64>;

impl<'a> Target<'a> {
    /// Looks at what is there. `created` is when the run was made, if it is one.
    pub(super) async fn open(
        remote: &'a Remote,
        rel: String,
        created: Option<f64>,
        is_dry: bool,
    ) -> Result<Self, StoreError> {
        let there = remote.list(&rel).await?;
        let mut target = Self {
            remote,
            rel,
            record: Record {
                format_version: FORMAT_VERSION,
                created_unix_secs: created,
                files: BTreeMap::new(),
            },
            kept: BTreeSet::new(),
            is_changed: false,
            is_dry,
            there,
        };
        if target.there.contains_key(FILE) {
            let path = target.path(FILE);
            let bytes = remote.get_all(&path).await?.unwrap_or_default();
            let url = || PathBuf::from(remote.url_of(&path));
            let found: Record =
                serde_json::from_slice(&bytes).map_err(|e| StoreError::json(&url(), e))?;
            if found.format_version > FORMAT_VERSION {
                let (found, supported) = (found.format_version, FORMAT_VERSION);
                return Err(StoreError::Newer { path: url(), found, supported });
            }
            if found.created_unix_secs.map(f64::to_bits) != created.map(f64::to_bits) {
                let what = "the run of this name".to_owned();
                return Err(StoreError::Diverged { what, url: remote.url_of(&target.rel) });
            }
            target.record = found;
        } else if created.is_some() {
            // From the beginning it is said whose segments these are: they are told by their names alone.
            if !target.there.is_empty() {
                let what = "the run of this name, which was not pushed from a store,".to_owned();
                return Err(StoreError::Diverged { what, url: remote.url_of(&target.rel) });
            }
            target.is_changed = true;
            target.save().await?;
        }
        Ok(target)
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.rel)
    }

    /// Whether a file there is the one that was put last, with this content.
    pub(super) fn has(&self, name: &str, hash: &str) -> bool {
        let (there, put) = (self.there.get(name), self.record.files.get(name));
        there.zip(put).is_some_and(|(t, (h, tag))| h == hash && !tag.is_empty() && t.etag == *tag)
    }

    /// The length of a file there.
    pub(super) fn n_bytes(&self, name: &str) -> Option<u64> {
        self.there.get(name).map(|seen| seen.n_bytes)
    }

    /// Remembers that a file is here.
    pub(super) fn keep(&mut self, name: &str) {
        self.kept.insert(name.to_owned());
    }

    /// Puts a file if another content is there, or none; says how many bytes that took.
    pub(super) async fn put(&mut self, name: &str, bytes: Vec<u8>) -> Result<Sent, StoreError> {
        self.keep(name);
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if self.has(name, &hash) {
            return Ok(None);
        }
        let n_bytes = bytes.len() as u64;
        if !self.is_dry {
            let etag = plain_tag(Some(&self.remote.put(&self.path(name), bytes).await?));
            self.note(name, n_bytes, hash, etag);
        }
        Ok(Some(n_bytes))
    }

    /// Remembers what was put.
    pub(super) fn note(&mut self, name: &str, n_bytes: u64, hash: String, etag: String) {
        self.there.insert(name.to_owned(), Seen { n_bytes, etag: etag.clone() });
        self.record.files.insert(name.to_owned(), (hash, etag));
        self.is_changed = true;
    }

    /// Writes down what was put since the last time.
    pub(super) async fn save(&mut self) -> Result<(), StoreError> {
        if !self.is_changed || self.is_dry {
            return Ok(());
        }
        let path = self.path(FILE);
        let bytes = serde_json::to_vec(&self.record).map_err(|e| StoreError::Encode {
            path: self.remote.url_of(&path).into(),
            source: Box::new(e),
        })?;
        self.remote.put(&path, bytes).await?;
        self.is_changed = false;
        Ok(())
    }

    /// Files that are there and no longer here, manifests of zooms first: what they name goes out of sight with them.
    pub(super) fn stale(&self) -> Vec<String> {
        let mut stale: Vec<String> = self.there.keys().filter(|n| *n != FILE).cloned().collect();
        stale.retain(|n| !self.kept.contains(n));
        stale.sort_by_key(|n| !n.ends_with("/manifest.json"));
        stale
    }

    /// Removes a file there.
    pub(super) async fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.remote.delete(&self.path(name)).await?;
        self.there.remove(name);
        self.is_changed |= self.record.files.remove(name).is_some();
        Ok(())
    }
}
