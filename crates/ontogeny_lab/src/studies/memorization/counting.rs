//! How many canaries will be said by heart: the sum of their probabilities, as wide as it erred on fit runs.

use super::speakers::Sums;
use ontogeny_analysis::distribution::gaussian;
use ontogeny_analysis::forecasters::{Fitted, NotFitted, Query, Theory, TheorySpec, TrainingRun};
use ontogeny_core::{Predictive, Prefix, RunId, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: super::COUNT,
    version: 1,
    n_params: 2,
    scope: "the number of canaries said by heart at the end of a run",
    source: "the sum of per-example probabilities",
};

/// Fit runs below which nothing is said.
const LEAST: usize = 3;
/// Least deviation: a count is whole.
const FLOOR: f64 = 0.5;

/// The theory.
#[derive(Debug, Clone)]
pub(super) struct ExampleSum {
    pub sums: Sums,
}

#[derive(Debug)]
struct FittedSum {
    sums: Sums,
    bias: f64,
    sd: f64,
    reference: TheoryRef,
}

fn sum_of(sums: &Sums, run: &RunId) -> Option<f64> {
    sums.lock().ok()?.get(run).copied().filter(|v| v.is_finite())
}

impl Theory for ExampleSum {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, at, .. } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let error = |r: &TrainingRun| {
            let found = r.series.iter().find(|s| &s.name == series)?.at_or_before(*at)?;
            Some(found.value - sum_of(&self.sums, &r.run)?)
        };
        let errors: Vec<f64> = runs.iter().filter_map(error).collect();
        let n = errors.len();
        if n < LEAST {
            return Err(NotFitted::TooFewRuns { theory: SPEC.name, needed: LEAST, found: n });
        }
        let bias = errors.iter().sum::<f64>() / n as f64;
        let variance = errors.iter().map(|e| (e - bias).powi(2)).sum::<f64>() / (n - 1) as f64;
        let sd = (variance * (1.0 + 1.0 / n as f64)).sqrt().max(FLOOR);
        let mut h = blake3::Hasher::new();
        h.update(SPEC.name.as_bytes());
        for p in [bias, sd] {
            h.update(&p.to_bits().to_le_bytes());
        }
        for r in runs {
            h.update(r.run.as_str().as_bytes());
        }
        let reference = TheoryRef {
            name: SPEC.name.into(),
            version: SPEC.version,
            hash: h.finalize().to_hex().to_string(),
            n_params: SPEC.n_params,
            fitted_on: runs.iter().map(|r| r.run.clone()).collect(),
            own_fit: None,
        };
        Ok(Box::new(FittedSum { sums: self.sums.clone(), bias, sd, reference }))
    }
}

impl Fitted for FittedSum {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        Some(gaussian(sum_of(&self.sums, prefix.run())? + self.bias, self.sd))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.reference.clone()
    }
}
