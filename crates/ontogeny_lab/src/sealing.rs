//! Forecasts sealed while a run is live, and judged when it is over.

use crate::conductor::{Conductor, Live, Observer};
use crate::draw::median;
use crate::record::is_bookkeeping;
use crate::{LabError, RunRecord};
use ontogeny_analysis::distribution::{Cdf, Support, difference};
use ontogeny_analysis::forecasters::{
    BASELINES, CalibrationOptions, Exchanged, NamedFitted, NotFitted, Query, Theory, TrainingRun,
    Verdict, calibrate, fit_baselines, leave_cell_out, leave_one_out, rivals,
};
use ontogeny_analysis::scores::{judge, support_of};
use ontogeny_core::{
    Direction, Forecast, LedgerBody, LedgerEntry, Observed, Outcome, Predictive, Prefix, RunId,
    Score, ScoringRule, Series, Step, Target,
};
use std::collections::{BTreeMap, BTreeSet};

/// Hyper-parameters of a run as numbers.
pub(crate) type Features = BTreeMap<String, f64>;

/// A finished run in the form in which theories are fitted to it.
pub(crate) fn training_run(record: &RunRecord, features: Features) -> TrainingRun {
    TrainingRun {
        run: record.id().clone(),
        cell: record.manifest.cell.clone(),
        features,
        series: record.series.values().filter(|s| !is_bookkeeping(&s.name)).cloned().collect(),
        events: record.events.clone(),
    }
}

/// A baseline beside the common ones.
#[derive(Debug)]
pub(crate) struct Beside {
    /// The baseline.
    pub theory: Box<dyn Theory>,
    /// Whether a theory must beat it on the fit runs to speak at all. One that spends more than the run itself stands
    /// beside every forecast, but decides about nobody's silence.
    pub can_silence: bool,
}

/// A registered question: one target at one cutoff, with everybody who answers it.
#[derive(Debug)]
pub(crate) struct Question {
    /// What is asked, and when.
    pub query: Query,
    /// The property the target stands for.
    pub property: String,
    /// The family over which multiple testing is corrected.
    pub family: String,
    /// Theories that answer.
    pub theories: Vec<NamedFitted>,
    /// Baselines that answer alongside (law 6).
    pub baselines: Vec<NamedFitted>,
    /// Who could not be fitted, and why.
    pub missing: Vec<NotFitted>,
    /// What the fit runs, left out one by one, said about each theory (law 7).
    pub verdicts: Vec<(String, Verdict)>,
}

impl Question {
    /// Fits theories and all baselines to `runs`; who cannot be fitted is named in `missing`.
    pub(crate) fn fit(
        property: &str,
        family: &str,
        query: Query,
        theories: &[Box<dyn Theory>],
        runs: &[TrainingRun],
    ) -> Self {
        let asked = query.clone();
        let options = CalibrationOptions::default();
        Self::fit_beside((property, family), (query, &asked), theories, &[], runs, options)
    }

    /// [`fit`](Self::fit) with more baselines than the common ones, and with the question put to the fit runs in other
    /// words (`asked`): where the outcome is read from a series that no forecaster may see, fit runs answer under the
    /// name of the series that it may.
    pub(crate) fn fit_beside(
        (property, family): (&str, &str),
        (query, asked): (Query, &Query),
        theories: &[Box<dyn Theory>],
        others: &[Beside],
        runs: &[TrainingRun],
        options: CalibrationOptions,
    ) -> Self {
        let (mut baselines, mut missing) = fit_baselines(runs, asked);
        let mut against = rivals(BASELINES, runs, asked, options.by);
        for Beside { theory: other, can_silence } in others {
            let name = other.spec().name.to_owned();
            if *can_silence {
                let left = match options.by {
                    Exchanged::Run => leave_one_out(&**other, runs, asked),
                    Exchanged::Cell => leave_cell_out(&**other, runs, asked),
                };
                against.push((name.clone(), left));
            }
            match other.fit(runs, asked) {
                Ok(f) => baselines.push((name, f)),
                Err(e) => missing.push(e),
            }
        }
        let (mut fitted, mut verdicts) = (Vec::<NamedFitted>::new(), Vec::new());
        for theory in theories {
            let name = theory.spec().name.to_owned();
            match calibrate(&**theory, &against, runs, asked, options) {
                Ok(f) => {
                    verdicts.push((name.clone(), f.verdict().clone()));
                    fitted.push((name, Box::new(f)));
                }
                Err(e) => missing.push(e),
            }
        }
        let (property, family) = (property.to_owned(), family.to_owned());
        Self { query, property, family, theories: fitted, baselines, missing, verdicts }
    }

