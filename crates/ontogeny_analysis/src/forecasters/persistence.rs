//! B1, persistence: nothing changes.
//!
//! Event times: "not yet", with the constant hazard per unit of `ln t` that fit runs showed after their own
//! cutoffs, `h = (events + ½) / (exposure + ½)`. Values: the last value, with the size of the change that
//! fit runs went through; without fit runs, of the changes that the run itself went through over equal stretches of
//! log time, those that ended in the later half of its prefix.

use super::landmark::{horizon, landmarks, normal_about_zero, on_axis};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::{from_survival, gaussian};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Series, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "persistence",
    version: 2,
    n_params: 1,
    scope: "event times and values",
    source: "baseline B1: not yet, with climatological hazard; last value",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(Persistence) };

/// Baseline B1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Persistence;

#[derive(Debug)]
enum Model {
    Hazard(f64, Step),
    /// `sd` is `None` without fit runs.
    Last {
        series: String,
        at: Step,
        log: bool,
        sd: Option<f64>,
    },
}

#[derive(Debug)]
struct FittedPersistence {
    model: Model,
    identity: Identity,
}

impl Theory for Persistence {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let marks = landmarks(runs, query);
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 1, found: marks.len() };
        let (model, params) = match &query.target {
            Target::EventTime { .. } => {
                let Some(h) = horizon(query).filter(|_| !marks.is_empty()) else { return Err(few) };
                let (mut events, mut exposure) = (0.5, 0.5);
                for m in &marks {
                    let from = m.prefix.cutoff().ln();
                    match m.answer.time() {
                        Some(Lifetime::Event { lo, hi }) => {
                            events += 1.0;
                            exposure += 0.5 * (lo + hi) - from;
                        }
                        Some(Lifetime::Censored { at }) => exposure += at - from,
                        None => {}
                    }
                }
                let hazard = events / exposure;
                (Model::Hazard(hazard, h), vec![hazard])
            }
            Target::Value { series, at, log } => {
                let changes: Vec<f64> = marks
                    .iter()
                    .filter_map(|m| {
                        Some(m.answer.value()? - on_axis(m.prefix.last(series)?, *log)?)
                    })
                    .collect();
                let sd = normal_about_zero(&changes);
                if sd.is_none() && !runs.is_empty() {
                    return Err(few);
                }
                let model = Model::Last { series: series.clone(), at: *at, log: *log, sd };
                (model, sd.into_iter().collect())
            }
            Target::ForkEffect { .. } => return Err(NotFitted::WrongTarget { theory: SPEC.name }),
        };
        Ok(Box::new(FittedPersistence { model, identity: Identity::new(SPEC, params, runs) }))
    }
}

/// Root mean square of the changes of `series` over stretches of log time as long as the one from `t0` to `at` (at
/// most a factor 4, then in proportion) that end between `t0 / 2` and `t0`; `None` below 3 of them.
fn own_spread(series: &Series, t0: Step, at: Step, log: bool) -> Option<f64> {
    let ahead = at.0 as f64 / t0.0.max(1) as f64;
    let ratio = ahead.clamp(1.0, 4.0);
    let (mut sum, mut n) = (0.0, 0_usize);
    for p in series.points.iter().filter(|p| p.step.0 * 2 >= t0.0 && p.step.0 > 0) {
        let from = Step((p.step.0 as f64 / ratio) as u64);
        let Some(earlier) = series.at_or_before(from).filter(|e| e.step.0 * 10 >= from.0 * 9)
        else {
            continue;
        };
        if let Some((a, b)) = on_axis(earlier.value, log).zip(on_axis(p.value, log)) {
            sum += (b - a).powi(2);
            n += 1;
        }
    }
    let grown = if ratio > 1.0 { (ahead.ln() / ratio.ln()).max(1.0) } else { 1.0 };
    (n >= 3).then(|| (sum / n as f64).sqrt() * grown).filter(|sd| *sd > 0.0)
}

impl Fitted for FittedPersistence {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        match &self.model {
            Model::Hazard(h, horizon) => {
                let (from, to) = (prefix.cutoff().ln(), horizon.ln());
                (from < to).then(|| from_survival(|u| (-h * (u - from)).exp(), from, to))
            }
            Model::Last { series, at, log, sd } => {
                let last = on_axis(prefix.last(series)?, *log)?;
                let sd = match sd {
                    Some(sd) => *sd,
                    None => own_spread(prefix.series(series)?, prefix.cutoff(), *at, *log)?,
                };
                Some(gaussian(last, sd))
            }
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_a_run_lends_its_own_changes() {
        // Half a unit for each factor 2 of the steps.
        let points = (1..=100).map(|i| (i * 10, 10.0 - 0.5 * f64::log2((i * 10) as f64)));
        let series = Series::from_pairs("loss", "nats", points);
        let spread = |at| own_spread(&series, Step(1000), Step(at), false).unwrap();
        assert!((spread(2000) - 0.5).abs() < 0.05, "{}", spread(2000));
        // Sixteen times as far is twice the largest stretch.
        assert!((spread(16_000) - 2.0).abs() < 0.2, "{}", spread(16_000));
        assert!(own_spread(&Series::new("x", "1"), Step(10), Step(20), false).is_none());
    }
}
