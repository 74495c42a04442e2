//! The multitask-strength theory: skills grow as logistic curves whose rate is their frequency.
//!
//! `R_k(t) = S / (1 + (S/R0 - 1) exp(-2 η P_k S t))`; a skill counts as learned at a fixed strength, so
//! `T_k = c / P_k` with one constant, the geometric mean of `T P` over the skills learned so far. Exact for
//! gradient flow on independent skills; Adam is known to be slower to slow down. Source: Nam et al. 2024
//! (arXiv:2404.17563).

use super::{Centre, Learned, SkillNames, fit_skill};
use crate::forecasters::{Fitted, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::math::mean;

const SPEC: TheorySpec = TheorySpec {
    name: "skill-strength",
    version: 1,
    n_params: 1,
    scope: "times of later skills, from one learned skill",
    source: "arXiv:2404.17563: R_k(t) = S / (1 + (S/R0 - 1) exp(-2 eta P_k S t))",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(Strength::default()) };

/// The multitask-strength theory.
#[derive(Debug, Clone, Default)]
pub struct Strength {
    /// Names.
    pub names: SkillNames,
}

impl Strength {
    /// `R_k(t)/S` at the rate `r = 2 η P_k S` with start `R0/S`.
    ///
    /// # Examples
    /// ```
    /// # use ontogeny_analysis::forecasters::Strength;
    /// assert_eq!(Strength::curve(0.01, 0.5, 0.0), 0.01);
    /// assert!(Strength::curve(0.01, 0.5, 100.0) > 0.999);
    /// ```
    pub fn curve(start: f64, rate: f64, t: f64) -> f64 {
        1.0 / (1.0 + (1.0 / start - 1.0) * (-rate * t).exp())
    }
}

#[derive(Debug)]
struct OverFrequency;

impl Centre for OverFrequency {
    fn centre(&self, learned: &[Learned], ln_p: f64) -> Option<f64> {
        Some(mean(&learned.iter().map(|(p, t)| p + t).collect::<Vec<_>>())? - ln_p)
    }

    fn params(&self) -> Vec<f64> {
        Vec::new()
    }
}

impl Theory for Strength {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        fit_skill(SPEC, OverFrequency, &self.names, runs, query)
    }
}
