//! Least squares of one family: many starts, Levenberg and Marquardt, noise that remembers.
//!
//! Amplitude and floor are solved inside (variable projection, Kaufman's Jacobian), so only the coordinates `θ`
//! are searched: at least thirty starts from the prior are looked at, the best few descended from. The noise is
//! AR(1) in the order of the readings: residuals of a first fit give its coefficient, rows are whitened by it and
//! refitted, twice, with Huber's weights at three deviations. Sources: Golub and Pereyra 1973; Kaufman 1975;
//! Huber 1964.

use super::families::{Family, MAX_THETA};
use super::readings::Readings;
use crate::math::linear::Cholesky;
use crate::math::{mad, median};

/// Effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Random starts looked at.
    pub starts: u64,
    /// Of which so many are descended from.
    pub descents: usize,
    /// Steps of a descent at most.
    pub steps: u32,
}

impl Default for Effort {
    fn default() -> Self {
        Self { starts: 32, descents: 3, steps: 40 }
    }
}

/// Rows of a fit: readings over their noise, whitened.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    x: Vec<f64>,
    ln_x: Vec<f64>,
    y: Vec<f64>,
    w: Vec<f64>,
    /// Autocorrelation of neighbouring residuals.
    pub(crate) rho: f64,
    /// Huber's weight of each row, square root.
    v: Vec<f64>,
    one: Vec<f64>,
    z: Vec<f64>,
}

/// A fit given `θ`: amplitude, floor and the triangle of their normal equations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Solved {
    pub(crate) rss: f64,
    pub(crate) a: f64,
    pub(crate) c: f64,
    /// `(|1|, q₁·φ, |φ'|)`; the first two are 0 without a floor.
    pub(crate) triangle: (f64, f64, f64),
}

/// Where a fit ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Optimum {
    pub(crate) theta: [f64; MAX_THETA],
    pub(crate) solved: Solved,
}

#[derive(Debug, Default)]
struct Scratch {
    phi: Vec<f64>,
    d: Vec<Vec<f64>>,
    rest: Vec<f64>,
}

impl Problem {
    /// The readings with time in units of the last step, noise without memory.
    pub(crate) fn new(r: &Readings) -> Self {
        let last = r.t[r.len() - 1];
        let x: Vec<f64> = r.t.iter().map(|t| t / last).collect();
        let ln_x = x.iter().map(|x| x.ln()).collect();
        let n = x.len();
        let mut p = Self {
            x,
            ln_x,
            y: r.y.clone(),
            w: r.w.clone(),
            rho: 0.0,
            v: vec![1.0; n],
            one: vec![],
            z: vec![],
        };
        p.prepare();
        p
    }

    pub(crate) fn len(&self) -> usize {
        self.x.len()
    }

    fn prepare(&mut self) {
        self.one = vec![1.0; self.len()];
        self.z = self.y.clone();
        let (mut one, mut z) = (std::mem::take(&mut self.one), std::mem::take(&mut self.z));
        self.whiten(&mut one);
        self.whiten(&mut z);
        (self.one, self.z) = (one, z);
    }

    fn whiten(&self, column: &mut [f64]) {
        let mut before = 0.0;
        for (i, c) in column.iter_mut().enumerate() {
            let now = self.w[i] * *c;
            *c = self.v[i]
                * if i == 0 {
                    (1.0 - self.rho * self.rho).sqrt() * now
                } else {
                    now - self.rho * before
                };
            before = now;
        }
    }

    /// Sum of squares of the whitened readings.
    pub(crate) fn size(&self) -> f64 {
        dot(&self.z, &self.z)
    }

