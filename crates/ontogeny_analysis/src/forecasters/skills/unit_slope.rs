//! Slope -1 from the last skill learned: `T_k = T_last · P_last / P_k`.

use super::{Centre, Learned, SkillNames, fit_skill};
use crate::forecasters::{Fitted, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};

const SPEC: TheorySpec = TheorySpec {
    name: "skill-unit-slope",
    version: 1,
    n_params: 0,
    scope: "times of later skills, from one learned skill",
    source: "baseline of docs/protocol.md section 3B: \"-1 slope from the last learned\"",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(UnitSlope::default()) };

/// Slope -1 from the last skill learned.
#[derive(Debug, Clone, Default)]
pub struct UnitSlope {
    /// Names.
    pub names: SkillNames,
}

#[derive(Debug)]
struct FromLast;

impl Centre for FromLast {
    fn centre(&self, learned: &[Learned], ln_p: f64) -> Option<f64> {
        learned.last().map(|(p, t)| t + p - ln_p)
    }

    fn params(&self) -> Vec<f64> {
        Vec::new()
    }
}

impl Theory for UnitSlope {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        fit_skill(SPEC, FromLast, &self.names, runs, query)
    }
}
