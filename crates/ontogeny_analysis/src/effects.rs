//! Effects of interventions: paired differences between a fork and its control.
//!
//! Treated and control leave the same state and share the data order, so `Y(treated) - Y(control)` is the
//! effect on that run; seeds are the unit of replication. Event times are compared on `ln T`, and a fork in
//! which the event never came gives a bound instead of a number.

use crate::distribution::{difference, gaussian};
use crate::forecasters::Fitted;
use crate::math::special::student_quantile;
use crate::math::{mean, median, variance};
use crate::stats::{SlopeFit, ols, sign_test, spearman};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix};
use std::collections::BTreeMap;

/// Name of the null "nothing changes" among the baselines of a fork-effect forecast.
pub const NO_EFFECT: &str = "no-effect";
/// Name of the null "what a regression over unforked runs implies".
pub const OBSERVATIONAL: &str = "observational-regression";

/// An outcome of one fork.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A value, on the axis on which differences are taken.
    Value(f64),
    /// An event time.
    Time(Lifetime),
}

/// A treated fork and the control fork of the same run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Outcome with the intervention.
    pub treated: Reading,
    /// Outcome without.
    pub control: Reading,
}

/// A paired difference, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// This much.
    Known(f64),
    /// At least this much: the treated fork had not had the event by its horizon.
    AtLeast(f64),
    /// At most this much: the control had not had it.
    AtMost(f64),
    /// Neither had it, or a value is not finite.
    Unknown,
}

impl Pair {
    /// `treated - control`; event times at the middle of their interval on `ln t`.
    pub fn difference(self) -> Difference {
        let d = match (self.treated, self.control) {
            (Reading::Value(a), Reading::Value(b)) => Difference::Known(a - b),
            (Reading::Time(a), Reading::Time(b)) => match (a, b, a.mid(), b.mid()) {
                (_, _, Some(a), Some(b)) => Difference::Known(a - b),
                (Lifetime::Censored { at }, _, None, Some(b)) => Difference::AtLeast(at - b),
                (_, Lifetime::Censored { at }, Some(a), None) => Difference::AtMost(a - at),
                _ => Difference::Unknown,
            },
            _ => Difference::Unknown,
        };
        match d {
            Difference::Known(v) | Difference::AtLeast(v) | Difference::AtMost(v)
                if !v.is_finite() =>
            {
                Difference::Unknown
            }
            d => d,
        }
    }
}

/// How an effect compares with the seed band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Every difference is exactly 0: the change was a no-op.
    Exact,
    /// The median lies inside the seed band, or the interval holds 0.
    Draw,
    /// Up, outside the seed band.
    Up,
    /// Down, outside the seed band.
    Down,
    /// Too few pairs, or too many without a number.
    Unclear,
}

/// The effect of one intervention over seeds.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Effect {
    /// Each paired difference, in the order given.
    pub differences: Vec<Difference>,
    /// Mean, if every difference is known.
    pub mean: Option<f64>,
    /// Median: known, or a bound if it falls on one; `None` without pairs or where bounds cross.
    pub median: Option<Difference>,
    /// Student's interval of the mean over seeds, if every difference is known and there are two.
    pub interval: Option<(f64, f64)>,
    /// Standard error of the mean.
    pub std_error: Option<f64>,
    /// Half-width of the seed band.
    pub seed_band: Option<f64>,
    /// Two-sided sign test; bounds count where their sign is certain.
    pub sign_p: f64,
    /// The verdict.
    pub reach: Reach,
}

/// The spread over seeds at fixed configuration: pooled standard deviation within cells.
///
/// `√(Σ (y - mean of its cell)² / Σ (n_cell - 1))`; `None` if no cell has two values.
pub fn seed_band(cells: &[Vec<f64>]) -> Option<f64> {
    let (mut squares, mut dof) = (0.0, 0.0);
    for cell in cells {
        if let Some(v) = variance(cell) {
            squares += v * (cell.len() - 1) as f64;
            dof += (cell.len() - 1) as f64;
        }
    }
    (dof > 0.0).then(|| f64::sqrt(squares / dof))
}

