//! Replays the past: every unit is forecast from its beginning by forecasters fitted on other runs.

use super::protocol::{Axis, Protocol, TargetSpec, matches};
use super::suite::{Suite, SuiteRun};
use crate::detectors::detect;
use crate::forecasters::features::{STEPS, squeeze};
use crate::forecasters::{
    Answer, BASELINES, Cutoff, CutoffRule, Fitted, Query, THEORIES, TheoryEntry, TrainingRun,
    answer, landmarks,
};
use crate::math::quantile;
use crate::scores::{crps, integrated_brier};
use crate::survival::Lifetime;
use ontogeny_core::{Point, Predictive, Prefix, RunId, Series, Step, Target, ThresholdRule};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The attribute that holds the name of a pooled series, and the name that all of them take.
const SERIES: &str = "series";
const POOLED: &str = "value";

/// Parts into which a run is cut where cuts are fractions.
const PARTS: f64 = 1e6;

/// One forecast of the past.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The series.
    pub series: String,
    /// Values of the grouping attributes.
    pub group: String,
    /// What was out of sight with the run: the unit of resampling.
    pub fold: String,
    /// The run.
    pub run: String,
    /// The cut, as the protocol counts.
    pub cut: f64,
    /// The forecaster.
    pub forecaster: String,
    /// What happened: a value on the axis of the target, or `ln` of the step; `None` for an event that did not
    /// happen.
    pub truth: Option<f64>,
    /// Of events: how long the run was watched, and what was seen.
    pub waited: Option<Waited>,
    /// The forecast; `None` where the forecaster said nothing.
    pub predictive: Option<Predictive>,
    /// Lower is better: CRPS over the unit of the group for values, integrated Brier for events.
    pub score: Option<f64>,
    /// The unit of the group.
    pub scale: f64,
}

/// What is known of an event time, in natural logarithms of steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Waited {
    /// The cut.
    pub from: f64,
    /// The horizon.
    pub to: f64,
    /// The last reading before the event, or of the run.
    pub lo: f64,
    /// The first reading with the event; `None` if there was none by the horizon or the end of the run.
    pub hi: Option<f64>,
}

impl Waited {
    pub(crate) fn lifetime(self) -> Lifetime {
        self.hi.map_or(Lifetime::Censored { at: self.lo }, |hi| Lifetime::Event { lo: self.lo, hi })
    }

    /// Whether it came by the horizon; `None` if the run ended (by more than one percent) before it.
    pub(crate) fn came(self) -> Option<bool> {
        match self.hi {
            Some(_) => Some(true),
            None => (self.lo >= self.to - 0.01).then_some(false),
        }
    }
}

/// What a backtest found, record by record.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Replay {
    /// Every forecast.
    pub records: Vec<Record>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Why nothing can be replayed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum BacktestError {
    /// No series of any run matches.
    #[error("find {pattern} in the suite: no run has such a series{}", there.as_ref().map(|t| format!("; there is e.g. {t}")).unwrap_or_default())]
    NoSeries { pattern: String, there: Option<String> },
    /// No run has the attributes asked for.
    #[error("find runs with {wanted}: no run of the suite has these")]
    NoRuns { wanted: String },
    /// A name that no forecaster has.
    #[error("find the forecaster {name}{}", suggestion.map(|s| format!("; did you mean {s}?")).unwrap_or_default())]
    UnknownForecaster { name: String, suggestion: Option<&'static str> },
    /// An attribute that no run has.
    #[error("find the attribute {name} in the suite: no run has it")]
    NoAttribute { name: String },
    /// A series that is asked for and given.
    #[error(
        "keep the answer hidden: {series} is given by `known` or `planned` and asked for by the target {pattern}; name other targets, or do not give it"
    )]
    AnswerGiven { series: String, pattern: String },
    /// A cut that leaves nothing to forecast.
    #[error("cut at {cut}: a cut must lie between 0 and {end}")]
    BadCut { cut: f64, end: f64 },
    /// Nothing was left to do.
    #[error(
        "forecast something: no group has {least} runs with the series and the attributes asked for"
    )]
    NothingLeft { least: usize },
}

/// A scaled run beside what hides it.
struct Member<'a> {
    run: TrainingRun,
    hidden: Vec<&'a str>,
    /// Axis `runs`: what is compared with the cut.
    size: Option<f64>,
    /// Axis `runs`: whether it has the attributes of those that may be seen, and of those that may be asked.
    may_be: (bool, bool),
}

