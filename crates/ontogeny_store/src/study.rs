//! The folder of a study: what was asked, what was found, how it is drawn.

use crate::{StoreError, disk};
use ontogeny_core::{Findings, StudyId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

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
        let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
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
        let path = dir.join(file_name);
        disk::replace(&path, bytes)?;
        Ok(path)
    }

    /// Replaces the report and says where it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_report(&self, html: &str) -> Result<PathBuf, StoreError> {
        let path = self.file("report.html")?;
        disk::replace(&path, html.as_bytes())?;
        Ok(path)
    }

    /// The path of a file in the folder, which is made if need be.
    fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        disk::create_dir(&self.studies)?;
        disk::create_dir(&self.dir)?;
        Ok(self.dir.join(name))
    }
}
