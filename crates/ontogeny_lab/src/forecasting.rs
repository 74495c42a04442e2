//! Forecasts of single runs of the store, trained here or imported, sealed while the run goes on elsewhere.
//!
//! A run is forecast from its readings up to a step, beside other runs of the store that have been where it is
//! going. A sealed forecast waits in the ledger until the run has reached its target, however long that takes and
//! however often it is imported again; [`settle`] then enters what happened and the score.

use crate::LabError;
use crate::record::{RunRecord, is_bookkeeping, prefix_of};
use crate::sealing::{acceptance, rule_for};
use ontogeny_analysis::detectors::detect;
use ontogeny_analysis::forecasters::{
    BASELINES, Cutoff, CutoffRule, Exchanged, Fitted, NotFitted, Query, TheoryEntry, TrainingRun,
    Verdict, calibrate, features, find, fit_baselines, rivals, stand_beside,
};
use ontogeny_analysis::scores::judge;
use ontogeny_core::{
    Censoring, Clock, Forecast, LedgerBody, LedgerEntry, Observed, Outcome, Predictive, Prefix,
    Score, Series, Step, Target, ThresholdRule,
};
use ontogeny_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Runs below which the others cannot choose among forecasters: the run then speaks for itself.
const LEAST_OTHERS: usize = 8;

/// Who speaks for a run alone.
const ALONE: &str = "curve-stack";

/// What is asked of one run.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What is forecast.
    pub target: Target,
    /// How the target's event is found, if it is one.
    pub rule: Option<ThresholdRule>,
    /// The last step that may be read.
    pub cutoff: Step,
    /// Who answers; chosen if absent.
    pub theory: Option<&'static TheoryEntry>,
    /// Further steps at which a value is forecast by the same forecaster, for a picture; never sealed.
    pub curve: Vec<Step>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    /// The forecast, ready to be sealed.
    pub forecast: Forecast,
    /// What the other runs, left out in turn, said of the forecaster; `None` where it was not asked to be judged.
    pub verdict: Option<Verdict>,
    /// What it wants known, e.g. whom it chose.
    pub remark: Option<String>,
    /// Baselines that could not be fitted, and why.
    pub missing: Vec<NotFitted>,
    /// Runs it was fitted on.
    pub n_others: usize,
    /// The forecasts at the further steps.
    pub curve: Vec<(Step, Option<Predictive>)>,
    /// What happened, if the run in the store has been there already.
    pub known: Option<Observed>,
}

/// Whether a run has been where `target` asks, and so can be learned from.
fn has_reached(record: &RunRecord, target: &Target) -> bool {
    match target {
        Target::Value { series, at, .. } => {
            record.series.get(series).is_some_and(|s| has_passed(s, *at))
        }
        Target::EventTime { .. } | Target::ForkEffect { .. } => true,
    }
}

/// Whether a run had shown anything by the cutoff: of one that began later nothing could have been said.
fn has_begun(record: &RunRecord, asked: &Asked) -> bool {
    let series = match (&asked.target, &asked.rule) {
        (Target::Value { series, .. }, _) => series,
        (_, Some(rule)) => &rule.series,
        _ => return true,
    };
    record.series.get(series).is_some_and(|s| !s.up_to(asked.cutoff).is_empty())
}

/// Answers `asked` of `run`, learning from `others` (those among them that got there).
///
/// Without a theory named: eight runs or more are let choose among all forecasters (`auto`), fewer let the
/// run speak for itself. With that many others the answer is calibrated, and withheld as "not predictable" where the
/// others, left out in turn, show no gain over the best baseline. Deterministic.
///
/// # Errors
/// [`LabError::NotAsked`] if the forecaster does not speak about the target or lacks what it needs.
pub fn forecast(
    run: &RunRecord,
    others: &[RunRecord],
    asked: &Asked,
) -> Result<Answered, LabError> {
    let mut training: Vec<TrainingRun> = (others.iter())
        .filter(|r| r.id() != run.id() && has_reached(r, &asked.target) && has_begun(r, asked))
        .map(|r| training_run(r, asked.rule.as_ref()))
        .collect();
    // A run of a known cell is one more of these runs; only one of a new cell is exchangeable with whole cells.
    if training.iter().any(|t| t.cell == cell_of(run)) {
        for t in &mut training {
            t.cell = t.run.to_string();
        }
    }
    let query = query(asked, asked.target.clone());
    let many = training.len() >= LEAST_OTHERS;
    let default = || find(if many { "auto" } else { ALONE });
    let entry = asked.theory.or_else(default).unwrap_or(&BASELINES[0]);
    let features = features_of(run);
    let prefix = run.prefix(asked.cutoff);
    let (baselines, missing) = fit_baselines(&training, &query);
    let theory = (entry.build)();
    let not = |source| LabError::NotAsked { run: run.id().clone(), source };
    let judged = many && !BASELINES.iter().any(|b| b.spec.name == entry.spec.name);
    let (fitted, verdict): (Box<dyn Fitted>, Option<Verdict>) = if judged {
        let options = ontogeny_analysis::forecasters::CalibrationOptions {
            by: Exchanged::Cell,
            ..Default::default()
        };
        let beside = rivals(BASELINES, &training, &query, options.by);
        let fitted = calibrate(&*theory, &beside, &training, &query, options).map_err(not)?;
        let verdict = fitted.verdict().clone();
        (Box::new(fitted), Some(verdict))
    } else {
        (theory.fit(&training, &query).map_err(not)?, None)
    };
    let reference = fitted.theory_ref();
    let study = run.manifest.study.as_ref().map_or("runs", |s| s.as_str());
    let mut forecast = Forecast {
        id: format!(
            "{study}/{}/{}/{}@{}",
            run.id(),
            reference.name,
            slug(&asked.target),
            asked.cutoff
        ),
        property: property(&asked.target),
        theory: reference,
        run: run.id().clone(),
        cell: cell_of(run),
        target: asked.target.clone(),
        cutoff: asked.cutoff,
        cutoff_name: query.cutoff.name.clone(),
        prefix_hash: prefix.hash().to_owned(),
        sealed_at: run.manifest.step,
        predictive: fitted.predict(&prefix, &features),
        baselines: stand_beside(&baselines, &prefix, &features),
        rule: rule_for(&asked.target),
        acceptance: None,
        family: property(&asked.target),
    };
    forecast.acceptance = acceptance(&forecast);
    let curve = curve(asked, &training, &*fitted, (&prefix, &features));
    Ok(Answered {
        verdict,
        remark: fitted.remark(&prefix),
        missing,
        n_others: training.len(),
        curve,
        known: observed(run, &asked.target, asked.rule.as_ref()),
        forecast,
    })
}