    /// The last part of a forecast's name.
    fn slug(&self) -> String {
        let target = match &self.query.target {
            Target::EventTime { event, .. } => event.clone(),
            Target::Value { series, at, .. } => format!("{series}[{at}]"),
            Target::ForkEffect { intervention, outcome } => format!("{outcome}|{intervention}"),
        };
        format!("{target}@{}", self.query.cutoff.name)
    }

    /// Whether it is too late to ask: the target is known, or may already have happened.
    fn is_moot(&self, live: &Live<'_>) -> bool {
        match &self.query.target {
            Target::EventTime { event, horizon } => {
                let seen = live.events.iter().any(|e| &e.name == event);
                let reached = self.query.rule.as_ref().is_some_and(|rule| {
                    let last =
                        live.series.get(&rule.series).and_then(Series::last).map(|p| p.value);
                    last.is_some_and(|v| match rule.direction {
                        Direction::Rising => v >= rule.level,
                        Direction::Falling => v <= rule.level,
                    })
                });
                seen || reached || live.step >= *horizon
            }
            Target::Value { at, .. } => live.step >= *at,
            Target::ForkEffect { .. } => false,
        }
    }
}

/// What the ledger holds, by forecast.
#[derive(Debug, Default)]
pub(crate) struct Registered {
    /// Forecasts by their name.
    pub forecasts: BTreeMap<String, Forecast>,
    /// Outcomes by forecast.
    pub outcomes: BTreeMap<String, Outcome>,
    /// Scores by forecast.
    pub scores: BTreeMap<String, Score>,
    /// Names of the design problems.
    pub designs: BTreeSet<String>,
    /// Names of those that have been tried.
    pub tried: BTreeSet<String>,
}

impl Registered {
    /// Indexes a ledger.
    pub(crate) fn of(entries: Vec<LedgerEntry>) -> Self {
        let mut index = Self::default();
        for entry in entries {
            match entry.body {
                LedgerBody::Forecast(f) => drop(index.forecasts.insert(f.id.clone(), *f)),
                LedgerBody::Outcome(o) => drop(index.outcomes.insert(o.forecast.clone(), o)),
                LedgerBody::Score(s) => drop(index.scores.insert(s.forecast.clone(), s)),
                LedgerBody::Design(d) => drop(index.designs.insert(d.id)),
                LedgerBody::DesignOutcome(o) => drop(index.tried.insert(o.problem)),
                LedgerBody::Note { .. } => {}
            }
        }
        index
    }
}

/// Seals the answers to `questions` at their cutoffs, while the run goes on, and has them judged at its end.
#[derive(Debug)]
pub(crate) struct Sealer<'a> {
    conductor: Conductor<'a>,
    questions: &'a [Question],
    features: Features,
    before: &'a Registered,
    elsewhere: &'static str,
    asked: BTreeSet<usize>,
    sealed: Vec<Forecast>,
    waiting: Vec<LedgerBody>,
}

