//! Forks at memorization and at half the delay.

use super::super::StudyContext;
use super::sizes::{Sizes, features};
use super::stop;
use crate::interventions::intervention;
use crate::paired::{Arm, Bench, Forked, effect_of, event_time, run_arms};
use crate::sealing::{
    Claimed, EffectTarget, Question, Registered, claimed, seal_effects, settle_effect,
};
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{
    Difference, Effect, NO_EFFECT, OBSERVATIONAL, Pair, no_effect, observational_effect, seed_band,
};
use ontogeny_core::{Forecast, Predictive, Step};

/// What the forks gave.
pub(super) struct Outcome<'a> {
    /// The forks.
    pub forked: Vec<Forked<'a>>,
    /// Readings at which control replays were compared with their parents, all equal.
    pub n_verified: usize,
    /// Half-width of the seed band of `ln T_grok` at fixed cell.
    pub band: Option<f64>,
    /// Per intervention and point: names, the effect on `ln T_grok`, and the median claim per theory.
    pub effects: Vec<(String, String, Effect, Claims)>,
}

/// Theory and what it claimed: median with the ends of the central 90 %, each in the median over parents.
pub(super) type Claims = Vec<(String, Claimed)>;

/// In the order of the report.
const CHANGES: [&str; 6] = ["wd_off", "wd_x2", "wd_half", "swap_augment", "grokfast", "placebo"];

/// Forks the first test runs of the reference cell that grokked.
pub(super) fn run<'a>(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    fit: &[RunRecord],
    test: &'a [RunRecord],
    questions: &[Question],
    before: &Registered,
) -> Result<Outcome<'a>, LabError> {
    let rules = sizes.rules();
    let stop = stop();
    let bench = Bench { study: &ctx.id, rules: &rules, stop: &stop };
    // Parents that grokked, the reference cell first: a fork of a run that never grokked shows little.
    let grokked =
        |r: &&RunRecord| r.time("T_grok") > r.known("T_mem") && r.known("T_mem").is_some();
    let reference = sizes.reference().name();
    let mut parents: Vec<&RunRecord> = test.iter().filter(grokked).collect();
    parents.sort_by_key(|r| r.manifest.cell != reference);
    parents.truncate(sizes.n_forked);
    let mut arms = Vec::new();
    for parent in &parents {
        let config = parent.config()?;
        for (point, step) in points(parent) {
            for name in CHANGES {
                if let Some(set) = intervention(name).and_then(|i| (i.set)(&config)) {
                    arms.push(bench.arm(parent, &config, (point, step), (name, set))?);
                }
            }
        }
    }
    let mut claims: Vec<(usize, Forecast)> = Vec::new();
    let band = band(fit);
    for (i, arm) in arms.iter().enumerate() {
        let of = |p: &&&RunRecord| arm.plan.fork.as_ref().is_some_and(|f| &f.parent == p.id());
        if let Some(parent) = parents.iter().find(of) {
            for forecast in claim(ctx, arm, parent, fit, questions, before, band)? {
                claims.push((i, forecast));
            }
        }
    }
    let (forked, n_verified) =
        run_arms(ctx.conductor, "forks", &parents, arms, ctx.options.threads)?;
    for (i, forecast) in &claims {
        let f = &forked[*i];
        let (Some(treated), Some(control)) =
            (event_time(&f.record, "T_grok"), event_time(f.parent, "T_grok"))
        else {
            continue;
        };
        // A fork that never groks gives a bound, which no score here can judge: it stays open in the ledger.
        if let (Difference::Known(effect), Some(fork)) =
            (Pair { treated, control }.difference(), &f.arm.plan.fork)
        {
            let prefix = f.parent.prefix(fork.step);
            settle_effect(
                ctx.conductor,
                before,
                forecast,
                effect,
                &prefix,
                f.record.manifest.step,
            )?;
        }
    }
    let mut effects = Vec::new();
    for name in CHANGES {
        for point in ["T_mem", "half delay"] {
            let of = |f: &&Forked<'_>| f.arm.intervention == name && f.arm.point == point;
            let mine: Vec<&Forked<'_>> = forked.iter().filter(of).collect();
            if mine.is_empty() {
                continue;
            }
            let effect = effect_of(&mine, band, |r| event_time(r, "T_grok"));
            let mut said: std::collections::BTreeMap<&str, Vec<&Predictive>> =
                std::collections::BTreeMap::new();
            for (i, f) in &claims {
                let arm = &forked[*i].arm;
                if arm.intervention == name
                    && arm.point == point
                    && let Some(p) = &f.predictive
                {
                    said.entry(&f.theory.name).or_default().push(p);
                }
            }
            let said = said.into_iter().filter_map(|(t, p)| Some((t.to_owned(), claimed(&p)?)));
            let said = said.collect();
            effects.push((name.to_owned(), point.to_owned(), effect, said));
        }
    }
    Ok(Outcome { forked, n_verified, band, effects })
}