/// Summarizes the paired differences of one intervention at the given confidence of the interval.
pub fn paired_effect(pairs: &[Pair], seed_band: Option<f64>, confidence: f64) -> Effect {
    let differences: Vec<Difference> = pairs.iter().map(|p| p.difference()).collect();
    let known: Vec<f64> = differences
        .iter()
        .filter_map(|d| if let Difference::Known(v) = d { Some(*v) } else { None })
        .collect();
    let complete = !known.is_empty() && known.len() == differences.len();
    let n = known.len() as f64;
    let std_error = variance(&known).filter(|_| complete).map(|v| (v / n).sqrt());
    let average = mean(&known).filter(|_| complete);
    let interval = average.zip(std_error).map(|(m, se)| {
        let half = student_quantile(0.5 + 0.5 * confidence, n - 1.0) * se;
        (m - half, m + half)
    });
    let signs: Vec<f64> = differences
        .iter()
        .map(|d| match d {
            Difference::Known(v) => *v,
            Difference::AtLeast(v) => v.max(0.0),
            Difference::AtMost(v) => v.min(0.0),
            Difference::Unknown => 0.0,
        })
        .collect();
    let middle = bounded_median(&differences);
    let reach = if complete && known.iter().all(|d| *d == 0.0) {
        Reach::Exact
    } else {
        let band = seed_band.unwrap_or(0.0);
        match (middle, interval) {
            (Some(Difference::AtLeast(v)), _) if v > band => Reach::Up,
            (Some(Difference::AtMost(v)), _) if v < -band => Reach::Down,
            (Some(Difference::Known(v)), _) if v.abs() <= band => Reach::Draw,
            (Some(Difference::Known(_)), Some((lo, hi))) if lo <= 0.0 && hi >= 0.0 => Reach::Draw,
            (Some(Difference::Known(v)), _) if pairs.len() > 1 => {
                if v > 0.0 {
                    Reach::Up
                } else {
                    Reach::Down
                }
            }
            _ => Reach::Unclear,
        }
    };
    Effect {
        mean: average,
        median: middle,
        interval,
        std_error,
        seed_band,
        sign_p: sign_test(&signs),
        reach,
        differences,
    }
}

/// The median of numbers and bounds: a number where it does not depend on the bounds.
fn bounded_median(differences: &[Difference]) -> Option<Difference> {
    let at = |open: fn(&Difference) -> Option<f64>| -> Option<f64> {
        median(&differences.iter().map(open).collect::<Option<Vec<f64>>>()?)
    };
    // The least and the most that the median can be.
    let least = at(|d| match d {
        Difference::Known(v) | Difference::AtLeast(v) => Some(*v),
        Difference::AtMost(_) => Some(-1e300),
        Difference::Unknown => None,
    })?;
    let most = at(|d| match d {
        Difference::Known(v) | Difference::AtMost(v) => Some(*v),
        Difference::AtLeast(_) => Some(1e300),
        Difference::Unknown => None,
    })?;
    match (least > -1e299, most < 1e299) {
        (true, true) if (least - most).abs() < 1e-12 => Some(Difference::Known(least)),
        (true, _) => Some(Difference::AtLeast(least)),
        (false, true) => Some(Difference::AtMost(most)),
        (false, false) => None,
    }
}

/// How an effect follows the dose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoseResponse {
    /// Rank correlation of dose and effect; `None` if either is constant.
    pub spearman: Option<f64>,
    /// Least-squares line of effect over dose with a 95 % interval of its slope.
    pub line: Option<SlopeFit>,
    /// Distinct doses.
    pub n_doses: usize,
}

/// Dose against effect, one entry per pair. For event times and a dose `ln(λ'/λ)` the slope is the exponent.
///
/// # Panics
/// If the sides differ in length.
pub fn dose_response(doses: &[f64], effects: &[f64]) -> DoseResponse {
    let mut distinct = doses.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    DoseResponse {
        spearman: spearman(doses, effects),
        line: ols(doses, effects, 0.95),
        n_doses: distinct.len(),
    }
}

/// What a fitted theory says a change of hyper-parameters at the fork does to an event time, on `ln T`.
///
/// Both answers are given from the parent's prefix, so what the theory does not know of the run is mostly
/// common to them: the spread is that of their difference at correlation `rho` of the errors, and at least
/// `floor` (the noise of an observed paired difference). `None` if the theory is silent on either, or finds
/// "never" more likely than not: then there is no number to sign.
pub fn predicted_effect(
    fitted: &dyn Fitted,
    parent: &Prefix,
    control: &BTreeMap<String, f64>,
    treated: &BTreeMap<String, f64>,
    rho: f64,
    floor: f64,
) -> Option<Predictive> {
    let (a, b) = (fitted.predict(parent, treated)?, fitted.predict(parent, control)?);
    (a.never_prob < 0.5 && b.never_prob < 0.5).then(|| difference(&a, &b, rho, floor))
}

