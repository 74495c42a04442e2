//! Makes predictive distributions: from normals, samples, survival functions and finished runs.

use crate::math::special::{normal_quantile, normal_sf};
use crate::survival::{Lifetime, kaplan_meier};
use ontogeny_core::{LEVELS, Predictive, Step};

/// N(mu, sigma²) for a value.
pub fn gaussian(mu: f64, sigma: f64) -> Predictive {
    let quantiles = LEVELS.iter().map(|p| mu + sigma * normal_quantile(*p)).collect();
    Predictive { quantiles, never_prob: 0.0 }
}

/// A normal `ln T`, given that it has not happened by the cutoff.
///
/// `ln T ~ N(mu, sigma²)` truncated to `(ln t0, ln H]`; the mass beyond `H` becomes `never_prob`.
pub fn gaussian_event(mu: f64, sigma: f64, cutoff: Step, horizon: Step) -> Predictive {
    log_normal_with_cure(mu, sigma, 0.0, cutoff.ln(), horizon.ln())
}

/// Like [`gaussian_event`] with a share `cured` of runs in which it never happens.
pub fn gaussian_event_with_cure(
    mu: f64,
    sigma: f64,
    cured: f64,
    cutoff: Step,
    horizon: Step,
) -> Predictive {
    log_normal_with_cure(mu, sigma, cured, cutoff.ln(), horizon.ln())
}

/// [`gaussian_event_with_cure`] with cutoff and horizon on `ln t`, inverted in closed form.
pub(crate) fn log_normal_with_cure(
    mu: f64,
    sigma: f64,
    cured: f64,
    from: f64,
    to: f64,
) -> Predictive {
    let sigma = sigma.max(1e-6);
    let z = |u: f64| (u - mu) / sigma;
    let (n0, n1) = (normal_sf(z(from)), normal_sf(z(to)));
    let survival = |u: f64| cured + (1.0 - cured) * normal_sf(z(u));
    if n0 <= 1e-290 || n0 - n1 <= 1e-12 * n0 || to <= from {
        return from_survival(survival, from, to);
    }
    let quantiles = LEVELS
        .iter()
        .map(|p| (mu - sigma * normal_quantile(n0 - p * (n0 - n1))).clamp(from, to))
        .collect();
    Predictive { quantiles, never_prob: (survival(to) / survival(from)).clamp(0.0, 1.0) }
}

/// From a survival function on `ln t`, conditioned on "not yet" at `from` and cut at `to`.
///
/// `never_prob = S(to) / S(from)`; the rest is inverted at [`LEVELS`] by bisection. If `S(from)` is 0 the
/// event is overdue and the mass sits at the cutoff.
pub fn from_survival(survival: impl Fn(f64) -> f64, from: f64, to: f64) -> Predictive {
    let (s0, s1) = (survival(from), survival(to));
    let span = (to - from).max(0.0);
    if s0.is_nan() || s0 <= 1e-290 {
        let quantiles = LEVELS.iter().map(|p| from + 1e-3 * p * span).collect();
        return Predictive { quantiles, never_prob: 0.0 };
    }
    let never_prob = (s1 / s0).clamp(0.0, 1.0);
    if s0 - s1 <= 1e-12 * s0 || span <= 0.0 {
        return Predictive { quantiles: log_uniform(from, to), never_prob };
    }
    let mut lo = from;
    let quantiles = LEVELS
        .iter()
        .map(|p| {
            let target = s0 - p * (s0 - s1);
            let mut hi = to;
            for _ in 0..60 {
                let mid = 0.5 * (lo + hi);
                if survival(mid) > target { lo = mid } else { hi = mid }
            }
            lo = 0.5 * (lo + hi);
            lo
        })
        .collect();
    Predictive { quantiles, never_prob }
}

pub(super) fn log_uniform(from: f64, to: f64) -> Vec<f64> {
    LEVELS.iter().map(|p| from + p * (to - from)).collect()
}

