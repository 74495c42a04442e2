//! Power laws of a curve: pow3 `y = c + a t^-b`, pow4 `y = c + a (t + d)^-b`.
//!
//! Least squares on `ln y` over the last nine tenths of the prefix (in steps), floor `c` and shift `d` by a
//! refined grid, `a` and `b` by regression inside. The spread is how far the same fit missed in finished
//! runs, or without any, the residual spread grown with the distance in `ln t`. Source: Domhan et al. 2015;
//! docs/protocol.md section 4.

use super::landmark::{landmarks, normal_about_zero, on_axis};
use super::memo::Memo;
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::gaussian;
use ontogeny_core::{Predictive, Prefix, Series, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "pow3",
    version: 1,
    n_params: 3,
    scope: "values of positive, falling series (losses, errors)",
    source: "pow3, Domhan et al. 2015 (IJCAI)",
};
const SPEC_POW4: TheorySpec =
    TheorySpec { name: "pow4", n_params: 4, source: "pow4, Domhan et al. 2015 (IJCAI)", ..SPEC };
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(PowerLaw { with_shift: false }) };
pub(crate) const ENTRY_POW4: TheoryEntry =
    TheoryEntry { spec: SPEC_POW4, build: || Box::new(PowerLaw { with_shift: true }) };

/// A power law with floor.
#[derive(Debug, Clone, Copy)]
pub struct PowerLaw {
    /// Whether time is shifted by a fitted `d` (pow4).
    pub with_shift: bool,
}

/// A fitted curve `c + a (t + d)^-b`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerCurve {
    /// Floor.
    pub c: f64,
    /// `ln a`.
    pub ln_a: f64,
    /// Exponent.
    pub b: f64,
    /// Shift, steps.
    pub d: f64,
    /// Root mean square residual of `ln y`.
    pub rms: f64,
}

impl PowerCurve {
    /// The value at a step.
    pub fn at(&self, step: f64) -> f64 {
        self.c + (self.ln_a - self.b * (step + self.d).ln()).exp()
    }

    /// Fits positive readings (step, value); `None` below 5 usable ones or if the curve does not fall.
    pub fn fit(points: &[(f64, f64)], with_shift: bool) -> Option<Self> {
        let usable: Vec<(f64, f64)> =
            points.iter().copied().filter(|p| p.0 > 0.0 && p.1 > 0.0 && p.1.is_finite()).collect();
        let last = usable.last().filter(|_| usable.len() >= 5)?.0;
        let lowest = usable.iter().fold(f64::INFINITY, |m, p| m.min(p.1));
        let shifts: Vec<f64> =
            if with_shift { vec![0.0, 0.003, 0.01, 0.03, 0.1, 0.3] } else { vec![0.0] };
        let mut best: Option<Self> = None;
        for d in shifts {
            // The floor as a share of the lowest value, on a grid that is narrowed three times.
            let (mut lo, mut hi) = (0.0, 0.999);
            for _ in 0..4 {
                let step = (hi - lo) / 20.0;
                let mut at = lo;
                for i in 0..=20 {
                    let share = lo + step * f64::from(i);
                    let trial = Self::with_floor(&usable, share * lowest, d * last);
                    if let Some(t) = trial.filter(|t| best.is_none_or(|b| t.rms < b.rms)) {
                        best = Some(t);
                        at = share;
                    }
                }
                (lo, hi) = ((at - step).max(0.0), (at + step).min(0.999));
            }
        }
        best
    }

