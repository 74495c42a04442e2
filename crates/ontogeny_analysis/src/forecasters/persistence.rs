//! B1, persistence: nothing changes.
//!
//! Event times: "not yet", with the constant hazard per unit of `ln t` that fit runs showed after their own
//! cutoffs, `h = (events + ½) / (exposure + ½)`. Values: the last value, with the size of the change that
//! fit runs went through.

use super::landmark::{horizon, landmarks, normal_about_zero, on_axis};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::{from_survival, gaussian};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "persistence",
    version: 1,
    n_params: 1,
    scope: "event times and values",
    source: "baseline B1: not yet, with climatological hazard; last value",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(Persistence) };

/// Baseline B1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Persistence;

#[derive(Debug)]
enum Model {
    Hazard(f64, Step),
    Last { series: String, log: bool, sd: f64 },
}

#[derive(Debug)]
struct FittedPersistence {
    model: Model,
    identity: Identity,
}

impl Theory for Persistence {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let marks = landmarks(runs, query);
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 1, found: marks.len() };
        let (model, params) = match &query.target {
            Target::EventTime { .. } => {
                let Some(h) = horizon(query).filter(|_| !marks.is_empty()) else { return Err(few) };
                let (mut events, mut exposure) = (0.5, 0.5);
                for m in &marks {
                    let from = m.prefix.cutoff().ln();
                    match m.answer.time() {
                        Some(Lifetime::Event { lo, hi }) => {
                            events += 1.0;
                            exposure += 0.5 * (lo + hi) - from;
                        }
                        Some(Lifetime::Censored { at }) => exposure += at - from,
                        None => {}
                    }
                }
                let hazard = events / exposure;
                (Model::Hazard(hazard, h), vec![hazard])
            }
            Target::Value { series, log, .. } => {
                let changes: Vec<f64> = marks
                    .iter()
                    .filter_map(|m| {
                        Some(m.answer.value()? - on_axis(m.prefix.last(series)?, *log)?)
                    })
                    .collect();
                let sd = normal_about_zero(&changes).ok_or(few)?;
                (Model::Last { series: series.clone(), log: *log, sd }, vec![sd])
            }
            Target::ForkEffect { .. } => return Err(NotFitted::WrongTarget { theory: SPEC.name }),
        };
        Ok(Box::new(FittedPersistence { model, identity: Identity::new(SPEC, params, runs) }))
    }
}

impl Fitted for FittedPersistence {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        match &self.model {
            Model::Hazard(h, horizon) => {
                let (from, to) = (prefix.cutoff().ln(), horizon.ln());
                (from < to).then(|| from_survival(|u| (-h * (u - from)).exp(), from, to))
            }
            Model::Last { series, log, sd } => {
                Some(gaussian(on_axis(prefix.last(series)?, *log)?, *sd))
            }
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