    /// Amplitude and floor given `θ`; residuals and, if asked, their Jacobian stay in the scratch space.
    fn solve(
        &self,
        f: &Family,
        theta: &[f64; MAX_THETA],
        s: &mut Scratch,
        jac: bool,
    ) -> Option<Solved> {
        let (n, k) = (self.len(), f.theta.len());
        s.phi.resize(n, 0.0);
        s.d.resize(if jac { k } else { 0 }, vec![]);
        s.d.iter_mut().for_each(|d| d.resize(n, 0.0));
        (f.shape)(&self.x, &self.ln_x, &theta[..k], &mut s.phi, &mut s.d);
        self.whiten(&mut s.phi);
        s.rest.clone_from(&self.z);
        let whole = dot(&s.phi, &s.phi);
        let (mut r11, mut r12, mut z1) = (0.0, 0.0, 0.0);
        if f.has_floor {
            r11 = dot(&self.one, &self.one).sqrt();
            r12 = dot(&self.one, &s.phi) / r11;
            z1 = dot(&self.one, &s.rest) / r11;
            add(&mut s.phi, -r12 / r11, &self.one);
            add(&mut s.rest, -z1 / r11, &self.one);
        }
        let rr = dot(&s.phi, &s.phi);
        // A shape that is flat to fourteen digits leaves nothing to fit.
        if !rr.is_finite() || rr <= 1e-26 * whole || rr <= 1e-280 {
            return None;
        }
        let r22 = rr.sqrt();
        let a = dot(&s.phi, &s.rest) / rr;
        add(&mut s.rest, -a, &s.phi);
        let c = if f.has_floor { (z1 - r12 * a) / r11 } else { 0.0 };
        if jac {
            let mut columns = std::mem::take(&mut s.d);
            for column in &mut columns {
                self.whiten(column);
                if f.has_floor {
                    let along = dot(&self.one, column) / (r11 * r11);
                    add(column, -along, &self.one);
                }
                let along = dot(&s.phi, column) / rr;
                add(column, -along, &s.phi);
                for d in column.iter_mut() {
                    *d *= -a;
                }
            }
            s.d = columns;
        }
        let rss = dot(&s.rest, &s.rest);
        rss.is_finite().then_some(Solved { rss, a, c, triangle: (r11, r12, r22) })
    }

    /// Amplitude and floor given `θ`; `None` where the shape is flat or not finite.
    pub(crate) fn at(&self, f: &Family, theta: &[f64; MAX_THETA]) -> Option<Solved> {
        self.solve(f, theta, &mut Scratch::default(), false)
    }

    /// `JᵀJ` of the residuals by `θ`, amplitude and floor projected out.
    pub(crate) fn information(
        &self,
        f: &Family,
        theta: &[f64; MAX_THETA],
    ) -> Option<Vec<Vec<f64>>> {
        let mut s = Scratch::default();
        self.solve(f, theta, &mut s, true)?;
        let k = f.theta.len();
        Some((0..k).map(|i| (0..k).map(|j| dot(&s.d[i], &s.d[j])).collect()).collect())
    }

    /// Descends from `theta` inside the box.
    fn descend(&self, f: &Family, theta: [f64; MAX_THETA], steps: u32) -> Option<Optimum> {
        let k = f.theta.len();
        let mut s = Scratch::default();
        let mut now = Optimum { theta, solved: self.solve(f, &theta, &mut s, true)? };
        let (mut damping, mut quiet) = (1e-2, 0);
        for _ in 0..steps {
            if k == 0 || quiet == 2 || now.solved.rss <= 1e-28 * self.size() {
                break;
            }
            let slope: Vec<f64> = (0..k).map(|i| dot(&s.d[i], &s.rest)).collect();
            // A coordinate at its wall that wants out stays.
            let free: Vec<usize> = (0..k)
                .filter(|&i| {
                    let (at, c) = (now.theta[i], f.theta[i]);
                    !((at <= c.lo && slope[i] > 0.0) || (at >= c.hi && slope[i] < 0.0))
                })
                .collect();
            let normal: Vec<Vec<f64>> = free
                .iter()
                .map(|&i| free.iter().map(|&j| dot(&s.d[i], &s.d[j])).collect())
                .collect();
            let mut next = None;
            for _ in 0..8 {
                let mut damped = normal.clone();
                for (i, row) in damped.iter_mut().enumerate() {
                    // The share of the prior's curvature keeps directions without information still.
                    row[i] += damping * row[i] + 1e-15 * now.solved.rss + 1e-300;
                }
                let Some(factor) = Cholesky::new(&damped) else {
                    damping *= 10.0;
                    continue;
                };
                let rhs: Vec<f64> = free.iter().map(|&i| -slope[i]).collect();
                let mut trial = now.theta;
                for (&i, step) in free.iter().zip(factor.solve(&rhs)) {
                    trial[i] += step.clamp(-2.0, 2.0);
                }
                f.clamp(&mut trial);
                if let Some(solved) = self.at(f, &trial).filter(|t| t.rss < now.solved.rss) {
                    next = Some(Optimum { theta: trial, solved });
                    damping = (damping * 0.2).max(1e-12);
                    break;
                }
                damping *= 8.0;
            }
            let Some(better) = next else { break };
            quiet = if now.solved.rss - better.solved.rss <= 1e-7 * now.solved.rss {
                quiet + 1
            } else {
                0
            };
            now = better;
            self.solve(f, &now.theta, &mut s, true)?;
        }
        Some(now)
    }

