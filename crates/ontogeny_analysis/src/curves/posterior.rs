//! What a fit does not know: weighted draws of its coordinates, normal distributions given each.
//!
//! Draws come from the prior's box, from Laplace's normal (whitened `JᵀJ` plus the curvature of the prior) and
//! from a normal around what those two found, a third each; their weights are the profile likelihood over the
//! density of that mixture, so a skewed or walled posterior keeps its shape. Given a draw, amplitude and floor are
//! normal. How far a curve may still go has a prior of its own: the level at a later step is that of the last
//! reading, plus or minus [`REACH`] times the range seen so far for the part that is at hand and for each
//! further e-fold of steps. The noise at a later step is what AR(1) leaves of the last residual and its grown
//! variance, and the scatter of single readings about the mean of their bin.

use super::families::{Family, MAX_THETA};
use super::fit::{Effort, Optimum, Problem, Solved};
use super::readings::Readings;
use crate::math::linear::Cholesky;
use ontogeny_core::random::{Draws, Philox};

/// Prior standard deviation of the change still to come per e-fold of steps, in ranges seen.
const REACH: f64 = 2.0;

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
    range: f64,
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
            range: r.range(),
            log: r.log,
        })
    }

    #[cfg(test)]
    /// The curve at a step, in units of the readings' scale.
    pub(crate) fn curve(&self, t: f64) -> f64 {
        let o = &self.optimum;
        o.solved.a * self.family.phi(t / self.last_t, &o.theta) + o.solved.c
    }

    /// The predictive distribution at a step as normal parts. Their weights sum to less than 1 where draws
    /// have left the axis or go further than the prior believes.
    pub(crate) fn parts(&self, t: f64) -> Vec<Part> {
        let x = t / self.last_t;
        let ahead = ((t - self.last_t) / self.spacing).max(0.0);
        let left = self.rho.abs().powf(ahead) * if self.rho < 0.0 { 0.0 } else { 1.0 };
        let noise =
            self.innovation * (1.0 - left * left) / (1.0 - self.rho * self.rho) + self.within;
        let prior = (REACH * self.range * (1.0 + x.ln().max(0.0))).powi(2);
        self.draws
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
                let now = s.a * self.family.phi(1.0, &draw.theta) + s.c;
                let mut change = level - now;
                if self.log {
                    if level <= 0.0 || now <= 0.0 {
                        return None;
                    }
                    var /= level * level;
                    level = level.ln();
                    change = level - now.ln();
                }
                // The prior of the change, a normal about 0, times the likelihood, a normal about `change`.
                let share = prior / (prior + var);
                let weight =
                    draw.weight * share.sqrt() * (-0.5 * change * change / (prior + var)).exp();
                let mean = level - (1.0 - share) * change + left * self.last_residual;
                let part = Part { weight, mean, var: var * share + noise };
                (mean.is_finite() && part.var.is_finite() && weight.is_finite()).then_some(part)
            })
            .collect()
    }

    /// Mean and variance of [`FamilyFit::parts`].
    pub(crate) fn moments(&self, t: f64) -> Option<(f64, f64)> {
        let mut parts = self.parts(t);
        let total: f64 = parts.iter().map(|p| p.weight).sum();
        if total <= 1e-9 {
            return None;
        }
        for p in &mut parts {
            p.weight /= total;
        }
        let mean: f64 = parts.iter().map(|p| p.weight * p.mean).sum();
        let var = parts.iter().map(|p| p.weight * (p.var + (p.mean - mean).powi(2))).sum();
        Some((mean, var))
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
    let k = f.theta.len();
    let centre = vec![Draw { weight: 1.0, theta: at.theta, solved: at.solved }];
    if k == 0 || n < 6 {
        return centre;
    }
    let laplace = problem.information(f, &at.theta).and_then(|mut h| {
        for (i, row) in h.iter_mut().enumerate() {
            for v in row.iter_mut() {
                *v /= innovation;
            }
            row[i] += f.theta[i].prior_sd().powi(-2);
        }
        Bell::new(at.theta, inverse_root(&h)?, 1.2)
    });
    let Some(laplace) = laplace else { return centre };
    let stream = Philox::new(1, f.name);
    let freedom = (problem.len() as f64 - f.n_params() as f64).max(1.0);
    let mut seen: Vec<(f64, Draw)> = vec![];
    let look = |theta: [f64; MAX_THETA], seen: &mut Vec<(f64, Draw)>| {
        let mut inside = theta;
        f.clamp(&mut inside);
        if let Some(solved) = problem.at(f, &theta).filter(|_| inside == theta) {
            let likelihood = -0.5 * freedom * ((solved.rss + floor) / (at.solved.rss + floor)).ln();
            seen.push((likelihood, Draw { weight: 1.0, theta, solved }));
        }
    };
    look(at.theta, &mut seen);
    let third = n / 3;
    (0..third).for_each(|i| look(f.start(i), &mut seen));
    (0..third).for_each(|i| look(laplace.draw(k, stream.at(i)), &mut seen));
    weigh(f, &mut seen, &[&laplace]);
    let second = Bell::around(k, &seen);
    let mut bells = vec![&laplace];
    if let Some(b) = &second {
        (third..2 * third).for_each(|i| look(b.draw(k, stream.at(i)), &mut seen));
        bells.push(b);
    }
    weigh(f, &mut seen, &bells);
    seen.into_iter().map(|s| s.1).filter(|d| d.weight > 1e-4).collect()
}

