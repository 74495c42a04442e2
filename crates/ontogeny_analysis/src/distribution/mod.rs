//! Predictive distributions: reading, making, mixing and conditioning [`Predictive`] values.
//!
//! A [`Predictive`] is 23 quantiles given that the event happens, and the probability that it does not.
//! [`Cdf`] reads it as a distribution function: linear between quantiles; in a window (event times) linear
//! from 0 at the cutoff and to 1 at the horizon; on the line (values) with exponential tails whose scale
//! continues the outermost two quantiles. Ties are jumps.

mod combine;
mod make;
#[cfg(test)]
mod tests;

pub use combine::{difference, given_not_yet, mixture, rescale};
pub use make::{
    from_lifetimes, from_samples, from_survival, gaussian, gaussian_event, gaussian_event_with_cure,
};
pub(crate) use make::{from_weighted, log_normal_with_cure};

use crate::math::special::normal_quantile;
use ontogeny_core::{LEVELS, Predictive, Step};

/// Where a predictive distribution lives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Support {
    /// Event times, on `ln t`: after the cutoff and no later than the horizon.
    Window {
        /// `ln` of the cutoff.
        from: f64,
        /// `ln` of the horizon.
        to: f64,
    },
    /// Values: the whole line.
    Line,
}

impl Support {
    /// The window between a cutoff and a horizon; `None` if the horizon is not later.
    pub fn between(cutoff: Step, horizon: Step) -> Option<Self> {
        (horizon.ln() > cutoff.ln()).then(|| Self::Window { from: cutoff.ln(), to: horizon.ln() })
    }
}

/// A predictive distribution as a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Cdf {
    /// Corners (x, conditional probability), both non-decreasing.
    corners: Vec<(f64, f64)>,
    tails: Option<(f64, f64)>,
    happens: f64,
}

impl Cdf {
    /// Reads `p` on `support`; quantiles outside a window are moved to its edge.
    ///
    /// Returns `None` if `p` is malformed: not one finite quantile per level, decreasing, or `never_prob`
    /// outside [0, 1].
    pub fn new(p: &Predictive, support: Support) -> Option<Self> {
        let q = &p.quantiles;
        let ok = q.len() == LEVELS.len()
            && q.iter().all(|x| x.is_finite())
            && q.windows(2).all(|w| w[0] <= w[1])
            && (0.0..=1.0).contains(&p.never_prob);
        if !ok {
            return None;
        }
        let mut corners: Vec<(f64, f64)> = q.iter().copied().zip(LEVELS).collect();
        let tails = match support {
            Support::Window { from, to } => {
                for c in &mut corners {
                    c.0 = c.0.clamp(from, to);
                }
                corners.insert(0, (from, 0.0));
                corners.push((to, 1.0));
                None
            }
            Support::Line => {
                let n = q.len();
                let scale = (LEVELS[1] / LEVELS[0]).ln();
                Some(((q[1] - q[0]) / scale, (q[n - 1] - q[n - 2]) / scale))
            }
        };
        Some(Self { corners, tails, happens: 1.0 - p.never_prob })
    }

    /// Probability that it happens at all by the horizon.
    pub fn happens(&self) -> f64 {
        self.happens
    }

    /// P(X <= x and it happens): the full distribution function, at most [`Cdf::happens`].
    pub fn at(&self, x: f64) -> f64 {
        self.happens * self.given_it_happens(x)
    }

    /// P(X <= x | it happens).
    pub fn given_it_happens(&self, x: f64) -> f64 {
        let c = &self.corners;
        let n = c.partition_point(|&(at, _)| at <= x);
        if n == 0 {
            let (x0, p0) = c[0];
            return match self.tails {
                Some((s, _)) if s > 0.0 => p0 * ((x - x0) / s).exp(),
                _ => 0.0,
            };
        }
        let (x0, p0) = c[n - 1];
        if n == c.len() {
            return match self.tails {
                Some((_, s)) if s > 0.0 => 1.0 - (1.0 - p0) * (-(x - x0) / s).exp(),
                _ => 1.0,
            };
        }
        let (x1, p1) = c[n];
        p0 + (p1 - p0) * (x - x0) / (x1 - x0)
    }

    /// P(lo < X <= hi and it happens).
    pub fn mass(&self, lo: f64, hi: f64) -> f64 {
        (self.at(hi) - self.at(lo)).max(0.0)
    }

    /// Density of the full distribution at `x`, averaged over `x ± half_width`.
    pub fn density(&self, x: f64, half_width: f64) -> f64 {
        self.mass(x - half_width, x + half_width) / (2.0 * half_width)
    }

    /// The x with P(X <= x and it happens) = `level`; `None` where that is "never".
    pub fn quantile(&self, level: f64) -> Option<f64> {
        if level > self.happens || self.happens <= 0.0 {
            return None;
        }
        let p = level / self.happens;
        let c = &self.corners;
        let n = c.partition_point(|&(_, at)| at < p);
        Some(if n == 0 {
            let (x0, p0) = c[0];
            match self.tails {
                Some((s, _)) if p > 0.0 => x0 + s * (p / p0).ln(),
                _ => x0,
            }
        } else if n == c.len() {
            let (x0, p0) = c[n - 1];
            match self.tails {
                Some((_, s)) if p < 1.0 => x0 - s * ((1.0 - p) / (1.0 - p0)).ln(),
                _ => x0,
            }
        } else {
            let ((x0, p0), (x1, p1)) = (c[n - 1], c[n]);
            x0 + (x1 - x0) * (p - p0) / (p1 - p0)
        })
    }

    /// Corners of the conditional distribution function, for exact integration.
    pub(crate) fn corners(&self) -> &[(f64, f64)] {
        &self.corners
    }

    /// Scales of the exponential tails, if there are any.
    pub(crate) fn tails(&self) -> Option<(f64, f64)> {
        self.tails
    }
}

/// The median given that it happens.
pub fn median(p: &Predictive) -> f64 {
    p.quantiles[LEVELS.len() / 2]
}

/// A robust standard deviation: half the distance between the 15 % and 85 % quantiles, over 1.0364.
pub fn spread(p: &Predictive) -> f64 {
    let at = |level: f64| LEVELS.iter().position(|l| *l == level).map_or(0.0, |i| p.quantiles[i]);
    (at(0.85) - at(0.15)) / (2.0 * normal_quantile(0.85))
}

/// Probability mass of an acceptance region `(lo, hi)` on the axis of the quantiles.
pub fn mass_of(p: &Predictive, support: Support, region: (f64, f64)) -> Option<f64> {
    Some(Cdf::new(p, support)?.mass(region.0, region.1))
}
