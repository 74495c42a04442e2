//! A store: the folder that holds runs, their chunks, the ledger and the studies.

use crate::runs_index::{RunsIndex, Stamp};
use crate::writer::{self, RunWriter};
use crate::{Damage, Ledger, RunReader, StoreError, StudyFolder, disk, faults, lock, mounts};
use ontogeny_core::{RunId, RunManifest, StudyId, nearest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const MARKER: &str = "ontogeny.json";
pub(crate) const FORMAT: &str = "ontogeny store";
/// Version of the layout that this code writes, and the last that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// A folder of runs. Cheap to clone; all clones share one [`Ledger`].
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    /// Where it lies, if that is an object store.
    pub(crate) url: Option<Arc<str>>,
    ledger: Ledger,
}

/// The runs of a store.
#[derive(Debug, Default)]
pub struct Listing {
    /// Runs whose manifest is readable, sorted by name.
    pub runs: Vec<RunManifest>,
    /// Folders that should be runs and cannot be read, sorted by name, with the reason.
    pub damaged: Vec<(String, StoreError)>,
}

/// `ontogeny.json`: says that a folder is ours.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) format: String,
    pub(crate) version: u32,
}

impl Store {
    /// Opens the store at `path`, or makes one if there is nothing or an empty folder.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] for a folder with other content, [`StoreError::Newer`] for a store of a later
    /// version, [`StoreError::ReadOnly`] or [`StoreError::Full`] if one cannot be made.
    pub fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        match Self::open(path) {
            Err(StoreError::NoStore { .. }) => {}
            other => return other,
        }
        std::fs::create_dir_all(path).map_err(|e| StoreError::io("create the store", path, e))?;
        let marker = Marker { format: FORMAT.to_owned(), version: FORMAT_VERSION };
        disk::replace_json(&path.join(MARKER), &marker)?;
        Self::open(path)
    }

    /// Opens the store at `path`.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] if there is nothing, [`StoreError::NotAStore`] and [`StoreError::Newer`] as for
    /// [`Store::open_or_create`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let marker_path = path.join(MARKER);
        let owned = path.to_path_buf();
        let Some(bytes) = disk::read_guarded(&marker_path)? else {
            // Leftovers of a store that was being made count as nothing.
            let is_empty = disk::names(path)?.iter().all(|n| n.starts_with(".tmp-"));
            return Err(if is_empty {
                StoreError::NoStore { path: owned }
            } else {
                StoreError::NotAStore { path: owned }
            });
        };
        let marker: Marker =
            serde_json::from_slice(&bytes).map_err(|e| StoreError::json(&marker_path, e))?;
        if marker.format != FORMAT {
            return Err(StoreError::NotAStore { path: owned });
        }
        if marker.version > FORMAT_VERSION {
            let (found, supported) = (marker.version, FORMAT_VERSION);
            return Err(StoreError::Newer { path: marker_path, found, supported });
        }
        Ok(Self { ledger: Ledger::new(path), path: owned, url: None })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store lies on an object store, its URL.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    fn runs_dir(&self) -> PathBuf {
        self.path.join("runs")
    }

    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.path.join("objects")
    }

    pub(crate) fn run_dir(&self, run: &RunId) -> PathBuf {
        self.runs_dir().join(run.as_str())
    }

    /// Makes a run and opens it for writing. It appears whole, with its manifest, or not at all.
    ///
    /// # Errors
    /// [`StoreError::RunExists`]; errors of the file system.
    pub fn create_run(&self, manifest: &RunManifest) -> Result<RunWriter, StoreError> {
        let runs = self.runs_dir();
        let dir = self.run_dir(&manifest.run);
        mounts::refuse(&dir, "create a run")?;
        let exists = || StoreError::RunExists { run: manifest.run.clone(), path: dir.clone() };
        disk::create_dir(&runs)?;
        if dir.exists() {
            return Err(exists());
        }
        let draft = disk::create_tmp_dir(&runs)?;
        let made = lock::of_run(&draft, &manifest.run).and_then(|lock| {
            writer::write_manifest(&draft, manifest)?;
            // Renaming onto a folder that has content fails, so of two creators one wins.
            match faults::point(&dir).and_then(|()| std::fs::rename(&draft, &dir)) {
                Ok(()) => Ok(lock),
                Err(_) if dir.exists() => Err(exists()),
                Err(e) => Err(StoreError::io("create the run", &dir, e)),
            }
        });
        let lock = made.inspect_err(|_| {
            // The first failure is the one that is reported.
            let _ = std::fs::remove_dir_all(&draft);
        })?;
        disk::sync_dir(&runs)?;
        RunWriter::open(&self.path, dir, manifest.clone(), lock)
    }

    /// Opens an existing run for writing and brings it to order after a crash.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`], [`StoreError::Locked`] while another writer has it, [`StoreError::Damaged`].
    pub fn resume_run(&self, run: &RunId) -> Result<RunWriter, StoreError> {
        let dir = self.existing(run)?;
        mounts::refuse(&dir, "write a run")?;
        let lock = lock::of_run(&dir, run)?;
        let manifest = read_manifest(&dir, run)?;
        RunWriter::open(&self.path, dir, manifest, lock)
    }

    /// Opens a run for reading.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] with the nearest name, [`StoreError::Damaged`] if the manifest cannot be read.
    pub fn run(&self, run: &RunId) -> Result<RunReader, StoreError> {
        let dir = self.existing(run)?;
        let manifest = read_manifest(&dir, run)?;
        Ok(RunReader::new(&self.path, dir, manifest))
    }

    pub(crate) fn existing(&self, run: &RunId) -> Result<PathBuf, StoreError> {
        let dir = self.run_dir(run);
        if disk::is_dir(&dir)? {
            return Ok(dir);
        }
        let names = self.run_names()?;
        let nearest = nearest(run.as_str(), names.iter().map(String::as_str)).map(str::to_owned);
        let path = mounts::shown(&self.runs_dir());
        Err(StoreError::UnknownRun { run: run.clone(), nearest, path })
    }

    pub(crate) fn run_names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = disk::folders(&self.runs_dir())?;
        names.retain(|n| RunId::new(n.as_str()).is_some());
        Ok(names)
    }

    /// All runs. A damaged one is listed as such and hurts no other. What was listed before is kept in `index/` of the
    /// store, where that can be written, and a manifest is read again when its file is another one.
    ///
    /// # Errors
    /// Only if the folder of runs cannot be listed.
    pub fn runs(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        let names = self.run_names()?;
        let mut index = RunsIndex::read(&self.path);
        for name in &names {
            let Some(run) = RunId::new(name.as_str()) else { continue };
            match self.listed_manifest(&run, &mut index) {
                Ok(manifest) => listing.runs.push(manifest),
                Err(e) => listing.damaged.push((name.clone(), e)),
            }
        }
        index.save(&self.path, &names);
        Ok(listing)
    }

    /// The manifest of a run: its copy in the index, if that is still it.
    fn listed_manifest(
        &self,
        run: &RunId,
        index: &mut RunsIndex,
    ) -> Result<RunManifest, StoreError> {
        let dir = self.run_dir(run);
        let path = writer::manifest_path(&dir);
        let stamp = if mounts::of(&path).is_some() { None } else { Stamp::of(&path) };
        let Some(stamp) = stamp else { return read_manifest(&dir, run) };
        // A copy was whole when it was made, and the index has a hash of its own.
        if let Some(copy) = index.get(run.as_str(), stamp)
            && let Ok(manifest) = parse_manifest(&path, run, copy, false)
        {
            return Ok(manifest);
        }
        let bytes = disk::read(&path)?;
        let manifest = parse_manifest(&path, run, &bytes, true)?;
        index.add(run.as_str(), stamp, bytes);
        Ok(manifest)
    }

    /// All runs, each read from its own folder.
    ///
    /// # Errors
    /// As [`Store::runs`].
    pub(crate) fn runs_themselves(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for name in self.run_names()? {
            let Some(run) = RunId::new(name.as_str()) else { continue };
            match read_manifest(&self.run_dir(&run), &run) {
                Ok(manifest) => listing.runs.push(manifest),
                Err(e) => listing.damaged.push((name, e)),
            }
        }
        Ok(listing)
    }

    /// The ledger of the store.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// The folder of a study, whether or not anything is in it yet.
    pub fn study(&self, study: &StudyId) -> StudyFolder {
        StudyFolder::new(&self.path, study)
    }

    /// Names of the studies, sorted.
    ///
    /// # Errors
    /// If the folder of studies cannot be listed.
    pub fn studies(&self) -> Result<Vec<StudyId>, StoreError> {
        let dir = self.path.join("studies");
        Ok(disk::folders(&dir)?.into_iter().filter_map(StudyId::new).collect())
    }
}