/// Weights: likelihood over the density of the mixture of proposals (the box and the bells, evenly).
fn weigh(f: &Family, seen: &mut [(f64, Draw)], bells: &[&Bell]) {
    let k = f.theta.len();
    let volume: f64 = f.theta.iter().map(|c| c.hi - c.lo).product();
    let logs: Vec<f64> = seen
        .iter()
        .map(|(l, d)| {
            let density = 1.0 / volume + bells.iter().map(|b| b.density(k, &d.theta)).sum::<f64>();
            l - density.ln()
        })
        .collect();
    let top = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
    let total: f64 = logs.iter().map(|l| (l - top).exp()).sum();
    seen.iter_mut().zip(&logs).for_each(|(s, l)| s.1.weight = (l - top).exp() / total);
}

/// A multivariate normal, `θ = centre + root z`.
#[derive(Debug)]
struct Bell {
    centre: [f64; MAX_THETA],
    /// Lower triangle.
    root: Vec<Vec<f64>>,
    ln_det: f64,
}

impl Bell {
    fn new(centre: [f64; MAX_THETA], mut root: Vec<Vec<f64>>, wider: f64) -> Option<Self> {
        root.iter_mut().flatten().for_each(|r| *r *= wider);
        let ln_det: f64 = (0..root.len()).map(|i| root[i][i].ln()).sum();
        ln_det.is_finite().then_some(Self { centre, root, ln_det })
    }

    /// Around weighted draws, a half wider than they lie.
    fn around(k: usize, seen: &[(f64, Draw)]) -> Option<Self> {
        let mut centre = [0.0; MAX_THETA];
        for (_, d) in seen {
            (0..k).for_each(|i| centre[i] += d.weight * d.theta[i]);
        }
        let mut cov = vec![vec![0.0; k]; k];
        for (_, d) in seen {
            for i in 0..k {
                for j in 0..k {
                    cov[i][j] += d.weight * (d.theta[i] - centre[i]) * (d.theta[j] - centre[j]);
                }
            }
        }
        // A few draws may lie on a plane.
        (0..k).for_each(|i| cov[i][i] += 1e-3 * cov[i][i] + 1e-12);
        Self::new(centre, root_of(&cov), 1.5)
    }

    fn draw(&self, k: usize, d: Draws) -> [f64; MAX_THETA] {
        let mut theta = self.centre;
        let z: Vec<f64> = (0..k as u64).map(|j| d.normal(j)).collect();
        for (i, t) in theta[..k].iter_mut().enumerate() {
            *t += (0..=i).map(|j| self.root[i][j] * z[j]).sum::<f64>();
        }
        theta
    }

    fn density(&self, k: usize, theta: &[f64; MAX_THETA]) -> f64 {
        let mut z = [0.0; MAX_THETA];
        for i in 0..k {
            let rest: f64 = (0..i).map(|j| self.root[i][j] * z[j]).sum();
            z[i] = (theta[i] - self.centre[i] - rest) / self.root[i][i];
        }
        let square: f64 = z[..k].iter().map(|z| z * z).sum();
        (-0.5 * square - self.ln_det - 0.5 * k as f64 * std::f64::consts::TAU.ln()).exp()
    }
}

/// `R` with `R Rᵀ = h⁻¹`.
fn inverse_root(h: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let factor = Cholesky::new(h)?;
    let k = h.len();
    let unit = |i: usize| (0..k).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>();
    let inverse: Vec<Vec<f64>> = (0..k).map(|i| factor.solve(&unit(i))).collect();
    Some(root_of(&inverse))
}

/// Lower triangle `R` with `R Rᵀ = a`; a direction without variance gets next to none.
fn root_of(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let k = a.len();
    let mut root = vec![vec![0.0; k]; k];
    for i in 0..k {
        for j in 0..=i {
            let rest = a[i][j] - (0..j).map(|m| root[i][m] * root[j][m]).sum::<f64>();
            root[i][j] =
                if i == j { rest.max(1e-9 * a[i][i]).max(1e-30).sqrt() } else { rest / root[j][j] };
        }
    }
    root
}
