//! The automatic choice: every forecaster is tried on cells it was not fitted on, and the best one speaks.
//!
//! The choice is made from the fit runs alone and is part of the fit, so whoever scores it scores the choosing
//! too. Ties go to the simpler forecaster, the one earlier in the list.

use super::calibrated::{LeftOut, leave_cell_out};
use super::{
    BASELINES, Fitted, NotFitted, Query, THEORIES, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::math::mean;
use crate::stats::mean_and_error;
use ontogeny_core::{Predictive, Prefix, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "auto",
    version: 2,
    n_params: 1,
    scope: "whatever one of the others forecasts",
    source: "choice among all forecasters by leave-cell-out score",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(Auto) };

/// Chooses a forecaster by its score on cells left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Auto;

#[derive(Debug)]
struct Chosen {
    inner: Box<dyn Fitted>,
    name: &'static str,
    n_tried: usize,
}

impl Theory for Auto {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let mut best: Option<(f64, Box<dyn Theory>)> = None;
        let (mut most, mut n_tried) = (0, 0);
        for entry in BASELINES.iter().chain(THEORIES) {
            // Theories of skills and of grokking are about single events; here every run must be answered.
            if entry.spec.name == SPEC.name {
                continue;
            }
            let theory = (entry.build)();
            let tried = leave_cell_out(&*theory, runs, query);
            let scores: Vec<f64> = tried.iter().filter_map(|l| l.score).collect();
            n_tried += usize::from(!scores.is_empty());
            // Who answers fewer runs than the others cannot be compared with them.
            if scores.len() < most || scores.is_empty() {
                continue;
            }
            let score = cautious(&tried).unwrap_or(f64::INFINITY);
            if scores.len() > most || best.as_ref().is_none_or(|b| score < b.0) {
                best = Some((score, theory));
            }
            most = scores.len();
        }
        let none = NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found: runs.len() };
        let (_, theory) = best.ok_or(none)?;
        let name = theory.spec().name;
        Ok(Box::new(Chosen { inner: theory.fit(runs, query)?, name, n_tried }))
    }
}

/// Mean over cells of the mean score of a cell, plus its standard error: a forecaster that is now and then far
/// off must be that much better elsewhere.
fn cautious(tried: &[LeftOut]) -> Option<f64> {
    let mut cells: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for l in tried {
        cells.entry(&l.cell).or_default().extend(l.score);
    }
    let means: Vec<f64> = cells.values().filter_map(|s| mean(s)).collect();
    mean_and_error(&means).map(|(m, e)| m + e).or_else(|| mean(&means))
}

impl Fitted for Chosen {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        self.inner.predict(prefix, features)
    }

    /// The name of the choice, with who was chosen in the hash.
    fn theory_ref(&self) -> TheoryRef {
        let inner = self.inner.theory_ref();
        TheoryRef { name: SPEC.name.into(), n_params: inner.n_params + SPEC.n_params, ..inner }
    }

    fn remark(&self, prefix: &Prefix) -> Option<String> {
        let own = self.inner.remark(prefix).map(|r| format!(", which {r}")).unwrap_or_default();
        Some(format!("chose {} among {} that answer{own}", self.name, self.n_tried))
    }

    fn speaker(&self) -> Option<String> {
        Some(self.name.to_owned())
    }

    fn reason(&self) -> Option<String> {
        self.inner.reason()
    }
}
