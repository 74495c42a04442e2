//! A folder of copies of what was read from an object store.
//!
//! Three kinds of files: *objects*, whose name is their hash, are fetched once. *Segments and lists of checkpoints* are
//! kept as long as the listing of their folder, which readers ask for anyway, shows the tag that they came with. Of
//! *anything else* the object store is asked each time whether it is still the copy's tag.
//!
//! The copies are a convenience: one that was cut short or changed is noticed and fetched again, and where there is no
//! space for them reading goes on without. Removing the folder loses nothing.

use super::{Got, N_REQUESTS, Remote, plain_tag};
use crate::chain::{self, MAX_LINKS};
use crate::chunks::ChunkId;
use crate::mounts::{self, Elsewhere};
use crate::{Damage, StoreError};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is known that a copy is still the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Listed,
    Asked,
}

/// What a copy came with.
#[derive(Debug, Serialize, Deserialize)]
struct Tag {
    etag: String,
    blake3: String,
}

#[derive(Debug)]
struct Mirror {
    remote: Remote,
    files: PathBuf,
    tags: PathBuf,
    /// Tags by path, as listings have shown them.
    listed: Mutex<BTreeMap<String, String>>,
    /// Files that were just fetched because they will be read: the next reading does not ask again.
    fresh: Mutex<BTreeSet<String>>,
    /// Files that were not there when they were last asked for.
    missing: Mutex<BTreeSet<String>>,
    /// Objects that are here with everything they are stored against.
    complete: Mutex<BTreeSet<String>>,
}

/// Makes the folder of copies below `cache`, and files in it come from there. Gives its path.
pub(super) fn mount(remote: &Remote, cache: &Path) -> Result<PathBuf, StoreError> {
    let io = |path: &Path, e| StoreError::io("create the folder of copies", path, e);
    let cache = std::path::absolute(cache).map_err(|e| io(cache, e))?;
    let key = blake3::hash(remote.inner.identity.as_bytes()).to_hex();
    let root = cache.join(&key[..16]);
    let files = root.join("files");
    fs::create_dir_all(&files).map_err(|e| io(&files, e))?;
    // For people who tidy up.
    let _ = fs::write(root.join("url.txt"), format!("{}\n", remote.url()));
    let mirror = Mirror {
        remote: remote.clone(),
        files: files.clone(),
        tags: root.join("tags"),
        listed: Mutex::default(),
        fresh: Mutex::default(),
        missing: Mutex::default(),
        complete: Mutex::default(),
    };
    mounts::mount(&files, Arc::new(mirror));
    Ok(files)
}

