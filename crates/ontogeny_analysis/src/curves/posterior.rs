//! What a fit does not know: weighted draws of its coordinates, normal distributions given each.
//!
//! Draws come from Laplace's normal (whitened `JᵀJ` plus the curvature of the prior, a fifth wider) and are
//! weighted by the profile likelihood over their density, so a skewed or walled posterior keeps its shape. Given
//! a draw, amplitude and floor are normal. The noise at a later step is what AR(1) leaves of the last residual
//! and its grown variance, and the scatter of single readings about the mean of their bin.

use super::families::{Family, MAX_THETA};
use super::fit::{Effort, Optimum, Problem, Solved};
use super::readings::Readings;
use crate::math::linear::Cholesky;
use ontogeny_core::random::Philox;

/// A family fitted to readings, with what is uncertain about it.
#[derive(Debug, Clone)]
pub(crate) struct FamilyFit {
    pub(crate) family: &'static Family,
    pub(crate) optimum: Optimum,
    /// Autocorrelation of neighbouring residuals.
    pub(crate) rho: f64,
    /// Variance of an innovation, at the end of the readings.
    pub(crate) innovation: f64,
    /// Bayesian information criterion.
    pub(crate) bic: f64,
    draws: Vec<Draw>,
    last_t: f64,
    spacing: f64,
    last_residual: f64,
    within: f64,
    log: bool,
}

#[derive(Debug, Clone, Copy)]
struct Draw {
    weight: f64,
    theta: [f64; MAX_THETA],
    solved: Solved,
}

/// A normal part of a mixture, on the axis of the forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    pub(crate) weight: f64,
    pub(crate) mean: f64,
    pub(crate) var: f64,
}

impl FamilyFit {
    /// Fits `family`; `None` if it has no shape on these readings or they are too few for its parameters.
    pub(crate) fn new(
        family: &'static Family,
        r: &Readings,
        effort: Effort,
        n_draws: u64,
        also: &[[f64; MAX_THETA]],
    ) -> Option<Self> {
        let p = family.n_params() as f64;
        let n = r.len() as f64;
        if n < p + 2.0 {
            return None;
        }
        let mut problem = Problem::new(r);
        let first = problem.search(family, effort, also)?;
        let optimum = problem.refine(family, first, effort)?;
        // No fit is believed beyond ten digits.
        let floor = 1e-20 * problem.size();
        let rss = optimum.solved.rss + floor;
        let innovation = rss / (n - p);
        let off = problem.standardised(family, &optimum);
        // Weights are the same for every family; whitening's determinant is √(1 - ρ²), left out.
        let bic = n * (rss / n).ln() + (p + 1.0) * n.ln();
        Some(Self {
            family,
            optimum,
            rho: problem.rho,
            innovation,
            bic,
            draws: draws(family, &problem, &optimum, innovation, n_draws, floor),
            last_t: r.t[r.len() - 1],
            spacing: r.spacing(),
            last_residual: off[off.len() - 1],
            within: r.within,
            log: r.log,
        })
    }

    #[cfg(test)]
    /// The curve at a step, in units of the readings' scale.
    pub(crate) fn curve(&self, t: f64) -> f64 {
        let o = &self.optimum;
        o.solved.a * self.family.phi(t / self.last_t, &o.theta) + o.solved.c
    }

    /// The predictive distribution at a step as normal parts whose weights sum to 1; none where the curve has
    /// left the axis.
    pub(crate) fn parts(&self, t: f64) -> Vec<Part> {
        let x = t / self.last_t;
        let ahead = ((t - self.last_t) / self.spacing).max(0.0);
        let left = self.rho.abs().powf(ahead) * if self.rho < 0.0 { 0.0 } else { 1.0 };
        let noise =
            self.innovation * (1.0 - left * left) / (1.0 - self.rho * self.rho) + self.within;
        let mut parts: Vec<Part> = self
            .draws
            .iter()
            .filter_map(|draw| {
                let phi = self.family.phi(x, &draw.theta);
                let s = &draw.solved;
                let (r11, r12, r22) = s.triangle;
                let mut level = s.a * phi + s.c;
                let mut var = if self.family.has_floor {
                    self.innovation * (1.0 / (r11 * r11) + ((phi - r12 / r11) / r22).powi(2))
                } else {
                    self.innovation * (phi / r22).powi(2)
                };
                let mut mean = left * self.last_residual;
                if self.log {
                    if level <= 0.0 {
                        return None;
                    }
                    var /= level * level;
                    level = level.ln();
                }
                mean += level;
                let part = Part { weight: draw.weight, mean, var: var + noise };
                (mean.is_finite() && part.var.is_finite()).then_some(part)
            })
            .collect();
        let total: f64 = parts.iter().map(|p| p.weight).sum();
        // A family that leaves the axis with most of its draws has nothing to say there.
        if total < 0.5 {
            return vec![];
        }
        parts.iter_mut().for_each(|p| p.weight /= total);
        parts
    }

