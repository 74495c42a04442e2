//! Runs and events in a few words.

use crate::failure;
use ontogeny_core::{Censoring, Event, RunId, RunManifest, RunStatus, Seeds, Step, StopReason};
use ontogeny_store::{Listing, Store, StoreError};
use std::io::Write;

/// Events that are named one by one; more are counted.
const MAX_EVENTS: usize = 3;

/// Where a run stands.
pub(crate) fn status(m: &RunManifest) -> String {
    match &m.status {
        RunStatus::Open => "open".to_owned(),
        RunStatus::Done { reason: StopReason::Horizon } => "done".to_owned(),
        RunStatus::Done { reason: StopReason::Settled { .. } } => "settled".to_owned(),
        RunStatus::Done { reason: StopReason::Diverged { step, what } } => {
            format!("diverged at {step}: {what}")
        }
    }
}

/// Updates that a run may make; the configuration is not the store's to read, so it may not say.
pub(crate) fn horizon(m: &RunManifest) -> Option<u64> {
    m.config.get("horizon")?.as_u64()
}

/// Step and horizon.
pub(crate) fn progress(m: &RunManifest) -> String {
    horizon(m).map_or_else(|| m.step.to_string(), |h| format!("{}/{h}", m.step))
}

/// One seed, or all three where they differ.
pub(crate) fn seeds(s: Seeds) -> String {
    if s == Seeds::all(s.init_seed) {
        s.init_seed.to_string()
    } else {
        format!("init {} data {} noise {}", s.init_seed, s.data_seed, s.noise_seed)
    }
}

/// When an event was seen: the step, or until when not.
pub(crate) fn when(c: Censoring) -> String {
    match c {
        Censoring::Interval { hi, .. } => hi.to_string(),
        Censoring::Right { horizon } => format!(">{horizon}"),
    }
}

/// The time of an event with its interval.
pub(crate) fn interval(c: Censoring) -> String {
    match c {
        Censoring::Interval { lo, hi } => format!("in ({lo}, {hi}]"),
        Censoring::Right { horizon } => format!("not by {horizon}"),
    }
}

/// Few events one by one, many as a count.
pub(crate) fn events(events: &[Event]) -> String {
    if events.len() <= MAX_EVENTS {
        let each: Vec<String> =
            events.iter().map(|e| format!("{} {}", e.name, when(e.when))).collect();
        return each.join(", ");
    }
    let seen: Vec<Step> = events.iter().filter_map(|e| e.when.seen_at()).collect();
    let last = seen.iter().max().map(|s| format!(", last at {s}")).unwrap_or_default();
    format!("{} of {}{last}", seen.len(), events.len())
}

/// The runs that can be read; damaged ones are reported on stderr and skipped (law 8).
pub(crate) fn readable_runs(store: &Store, json: bool) -> Result<Vec<RunManifest>, StoreError> {
    let Listing { runs, damaged } = store.runs()?;
    for (name, error) in damaged {
        skipped(&name, &error, json);
    }
    Ok(runs)
}

/// Says that a damaged run is left out. There is nobody left to tell if that fails.
pub(crate) fn skipped(run: &str, error: &StoreError, json: bool) {
    let text = if json {
        failure::warning_json(&format!("run {run} is damaged and skipped"), &error.to_string())
    } else {
        format!("warning: run {run} is damaged and skipped\n  caused by: failed to {error}\n")
    };
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Says that a damaged zoom is left out.
pub(crate) fn skipped_zoom(run: &RunId, zoom: &str, error: &StoreError, json: bool) {
    let what =
        format!("zoom {zoom} of run {run} is damaged; `ontogeny zoom rm {run} {zoom}` removes it");
    let text = if json {
        failure::warning_json(&what, &error.to_string())
    } else {
        format!("warning: {what}\n  caused by: failed to {error}\n")
    };
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, when: Censoring) -> Event {
        let run = RunId::new("r").unwrap();
        let (series, detector) = ("s".to_owned(), "d".to_owned());
        let known_at = when.seen_at().unwrap_or_default();
        Event { run, name: name.into(), series, when, known_at, detector, evidence: 0.0 }
    }

    #[test]
    fn few_events_are_named_and_many_are_counted() {
        let seen = |name| event(name, Censoring::Interval { lo: Step(10), hi: Step(20) });
        let never = |name| event(name, Censoring::Right { horizon: Step(99) });
        assert_eq!(events(&[seen("T_mem"), never("T_grok")]), "T_mem 20, T_grok >99");
        assert_eq!(events(&[seen("a"), seen("b"), never("c"), never("d")]), "2 of 4, last at 20");
        assert_eq!(events(&[]), "");
    }

    #[test]
    fn seeds_are_named_where_they_differ() {
        assert_eq!(seeds(Seeds::all(3)), "3");
        assert_eq!(seeds(Seeds { data_seed: 4, ..Seeds::all(3) }), "init 3 data 4 noise 3");
    }
}