/// The same forecaster at other steps of the same series.
fn curve(
    asked: &Asked,
    training: &[TrainingRun],
    fitted: &dyn Fitted,
    (prefix, features): (&Prefix, &BTreeMap<String, f64>),
) -> Vec<(Step, Option<Predictive>)> {
    let Target::Value { series, log, .. } = &asked.target else { return Vec::new() };
    // Who was chosen for the end is asked about the way there.
    let name = fitted.speaker().unwrap_or_else(|| fitted.theory_ref().name);
    let Some(entry) = find(&name) else { return Vec::new() };
    let at = |step: Step| {
        let target = Target::Value { series: series.clone(), at: step, log: *log };
        let f = (entry.build)().fit(training, &query(asked, target)).ok()?;
        f.predict(prefix, features)
    };
    let is_silent = fitted.predict(prefix, features).is_none();
    asked.curve.iter().map(|&s| (s, if is_silent { None } else { at(s) })).collect()
}

fn query(asked: &Asked, target: Target) -> Query {
    let cutoff = Cutoff {
        name: format!("step {}", asked.cutoff),
        rule: CutoffRule::Fixed { step: asked.cutoff },
    };
    Query { target, cutoff, rule: asked.rule.clone(), plans: Vec::new() }
}

/// Hyper-parameters of a run as numbers; seeds say nothing.
fn features_of(run: &RunRecord) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    for (name, value) in run.manifest.hyper_parameters() {
        features::numbers(&value, &name, &mut out);
    }
    out.retain(|name, _| name.rsplit('.').next().is_some_and(|n| !n.ends_with("seed")));
    out
}

/// A run of which nothing is known is a cell of its own.
fn cell_of(run: &RunRecord) -> String {
    let cell = &run.manifest.cell;
    if cell.is_empty() { run.id().to_string() } else { cell.clone() }
}

fn training_run(run: &RunRecord, rule: Option<&ThresholdRule>) -> TrainingRun {
    let series: Vec<Series> =
        run.series.values().filter(|s| !is_bookkeeping(&s.name)).cloned().collect();
    let found = rule.and_then(|r| detect(r, run.id(), run.series.get(&r.series)?));
    TrainingRun {
        run: run.id().clone(),
        cell: cell_of(run),
        features: features_of(run),
        series,
        events: found.map_or_else(|| run.events.clone(), |e| vec![e]),
    }
}

fn property(target: &Target) -> String {
    match target {
        Target::EventTime { event, .. } => format!("step of {event}"),
        Target::Value { series, .. } => series.clone(),
        Target::ForkEffect { outcome, .. } => outcome.clone(),
    }
}

fn slug(target: &Target) -> String {
    match target {
        Target::EventTime { event, horizon } => format!("{event}[{horizon}]"),
        Target::Value { series, at, .. } => format!("{series}[{at}]"),
        Target::ForkEffect { intervention, outcome } => format!("{outcome}|{intervention}"),
    }
}

/// Whether a series will have no further reading at or before `at`: its last one lies there, or the next, at the
/// usual distance, beyond.
fn has_passed(series: &Series, at: Step) -> bool {
    let Some(last) = series.last() else { return false };
    let mut gaps: Vec<u64> =
        series.points.windows(2).rev().take(9).map(|w| w[1].step.0 - w[0].step.0).collect();
    gaps.sort_unstable();
    let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
    last.step >= at || last.step.0 + gap > at.0
}

