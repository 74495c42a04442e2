//! Studies: one pass through the loop (observe, predict, intervene, design) on one question.
//!
//! To add one: a file or folder here, its `mod` line, and its row in [`studies`].

mod bias;
mod grokking;
mod memorization;
mod misalignment;
mod robustness;
mod skills;

use crate::{Conductor, LabError, RunPlan, RunRecord, StopRule};
use ontogeny_core::{Block, Findings, RunId, Seeds, StudyId, Table, ThresholdRule, nearest};
use ontogeny_train::RunConfig;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyOptions {
    /// How much is spent.
    pub tier: Tier,
    /// First seed; runs use this one and those after it.
    pub seed: u64,
    /// Seeds per cell; the tier decides if absent.
    pub n_seeds: Option<u64>,
    /// Runs conducted at once.
    pub threads: usize,
    /// A folder of data to read in place of those that the study draws. Left out of a written manifest where there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
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
        // The name begins with that of the study, which is no dot and not empty.
        RunId::made_of(&format!("{}.{parts}", self.id))
            .unwrap_or_else(|| unreachable!("made of legal characters"))
    }
}

impl StudyContext<'_> {
    /// A run of this study that starts at step 0.
    pub(crate) fn plan(
        &self,
        (role, cell, seed): (&str, &str, u64),
        config: RunConfig,
        rules: Vec<ThresholdRule>,
        stop: StopRule,
    ) -> RunPlan {
        RunPlan {
            id: self.run_id(&format!("{role}.{cell}.{seed}")),
            study: Some(self.id.clone()),
            role: role.to_owned(),
            cell: cell.to_owned(),
            config,
            seeds: Seeds::all(seed),
            fork: None,
            rules,
            stop,
        }
    }
}

/// A study as the list knows it.
#[derive(Debug, Clone, Copy)]
pub struct Study {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What a folder of data for it holds; `None` if it draws all its data.
    pub reads: Option<&'static str>,
    /// Conducts it from wherever it stands and returns what was found.
    pub run: fn(&StudyContext<'_>) -> Result<Findings, LabError>,
}

/// The list.
pub fn studies() -> &'static [Study] {
    const LIST: &[Study] = &[
        skills::STUDY,
        grokking::STUDY,
        bias::STUDY,
        misalignment::STUDY,
        memorization::STUDY,
        robustness::STUDY,
    ];
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
/// [`LabError::Stopped`] after a request to stop; [`LabError::DrawsItsData`] for a folder of data that it does not read,
/// [`LabError::NeedsData`] without one that it needs; what the parts report.
pub fn conduct_study(
    study: &Study,
    conductor: Conductor<'_>,
    options: StudyOptions,
) -> Result<(StudyId, Findings), LabError> {
    let seeds = options.n_seeds.map(|n| format!("-n{n}")).unwrap_or_default();
    if study.reads.is_none() && options.data.is_some() {
        return Err(LabError::DrawsItsData { study: study.name });
    }
    let data = if options.data.is_some() { "-data" } else { "" };
    let name = format!("{}-{}-s{}{seeds}{data}", study.name, options.tier.name(), options.seed);
    let id = StudyId::new(name).unwrap_or_else(|| unreachable!("made of legal characters"));
    let folder = conductor.store.study(&id);
    folder.write_manifest(&serde_json::json!({
        "study": study.name, "id": id, "options": &options, "versions": crate::versions(),
    }))?;
    let context = StudyContext { conductor, options, id: id.clone() };
    let findings = (study.run)(&context)?;
    folder.write_findings(&findings)?;
    Ok((id, findings))
}

impl StudyContext<'_> {
    /// The command that repeats the study.
    pub(crate) fn command(&self, study: &str) -> String {
        let o = &self.options;
        let seeds = o.n_seeds.map(|n| format!(" --seeds {n}")).unwrap_or_default();
        let data = o.data.as_ref().map(|_| " --data <folder>").unwrap_or_default();
        format!("ontogeny run {study} --tier {} --seed {}{seeds}{data}", o.tier.name(), o.seed)
    }
}

/// A row of the acceptance table: what was asked, the number, the verdict. A number that could not be had is
/// neither passed nor failed.
pub(crate) fn check_row(
    what: &str,
    value: Option<f64>,
    passes: impl Fn(f64) -> bool,
) -> [String; 3] {
    match value.filter(|v| v.is_finite()) {
        Some(v) => [
            what.to_owned(),
            format!("{v:.3}"),
            if passes(v) { "holds" } else { "REFUTED" }.to_owned(),
        ],
        None => [what.to_owned(), "–".to_owned(), "not measured".to_owned()],
    }
}

/// The acceptance table.
pub(crate) fn checks_table(rows: &[[String; 3]]) -> Block {
    Block::Table(Table {
        caption:
            "What the protocol expected before the runs, and what came out. Nothing is tuned to it."
                .into(),
        columns: ["expected", "found", "verdict"].map(str::to_owned).to_vec(),
        rows: rows.iter().map(|r| r.to_vec()).collect(),
    })
}

/// Share of training time that the probes took, over runs.
pub(crate) fn probe_share(records: &[RunRecord]) -> f64 {
    let total = |name: &str| -> f64 {
        records.iter().filter_map(|r| r.series.get(name)?.last()).map(|p| p.value).sum()
    };
    total("cost.probe_secs") / total("cost.train_secs")
}

/// The manifest of a run, folded away.
pub(crate) fn manifest_block(record: &RunRecord) -> Block {
    let text = serde_json::to_string_pretty(&record.manifest).unwrap_or_default();
    Block::Fixed { caption: format!("Manifest of {}", record.id()), text, folded: true }
}

/// The scorecards of every theory that has sealed something in this study, the best of them unfolded.
pub(crate) fn scorecard_blocks(ctx: &StudyContext<'_>) -> Result<Vec<Block>, LabError> {
    let entries = ctx.conductor.ledger.entries()?;
    let mine = format!("{}/", ctx.id);
    let sealed = |theory: &str, property: &str| {
        let is_it =
            |(id, t, p): (&str, &str, &str)| id.starts_with(&mine) && t == theory && p == property;
        entries.iter().filter_map(|e| e.body.subject()).any(is_it)
    };
    let cards = crate::scorecards(ctx.conductor.store, &entries, sealed)?;
    let text: Vec<String> = cards.iter().map(ToString::to_string).collect();
    let intro = "Each theory on each property, level by level; a level is passed when every gate holds. Records of \
                 all studies in this store count. A number that cannot be had says why.";
    let block = Block::Fixed { caption: String::new(), text: text.join("\n"), folded: false };
    Ok(vec![Block::Text(intro.to_owned()), block])
}