    fn with_floor(points: &[(f64, f64)], c: f64, d: f64) -> Option<Self> {
        // Weighted regression of ln(y - c) on ln(t + d): an error of ln y is an error of ln(y - c) times
        // (y - c)/y.
        let (mut w0, mut wx, mut wy, mut wxx, mut wxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(t, y) in points {
            if y <= c {
                return None;
            }
            let (w, x, z) = (((y - c) / y).powi(2), (t + d).ln(), (y - c).ln());
            w0 += w;
            wx += w * x;
            wy += w * z;
            wxx += w * x * x;
            wxy += w * x * z;
        }
        let det = w0 * wxx - wx * wx;
        if det.is_nan() || det <= 1e-12 * w0 * wxx {
            return None;
        }
        let slope = (w0 * wxy - wx * wy) / det;
        let mut curve = Self { c, ln_a: (wy - slope * wx) / w0, b: -slope, d, rms: 0.0 };
        let squares: f64 = points.iter().map(|p| (curve.at(p.0).ln() - p.1.ln()).powi(2)).sum();
        curve.rms = (squares / points.len() as f64).sqrt();
        (curve.b > 0.0 && curve.rms.is_finite()).then_some(curve)
    }
}

fn curve_of(series: &Series, cutoff: Step, with_shift: bool) -> Option<PowerCurve> {
    let points: Vec<(f64, f64)> = series
        .points
        .iter()
        .filter(|p| p.step.0 * 10 >= cutoff.0)
        .map(|p| (p.step.0 as f64, p.value))
        .collect();
    PowerCurve::fit(&points, with_shift)
}

static KEPT: Memo<Option<PowerCurve>> = Memo::new();

#[derive(Debug)]
struct FittedPower {
    with_shift: bool,
    series: String,
    at: Step,
    log: bool,
    sd: Option<f64>,
    identity: Identity,
}

impl FittedPower {
    fn centre(&self, prefix: &Prefix) -> Option<(f64, PowerCurve)> {
        let question = format!("{} {}", self.series, self.with_shift);
        let curve = KEPT.get(prefix, &question, || {
            curve_of(prefix.series(&self.series)?, prefix.cutoff(), self.with_shift)
        })?;
        Some((on_axis(curve.at(self.at.0 as f64), self.log)?, curve))
    }
}

impl Theory for PowerLaw {
    fn spec(&self) -> TheorySpec {
        if self.with_shift { SPEC_POW4 } else { SPEC }
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, at, log } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: self.spec().name });
        };
        let mut fitted = FittedPower {
            with_shift: self.with_shift,
            series: series.clone(),
            at: *at,
            log: *log,
            sd: None,
            identity: Identity::new(self.spec(), vec![], runs),
        };
        let errors: Vec<f64> = landmarks(runs, query)
            .iter()
            .filter_map(|m| Some(m.answer.value()? - fitted.centre(&m.prefix)?.0))
            .collect();
        fitted.sd = normal_about_zero(&errors).filter(|_| errors.len() > 2);
        fitted.identity = Identity::new(self.spec(), fitted.sd.into_iter().collect(), runs);
        Ok(Box::new(fitted))
    }
}

impl Fitted for FittedPower {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        let (centre, curve) = self.centre(prefix)?;
        let ahead = (self.at.ln() - prefix.cutoff().ln()).max(0.0);
        let alone = curve.rms * (1.0 + ahead) * if self.log { 1.0 } else { centre.abs() };
        Some(gaussian(centre, self.sd.unwrap_or(alone).max(1e-9)))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_the_curve_it_was_drawn_from() {
        let points: Vec<(f64, f64)> = (1..100)
            .map(|i| {
                let t = 10.0 * f64::from(i);
                (t, 0.3 + 5.0 * t.powf(-0.5))
            })
            .collect();
        for with_shift in [false, true] {
            let f = PowerCurve::fit(&points, with_shift).unwrap();
            // The grid's last step is 1e-5 of the lowest value.
            assert!((f.at(1e5) - 0.3 - 5.0 * 1e5_f64.powf(-0.5)).abs() < 1e-3, "{f:?}");
            assert!((f.b - 0.5).abs() < 1e-2 && f.rms < 1e-4);
        }
    }

    #[test]
    fn a_rising_curve_is_none() {
        let points: Vec<(f64, f64)> = (1..50).map(|i| (f64::from(i), f64::from(i))).collect();
        assert!(PowerCurve::fit(&points, false).is_none());
    }
}