impl Member<'_> {
    /// Whether others may learn from it.
    fn is_seen(&self, protocol: &Protocol, cut: f64) -> bool {
        protocol.visible.axis != Axis::Runs
            || self.may_be.0
                && (protocol.visible.by.is_empty() || self.size.is_some_and(|s| s <= cut))
    }

    /// Whether it is forecast.
    fn is_asked(&self, protocol: &Protocol, cut: f64) -> bool {
        let v = &protocol.visible;
        if v.axis != Axis::Runs {
            return true;
        }
        let beyond = v.by.is_empty()
            || self.size.is_some_and(|s| s > cut && v.from.is_none_or(|from| s >= from));
        // Nobody is forecast by who has seen it, unless it is hidden by attribute.
        let told_apart = !protocol.hide.is_empty() || !self.is_seen(protocol, cut);
        self.may_be.1 && beyond && told_apart
    }
}

/// One group of comparable runs on one series.
struct Group<'a> {
    spec: &'a TargetSpec,
    series: String,
    name: String,
    runs: Vec<Member<'a>>,
}

/// One fold of one group: fitted once for each cut, asked for every run of the fold.
struct Job<'a> {
    group: &'a Group<'a>,
    /// The unit of the group.
    scale: f64,
    /// What is out of sight; all runs are asked at once where that is nothing but they themselves.
    fold: Option<Vec<Vec<&'a str>>>,
    cut: f64,
}

/// Replays `protocol` on `suite`. Deterministic; `tick` is called once for each of the jobs, whose number it is
/// told, in any order.
///
/// # Errors
/// [`BacktestError`] says what in the protocol does not fit the suite.
pub fn replay(
    suite: &Suite,
    protocol: &Protocol,
    tick: &(dyn Fn(usize) + Sync),
) -> Result<Replay, BacktestError> {
    let forecasters = chosen(protocol)?;
    check(suite, protocol)?;
    let mut notes = Vec::new();
    let groups = groups(suite, protocol, &mut notes)?;
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for group in &groups {
        let folds: BTreeSet<&Vec<&str>> = group.runs.iter().map(|r| &r.hidden).collect();
        let at_once = protocol.visible.axis == Axis::Runs && protocol.hide.is_empty();
        // One part for each, or dealt in order of name into as many as the protocol allows.
        let n_parts = protocol.folds.unwrap_or(usize::MAX).clamp(1, folds.len().max(1));
        let mut parts: Vec<Option<Vec<Vec<&str>>>> = vec![Some(Vec::new()); n_parts];
        for (i, fold) in folds.into_iter().enumerate() {
            parts[i % n_parts].iter_mut().for_each(|p| p.push(fold.clone()));
        }
        if at_once {
            parts = vec![None];
        }
        let scale = scale(group, protocol);
        for fold in parts {
            let job = |cut| Job { group, scale, fold: fold.clone(), cut };
            jobs.extend(protocol.cuts().into_iter().map(job));
        }
    }
    let n = jobs.len();
    let done: Vec<Vec<Record>> = (jobs.par_iter())
        .map(|job| {
            let records = run_job(job, protocol, &forecasters);
            tick(n);
            records
        })
        .collect();
    Ok(Replay { records: done.into_iter().flatten().collect(), notes })
}

fn chosen(protocol: &Protocol) -> Result<Vec<&'static TheoryEntry>, BacktestError> {
    let all = || BASELINES.iter().chain(THEORIES);
    if protocol.forecasters.is_empty() {
        return Ok(all().collect());
    }
    // The baselines always stand beside (law 6).
    let mut list: Vec<&TheoryEntry> = BASELINES.iter().collect();
    for name in &protocol.forecasters {
        let found = all().find(|t| t.spec.name == name).ok_or_else(|| {
            let names = all().map(|t| t.spec.name);
            let suggestion = ontogeny_core::nearest(name, names);
            BacktestError::UnknownForecaster { name: name.clone(), suggestion }
        })?;
        if !list.iter().any(|t| t.spec.name == name) {
            list.push(found);
        }
    }
    Ok(list)
}

