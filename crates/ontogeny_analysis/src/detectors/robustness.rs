//! How much an event depends on the settings of its detector: level ±20 %, persistence 1 to 5, half the probes.

use super::detect;
use ontogeny_core::{Event, RunId, Series, ThresholdRule};

/// The event as found with other settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What was changed, e.g. `level x0.8`, `w=5`, `probe spacing x2`.
    pub change: String,
    /// What was found.
    pub event: Event,
}

/// Repeats the detection with level ×0.8 and ×1.2, persistence 1 to 5 and every second probe.
///
/// A level above 1 of a series in unit `1` whose own level is below 1 (an accuracy) is moved half the way to
/// 1 instead: ×1.2 would ask for the impossible.
pub fn variants(rule: &ThresholdRule, run: &RunId, series: &Series) -> Vec<Variant> {
    let mut rules: Vec<(String, ThresholdRule)> = Vec::new();
    for factor in [0.8, 1.2] {
        let mut level = rule.level * factor;
        if series.unit == "1" && rule.level < 1.0 && level >= 1.0 {
            level = 0.5 * (rule.level + 1.0);
        }
        rules.push((format!("level x{factor}"), ThresholdRule { level, ..rule.clone() }));
    }
    for w in (1..=5).filter(|w| *w != rule.persistence) {
        rules.push((format!("w={w}"), ThresholdRule { persistence: w, ..rule.clone() }));
    }
    let mut found: Vec<Variant> = rules
        .into_iter()
        .filter_map(|(change, r)| Some(Variant { change, event: detect(&r, run, series)? }))
        .collect();
    let thinned =
        Series { points: series.points.iter().copied().step_by(2).collect(), ..series.clone() };
    if let Some(event) = detect(rule, run, &thinned) {
        found.push(Variant { change: "probe spacing x2".into(), event });
    }
    found
}

/// Whether every variant agrees with the event on "it happened" and lies within `tolerance` in `ln t`.
pub fn is_robust(event: &Event, variants: &[Variant], tolerance: f64) -> bool {
    variants.iter().all(|v| match (event.when.seen_at(), v.event.when.seen_at()) {
        (Some(a), Some(b)) => (a.ln() - b.ln()).abs() <= tolerance,
        (None, None) => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::Direction;

    fn found(value: impl Fn(f64) -> f64) -> (Event, Vec<Variant>) {
        let rule = ThresholdRule {
            event: "T".into(),
            series: "acc".into(),
            direction: Direction::Rising,
            level: 0.5,
            persistence: 3,
        };
        let run = RunId::new("r").unwrap();
        let s = Series::from_pairs("acc", "1", (0..200).map(|i| (i * 10, value(i as f64 * 10.0))));
        (detect(&rule, &run, &s).unwrap(), variants(&rule, &run, &s))
    }

    #[test]
    fn a_jump_is_robust_and_a_slope_is_not() {
        let (e, v) = found(|t| if t < 1000.0 { 0.0 } else { 1.0 });
        assert_eq!(v.len(), 7);
        assert!(is_robust(&e, &v, 0.05));
        let (e, v) = found(|t| t / 2000.0);
        assert!(!is_robust(&e, &v, 0.05));
    }
}
