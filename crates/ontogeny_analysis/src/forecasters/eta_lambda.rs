//! The one-constant law of weight decay: `delay = c / (η λ)`.
//!
//! The simplest claim about grokking time: after memorization, weight decay needs a fixed number of its own
//! time constants. No weight decay, no event.

use super::delay::{Base, DelayLaw, fit_delay, ln_feature};
use super::{Fitted, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::forecasters::standard::memorized;
use ontogeny_core::{Prefix, Step, ThresholdRule};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "eta-lambda",
    version: 1,
    n_params: 2,
    scope: "event times after an anchor event, runs with learning rate and weight decay as features",
    source: "baseline \"delay = c/(eta*lambda)\"; arXiv:2605.18845",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(EtaLambda::default()) };

/// `delay = c / (η λ)`.
#[derive(Debug, Clone)]
pub struct EtaLambda {
    /// The event from which the delay counts, as it is detected in a prefix.
    pub anchor: ThresholdRule,
    /// Feature with `ln η` (or the same name without `ln_`, with η).
    pub ln_lr: String,
    /// Feature with `ln λ` (or the same name without `ln_`, with λ).
    pub ln_wd: String,
}

impl Default for EtaLambda {
    fn default() -> Self {
        Self { anchor: memorized(), ln_lr: "ln_lr".into(), ln_wd: "ln_wd".into() }
    }
}

#[derive(Debug)]
struct Law {
    ln_lr: String,
    ln_wd: String,
}

impl DelayLaw for Law {
    fn base(&self, _: &Prefix, features: &BTreeMap<String, f64>, _: Step) -> Option<Base> {
        let rate = ln_feature(features, &self.ln_lr)? + ln_feature(features, &self.ln_wd)?;
        Some(if rate == f64::NEG_INFINITY { Base::Never } else { Base::Ln(-rate) })
    }

    fn params(&self) -> Vec<f64> {
        Vec::new()
    }
}

impl Theory for EtaLambda {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        for feature in [&self.ln_lr, &self.ln_wd] {
            if !runs.iter().any(|r| ln_feature(&r.features, feature).is_some()) {
                return Err(NotFitted::NoFeature { theory: SPEC.name, feature: feature.clone() });
            }
        }
        let law = Law { ln_lr: self.ln_lr.clone(), ln_wd: self.ln_wd.clone() };
        fit_delay(SPEC, law, &self.anchor, runs, query)
    }
}
