//! Predictive distributions at places not measured: parameters, noise of a single run, and the error of the form.

use super::average::{Average, Member};
use super::bootstrap::{Bootstrap, central};
use super::data::Scale;
use super::diagnostics::extrapolation_decades;
use super::error::ScalingError;
use super::fit::{check_inputs, ln_loss};
use super::law::Input;
use super::validate::HeldOut;
use ontogeny_core::random::Philox;
use std::collections::BTreeMap;

/// A predicted loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Where.
    pub at: Scale,
    /// The loss predicted.
    pub loss: f64,
    /// Central intervals of the loss of a new run: (confidence, low, high).
    pub intervals: Vec<(f64, f64, f64)>,
    /// Factor by which intervals were widened after the held-out budgets; 1 if they were not.
    pub widened: f64,
    /// Factors of ten beyond the points, input by input.
    pub beyond: Vec<(Input, f64)>,
}

/// Draws of ln(loss) of a new run at `at`, in order of size.
///
/// Draw `r` is a resample of the parameters of a form, chosen with the weights, and a residual of that form scaled for
/// the degrees of freedom it used: `Philox(seed, "scaling-predict").at(r)`.
fn draws(boots: &[(&Member, Bootstrap)], at: &Scale, seed: u64, n: usize) -> Vec<f64> {
    let total: f64 = boots.iter().map(|b| b.0.weight).sum();
    let stream = Philox::new(seed, "scaling-predict");
    let mut all: Vec<f64> = (0..n as u64)
        .filter_map(|r| {
            let d = stream.at(r);
            let mut left = d.uniform(0) * total;
            let chosen = boots.iter().find(|b| {
                left -= b.0.weight;
                left <= 0.0
            });
            let (member, boot) = chosen.or(boots.last())?;
            let fit = &member.fit;
            let theta = boot.thetas.get(d.below(1, boot.thetas.len().max(1) as u64) as usize)?;
            let n_points = fit.residuals.len();
            let noise = fit.residuals[d.below(2, n_points as u64) as usize];
            let rest = n_points.saturating_sub(fit.n_theta()).max(1);
            let noise = noise * (n_points as f64 / rest as f64).sqrt();
            Some(ln_loss(fit.law, theta, at) + noise).filter(|v| v.is_finite())
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Half-width, in ln(loss), that intervals would have needed on budgets predicted from smaller ones, carried to a place
/// `reach` times beyond the largest run; `None` if no budget could be left out.
///
/// A wrong exponent errs in proportion to the logarithm of the reach, so an error made `r` beyond is scaled by
/// `ln(reach) / ln(r)`; errors that reach less than half as far, in logarithms, say little and are left out unless there
/// are no others (then those that reach farthest count). Of the errors of one budget from one place the quantile at
/// `confidence` is taken, and of these the one at `ceil((k + 1) q) / k`, or the largest where there are too few.
fn needed(members: &[Member], reach: f64, confidence: f64) -> Option<f64> {
    let held: Vec<(&HeldOut, f64)> = (members.iter())
        .filter(|m| m.weight >= 0.01)
        .flat_map(|m| m.rolled.iter().map(move |h| (h, m.weight)))
        .collect();
    let far = held.iter().map(|(h, _)| h.reach).fold(f64::NEG_INFINITY, f64::max);
    let wanted = reach.max(1.0).ln();
    let least = (0.5 * wanted).min(0.99 * far.max(1.0).ln());
    let mut cells: BTreeMap<(usize, usize), Vec<(f64, f64)>> = BTreeMap::new();
    for (h, weight) in held {
        let at = h.reach.max(1.0).ln();
        if at < least {
            continue;
        }
        let scale = if at > 0.0 { (wanted / at).max(1.0) } else { 1.0 };
        cells.entry((h.budget, h.n_below)).or_default().push((h.ln_error.abs() * scale, weight));
    }
    let mut scores: Vec<f64> =
        cells.into_values().filter_map(|errors| weighted_quantile(errors, confidence)).collect();
    scores.sort_by(f64::total_cmp);
    let k = scores.len();
    let at = (((k + 1) as f64 * confidence).ceil() as usize).min(k);
    at.checked_sub(1).map(|i| scores[i])
}

/// The least value with at least `q` of the weight at or below it.
fn weighted_quantile(mut values: Vec<(f64, f64)>, q: f64) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|v| v.1).sum();
    let mut sum = 0.0;
    let reached = values.iter().find(|v| {
        sum += v.1;
        sum >= q * total
    });
    reached.or(values.last()).map(|v| v.0)
}

/// Predicts the loss of a new run at `at` with central intervals at each confidence.
///
/// # Errors
/// [`ScalingError::MissingInput`] if a form needs what the place does not give.
pub fn predict(
    average: &Average,
    boots: &[(&Member, Bootstrap)],
    at: &Scale,
    confidences: &[f64],
    seed: u64,
) -> Result<Prediction, ScalingError> {
    for m in &average.members {
        check_inputs(m.fit.law, at)?;
    }
    let middle = average.loss(at)?;
    let sorted = draws(boots, at, seed, 4000);
    let top = average.members.iter().flat_map(|m| &m.fit.points).map(|p| p.at.flops);
    let reach = at.flops / top.fold(0.0, f64::max);
    let mut intervals = Vec::new();
    let mut widened = 1.0_f64;
    for &confidence in confidences {
        let Some((low, high)) = central(&sorted, confidence) else { continue };
        let (below, above) = (middle.ln() - low, high - middle.ln());
        let half = (0.5 * (high - low)).max(1e-12);
        let factor =
            needed(&average.members, reach, confidence).map_or(1.0, |e| (e / half).max(1.0));
        widened = widened.max(factor);
        let reach = |side: f64| (factor * side.max(0.25 * half)).max(0.0);
        intervals.push((
            confidence,
            (middle.ln() - reach(below)).exp(),
            (middle.ln() + reach(above)).exp(),
        ));
    }
    let beyond = average.members.first().map_or(Vec::new(), |m| extrapolation_decades(&m.fit, at));
    Ok(Prediction { at: *at, loss: middle, intervals, widened, beyond })
}
