//! Changes how often each task is met: all alike, or one of them more often than before.

use super::{Change, Intervention, set};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::TaskConfig;
use serde_json::{Value, json};

pub(super) const UNIFORM: Intervention = Intervention {
    name: "uniform_mixture",
    summary: "all tasks equally often",
    source: "arXiv:2303.13506",
    set: uniform,
};

fn uniform(config: &RunConfig) -> Option<Change> {
    let TaskConfig::SparseParity(p) = &config.task else { return None };
    Some(vec![mixture(&vec![1.0; p.n_tasks])])
}

/// Task `k` (from 0) is met `factor` times as often, the others less, so that probabilities sum to 1.
///
/// `None` if the task is not sparse parity, has no task `k`, or the others would be left with nothing.
pub fn boosted(config: &RunConfig, k: usize, factor: f64) -> Option<Change> {
    let TaskConfig::SparseParity(parity) = &config.task else { return None };
    let mut p = parity.probabilities();
    let boosted = p.get(k)? * factor;
    if !(boosted > 0.0 && boosted < 1.0) {
        return None;
    }
    let others = (1.0 - boosted) / (1.0 - p[k]);
    for w in &mut p {
        *w *= others;
    }
    p[k] = boosted;
    Some(vec![mixture(&p)])
}

fn mixture(weights: &[f64]) -> (String, Value) {
    set("task.mixture", json!({ "kind": "weights", "weights": weights }))
}