impl<'a> Sealer<'a> {
    /// A sealer for one run; `before` is what the ledger held when the study began or was resumed.
    pub(crate) fn new(
        conductor: Conductor<'a>,
        questions: &'a [Question],
        features: Features,
        before: &'a Registered,
    ) -> Self {
        Self {
            conductor,
            questions,
            features,
            before,
            elsewhere: "",
            asked: BTreeSet::new(),
            sealed: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// For a run of another kind than those that were fitted: property and family are named after it, so that how
    /// forecasts carry over stands apart from how good they are at home.
    #[must_use]
    pub(crate) fn elsewhere(self, kind: &'static str) -> Self {
        Self { elsewhere: kind, ..self }
    }

    fn ask(&mut self, question: &Question, live: &Live<'_>, cutoff: Step) {
        let prefix = live.prefix(cutoff);
        let baselines: Vec<(String, Predictive)> = (question.baselines.iter())
            .filter_map(|(name, b)| Some((name.clone(), b.predict(&prefix, &self.features)?)))
            .collect();
        for (name, theory) in &question.theories {
            let study = live.plan.study.as_ref().map_or("", |s| s.as_str());
            let mut forecast = Forecast {
                id: format!("{study}/{}/{name}/{}", live.plan.id, question.slug()),
                property: format!("{}{}", question.property, self.elsewhere),
                theory: theory.theory_ref(),
                run: live.plan.id.clone(),
                cell: live.plan.cell.clone(),
                target: question.query.target.clone(),
                cutoff,
                cutoff_name: question.query.cutoff.name.clone(),
                prefix_hash: prefix.hash().to_owned(),
                sealed_at: live.step,
                predictive: theory.predict(&prefix, &self.features),
                baselines: baselines.clone(),
                rule: rule_for(&question.query.target),
                acceptance: None,
                family: format!("{}{}", question.family, self.elsewhere),
            };
            forecast.acceptance = acceptance(&forecast);
            if !self.before.forecasts.contains_key(&forecast.id) {
                self.waiting.push(LedgerBody::Forecast(Box::new(forecast.clone())));
            }
            self.sealed.push(forecast);
        }
    }
}

impl Observer for Sealer<'_> {
    fn reading(&mut self, live: &Live<'_>) -> Result<(), LabError> {
        for (i, question) in self.questions.iter().enumerate() {
            if self.asked.contains(&i) {
                continue;
            }
            let Some(cutoff) = question.query.cutoff.step(live.events).filter(|&c| c <= live.step)
            else {
                continue;
            };
            self.asked.insert(i);
            if !question.is_moot(live) {
                self.ask(question, live, cutoff);
            }
        }
        // One wait for the disk; training goes on only when all of them are sealed.
        if !self.waiting.is_empty() {
            self.conductor.ledger.append_all(self.waiting.drain(..), self.conductor.clock)?;
        }
        Ok(())
    }

    fn finished(&mut self, record: &RunRecord) -> Result<(), LabError> {
        let earlier = self.before.forecasts.values().filter(|f| &f.run == record.id());
        let mut all: BTreeMap<&str, &Forecast> = earlier.map(|f| (f.id.as_str(), f)).collect();
        all.extend(self.sealed.iter().map(|f| (f.id.as_str(), f)));
        let open = all.into_values().filter(|f| !self.before.scores.contains_key(&f.id));
        // The prefixes are cut again from what the store kept, once for each cutoff; a forecast that read
        // anything else is refused.
        let mut cut: BTreeMap<Step, Prefix> = BTreeMap::new();
        let mut bodies = Vec::new();
        for forecast in open {
            let again =
                cut.entry(forecast.cutoff).or_insert_with(|| record.prefix(forecast.cutoff));
            bodies.extend(settle(forecast, record, again, self.before));
        }
        self.conductor.ledger.append_all(bodies, self.conductor.clock)?;
        Ok(())
    }
}

/// How a claim about a target is judged.
pub(crate) fn rule_for(target: &Target) -> ScoringRule {
    match target {
        Target::EventTime { .. } => ScoringRule::IntegratedBrier,
        Target::Value { .. } | Target::ForkEffect { .. } => ScoringRule::Crps,
    }
}

/// What would count as a success of a forecast, stated with it: its central 80 % interval. None where the
/// forecast gives more than a tenth to "never", for then no interval in time says what it means.
pub(crate) fn acceptance(forecast: &Forecast) -> Option<(f64, f64)> {
    let cdf = Cdf::new(forecast.predictive.as_ref()?, support_of(forecast)?)?;
    cdf.quantile(0.1).zip(cdf.quantile(0.9))
}

/// The outcome of a forecast, unless it has been entered, and its score; nothing if the run cannot say.
fn settle(
    forecast: &Forecast,
    record: &RunRecord,
    again: &Prefix,
    before: &Registered,
) -> Vec<LedgerBody> {
    let Some(observed) = observed(&forecast.target, record) else { return Vec::new() };
    let known = before.outcomes.get(&forecast.id);
    let known_at = record.manifest.step;
    let outcome =
        known.cloned().unwrap_or(Outcome { forecast: forecast.id.clone(), observed, known_at });
    let score = LedgerBody::Score(judge(forecast, &outcome, Some(again.hash())));
    match known {
        Some(_) => vec![score],
        None => vec![LedgerBody::Outcome(outcome), score],
    }
}

/// What happened to a target, on its axis; `None` if the run cannot say.
fn observed(target: &Target, record: &RunRecord) -> Option<Observed> {
    match target {
        Target::EventTime { event, horizon } => {
            let event = record.event(event)?;
            Some(match event.when {
                ontogeny_core::Censoring::Interval { lo, hi } if hi <= *horizon => {
                    Observed::Event { lo, hi }
                }
                _ => Observed::Never { horizon: *horizon },
            })
        }
        Target::Value { series, at, log } => {
            let p = record.series.get(series)?.at_or_before(*at).filter(|p| p.step == *at)?;
            let value = if *log { p.value.max(f64::MIN_POSITIVE).ln() } else { p.value };
            value.is_finite().then_some(Observed::Value { value })
        }
        Target::ForkEffect { .. } => None,
    }
}

/// The fork that a claim is about.
#[derive(Debug)]
pub(crate) struct EffectTarget<'a> {
    /// The study.
    pub study: &'a str,
    /// The fork's run.
    pub fork: &'a RunId,
    /// Its cell.
    pub cell: &'a str,
    /// The intervention.
    pub intervention: &'a str,
    /// The outcome.
    pub outcome: &'a str,
    /// The parent's readings up to the fork.
    pub prefix: &'a Prefix,
}

