//! The folder of a study: what was asked, what was found, how it is drawn.

use crate::{Damage, StoreError, disk};
use ontogeny_core::{Findings, StudyId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Hashes of the report and the figures, as `b3sum --check` reads them.
const SUMS: &str = "files.b3";

/// `studies/<study>/`. Made when something is first written to it; every file is replaced whole.
#[derive(Debug, Clone)]
pub struct StudyFolder {
    study: StudyId,
    dir: PathBuf,
    studies: PathBuf,
}

impl StudyFolder {
    pub(crate) fn new(store: &Path, study: &StudyId) -> Self {
        let studies = store.join("studies");
        Self { study: study.clone(), dir: studies.join(study.as_str()), studies }
    }

    /// The study.
    pub fn study(&self) -> &StudyId {
        &self.study
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Where the report is, or would be.
    pub fn report_path(&self) -> PathBuf {
        self.dir.join("report.html")
    }

    /// Whether anything was written to the folder.
    pub fn exists(&self) -> bool {
        disk::is_dir(&self.dir).unwrap_or(false)
    }

    /// Replaces the manifest, any JSON: the store does not interpret it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&self, manifest: &impl Serialize) -> Result<(), StoreError> {
        disk::replace_json(&self.file("manifest.json")?, manifest)
    }

    /// Reads the manifest; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read as a `T`.
    pub fn manifest<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        disk::read_json(&self.dir.join("manifest.json"))
    }

    /// Replaces the findings. JSON has no NaN and no infinity: both become null.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_findings(&self, findings: &Findings) -> Result<(), StoreError> {
        disk::replace_json(&self.file("findings.json")?, findings)
    }

    /// Reads the findings; `None` if there are none. A null where a number must be is read as NaN.
    ///
    /// # Errors
    /// If the file is not findings.
    pub fn findings(&self) -> Result<Option<Findings>, StoreError> {
        let path = self.dir.join("findings.json");
        let Some(bytes) = disk::read_guarded(&path)? else { return Ok(None) };
        crate::tolerant::findings(&bytes).map(Some).map_err(|e| StoreError::json(&path, e))
    }

    /// Replaces a figure, e.g. `spectrum.svg`.
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Panics
    /// If the file name could leave the folder: it follows the rules of [`StudyId`].
    pub fn write_figure(&self, file_name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        assert!(StudyId::new(file_name).is_some(), "`{file_name}` is not a file name for a figure");
        let dir = self.file("figures")?;
        disk::create_dir(&dir)?;
        self.place(&format!("figures/{file_name}"), bytes)
    }

    /// Replaces the report and says where it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_report(&self, html: &str) -> Result<PathBuf, StoreError> {
        self.file("report.html")?;
        self.place("report.html", html.as_bytes())
    }

    /// Replaces a file that cannot carry its hash, and notes the hash first. Meanwhile the file that is there has a
    /// line as well, so that at every moment it is vouched for.
    fn place(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let (path, sums) = (self.dir.join(name), self.dir.join(SUMS));
        let line = |bytes: &[u8]| format!("{}  {name}", blake3::hash(bytes).to_hex());
        let mut lines = self.sums()?;
        let old = disk::read_if_there(&path)?.map(|old| line(&old));
        lines.retain(|l| l.get(66..) != Some(name) || Some(l) == old.as_ref());
        lines.push(line(bytes));
        lines.sort_unstable();
        lines.dedup();
        disk::replace(&sums, (lines.join("\n") + "\n").as_bytes())?;
        disk::replace(&path, bytes)?;
        Ok(path)
    }

    /// Lines `<hash>  <file>` of what was drawn.
    fn sums(&self) -> Result<Vec<String>, StoreError> {
        let sums = disk::read_if_there(&self.dir.join(SUMS))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&sums).lines().map(str::to_owned).collect())
    }

    /// Everything in the folder that is not as it was written.
    pub(crate) fn problems(&self) -> Vec<StoreError> {
        let mut problems = Vec::new();
        problems.extend(self.manifest::<serde_json::Value>().err());
        problems.extend(self.findings().err());
        let lines = self.sums().unwrap_or_else(|e| {
            problems.push(e);
            Vec::new()
        });
        let drawn: BTreeSet<&str> = lines.iter().filter_map(|l| l.get(66..)).collect();
        for name in drawn {
            let path = self.dir.join(name);
            match disk::read_if_there(&path) {
                Ok(Some(bytes)) => {
                    let hash = blake3::hash(&bytes).to_hex();
                    let is_of = |l: &&String| l.get(66..) == Some(name);
                    if !lines.iter().filter(is_of).any(|l| l.starts_with(hash.as_str())) {
                        problems.push(StoreError::damaged(&path, Damage::Drawing));
                    }
                }
                Ok(None) => {} // It can be drawn again, and nothing else is in it.
                Err(e) => problems.push(e),
            }
        }
        problems
    }

    /// The path of a file in the folder, which is made if need be.
    fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        disk::create_dir(&self.studies)?;
        disk::create_dir(&self.dir)?;
        Ok(self.dir.join(name))
    }
}
