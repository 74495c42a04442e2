//! First passage of a level that then holds.
//!
//! The event is the first probed step `t_j` at which the series has reached the level and still holds it at
//! the next `w - 1` probes; it happened in `(t_{j-1}, t_j]`. A series that never does is right-censored at
//! the last step looked at. At the end of the data, fewer than `w` holding points are not yet an event.
//! Non-finite readings hold nothing.

use super::DetectorSpec;
use ontogeny_core::{Censoring, Direction, Event, RunId, Series, Step, ThresholdRule};

pub(crate) const SPEC: DetectorSpec = DetectorSpec {
    name: "threshold",
    summary: "First passage of a level that holds for w probes; interval-censored by the probe spacing.",
    source: "docs/protocol.md, section 0",
};

/// Whether a value is on the far side of the level. NaN never is.
pub(crate) fn holds(rule: &ThresholdRule, value: f64) -> bool {
    match rule.direction {
        Direction::Rising => value >= rule.level,
        Direction::Falling => value <= rule.level,
    }
}

/// The detector and its settings, as written into an event.
pub(crate) fn describe(rule: &ThresholdRule) -> String {
    let way = match rule.direction {
        Direction::Rising => "rising",
        Direction::Falling => "falling",
    };
    format!("threshold({way}, {}, w={})", rule.level, rule.persistence.max(1))
}

/// Applies `rule` to `series`.
///
/// Returns `None` if the series has no points. An event that holds from the first reading has `lo` = 0 if
/// that reading is later than step 0.
///
/// # Examples
/// ```
/// # use ontogeny_core::{Censoring, Direction, RunId, Series, Step, ThresholdRule};
/// let rule = ThresholdRule {
///     event: "T_grok".into(), series: "test.accuracy".into(),
///     direction: Direction::Rising, level: 0.95, persistence: 3,
/// };
/// let s = Series::from_pairs("test.accuracy", "1", [(0, 0.1), (10, 0.97), (20, 0.3), (30, 0.96), (40, 0.99), (50, 1.0)]);
/// let event = ontogeny_analysis::detectors::detect(&rule, &RunId::new("r").unwrap(), &s).unwrap();
/// assert_eq!(event.when, Censoring::Interval { lo: Step(20), hi: Step(30) });
/// ```
pub fn detect(rule: &ThresholdRule, run: &RunId, series: &Series) -> Option<Event> {
    let points = &series.points;
    let last = points.last()?;
    let w = rule.persistence.max(1);
    let mut held = 0;
    let mut found = None;
    for (i, p) in points.iter().enumerate() {
        held = if holds(rule, p.value) { held + 1 } else { 0 };
        if held == w {
            found = Some(i + 1 - w);
            break;
        }
    }
    let (when, known_at, evidence) = match found {
        Some(i) => {
            let lo = i.checked_sub(1).map_or(Step(0), |j| points[j].step);
            let when = Censoring::Interval { lo, hi: points[i].step };
            (when, points[i + w - 1].step, points[i].value)
        }
        None => (Censoring::Right { horizon: last.step }, last.step, last.value),
    };
    Some(Event {
        run: run.clone(),
        name: rule.event.clone(),
        series: series.name.clone(),
        when,
        known_at,
        detector: describe(rule),
        evidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    fn rule(direction: Direction, level: f64, persistence: usize) -> ThresholdRule {
        ThresholdRule { event: "T".into(), series: "x".into(), direction, level, persistence }
    }

    #[track_caller]
    fn check(rule: &ThresholdRule, points: &[(u64, f64)], expected: Censoring) {
        let s = Series::from_pairs("x", "1", points.iter().copied());
        let e = detect(rule, &RunId::new("r").unwrap(), &s).unwrap();
        assert_eq!(e.when, expected);
    }

    #[test]
    fn finds_the_first_passage_that_holds() {
        let up = rule(Direction::Rising, 1.0, 2);
        let interval = |lo, hi| Censoring::Interval { lo: Step(lo), hi: Step(hi) };
        let right = |h| Censoring::Right { horizon: Step(h) };
        check(&up, &[(0, 0.0), (5, 1.0), (7, 1.0)], interval(0, 5));
        check(&up, &[(0, 0.0), (5, 1.0), (7, 0.9), (9, 2.0), (11, 2.0)], interval(7, 9));
        check(&up, &[(0, 0.0), (5, 0.5), (7, 1.0)], right(7)); // one point of two: not yet an event
        check(&up, &[(0, 0.0), (5, f64::NAN), (7, 0.1)], right(7));
        check(&up, &[(0, 0.0), (5, 1.0), (6, f64::NAN), (7, 1.0), (8, 1.0)], interval(6, 7));
        check(&up, &[(4, 2.0), (5, 1.0)], interval(0, 4));
        check(&rule(Direction::Falling, 0.5, 1), &[(0, 2.0), (10, 0.4)], interval(0, 10));
        let empty = Series::new("x", "1");
        assert!(detect(&up, &RunId::new("r").unwrap(), &empty).is_none());
    }

    #[test]
    fn persistence_keeps_false_alarms_on_noise_where_theory_says() {
        // White noise crosses a 2-sd level at one probe with p = .02275; three in a row with p³ each, so at
        // most 200 p³ = .0024 of series of 200 probes raise an alarm, against 99 % with w = 1.
        let alarms = |w: usize| {
            let r = rule(Direction::Rising, 2.0, w);
            (0..2000)
                .filter(|seed| {
                    let d = Philox::new(*seed, "noise").at(0);
                    let s = Series::from_pairs("x", "1", (0..200).map(|i| (i, d.normal(i))));
                    !detect(&r, &RunId::new("r").unwrap(), &s).unwrap().when.is_censored()
                })
                .count()
        };
        assert!(alarms(3) <= 14, "{}", alarms(3)); // mean 4.7, plus four standard deviations
        assert!(alarms(1) > 1900);
    }
}
