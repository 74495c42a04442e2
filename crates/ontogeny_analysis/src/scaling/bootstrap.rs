//! What a fit would have been on other points: the bootstrap over points or over whole groups.

use super::fit::{Fit, quantities};
use super::law::Theta;
use super::minimize::{Inverse, Stop, minimize_knowing};
use crate::math::quantile_sorted;
use ontogeny_core::random::Philox;
use rayon::prelude::*;

/// A start that is so much worse than the best end after its first steps is given up.
const ABANDON_ABOVE: f64 = 1.5;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootstrapOptions {
    /// Resamples.
    pub n_resamples: usize,
    /// Starts of the law's grid tried beside the optimum, spread evenly over it.
    pub n_extra_starts: usize,
    /// Decides the draws.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { n_resamples: 4000, n_extra_starts: 2, seed: 0 }
    }
}

/// Fits to resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    /// Parameters in uncentred coordinates, resample by resample; those that found no optimum are left out.
    pub thetas: Vec<Theta>,
    /// Resamples left out.
    pub n_failed: usize,
}

impl Bootstrap {
    /// Central interval of a quantity of the fit (see [`Fit::quantities`]); `None` if it has no such quantity.
    pub fn interval(&self, fit: &Fit, name: &str, confidence: f64) -> Option<(f64, f64)> {
        let k = fit.quantities().iter().position(|q| q.0 == name)?;
        let mut values: Vec<f64> = self
            .thetas
            .iter()
            .map(|t| quantities(fit.law, t)[k].1)
            .filter(|v| !v.is_nan())
            .collect();
        values.sort_by(f64::total_cmp);
        central(&values, confidence)
    }
}

/// Central interval of sorted values.
pub(super) fn central(sorted: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let tail = 0.5 * (1.0 - confidence);
    Some((quantile_sorted(sorted, tail)?, quantile_sorted(sorted, 1.0 - tail)?))
}

/// Refits on resamples of the points, or of whole `groups` of them (indices into [`Fit::points`]).
///
/// Draw `i` of resample `r` is `Philox(seed, "scaling-bootstrap").at(r).below(i, n)`. Every resample starts from the
/// optimum of all points and from a few of the law's own starts, which are given up if they are far behind after 15
/// steps; the best end counts. The bits do not depend on
/// the number of threads.
pub fn bootstrap(
    fit: &Fit,
    groups: Option<&[Vec<usize>]>,
    options: &BootstrapOptions,
) -> Bootstrap {
    let stream = Philox::new(options.seed, "scaling-bootstrap");
    let (law, data, n) = (fit.law, &fit.data, fit.n_theta());
    let centre = data.centre();
    let back = centre.map(|c| -c);
    let grid = law.starts(data);
    let n_extra = options.n_extra_starts.min(grid.len());
    let extra = (0..n_extra).map(|k| (2 * k + 1) * grid.len() / (2 * n_extra));
    let extra: Vec<Theta> = extra.map(|k| law.shift(&grid[k], &back)).collect();
    let known = fit.curvature.inverse();
    let one = |r: u64| {
        let draws = stream.at(r);
        let mut counts = vec![0_u32; data.len()];
        if let Some(groups) = groups {
            for i in 0..groups.len() as u64 {
                let drawn = &groups[draws.below(i, groups.len() as u64) as usize];
                for p in drawn {
                    counts[*p] += 1;
                }
            }
        } else {
            for i in 0..data.len() as u64 {
                counts[draws.below(i, data.len() as u64) as usize] += 1;
            }
        }
        let resample = data.resampled(&counts);
        let delta = fit.options.huber_delta;
        let objective = |t: &Theta, g: &mut Theta| law.objective(&resample, delta, t, g);
        let follow = |start: &Theta, known: Option<&Inverse>, stop: Stop| {
            minimize_knowing(n, start, known, stop, objective)
        };
        let mut best = follow(&fit.centred, known.as_ref(), Stop::COARSE)?;
        for start in &extra {
            let Some(early) = follow(start, None, Stop::GLANCE) else { continue };
            if early.value < ABANDON_ABOVE * best.value {
                let end = follow(&early.theta, Some(&early.inverse), Stop::COARSE);
                best = end.filter(|m| m.value < best.value).unwrap_or(best);
            }
        }
        let theta = law.shift(&best.theta, &centre);
        theta.iter().all(|t| t.is_finite()).then_some(theta)
    };
    let all: Vec<Option<Theta>> =
        (0..options.n_resamples as u64).into_par_iter().map(one).collect();
    let thetas: Vec<Theta> = all.into_iter().flatten().collect();
    Bootstrap { n_failed: options.n_resamples - thetas.len(), thetas }
}
