//! A schedule of a hyper-parameter, as a typed object.

use crate::Step;
use serde::{Deserialize, Serialize};

/// A value as a function of the step.
///
/// In a configuration a plain number is a constant schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Schedule {
    /// The same value at every step.
    Constant(f64),
    /// A curve.
    Curve(Curve),
}

/// The shapes a schedule can take beside a constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "shape", deny_unknown_fields)]
pub enum Curve {
    /// Linear from 0 over `warmup` steps, then constant: at step t (updates already applied) min(1, (t + 1) / warmup).
    Warmup {
        /// Value after the warm-up.
        value: f64,
        /// Steps of the warm-up.
        warmup: u64,
    },
    /// Warm-up, then half a cosine from `value` to `end` at `until`, then `end`.
    Cosine {
        /// Value after the warm-up.
        value: f64,
        /// Steps of the warm-up.
        warmup: u64,
        /// Value at and after `until`.
        end: f64,
        /// Step at which the cosine ends.
        until: u64,
    },
    /// Warm-up, constant, then linear to `end` between `decay_from` and `until`.
    WarmupStableDecay {
        /// Value on the plateau.
        value: f64,
        /// Steps of the warm-up.
        warmup: u64,
        /// First step of the decay.
        decay_from: u64,
        /// Value at and after `until`.
        end: f64,
        /// Step at which the decay ends.
        until: u64,
    },
    /// Constant pieces: from each step on, the value beside it; before the first, the first value.
    Steps {
        /// (first step, value), steps increasing.
        pieces: Vec<(u64, f64)>,
    },
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A value lies outside what the hyper-parameter allows.
    #[error("value {value} lies outside [{min}, {max}]")]
    #[expect(missing_docs, reason = "the message names every field")]
    OutOfRange { value: f64, min: f64, max: f64 },
    /// Pieces are missing or not in order.
    #[error("steps of a schedule must be given and increase: {what}")]
    #[expect(missing_docs, reason = "the message names every field")]
    Order { what: &'static str },
}

impl Schedule {
    /// The value used by the update that takes the run from `step` to `step + 1`.
    pub fn at(&self, step: Step) -> f64 {
        let t = step.0;
        let ramp =
            |warmup: u64| if warmup == 0 { 1.0 } else { ((t + 1) as f64 / warmup as f64).min(1.0) };
        // How far t lies between a and b, in [0, 1].
        let along =
            |a: u64, b: u64| if t >= b { 1.0 } else { t.saturating_sub(a) as f64 / (b - a) as f64 };
        match self {
            Self::Constant(value) => *value,
            Self::Curve(Curve::Warmup { value, warmup }) => value * ramp(*warmup),
            Self::Curve(Curve::Cosine { value, warmup, end, until }) => {
                let c = 0.5
                    * (1.0
                        + (std::f64::consts::PI * along(*warmup, (*until).max(warmup + 1))).cos());
                if t < *warmup { value * ramp(*warmup) } else { end + (value - end) * c }
            }
            Self::Curve(Curve::WarmupStableDecay { value, warmup, decay_from, end, until }) => {
                if t < *warmup {
                    value * ramp(*warmup)
                } else {
                    value + (end - value) * along(*decay_from, (*until).max(decay_from + 1))
                }
            }
            Self::Curve(Curve::Steps { pieces }) => {
                let n = pieces.partition_point(|&(from, _)| from <= t);
                pieces.get(n.saturating_sub(1)).map_or(f64::NAN, |&(_, v)| v)
            }
        }
    }

    /// Checks that every value the schedule can take is finite and lies in [min, max].
    ///
    /// # Errors
    /// [`ScheduleError::OutOfRange`] with the first value that does not; [`ScheduleError::Order`] for pieces out of order.
    pub fn check(&self, min: f64, max: f64) -> Result<(), ScheduleError> {
        let values: Vec<f64> = match self {
            Self::Constant(v) | Self::Curve(Curve::Warmup { value: v, .. }) => vec![*v],
            Self::Curve(
                Curve::Cosine { value, end, .. } | Curve::WarmupStableDecay { value, end, .. },
            ) => vec![*value, *end],
            Self::Curve(Curve::Steps { pieces }) => {
                if pieces.is_empty() {
                    return Err(ScheduleError::Order { what: "no piece" });
                }
                if pieces.windows(2).any(|w| w[0].0 >= w[1].0) {
                    return Err(ScheduleError::Order {
                        what: "a step does not follow the one before it",
                    });
                }
                pieces.iter().map(|&(_, v)| v).collect()
            }
        };
        match values.into_iter().find(|v| !(v.is_finite() && *v >= min && *v <= max)) {
            Some(value) => Err(ScheduleError::OutOfRange { value, min, max }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[(u64, f64)]) {
        let s: Schedule = serde_json::from_str(json).unwrap();
        for &(t, v) in expected {
            assert!((s.at(Step(t)) - v).abs() < 1e-12, "{json} at {t}: {} not {v}", s.at(Step(t)));
        }
        assert_eq!(
            serde_json::from_str::<Schedule>(&serde_json::to_string(&s).unwrap()).unwrap(),
            s
        );
    }

    #[test]
    fn schedules_take_their_published_values() {
        check("0.5", &[(0, 0.5), (1_000_000, 0.5)]);
        check(r#"{"shape":"warmup","value":1.0,"warmup":10}"#, &[(0, 0.1), (9, 1.0), (100, 1.0)]);
        check(
            r#"{"shape":"cosine","value":1.0,"warmup":0,"end":0.0,"until":100}"#,
            &[(0, 1.0), (50, 0.5), (100, 0.0)],
        );
        check(
            r#"{"shape":"warmup_stable_decay","value":2.0,"warmup":2,"decay_from":10,"end":0.0,"until":20}"#,
            &[(0, 1.0), (5, 2.0), (15, 1.0), (30, 0.0)],
        );
        check(r#"{"shape":"steps","pieces":[[0,1.0],[5,0.25]]}"#, &[(0, 1.0), (4, 1.0), (5, 0.25)]);
    }

    #[test]
    fn says_which_value_is_out_of_range() {
        let s: Schedule = serde_json::from_str("-1.0").unwrap();
        assert_eq!(s.check(0.0, 10.0).unwrap_err().to_string(), "value -1 lies outside [0, 10]");
        assert!(
            serde_json::from_str::<Schedule>(r#"{"shape":"warmup","value":1,"warmup":1,"x":1}"#)
                .is_err()
        );
    }
}
