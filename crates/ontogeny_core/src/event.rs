//! An event: a detected change, with the interval in which it happened and the reason it was believed.

use crate::{RunId, Step};
use serde::{Deserialize, Serialize};

/// Which way a series must cross a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The event is `value >= level`.
    Rising,
    /// The event is `value <= level`.
    Falling,
}

/// What is known about the time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Censoring {
    /// It happened after `lo` and no later than `hi`: the spacing of the probes.
    Interval {
        /// Last probed step at which it had not happened; 0 if it held at the first reading.
        lo: Step,
        /// First probed step at which it had.
        hi: Step,
    },
    /// It had not happened by `horizon`, the last step that was looked at.
    Right {
        /// The last step that was looked at.
        horizon: Step,
    },
}

impl Censoring {
    /// The first step at which the event was seen, or `None` if it never was.
    pub fn seen_at(self) -> Option<Step> {
        match self {
            Self::Interval { hi, .. } => Some(hi),
            Self::Right { .. } => None,
        }
    }

    /// Whether the event was never seen.
    pub fn is_censored(self) -> bool {
        matches!(self, Self::Right { .. })
    }
}

/// First passage of a level that then holds: (series, direction, level, persistence).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdRule {
    /// Name of the event, e.g. `T_mem`.
    pub event: String,
    /// Series that is watched.
    pub series: String,
    /// Which way.
    pub direction: Direction,
    /// The level.
    pub level: f64,
    /// Probe points, counting the first, at which the level must hold; 3 by default.
    pub persistence: usize,
}

/// A detected change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// Name of the event, e.g. `T_grok`.
    pub name: String,
    /// The series in which it was found.
    pub series: String,
    /// When, or until when not.
    pub when: Censoring,
    /// The step of the reading that decided: with persistence w the one that is w - 1 readings after the first
    /// at the level; without an event the last one looked at. Nobody could say it earlier.
    pub known_at: Step,
    /// The detector and its settings, e.g. `threshold(rising, 0.95, w=3)`.
    pub detector: String,
    /// The value that convinced the detector (at the first step of the event, or the last one looked at).
    pub evidence: f64,
}
