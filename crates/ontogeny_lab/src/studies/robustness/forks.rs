//! Forks of the reference curriculum: the ramp slowed, the natural loss taken away, other bounds.
//!
//! The control of every arm is its parent, which goes on unchanged; an arm ends with the same number of updates. What it
//! spends differs: other bounds cost more a step.

use super::super::StudyContext;
use super::sizes::{FORKS, Sizes};
use super::{CERTIFIED, CLEAN, PGD, origin, outcome};
use crate::interventions::Change;
use crate::paired::{Arm, Bench, Forked, run_arms};
use crate::plan::StopRule;
use crate::studies::Tier;
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Effect, Pair, Reading, paired_effect, seed_band};
use ontogeny_core::{Curve, Schedule, Step};
use ontogeny_train::{CertifiedConfig, ObjectiveConfig, RunConfig};
use serde_json::{Value, json};

/// Side of SABR's small boxes relative to the whole ones.
const SABR_LAMBDA: f64 = 0.4;

/// What the forks gave.
pub(super) struct Outcome<'a> {
    pub forked: Vec<Forked<'a>>,
    /// Readings at which control replays were compared with their parents, all equal.
    pub n_verified: usize,
    /// Spread over the parents of certified and of clean accuracy at the end.
    pub bands: [Option<f64>; 2],
    pub rows: Vec<Row>,
    pub n_parents: usize,
}

/// One intervention at one point, over the parents.
pub(super) struct Row {
    pub intervention: String,
    pub point: String,
    /// On certified and on clean accuracy of the audit split at the end.
    pub certified: Effect,
    pub clean: Effect,
    /// Means at the end: certified, under attack, clean.
    pub ends: [f64; 3],
    /// Compute after the fork over that of the parent after the same step.
    pub cost: f64,
}

fn set(key: &str, value: impl Into<Value>) -> (String, Value) {
    (key.to_owned(), value.into())
}

/// The interventions at a step of a run; those that change nothing there are left out.
fn changes(config: &RunConfig, step: u64, with_crown: bool) -> Vec<(&'static str, Change)> {
    let ObjectiveConfig::Certified(c) = &config.objective else { return Vec::new() };
    let until = (Sizes::reference().until * config.horizon as f64).round() as u64;
    let mut all: Vec<(&'static str, Change)> = Vec::new();
    if until > step {
        let slow = (step + 2 * (until - step)).min(config.horizon);
        let points = vec![(step, c.eps.at(Step(step))), (slow, c.eps.at(Step(config.horizon)))];
        let eps = Schedule::Curve(Curve::Knots { points });
        all.push(("slower_ramp", vec![set("objective.eps", json!(eps))]));
    }
    let end = until.max(step + config.horizon / 10);
    let kappa = Curve::Ramp { from: c.kappa.at(Step(step)), value: 0.0, start: step, until: end };
    all.push(("no_natural_loss", vec![set("objective.kappa", json!(Schedule::Curve(kappa)))]));
    let sabr = vec![set("objective.method", "sabr"), set("objective.lambda", SABR_LAMBDA)];
    all.push(("sabr", sabr));
    if with_crown {
        let beta = Curve::Ramp { from: 1.0, value: 0.0, start: step, until: end };
        let crown = vec![
            set("objective.method", "crown_ibp"),
            set("objective.beta", json!(Schedule::Curve(beta))),
        ];
        all.push(("crown_ibp", crown));
    }
    all.push(("placebo", same(c)));
    all
}

/// A change that sets what is set already.
fn same(c: &CertifiedConfig) -> Change {
    vec![set("objective.kappa", json!(c.kappa))]
}

/// Forks every parent.
pub(super) fn run<'a>(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    parents: &'a [RunRecord],
) -> Result<Outcome<'a>, LabError> {
    let bench = Bench { study: &ctx.id, rules: &[], stop: &StopRule::Horizon };
    let with_crown = ctx.options.tier != Tier::Smoke;
    let all: Vec<&RunRecord> = parents.iter().filter(|p| !p.diverged()).collect();
    let mut arms: Vec<Arm> = Vec::new();
    for parent in &all {
        let config = parent.config()?;
        for share in FORKS {
            let at = sizes.at(share);
            let point = format!("{:.0}pc", 100.0 * share);
            for (name, change) in changes(&config, at, with_crown) {
                // One placebo says what there is to say.
                if name != "placebo" || share == FORKS[0] {
                    arms.push(bench.arm(parent, &config, (&point, Step(at)), (name, change))?);
                }
            }
        }
    }
    let (forked, n_verified) = run_arms(ctx.conductor, "forks", &all, arms, ctx.options.threads)?;
    let band = |series: &str| {
        let ends = all.iter().filter_map(|p| outcome(p, series, sizes.horizon)).collect();
        seed_band(&[ends])
    };
    let bands = [band(CERTIFIED.audit), band(CLEAN.audit)];
    let mut kinds: Vec<(String, String)> = Vec::new();
    for f in &forked {
        let kind = (f.arm.intervention.clone(), f.arm.point.clone());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_by_key(|(name, point)| {
        let first = forked.iter().position(|f| &f.arm.intervention == name);
        (first, point.clone())
    });
    let rows = kinds.into_iter().map(|(intervention, point)| {
        let of: Vec<&Forked<'_>> = (forked.iter())
            .filter(|f| f.arm.intervention == intervention && f.arm.point == point)
            .collect();
        row(&of, intervention, sizes, bands)
    });
    let rows = rows.collect();
    let n_parents = all.len();
    Ok(Outcome { forked, n_verified, bands, rows, n_parents })
}

fn row(forks: &[&Forked<'_>], intervention: String, sizes: &Sizes, bands: [Option<f64>; 2]) -> Row {
    let horizon = sizes.horizon;
    let effect = |series: &str, band| {
        let pair = |f: &&Forked<'_>| {
            let treated = Reading::Value(outcome(&f.record, series, horizon)?);
            let control = Reading::Value(outcome(f.parent, series, horizon)?);
            Some(Pair { treated, control })
        };
        paired_effect(&forks.iter().filter_map(pair).collect::<Vec<_>>(), band, 0.95)
    };
    let over = |of: &dyn Fn(&Forked<'_>) -> Option<f64>| {
        let all: Vec<f64> = forks.iter().filter_map(|f| of(f)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let step = forks[0].arm.plan.fork.as_ref().map_or(0, |f| f.step.0);
    let cost = |f: &Forked<'_>| {
        let parent = f.parent.config().ok()?;
        let before = Sizes::flop(&parent, step);
        Some((f.record.manifest.clocks.flop - before) / (f.parent.manifest.clocks.flop - before))
    };
    Row {
        intervention,
        point: origin(step as f64 / horizon as f64),
        certified: effect(CERTIFIED.audit, bands[0]),
        clean: effect(CLEAN.audit, bands[1]),
        ends: [CERTIFIED.audit, PGD, CLEAN.audit]
            .map(|series| over(&move |f: &Forked<'_>| outcome(&f.record, series, horizon))),
        cost: over(&cost),
    }
}
