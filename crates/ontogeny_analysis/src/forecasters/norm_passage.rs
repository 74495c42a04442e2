//! First passage of the weight norm: `delay = 1/(2 κ η λ) · ln(V_mem / V*)`.
//!
//! Weight decay shrinks `V = ‖θ‖²` at rate `2 κ η λ` from its value at memorization to the level `V*` at
//! which the generalizing solution takes over. `V*` is the geometric mean of `V` at the event over fit runs;
//! κ and its run-to-run spread are learned from their delays. Source: arXiv:2605.18845 (docs/protocol.md
//! section 1, theory i).

use super::delay::{Base, DelayLaw, fit_delay, ln_feature};
use super::landmark::landmarks;
use super::{Fitted, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::forecasters::standard::memorized;
use crate::math::mean;
use ontogeny_core::{Prefix, Step, Target, ThresholdRule};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "norm-passage",
    version: 1,
    n_params: 3,
    scope: "event times after memorization, runs with weight decay and a series of the squared norm",
    source: "arXiv:2605.18845: delay = ln(V_mem/V*) / (2 kappa eta lambda)",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(NormPassage::default()) };

/// First passage of the weight norm.
#[derive(Debug, Clone)]
pub struct NormPassage {
    /// The event from which the delay counts, as it is detected in a prefix.
    pub anchor: ThresholdRule,
    /// Series of the squared norm of all weights.
    pub norm: String,
    /// Feature with `ln η` (or the same name without `ln_`, with η).
    pub ln_lr: String,
    /// Feature with `ln λ` (or the same name without `ln_`, with λ).
    pub ln_wd: String,
}

impl Default for NormPassage {
    fn default() -> Self {
        Self {
            anchor: memorized(),
            norm: "weights.sq_norm".into(),
            ln_lr: "ln_lr".into(),
            ln_wd: "ln_wd".into(),
        }
    }
}

#[derive(Debug)]
struct Law {
    theory: NormPassage,
    ln_v_star: f64,
}

impl DelayLaw for Law {
    fn base(&self, prefix: &Prefix, features: &BTreeMap<String, f64>, at: Step) -> Option<Base> {
        let rate = ln_feature(features, &self.theory.ln_lr)?
            + ln_feature(features, &self.theory.ln_wd)?
            + std::f64::consts::LN_2;
        if rate == f64::NEG_INFINITY {
            return Some(Base::Never);
        }
        let v = prefix.series(&self.theory.norm)?.at_or_before(at)?.value;
        let fall = v.ln() - self.ln_v_star;
        // A run that starts below V* is outside the law.
        (fall > 0.0).then(|| Base::Ln(fall.ln() - rate))
    }

    fn params(&self) -> Vec<f64> {
        vec![self.ln_v_star]
    }
}

impl Theory for NormPassage {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::EventTime { event, .. } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let at_event: Vec<f64> = landmarks(runs, query)
            .iter()
            .filter_map(|m| {
                let t = m.run.event(event)?.when.seen_at()?;
                Some(m.run.series(&self.norm)?.at_or_before(t)?.value.ln())
            })
            .filter(|v| v.is_finite())
            .collect();
        let ln_v_star = mean(&at_event)
            .ok_or_else(|| NotFitted::NoSeries { theory: SPEC.name, series: self.norm.clone() })?;
        let law = Law { theory: self.clone(), ln_v_star };
        fit_delay(SPEC, law, &self.anchor, runs, query)
    }
}