/// The null "no effect": N(0, sd²), `sd` being the standard error or seed noise of a paired difference.
pub fn no_effect(sd: f64) -> Predictive {
    gaussian(0.0, sd.max(1e-9))
}

/// The null "observational regression": what unforked runs imply for a change of `x` by `delta`.
///
/// Slope of `y` on `x` by least squares, times `delta`; spread from the slope's standard error and `noise`
/// of a paired difference. `None` below 3 runs or if `x` does not vary.
pub fn observational_effect(x: &[f64], y: &[f64], delta: f64, noise: f64) -> Option<Predictive> {
    let fit = ols(x, y, 0.95)?;
    let half = 0.5 * (fit.interval.1 - fit.interval.0);
    let se = half / student_quantile(0.975, x.len() as f64 - 2.0);
    Some(gaussian(fit.slope * delta, (se * delta).hypot(noise).max(1e-9)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution;

    fn at(t: f64) -> Reading {
        Reading::Time(Lifetime::Event { lo: t.ln(), hi: t.ln() })
    }

    fn never(h: f64) -> Reading {
        Reading::Time(Lifetime::Censored { at: h.ln() })
    }

    #[test]
    fn a_doubling_is_ln_2_and_never_is_a_bound() {
        let pairs: Vec<Pair> = [(2000.0, 1000.0), (2200.0, 1100.0), (1800.0, 900.0)]
            .map(|(a, b)| Pair { treated: at(a), control: at(b) })
            .to_vec();
        let e = paired_effect(&pairs, Some(0.2), 0.95);
        assert!((e.mean.unwrap() - std::f64::consts::LN_2).abs() < 1e-12);
        assert!(e.reach == Reach::Up && (e.sign_p - 0.25).abs() < 1e-12);
        let e = paired_effect(
            &[Pair { treated: never(8000.0), control: at(1000.0) }; 3],
            Some(0.2),
            0.95,
        );
        assert_eq!(e.median, Some(Difference::AtLeast(8000.0_f64.ln() - 1000.0_f64.ln())));
        assert_eq!((e.mean, e.interval, e.reach), (None, None, Reach::Up));
    }

    #[test]
    fn the_median_survives_a_minority_of_bounds() {
        let pair = |a, b| Pair { treated: a, control: b };
        let pairs =
            [pair(at(200.0), at(100.0)), pair(at(300.0), at(100.0)), pair(never(900.0), at(100.0))];
        let e = paired_effect(&pairs, None, 0.95);
        assert_eq!(e.median, Some(Difference::Known(300.0_f64.ln() - 100.0_f64.ln())));
        let e = paired_effect(&[pair(never(10.0), never(10.0))], None, 0.95);
        assert_eq!((e.median, e.reach), (None, Reach::Unclear));
    }

    #[test]
    fn a_difference_inside_the_seed_band_is_a_draw_and_a_no_op_is_exact() {
        let value = |a, b| Pair { treated: Reading::Value(a), control: Reading::Value(b) };
        let band = seed_band(&[vec![1.0, 3.0], vec![10.0, 12.0, 14.0]]);
        assert!((band.unwrap() - (10.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        let e = paired_effect(&[value(1.1, 1.0), value(2.1, 2.0), value(3.2, 3.0)], band, 0.95);
        assert_eq!(e.reach, Reach::Draw);
        let e = paired_effect(&[value(1.0, 1.0), value(2.0, 2.0)], band, 0.95);
        assert_eq!(e.reach, Reach::Exact);
    }

    #[test]
    fn nulls_and_doses() {
        let x: Vec<f64> = (0..20).map(|i| f64::from(i) / 5.0).collect();
        let y: Vec<f64> = x.iter().map(|x| 9.0 - 1.2 * x).collect();
        let p = observational_effect(&x, &y, std::f64::consts::LN_2, 0.1).unwrap();
        assert!((distribution::median(&p) + 1.2 * std::f64::consts::LN_2).abs() < 1e-9);
        let d = dose_response(&x, &y);
        assert!(d.spearman == Some(-1.0) && d.n_doses == 20);
        assert!((d.line.unwrap().slope + 1.2).abs() < 1e-9);
    }
}
