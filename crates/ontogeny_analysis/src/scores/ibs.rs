//! Integrated Brier score on log time.
//!
//! `IBS = 1/ln(H/t0) ∫_{ln t0}^{ln H} (F(e^u) - 1{T <= e^u})² du`, in [0, 1]. An interval-censored `T` is
//! averaged over `ln T` uniform in `[ln lo, ln hi]`. With administrative censoring at a known `H` no
//! weighting is needed. A run that was not watched until `H` is scored for as long as it was, over the same
//! denominator: at every `u` the runs still watched are scored against what is known of them, which stays proper.
//! Source: Graf et al. 1999; docs/protocol.md section 0.

use crate::distribution::{Cdf, Support};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Step};

/// Scores an event-time forecast against what happened.
///
/// The integral is exact: `F` is piecewise linear, so the integrand is piecewise quadratic and Simpson's
/// rule has no error. An event before the cutoff counts as one at it, one after the horizon as "never"; a run
/// without event that was watched to within one percent of the horizon counts as watched to it.
/// `None` if the prediction is malformed or the window is empty.
///
/// # Examples
/// ```
/// # use ontogeny_analysis::{distribution::gaussian_event, scores::integrated_brier, survival::Lifetime};
/// # use ontogeny_core::Step;
/// let sure = gaussian_event(6.0, 1e-4, Step(100), Step(1000));
/// let right = integrated_brier(&sure, Step(100), Step(1000), Lifetime::Event { lo: 6.0, hi: 6.0 });
/// let wrong = integrated_brier(&sure, Step(100), Step(1000), Lifetime::Censored { at: 1000.0_f64.ln() });
/// assert!(right.unwrap() < 1e-3 && wrong.unwrap() > 0.3);
/// ```
pub fn integrated_brier(
    p: &Predictive,
    cutoff: Step,
    horizon: Step,
    outcome: Lifetime,
) -> Option<f64> {
    let support = Support::between(cutoff, horizon)?;
    let cdf = Cdf::new(p, support)?;
    let (from, to) = (cutoff.ln(), horizon.ln());
    // m(u) = P(ln T <= u): 0 below lo, 1 above hi.
    let (lo, hi) = match outcome {
        Lifetime::Event { hi, .. } if hi > to => (to, to),
        Lifetime::Event { lo, hi } => (lo.clamp(from, to), hi.clamp(from, to)),
        Lifetime::Censored { .. } => (to, to),
    };
    // Until when it is known what happened.
    let end = match outcome {
        Lifetime::Censored { at } if at < to - 0.01 => at.max(from),
        _ => to,
    };
    let happens = cdf.happens();
    let mut total = 0.0;
    for w in cdf.corners().windows(2) {
        let ((x0, p0), (x1, p1)) = (w[0], w[1]);
        if x1 <= x0 || x0 >= end {
            continue;
        }
        let f = |x: f64| happens * (p0 + (p1 - p0) * (x - x0) / (x1 - x0));
        let mut cuts = vec![x0, x1.min(end)];
        for c in [lo, hi] {
            if c > x0 && c < x1.min(end) {
                cuts.push(c);
            }
        }
        cuts.sort_by(f64::total_cmp);
        for c in cuts.windows(2) {
            let (a, b) = (c[0], c[1]);
            if b <= a {
                continue;
            }
            let mid = 0.5 * (a + b);
            let m = |x: f64| {
                if mid <= lo {
                    0.0
                } else if mid >= hi {
                    1.0
                } else {
                    (x - lo) / (hi - lo)
                }
            };
            // E (F - 1{T <= u})² = F² - 2 F m + m.
            let g = |x: f64| f(x) * f(x) - 2.0 * f(x) * m(x) + m(x);
            total += (b - a) / 6.0 * (g(a) + 4.0 * g(mid) + g(b));
        }
    }
    Some((total / (to - from)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::LEVELS;

    fn uniform(never_prob: f64) -> Predictive {
        // ln t uniform on (0, ln 1000].
        let l = 1000.0_f64.ln();
        Predictive { quantiles: LEVELS.iter().map(|p| p * l).collect(), never_prob }
    }

    #[track_caller]
    fn check(p: &Predictive, outcome: Lifetime, expected: f64) {
        let got = integrated_brier(p, Step(1), Step(1000), outcome).unwrap();
        assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    }

    #[test]
    fn equals_the_integral_by_hand() {
        let l = 1000.0_f64.ln();
        // F(u) = u/l, T at the share v: v³/3 + (1-v)³/3.
        check(&uniform(0.0), Lifetime::Event { lo: 0.5 * l, hi: 0.5 * l }, 1.0 / 12.0);
        check(&uniform(0.0), Lifetime::Event { lo: 0.2 * l, hi: 0.2 * l }, (0.008 + 0.512) / 3.0);
        // Never: ∫ u² = 1/3; with never_prob 1 it is 0.
        check(&uniform(0.0), Lifetime::Censored { at: l }, 1.0 / 3.0);
        check(&uniform(1.0), Lifetime::Censored { at: l }, 0.0);
        // Ended half-way without it: ∫ u² to 1/2 = 1/24.
        check(&uniform(0.0), Lifetime::Censored { at: 0.5 * l }, 1.0 / 24.0);
        // Averaged over v uniform in [0, 1]: 1/12 + 1/12 = 1/6.
        check(&uniform(0.0), Lifetime::Event { lo: 0.0, hi: l }, 1.0 / 6.0);
        // never_prob 1/2, T at the start: ∫ (1 - u/2)² = 7/12.
        check(&uniform(0.5), Lifetime::Event { lo: 0.0, hi: 0.0 }, 7.0 / 12.0);
    }

    #[test]
    fn the_truth_scores_best_on_average() {
        let l = 1000.0_f64.ln();
        let mean = |p: &Predictive| {
            (0..200)
                .map(|i| {
                    let v = (f64::from(i) + 0.5) / 200.0;
                    let t = if v < 0.7 {
                        Lifetime::Event { lo: v / 0.7 * l, hi: v / 0.7 * l }
                    } else {
                        Lifetime::Censored { at: l }
                    };
                    integrated_brier(p, Step(1), Step(1000), t).unwrap()
                })
                .sum::<f64>()
        };
        let truth = mean(&uniform(0.3));
        for never in [0.0, 0.2, 0.4, 0.6] {
            assert!(mean(&uniform(never)) > truth);
        }
    }
}