fn kind(rel: &str) -> Kind {
    let mut parts = rel.rsplit('/');
    let (name, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if rel.starts_with("objects/") && ChunkId::from_name(name).is_some() {
        Kind::Object
    } else if name.starts_with("seg-") || folder == "checkpoints" {
        Kind::Listed
    } else {
        Kind::Asked
    }
}

fn object(id: &ChunkId) -> String {
    format!("objects/{}/{}", id.folder(), id.as_str())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries are inserted at once, so what a panicking thread has left is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mirror {
    fn rel(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.files).unwrap_or(path);
        let parts: Vec<_> = below.iter().map(|p| p.to_string_lossy()).collect();
        parts.join("/")
    }

    /// The copy and its tag, if it is whole.
    fn copy(&self, rel: &str) -> Option<(Vec<u8>, String)> {
        let tag = fs::read(self.tags.join(rel)).ok()?;
        let tag: Tag = serde_json::from_slice(&tag).ok()?;
        let bytes = fs::read(self.files.join(rel)).ok()?;
        (blake3::hash(&bytes).to_hex().as_str() == tag.blake3).then_some((bytes, tag.etag))
    }

    /// Keeps a copy, if there is space.
    fn keep(&self, rel: &str, bytes: &[u8], etag: Option<&str>) {
        let kept = place(&self.files.join(rel), bytes);
        if let Some(etag) = etag
            && kept.is_ok()
        {
            let blake3 = blake3::hash(bytes).to_hex().to_string();
            let tag = serde_json::to_vec(&Tag { etag: etag.to_owned(), blake3 });
            let _ = tag.map(|tag| place(&self.tags.join(rel), &tag));
        }
    }

    /// The content of a file: the copy if it is known to be the file, else what is fetched now.
    async fn bring(&self, rel: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let kind = kind(rel);
        if kind == Kind::Object {
            let copy = fs::read(self.files.join(rel)).ok();
            if let Some(bytes) = copy.filter(|b| chain::bases_of(b).is_some()) {
                return Ok(Some(bytes));
            }
        }
        let copy = if kind == Kind::Object { None } else { self.copy(rel) };
        if let Some((bytes, etag)) = &copy {
            let is_listed = || locked(&self.listed).get(rel) == Some(&plain_tag(Some(etag)));
            if kind == Kind::Listed && is_listed() || locked(&self.fresh).remove(rel) {
                return Ok(Some(bytes.clone()));
            }
        }
        let tag = copy.as_ref().map(|(_, etag)| etag.as_str());
        locked(&self.missing).remove(rel);
        match self.remote.get(rel, tag, limit).await? {
            Got::Nothing => {
                locked(&self.missing).insert(rel.to_owned());
                // So that the folder of copies is of no other size than the store.
                let _ = fs::remove_file(self.files.join(rel));
                let _ = fs::remove_file(self.tags.join(rel));
                Ok(None)
            }
            Got::Same => Ok(copy.map(|(bytes, _)| bytes)),
            Got::New(bytes, _) if bytes.len() as u64 > limit => Ok(Some(bytes)),
            Got::New(bytes, etag) => {
                self.check(rel, kind, &bytes).await?;
                self.keep(rel, &bytes, etag.as_deref().filter(|_| kind != Kind::Object));
                Ok(Some(bytes))
            }
        }
    }

    /// What is kept for good is checked before that.
    async fn check(&self, rel: &str, kind: Kind, bytes: &[u8]) -> Result<(), StoreError> {
        let damaged = || {
            let url = PathBuf::from(self.remote.url_of(rel));
            Err(StoreError::damaged(&url, Damage::Checksum))
        };
        if kind == Kind::Object && chain::bases_of(bytes).is_none() {
            return damaged();
        }
        if let Some(stem) = rel.strip_suffix(".parquet").filter(|_| kind == Kind::Listed) {
            // Where it is missing, the reader says so.
            let sums = Box::pin(self.bring(&format!("{stem}.b3"), u64::MAX)).await?;
            let hash = blake3::hash(bytes).to_hex();
            let vouches = |line: &[u8]| line.get(..64) == Some(hash.as_bytes());
            if sums.is_some_and(|sums| !sums.split(|&b| b == b'\n').any(vouches)) {
                return damaged();
            }
        }
        Ok(())
    }

    /// Brings files and, of objects, all that they are stored against.
    async fn bring_all(&self, mut wave: BTreeSet<String>) {
        let mut asked = BTreeSet::new();
        // A chain that is longer is damaged, which its reader finds out.
        for _ in 0..=MAX_LINKS {
            wave.retain(|rel| !asked.contains(rel) && !locked(&self.complete).contains(rel));
            if wave.is_empty() {
                break;
            }
            asked.extend(wave.iter().cloned());
            let found = futures::stream::iter(std::mem::take(&mut wave)).map(|rel| async move {
                let found = self.bring(&rel, chain::MAX_CHUNK_BYTES + (1 << 20)).await;
                let Ok(Some(bytes)) = found else { return Vec::new() };
                match kind(&rel) {
                    Kind::Object => chain::bases_of(&bytes).unwrap_or_default(),
                    Kind::Listed => Vec::new(),
                    Kind::Asked => {
                        locked(&self.fresh).insert(rel);
                        Vec::new()
                    }
                }
            });
            let found: Vec<Vec<ChunkId>> = found.buffer_unordered(N_REQUESTS).collect().await;
            wave = found.iter().flatten().map(object).collect();
        }
        let objects = asked.into_iter().filter(|rel| kind(rel) == Kind::Object);
        locked(&self.complete).extend(objects);
    }
}

impl Elsewhere for Mirror {
    fn names(&self, dir: &Path) -> Result<Vec<String>, StoreError> {
        let rel = self.rel(dir);
        let found = self.remote.block_on(self.remote.list_folder(&rel))?;
        let mut listed = locked(&self.listed);
        for (name, seen) in &found.files {
            let rel = format!("{rel}/{name}");
            if kind(&rel) == Kind::Listed {
                listed.insert(rel, seen.etag.clone());
            }
        }
        let mut names: Vec<String> = found.files.into_keys().chain(found.folders).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn folders(&self, dir: &Path) -> Result<Vec<String>, StoreError> {
        let rel = self.rel(dir);
        self.remote.block_on(async {
            let mut folders = self.remote.list_folder(&rel).await?.folders;
            // Runs and zooms get their manifest last: without it they are still being pushed, or being removed.
            if rel == "runs" || rel.ends_with("/zooms") {
                let manifest = |name: &String| format!("{rel}/{name}/manifest.json");
                self.bring_all(folders.iter().map(manifest).collect()).await;
                let missing = locked(&self.missing);
                folders.retain(|name| !missing.contains(&manifest(name)));
            }
            Ok(folders)
        })
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.remote.block_on(self.bring(&self.rel(path), limit))
    }

    fn size_bytes(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        let rel = self.rel(path);
        let folder = rel.rsplit_once('/').map_or("", |(folder, _)| folder);
        let found = self.remote.block_on(self.remote.list_folder(folder))?;
        let name = rel.rsplit('/').next().unwrap_or_default();
        Ok(found.files.get(name).map(|seen| seen.n_bytes))
    }

    fn expect(&self, paths: &[PathBuf]) {
        let wave = paths.iter().map(|p| self.rel(p)).collect();
        self.remote.block_on(self.bring_all(wave));
    }

    fn url_of(&self, path: &Path) -> PathBuf {
        self.remote.url_of(&self.rel(path)).into()
    }

    fn refusal(&self, action: &'static str) -> StoreError {
        StoreError::OnlyRead { action, url: self.remote.url().to_owned() }
    }
}

/// Puts a copy in its place, whole or not at all. It need not survive a power loss: its checksum tells.
fn place(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let Some(dir) = path.parent() else { return Ok(()) };
    fs::create_dir_all(dir)?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let tmp = dir.join(format!(".tmp-{}-{number}", std::process::id()));
    let placed = fs::write(&tmp, bytes).and_then(|()| fs::rename(&tmp, path));
    if placed.is_err() {
        let _ = fs::remove_file(&tmp);
    }
    placed
}
