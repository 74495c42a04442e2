//! First passage of the Gini coefficient: the circuit's spectrum sharpens steadily long before behaviour moves.
//!
//! `logit G` over `ln t` (or `t`) is a line through the last part of the prefix; the event is due where it
//! crosses a level frozen on the fit runs (the mean of `logit G` at their events). The spread is how far that
//! crossing missed there. Source: docs/protocol.md section 1, theory ii; Nanda et al. 2023 (arXiv:2301.05217).

use super::extrapolation::Passage;
use super::landmark::{horizon, landmarks};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::math::{logit, mean};
use crate::stats::ols;
use ontogeny_core::{Predictive, Prefix, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "gini-passage",
    version: 1,
    n_params: 3,
    scope: "event times of runs with a series in (0, 1) that rises towards the event",
    source: "docs/protocol.md section 1, theory ii; signal of arXiv:2301.05217",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(GiniPassage::default()) };

/// The time axis of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeAxis {
    /// `ln t`.
    Log,
    /// `t`.
    Linear,
}

/// First passage of a rising signal in (0, 1).
#[derive(Debug, Clone)]
pub struct GiniPassage {
    /// The signal.
    pub signal: String,
    /// The axis on which its logit is a line.
    pub axis: TimeAxis,
    /// The frozen level of the signal; learned from the fit runs' events if absent.
    pub level: Option<f64>,
    /// The line goes through readings later than this share of the cutoff.
    pub window: f64,
}

impl Default for GiniPassage {
    fn default() -> Self {
        Self { signal: "embedding.gini".into(), axis: TimeAxis::Log, level: None, window: 0.3 }
    }
}

impl GiniPassage {
    /// `ln t` of the crossing; `None` if the line does not rise towards the level.
    fn crossing(&self, prefix: &Prefix, level: f64) -> Option<f64> {
        let from = (prefix.cutoff().0 as f64 * self.window) as u64;
        let points: Vec<(f64, f64)> = prefix
            .series(&self.signal)?
            .points
            .iter()
            .filter(|p| p.step > Step(from) && p.value.is_finite())
            .map(|p| {
                let x = match self.axis {
                    TimeAxis::Log => p.step.ln(),
                    TimeAxis::Linear => p.step.0 as f64,
                };
                (x, logit(p.value))
            })
            .collect();
        let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let line = ols(&x, &y, 0.9)?;
        let at = (level - line.intercept) / line.slope;
        let ln_t = match self.axis {
            TimeAxis::Log => at,
            TimeAxis::Linear => at.max(1.0).ln(),
        };
        (line.slope > 0.0 && ln_t.is_finite()).then_some(ln_t)
    }
}

#[derive(Debug)]
struct FittedGini {
    theory: GiniPassage,
    level: f64,
    passage: Passage,
    horizon: Step,
    identity: Identity,
}

impl Theory for GiniPassage {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let (Target::EventTime { event, .. }, Some(horizon)) = (&query.target, horizon(query))
        else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let marks = landmarks(runs, query);
        if marks.len() < 2 {
            let found = marks.len();
            return Err(NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found });
        }
        let at_event: Vec<f64> = marks
            .iter()
            .filter_map(|m| {
                let t = m.run.event(event)?.when.seen_at()?;
                Some(logit(m.run.series(&self.signal)?.at_or_before(t)?.value))
            })
            .filter(|v| v.is_finite())
            .collect();
        let level = self.level.map(logit).or_else(|| mean(&at_event)).ok_or_else(|| {
            NotFitted::NoSeries { theory: SPEC.name, series: self.signal.clone() }
        })?;
        let predicted: Vec<_> = marks.iter().map(|m| self.crossing(&m.prefix, level)).collect();
        let passage = Passage::learn(&marks, &predicted, horizon.ln())
            .ok_or(NotFitted::NoSolution { theory: SPEC.name })?;
        let params = std::iter::once(level).chain(passage.params.iter().copied()).collect();
        let identity = Identity::new(SPEC, params, runs);
        Ok(Box::new(FittedGini { theory: self.clone(), level, passage, horizon, identity }))
    }
}

impl Fitted for FittedGini {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        prefix.series(&self.theory.signal)?;
        let at = self.theory.crossing(prefix, self.level);
        self.passage.predict(at, prefix.cutoff().ln(), self.horizon.ln())
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
