//! Changes inside a prefix: where one curve ends and another begins.
//!
//! Two curves (power laws of a few exponents, the line in `t` and in `ln t`, each with a floor) joined at every
//! possible reading, against the best single flexible family. The two are compared by the information criterion
//! with AR(1) innovations, so a wandering series is no chain of changes. A change counts above a difference of
//! ten ("very strong", Kass and Raftery 1995); what follows is searched again. The chance of a change still to
//! come has a gamma prior on its rate per unit of `ln t`, updated by how many were found.

use super::families::family;
use super::fit::{Effort, memory};
use super::posterior::FamilyFit;
use super::readings::Readings;

/// Readings on either side of a change.
const SIDE: usize = 5;
/// Difference of the criterion.
const STRONG: f64 = 10.0;
/// Parameters of two curves: twice three, the place of the change (which was searched: twice), the memory.
const TWO: f64 = 9.0;

/// A change that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Step of the first reading after it.
    pub at: f64,
    /// Size of the jump, on the axis of the forecast.
    pub size: f64,
}

/// A line in `φ(x)` on one side.
#[derive(Debug, Clone, Copy)]
struct Side {
    rss: f64,
    shape: usize,
    a: f64,
    c: f64,
}

/// The last change of the readings and those before it; `from` is the first reading after the last one.
pub(crate) fn changes(r: &Readings) -> (Vec<Change>, usize) {
    let (mut found, mut from) = (vec![], 0);
    while found.len() < 3 {
        let rest = r.since(from);
        let Some((at, size)) = strongest(&rest) else { break };
        found.push(Change { at: rest.t[at], size });
        from += at;
    }
    (found, from)
}

fn strongest(r: &Readings) -> Option<(usize, f64)> {
    let n = r.len();
    if n < 4 * SIDE {
        return None;
    }
    let sums: Vec<Vec<[f64; 6]>> = (0..N_SHAPES).map(|s| running(r, s)).collect();
    let side = |from: usize, to: usize| -> Option<Side> {
        (0..N_SHAPES)
            .filter_map(|s| line(&sums[s], s, from, to))
            .min_by(|a, b| a.rss.total_cmp(&b.rss))
    };
    let (_, at, before, after) = (SIDE..=n - SIDE)
        .filter_map(|at| {
            let (a, b) = (side(0, at)?, side(at, n)?);
            Some((a.rss + b.rss, at, a, b))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let curve = |s: &Side, t: f64| s.a * shape(s.shape, t / r.t[n - 1]) + s.c;
    let off: Vec<f64> = (0..n)
        .map(|i| r.w[i] * (r.y[i] - curve(if i < at { &before } else { &after }, r.t[i])))
        .collect();
    let rho = memory(&off, 4);
    let fresh = off.windows(2).map(|e| (e[1] - rho * e[0]).powi(2)).sum::<f64>()
        + (1.0 - rho * rho) * off[0] * off[0];
    let count = n as f64;
    let size = r.y.iter().zip(&r.w).map(|(y, w)| (y * w).powi(2)).sum::<f64>();
    let two = count * ((fresh + 1e-20 * size) / count).ln() + TWO * count.ln();
    let one = ["pow4", "mmf4", "exp4", "bnsl1"]
        .iter()
        .filter_map(|name| Some(FamilyFit::new(family(name)?, r, QUICK, 1, &[])?.bic))
        .fold(f64::INFINITY, f64::min);
    let jump = if r.log {
        (curve(&after, r.t[at]).max(1e-300) / curve(&before, r.t[at]).max(1e-300)).ln().abs()
    } else {
        (curve(&after, r.t[at]) - curve(&before, r.t[at])).abs()
    };
    (one - two > STRONG && jump.is_finite()).then_some((at, jump))
}

const QUICK: Effort = Effort { starts: 32, descents: 2, steps: 25 };
const N_SHAPES: usize = 6;

fn shape(which: usize, x: f64) -> f64 {
    match which {
        0 => x,
        1 => x.ln(),
        2 => x.powf(-0.3),
        3 => x.powf(-0.7),
        4 => 1.0 / x,
        _ => 1.0 / (x * x),
    }
}

/// Running sums of weight times 1, φ, φ², y, φy, y².
fn running(r: &Readings, which: usize) -> Vec<[f64; 6]> {
    let last = r.t[r.len() - 1];
    let mut sums = vec![[0.0; 6]];
    let mut s = [0.0; 6];
    for i in 0..r.len() {
        let (w, p, y) = (r.w[i] * r.w[i], shape(which, r.t[i] / last), r.y[i]);
        for (s, v) in s.iter_mut().zip([1.0, p, p * p, y, p * y, y * y]) {
            *s += w * v;
        }
        sums.push(s);
    }
    sums
}

fn line(sums: &[[f64; 6]], which: usize, from: usize, to: usize) -> Option<Side> {
    let mut s = sums[to];
    s.iter_mut().zip(&sums[from]).for_each(|(s, b)| *s -= b);
    let [w, p, pp, y, py, yy] = s;
    let (mp, my) = (p / w, y / w);
    let (vp, cov, vy) = (pp - w * mp * mp, py - w * mp * my, yy - w * my * my);
    if vp.is_nan() || vp <= 1e-9 * pp {
        return None;
    }
    let a = cov / vp;
    Some(Side { rss: (vy - a * cov).max(0.0), shape: which, a, c: my - a * mp })
}

/// Probability of a change between two steps, given how many were found since the first reading.
///
/// Gamma prior on the rate per unit of `ln t` with mean `hazard`, worth five units.
pub(crate) fn chance(hazard: f64, n_found: usize, first: f64, last: f64, at: f64) -> f64 {
    let seen = (last / first).ln().max(0.0);
    let rate = (5.0 * hazard + n_found as f64) / (5.0 + seen);
    1.0 - (-rate * (at / last).ln().max(0.0)).exp()
}
