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

impl ThresholdRule {
    /// Reads `SERIES>=LEVEL` or `SERIES<=LEVEL`, optionally followed by ` for N` readings (3 if absent). The event is
    /// called what is read, without spaces around the comparison, so that its name says how it is found.
    pub fn parse(text: &str) -> Option<Self> {
        let (rule, persistence) = match text.rsplit_once(" for ") {
            Some((rule, n)) => (rule, n.trim().parse().ok().filter(|n| *n > 0)?),
            None => (text, PERSISTENCE),
        };
        let (series, level, direction) = match rule.rsplit_once(">=") {
            Some((s, l)) => (s, l, Direction::Rising),
            None => rule.rsplit_once("<=").map(|(s, l)| (s, l, Direction::Falling))?,
        };
        let series = series.trim();
        let level = level.trim().parse::<f64>().ok().filter(|l| l.is_finite())?;
        let sign = if direction == Direction::Rising { ">=" } else { "<=" };
        let held =
            if persistence == PERSISTENCE { String::new() } else { format!(" for {persistence}") };
        (!series.is_empty()).then(|| Self {
            event: format!("{series}{sign}{level}{held}"),
            series: series.to_owned(),
            direction,
            level,
            persistence,
        })
    }
}

/// Readings at which a level must hold, counting the first, unless something else is said.
const PERSISTENCE: usize = 3;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_parsed_event_says_how_it_is_found() {
        let rule = ThresholdRule::parse("test/acc >= 0.95").unwrap();
        assert_eq!((rule.event.as_str(), rule.persistence), ("test/acc>=0.95", 3));
        let rule = ThresholdRule::parse("loss<=1e-2 for 5").unwrap();
        assert_eq!((rule.event.as_str(), rule.level), ("loss<=0.01 for 5", 0.01));
        assert_eq!(ThresholdRule::parse(&rule.event), Some(rule));
        for bad in ["loss", "loss<=", ">=1", "loss>=x", "loss>=1 for 0", "loss>=inf", ""] {
            assert_eq!(ThresholdRule::parse(bad), None, "{bad}");
        }
    }
}