fn check(suite: &Suite, protocol: &Protocol) -> Result<(), BacktestError> {
    let named = protocol.targets.iter().flat_map(|t| t.only.keys());
    let pooled = |name: &&String| protocol.pool_series && *name == SERIES;
    let asked = protocol.group.iter().chain(&protocol.hide).chain(named);
    let of_runs = protocol.visible.seen.keys().chain(protocol.visible.asked.keys());
    let asked = asked.chain(of_runs).chain(&protocol.visible.by);
    let asked = asked.filter(|n| !pooled(n)).map(String::as_str);
    // A feature that nobody has would leave the baselines without it in silence.
    let features = protocol.features.iter().map(|f| f.strip_suffix(".*").unwrap_or(f));
    for name in asked.chain(features) {
        let has = |r: &SuiteRun| r.attributes.keys().any(|k| matches(name, k));
        if !suite.runs.iter().any(has) {
            return Err(BacktestError::NoAttribute { name: name.to_owned() });
        }
    }
    for name in protocol.known.iter().chain(&protocol.planned) {
        if !suite.runs.iter().flat_map(|r| &r.series).any(|s| s.name == *name) {
            let there = suite.runs.iter().flat_map(|r| &r.series).next().map(|s| s.name.clone());
            return Err(BacktestError::NoSeries { pattern: name.clone(), there });
        }
        // Its end would be handed over beside the question.
        if let Some(target) = protocol.targets.iter().find(|t| matches(&t.series, name)) {
            let (series, pattern) = (name.clone(), target.series.clone());
            return Err(BacktestError::AnswerGiven { series, pattern });
        }
    }
    let end = match (protocol.visible.axis, protocol.visible.end) {
        (Axis::Fraction, _) => 1.0,
        (Axis::Step, end) => end.map_or(f64::INFINITY, |e| e as f64),
        (Axis::Runs, _) => f64::INFINITY,
    };
    match protocol.visible.cuts.iter().find(|c| !(**c > 0.0 && **c < end)) {
        Some(&cut) => Err(BacktestError::BadCut { cut, end }),
        None => Ok(()),
    }
}

fn groups<'a>(
    suite: &'a Suite,
    protocol: &'a Protocol,
    notes: &mut Vec<String>,
) -> Result<Vec<Group<'a>>, BacktestError> {
    let mut out = Vec::new();
    for spec in &protocol.targets {
        let runs: Vec<&SuiteRun> = suite.runs.iter().filter(|r| r.is_among(&spec.only)).collect();
        if runs.is_empty() && !spec.only.is_empty() {
            let one = |(k, v): (&String, &Vec<String>)| format!("{k} = {}", v.join(" or "));
            let wanted: Vec<String> = spec.only.iter().map(one).collect();
            return Err(BacktestError::NoRuns { wanted: wanted.join(" and ") });
        }
        let names: BTreeSet<&str> = (runs.iter())
            .flat_map(|r| &r.series)
            .map(|s| s.name.as_str())
            .filter(|n| matches(&spec.series, n))
            .collect();
        if names.is_empty() {
            let there = suite.runs.iter().flat_map(|r| &r.series).next().map(|s| s.name.clone());
            return Err(BacktestError::NoSeries { pattern: spec.series.clone(), there });
        }
        let mut parts: BTreeMap<(&str, String), Vec<Member<'_>>> = BTreeMap::new();
        for series in names {
            for run in &runs {
                let of = |name: &'a String| {
                    if protocol.pool_series && name == SERIES {
                        series
                    } else {
                        run.attribute(name)
                    }
                };
                let hidden: Vec<&str> = match protocol.hide.as_slice() {
                    [] => vec![run.id.as_str()],
                    names => names.iter().map(of).collect(),
                };
                let values: Vec<&str> = protocol.group.iter().map(of).collect();
                if let Some(scaled) = scaled(run, series, spec, protocol, &hidden) {
                    let arena = if protocol.pool_series { POOLED } else { series };
                    let v = &protocol.visible;
                    let may_be = (run.is_among(&v.seen), run.is_among(&v.asked));
                    let size = run.product(&v.by);
                    let member = Member { run: scaled, hidden, size, may_be };
                    parts.entry((arena, values.join(" "))).or_default().push(member);
                }
            }
        }
        for ((series, name), runs) in parts {
            if runs.len() < protocol.least_runs {
                let n = runs.len();
                notes.push(format!("{series} {name}: left out, it has {n} runs"));
                continue;
            }
            out.push(Group { spec, series: series.to_owned(), name, runs });
        }
    }
    if out.is_empty() {
        return Err(BacktestError::NothingLeft { least: protocol.least_runs });
    }
    Ok(out)
}

