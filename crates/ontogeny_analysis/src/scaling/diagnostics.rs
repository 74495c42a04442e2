//! Says when a form is wrong for the data, or the data cannot tell its parameters.

use super::bootstrap::Bootstrap;
use super::data::Scale;
use super::fit::Fit;
use super::law::Input;
use crate::math::linear::{Cholesky, dot, gram};
use crate::math::special::beta_inc;

/// A parameter is called nearly unidentified if the ends of its 90 % interval differ by this factor or more.
const LOOSE_FACTOR: f64 = 2.0;

/// What is doubtful about a fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostics {
    /// Root mean square of ln(measured) - ln(predicted).
    pub residual_rms: f64,
    /// Median absolute residual, in nats of ln(loss).
    pub residual_median: f64,
    /// P of a trend in the residuals as strong as found, were the form right; `None` with too few points.
    pub lack_of_fit_p: Option<f64>,
    /// Condition number of the correlations among the parameters' effects; above 1e6 some are not told apart.
    pub condition: f64,
    /// Parameters whose 90 % bootstrap interval spans a factor of two or more: compare predictions, not these.
    pub unidentified: Vec<&'static str>,
    /// Share of the starts followed to the end which reached the optimum.
    pub reached: f64,
}

/// Judges a fit with its bootstrap.
pub fn diagnose(fit: &Fit, boot: &Bootstrap) -> Diagnostics {
    let n = fit.residuals.len() as f64;
    let sizes: Vec<f64> = fit.residuals.iter().map(|r| r.abs()).collect();
    let is_loose = |name: &&'static str| {
        let Some((low, high)) = boot.interval(fit, name, 0.9) else { return false };
        low <= 0.0 || high >= LOOSE_FACTOR * low
    };
    let coordinates = fit.law.spec().theta.iter();
    Diagnostics {
        residual_rms: (fit.residuals.iter().map(|r| r * r).sum::<f64>() / n).sqrt(),
        residual_median: crate::math::median(&sizes).unwrap_or(0.0),
        lack_of_fit_p: lack_of_fit(fit),
        condition: condition(fit),
        unidentified: coordinates
            .filter(|c| c.is_log || c.name.len() > 1)
            .map(|c| c.name)
            .filter(is_loose)
            .collect(),
        reached: fit.n_reached as f64 / fit.n_followed.max(1) as f64,
    }
}

/// F test of squares and products of the logarithms against the residuals.
///
/// Residuals are taken as clipped at four times their median size, so that one outlier is no trend.
fn lack_of_fit(fit: &Fit) -> Option<f64> {
    let sizes: Vec<f64> = fit.residuals.iter().map(|r| r.abs()).collect();
    let clip = 4.0 * crate::math::median(&sizes)?;
    let y: Vec<f64> = fit.residuals.iter().map(|r| r.clamp(-clip, clip)).collect();
    // Two inputs span everything: C is a product of N and D as a rule.
    let inputs: Vec<usize> = fit.law.spec().inputs.iter().take(2).map(|i| *i as usize).collect();
    let row = |i: usize| {
        let x = fit.data.x(i);
        let mut terms = vec![1.0];
        for (k, a) in inputs.iter().enumerate() {
            terms.push(x[*a]);
            terms.push(x[*a].powi(2));
            terms.extend(inputs[..k].iter().map(|b| x[*a] * x[*b]));
        }
        terms
    };
    let rows: Vec<Vec<f64>> = (0..y.len()).map(row).collect();
    let n_terms = rows.first()?.len();
    // Directions that the law itself has already fitted cost no degree of freedom a second time.
    let n_extra = n_terms.saturating_sub(fit.n_theta().min(n_terms - 1)).max(1) as f64;
    let n_rest = y.len() as f64 - fit.n_theta() as f64 - n_extra;
    if n_rest < 3.0 {
        return None;
    }
    let factor = Cholesky::new(&gram(&rows, &vec![0.0; n_terms]))?;
    let xty: Vec<f64> =
        (0..n_terms).map(|j| rows.iter().zip(&y).map(|(r, y)| r[j] * y).sum()).collect();
    let coef = factor.solve(&xty);
    let before: f64 = y.iter().map(|y| y * y).sum();
    let after: f64 = rows.iter().zip(&y).map(|(r, y)| (y - dot(r, &coef)).powi(2)).sum();
    if before <= 0.0 || after <= 0.0 {
        return None;
    }
    let f = ((before - after) / n_extra) / (after / n_rest);
    // P(F > f) = I_x(d2/2, d1/2) with x = d2 / (d2 + d1 f).
    Some(beta_inc(0.5 * n_rest, 0.5 * n_extra, n_rest / (n_rest + n_extra * f)))
}

/// Condition number of `JᵀJ` scaled to ones on the diagonal, by power iteration on it and on its inverse, in
/// uncentred coordinates: those that are reported.
fn condition(fit: &Fit) -> f64 {
    let n = fit.n_theta();
    let mut g = [0.0; super::law::MAX_THETA];
    let rows: Vec<Vec<f64>> = (fit.points.iter())
        .map(|p| {
            fit.law.ln_loss(&fit.theta, &p.at.ln(), &mut g);
            g[..n].to_vec()
        })
        .collect();
    let mut a = gram(&rows, &vec![0.0; n]);
    let d: Vec<f64> = (0..n).map(|i| a[i][i].sqrt()).collect();
    for (i, row) in a.iter_mut().enumerate() {
        for (v, other) in row.iter_mut().zip(&d) {
            *v /= d[i] * other;
        }
    }
    let Some(factor) = Cholesky::new(&a) else { return f64::INFINITY };
    let top = |apply: &dyn Fn(&[f64]) -> Vec<f64>| {
        let mut v: Vec<f64> = (0..n).map(|i| 1.0 + 0.1 * i as f64).collect();
        let mut size = 0.0;
        for _ in 0..200 {
            v = apply(&v);
            size = dot(&v, &v).sqrt();
            for x in &mut v {
                *x /= size;
            }
        }
        size
    };
    top(&|v| a.iter().map(|row| dot(row, v)).collect()) * top(&|v| factor.solve(v))
}

/// How far beyond the points a place lies, in factors of ten of each input that the law reads; 0 inside.
pub fn extrapolation_decades(fit: &Fit, at: &Scale) -> Vec<(Input, f64)> {
    let span = |input: Input| {
        let values = fit.points.iter().map(|p| p.at.get(input));
        values.fold((f64::INFINITY, 0.0_f64), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let beyond = |input: Input| {
        let ((lo, hi), v) = (span(input), at.get(input));
        (input, (v / hi).max(lo / v).log10().max(0.0))
    };
    fit.law.spec().inputs.iter().map(|i| beyond(*i)).collect()
}
