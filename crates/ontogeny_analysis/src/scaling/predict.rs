//! Predictive distributions at places not measured: parameters, noise of a single run, and the error of the form.

use super::average::{Average, Member};
use super::bootstrap::{Bootstrap, central};
use super::data::Scale;
use super::diagnostics::extrapolation_decades;
use super::error::ScalingError;
use super::fit::{check_inputs, ln_loss};
use super::law::Input;
use ontogeny_core::random::Philox;

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

/// What widening is needed for intervals to have covered the budgets left out, at one confidence.
///
/// Scores are the held-out errors of the heaviest form over the half-width that its residuals alone would give there;
/// the quantile at `ceil((k + 1) q) / k` of the worst error per budget is taken, or the largest where there are too few
/// budgets for it. Never below 1.
fn widening(member: &Member, confidence: f64, half_width: f64) -> f64 {
    let mut worst: std::collections::BTreeMap<usize, Vec<f64>> = std::collections::BTreeMap::new();
    for h in &member.held_out {
        worst.entry(h.budget).or_default().push(h.ln_error.abs());
    }
    // One number per budget: the quantile of its errors at the wanted confidence.
    let mut scores: Vec<f64> = (worst.into_values())
        .filter_map(|e| crate::math::quantile(&e, confidence))
        .map(|e| e / half_width.max(1e-12))
        .collect();
    scores.sort_by(f64::total_cmp);
    let k = scores.len();
    let at = (((k + 1) as f64 * confidence).ceil() as usize).min(k);
    at.checked_sub(1).map_or(1.0, |i| scores[i].max(1.0))
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
    let mut intervals = Vec::new();
    let mut widened = 1.0_f64;
    for &confidence in confidences {
        let Some((low, high)) = central(&sorted, confidence) else { continue };
        let (below, above) = (middle.ln() - low, high - middle.ln());
        let half = 0.5 * (high - low);
        let factor = average.members.first().map_or(1.0, |m| widening(m, confidence, half));
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
