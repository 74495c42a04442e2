//! Profile intervals: how far one parameter can go while the others do their best to make up for it.
//!
//! For a Huber objective `F`, `2 (F(v) - F_min) E psi' / E psi²` is asymptotically chi-squared with one degree of
//! freedom (Ronchetti 1982; Hampel et al. 1986, sec. 7.2). An end that is not found within a hundred standard errors is
//! reported as open: the data do not bound the parameter on that side.

use super::fit::Fit;
use super::law::{MAX_THETA, Theta};
use super::minimize::{Stop, minimize};
use crate::math::special::normal_quantile;

/// An interval from a profile; `None` is an open end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProfileInterval {
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// The profile interval of parameter `j` of the fit's law, as people know it (not its logarithm).
///
/// `None` if the law has no such parameter or the objective is exactly zero (points without noise).
pub fn profile_interval(fit: &Fit, j: usize, confidence: f64) -> Option<ProfileInterval> {
    let coordinate = fit.law.spec().theta.get(j)?;
    let z = normal_quantile(0.5 + 0.5 * confidence);
    let allowed = 0.5 * z * z * fit.curvature.unit();
    if allowed.is_nan() || allowed <= 0.0 {
        return None;
    }
    let path = Path::new(fit, j);
    let end = |sign: f64| path.reach(sign, allowed).map(|v| coordinate.natural(v));
    let (low, high) = (end(-1.0), end(1.0));
    Some(ProfileInterval { low, high })
}

/// One uncentred coordinate held while the others move. Centring is affine, so holding it is a linear constraint
/// that is solved for the coordinate itself.
struct Path<'a> {
    fit: &'a Fit,
    j: usize,
    /// d(uncentred coordinate j) / d(centred coordinates).
    row: Theta,
    /// Value of uncentred coordinate `j` at centred parameters 0.
    offset: f64,
    /// Its standard error, about.
    scale: f64,
}

impl<'a> Path<'a> {
    fn new(fit: &'a Fit, j: usize) -> Self {
        let centre = fit.data.centre();
        let offset = fit.law.shift(&[0.0; MAX_THETA], &centre)[j];
        let mut row = [0.0; MAX_THETA];
        for (k, slope) in row.iter_mut().enumerate().take(fit.n_theta()) {
            let mut unit = [0.0; MAX_THETA];
            unit[k] = 1.0;
            *slope = fit.law.shift(&unit, &centre)[j] - offset;
        }
        let n = fit.n_theta();
        let variance = fit.curvature.gram().map(|g| g.inverse_form(&row[..n]));
        let sd = variance.map(|v| (v * fit.curvature.square).sqrt() / fit.curvature.slope);
        Self { fit, j, row, offset, scale: sd.filter(|s| *s > 0.0).unwrap_or(0.1) }
    }

    /// Lowest objective with coordinate `j` at `v`, and where; searched from `from`.
    fn lowest(&self, v: f64, from: &Theta) -> Option<(f64, Theta)> {
        let (fit, j, n) = (self.fit, self.j, self.fit.n_theta());
        let expand = |free: &Theta| -> Theta {
            let mut theta = [0.0; MAX_THETA];
            let held = (0..n).filter(|k| *k != j);
            held.zip(free).for_each(|(k, v)| theta[k] = *v);
            let others: f64 = (0..n).filter(|k| *k != j).map(|k| self.row[k] * theta[k]).sum();
            theta[j] = (v - self.offset - others) / self.row[j];
            theta
        };
        let mut start = [0.0; MAX_THETA];
        let others = (0..n).filter(|k| *k != j);
        others.enumerate().for_each(|(at, k)| start[at] = from[k]);
        let delta = fit.options.huber_delta;
        let found = minimize(n - 1, &start, Stop::FINE, |free, grad| {
            let mut g = [0.0; MAX_THETA];
            let value = fit.law.objective(&fit.data, delta, &expand(free), &mut g);
            *grad = [0.0; MAX_THETA];
            let others = (0..n).filter(|k| *k != j);
            others
                .enumerate()
                .for_each(|(at, k)| grad[at] = g[k] - g[j] * self.row[k] / self.row[j]);
            value
        })?;
        Some((found.value, expand(&found.theta)))
    }

    /// Where the lowest objective has risen by `allowed`, going up (`sign` 1) or down (-1).
    fn reach(&self, sign: f64, allowed: f64) -> Option<f64> {
        let best = self.fit.theta[self.j];
        let level = self.fit.objective + allowed;
        let (mut inside, mut at) = (0.0, self.fit.centred);
        let mut step = self.scale;
        let mut outside = None;
        while outside.is_none() && step <= 100.0 * self.scale {
            let (value, theta) = self.lowest(best + sign * step, &at)?;
            if value > level {
                outside = Some(step);
            } else {
                (inside, at) = (step, theta);
                step *= 1.6;
            }
        }
        let mut outside = outside?;
        for _ in 0..12 {
            let middle = 0.5 * (inside + outside);
            let (value, theta) = self.lowest(best + sign * middle, &at)?;
            if value > level {
                outside = middle;
            } else {
                (inside, at) = (middle, theta);
            }
        }
        Some(best + sign * 0.5 * (inside + outside))
    }
}