/// From equally likely values, each spread evenly between its neighbours: quantile `p` of the sorted sample
/// at position `n p - 1/2`. `None` of an empty or non-finite sample.
pub fn from_samples(samples: &[f64]) -> Option<Predictive> {
    let weighted: Vec<(f64, f64)> = samples.iter().map(|x| (*x, 1.0)).collect();
    Some(Predictive { quantiles: weighted_quantiles(&weighted)?, never_prob: 0.0 })
}

/// From values with weights; weights of 0 do not count. `None` of an empty or non-finite sample.
pub(crate) fn from_weighted(points: &[(f64, f64)]) -> Option<Predictive> {
    Some(Predictive { quantiles: weighted_quantiles(points)?, never_prob: 0.0 })
}

/// Quantiles at [`LEVELS`] of weighted points, linear between the midpoints of their weights.
fn weighted_quantiles(points: &[(f64, f64)]) -> Option<Vec<f64>> {
    let mut v: Vec<(f64, f64)> = points.iter().copied().filter(|p| p.1 > 0.0).collect();
    if v.is_empty() || v.iter().any(|p| !p.0.is_finite()) {
        return None;
    }
    v.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = v.iter().map(|p| p.1).sum();
    let mut before = 0.0;
    let mids: Vec<(f64, f64)> = v
        .iter()
        .map(|&(x, w)| {
            before += w;
            ((before - 0.5 * w) / total, x)
        })
        .collect();
    let at = |p: f64| {
        let n = mids.partition_point(|m| m.0 <= p);
        if n == 0 {
            mids[0].1
        } else if n == mids.len() {
            mids[n - 1].1
        } else {
            let ((p0, x0), (p1, x1)) = (mids[n - 1], mids[n]);
            x0 + (x1 - x0) * (p - p0) / (p1 - p0)
        }
    };
    Some(LEVELS.iter().map(|p| at(*p)).collect())
}

/// The empirical distribution of an event time among runs that had not had it by the cutoff.
///
/// Kaplan-Meier over the runs still waiting at `cutoff` (intervals count at their middle on `ln t`), linear
/// between event times, with half a pseudo-run spread log-evenly over the window and half a pseudo-run in
/// which it never happens: `n` runs without exception leave `1/(2(n+1))` for "never".
pub fn from_lifetimes(lifetimes: &[Lifetime], cutoff: Step, horizon: Step) -> Predictive {
    let (from, to) = (cutoff.ln(), horizon.ln());
    let waiting: Vec<Lifetime> = lifetimes
        .iter()
        .copied()
        .filter(|l| match *l {
            Lifetime::Event { lo, hi } => 0.5 * (lo + hi) > from,
            Lifetime::Censored { at } => at > from,
        })
        .collect();
    let steps = kaplan_meier(&waiting);
    // Corners (u, S): half of each drop before its time, half after.
    let mut corners = vec![(from, 1.0)];
    let mut last = 1.0;
    for s in &steps {
        corners.push((s.ln_t, 0.5 * (last + s.survival)));
        last = s.survival;
    }
    if let [.., before, end] = corners[..] {
        let gap = (end.0 - before.0).clamp(1e-3, 0.2);
        corners.push((end.0 + gap, last));
    }
    let empirical = |u: f64| {
        let n = corners.partition_point(|c| c.0 <= u);
        match (n.checked_sub(1).map(|i| corners[i]), corners.get(n)) {
            (None, _) => 1.0,
            (Some((_, s)), None) => s,
            (Some((x0, s0)), Some(&(x1, s1))) => s0 + (s1 - s0) * (u - x0) / (x1 - x0),
        }
    };
    let n = waiting.len() as f64;
    let even = |u: f64| ((to - u) / (to - from).max(1e-12)).clamp(0.0, 1.0);
    from_survival(|u| (n * empirical(u) + 0.5 * even(u) + 0.5) / (n + 1.0), from, to)
}
