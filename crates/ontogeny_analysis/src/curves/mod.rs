//! Extrapolates learning curves with uncertainty, from one run's own readings.
//!
//! Many families ([`FAMILIES`]) are fitted to the prefix; a mixture of them, weighted by how well they foretold
//! the later readings of the prefix from its earlier ones, is the predictive distribution. It holds what is
//! uncertain about parameters, noise that remembers, disagreement of the families, and the chance of a change
//! still to come. If that mixture did not beat persistence inside the prefix, the answer is "not predictable"
//! ([`Silence`]).
//!
//! Cost: a prefix is thinned to at most [`Options::max_points`] bins, so a curve of any length takes well below
//! a second. Everything is a function of the readings: random starts and draws are addressed by family and index.
//! Sources: Domhan et al. 2015; LCDB 1.1, arXiv:2505.15657; docs/protocol.md section 4.
//!
//! ```
//! use ontogeny_analysis::curves::{Silence, forecast};
//! // y = .2 + 3 t^-.5, known until step 1000, asked for step 8000.
//! let seen: Vec<(f64, f64)> = (1..=40).map(|i| (25.0 * i as f64, 0.2 + 3.0 * (25.0 * i as f64).powf(-0.5))).collect();
//! let f = forecast(&seen, 8000.0, false)?;
//! let median = ontogeny_analysis::distribution::median(&f.predictive);
//! assert!((median - 0.2 - 3.0 / 8000_f64.sqrt()).abs() < 1e-3);
//! assert_eq!(forecast(&seen[..5], 8000.0, false).unwrap_err(), Silence::TooFewReadings { found: 5, needed: 8 });
//! # Ok::<(), Silence>(())
//! ```

mod change;
mod families;
mod fit;
mod flags;
mod origins;
mod posterior;
mod readings;
mod stack;
pub mod synthetic;
#[cfg(test)]
mod tests;
mod weights;

pub use change::Change;
pub use families::{Coordinate, FAMILIES, Family, MAX_THETA, family};
pub use fit::Effort;
pub use flags::Flags;
pub use origins::Skill;
pub use stack::{Averaging, Options, Stack};

use ontogeny_core::Predictive;

/// Why nothing is said.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum Silence {
    /// Too few usable readings.
    #[error("{found} usable readings, at least {needed} are needed")]
    TooFewReadings { found: usize, needed: usize },
    /// All readings are the same.
    #[error("all readings are the same")]
    Constant,
    /// The step asked for is not after the last reading.
    #[error("step {at} is not after the last reading, at {last}")]
    NotLater { at: f64, last: f64 },
    /// A change so recent that what follows it cannot be judged.
    #[error("the curve changed at step {at}, and only {found} readings follow")]
    RecentChange { at: f64, found: usize },
    /// Too few readings to compare with persistence.
    #[error("{found} readings are too few to compare forecasts with persistence inside them")]
    Unjudged { found: usize },
    /// Earlier forecasts of the same kind were no better than persistence.
    #[error(
        "not predictable: inside the prefix forecasts gain {skill:+.2} over persistence (lower bound {lower:+.2}, \
         {far:+.2} at {reach:.1} times the steps seen)"
    )]
    NotPredictable { skill: f64, lower: f64, far: f64, reach: f64 },
    /// No family could be fitted or all have left the axis.
    #[error("no family of curves fits")]
    NoFit,
}

/// A forecast of one reading.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveForecast {
    /// The step.
    pub at: f64,
    /// The reading there (its natural logarithm if so asked).
    pub predictive: Predictive,
    /// Families by falling weight; those below a thousandth are left out.
    pub weights: Vec<(&'static str, f64)>,
    /// What is unusual about the curve.
    pub flags: Flags,
    /// Changes found; the forecast rests on the readings after the last.
    pub changes: Vec<Change>,
    /// Gain over persistence inside the prefix.
    pub skill: Skill,
}

/// Forecasts the reading at step `at` from the readings `points` (step, value) of the same run.
///
/// Readings that are not finite, lie at step 0 or before or, with `log`, are not positive are skipped. With `log`
/// noise is relative and the predictive distribution is that of the natural logarithm. Units of steps and values
/// do not matter. Deterministic.
///
/// # Errors
/// [`Silence`] says why nothing is said: too few readings, or no gain over persistence inside the prefix.
pub fn forecast(points: &[(f64, f64)], at: f64, log: bool) -> Result<CurveForecast, Silence> {
    let stack = Stack::fit(points, log, &Options::default())?;
    stack.forecast(at)
}

/// [`forecast`] for many steps from one fit, in the order of `steps`; each is judged at its own distance.
///
/// # Errors
/// As [`forecast`], for readings that allow no fit; a step about which nothing is said has its own error.
pub fn at_many(
    points: &[(f64, f64)],
    steps: &[f64],
    log: bool,
) -> Result<Vec<Result<CurveForecast, Silence>>, Silence> {
    let stack = Stack::fit(points, log, &Options::default())?;
    Ok(steps.iter().map(|at| stack.forecast(*at)).collect())
}