/// A run on the axis of the protocol; `None` if it lacks the series or its end.
fn scaled(
    run: &SuiteRun,
    target: &str,
    spec: &TargetSpec,
    protocol: &Protocol,
    hidden: &[&str],
) -> Option<TrainingRun> {
    let own = run.series.iter().find(|s| s.name == target && !s.points.is_empty())?;
    let last = run.series.iter().filter_map(Series::last).map(|p| p.step.0).max()?;
    let place = |step: Step| match protocol.visible.axis {
        Axis::Step => step,
        Axis::Fraction => Step((step.0 as f64 / last.max(1) as f64 * PARTS) as u64),
        // Nothing at step 0: that is the cutoff.
        Axis::Runs => Step(((step.0 + 1) as f64 / (last + 1) as f64 * PARTS).ceil() as u64),
    };
    let may_read = |s: &&Series| {
        let signals = protocol.signals.as_ref();
        s.name == target
            || protocol.planned.contains(&s.name)
            || signals.is_none_or(|all| all.iter().any(|p| matches(p, &s.name)))
    };
    let mut series: Vec<Series> = run
        .series
        .iter()
        .filter(may_read)
        .map(|s| {
            let mut points: Vec<Point> = Vec::with_capacity(s.points.len());
            for p in &s.points {
                let value = match spec.range.filter(|_| s.name == target) {
                    Some((lo, hi)) if !p.value.is_nan() => p.value.clamp(lo, hi),
                    _ => p.value,
                };
                let point = Point { step: place(p.step), value };
                match points.last_mut().filter(|l| l.step == point.step) {
                    Some(same) => *same = point,
                    None => points.push(point),
                }
            }
            Series { points, ..Series::new(&s.name, &s.unit) }
        })
        .collect();
    let mut id = run.id.clone();
    let mut name = own.name.as_str();
    if protocol.pool_series {
        let mine = series.iter_mut().find(|s| s.name == target)?;
        POOLED.clone_into(&mut mine.name);
        name = POOLED;
        id = RunId::made_of(&format!("{id}.{target}"))?;
    }
    let events = match &spec.event {
        None => Vec::new(),
        Some(e) => {
            let watched = series.iter().find(|s| s.name == name)?;
            detect(&rule(name, e), &id, watched).into_iter().collect()
        }
    };
    let mut features = run.features(&protocol.features);
    let known = protocol
        .known
        .iter()
        .filter_map(|k| Some((k.clone(), run.series.iter().find(|s| s.name == *k)?.last()?.value)));
    features.extend(known);
    if protocol.visible.axis == Axis::Runs && !protocol.planned.is_empty() {
        features.insert(STEPS.to_owned(), squeeze(last as f64));
    }
    Some(TrainingRun { run: id, cell: hidden.join(" "), features, series, events })
}

fn rule(series: &str, e: &super::protocol::EventSpec) -> ThresholdRule {
    ThresholdRule {
        event: format!("T({series})"),
        series: series.to_owned(),
        direction: e.direction,
        level: e.level,
        persistence: e.persistence,
    }
}

/// The end of the runs of a group on the axis of the protocol.
fn end(group: &Group<'_>, protocol: &Protocol) -> Step {
    match (protocol.visible.axis, protocol.visible.end) {
        (Axis::Fraction | Axis::Runs, _) => Step(PARTS as u64),
        (Axis::Step, Some(end)) => Step(end),
        (Axis::Step, None) => {
            let last = |m: &Member<'_>| m.run.series(&group.series)?.last().map(|p| p.step);
            group.runs.iter().filter_map(last).max().unwrap_or_default()
        }
    }
}

fn target(group: &Group<'_>, protocol: &Protocol) -> Target {
    let at = end(group, protocol);
    match &group.spec.event {
        Some(e) => Target::EventTime { event: rule(&group.series, e).event, horizon: at },
        None => Target::Value { series: group.series.clone(), at, log: group.spec.log },
    }
}

fn query(group: &Group<'_>, protocol: &Protocol, cut: f64) -> Query {
    let rule = group.spec.event.as_ref().map(|e| rule(&group.series, e));
    let step = match protocol.visible.axis {
        Axis::Fraction => Step((cut * PARTS) as u64),
        Axis::Step => Step(cut as u64),
        Axis::Runs => Step(0),
    };
    let cutoff = Cutoff { name: format!("{cut}"), rule: CutoffRule::Fixed { step } };
    Query { target: target(group, protocol), cutoff, rule, plans: protocol.planned.clone() }
}

