//! What can be wrong with measured losses.

use super::law::Input;

/// Why a law cannot be fitted or asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScalingError {
    /// Fewer points than the law can be told from.
    #[error(
        "fit {law}: {n_points} points are too few for {n_theta} parameters; give at least {needed}"
    )]
    #[expect(missing_docs, reason = "the message names every field")]
    TooFewPoints { law: &'static str, n_points: usize, n_theta: usize, needed: usize },

    /// A value without a logarithm.
    #[error("fit {law}: {column} of point {point} is {value}; it must be finite and above zero")]
    #[expect(missing_docs, reason = "the message names every field")]
    NotPositive { law: &'static str, column: &'static str, point: usize, value: f64 },

    /// All points share the value of an input.
    #[error("fit {law}: all points have the same {input}, so its exponent cannot be told")]
    #[expect(missing_docs, reason = "the message names every field")]
    NoSpread { law: &'static str, input: Input },

    /// Every start ended outside the numbers.
    #[error(
        "fit {law}: none of {n_starts} starts reached a finite objective; check the units of the columns"
    )]
    #[expect(missing_docs, reason = "the message names every field")]
    NoOptimum { law: &'static str, n_starts: usize },

    /// A prediction is asked at a place that lacks an input.
    #[error("predict with {law}: it needs the {input}, which the place asked about does not give")]
    #[expect(missing_docs, reason = "the message names every field")]
    MissingInput { law: &'static str, input: Input },

    /// There are not enough budgets to leave some out.
    #[error(
        "validate: {n_budgets} compute budgets are too few to leave the largest out; give at least {needed}"
    )]
    #[expect(missing_docs, reason = "the message names every field")]
    TooFewBudgets { n_budgets: usize, needed: usize },

    /// Two series or tables that belong together differ in length.
    #[error("{what}: {left} and {right} rows do not pair up")]
    #[expect(missing_docs, reason = "the message names every field")]
    Unpaired { what: &'static str, left: usize, right: usize },
}
