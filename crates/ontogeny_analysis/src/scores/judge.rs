//! Judging one sealed forecast: refuse it, or score it beside its baselines.

use super::{crps, integrated_brier, pit};
use crate::distribution::Support;
use crate::survival::Lifetime;
use ontogeny_core::{Forecast, Observed, Outcome, Predictive, Score, ScoringRule, Step, Target};

/// Why a record is post hoc and never scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum Refusal {
    /// The prefix was cut at a later step than the run had reached.
    #[error("the cutoff {cutoff} lies beyond the step {sealed_at} at which it was sealed")]
    CutoffAfterSealing { cutoff: Step, sealed_at: Step },
    /// The outcome was already there.
    #[error("sealed at step {sealed_at}, when the outcome was already known (step {known_at})")]
    OutcomeKnown { sealed_at: Step, known_at: Step },
    /// What was read is not the prefix up to the cutoff.
    #[error("the prefix hash does not match the run's readings up to step {cutoff}")]
    PrefixMismatch { cutoff: Step },
    /// Nobody recomputed the hash of the prefix.
    #[error("the prefix hash was not verified")]
    PrefixUnverified,
    /// The theory was built on what it forecasts.
    #[error("the theory was fitted on the run it forecasts")]
    FittedOnRun,
    /// The outcome stands before the forecast in the ledger.
    #[error("the outcome was entered before the forecast")]
    SealedAfterOutcome,
}

/// Whether a forecast may be scored against an outcome.
///
/// `recomputed_hash` is the hash of the prefix cut again from the stored run by whoever asks; without it the
/// record is refused. A forecast that read beyond its cutoff has another hash.
///
/// # Errors
/// The first [`Refusal`].
pub fn refusal(
    forecast: &Forecast,
    outcome: &Outcome,
    recomputed_hash: Option<&str>,
) -> Result<(), Refusal> {
    let (cutoff, sealed_at) = (forecast.cutoff, forecast.sealed_at);
    if forecast.theory.fitted_on.contains(&forecast.run) {
        return Err(Refusal::FittedOnRun);
    }
    if cutoff > sealed_at {
        return Err(Refusal::CutoffAfterSealing { cutoff, sealed_at });
    }
    let known_at = match outcome.observed {
        Observed::Event { hi, .. } => hi.min(outcome.known_at),
        Observed::Never { horizon } => horizon.min(outcome.known_at),
        Observed::Value { .. } => outcome.known_at,
    };
    if sealed_at >= known_at {
        return Err(Refusal::OutcomeKnown { sealed_at, known_at });
    }
    match recomputed_hash {
        None => Err(Refusal::PrefixUnverified),
        Some(hash) if hash != forecast.prefix_hash => Err(Refusal::PrefixMismatch { cutoff }),
        Some(_) => Ok(()),
    }
}

/// Where the predictions of a forecast live.
///
/// `None` if an event's horizon is not after the cutoff.
pub fn support_of(forecast: &Forecast) -> Option<Support> {
    match forecast.target {
        Target::EventTime { horizon, .. } => Support::between(forecast.cutoff, horizon),
        Target::Value { .. } | Target::ForkEffect { .. } => Some(Support::Line),
    }
}

/// The score of one prediction under the forecast's rule; `None` if target, rule and outcome do not fit.
pub fn score_predictive(p: &Predictive, forecast: &Forecast, observed: Observed) -> Option<f64> {
    match (&forecast.target, forecast.rule, observed) {
        (Target::EventTime { horizon, .. }, ScoringRule::IntegratedBrier, observed) => {
            integrated_brier(p, forecast.cutoff, *horizon, Lifetime::from_observed(observed)?)
        }
        (Target::EventTime { .. }, ScoringRule::Crps, observed) => {
            crps(p, Lifetime::from_observed(observed)?.mid()?)
        }
        (_, ScoringRule::Crps, Observed::Value { value }) => crps(p, value),
        _ => None,
    }
}