fn run_job(job: &Job<'_>, protocol: &Protocol, forecasters: &[&TheoryEntry]) -> Vec<Record> {
    let group = job.group;
    let query = query(group, protocol, job.cut);
    let fold = job.fold.as_ref();
    let sees = |m: &&Member<'_>| {
        m.is_seen(protocol, job.cut)
            && fold.is_none_or(|f| f.iter().all(|f| m.hidden.iter().zip(f).all(|(a, b)| a != b)))
    };
    let asks = |m: &&Member<'_>| {
        m.is_asked(protocol, job.cut) && fold.is_none_or(|f| f.contains(&m.hidden))
    };
    let seen: Vec<TrainingRun> = group.runs.iter().filter(sees).map(|m| m.run.clone()).collect();
    let scale = job.scale;
    let fitted: Vec<(&str, Option<Box<dyn Fitted>>)> =
        (forecasters.iter()).map(|t| (t.spec.name, (t.build)().fit(&seen, &query).ok())).collect();
    let mut out = Vec::new();
    for Member { run, hidden, .. } in group.runs.iter().filter(asks) {
        let read = (protocol.visible.axis != Axis::Runs).then_some(group.series.as_str());
        let Some(unit) = Unit::of(run, &query, read) else { continue };
        for (name, f) in &fitted {
            let predictive = f.as_ref().and_then(|f| f.predict(&unit.prefix, &run.features));
            let score = predictive.as_ref().and_then(|p| unit.score(p, &query, scale));
            out.push(Record {
                series: group.series.clone(),
                group: group.name.clone(),
                fold: hidden.join(" "),
                run: run.run.to_string(),
                cut: job.cut,
                forecaster: (*name).to_owned(),
                truth: unit.truth,
                waited: unit.waited(&query),
                // What cannot be scored was no forecast.
                predictive: predictive.filter(|_| score.is_some()),
                score,
                scale,
            });
        }
    }
    out
}

/// A run at its cut, with what became of it.
struct Unit {
    prefix: Prefix,
    truth: Option<f64>,
    time: Option<Lifetime>,
}

impl Unit {
    /// `None` if nothing was to be seen yet, nothing is left to forecast, or the end is not known.
    fn of(run: &TrainingRun, query: &Query, read: Option<&str>) -> Option<Self> {
        let mark = landmarks(std::slice::from_ref(run), query).into_iter().next()?;
        if let Some(series) = read {
            mark.prefix.last(series)?;
        }
        let (truth, time) = match mark.answer {
            Answer::Value(v) => (Some(v), None),
            Answer::Time(t) => (t.mid(), Some(t)),
        };
        Some(Self { prefix: mark.prefix, truth, time })
    }

    fn waited(&self, query: &Query) -> Option<Waited> {
        let (Target::EventTime { horizon, .. }, Some(t)) = (&query.target, self.time) else {
            return None;
        };
        let (lo, hi) = match t {
            Lifetime::Event { lo, hi } => (lo, Some(hi)),
            Lifetime::Censored { at } => (at, None),
        };
        Some(Waited { from: self.prefix.cutoff().ln(), to: horizon.ln(), lo, hi })
    }

    fn score(&self, p: &Predictive, query: &Query, scale: f64) -> Option<f64> {
        match (&query.target, self.time) {
            (Target::EventTime { horizon, .. }, Some(t)) => {
                integrated_brier(p, self.prefix.cutoff(), *horizon, t)
            }
            _ => Some(crps(p, self.truth?)? / scale),
        }
    }
}

/// The unit of a group. Outcomes of all its runs: a unit of measure, the same for every forecaster and cut.
fn scale(group: &Group<'_>, protocol: &Protocol) -> f64 {
    if group.spec.event.is_some() || protocol.scale == super::protocol::ScaleUnit::One {
        return 1.0;
    }
    let target = target(group, protocol);
    let asked = group.runs.iter().filter(|m| m.may_be.1);
    let values: Vec<f64> = asked.filter_map(|m| answer(&m.run, &target)?.value()).collect();
    let q = |p| quantile(&values, p).unwrap_or(f64::NAN);
    let iqr = q(0.75) - q(0.25);
    if iqr > 0.0 { iqr } else { 1.0 }
}
