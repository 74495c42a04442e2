//! Rolling origins inside a prefix: what the families would have said earlier, and what came.
//!
//! From origins in geometric order every family is fitted to the readings up to there and asked for later ones.
//! Two things come of it: weights ([`super::weights`]) and the verdict, for which the stack at an origin uses only
//! weights learned before it, and stands against persistence with the spread of a random walk: the last reading,
//! variance of an increment times the number of readings ahead, increments from the later half of what was seen.

use super::families::{Family, MAX_THETA};
use super::fit::Effort;
use super::posterior::FamilyFit;
use super::readings::Readings;
use super::weights::{Pairs, weights};
use crate::math::special::student_quantile;
use crate::math::{mean, variance};
use crate::scores::crps_gaussian;

/// Readings that an origin needs at least.
pub(crate) const FIRST: usize = 8;
/// Readings asked for in a window between two origins at most.
const ASKED: usize = 6;
/// Origins' worth of trust in the stack's own width.
const TRUST: f64 = 2.0;
/// Standard deviations beyond which an error counts no more.
const FARTHEST: f64 = 6.0;
/// Draws of a fit at an origin.
const DRAWS: u64 = 24;

/// What an origin's families said of later readings.
#[derive(Debug)]
struct Origin {
    /// Readings seen.
    seen: usize,
    /// Weights learned before.
    weights: Vec<f64>,
    /// Asked positions and, for each, mean and variance by family and the outcome.
    said: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    at: usize,
    families: Vec<(f64, f64)>,
    outcome: f64,
    persistence: f64,
}

/// Origins of a prefix and what was said there.
#[derive(Debug)]
pub(crate) struct Origins {
    origins: Vec<Origin>,
    n: usize,
}

/// Gain over persistence, from windows that do not overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Skill {
    /// `1 - CRPS / CRPS of persistence`, geometric mean over windows.
    pub skill: f64,
    /// Its one-sided 95 % lower bound, by Student's t over windows.
    pub lower: f64,
    /// Windows.
    pub n_windows: usize,
    /// The same skill where the question is as far ahead, relative to what was seen, as the one asked (or as far
    /// as the prefix allows).
    pub far: f64,
    /// How far ahead that was: last step asked over last step seen.
    pub reach: f64,
}