/// The judgement, ready for the ledger.
///
/// A refused record keeps no score; "not predictable" has none of its own, its baselines are scored all the
/// same.
pub fn judge(forecast: &Forecast, outcome: &Outcome, recomputed_hash: Option<&str>) -> Score {
    let refused = refusal(forecast, outcome, recomputed_hash).err().map(|r| r.to_string());
    let mut score = Score {
        forecast: forecast.id.clone(),
        score: None,
        baselines: Vec::new(),
        pit: None,
        refused,
    };
    if score.refused.is_some() {
        return score;
    }
    let of = |p: &Predictive| score_predictive(p, forecast, outcome.observed);
    score.baselines =
        forecast.baselines.iter().filter_map(|(n, p)| Some((n.clone(), of(p)?))).collect();
    if let Some(p) = &forecast.predictive {
        score.score = of(p);
        score.pit = support_of(forecast)
            .and_then(|s| pit(p, s, outcome.observed))
            .map(super::PitRange::mean);
    }
    score
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::gaussian_event;
    use ontogeny_core::{RunId, TheoryRef};

    fn forecast() -> Forecast {
        let theory = TheoryRef {
            name: "t".into(),
            version: 1,
            hash: String::new(),
            n_params: 1,
            fitted_on: vec![RunId::new("a").unwrap()],
            own_fit: None,
        };
        Forecast {
            id: "s/r/t/T@100".into(),
            property: "T".into(),
            theory,
            run: RunId::new("r").unwrap(),
            cell: "c".into(),
            target: Target::EventTime { event: "T".into(), horizon: Step(1000) },
            cutoff: Step(100),
            cutoff_name: "2 T_mem".into(),
            prefix_hash: "h".into(),
            sealed_at: Step(110),
            predictive: Some(gaussian_event(6.0, 0.3, Step(100), Step(1000))),
            baselines: vec![(
                "climatology".into(),
                gaussian_event(6.0, 1.0, Step(100), Step(1000)),
            )],
            rule: ScoringRule::IntegratedBrier,
            acceptance: None,
            family: "f".into(),
        }
    }

    fn outcome(lo: u64, hi: u64) -> Outcome {
        let observed = Observed::Event { lo: Step(lo), hi: Step(hi) };
        Outcome { forecast: "s/r/t/T@100".into(), observed, known_at: Step(hi + 20) }
    }

    #[test]
    fn scores_an_honest_record() {
        let s = judge(&forecast(), &outcome(390, 400), Some("h"));
        assert_eq!(s.refused, None);
        assert!(s.score.unwrap() < s.baselines[0].1 && (s.pit.unwrap() - 0.5).abs() < 0.1);
    }

    #[test]
    fn law_4_no_peeking_post_hoc_records_are_refused() {
        let refuses = |f: &Forecast, o: &Outcome, hash: Option<&str>, text: &str| {
            let s = judge(f, o, hash);
            assert!(s.score.is_none() && s.refused.unwrap().contains(text));
        };
        refuses(&forecast(), &outcome(100, 105), Some("h"), "already known");
        refuses(&forecast(), &outcome(390, 400), Some("other"), "does not match");
        refuses(&forecast(), &outcome(390, 400), None, "not verified");
        let mut f = forecast();
        f.theory.fitted_on.push(f.run.clone());
        refuses(&f, &outcome(390, 400), Some("h"), "fitted on the run");
        let mut f = forecast();
        f.cutoff = Step(120);
        refuses(&f, &outcome(390, 400), Some("h"), "beyond the step");
    }

    #[test]
    fn law_7_not_predictable_has_no_score_but_its_baselines_do() {
        let f = Forecast { predictive: None, ..forecast() };
        let s = judge(&f, &outcome(390, 400), Some("h"));
        assert!(s.score.is_none() && s.baselines.len() == 1 && s.refused.is_none());
    }
}
