//! What was imported before: the same bytes are not imported twice.

use ontogeny_core::{Imported, RunId, RunManifest, SourceFile, StudyId};
use ontogeny_import::{Fingerprint, ImportError, Input, Options, Unit};
use std::collections::BTreeMap;

/// What makes two imports the same: format, options, study, and the content of the files in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    format: String,
    options: String,
    study: Option<StudyId>,
    contents: Vec<(u64, String)>,
}

/// The imports that a store holds.
#[derive(Debug, Default)]
pub(crate) struct Known {
    runs: BTreeMap<Identity, Vec<RunId>>,
    imported: BTreeMap<RunId, Imported>,
}

fn contents<'a>(files: impl Iterator<Item = (&'a u64, &'a String)>) -> Vec<(u64, String)> {
    files.map(|(n, hash)| (*n, hash.clone())).collect()
}

impl Known {
    /// Learns from the manifests of a store.
    pub(crate) fn new(manifests: &[RunManifest]) -> Self {
        let mut known = Self::default();
        for manifest in manifests {
            if let Some(from) = manifest.imported() {
                known.learn(&manifest.run, manifest.study.clone(), from);
            }
        }
        known
    }

    /// Remembers a run.
    pub(crate) fn learn(&mut self, run: &RunId, study: Option<StudyId>, from: Imported) {
        let identity = Identity {
            format: from.format.clone(),
            options: from.options.clone(),
            study,
            contents: contents(from.files.iter().map(|f| (&f.n_bytes, &f.blake3))),
        };
        self.runs.entry(identity).or_default().push(run.clone());
        self.imported.insert(run.clone(), from);
    }

    /// Whether a run of this name was imported, rather than trained here.
    pub(crate) fn is_imported(&self, run: &RunId) -> bool {
        self.imported.contains_key(run)
    }

    /// The runs that came from the same bytes, if the unit was imported before. Only units whose files have the
    /// size of known ones are hashed for that.
    pub(crate) fn runs_of(
        &self,
        unit: &Unit,
        options: &Options,
        study: Option<&StudyId>,
    ) -> Result<Option<&[RunId]>, ImportError> {
        let sizes: Vec<u64> = unit.files.iter().map(Input::n_bytes).collect::<Result<_, _>>()?;
        let described = options.describe();
        let is_like = |known: &Identity| {
            let mut known_sizes: Vec<u64> = known.contents.iter().map(|c| c.0).collect();
            let mut sizes = sizes.clone();
            known_sizes.sort_unstable();
            sizes.sort_unstable();
            known.format == unit.format.name()
                && known.options == described
                && known.study.as_ref() == study
                && known_sizes == sizes
        };
        let alike: Vec<(&Identity, &Vec<RunId>)> =
            self.runs.iter().filter(|(identity, _)| is_like(identity)).collect();
        if alike.is_empty() {
            return Ok(None);
        }
        let mut prints: Vec<Fingerprint> =
            unit.files.iter().map(Input::fingerprint).collect::<Result<_, _>>()?;
        prints.sort_by(|a, b| a.blake3.cmp(&b.blake3));
        let hashes: Vec<&String> = prints.iter().map(|p| &p.blake3).collect();
        let is_same = |identity: &Identity| {
            let mut known: Vec<&String> = identity.contents.iter().map(|c| &c.1).collect();
            known.sort_unstable();
            known == hashes
        };
        Ok(alike.into_iter().find(|(i, _)| is_same(i)).map(|(_, runs)| runs.as_slice()))
    }
}

/// The files of a report as a manifest keeps them.
pub(super) fn files(read: &[(String, Fingerprint)]) -> Vec<SourceFile> {
    read.iter()
        .map(|(path, print)| SourceFile {
            path: path.clone(),
            n_bytes: print.n_bytes,
            blake3: print.blake3.clone(),
        })
        .collect()
}
