//! Time-to-event models on `ln t`, with interval and right censoring.

mod aft;
mod kaplan_meier;

pub use aft::{AftModel, AftOptions, AftRow, fit_aft};
pub use kaplan_meier::{KmStep, kaplan_meier, survival_at};

use ontogeny_core::{Censoring, Observed, Step};

/// What is known of an event time, in natural logarithms of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lifetime {
    /// It happened in `(lo, hi]`; equal ends are a time known exactly.
    Event {
        /// `ln` of the last step before.
        lo: f64,
        /// `ln` of the first step at or after.
        hi: f64,
    },
    /// It had not happened by `at`.
    Censored {
        /// `ln` of the last step that was looked at.
        at: f64,
    },
}

impl Lifetime {
    /// From the censoring of an event. A lower end at step 0 counts as step 1.
    pub fn from_censoring(when: Censoring) -> Self {
        match when {
            Censoring::Interval { lo, hi } => Self::Event { lo: lo.ln().min(hi.ln()), hi: hi.ln() },
            Censoring::Right { horizon } => Self::Censored { at: horizon.ln() },
        }
    }

    /// From an observed outcome; `None` for values.
    pub fn from_observed(observed: Observed) -> Option<Self> {
        match observed {
            Observed::Event { lo, hi } => {
                Some(Self::Event { lo: lo.ln().min(hi.ln()), hi: hi.ln() })
            }
            Observed::Never { horizon } => Some(Self::Censored { at: horizon.ln() }),
            Observed::Value { .. } => None,
        }
    }

    /// What a person knows who stopped looking at `horizon`.
    #[must_use]
    pub fn seen_until(self, horizon: Step) -> Self {
        let h = horizon.ln();
        match self {
            Self::Event { hi, .. } if hi > h => Self::Censored { at: h },
            Self::Censored { at } if at > h => Self::Censored { at: h },
            same => same,
        }
    }

    /// The middle of the interval on `ln t`; `None` if censored.
    pub fn mid(self) -> Option<f64> {
        match self {
            Self::Event { lo, hi } => Some(0.5 * (lo + hi)),
            Self::Censored { .. } => None,
        }
    }

    /// The same lifetime on an axis moved by `-shift`.
    #[must_use]
    pub fn shifted(self, shift: f64) -> Self {
        match self {
            Self::Event { lo, hi } => Self::Event { lo: lo - shift, hi: hi - shift },
            Self::Censored { at } => Self::Censored { at: at - shift },
        }
    }
}
