//! Forks of one parent at one step, compared with the parent itself.
//!
//! The control of every fork here is the parent: a fork without a change has been shown to be the parent
//! ([`Conductor::verify_control`]), so running it again would give the same numbers.

use crate::conductor::{Conductor, Unobserved};
use crate::draw::median;
use crate::plan::{ForkPlan, RunPlan, StopRule};
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Difference, Effect, Pair, Reach, Reading, paired_effect};
use ontogeny_analysis::survival::Lifetime;
use ontogeny_core::{EffectRow, RunId, Step, StudyId, ThresholdRule};
use ontogeny_train::{RunConfig, apply_set};
use serde_json::Value;

/// One change of one parent at one step.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    /// Name of the intervention.
    pub intervention: String,
    /// Name of the fork point, e.g. `T_mem`.
    pub point: String,
    /// The fork.
    pub plan: RunPlan,
}

/// An arm that was run.
#[derive(Debug)]
pub(crate) struct Forked<'a> {
    /// What was done.
    pub arm: Arm,
    /// The parent.
    pub parent: &'a RunRecord,
    /// The fork.
    pub record: RunRecord,
}

/// What all arms of a study share.
#[derive(Debug, Clone)]
pub(crate) struct Bench<'a> {
    pub study: &'a StudyId,
    pub rules: &'a [ThresholdRule],
    pub stop: &'a StopRule,
}

impl Bench<'_> {
    /// Plans the fork of `parent` at `step` with the change `set`.
    pub(crate) fn arm(
        &self,
        parent: &RunRecord,
        config: &RunConfig,
        (point, step): (&str, Step),
        (intervention, set): (&str, Vec<(String, Value)>),
    ) -> Result<Arm, LabError> {
        let changed = apply_set(config, &set).map_err(|source| LabError::Configure { source })?;
        let slug: String =
            point.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let id = RunId::new(
            format!("{}~{intervention}@{slug}", parent.id())
                .replace('~', "-fork-")
                .replace('@', "-"),
        );
        let plan = RunPlan {
            id: id.unwrap_or_else(|| parent.id().clone()),
            study: Some(self.study.clone()),
            role: if intervention == "placebo" { "placebo" } else { "fork" }.to_owned(),
            cell: format!("{}|{intervention}|{point}", parent.manifest.cell),
            config: changed,
            seeds: parent.manifest.seeds,
            fork: Some(ForkPlan { parent: parent.id().clone(), step, set }),
            rules: self.rules.to_vec(),
            stop: self.stop.clone(),
        };
        Ok(Arm { intervention: intervention.to_owned(), point: point.to_owned(), plan })
    }
}

/// Verifies the controls of all arms, then runs the arms.
///
/// # Errors
/// [`LabError::ReplayDiffers`] if any control does not reproduce its parent: then nothing is run.
pub(crate) fn run_arms<'a>(
    conductor: Conductor<'_>,
    stage: &str,
    parents: &[&'a RunRecord],
    arms: Vec<Arm>,
    threads: usize,
) -> Result<(Vec<Forked<'a>>, usize), LabError> {
    let mut points: Vec<(&RunId, Step)> = arms
        .iter()
        .filter_map(|a| Some((&a.plan.fork.as_ref()?.parent, a.plan.fork.as_ref()?.step)))
        .collect();
    points.sort();
    points.dedup();
    let mut n_compared = 0;
    for (parent, step) in points {
        n_compared += conductor.verify_control(parent, step, 100).map_err(LabError::of_work)?;
    }
    let plans: Vec<RunPlan> = arms.iter().map(|a| a.plan.clone()).collect();
    let records = conductor.conduct_all(stage, &plans, threads, &|_| Box::new(Unobserved))?;
    let parent_of = |arm: &Arm| {
        let id = arm.plan.fork.as_ref().map(|f| &f.parent);
        parents.iter().copied().find(|p| Some(p.id()) == id)
    };
    let forked = arms.into_iter().zip(records);
    let forked =
        forked.filter_map(|(arm, record)| Some(Forked { parent: parent_of(&arm)?, arm, record }));
    Ok((forked.collect(), n_compared))
}

/// The time of an event of a run, as an outcome.
pub(crate) fn event_time(record: &RunRecord, event: &str) -> Option<Reading> {
    Some(Reading::Time(Lifetime::from_censoring(record.event(event)?.when)))
}

/// The paired effects of the forks of one intervention at one point on `outcome`.
pub(crate) fn effect_of(
    forks: &[&Forked<'_>],
    band: Option<f64>,
    outcome: impl Fn(&RunRecord) -> Option<Reading>,
) -> Effect {
    let pair =
        |f: &&Forked<'_>| Some(Pair { treated: outcome(&f.record)?, control: outcome(f.parent)? });
    let pairs: Vec<Pair> = forks.iter().filter_map(pair).collect();
    paired_effect(&pairs, band, 0.95)
}

/// The row of the forest plot.
pub(crate) fn effect_row(
    label: &str,
    effect: &Effect,
    predicted: Option<(f64, f64, f64)>,
) -> EffectRow {
    let number = |d: &Difference| match d {
        Difference::Known(v) | Difference::AtLeast(v) | Difference::AtMost(v) => Some(*v),
        Difference::Unknown => None,
    };
    let pairs: Vec<f64> = effect.differences.iter().filter_map(number).collect();
    let bounds = effect.differences.iter().filter(|d| !matches!(d, Difference::Known(_))).count();
    let verdict = match effect.reach {
        Reach::Exact => "exactly 0",
        Reach::Draw => "a draw",
        Reach::Up => "later",
        Reach::Down => "sooner",
        Reach::Unclear => "unclear",
    };
    let never = match bounds {
        0 => String::new(),
        n => format!("; {n} of {} not by the horizon (bounds drawn)", effect.differences.len()),
    };
    let value = effect.mean.unwrap_or_else(|| median(pairs.iter().copied()));
    let note = format!("{verdict}{never}");
    EffectRow { label: label.to_owned(), value, interval: effect.interval, pairs, predicted, note }
}
