//! Predictive distributions: reading, making, mixing and conditioning [`Predictive`] values.
//!
//! A [`Predictive`] is 23 quantiles given that the event happens, and the probability that it does not.
//! [`Cdf`] reads it as a distribution function: linear between quantiles; in a window (event times) linear
//! from 0 at the cutoff and to 1 at the horizon; on the line (values) with exponential tails whose scale
//! continues the outermost two quantiles. Ties are jumps.

use crate::math::special::{normal_quantile, normal_sf};
use crate::survival::{Lifetime, kaplan_meier};
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

fn log_uniform(from: f64, to: f64) -> Vec<f64> {
    LEVELS.iter().map(|p| from + p * (to - from)).collect()
}

/// From equally likely values, each spread evenly between its neighbours: quantile `p` of the sorted sample
/// at position `n p - 1/2`. `None` of an empty or non-finite sample.
pub fn from_samples(samples: &[f64]) -> Option<Predictive> {
    let weighted: Vec<(f64, f64)> = samples.iter().map(|x| (*x, 1.0)).collect();
    Some(Predictive { quantiles: weighted_quantiles(&weighted)?, never_prob: 0.0 })
}

/// Quantiles at [`LEVELS`] of weighted points, linear between the midpoints of their weights.
pub(crate) fn weighted_quantiles(points: &[(f64, f64)]) -> Option<Vec<f64>> {
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

/// The distribution after learning that it has not happened by `cutoff`.
///
/// `P(T <= t | T > t0)`; probability of "never" grows by `1 / P(T > t0)`. `earlier` is where `p` started.
/// `None` if `p` is malformed or the cutoff is not before the horizon.
pub fn given_not_yet(
    p: &Predictive,
    earlier: Step,
    cutoff: Step,
    horizon: Step,
) -> Option<Predictive> {
    let cdf = Cdf::new(p, Support::between(earlier, horizon)?)?;
    Support::between(cutoff, horizon)?;
    Some(from_survival(|u| 1.0 - cdf.at(u), cutoff.ln(), horizon.ln()))
}

/// A weighted mixture of distributions on one support; weights need not sum to 1.
///
/// `None` if nothing has positive weight or a part is malformed.
pub fn mixture(parts: &[(f64, Predictive)], support: Support) -> Option<Predictive> {
    let total: f64 = parts.iter().map(|p| p.0).sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let cdfs: Vec<(f64, Cdf)> = parts
        .iter()
        .map(|(w, p)| Some((w / total, Cdf::new(p, support)?)))
        .collect::<Option<_>>()?;
    let happens: f64 = cdfs.iter().map(|(w, c)| w * c.happens()).sum();
    let (from, to) = match support {
        Support::Window { from, to } => (from, to),
        Support::Line => {
            let ends = cdfs.iter().flat_map(|(_, c)| [c.quantile(1e-4), c.quantile(0.9999)]);
            ends.flatten().fold((f64::INFINITY, f64::NEG_INFINITY), |a, x| (a.0.min(x), a.1.max(x)))
        }
    };
    if happens <= 1e-12 {
        return Some(Predictive { quantiles: log_uniform(from, to), never_prob: 1.0 });
    }
    let at = |u: f64| cdfs.iter().map(|(w, c)| w * c.at(u)).sum::<f64>();
    let mut mixed = from_survival(|u| 1.0 - at(u).min(happens) / happens, from, to);
    mixed.never_prob = (1.0 - happens).clamp(0.0, 1.0);
    Some(mixed)
}

/// Probability mass of an acceptance region `(lo, hi)` on the axis of the quantiles.
pub fn mass_of(p: &Predictive, support: Support, region: (f64, f64)) -> Option<f64> {
    Some(Cdf::new(p, support)?.mass(region.0, region.1))
}

/// The difference `a - b` of two roughly normal predictions whose errors have correlation `rho`.
///
/// Centre: difference of medians; variance: `sa² + sb² - 2 rho sa sb` of their [`spread`]s, at least
/// `floor²`. Used for fork effects, where treated and control share the run.
pub fn difference(a: &Predictive, b: &Predictive, rho: f64, floor: f64) -> Predictive {
    let (sa, sb) = (spread(a), spread(b));
    let variance = (sa * sa + sb * sb - 2.0 * rho * sa * sb).max(floor * floor);
    gaussian(median(a) - median(b), variance.sqrt())
}

/// The prediction with its quantiles pulled from or to the median by `factor`, kept inside `support`.
pub fn rescale(p: &Predictive, factor: f64, support: Support) -> Predictive {
    let m = median(p);
    let clip = |x: f64| match support {
        Support::Window { from, to } => x.clamp(from, to),
        Support::Line => x,
    };
    let quantiles = p.quantiles.iter().map(|q| clip(m + factor * (q - m))).collect();
    Predictive { quantiles, never_prob: p.never_prob }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::special::normal_cdf;
    use proptest::prelude::*;

    #[test]
    fn a_gaussian_reads_back_as_a_gaussian() {
        let c = Cdf::new(&gaussian(1.0, 2.0), Support::Line).unwrap();
        // Between .95 and .975 a chord of the Gaussian lies up to .0035 off it.
        for z in [-3.0, -2.0, -0.7, 0.0, 0.3, 1.5, 2.5, 3.2] {
            let x = 1.0 + 2.0 * z;
            assert!((c.at(x) - normal_cdf(z)).abs() < 4e-3, "{z} {} {}", c.at(x), normal_cdf(z));
        }
        assert!((c.quantile(0.5).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn mass_beyond_the_horizon_becomes_never() {
        let h = 1000.0_f64.ln();
        let p = gaussian_event(h, 0.5, Step(1), Step(1000));
        assert!((p.never_prob - 0.5).abs() < 1e-9);
        assert!(p.quantiles.iter().all(|q| *q <= h));
        // Given it happens, the median is the 25 % quantile of the whole.
        assert!((median(&p) - (h + 0.5 * normal_quantile(0.25))).abs() < 1e-6);
        let cure = gaussian_event_with_cure(h, 0.5, 0.2, Step(1), Step(1000));
        assert!((cure.never_prob - 0.6).abs() < 1e-9);
    }

    #[test]
    fn waiting_in_two_steps_is_waiting_in_one() {
        let once = gaussian_event(6.0, 0.6, Step(300), Step(2000));
        let p = gaussian_event(6.0, 0.6, Step(100), Step(2000));
        let twice = given_not_yet(&p, Step(100), Step(300), Step(2000)).unwrap();
        assert!((once.never_prob - twice.never_prob).abs() < 1e-3);
        for (a, b) in once.quantiles.iter().zip(&twice.quantiles) {
            // 23 quantiles hold a Gaussian to a few thousandths of mass, .03 on its axis here.
            assert!((a - b).abs() < 0.03, "{a} {b}");
        }
    }

    #[test]
    fn an_overdue_event_sits_at_the_cutoff() {
        let p = gaussian_event(2.0, 0.01, Step(5000), Step(10_000));
        assert!(median(&p) - 5000.0_f64.ln() < 1e-2 && p.never_prob < 1e-9);
    }

    #[test]
    fn the_empirical_distribution_counts_the_runs_without_the_event() {
        let event = |t: f64| Lifetime::Event { lo: t.ln(), hi: t.ln() };
        let runs =
            [event(50.0), event(300.0), event(600.0), Lifetime::Censored { at: 1000.0_f64.ln() }];
        let p = from_lifetimes(&runs, Step(100), Step(1000));
        // Three runs were waiting, one of them in vain: (1 + 1/2) / (3 + 1).
        assert!((p.never_prob - 0.375).abs() < 1e-9);
        assert!(median(&p) > 250.0_f64.ln() && median(&p) < 600.0_f64.ln());
        assert!((from_lifetimes(&[], Step(100), Step(1000)).never_prob - 0.5).abs() < 1e-9);
    }

    #[test]
    fn malformed_predictions_are_none() {
        let mut p = gaussian(0.0, 1.0);
        p.quantiles.swap(3, 9);
        assert!(Cdf::new(&p, Support::Line).is_none());
        p.quantiles.clear();
        assert!(Cdf::new(&p, Support::Line).is_none());
    }

    proptest! {
        #[test]
        fn a_distribution_function_rises_from_0_to_1(
            mu in 3.0..9.0_f64, sigma in 0.01..2.0_f64, cured in 0.0..1.0_f64,
        ) {
            let p = gaussian_event_with_cure(mu, sigma, cured, Step(100), Step(5000));
            let c = Cdf::new(&p, Support::between(Step(100), Step(5000)).unwrap()).unwrap();
            let mut last = 0.0;
            for i in 0..=200 {
                let f = c.at(100.0_f64.ln() + 50.0_f64.ln() * f64::from(i) / 200.0);
                prop_assert!(f >= last - 1e-12 && f <= 1.0);
                last = f;
            }
            prop_assert!((last - c.happens()).abs() < 1e-9);
        }

        #[test]
        fn a_mixture_with_itself_is_itself(mu in 5.0..8.0_f64, sigma in 0.1..1.0_f64) {
            let p = gaussian_event(mu, sigma, Step(100), Step(5000));
            let w = Support::between(Step(100), Step(5000)).unwrap();
            let m = mixture(&[(1.0, p.clone()), (2.0, p.clone())], w).unwrap();
            prop_assert!((m.never_prob - p.never_prob).abs() < 1e-9);
            for (a, b) in p.quantiles.iter().zip(&m.quantiles) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }
}
