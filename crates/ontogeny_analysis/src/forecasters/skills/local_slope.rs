//! Log-linear local slope: the line of `ln T` over `ln P` through the skills learned so far.

use super::{Centre, Learned, SkillNames, fit_skill};
use crate::forecasters::{Fitted, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::stats::ols;

const SPEC: TheorySpec = TheorySpec {
    name: "skill-local-slope",
    version: 1,
    n_params: 2,
    scope: "times of later skills, from at least three learned ones",
    source: "baseline of docs/protocol.md section 3B",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(LocalSlope::default()) };

/// The line through the learned skills.
#[derive(Debug, Clone, Default)]
pub struct LocalSlope {
    /// Names.
    pub names: SkillNames,
}

#[derive(Debug)]
pub(super) struct Line;

impl Centre for Line {
    fn centre(&self, learned: &[Learned], ln_p: f64) -> Option<f64> {
        let (x, y): (Vec<f64>, Vec<f64>) = learned.iter().copied().unzip();
        match ols(&x, &y, 0.9) {
            Some(f) => Some(f.intercept + f.slope * ln_p),
            None if learned.len() == 2 && x[0] != x[1] => {
                Some(y[0] + (y[1] - y[0]) * (ln_p - x[0]) / (x[1] - x[0]))
            }
            None => None,
        }
    }

    fn params(&self) -> Vec<f64> {
        Vec::new()
    }
}

impl Theory for LocalSlope {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        fit_skill(SPEC, Line, &self.names, runs, query)
    }
}
