//! Files that are there whole or not at all.
//!
//! A file is written beside its place under a temporary name, synced, renamed, and its folder synced. A crash
//! leaves the old file or the new one, and perhaps a leftover `.tmp-*`, which the next writer removes.

use crate::{Damage, StoreError, faults, mounts};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Beginning of the names of files that are not yet there.
const TMP: &str = ".tmp-";

/// Replaces or creates `path` with `bytes`, durably: when this returns, a power loss does not undo it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    place(path, bytes)?;
    sync_dir(parent(path))
}

/// Like [`replace`], but leaves it to the caller to sync the folder.
pub(crate) fn place(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    stage(path, bytes)?.place()
}

/// A file that has its content and not yet its name. Staging many before placing them lets the disk write
/// them together. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    tmp: PathBuf,
    file: File,
    is_placed: bool,
    replaces: bool,
}

/// Writes `bytes` beside `path`.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> Result<Staged, StoreError> {
    let mut staged = stage_empty(path)?;
    staged.write(bytes).map_err(|e| StoreError::io("write", path, e))?;
    Ok(staged)
}

/// Makes an empty file beside `path`.
pub(crate) fn stage_empty(path: &Path) -> Result<Staged, StoreError> {
    let (tmp, file) = create_tmp(parent(path))?;
    Ok(Staged { path: path.to_path_buf(), tmp, file, is_placed: false, replaces: true })
}

impl Staged {
    /// Appends to it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        faults::write_all(&self.path, &mut self.file, bytes)
    }

    /// Where it is until it gets its name.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// Whether a file of that name makes way, as it does if nothing is said, or stays.
    pub(crate) fn replacing(mut self, replaces: bool) -> Self {
        self.replaces = replaces;
        self
    }

    /// Syncs the content.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let synced = faults::sync(&self.path, || self.file.sync_all());
        synced.map_err(|e| StoreError::io("write", &self.path, e))
    }

    /// Gives the file, which was synced, its name.
    pub(crate) fn name_it(mut self) -> Result<(), StoreError> {
        faults::point(&self.path).map_err(|e| StoreError::io("write", &self.path, e))?;
        if !self.replaces {
            match fs::hard_link(&self.tmp, &self.path) {
                Ok(()) => return Ok(()),
                // Somebody was faster, and may not have synced it.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    let synced = File::open(&self.path).and_then(|f| f.sync_all());
                    return synced.map_err(|e| StoreError::io("sync", &self.path, e));
                }
                // File systems without links: then the last one wins.
                Err(_) => {}
            }
        }
        let placed = fs::rename(&self.tmp, &self.path);
        self.is_placed = placed.is_ok();
        placed.map_err(|e| StoreError::io("write", &self.path, e))
    }

    /// Syncs the content and gives the file its name.
    pub(crate) fn place(self) -> Result<(), StoreError> {
        self.sync()?;
        self.name_it()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_placed {
            // The leftover is of no use to anyone; the failure that is reported is the first one.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}

/// A name that no other live thread or process of this machine uses.
fn tmp_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{TMP}{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Makes an empty folder in `dir`, to be renamed when it is complete.
pub(crate) fn create_tmp_dir(dir: &Path) -> Result<PathBuf, StoreError> {
    mounts::refuse(dir, "create a folder")?;
    loop {
        let tmp = dir.join(tmp_name());
        match fs::create_dir(&tmp) {
            Ok(()) => return Ok(tmp),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(StoreError::io("create a folder in", dir, e)),
        }
    }
}

fn create_tmp(dir: &Path) -> Result<(PathBuf, File), StoreError> {
    mounts::refuse(dir, "write a file")?;
    loop {
        let tmp = dir.join(tmp_name());
        match OpenOptions::new().write(true).create_new(true).open(&tmp) {
            Ok(file) => return Ok((tmp, file)),
            // Left by a dead process of the same id.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(StoreError::io("create a file in", dir, e)),
        }
    }
}

/// Removes what a crashed writer left in `dir`. Only for folders whose lock the caller holds.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), StoreError> {
    for name in names(dir)?.into_iter().filter(|n| n.starts_with(TMP)) {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
    }
    Ok(())
}

/// Shortens a file, durably.
pub(crate) fn cut(path: &Path, n_bytes: u64) -> Result<(), StoreError> {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|f| f.set_len(n_bytes).and_then(|()| f.sync_all()))
        .map_err(|e| StoreError::io("cut the torn tail of", path, e))
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    if cfg!(windows) {
        return Ok(()); // A folder cannot be opened for that there; NTFS journals its entries.
    }
    let synced = faults::sync(dir, || File::open(dir)?.sync_all());
    synced.map_err(|e| StoreError::io("sync", dir, e))
}

/// Creates a folder and makes it durable in its parent.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    if make_dir(dir)? { sync_dir(parent(dir)) } else { Ok(()) }
}

