//! A fork with the past that it shares with its parent: the whole trajectory, from step 0.

use crate::face::record;
use ontogeny_analysis::detectors::detect;
use ontogeny_core::{Direction, Event, RunId, Series, ThresholdRule};
use ontogeny_lab::RunRecord;
use ontogeny_store::{Store, StoreError};
use std::collections::BTreeMap;

/// A run with its ancestors' readings before the fork, and its events detected on both together: an event
/// that came before the fork belongs to parent and fork alike.
///
/// A fork whose parent is gone or damaged stays as it is.
pub(crate) fn whole(store: &Store, run: &RunId) -> Result<RunRecord, StoreError> {
    let own = record(store, run)?;
    let Some(fork) = own.manifest.fork.clone() else { return Ok(own) };
    match whole(store, &fork.parent) {
        Ok(parent) => Ok(joined(&parent, own, fork.step.0)),
        Err(StoreError::UnknownRun { .. } | StoreError::Damaged { .. }) => Ok(own),
        Err(e) => Err(e),
    }
}

fn joined(parent: &RunRecord, own: RunRecord, step: u64) -> RunRecord {
    let mut series: BTreeMap<String, Series> = parent.series.clone();
    for s in series.values_mut() {
        // The state at the fork is the parent's; where the fork read it too, its own reading counts.
        let first = own.series.get(&s.name).and_then(|s| s.points.first());
        s.points.retain(|p| p.step.0 <= step && first.is_none_or(|f| p.step < f.step));
    }
    series.retain(|_, s| !s.points.is_empty());
    for (name, s) in own.series {
        match series.get_mut(&name) {
            Some(past) => past.points.extend(s.points),
            None => drop(series.insert(name, s)),
        }
    }
    let again = |e: Event| {
        let rule = rule_of(&e);
        let found = rule.and_then(|rule| detect(&rule, &e.run, series.get(&rule.series)?));
        found.unwrap_or(e)
    };
    let events = own.events.into_iter().map(again).collect();
    RunRecord { manifest: own.manifest, series, events }
}

/// The rule behind an event that a run detected, from the detector's own words.
pub(crate) fn rule_of(event: &Event) -> Option<ThresholdRule> {
    let inside = event.detector.strip_prefix("threshold(")?.strip_suffix(')')?;
    let mut parts = inside.split(", ");
    let direction = match parts.next()? {
        "rising" => Direction::Rising,
        "falling" => Direction::Falling,
        _ => return None,
    };
    Some(ThresholdRule {
        event: event.name.clone(),
        series: event.series.clone(),
        direction,
        level: parts.next()?.parse().ok()?,
        persistence: parts.next()?.strip_prefix("w=")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detectors_words_give_its_rule_back() {
        let run = RunId::new("r").unwrap();
        for (direction, level, persistence) in
            [(Direction::Rising, 0.95, 3), (Direction::Falling, -1e-7, 1)]
        {
            let (event, series) = ("T".to_owned(), "s".to_owned());
            let rule = ThresholdRule { event, series, direction, level, persistence };
            let seen = Series::from_pairs("s", "1", [(0, 0.5)]);
            let event = detect(&rule, &run, &seen).unwrap();
            assert_eq!(rule_of(&event), Some(rule));
        }
    }
}
