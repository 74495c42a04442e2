//! Leave the largest budgets out, fit below them, and see: the only test that asks what a scaling law is for.

use super::budgets::budgets;
use super::data::Point;
use super::error::ScalingError;
use super::fit::{Fit, FitOptions, fit, ln_loss};
use super::law::Law;
use std::collections::BTreeMap;
use std::ops::Range;

/// Budgets that must lie below the first one left out.
const LEAST_BELOW: usize = 3;

/// Of the largest budgets so many are predicted, each from those below it.
const N_HELD_OUT: usize = 3;

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

/// Points by budget, and the law fitted below some of them: each fit is made once, whoever asks for it.
#[derive(Debug)]
pub(super) struct Ladder<'a> {
    law: &'static dyn Law,
    points: &'a [Point],
    options: &'a FitOptions,
    groups: Vec<Vec<usize>>,
    /// By the number of budgets below: the fit and the compute of its largest run; `None` where it cannot be made.
    fits: BTreeMap<usize, Option<(Fit, f64)>>,
}

impl<'a> Ladder<'a> {
    pub(super) fn new(
        law: &'static dyn Law,
        points: &'a [Point],
        options: &'a FitOptions,
        budget_factor: f64,
    ) -> Self {
        let groups = budgets(points, budget_factor);
        Self { law, points, options, groups, fits: BTreeMap::new() }
    }

    /// Predicts every point of `budgets` from the first `n_below` budgets; nothing if the law cannot be fitted there.
    fn predict(&mut self, n_below: usize, budgets: Range<usize>) -> Vec<HeldOut> {
        let (law, points, groups) = (self.law, self.points, &self.groups);
        let fitted = self.fits.entry(n_below).or_insert_with(|| {
            let below: Vec<Point> =
                groups[..n_below].iter().flatten().map(|i| points[*i]).collect();
            let top = below.iter().map(|p| p.at.flops).fold(0.0, f64::max);
            Some((fit(law, &below, self.options).ok()?, top))
        });
        let Some((fitted, top)) = fitted else { return Vec::new() };
        let one = |budget: usize, point: usize| {
            let p = &points[point];
            let ln_error = p.loss.ln() - ln_loss(fitted.law, &fitted.theta, &p.at);
            HeldOut { point, budget, n_below, reach: p.at.flops / *top, ln_error }
        };
        budgets
            .flat_map(|b| groups[b].iter().map(move |i| (b, *i)))
            .map(|(b, i)| one(b, i))
            .collect()
    }

    /// Predicts each of the three largest budgets from those below it.
    pub(super) fn largest(&mut self) -> Vec<HeldOut> {
        let n_budgets = self.groups.len();
        let first = n_budgets.saturating_sub(N_HELD_OUT).max(LEAST_BELOW);
        (first..n_budgets).flat_map(|budget| self.predict(budget, budget..budget + 1)).collect()
    }

    /// Predicts every later budget from each of several places on the way: near ones and far ones.
    ///
    /// Places are before budgets, at most four, evenly spread from where half of the points lie below (and three
    /// budgets) to the largest budget. So there are errors at more than one reach, and what a form does far beyond its
    /// points is seen as far as the points allow.
    pub(super) fn rolled(&mut self) -> Vec<HeldOut> {
        let n_budgets = self.groups.len();
        let n_below = |budget: usize| self.groups[..budget].iter().map(Vec::len).sum::<usize>();
        let mut places: Vec<usize> =
            (LEAST_BELOW..n_budgets).filter(|b| 2 * n_below(*b) >= self.points.len()).collect();
        if places.len() > N_ORIGINS {
            let last = places.len() - 1;
            places = (0..N_ORIGINS).map(|k| places[k * last / (N_ORIGINS - 1)]).collect();
        }
        places.into_iter().flat_map(|place| self.predict(place, place..n_budgets)).collect()
    }
}

/// Predicts each of the three largest budgets from those below it. Compute within `budget_factor` is one budget.
///
/// Budgets for which the law cannot be fitted below are left out of the answer.
///
/// # Errors
/// [`ScalingError::TooFewBudgets`] if fewer than three budgets lie below every one that could be left out.
pub fn leave_largest_out(
    law: &'static dyn Law,
    points: &[Point],
    fit_options: &FitOptions,
    budget_factor: f64,
) -> Result<Vec<HeldOut>, ScalingError> {
    let mut ladder = Ladder::new(law, points, fit_options, budget_factor);
    let (n_budgets, needed) = (ladder.groups.len(), LEAST_BELOW + 1);
    if n_budgets < needed {
        return Err(ScalingError::TooFewBudgets { n_budgets, needed });
    }
    let all = ladder.largest();
    if all.is_empty() {
        return Err(ScalingError::TooFewBudgets { n_budgets, needed: n_budgets + 1 });
    }
    Ok(all)
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