/// Reads a manifest of a run, unless a later version wrote it.
pub(crate) fn read_versioned<T: DeserializeOwned>(
    path: &Path,
    run: &RunId,
    supported: u32,
) -> Result<T, StoreError> {
    parse_versioned(path, run, supported, &disk::read(path)?, true)
}

fn parse_versioned<T: DeserializeOwned>(
    path: &Path,
    run: &RunId,
    supported: u32,
    bytes: &[u8],
    checks: bool,
) -> Result<T, StoreError> {
    /// The part that every version has, read first: a later version may have other fields.
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let json = |e| StoreError::json(path, e).of_run(run);
    let version: Version = serde_json::from_slice(bytes).map_err(json)?;
    let found = version.format_version;
    if found > supported {
        return Err(StoreError::Newer { path: path.to_path_buf(), found, supported });
    }
    if checks {
        disk::check_guard(path, bytes).map_err(|e| e.of_run(run))?;
    }
    serde_json::from_slice(bytes).map_err(json)
}

pub(crate) fn read_manifest(dir: &Path, run: &RunId) -> Result<RunManifest, StoreError> {
    let path = writer::manifest_path(dir);
    parse_manifest(&path, run, &disk::read(&path)?, true)
}

fn parse_manifest(
    path: &Path,
    run: &RunId,
    bytes: &[u8],
    checks: bool,
) -> Result<RunManifest, StoreError> {
    let supported = RunManifest::FORMAT_VERSION;
    let manifest: RunManifest = parse_versioned(path, run, supported, bytes, checks)?;
    if manifest.run != *run {
        let found = format!("run {}", manifest.run);
        return Err(StoreError::damaged(path, Damage::Misplaced { found }).of_run(run));
    }
    Ok(manifest)
}