/// Creates a folder unless it is there, and leaves it to the caller to sync its parent. Says whether it did.
pub(crate) fn make_dir(dir: &Path) -> Result<bool, StoreError> {
    mounts::refuse(dir, "create a folder")?;
    match faults::point(dir).and_then(|()| fs::create_dir(dir)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(StoreError::io("create", dir, e)),
    }
}

/// File names in a folder, sorted; none if the folder does not exist. Names that are not UTF-8 are not ours.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    if let Some(elsewhere) = mounts::of(dir) {
        return elsewhere.names(dir);
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list", dir, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io("list", dir, e))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Names of the folders in a folder, sorted; none if it does not exist.
pub(crate) fn folders(dir: &Path) -> Result<Vec<String>, StoreError> {
    if let Some(elsewhere) = mounts::of(dir) {
        return elsewhere.folders(dir);
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list", dir, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io("list", dir, e))?;
        // What the folder says of its entries saves asking for each; only of a link it does not say where it leads.
        let is_dir = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => entry.path().is_dir(),
        };
        if is_dir {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether there is a folder.
pub(crate) fn is_dir(dir: &Path) -> Result<bool, StoreError> {
    match mounts::of(dir) {
        Some(elsewhere) => Ok(!elsewhere.names(dir)?.is_empty()),
        None => Ok(dir.is_dir()),
    }
}

/// The length of a file, if it is there and can be asked for.
pub(crate) fn size_bytes(path: &Path) -> Option<u64> {
    match mounts::of(path) {
        Some(elsewhere) => elsewhere.size_bytes(path).ok().flatten(),
        None => fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|m| m.len()),
    }
}

/// These will be read next. Where a file takes a while to come, they come together; else this does nothing.
pub(crate) fn expect(paths: impl IntoIterator<Item = PathBuf>) {
    let mut paths = paths.into_iter().peekable();
    let elsewhere = paths.peek().and_then(|p| mounts::of(p));
    if let Some(elsewhere) = elsewhere {
        elsewhere.expect(&paths.collect::<Vec<_>>());
    }
}

/// The content of a file that must be there.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let io = |e| StoreError::io("read", path, e);
    match mounts::of(path) {
        Some(elsewhere) => {
            elsewhere.read(path, u64::MAX)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
        }
        None => fs::read(path).map_err(io),
    }
}

/// The content, or `None` if there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    if let Some(elsewhere) = mounts::of(path) {
        return elsewhere.read(path, u64::MAX);
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("read", path, e)),
    }
}