    /// The best of many starts; `also` are starts that are always descended from.
    pub(crate) fn search(
        &self,
        f: &Family,
        effort: Effort,
        also: &[[f64; MAX_THETA]],
    ) -> Option<Optimum> {
        let mut s = Scratch::default();
        let mut seen: Vec<(f64, [f64; MAX_THETA])> = (0..effort.starts)
            .filter_map(|i| {
                let theta = f.start(i);
                Some((self.solve(f, &theta, &mut s, false)?.rss, theta))
            })
            .collect();
        seen.sort_by(|a, b| a.0.total_cmp(&b.0));
        let descents = if f.theta.is_empty() { 1 } else { effort.descents };
        let best = also
            .iter()
            .copied()
            .chain(seen.iter().take(descents).map(|s| s.1))
            .filter_map(|theta| self.descend(f, theta, effort.steps / 3))
            .min_by(|a, b| a.solved.rss.total_cmp(&b.solved.rss))?;
        self.descend(f, best.theta, effort.steps)
    }

    /// Learns memory and outliers of the noise from the residuals of a fit and refits, twice.
    pub(crate) fn refine(
        &mut self,
        f: &Family,
        mut at: Optimum,
        effort: Effort,
    ) -> Option<Optimum> {
        for _ in 0..2 {
            if at.solved.rss <= 1e-20 * self.size() {
                break;
            }
            let off = self.standardised(f, &at);
            self.rho = memory(&off, f.n_params());
            let mut fresh: Vec<f64> = std::iter::once((1.0 - self.rho * self.rho).sqrt() * off[0])
                .chain(off.windows(2).map(|e| e[1] - self.rho * e[0]))
                .collect();
            for u in &mut fresh {
                *u = u.abs();
            }
            let far = 3.0 * 1.4826 * median(&fresh)?;
            let weight = |u: &f64| if far > 0.0 && *u > far { (far / u).sqrt() } else { 1.0 };
            self.v = fresh.iter().map(weight).collect();
            self.prepare();
            at = self.descend(f, at.theta, effort.steps)?;
        }
        Some(at)
    }

    /// Residuals over their relative noise, not whitened.
    pub(crate) fn standardised(&self, f: &Family, at: &Optimum) -> Vec<f64> {
        let mut phi = vec![0.0; self.len()];
        (f.shape)(&self.x, &self.ln_x, &at.theta[..f.theta.len()], &mut phi, &mut []);
        (0..self.len())
            .map(|i| self.w[i] * (self.y[i] - at.solved.a * phi[i] - at.solved.c))
            .collect()
    }
}

/// Lag-1 autocorrelation of residuals, clipped at three deviations, with the bias of a fit of `p` parameters
/// (about `(1 + 3ρ + p)/n`) put back; inside [-.5, .98].
pub(crate) fn memory(off: &[f64], p: usize) -> f64 {
    let n = off.len() as f64;
    let sd = 1.4826 * mad(off).unwrap_or(0.0);
    let clip = |e: f64| if sd > 0.0 { e.clamp(-3.0 * sd, 3.0 * sd) } else { e };
    let all: f64 = off.iter().map(|e| clip(*e).powi(2)).sum();
    if all <= 0.0 {
        return 0.0;
    }
    let rho = off.windows(2).map(|e| clip(e[0]) * clip(e[1])).sum::<f64>() / all;
    (rho + (1.0 + 3.0 * rho + p as f64) / n).clamp(-0.5, 0.98)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(t, w)| *t += factor * w);
}
