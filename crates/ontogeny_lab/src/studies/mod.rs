//! Studies: one pass through the loop (observe, predict, intervene, design) on one question.
//!
//! To add one: a file or folder here, its `mod` line, and its row in [`studies`].

mod grokking;
mod skills;

use crate::{Conductor, LabError};
use ontogeny_core::{Findings, RunId, StudyId, nearest};
use serde::{Deserialize, Serialize};

/// How much is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Minutes on two cores; runs in continuous integration.
    Smoke,
    /// Within an hour on two cores: the size of the committed findings.
    Study,
    /// The published size: a night on a big machine.
    Paper,
}

impl Tier {
    /// The tiers by name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("smoke", Self::Smoke), ("study", Self::Study), ("paper", Self::Paper)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, t)| *t == self).map_or("", |(n, _)| n)
    }
}

/// What a person can choose about a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyOptions {
    /// How much is spent.
    pub tier: Tier,
    /// First seed; runs use this one and those after it.
    pub seed: u64,
    /// Seeds per cell; the tier decides if absent.
    pub n_seeds: Option<u64>,
    /// Runs conducted at once.
    pub threads: usize,
}

/// A study in progress.
#[derive(Debug, Clone)]
pub struct StudyContext<'a> {
    /// Who conducts its runs.
    pub conductor: Conductor<'a>,
    /// What was chosen.
    pub options: StudyOptions,
    /// Its name in the store.
    pub id: StudyId,
}

impl StudyContext<'_> {
    /// The name of a run of this study; `parts` are joined by dots.
    pub(crate) fn run_id(&self, parts: &str) -> RunId {
        let name = format!("{}.{parts}", self.id);
        let safe: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        // Studies keep their names short; a name cut at 120 characters would still be legal.
        RunId::new(&safe[..safe.len().min(120)]).unwrap_or_else(|| unreachable!("made of legal characters"))
    }
}

/// A study as the list knows it.
#[derive(Debug, Clone, Copy)]
pub struct Study {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Conducts it from wherever it stands and returns what was found.
    pub run: fn(&StudyContext<'_>) -> Result<Findings, LabError>,
}

/// The list.
pub fn studies() -> &'static [Study] {
    const LIST: &[Study] = &[skills::STUDY, grokking::STUDY];
    LIST
}

/// The study called `name`.
///
/// # Errors
/// [`LabError::UnknownStudy`] with the nearest name there is.
pub fn study(name: &str) -> Result<&'static Study, LabError> {
    let suggestion = || nearest(name, studies().iter().map(|s| s.name));
    let unknown = || LabError::UnknownStudy { name: name.to_owned(), suggestion: suggestion() };
    studies().iter().find(|s| s.name == name).ok_or_else(unknown)
}

/// Conducts a study and keeps its findings in the store.
///
/// # Errors
/// [`LabError::Stopped`] after a request to stop; what the parts report.
pub fn conduct_study(
    study: &Study,
    conductor: Conductor<'_>,
    options: StudyOptions,
) -> Result<(StudyId, Findings), LabError> {
    let seeds = options.n_seeds.map(|n| format!("-n{n}")).unwrap_or_default();
    let name = format!("{}-{}-s{}{seeds}", study.name, options.tier.name(), options.seed);
    let id = StudyId::new(name).unwrap_or_else(|| unreachable!("made of legal characters"));
    let folder = conductor.store.study(&id);
    let context = StudyContext { conductor, options, id: id.clone() };
    folder.write_manifest(&serde_json::json!({
        "study": study.name, "id": id, "options": options, "versions": crate::versions(),
    }))?;
    let findings = (study.run)(&context)?;
    folder.write_findings(&findings)?;
    Ok((id, findings))
}