/// The content, or `None` if there is no such file; of a file longer than `limit` by so much that it shows. `memory`
/// gives a buffer for so many bytes, whatever is in it.
pub(crate) fn read_at_most(
    path: &Path,
    limit: u64,
    memory: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Option<Vec<u8>>, StoreError> {
    if let Some(elsewhere) = mounts::of(path) {
        return elsewhere.read(path, limit);
    }
    let io = |e| StoreError::io("read", path, e);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let expected = file.metadata().map_err(io)?.len().min(limit);
    let mut bytes = memory(expected as usize + 1);
    bytes.clear();
    Read::by_ref(&mut file).take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(Some(bytes))
}

/// A file that is read in parts.
#[derive(Debug)]
pub(crate) struct Ranges {
    path: PathBuf,
    source: Source,
    n_bytes: u64,
}

#[derive(Debug)]
enum Source {
    File(File),
    /// What lies elsewhere comes whole.
    Bytes(Vec<u8>),
}

impl Ranges {
    /// Opens a file; `None` if there is no such file.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if mounts::of(path).is_some() {
            return Ok(read_if_there(path)?.map(|bytes| Self {
                path: path.to_path_buf(),
                n_bytes: bytes.len() as u64,
                source: Source::Bytes(bytes),
            }));
        }
        let io = |e| StoreError::io("read", path, e);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        let n_bytes = file.metadata().map_err(io)?.len();
        Ok(Some(Self { path: path.to_path_buf(), source: Source::File(file), n_bytes }))
    }

    /// So many bytes from a place on; `None` if the file is shorter.
    pub(crate) fn read(&mut self, at: u64, n_bytes: usize) -> Result<Option<Vec<u8>>, StoreError> {
        if at.checked_add(n_bytes as u64).is_none_or(|end| end > self.n_bytes) {
            return Ok(None);
        }
        let file = match &mut self.source {
            Source::File(file) => file,
            Source::Bytes(all) => return Ok(Some(all[at as usize..][..n_bytes].to_vec())),
        };
        let mut bytes = vec![0; n_bytes];
        let read = file.seek(SeekFrom::Start(at));
        let read = read.and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|e| StoreError::io("read", &self.path, e))?;
        Ok(Some(bytes))
    }
}

/// Writes a new file with its BLAKE3 beside it, and before it a file that is made from it, if there is one, whose BLAKE3
/// stands in the next line.
pub(crate) fn seal(
    path: &Path,
    bytes: &[u8],
    beside: Option<(&Path, &[u8])>,
) -> Result<(), StoreError> {
    let mut sums = sum_line(path, blake3::hash(bytes));
    if let Some((path, bytes)) = beside {
        sums.push_str(&sum_line(path, blake3::hash(bytes)));
    }
    replace(&checksum_path(path), sums.as_bytes())?;
    if let Some((path, bytes)) = beside {
        replace(path, bytes)?;
    }
    replace(path, bytes)
}

/// Replaces a file that is made from one that is sealed and has this hash, which stays.
pub(crate) fn replace_beside(
    path: &Path,
    hash: blake3::Hash,
    beside: &Path,
    made: &[u8],
) -> Result<(), StoreError> {
    let (own, of_made) = (sum_line(path, hash), sum_line(beside, blake3::hash(made)));
    replace(&checksum_path(path), (own + &of_made).as_bytes())?;
    replace(beside, made)
}

/// The line that vouches for a file.
pub(crate) fn sum_line(path: &Path, hash: blake3::Hash) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{}  {name}\n", hash.to_hex())
}

/// Whether the checksums beside a file, without looking at it, have that hash.
pub(crate) fn is_vouched_for(path: &Path, hash: blake3::Hash) -> Result<bool, StoreError> {
    let sums = read_if_there(&checksum_path(path))?
        .ok_or_else(|| StoreError::damaged(path, Damage::NoChecksum))?;
    Ok(has_line(&sums, hash))
}

fn has_line(sums: &[u8], hash: blake3::Hash) -> bool {
    let hash = hash.to_hex();
    sums.split(|&b| b == b'\n').any(|l| l.get(..64) == Some(hash.as_bytes()))
}

/// Writes a file with its BLAKE3 beside it, in the form that `b3sum --check` reads.
///
/// The checksum comes first and, while a file is being replaced, holds the old and the new hash, so that at
/// every moment the file that is there is vouched for.
pub(crate) fn replace_sealed(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let new = sum_line(path, blake3::hash(bytes));
    let old = read_if_there(path)?.map(|b| sum_line(path, blake3::hash(&b)));
    let sum = checksum_path(path);
    replace(&sum, format!("{new}{}", old.as_deref().unwrap_or_default()).as_bytes())?;
    replace(path, bytes)?;
    if old.is_some() {
        place(&sum, new.as_bytes())?;
    }
    Ok(())
}