/// What happened to a target, on its axis; `None` while the run has not got there.
///
/// A value is the last finite reading in the tenth before its step.
fn observed(run: &RunRecord, target: &Target, rule: Option<&ThresholdRule>) -> Option<Observed> {
    match target {
        Target::Value { series, at, log } => {
            let s = run.series.get(series).filter(|s| has_passed(s, *at))?;
            let p = s.up_to(*at).iter().rev().find(|p| p.value.is_finite())?;
            let value = if *log { p.value.ln() } else { p.value };
            (p.step.0 * 10 >= at.0 * 9 && value.is_finite()).then_some(Observed::Value { value })
        }
        Target::EventTime { horizon, .. } => {
            let rule = rule?;
            let series = run.series.get(&rule.series)?;
            match detect(rule, run.id(), series)?.when {
                Censoring::Interval { lo, hi } if hi <= *horizon => {
                    Some(Observed::Event { lo, hi })
                }
                // The level was reached, but beyond the horizon; or the run went on until the horizon without it.
                Censoring::Interval { .. } => Some(Observed::Never { horizon: *horizon }),
                Censoring::Right { .. } => {
                    has_passed(series, *horizon).then_some(Observed::Never { horizon: *horizon })
                }
            }
        }
        Target::ForkEffect { .. } => None,
    }
}

/// The first step at which what is [`observed`] could be known: a later look must not make it later.
fn known_at(run: &RunRecord, target: &Target) -> Step {
    let last = run.manifest.step;
    let Target::Value { series, at, .. } = target else { return last };
    let first = run.series.get(series).and_then(|s| s.points.iter().find(|p| p.step >= *at));
    first.map_or(last, |p| p.step)
}

/// What [`settle`] did.
#[derive(Debug, Default)]
pub struct Settled {
    /// Forecasts whose outcome was entered now, with their scores.
    pub scores: Vec<Score>,
    /// Forecasts that wait for their run, with the step it stands at and the one it must reach; the first is `None` if
    /// the run is not in the store.
    pub waiting: Vec<(String, Option<Step>, Step)>,
}

/// Enters outcomes and scores of the forecasts made by [`forecast`] whose runs have got where they were asked about.
///
/// Forecasts of studies are left to their studies, which know their own events. Nothing is entered twice.
///
/// # Errors
/// What the store says of reading runs and appending to the ledger; nothing is entered then.
pub fn settle(
    store: &Store,
    clock: &dyn Clock,
    wanted: impl Fn(&Forecast) -> bool,
) -> Result<Settled, LabError> {
    let entries = store.ledger().entries()?;
    let done: BTreeSet<&str> = (entries.iter())
        .filter_map(|e| match &e.body {
            LedgerBody::Outcome(o) => Some(o.forecast.as_str()),
            _ => None,
        })
        .collect();
    let mut settled = Settled::default();
    let mut bodies = Vec::new();
    for f in open(&entries).filter(|f| wanted(f) && !done.contains(f.id.as_str())) {
        let goal = match f.target {
            Target::Value { at, .. } => at,
            Target::EventTime { horizon, .. } => horizon,
            Target::ForkEffect { .. } => continue,
        };
        let Ok(reader) = store.run(&f.run) else {
            settled.waiting.push((f.id.clone(), None, goal));
            continue;
        };
        let record = RunRecord::read(&reader)?;
        let rule = rule_of(&f.target);
        let Some(observed) = observed(&record, &f.target, rule.as_ref()) else {
            settled.waiting.push((f.id.clone(), Some(record.manifest.step), goal));
            continue;
        };
        let again = prefix_of(&f.run, &record.series, f.cutoff);
        let known_at = known_at(&record, &f.target);
        let outcome = Outcome { forecast: f.id.clone(), observed, known_at };
        let score = judge(f, &outcome, Some(again.hash()));
        bodies.extend([LedgerBody::Outcome(outcome), LedgerBody::Score(score.clone())]);
        settled.scores.push(score);
    }
    if !bodies.is_empty() {
        store.ledger().append_all(bodies, clock)?;
    }
    Ok(settled)
}

/// Forecasts made by [`forecast`]: their cutoff is a step, and their event, if they have one, is named after its rule.
fn open(entries: &[LedgerEntry]) -> impl Iterator<Item = &Forecast> {
    entries.iter().filter_map(|e| match &e.body {
        LedgerBody::Forecast(f) if f.cutoff_name == format!("step {}", f.cutoff) => Some(&**f),
        _ => None,
    })
}

/// The rule of an event that is named after it.
fn rule_of(target: &Target) -> Option<ThresholdRule> {
    match target {
        Target::EventTime { event, .. } => ThresholdRule::parse(event),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_passed_a_step_when_no_reading_before_it_is_to_come() {
        let s = Series::from_pairs("loss", "nats", (0..10).map(|i| (i * 100, 1.0)));
        assert!(has_passed(&s, Step(900)) && has_passed(&s, Step(950)));
        assert!(!has_passed(&s, Step(1000)));
        assert!(!has_passed(&Series::new("x", "1"), Step(0)));
    }
}