/// Seals what every theory that answers `question` says about the effect of a fork, before the fork is run: the
/// forecast of the parent's future under the changed features, less the forecast under its own. Theories that
/// are silent about the time itself speak here: no fit run was forked, so none could judge their claims about
/// changes, and the fork will.
///
/// `floor` is the least spread of a claim. Claims that the ledger has already are not entered again.
pub(crate) fn seal_effects(
    conductor: Conductor<'_>,
    before: &Registered,
    question: &Question,
    about: &EffectTarget<'_>,
    (treated, control): (&Features, &Features),
    baselines: &[(String, Predictive)],
    floor: f64,
) -> Result<Vec<Forecast>, LabError> {
    let (prefix, step) = (about.prefix, about.prefix.cutoff());
    let mut sealed = Vec::new();
    for (name, fitted) in &question.theories {
        let (a, b) = (fitted.conjecture(prefix, treated), fitted.conjecture(prefix, control));
        let mut forecast = Forecast {
            id: format!(
                "{}/{}/{name}/{}|{}@fork",
                about.study, about.fork, about.outcome, about.intervention
            ),
            property: question.property.clone(),
            theory: fitted.theory_ref(),
            run: about.fork.clone(),
            cell: about.cell.to_owned(),
            target: Target::ForkEffect {
                intervention: about.intervention.to_owned(),
                outcome: about.outcome.to_owned(),
            },
            cutoff: step,
            cutoff_name: "fork".into(),
            prefix_hash: prefix.hash().to_owned(),
            sealed_at: step,
            // The same run with the same noise: most of the uncertainty is shared.
            predictive: a.zip(b).map(|(a, b)| difference(&a, &b, 0.9, floor)),
            baselines: baselines.to_vec(),
            rule: ScoringRule::Crps,
            acceptance: None,
            family: format!("{}|effects", about.outcome),
        };
        forecast.acceptance = acceptance(&forecast);
        sealed.push(forecast);
    }
    let new = sealed.iter().filter(|f| !before.forecasts.contains_key(&f.id));
    let bodies: Vec<LedgerBody> = new.map(|f| LedgerBody::Forecast(Box::new(f.clone()))).collect();
    conductor.ledger.append_all(bodies, conductor.clock)?;
    Ok(sealed)
}

/// Median and the ends of the central 90 % of claims.
pub(crate) type Claimed = (f64, f64, f64);

/// What one theory claimed about several forks, each number in the median over the forks; `None` if it said
/// nothing.
pub(crate) fn claimed(claims: &[&Predictive]) -> Option<Claimed> {
    let at = |level: f64| {
        let of = |p: &&Predictive| Cdf::new(p, Support::Line)?.quantile(level);
        median(claims.iter().filter_map(of))
    };
    (!claims.is_empty()).then(|| (at(0.5), at(0.05), at(0.95)))
}

/// Enters the observed effect of a fork and the score of a claim about it.
pub(crate) fn settle_effect(
    conductor: Conductor<'_>,
    before: &Registered,
    forecast: &Forecast,
    effect: f64,
    parent_prefix: &Prefix,
    known_at: Step,
) -> Result<(), LabError> {
    if before.scores.contains_key(&forecast.id) {
        return Ok(());
    }
    let ledger = conductor.ledger;
    let outcome = Outcome {
        forecast: forecast.id.clone(),
        observed: Observed::Value { value: effect },
        known_at,
    };
    if !before.outcomes.contains_key(&forecast.id) {
        ledger.append(LedgerBody::Outcome(outcome.clone()), conductor.clock)?;
    }
    let score = judge(forecast, &outcome, Some(parent_prefix.hash()));
    ledger.append(LedgerBody::Score(score), conductor.clock)?;
    Ok(())
}