/// Reads a file that has its BLAKE3 beside it; `None` if there is no such file.
pub(crate) fn read_sealed(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    // The second look is for a file that was replaced between the reading of it and of its checksum.
    for _ in 0..2 {
        let Some(bytes) = read_if_there(path)? else { return Ok(None) };
        let sums = read_if_there(&checksum_path(path))?
            .ok_or_else(|| StoreError::damaged(path, Damage::NoChecksum))?;
        if has_line(&sums, blake3::hash(&bytes)) {
            return Ok(Some(bytes));
        }
    }
    Err(StoreError::damaged(path, Damage::Checksum))
}

/// The hash of a file, which the checksums beside it must have; `None` if there is no such file. Takes no memory for it.
pub(crate) fn check_sealed(path: &Path) -> Result<Option<blake3::Hash>, StoreError> {
    if mounts::of(path).is_some() {
        return Ok(read_sealed(path)?.map(|bytes| blake3::hash(&bytes)));
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io("read", path, e)),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(|e| StoreError::io("read", path, e))?;
    let hash = hasher.finalize();
    if is_vouched_for(path, hash)? {
        Ok(Some(hash))
    } else {
        Err(StoreError::damaged(path, Damage::Checksum))
    }
}

pub(crate) fn checksum_path(path: &Path) -> PathBuf {
    path.with_extension("b3")
}

/// Reads JSON; `None` if there is no such file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = read_guarded(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| StoreError::json(path, e))
}

/// How the last member of a JSON object that carries its own hash begins, and what follows the hash.
const GUARD: (&str, &str) = (",\n  \"blake3\": \"", "\"\n}\n");

/// The hash that the last member of `bytes` states, and the bytes that it is of; `None` if there is no such member.
fn guard(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, hash) = bytes.strip_suffix(GUARD.1.as_bytes())?.split_last_chunk::<64>()?;
    Some((content.strip_suffix(GUARD.0.as_bytes())?, hash))
}

/// Reads a file of JSON and checks its hash, if it carries one: files of earlier versions do not.
pub(crate) fn read_guarded(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(bytes) = read_if_there(path)? else { return Ok(None) };
    check_guard(path, &bytes).map(|()| Some(bytes))
}

/// Checks the hash that JSON carries, if it does.
pub(crate) fn check_guard(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    match guard(bytes) {
        Some((content, hash)) if blake3::hash(content).to_hex().as_bytes() != hash => {
            // Where it is no JSON any more, that tells more: it has a line and a column.
            serde_json::from_slice::<serde::de::IgnoredAny>(bytes)
                .map_err(|e| StoreError::json(path, e))?;
            Err(StoreError::damaged(path, Damage::Checksum))
        }
        _ => Ok(()),
    }
}

/// Checks that what will be written can be read back: JSON has no NaN and no infinity.
pub(crate) fn check_readable<T: serde::Serialize + serde::de::DeserializeOwned>(
    path: &Path,
    value: &T,
) -> Result<(), StoreError> {
    serde_json::to_vec(value)
        .and_then(|bytes| serde_json::from_slice::<T>(&bytes))
        .map(drop)
        .map_err(|e| StoreError::Encode { path: path.to_path_buf(), source: Box::new(e) })
}

/// Replaces a JSON file, indented for people. An object gets a last member `blake3`, the hash of the bytes before the
/// comma in front of it.
pub(crate) fn replace_json(path: &Path, value: &impl serde::Serialize) -> Result<(), StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| StoreError::Encode { path: path.to_path_buf(), source: Box::new(e) })?;
    if let Some(content) = bytes.strip_suffix(b"\n}") {
        let hash = blake3::hash(content).to_hex();
        bytes.truncate(content.len());
        bytes.extend([GUARD.0, hash.as_str(), GUARD.1].concat().bytes());
    } else {
        bytes.push(b'\n');
    }
    replace(path, &bytes)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if p.as_os_str().is_empty() => Path::new("."),
        Some(p) => p,
        None => path,
    }
}
