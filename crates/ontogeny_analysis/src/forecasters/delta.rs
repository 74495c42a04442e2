//! Delta, the historical-improvement baseline: last value plus the typical remaining change in other runs.
//!
//! Event times: the remaining wait `ln T - ln t0` is drawn from the fit runs' own waits after their cutoffs.
//! Values: `y(t0)` plus the fit runs' changes from their cutoffs: their distribution, or, of fewer than 20 runs,
//! a normal around them. Design law 6.

use super::landmark::{horizon, landmarks, like_others, on_axis};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::from_lifetimes;
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "delta",
    version: 2,
    n_params: 0,
    scope: "event times and values",
    source: "historical-improvement baseline (design law 6)",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(Delta) };

/// The historical-improvement baseline.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delta;

#[derive(Debug)]
enum Model {
    Waits(Vec<Lifetime>, Step),
    Change { series: String, log: bool, change: Predictive },
}

#[derive(Debug)]
struct FittedDelta {
    model: Model,
    identity: Identity,
}

impl Theory for Delta {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let marks = landmarks(runs, query);
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found: marks.len() };
        if marks.len() < 2 {
            return Err(few);
        }
        let (model, params) = match &query.target {
            Target::EventTime { .. } => {
                let Some(h) = horizon(query) else { return Err(few) };
                let waits: Vec<Lifetime> = marks
                    .iter()
                    .filter_map(|m| Some(m.answer.time()?.shifted(m.prefix.cutoff().ln())))
                    .collect();
                let params = waits.iter().map(|t| t.mid().unwrap_or(f64::INFINITY)).collect();
                (Model::Waits(waits, h), params)
            }
            Target::Value { series, log, .. } => {
                let changes: Vec<f64> = marks
                    .iter()
                    .filter_map(|m| {
                        Some(m.answer.value()? - on_axis(m.prefix.last(series)?, *log)?)
                    })
                    .collect();
                let change = like_others(&changes).ok_or(few)?;
                (Model::Change { series: series.clone(), log: *log, change }, changes)
            }
            Target::ForkEffect { .. } => return Err(NotFitted::WrongTarget { theory: SPEC.name }),
        };
        Ok(Box::new(FittedDelta { model, identity: Identity::new(SPEC, params, runs) }))
    }
}

impl Fitted for FittedDelta {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        match &self.model {
            Model::Waits(waits, horizon) => {
                let t0 = prefix.cutoff();
                let here: Vec<Lifetime> = waits.iter().map(|w| w.shifted(-t0.ln())).collect();
                (t0 < *horizon).then(|| from_lifetimes(&here, t0, *horizon))
            }
            Model::Change { series, log, change } => {
                let last = on_axis(prefix.last(series)?, *log)?;
                let quantiles = change.quantiles.iter().map(|q| last + q).collect();
                Some(Predictive { quantiles, ..change.clone() })
            }
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