impl Origins {
    /// Fits every family at `n_origins` origins; empty below six readings more than [`FIRST`].
    pub(crate) fn new(
        r: &Readings,
        families: &[&'static Family],
        effort: Effort,
        n_origins: usize,
    ) -> Self {
        let n = r.len();
        let mut origins: Vec<Origin> = vec![];
        if n < FIRST + 6 || n_origins == 0 {
            return Self { origins, n };
        }
        let first = FIRST.max(n / 5) as f64;
        let mut seen: Vec<usize> = (0..n_origins)
            .map(|k| {
                (first * (n as f64 / first).powf(k as f64 / n_origins as f64)).round() as usize
            })
            .collect();
        seen.dedup();
        let mut ends: Vec<usize> = seen[1..].to_vec();
        ends.push(n);
        let asked: Vec<usize> =
            seen.iter().zip(&ends).flat_map(|(&from, &to)| spread(from, to)).collect();
        let mut warm: Vec<Vec<[f64; MAX_THETA]>> = vec![vec![]; families.len()];
        for &s in &seen {
            // What comes is a bin like those seen: single readings do not scatter about it.
            let past = Readings { within: 0.0, ..r.until(s) };
            let fits: Vec<Option<FamilyFit>> = families
                .iter()
                .zip(&warm)
                .map(|(f, w)| FamilyFit::new(f, &past, effort, DRAWS, w))
                .collect();
            for (w, fit) in warm.iter_mut().zip(&fits) {
                *w = fit.iter().map(|f| f.optimum.theta).collect();
            }
            let walk = Walk::of(&past);
            let said = asked
                .iter()
                .filter(|&&at| at >= s)
                .map(|&at| {
                    let outcome = r.on_axis(r.y[at]);
                    let moments = |f: &Option<FamilyFit>| {
                        // Who has nothing to say counts as a wide persistence.
                        f.as_ref().and_then(|f| f.moments(r.t[at])).unwrap_or(walk.wide(at + 1 - s))
                    };
                    Said {
                        at,
                        families: fits.iter().map(moments).collect(),
                        outcome,
                        persistence: walk.crps(at + 1 - s, outcome),
                    }
                })
                .collect();
            let prior = prior_weights(&fits);
            origins.push(Origin { seen: s, weights: prior, said });
        }
        let mut out = Self { origins, n };
        for k in 0..out.origins.len() {
            let o = &out.origins[k];
            out.origins[k].weights = weights(&out.pairs(o.seen, families.len()), &o.weights);
        }
        out
    }

    /// Terms of the stack's score from what was said and has come by the `until`-th reading.
    fn pairs(&self, until: usize, n_families: usize) -> Pairs {
        let mut pairs = Pairs::new(n_families);
        for o in self.origins.iter().filter(|o| o.seen < until) {
            let known: Vec<&Said> = o.said.iter().filter(|s| s.at < until).collect();
            let base = known.iter().map(|s| s.persistence).sum::<f64>() / known.len().max(1) as f64;
            for s in &known {
                // Every origin counts once, in units of what persistence missed there.
                pairs.add(&s.families, s.outcome, 1.0 / (base.max(1e-300) * known.len() as f64));
            }
        }
        pairs
    }

    /// Weights of the families from the whole prefix; `prior` where there are no origins.
    pub(crate) fn weights(&self, prior: &[f64]) -> Vec<f64> {
        weights(&self.pairs(self.n, prior.len()), prior)
    }

    /// The stack against persistence; `ratio` is how far ahead the question is, step over last step.
    /// `None` below three windows.
    pub(crate) fn skill(&self, r: &Readings, ratio: f64) -> Option<Skill> {
        let (mut near, mut far, mut reach) = (vec![], vec![], 1.0_f64);
        for (k, o) in self.origins.iter().enumerate() {
            let gain = |from: usize, to: usize| {
                let (mut own, mut base) = (0.0, 0.0);
                for s in o.said.iter().filter(|s| (from..to).contains(&s.at)) {
                    let mut pairs = Pairs::new(o.weights.len());
                    pairs.add(&s.families, s.outcome, 1.0);
                    own += pairs.score(&o.weights);
                    base += s.persistence;
                }
                (base > 0.0).then(|| (base / own.max(1e-6 * base)).ln())
            };
            let (next, end) = self.windows(k, r, ratio);
            near.extend(gain(o.seen, next));
            if let Some(g) = gain(next, end) {
                far.push(g);
                reach = reach.max(r.t[end - 1] / r.t[o.seen - 1]);
            }
        }
        let n = near.len();
        let (m, v) = (mean(&near)?, variance(&near)?);
        if n < 3 {
            return None;
        }
        let lower = m - student_quantile(0.95, n as f64 - 1.0) * (v / n as f64).sqrt();
        let skill = |log: f64| 1.0 - (-log).exp();
        Some(Skill {
            skill: skill(m),
            lower: skill(lower),
            n_windows: n,
            far: skill(mean(&far).unwrap_or(m)),
            reach,
        })
    }

    /// Where the windows of an origin end: the next origin, and as far ahead as is asked.
    fn windows(&self, k: usize, r: &Readings, ratio: f64) -> (usize, usize) {
        let seen = self.origins[k].seen;
        let next = self.origins.get(k + 1).map_or(self.n, |o| o.seen);
        let end = r.t.partition_point(|t| *t <= r.t[seen - 1] * ratio);
        (next, end.max(next))
    }

    /// By how much errors of the stack inside the prefix exceeded its own standard deviation, as far ahead as
    /// is asked: root mean square, every origin once, with [`TRUST`] origins at 1 added.
    pub(crate) fn width(&self, r: &Readings, ratio: f64) -> f64 {
        let (mut total, mut n) = (TRUST, TRUST);
        for (k, o) in self.origins.iter().enumerate() {
            let end = self.windows(k, r, ratio).1;
            let squares: Vec<f64> = o
                .said
                .iter()
                .filter(|s| s.at < end)
                .map(|s| {
                    let moment = |f: &dyn Fn(&(f64, f64)) -> f64| {
                        s.families.iter().zip(&o.weights).map(|(m, w)| w * f(m)).sum::<f64>()
                    };
                    let centre = moment(&|m| m.0);
                    let var = moment(&|m| m.1 + (m.0 - centre).powi(2));
                    ((s.outcome - centre).powi(2) / var.max(1e-300)).min(FARTHEST * FARTHEST)
                })
                .collect();
            if let Some(m) = mean(&squares) {
                total += m;
                n += 1.0;
            }
        }
        (total / n).sqrt().max(1.0)
    }
}

/// Half even, half by the information criterion (E3).
pub(crate) fn prior_weights(fits: &[Option<FamilyFit>]) -> Vec<f64> {
    let best = fits.iter().flatten().map(|f| f.bic).fold(f64::INFINITY, f64::min);
    let raw: Vec<f64> =
        fits.iter().map(|f| f.as_ref().map_or(0.0, |f| (-0.5 * (f.bic - best)).exp())).collect();
    let total: f64 = raw.iter().sum::<f64>().max(1e-300);
    let heard = fits.iter().flatten().count().max(1) as f64;
    raw.iter()
        .zip(fits)
        .map(|(w, f)| if f.is_some() { 0.5 * w / total + 0.5 / heard } else { 0.0 })
        .collect()
}

/// At most [`ASKED`] positions spread over a window.
fn spread(from: usize, to: usize) -> Vec<usize> {
    let n = to - from;
    if n <= ASKED {
        return (from..to).collect();
    }
    (0..ASKED).map(|k| from + (2 * k + 1) * n / (2 * ASKED)).collect()
}

/// Persistence with the spread of a random walk.
struct Walk {
    last: f64,
    var: f64,
}

impl Walk {
    fn of(past: &Readings) -> Self {
        let y: Vec<f64> = past.y.iter().map(|y| past.on_axis(*y)).collect();
        let later = &y[y.len() / 2..];
        let squares: Vec<f64> = later.windows(2).map(|w| (w[1] - w[0]).powi(2)).collect();
        let last = y[y.len() - 1];
        Self { last, var: mean(&squares).unwrap_or(0.0).max(1e-24 * last * last + 1e-300) }
    }

    fn wide(&self, ahead: usize) -> (f64, f64) {
        (self.last, 4.0 * self.var * ahead as f64)
    }

    fn crps(&self, ahead: usize, y: f64) -> f64 {
        crps_gaussian(self.last, (self.var * ahead as f64).sqrt(), y)
    }
}
