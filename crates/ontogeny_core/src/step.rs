//! Time: the step, and the clocks that run beside it.

use serde::{Deserialize, Serialize};

/// Optimizer updates already applied; step 0 is the initialization.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Step(pub u64);

impl Step {
    /// The step after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Natural logarithm of the step, the axis on which event times are scored; step 0 counts as 1.
    pub fn ln(self) -> f64 {
        (self.0.max(1) as f64).ln()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The other ways to say how far a run has come.
///
/// Wall time is kept too, but nothing is ever computed from it: it differs from machine to machine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Clocks {
    /// Training examples seen, with repetition.
    pub n_examples: u64,
    /// Floating-point operations, counted from the model's own formula (forward and backward).
    pub flop: f64,
    /// Sum of the learning rate over the updates applied.
    pub lr_time: f64,
    /// Seconds of training on the wall clock.
    pub wall_secs: f64,
}