/// Where memorization is known, and the middle between it and `T_grok`.
fn points(parent: &RunRecord) -> Vec<(&'static str, Step)> {
    match (parent.known("T_mem"), parent.time("T_grok")) {
        (Some(m), Some(g)) => vec![("T_mem", m), ("half delay", Step(u64::midpoint(m.0, g.0)))],
        _ => Vec::new(),
    }
}

/// Spread of `ln T_grok` over seeds at fixed cell.
pub(super) fn band(fit: &[RunRecord]) -> Option<f64> {
    let mut cells: std::collections::BTreeMap<&str, Vec<f64>> = std::collections::BTreeMap::new();
    for r in fit {
        if let Some(t) = r.time("T_grok") {
            cells.entry(&r.manifest.cell).or_default().push(t.ln());
        }
    }
    seed_band(&cells.into_values().collect::<Vec<_>>())
}

/// What the theories say about one fork at memorization: the forecast under the changed hyper-parameters, less
/// the forecast under the parent's own. About changes that no hyper-parameter expresses nothing is claimed; of
/// the placebo every theory claims that it does nothing.
fn claim(
    ctx: &StudyContext<'_>,
    arm: &Arm,
    parent: &RunRecord,
    fit: &[RunRecord],
    questions: &[Question],
    before: &Registered,
    band: Option<f64>,
) -> Result<Vec<Forecast>, LabError> {
    let (Some(question), Some(fork)) = (questions.first(), &arm.plan.fork) else {
        return Ok(Vec::new());
    };
    let own = super::features_of(parent);
    let changed = features(&arm.plan.config);
    let finite = changed.values().all(|v| v.is_finite());
    let silent = own == changed && arm.intervention != "placebo";
    if arm.point != "T_mem" || silent || !finite {
        return Ok(Vec::new());
    }
    let prefix = parent.prefix(fork.step);
    let delta = changed.get("ln_wd").zip(own.get("ln_wd")).map_or(0.0, |(a, b)| a - b);
    let (x, y): (Vec<f64>, Vec<f64>) = (fit.iter())
        .filter_map(|r| Some((*super::features_of(r).get("ln_wd")?, r.time("T_grok")?.ln())))
        .unzip();
    let noise = band.unwrap_or(0.3);
    let mut baselines = vec![(NO_EFFECT.to_owned(), no_effect(noise))];
    if let Some(p) = observational_effect(&x, &y, delta, noise) {
        baselines.push((OBSERVATIONAL.to_owned(), p));
    }
    let about = EffectTarget {
        study: ctx.id.as_str(),
        fork: &arm.plan.id,
        cell: &arm.plan.cell,
        intervention: &arm.intervention,
        outcome: "T_grok",
        prefix: &prefix,
    };
    seal_effects(ctx.conductor, before, question, &about, (&changed, &own), &baselines, 0.1)
}
