//! Leave the largest budgets out, fit below them, and see: the only test that asks what a scaling law is for.

use super::budgets::{BUDGET_FACTOR, budgets};
use super::data::Point;
use super::error::ScalingError;
use super::fit::{Fit, FitOptions, fit, ln_loss};
use super::law::Law;
use std::collections::BTreeMap;

/// Budgets that must lie below the first one left out.
const LEAST_BELOW: usize = 3;

/// Places from which a law is tried, at most.
const N_ORIGINS: usize = 4;

/// One prediction of a measured loss from smaller budgets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Which point.
    pub point: usize,
    /// Which budget it belongs to, counted from the smallest.
    pub budget: usize,
    /// How many budgets it was predicted from.
    pub n_below: usize,
    /// Compute over that of the largest run fitted.
    pub reach: f64,
    /// ln(measured) - ln(predicted).
    pub ln_error: f64,
}

/// How to leave out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidateOptions {
    /// Compute within this factor is one budget.
    pub budget_factor: f64,
    /// At least so many of the largest budgets are predicted, each from those that lie `gap` or more below.
    pub n_held_out: usize,
    /// The least factor between a predicted budget and those it is predicted from.
    pub gap: f64,
}

impl Default for ValidateOptions {
    fn default() -> Self {
        Self { budget_factor: BUDGET_FACTOR, n_held_out: 3, gap: 1.0 }
    }
}

/// Predicts each of the largest budgets from those below it.
///
/// Budgets for which the law cannot be fitted below are left out of the answer.
///
/// # Errors
/// [`ScalingError::TooFewBudgets`] if fewer than three budgets lie below every one that could be left out.
pub fn leave_largest_out(
    law: &'static dyn Law,
    points: &[Point],
    fit_options: &FitOptions,
    options: &ValidateOptions,
) -> Result<Vec<HeldOut>, ScalingError> {
    let groups = budgets(points, options.budget_factor);
    let n_budgets = groups.len();
    let needed = LEAST_BELOW + 1;
    if n_budgets < needed {
        return Err(ScalingError::TooFewBudgets { n_budgets, needed });
    }
    let first = n_budgets.saturating_sub(options.n_held_out).max(LEAST_BELOW);
    let mut all = Vec::new();
    for budget in first..n_budgets {
        let least =
            groups[budget].iter().map(|i| points[*i].at.flops).fold(f64::INFINITY, f64::min);
        let below: Vec<Point> = (groups[..budget].iter().flatten())
            .map(|i| points[*i])
            .filter(|p| p.at.flops * options.gap <= least)
            .collect();
        let Ok(fitted) = fit(law, &below, fit_options) else { continue };
        let top = below.iter().map(|p| p.at.flops).fold(0.0, f64::max);
        let one = |i: &usize| held_out(&fitted, points, *i, (budget, budget), top);
        all.extend(groups[budget].iter().map(one));
    }
    if all.is_empty() {
        return Err(ScalingError::TooFewBudgets { n_budgets, needed: n_budgets + 1 });
    }
    Ok(all)
}

/// Predicts every later budget from each of several places on the way: near ones and far ones.
///
/// Places are before budgets, at most four, evenly spread from where half of the points lie below (and three budgets)
/// to the largest budget. So there are errors at more than one reach, and what a form does far beyond its points is
/// seen as far as the points allow.
///
/// # Errors
/// [`ScalingError::TooFewBudgets`] if there is no such place, or the law cannot be fitted before any.
pub fn roll_forward(
    law: &'static dyn Law,
    points: &[Point],
    fit_options: &FitOptions,
    budget_factor: f64,
) -> Result<Vec<HeldOut>, ScalingError> {
    let groups = budgets(points, budget_factor);
    let n_budgets = groups.len();
    let n_below = |budget: usize| groups[..budget].iter().map(Vec::len).sum::<usize>();
    let mut places: Vec<usize> =
        (LEAST_BELOW..n_budgets).filter(|b| 2 * n_below(*b) >= points.len()).collect();
    if places.len() > N_ORIGINS {
        let last = places.len() - 1;
        places = (0..N_ORIGINS).map(|k| places[k * last / (N_ORIGINS - 1)]).collect();
    }
    let mut all = Vec::new();
    for place in places {
        let below: Vec<Point> = groups[..place].iter().flatten().map(|i| points[*i]).collect();
        let Ok(fitted) = fit(law, &below, fit_options) else { continue };
        let top = below.iter().map(|p| p.at.flops).fold(0.0, f64::max);
        for (budget, group) in groups.iter().enumerate().skip(place) {
            all.extend(group.iter().map(|i| held_out(&fitted, points, *i, (budget, place), top)));
        }
    }
    if all.is_empty() {
        return Err(ScalingError::TooFewBudgets { n_budgets, needed: LEAST_BELOW + 1 });
    }
    Ok(all)
}

fn held_out(
    fitted: &Fit,
    points: &[Point],
    point: usize,
    (budget, n_below): (usize, usize),
    top: f64,
) -> HeldOut {
    let p = &points[point];
    let ln_error = p.loss.ln() - ln_loss(fitted.law, &fitted.theta, &p.at);
    HeldOut { point, budget, n_below, reach: p.at.flops / top, ln_error }
}

/// Mean over budgets, and over the places each was predicted from, of the mean absolute ln error; `None` of nothing.
pub fn held_out_error(errors: &[HeldOut]) -> Option<f64> {
    let mut sums: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
    for e in errors {
        let entry = sums.entry((e.budget, e.n_below)).or_default();
        entry.0 += e.ln_error.abs();
        entry.1 += 1.0;
    }
    crate::math::mean(&sums.values().map(|(sum, n)| sum / n).collect::<Vec<_>>())
}