    /// Mean and variance of [`FamilyFit::parts`].
    pub(crate) fn moments(&self, t: f64) -> Option<(f64, f64)> {
        let parts = self.parts(t);
        (!parts.is_empty()).then(|| {
            let mean: f64 = parts.iter().map(|p| p.weight * p.mean).sum();
            let var = parts.iter().map(|p| p.weight * (p.var + (p.mean - mean).powi(2))).sum();
            (mean, var)
        })
    }
}

fn draws(
    f: &'static Family,
    problem: &Problem,
    at: &Optimum,
    innovation: f64,
    n: u64,
    floor: f64,
) -> Vec<Draw> {
    let centre = Draw { weight: 1.0, theta: at.theta, solved: at.solved };
    let k = f.theta.len();
    let curvature = problem.information(f, &at.theta).map(|mut h| {
        for (i, row) in h.iter_mut().enumerate() {
            row.iter_mut().for_each(|v| *v /= innovation);
            row[i] += f.theta[i].prior_sd().powi(-2);
        }
        h
    });
    let inverse_root = curvature.as_deref().and_then(inverse_root);
    let (Some(root), true) = (inverse_root, k > 0 && n > 1) else { return vec![centre] };
    let stream = Philox::new(1, f.name);
    let freedom = (problem.len() as f64 - f.n_params() as f64).max(1.0);
    let mut logs = vec![0.0];
    let mut out = vec![centre];
    for i in 1..n {
        let z: Vec<f64> = (0..k as u64).map(|j| stream.at(i).normal(j)).collect();
        let mut theta = at.theta;
        for (j, t) in theta[..k].iter_mut().enumerate() {
            *t += 1.2 * root[j].iter().zip(&z).map(|(r, z)| r * z).sum::<f64>();
        }
        let mut inside = theta;
        f.clamp(&mut inside);
        if inside != theta {
            continue;
        }
        let Some(solved) = problem.at(f, &theta) else { continue };
        let likelihood = -0.5 * freedom * ((solved.rss + floor) / (at.solved.rss + floor)).ln();
        logs.push(likelihood + 0.5 * z.iter().map(|z| z * z).sum::<f64>());
        out.push(Draw { weight: 1.0, theta, solved });
    }
    let top = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
    let total: f64 = logs.iter().map(|l| (l - top).exp()).sum();
    for (d, l) in out.iter_mut().zip(&logs) {
        d.weight = (l - top).exp() / total;
    }
    out.retain(|d| d.weight > 1e-4);
    out
}

/// `R` with `R Rᵀ = h⁻¹`: the columns of `h⁻¹` as a factor themselves.
fn inverse_root(h: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let factor = Cholesky::new(h)?;
    let k = h.len();
    let mut inverse: Vec<Vec<f64>> = (0..k)
        .map(|i| factor.solve(&(0..k).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>()))
        .collect();
    let mut root = vec![vec![0.0; k]; k];
    for i in 0..k {
        for j in 0..i {
            inverse[i][j] = 0.5 * (inverse[i][j] + inverse[j][i]);
        }
        for j in 0..=i {
            let rest = inverse[i][j] - (0..j).map(|m| root[i][m] * root[j][m]).sum::<f64>();
            root[i][j] = if i == j { rest.max(1e-30).sqrt() } else { rest / root[j][j] };
        }
    }
    Some(root)
}
