//! B0, climatology: what usually happens, whatever this run looks like.
//!
//! Event times: the empirical distribution over fit runs, "never" included, given not yet by the cutoff.
//! Values: mean and spread of the fit runs at the same step.

use super::landmark::{answer, horizon, like_others};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::from_lifetimes;
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Step, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "climatology",
    version: 2,
    n_params: 0,
    scope: "event times and values",
    source: "baseline B0: empirical distribution over fit runs",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(Climatology) };

/// Baseline B0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Climatology;

#[derive(Debug)]
enum Model {
    Times(Vec<Lifetime>, Step),
    Values(Predictive),
}

#[derive(Debug)]
struct FittedClimatology {
    model: Model,
    identity: Identity,
}

impl Theory for Climatology {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let answers: Vec<_> = runs.iter().filter_map(|r| answer(r, &query.target)).collect();
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found: answers.len() };
        if answers.len() < 2 {
            return Err(few);
        }
        let values: Vec<f64> = answers.iter().filter_map(|a| a.value()).collect();
        let (model, params) = if let Some(h) = horizon(query) {
            let times: Vec<Lifetime> = answers.iter().filter_map(|a| a.time()).collect();
            let params = times.iter().map(|t| t.mid().unwrap_or(f64::INFINITY)).collect();
            (Model::Times(times, h), params)
        } else {
            let p = like_others(&values).ok_or(few)?;
            (Model::Values(p), values)
        };
        Ok(Box::new(FittedClimatology { model, identity: Identity::new(SPEC, params, runs) }))
    }
}

impl Fitted for FittedClimatology {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        match &self.model {
            Model::Times(times, h) => {
                (prefix.cutoff() < *h).then(|| from_lifetimes(times, prefix.cutoff(), *h))
            }
            Model::Values(p) => Some(p.clone()),
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
