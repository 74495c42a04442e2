//! Mixtures designed to meet deadlines, tried on seeds that nothing was fitted on.
//!
//! The law of the observed regime, `ln T_k = a + b ln p_k`, is turned around: a task that must be learned by
//! step d needs the rate `exp((ln d - a) / b)`. All tasks at once gives the equal mixture; other deadlines give
//! others. Each recipe is run on fresh seeds, beside random mixtures of the same cost.

use super::super::StudyContext;
use super::PROPERTY;
use super::sizes::{Sizes, event};
use crate::designing::{Tried, answer, seal_designs, settle_designs};
use crate::draw::median;
use crate::plan::{RunPlan, StopRule};
use crate::sealing::Registered;
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::stats::SlopeFit;
use ontogeny_core::random::Philox;
use ontogeny_core::{DesignOutcome, DesignProblem};
use ontogeny_train::tasks::sparse_parity::Mixture;
use std::collections::BTreeMap;

/// The theory whose law is turned around: one slope for all skills and runs.
const DESIGNER: &str = "skill-pooled-slope";

/// One problem with what became of it.
pub(super) struct Problem {
    /// Its name.
    pub name: String,
    /// Deadline of each skill, in steps.
    pub deadlines: Vec<f64>,
    /// The mixture that the law proposes.
    pub mixture: Vec<f64>,
    /// What was sealed.
    pub sealed: DesignProblem,
    /// Per fresh seed: the time of the last skill, and whether every deadline was met.
    pub runs: Vec<(Option<f64>, bool)>,
    /// The same for random mixtures.
    pub random: Vec<(Option<f64>, bool)>,
}

/// What the design task gave.
pub(super) struct Outcome {
    /// Problems in the order in which they were posed.
    pub problems: Vec<Problem>,
    /// The runs under equal rates, which the law has never seen.
    pub uniform: Vec<RunRecord>,
    /// What the law says about `ln T` under equal rates: mean and spread.
    pub predicted_uniform: Option<(f64, f64)>,
}

