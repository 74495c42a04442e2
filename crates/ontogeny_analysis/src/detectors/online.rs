//! The threshold detector one reading at a time: when it is known, and when it happened.

use super::threshold::{describe, holds};
use ontogeny_core::{Censoring, Event, Point, RunId, Step, ThresholdRule};

/// An event, at the moment it became certain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confirmed {
    /// Last probed step at which it had not happened; 0 if it held at the first reading.
    pub lo: Step,
    /// First probed step at which it had.
    pub hi: Step,
    /// The step at which it could be said: `w - 1` probes after `hi`.
    pub known_at: Step,
    /// The value at `hi`.
    pub evidence: f64,
}

/// Watches a live series for one [`ThresholdRule`].
///
/// Feeding a finished series point by point confirms the same interval as [`super::detect`].
///
/// # Examples
/// ```
/// # use ontogeny_core::{Direction, Point, Step, ThresholdRule};
/// # use ontogeny_analysis::detectors::OnlineThreshold;
/// let rule = ThresholdRule {
///     event: "T".into(), series: "x".into(), direction: Direction::Rising, level: 1.0, persistence: 2,
/// };
/// let mut watch = OnlineThreshold::new(rule);
/// assert!(watch.feed(Point { step: Step(0), value: 0.0 }).is_none());
/// assert!(watch.feed(Point { step: Step(10), value: 1.5 }).is_none());
/// let event = watch.feed(Point { step: Step(20), value: 1.6 }).unwrap();
/// assert_eq!((event.hi, event.known_at), (Step(10), Step(20)));
/// ```
#[derive(Debug, Clone)]
pub struct OnlineThreshold {
    rule: ThresholdRule,
    before: Step,
    seen: Option<Step>,
    run: Option<(Point, usize)>,
    confirmed: Option<Confirmed>,
}

impl OnlineThreshold {
    /// Starts watching.
    pub fn new(rule: ThresholdRule) -> Self {
        Self { rule, before: Step(0), seen: None, run: None, confirmed: None }
    }

    /// The rule that is watched.
    pub fn rule(&self) -> &ThresholdRule {
        &self.rule
    }

    /// Takes the next reading; returns the event at the reading that confirms it, and never again. A reading at
    /// or before the last step seen is no news: a resumed run takes its last one again.
    pub fn feed(&mut self, point: Point) -> Option<Confirmed> {
        if self.confirmed.is_some() || self.seen.is_some_and(|s| point.step <= s) {
            return None;
        }
        self.seen = Some(point.step);
        if !holds(&self.rule, point.value) {
            self.run = None;
            self.before = point.step;
            return None;
        }
        let (first, n) = self.run.map_or((point, 1), |(first, n)| (first, n + 1));
        self.run = Some((first, n));
        if n < self.rule.persistence.max(1) {
            return None;
        }
        self.confirmed = Some(Confirmed {
            lo: self.before,
            hi: first.step,
            known_at: point.step,
            evidence: first.value,
        });
        self.confirmed
    }

    /// The event of `run`, once it is confirmed: the same that [`super::detect`] finds.
    pub fn event(&self, run: &RunId) -> Option<Event> {
        let found = self.confirmed?;
        Some(Event {
            run: run.clone(),
            name: self.rule.event.clone(),
            series: self.rule.series.clone(),
            when: Censoring::Interval { lo: found.lo, hi: found.hi },
            known_at: found.known_at,
            detector: describe(&self.rule),
            evidence: found.evidence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::{Direction, Series};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn says_the_same_as_the_detector_that_sees_everything(
            values in prop::collection::vec(0.0..2.0_f64, 1..60), w in 1..5_usize,
        ) {
            let rule = ThresholdRule {
                event: "T".into(), series: "x".into(), direction: Direction::Rising, level: 1.0,
                persistence: w,
            };
            let s = Series::from_pairs("x", "1", (0..).step_by(7).zip(values));
            let mut watch = OnlineThreshold::new(rule.clone());
            let said: Vec<Confirmed> = s.points.iter().filter_map(|p| watch.feed(*p)).collect();
            prop_assert!(said.len() <= 1);
            if let Some(c) = said.first() {
                prop_assert_eq!(c.known_at.0, c.hi.0 + 7 * (w as u64 - 1));
            }
            let run = RunId::new("r").unwrap();
            let whole = crate::detectors::detect(&rule, &run, &s).unwrap();
            prop_assert_eq!(watch.event(&run), Some(whole).filter(|e| !e.when.is_censored()));
            // What was seen is no news.
            prop_assert!(s.points.iter().all(|p| watch.feed(*p).is_none()));
        }
    }
}
