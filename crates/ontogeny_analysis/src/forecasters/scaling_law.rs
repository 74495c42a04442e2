//! Scaling laws: from size, data and compute, known before training, to the final loss.
//!
//! Features `params` and two of `tokens`, `flops` or either (C = 6 N D). `scaling-average` fits six forms and weighs them by
//! their errors on the largest budgets predicted from those below; `scaling-chinchilla` is the one form of Hoffmann et
//! al. 2022. Quantiles come from the bootstrap of parameters, residuals and the errors on held-out budgets
//! ([`crate::scaling::predict()`]). Deterministic; nothing of the run's own readings is used.

use super::features::unsqueeze;
use super::landmark::landmarks;
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::scaling::{
    Average, BUDGET_FACTOR, Bootstrap, BootstrapOptions, Chinchilla, FRONTIER, FitOptions, FloorNd,
    KaplanNd, Law, Member, Overtraining, Point, Scale, Valley, Weighing, average, predict,
};
use ontogeny_core::{LEVELS, Predictive, Prefix, Target, TheoryRef};
use std::collections::BTreeMap;

const AVERAGE: TheorySpec = TheorySpec {
    name: "scaling-average",
    version: 2,
    n_params: 5,
    scope: "final losses of runs with known size and data or compute",
    source: "six forms weighed by leave-largest-budget-out; docs/scaling.md",
};
const ONE: TheorySpec = TheorySpec {
    name: "scaling-chinchilla",
    source: "approach 3, Hoffmann et al. 2022 (arXiv:2203.15556)",
    ..AVERAGE
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: AVERAGE, build: || Box::new(ScalingLaw { forms: &FORMS }) };
pub(crate) const ENTRY_CHINCHILLA: TheoryEntry =
    TheoryEntry { spec: ONE, build: || Box::new(ScalingLaw { forms: &FORMS[..1] }) };

static FORMS: [&dyn Law; 6] = [&Chinchilla, &Overtraining, &FloorNd, &Valley, &KaplanNd, &FRONTIER];

/// Resamples behind the quantiles.
const N_RESAMPLES: usize = 400;

/// A weighed set of scaling laws.
#[derive(Debug, Clone, Copy)]
pub struct ScalingLaw {
    forms: &'static [&'static dyn Law],
}

/// Where a run lies; `None` unless its size and its data or compute are known.
fn scale(features: &BTreeMap<String, f64>) -> Option<Scale> {
    let get = |name: &str| features.get(name).map(|v| unsqueeze(*v)).filter(|v| *v > 0.0);
    let params = get("params")?;
    match (get("tokens"), get("flops")) {
        (Some(tokens), Some(flops)) => Some(Scale { params, tokens, flops }),
        (Some(tokens), None) => Some(Scale::of_params_tokens(params, tokens)),
        (None, Some(flops)) => Some(Scale::of_params_flops(params, flops)),
        (None, None) => None,
    }
}

#[derive(Debug)]
struct FittedScaling {
    average: Average,
    /// Of the members with a weight that counts, in their order.
    boots: Vec<Bootstrap>,
    log: bool,
    identity: Identity,
}

impl Theory for ScalingLaw {
    fn spec(&self) -> TheorySpec {
        if self.forms.len() > 1 { AVERAGE } else { ONE }
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let spec = self.spec();
        let Target::Value { log, .. } = query.target else {
            return Err(NotFitted::WrongTarget { theory: spec.name });
        };
        let none = || {
            let feature = "params, with tokens or flops".to_owned();
            NotFitted::NoFeature { theory: spec.name, feature }
        };
        if runs.iter().all(|r| scale(&r.features).is_none()) {
            return Err(none());
        }
        let points: Vec<Point> = (landmarks(runs, query).iter())
            .filter_map(|m| {
                let y = m.answer.value()?;
                let loss = if log { y.exp() } else { y };
                Some(Point { at: scale(&m.run.features)?, loss })
            })
            .filter(|p| p.loss > 0.0 && p.loss.is_finite())
            .collect();
        if points.is_empty() {
            return Err(none());
        }
        let options = FitOptions::default();
        let average = average(self.forms, &points, Weighing::HeldOut, &options, BUDGET_FACTOR)
            .map_err(|e| NotFitted::NoLaw { theory: spec.name, why: e.to_string() })?;
        let options = BootstrapOptions { n_resamples: N_RESAMPLES, ..BootstrapOptions::default() };
        let boots = average.bootstrap(&options).into_iter().map(|(_, b)| b).collect();
        let params = (average.members.iter())
            .flat_map(|m| std::iter::once(m.weight).chain(m.fit.theta))
            .collect();
        let n_params = average.members.iter().map(|m| m.fit.n_theta() as u32).sum();
        let identity = Identity::new(TheorySpec { n_params, ..spec }, params, runs);
        Ok(Box::new(FittedScaling { average, boots, log, identity }))
    }
}

impl Fitted for FittedScaling {
    fn predict(&self, _: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let at = scale(features)?;
        let heavy = self.average.members.iter().filter(|m| m.weight >= 0.01);
        let boots: Vec<(&Member, Bootstrap)> = heavy.zip(self.boots.iter().cloned()).collect();
        let upper: Vec<f64> = LEVELS.iter().copied().filter(|l| *l > 0.5).collect();
        let confidences: Vec<f64> = upper.iter().map(|l| 2.0 * l - 1.0).collect();
        let said = predict(&self.average, &boots, &at, &confidences, 0).ok()?;
        let axis = |loss: f64| if self.log { loss.ln() } else { loss };
        let mut quantiles = vec![axis(said.loss)];
        quantiles.extend(said.intervals.iter().flat_map(|(_, lo, hi)| [axis(*lo), axis(*hi)]));
        // Each confidence is widened by itself; wider ones must not be narrower.
        quantiles.sort_by(f64::total_cmp);
        let is_whole = quantiles.len() == LEVELS.len() && quantiles.iter().all(|q| q.is_finite());
        is_whole.then_some(Predictive { quantiles, never_prob: 0.0 })
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }

    fn remark(&self, _: &Prefix) -> Option<String> {
        let share = |m: &Member| format!("{} {:.2}", m.name(), m.weight);
        let all: Vec<String> = self.average.members.iter().map(share).collect();
        Some(format!("weighs {}", all.join(", ")))
    }
}
