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
    /// Linear from `from` at step `start` to `value` at step `until`; constant before and after.
    Ramp {
        /// Value at and before `start`.
        from: f64,
        /// Value at and after `until`.
        value: f64,
        /// Step at which the ramp begins.
        start: u64,
        /// Step at which it ends.
        until: u64,
    },
    /// From 0 at step `start` to `value` at step `until`: with `t` steps of `T` done, `c t^4` for the first quarter, then
    /// linear with the slope reached there, `c = value / (t_m^3 (4 T - 3 t_m))`, `t_m = T / 4` (Xu et al. 2020,
    /// arXiv:2002.12920, `SmoothedScheduler`).
    Smoothed {
        /// Value at and after `until`.
        value: f64,
        /// Step at which the ramp begins.
        start: u64,
        /// Step at which it ends.
        until: u64,
    },
    /// Straight lines between points; constant before the first and after the last.
    Knots {
        /// (step, value), steps increasing.
        points: Vec<(u64, f64)>,
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

impl From<f64> for Schedule {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

/// Where a smoothed ramp becomes linear.
const MID: f64 = 0.25;

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
            Self::Curve(Curve::Ramp { from, value, start, until }) => {
                from + (value - from) * along(*start, *until)
            }
            Self::Curve(Curve::Smoothed { value, start, until }) => {
                let f = along(*start, *until);
                // In units of T: c t_m^4 at t_m, slope 4 c t_m^3 from there on.
                let c = value / (MID.powi(3) * (4.0 - 3.0 * MID));
                if f >= 1.0 {
                    *value
                } else if f <= MID {
                    c * f.powi(4)
                } else {
                    c * MID.powi(3) * (MID + 4.0 * (f - MID))
                }
            }
            Self::Curve(Curve::Knots { points }) => {
                let n = points.partition_point(|&(at, _)| at <= t);
                match (points.get(n.wrapping_sub(1)), points.get(n)) {
                    (Some(&(a, v)), Some(&(b, w))) => v + (w - v) * along(a, b),
                    (Some(&(_, v)), None) | (None, Some(&(_, v))) => v,
                    (None, None) => f64::NAN,
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
        let (steps, what): (Vec<u64>, _) = match self {
            Self::Curve(Curve::Steps { pieces: at } | Curve::Knots { points: at }) => {
                if at.is_empty() {
                    return Err(ScheduleError::Order { what: "no piece" });
                }
                (at.iter().map(|p| p.0).collect(), "a step does not follow the one before it")
            }
            Self::Curve(
                Curve::Ramp { start, until, .. } | Curve::Smoothed { start, until, .. },
            ) => (vec![*start, *until], "a ramp ends after it starts"),
            _ => (vec![], ""),
        };
        if steps.windows(2).any(|w| w[0] >= w[1]) {
            return Err(ScheduleError::Order { what });
        }
        match self.corners().into_iter().find(|v| !(v.is_finite() && *v >= min && *v <= max)) {
            Some(value) => Err(ScheduleError::OutOfRange { value, min, max }),
            None => Ok(()),
        }
    }

    /// The largest value that the schedule can take.
    pub fn largest(&self) -> f64 {
        self.corners().into_iter().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The values between which all others lie, but for those of a warm-up from 0.
    fn corners(&self) -> Vec<f64> {
        match self {
            Self::Constant(v)
            | Self::Curve(Curve::Warmup { value: v, .. } | Curve::Smoothed { value: v, .. }) => {
                vec![*v]
            }
            Self::Curve(
                Curve::Cosine { value, end, .. }
                | Curve::WarmupStableDecay { value, end, .. }
                | Curve::Ramp { value, from: end, .. },
            ) => vec![*value, *end],
            Self::Curve(Curve::Steps { pieces: at } | Curve::Knots { points: at }) => {
                at.iter().map(|&(_, v)| v).collect()
            }
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
        check(
            r#"{"shape":"ramp","from":1.0,"value":0.5,"start":10,"until":20}"#,
            &[(0, 1.0), (10, 1.0), (15, 0.75), (20, 0.5), (99, 0.5)],
        );
        check(
            r#"{"shape":"knots","points":[[10,0.0],[20,1.0],[40,2.0]]}"#,
            &[(0, 0.0), (15, 0.5), (20, 1.0), (30, 1.5), (40, 2.0), (99, 2.0)],
        );
        check(r#"{"shape":"steps","pieces":[[0,1.0],[5,0.25]]}"#, &[(0, 1.0), (4, 1.0), (5, 0.25)]);
    }

    #[test]
    fn a_smoothed_ramp_has_the_published_formula_and_no_kink() {
        let s = Schedule::Curve(Curve::Smoothed { value: 0.3, start: 100, until: 500 });
        let (whole, mid, top) = (400.0f64, 100.0f64, 0.3);
        let c = top / (mid.powi(3) * (4.0 * whole - 3.0 * mid));
        assert_eq!((s.at(Step(0)), s.at(Step(100)), s.at(Step(500))), (0.0, 0.0, 0.3));
        for t in 0..=400u32 {
            let x = f64::from(t);
            let expected = if x <= mid {
                c * x.powi(4)
            } else {
                c * mid.powi(4) + 4.0 * c * mid.powi(3) * (x - mid)
            };
            let found = s.at(Step(100 + u64::from(t)));
            assert!((found - expected).abs() < 1e-14, "{t}: {found} not {expected}");
        }
        let slope = |t: u64| s.at(Step(t + 1)) - s.at(Step(t));
        assert!((slope(199) / slope(200) - 1.0).abs() < 0.02); // 1.5 steps of a cubic slope, 3 % each
        assert_eq!(s.largest(), 0.3);
    }

    #[test]
    fn refuses_points_out_of_order() {
        let check = |json: &str, expected: &str| {
            let s: Schedule = serde_json::from_str(json).unwrap();
            assert!(s.check(0.0, 1.0).unwrap_err().to_string().ends_with(expected), "{json}");
        };
        check(r#"{"shape":"knots","points":[]}"#, "no piece");
        check(r#"{"shape":"knots","points":[[5,0],[5,1]]}"#, "does not follow the one before it");
        check(
            r#"{"shape":"smoothed","value":1,"start":5,"until":5}"#,
            "a ramp ends after it starts",
        );
        check(
            r#"{"shape":"ramp","from":2,"value":1,"start":0,"until":5}"#,
            "value 2 lies outside [0, 1]",
        );
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
