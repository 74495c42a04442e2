//! Forks at the fourth skill: one late task more often and less often, all tasks alike, and nothing at all.

use super::super::StudyContext;
use super::TIMES;
use super::sizes::{FIRST, Sizes, event, features};
use crate::interventions::{boosted, intervention};
use crate::paired::{Arm, Bench, Forked, effect_of, event_time, run_arms};
use crate::plan::StopRule;
use crate::sealing::{
    Claimed, EffectTarget, Question, Registered, claimed, seal_effects, settle_effect,
};
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Effect, NO_EFFECT, Reading, no_effect, seed_band};
use ontogeny_analysis::survival::Lifetime;
use ontogeny_core::{Forecast, Predictive, Step, Target};
use ontogeny_train::RunConfig;

/// What the forks gave.
pub(super) struct Outcome<'a> {
    /// The forks.
    pub forked: Vec<Forked<'a>>,
    /// Readings at which control replays were compared with their parents, all equal.
    pub n_verified: usize,
    /// Per intervention: name, what its outcome is, the effect on `ln T`, and the prediction of the theory
    /// with the most to say (median over parents).
    pub effects: Vec<(String, String, Effect, Option<Claimed>)>,
}

/// The theory whose claims are drawn beside the effects.
const CLAIMANT: &str = "skill-pooled-slope";

/// Forks the first test runs and settles what was claimed about them.
pub(super) fn run<'a>(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    test: &'a [RunRecord],
    questions: &[Question],
    before: &Registered,
) -> Result<Outcome<'a>, LabError> {
    let late = sizes.n_tasks - 2;
    let base = sizes.zipf();
    let rules = sizes.rules();
    let bench = Bench { study: &ctx.id, rules: &rules, stop: &StopRule::Horizon };
    let parents: Vec<&RunRecord> = test.iter().take(sizes.n_forked as usize).collect();
    let mut arms: Vec<Arm> = Vec::new();
    for parent in &parents {
        let Some(step) = fork_step(parent) else { continue };
        for (name, set) in changes(&base, late) {
            arms.push(bench.arm(parent, &base, ("skill 4", step), (&name, set))?);
        }
    }
    // Claims are sealed before a single fork is run.
    let mut claims: Vec<(usize, Forecast)> = Vec::new();
    for (i, arm) in arms.iter().enumerate() {
        if let Some(parent) = parents
            .iter()
            .copied()
            .find(|p| arm.plan.fork.as_ref().is_some_and(|f| &f.parent == p.id()))
        {
            for forecast in claim(ctx, arm, parent, late, questions, before)? {
                claims.push((i, forecast));
            }
        }
    }
    let (forked, n_verified) =
        run_arms(ctx.conductor, "forks", &parents, arms, ctx.options.threads)?;
    for (i, forecast) in &claims {
        let f = &forked[*i];
        let read = |r: &RunRecord| outcome(r, &f.arm.intervention, late, sizes);
        if let (Some(Reading::Time(a)), Some(Reading::Time(b))) = (read(&f.record), read(f.parent))
            && let (Some(a), Some(b)) = (a.mid(), b.mid())
            && let Some(fork) = &f.arm.plan.fork
        {
            let prefix = f.parent.prefix(fork.step);
            settle_effect(ctx.conductor, before, forecast, a - b, &prefix, f.record.manifest.step)?;
        }
    }
    let times = |k: usize| -> Vec<f64> {
        test.iter().filter_map(|r| Some(r.time(&event(k))?.ln())).collect()
    };
    let band = seed_band(&[times(late)]);
    let mut effects = Vec::new();
    for (name, _) in changes(&base, late) {
        let mine: Vec<&Forked<'_>> = forked.iter().filter(|f| f.arm.intervention == name).collect();
        let effect = effect_of(&mine, band, |r| outcome(r, &name, late, sizes));
        let mine = claims
            .iter()
            .filter(|(i, f)| forked[*i].arm.intervention == name && f.theory.name == CLAIMANT);
        let said: Vec<&Predictive> = mine.filter_map(|(_, f)| f.predictive.as_ref()).collect();
        let predicted = claimed(&said);
        let what = if name == "uniform_mixture" {
            "last skill".to_owned()
        } else {
            format!("skill {late}")
        };
        effects.push((name, what, effect, predicted));
    }
    Ok(Outcome { forked, n_verified, effects })
}

fn fork_step(parent: &RunRecord) -> Option<Step> {
    let skills = parent.events.iter().filter(|e| e.name.starts_with("T_skill."));
    let mut known: Vec<Step> =
        skills.filter(|e| !e.when.is_censored()).map(|e| e.known_at).collect();
    known.sort_unstable();
    known.get(FIRST[1] - 1).copied()
}

/// The changes: a dose series on one task with its opposite direction, all tasks alike, and the placebo.
fn changes(base: &RunConfig, late: usize) -> Vec<(String, Vec<(String, serde_json::Value)>)> {
    let mut all = Vec::new();
    for (name, factor) in [("late_x0.5", 0.5), ("late_x2", 2.0), ("late_x4", 4.0), ("late_x8", 8.0)]
    {
        if let Some(set) = boosted(base, late - 1, factor) {
            all.push((name.to_owned(), set));
        }
    }
    for name in ["uniform_mixture", "placebo"] {
        if let Some(set) = intervention(name).and_then(|i| (i.set)(base)) {
            all.push((name.to_owned(), set));
        }
    }
    all
}

/// `ln T` of the reweighted skill, or of the last skill where all are reweighted.
fn outcome(record: &RunRecord, intervention: &str, late: usize, sizes: &Sizes) -> Option<Reading> {
    if intervention != "uniform_mixture" {
        return event_time(record, &event(late));
    }
    let mut last: Option<Lifetime> = None;
    for k in 1..=sizes.n_tasks {
        let Some(Reading::Time(t)) = event_time(record, &event(k)) else { return None };
        last = Some(match last {
            None => t,
            Some(l) => match (l.mid(), t.mid()) {
                (Some(a), Some(b)) if a >= b => l,
                (None, _) => l,
                _ => t,
            },
        });
    }
    last.map(Reading::Time)
}

/// What the theories say about one fork: the forecast of the parent's future under the changed rates, less
/// the forecast under its own.
fn claim(
    ctx: &StudyContext<'_>,
    arm: &Arm,
    parent: &RunRecord,
    late: usize,
    questions: &[Question],
    before: &Registered,
) -> Result<Vec<Forecast>, LabError> {
    let target = event(late);
    let asks = |q: &&Question| {
        q.family == TIMES
            && q.query.cutoff.name == super::cutoff_name(FIRST[1])
            && matches!(&q.query.target, Target::EventTime { event, .. } if *event == target)
    };
    let (Some(question), Some(fork)) = (questions.iter().find(asks), &arm.plan.fork) else {
        return Ok(Vec::new());
    };
    if arm.intervention == "uniform_mixture" {
        return Ok(Vec::new());
    }
    let prefix = parent.prefix(fork.step);
    let (treated, control) = (features(&arm.plan.config), features(&parent.config()?));
    let baselines = [(NO_EFFECT.to_owned(), no_effect(0.15))];
    let about = EffectTarget {
        study: ctx.id.as_str(),
        fork: &arm.plan.id,
        cell: &arm.plan.cell,
        intervention: &arm.intervention,
        outcome: &target,
        prefix: &prefix,
    };
    seal_effects(ctx.conductor, before, question, &about, (&treated, &control), &baselines, 0.05)
}