/// Poses the problems, runs the recipes.
pub(super) fn run(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    (law, residual_sd): (Option<SlopeFit>, f64),
    (fit, test): (&[RunRecord], &[RunRecord]),
    before: &Registered,
) -> Result<Outcome, LabError> {
    let n = sizes.n_tasks;
    let Some(law) = law else {
        return Ok(Outcome { problems: Vec::new(), uniform: Vec::new(), predicted_uniform: None });
    };
    let at = |p: f64| law.intercept + law.slope * p.ln();
    let even = at(1.0 / n as f64);
    // Deadlines leave the law's own error once: a recipe that needs more has failed.
    let slack = (1.0 + residual_sd.max(0.1)).max(1.3);
    let posed: Vec<(&str, Vec<f64>)> = vec![
        ("all at once", vec![1.0; n]),
        ("rarest half first", (0..n).map(|k| if k < n / 2 { 1.8 } else { 0.75 }).collect()),
        ("commonest half first", (0..n).map(|k| if k < n / 2 { 0.75 } else { 1.8 }).collect()),
        ("one skill early", (0..n).map(|k| if k == n - 1 { 0.5 } else { 1.1 }).collect()),
        ("a staircase", (0..n).map(|k| 0.7 + 1.2 * (n - 1 - k) as f64 / n as f64).collect()),
        ("two skills early", (0..n).map(|k| if k + 2 >= n { 0.6 } else { 1.25 }).collect()),
    ];
    let mut problems = Vec::new();
    let mut plans: Vec<RunPlan> = Vec::new();
    for (name, shape) in posed.into_iter().take(sizes.n_problems) {
        // The rates that reach the shape of deadlines, whatever their common scale.
        let weights: Vec<f64> = shape.iter().map(|s| (s.ln() / law.slope).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mixture: Vec<f64> = weights.iter().map(|w| w / sum).collect();
        let deadlines: Vec<f64> = mixture.iter().map(|&p| slack * at(p).exp()).collect();
        let slug = name.replace(' ', "_");
        for seed in fresh(ctx, sizes) {
            plans.push(plan(
                ctx,
                sizes,
                &format!("design.{slug}"),
                mixture.clone(),
                seed,
                &deadlines,
            ));
        }
        for seed in fresh(ctx, sizes) {
            let draws = Philox::new(seed, "skills.random_mixture").at(problems.len() as u64);
            // Uniform over all mixtures: a flat Dirichlet, as normalized exponentials.
            let weights: Vec<f64> =
                (0..n as u64).map(|k| -(1.0 - draws.uniform(k)).ln() + 1e-3).collect();
            plans.push(plan(ctx, sizes, &format!("random.{slug}"), weights, seed, &deadlines));
        }
        let late = |r: &RunRecord| lateness(r, &deadlines);
        let seen: Vec<f64> = fit.iter().filter_map(late).collect();
        let sealed = DesignProblem {
            id: format!("{}/design/{slug}", ctx.id),
            property: PROPERTY.to_owned(),
            theory: DESIGNER.to_owned(),
            version: 1,
            wanted: format!(
                "{name}: every skill by its deadline (outcome: the largest share used)"
            ),
            target: (0.0, 1.0),
            recipe: BTreeMap::from([("task.mixture.weights".to_owned(), mixture.clone().into())]),
            seeds: fresh(ctx, sizes).collect(),
            budget: sizes.horizon as f64,
            fitted_range: (
                seen.iter().copied().fold(f64::INFINITY, f64::min),
                seen.iter().copied().fold(0.0, f64::max),
            ),
        };
        problems.push(Problem {
            name: name.to_owned(),
            deadlines,
            mixture,
            sealed,
            runs: Vec::new(),
            random: Vec::new(),
        });
    }
    let sealed: Vec<DesignProblem> = problems.iter().map(|p| p.sealed.clone()).collect();
    seal_designs(ctx.conductor, before, &sealed)?;
    let records = ctx
        .conductor
        .conduct_all("design", &plans, ctx.options.threads, &|_| Box::new(Unobserved))?;
    let per = sizes.n_design as usize;
    let mut uniform = Vec::new();
    let mut outcomes: Vec<DesignOutcome> = Vec::new();
    for (i, (problem, both)) in problems.iter_mut().zip(records.chunks(2 * per)).enumerate() {
        problem.runs = both[..per].iter().map(|r| judge(r, &problem.deadlines)).collect();
        problem.random = both[per..].iter().map(|r| judge(r, &problem.deadlines)).collect();
        let tried = Tried { recipe: &both[..per], random: &both[per..], default: test };
        outcomes.push(answer(&problem.sealed, tried, |r| lateness(r, &problem.deadlines)));
        if i == 0 {
            uniform = both[..per].to_vec();
        }
    }
    settle_designs(ctx.conductor, before, &outcomes)?;
    Ok(Outcome { problems, uniform, predicted_uniform: Some((even, residual_sd)) })
}

fn fresh(ctx: &StudyContext<'_>, sizes: &Sizes) -> std::ops::Range<u64> {
    let first = ctx.options.seed + 2000;
    first..first + sizes.n_design
}

fn plan(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    role: &str,
    weights: Vec<f64>,
    seed: u64,
    deadlines: &[f64],
) -> RunPlan {
    let mut config = sizes.config(Mixture::Weights { weights });
    // Far enough to see when the last skill comes, and not for ever after a mixture that starves one.
    let last = deadlines.iter().copied().fold(0.0, f64::max);
    let every = sizes.probe_every;
    config.horizon = ((3.0 * last) as u64 / every * every).min(sizes.horizon);
    let events = (1..=sizes.n_tasks).map(event).collect();
    let stop = StopRule::After { events, extra: 0 };
    RunPlan { stop, ..super::plan(ctx, sizes, role, "designed", config, seed) }
}

/// The largest share of a deadline that any skill used; `None` if one never came.
fn lateness(record: &RunRecord, deadlines: &[f64]) -> Option<f64> {
    let shares = deadlines.iter().enumerate();
    let share = |(i, d): (usize, &f64)| Some(record.time(&event(i + 1))?.0 as f64 / d);
    let shares: Option<Vec<f64>> = shares.map(share).collect();
    Some(shares?.into_iter().fold(0.0, f64::max))
}

/// Time of the last skill, and whether every deadline was met.
fn judge(record: &RunRecord, deadlines: &[f64]) -> (Option<f64>, bool) {
    let times: Vec<Option<f64>> =
        (1..=deadlines.len()).map(|k| record.time(&event(k)).map(|t| t.0 as f64)).collect();
    let met = times.iter().zip(deadlines).all(|(t, d)| t.is_some_and(|t| t <= *d));
    let last = times.into_iter().collect::<Option<Vec<f64>>>();
    (last.map(|v| v.into_iter().fold(0.0, f64::max)), met)
}

impl Problem {
    /// Whether at least four in five of the seeds met every deadline.
    pub(super) fn solved(&self) -> bool {
        let met = self.runs.iter().filter(|r| r.1).count();
        5 * met >= 4 * self.runs.len() && !self.runs.is_empty()
    }

    /// Median time of the last skill; seeds that never got there count as later than any.
    pub(super) fn last_skill(runs: &[(Option<f64>, bool)]) -> f64 {
        median(runs.iter().map(|r| r.0.unwrap_or(f64::INFINITY)))
    }
}
