//! Calibration: whether probabilities mean what they say.
//!
//! The probability integral transform (PIT) of an outcome is a range: a point for a value, the image of the
//! censoring interval for an event, and the whole mass of "never" for a run without it. A record counts in a
//! central interval by the share of its range inside, so a calibrated forecast has expected coverage exactly
//! `q` whatever the censoring.

use crate::distribution::{Cdf, Support};
use crate::math::mean;
use crate::stats::binomial_test;
use crate::survival::Lifetime;
use ontogeny_core::{Observed, Predictive};

/// Where an outcome falls in its forecast, on [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PitRange {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl PitRange {
    /// The middle: the PIT averaged over the range.
    pub fn mean(self) -> f64 {
        0.5 * (self.lo + self.hi)
    }

    /// Share of the range inside `[a, b]`.
    pub fn share_in(self, a: f64, b: f64) -> f64 {
        if self.hi - self.lo < 1e-12 {
            return f64::from(u8::from(self.lo >= a && self.lo <= b));
        }
        ((self.hi.min(b) - self.lo.max(a)) / (self.hi - self.lo)).clamp(0.0, 1.0)
    }
}

/// The PIT range of an outcome; `None` if the prediction is malformed or outcome and support do not match.
pub fn pit(p: &Predictive, support: Support, observed: Observed) -> Option<PitRange> {
    let cdf = Cdf::new(p, support)?;
    match (Lifetime::from_observed(observed), support) {
        (Some(Lifetime::Event { lo, hi }), Support::Window { to, .. }) if hi <= to => {
            Some(PitRange { lo: cdf.at(lo), hi: cdf.at(hi) })
        }
        (Some(_), Support::Window { .. }) => Some(PitRange { lo: cdf.happens(), hi: 1.0 }),
        (None, Support::Line) => match observed {
            Observed::Value { value } if value.is_finite() => {
                let f = cdf.given_it_happens(value);
                Some(PitRange { lo: f, hi: f })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Share of outcomes in the central interval of probability `q`; `None` without records.
pub fn coverage(pits: &[PitRange], q: f64) -> Option<f64> {
    let (a, b) = (0.5 * (1.0 - q), 0.5 * (1.0 + q));
    mean(&pits.iter().map(|p| p.share_in(a, b)).collect::<Vec<_>>())
}

/// `CE = mean over q in {.1, .., .9} of |cov(q) - q|`; `None` without records.
pub fn calibration_error(pits: &[PitRange]) -> Option<f64> {
    let gaps: Option<Vec<f64>> = (1..=9)
        .map(|i| {
            let q = f64::from(i) / 10.0;
            Some((coverage(pits, q)? - q).abs())
        })
        .collect();
    mean(&gaps?)
}

/// Winkler score of the central 90 % interval: its width, plus `2/0.1` times the distance by which the
/// outcome misses it. Lower is better.
///
/// On event times an interval that reaches into "never" ends at the horizon, and so does a run without the
/// event. `None` if the prediction is malformed.
pub fn winkler(p: &Predictive, support: Support, observed: Observed) -> Option<f64> {
    let cdf = Cdf::new(p, support)?;
    let end = match support {
        Support::Window { to, .. } => to,
        Support::Line => f64::INFINITY,
    };
    let (lo, hi) = (cdf.quantile(0.05).unwrap_or(end), cdf.quantile(0.95).unwrap_or(end));
    let y = match observed {
        Observed::Value { value } => value,
        other => match Lifetime::from_observed(other)?.mid() {
            Some(mid) => mid.min(end),
            None => end,
        },
    };
    Some((hi - lo) + 20.0 * ((lo - y).max(0.0) + (y - hi).max(0.0)))
}

/// The calibration block of a scorecard.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CalibrationSummary {
    /// Records.
    pub n: usize,
    /// Coverage of the central 50 %.
    pub cov50: f64,
    /// Coverage of the central 80 %.
    pub cov80: f64,
    /// Coverage of the central 90 %.
    pub cov90: f64,
    /// Exact binomial p-value of `cov90 = .9` (the sum of shares, rounded; conservative for shares).
    pub cov90_p: f64,
    /// Calibration error.
    pub ce: f64,
    /// The gate: `CE <= .05 + 1/sqrt(n)` and `cov90_p > .01`.
    pub passes: bool,
}

/// Summarizes PIT ranges; `None` without records.
pub fn summarize(pits: &[PitRange]) -> Option<CalibrationSummary> {
    let n = pits.len();
    let cov90 = coverage(pits, 0.9)?;
    let cov90_p = binomial_test((cov90 * n as f64).round() as u64, n as u64, 0.9);
    let ce = calibration_error(pits)?;
    Some(CalibrationSummary {
        n,
        cov50: coverage(pits, 0.5)?,
        cov80: coverage(pits, 0.8)?,
        cov90,
        cov90_p,
        ce,
        passes: ce <= 0.05 + 1.0 / (n as f64).sqrt() && cov90_p > 0.01,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::{gaussian, gaussian_event};
    use ontogeny_core::Step;
    use ontogeny_core::random::Philox;

    #[test]
    fn honest_forecasts_cover_and_overconfident_ones_do_not() {
        let d = Philox::new(4, "cal").at(0);
        let pits = |sigma: f64| -> Vec<PitRange> {
            (0..1000)
                .map(|i| {
                    let observed = Observed::Value { value: d.normal(i) };
                    pit(&gaussian(0.0, sigma), Support::Line, observed).unwrap()
                })
                .collect()
        };
        let honest = summarize(&pits(1.0)).unwrap();
        assert!(honest.passes && (honest.cov80 - 0.8).abs() < 0.05, "{honest:?}");
        let bold = summarize(&pits(1.0 / 3.0)).unwrap();
        assert!(!bold.passes && bold.cov90 < 0.5, "{bold:?}");
    }

    #[test]
    fn coverage_is_exact_under_censoring_and_never() {
        let (t0, h) = (Step(100), Step(2000));
        let w = Support::between(t0, h).unwrap();
        let p = gaussian_event(7.2, 0.6, t0, h);
        let cdf = Cdf::new(&p, w).unwrap();
        let d = Philox::new(4, "never").at(0);
        let pits: Vec<PitRange> = (0..4000)
            .map(|i| {
                let observed = match cdf.quantile(d.uniform(i)) {
                    Some(u) => {
                        let probe = (u.exp() / 100.0).floor() as u64 * 100;
                        Observed::Event { lo: Step(probe.max(100)), hi: Step(probe + 100) }
                    }
                    None => Observed::Never { horizon: h },
                };
                pit(&p, w, observed).unwrap()
            })
            .collect();
        for q in [0.5, 0.8, 0.9] {
            assert!((coverage(&pits, q).unwrap() - q).abs() < 0.02, "{q}");
        }
    }

    #[test]
    fn winkler_prices_width_and_misses() {
        let p = gaussian(0.0, 1.0);
        let at = |value| winkler(&p, Support::Line, Observed::Value { value }).unwrap();
        let width = 2.0 * 1.644_853_626_951_472_7;
        assert!((at(0.0) - width).abs() < 1e-9);
        assert!((at(2.644_853_626_951_473) - width - 20.0).abs() < 1e-9);
    }
}
