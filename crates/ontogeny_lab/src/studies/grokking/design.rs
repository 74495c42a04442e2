//! The design task: choose weight decay, data fraction and learning rate so that grokking comes at a wanted
//! step, then try it on fresh seeds.

use super::super::StudyContext;
use super::sizes::{Cell, Sizes};
use crate::draw::median;
use crate::plan::RunPlan;
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::survival::{AftOptions, AftRow, Lifetime, fit_aft};
use ontogeny_core::random::Philox;

/// What the design task gave.
pub(super) struct Outcome {
    /// One row per target.
    pub problems: Vec<Problem>,
}

/// One wanted grok time with what became of it.
pub(super) struct Problem {
    /// The wanted step.
    pub target: f64,
    /// The recipe.
    pub cell: Cell,
    /// What the fitted law says about the recipe, in steps.
    pub predicted: f64,
    /// `T_grok` on fresh seeds; `None` where it did not come by the horizon.
    pub times: Vec<Option<f64>>,
    /// The same for a recipe drawn at random from the same ranges.
    pub random: Vec<Option<f64>>,
}

impl Problem {
    /// Median over seeds within 30 % of the target, and every seed grokked.
    pub(super) fn solved(&self) -> bool {
        hits(&self.times, self.target)
    }

    /// The same for the random recipe.
    pub(super) fn random_solved(&self) -> bool {
        hits(&self.random, self.target)
    }

    /// Median `T_grok`, infinite if most seeds did not.
    pub(super) fn middle(&self) -> f64 {
        median(self.times.iter().map(|t| t.unwrap_or(f64::INFINITY)))
    }
}

fn hits(times: &[Option<f64>], target: f64) -> bool {
    let middle = median(times.iter().map(|t| t.unwrap_or(f64::INFINITY)));
    !times.is_empty() && times.iter().all(Option::is_some) && (middle / target - 1.0).abs() <= 0.3
}

/// Fits `ln T_grok` on weight decay and data fraction, proposes a recipe per target, runs it.
pub(super) fn run(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    fit: &[RunRecord],
) -> Result<Outcome, LabError> {
    let rows: Vec<AftRow> = (fit.iter())
        .filter_map(|r| {
            let f = super::features_of(r);
            let x = vec![*f.get("ln_wd")?, *f.get("ln_frac")?];
            Some(AftRow { x, t: Lifetime::from_censoring(r.event("T_grok")?.when) })
        })
        .collect();
    let Some(law) = fit_aft(&rows, AftOptions::default()) else {
        return Ok(Outcome { problems: Vec::new() });
    };
    let says = |c: &Cell| law.location(&[c.weight_decay.ln(), c.fraction.ln()]).exp();
    let reference = sizes.reference();
    let base = median(
        fit.iter()
            .filter(|r| r.manifest.cell == reference.name())
            .map(|r| r.time("T_grok").map_or(f64::INFINITY, |t| t.0 as f64)),
    );
    let base = if base.is_finite() { base } else { says(&reference) };
    // Targets inside the horizon only: a step that cannot be seen cannot be hit.
    let targets: Vec<f64> = [0.5, 1.5]
        .into_iter()
        .map(|m| m * base)
        .filter(|t| *t < 0.8 * sizes.horizon as f64)
        .collect();
    let mut problems = Vec::new();
    let mut plans: Vec<RunPlan> = Vec::new();
    let first = ctx.options.seed + 2000;
    for (i, target) in targets.into_iter().enumerate() {
        let Some(cell) = recipe(sizes, target, &says) else { continue };
        let draws = Philox::new(ctx.options.seed, "grokking.random_recipe").at(i as u64);
        let choices = candidates(sizes);
        let other = choices[draws.below(0, choices.len() as u64) as usize];
        for (role, c) in [("design", cell), ("random", other)] {
            for seed in first..first + sizes.n_design {
                let role = format!("{role}.{}", i + 1);
                plans.push(super::plan(ctx, sizes, &role, &c.name(), sizes.config(c), seed));
            }
        }
        problems.push(Problem {
            target,
            cell,
            predicted: says(&cell),
            times: vec![],
            random: vec![],
        });
    }
    let records = ctx
        .conductor
        .conduct_all("design", &plans, ctx.options.threads, &|_| Box::new(Unobserved))?;
    let times = |r: &[RunRecord]| r.iter().map(|r| r.time("T_grok").map(|t| t.0 as f64)).collect();
    let n = sizes.n_design as usize;
    for (problem, both) in problems.iter_mut().zip(records.chunks(2 * n)) {
        problem.times = times(&both[..n]);
        problem.random = times(&both[n..]);
    }
    Ok(Outcome { problems })
}

/// Recipes to choose from: weight decay on a fine grid, data fractions between those that were fitted.
fn candidates(sizes: &Sizes) -> Vec<Cell> {
    let (lo, hi) = (sizes.fractions[0], sizes.fractions[sizes.fractions.len() - 1]);
    let fractions = (0..=4).map(|i| lo + (hi - lo) * f64::from(i) / 4.0);
    let round = |v: f64| (v * 1000.0).round() / 1000.0;
    let decays = |i: i32| round(0.4 * 2f64.powf(f64::from(i) / 4.0));
    fractions
        .flat_map(|f| (0..=12).map(move |i| Cell { weight_decay: decays(i), fraction: round(f) }))
        .collect()
}

/// The candidate whose predicted time is nearest to the target; of equal ones the one nearest to the
/// reference, where the law knows most.
fn recipe(sizes: &Sizes, target: f64, says: &dyn Fn(&Cell) -> f64) -> Option<Cell> {
    let reference = sizes.reference();
    let miss = |c: &Cell| (says(c) / target).ln().abs();
    let far = |c: &Cell| {
        (c.weight_decay / reference.weight_decay).ln().abs()
            + 10.0 * (c.fraction - reference.fraction).abs()
    };
    let cost = |c: &Cell| miss(c) + 0.02 * far(c);
    candidates(sizes).into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}
