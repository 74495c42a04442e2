//! B2, extrapolation: the last `k` readings on a line in (ln t, ln y), followed to its level or to its step.
//!
//! The spread comes from how far the same line missed in the fit runs. A line that does not reach the level
//! within a hundred horizons says "no passage"; how often that was right in the fit runs is the probability
//! of "never", and a passage in spite of it is spread log-evenly.

use super::landmark::{Landmark, horizon, landmarks, normal_about_zero};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::{from_survival, gaussian, log_normal_with_cure};
use crate::stats::ols;
use crate::survival::{AftModel, AftOptions, AftRow, Lifetime, fit_aft};
use ontogeny_core::{Predictive, Prefix, Series, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "extrapolation",
    version: 1,
    n_params: 2,
    scope: "event times of a series with a known level, and values",
    source: "baseline B2: last-k linear extrapolation in (ln t, ln y)",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(Extrapolation::default()) };

/// Baseline B2.
#[derive(Debug, Clone, Copy)]
pub struct Extrapolation {
    /// Readings on the line.
    pub k: usize,
}

impl Default for Extrapolation {
    fn default() -> Self {
        Self { k: 10 }
    }
}

/// Slope and intercept of the last `k` positive readings in (ln t, ln y).
pub(crate) fn log_line(series: &Series, k: usize) -> Option<(f64, f64)> {
    let last: Vec<(f64, f64)> = series
        .points
        .iter()
        .rev()
        .filter(|p| p.step > Step(0) && p.value > 0.0 && p.value.is_finite())
        .take(k.max(3))
        .map(|p| (p.step.ln(), p.value.ln()))
        .collect();
    let (x, y): (Vec<f64>, Vec<f64>) = last.into_iter().unzip();
    let fit = ols(&x, &y, 0.9)?;
    Some((fit.slope, fit.intercept))
}

/// A rule that extrapolates a prefix to `ln T`, or says that it never will; with its record in fit runs.
#[derive(Debug)]
pub(crate) struct Passage {
    /// Errors `ln T - predicted` of the runs with a passage.
    errors: Option<AftModel>,
    /// P(never) given no predicted passage.
    never_without: f64,
    pub(crate) params: Vec<f64>,
}

impl Passage {
    /// Learns how far `predicted` (per landmark: `Some(ln T)` or no passage) missed. `None` without runs.
    pub(crate) fn learn(marks: &[Landmark], predicted: &[Option<f64>], to: f64) -> Option<Self> {
        let mut rows = Vec::new();
        let (mut never, mut n) = (0.5, 1.0);
        for (m, p) in marks.iter().zip(predicted) {
            let t = m.answer.time()?;
            if let Some(p) = p.filter(|p| *p < to + 100.0_f64.ln()) {
                rows.push(AftRow { x: vec![], t: t.shifted(p) });
            } else {
                n += 1.0;
                never += f64::from(u8::from(matches!(t, Lifetime::Censored { .. })));
            }
        }
        let options = AftOptions { cure_sd: 0.0, ..AftOptions::default() };
        let errors = fit_aft(&rows, options);
        if marks.is_empty() {
            return None;
        }
        let never_without = never / n;
        let mut params = errors.as_ref().map_or(vec![], AftModel::parameters);
        params.push(never_without);
        Some(Self { errors, never_without, params })
    }

    /// The forecast for a predicted passage.
    pub(crate) fn predict(&self, predicted: Option<f64>, from: f64, to: f64) -> Option<Predictive> {
        if from >= to {
            return None;
        }
        let never = self.never_without;
        let without = |u: f64| never + (1.0 - never) * ((to - u) / (to - from)).clamp(0.0, 1.0);
        match (predicted.filter(|p| *p < to + 100.0_f64.ln()), &self.errors) {
            (Some(p), Some(e)) => {
                let (mu, sd, cured) = (e.location(&[]), e.predictive_sd(&[]), e.cured(&[]));
                Some(log_normal_with_cure(p + mu, sd, cured, from, to))
            }
            _ => Some(from_survival(without, from, to)),
        }
    }
}

#[derive(Debug)]
enum Model {
    Time { series: String, ln_level: f64, passage: Passage, horizon: Step },
    Value { series: String, at: Step, log: bool, sd: f64 },
}

#[derive(Debug)]
struct FittedExtrapolation {
    k: usize,
    model: Model,
    identity: Identity,
}

/// Where the line through the last readings meets `ln_level`; `None` if it moves away from it.
fn crossing(prefix: &Prefix, series: &str, ln_level: f64, k: usize) -> Option<f64> {
    let s = prefix.series(series)?;
    let (slope, intercept) = log_line(s, k)?;
    let at = (ln_level - intercept) / slope;
    // A line that has crossed already is late: the passage is due now.
    let now = slope * prefix.cutoff().ln() + intercept;
    ((ln_level - now) * slope > 0.0).then_some(at).filter(|u| u.is_finite())
}

fn line_value(prefix: &Prefix, series: &str, at: Step, log: bool, k: usize) -> Option<f64> {
    let (slope, intercept) = log_line(prefix.series(series)?, k)?;
    let v = slope * at.ln() + intercept;
    Some(if log { v } else { v.min(700.0).exp() })
}

impl Theory for Extrapolation {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let marks = landmarks(runs, query);
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found: marks.len() };
        let (model, params) = match &query.target {
            Target::EventTime { .. } => {
                let rule = query.rule.as_ref().ok_or(NotFitted::NoRule { theory: SPEC.name })?;
                let Some(h) = horizon(query).filter(|_| marks.len() > 1) else { return Err(few) };
                let series = rule.series.clone();
                let ln_level = rule.level.ln();
                let predicted: Vec<_> =
                    marks.iter().map(|m| crossing(&m.prefix, &series, ln_level, self.k)).collect();
                let passage = Passage::learn(&marks, &predicted, h.ln()).ok_or(few)?;
                let params = passage.params.clone();
                (Model::Time { series, ln_level, passage, horizon: h }, params)
            }
            Target::Value { series, at, log } => {
                let errors: Vec<f64> = marks
                    .iter()
                    .filter_map(|m| {
                        Some(m.answer.value()? - line_value(&m.prefix, series, *at, *log, self.k)?)
                    })
                    .collect();
                let sd = normal_about_zero(&errors).ok_or(few)?;
                (Model::Value { series: series.clone(), at: *at, log: *log, sd }, vec![sd])
            }
            Target::ForkEffect { .. } => return Err(NotFitted::WrongTarget { theory: SPEC.name }),
        };
        let identity = Identity::new(SPEC, params, runs);
        Ok(Box::new(FittedExtrapolation { k: self.k, model, identity }))
    }
}

impl Fitted for FittedExtrapolation {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        match &self.model {
            Model::Time { series, ln_level, passage, horizon } => {
                let at = crossing(prefix, series, *ln_level, self.k);
                passage.predict(at, prefix.cutoff().ln(), horizon.ln())
            }
            Model::Value { series, at, log, sd } => {
                Some(gaussian(line_value(prefix, series, *at, *log, self.k)?, *sd))
            }
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
