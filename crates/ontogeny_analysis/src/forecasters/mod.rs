//! Theories: from runs seen to the end, and the beginning of another, to a predictive distribution.
//!
//! A [`Theory`] is fitted on finished [`TrainingRun`]s for one [`Query`] and then predicts from a
//! [`Prefix`], which is the only way it can see the run it forecasts (law 4, no peeking): later readings are
//! not in it, and there is no way from it to the run.
//!
//! ```compile_fail
//! # use ontogeny_core::{Prefix, Step};
//! fn read_ahead(prefix: &Prefix) -> f64 {
//!     prefix.run_series("test.accuracy").at_or_before(Step(u64::MAX)).unwrap().value // no such method
//! }
//! ```
//!
//! To add a theory: one file here, its `mod` line and its row in [`THEORIES`] (or [`BASELINES`]).

mod auto;
mod calibrated;
mod climatology;
mod curve_stack;
mod delay;
mod delta;
mod eta_lambda;
mod extrapolation;
pub mod features;
mod gini_passage;
mod hparams;
mod landmark;
#[cfg(test)]
mod laws;
mod memo;
mod mirror;
mod mixture_law;
mod nearest;
mod norm_passage;
mod persistence;
mod pooled;
mod power_law;
mod proxy_run;
mod scaling_law;
mod schedule_law;
mod signals;
mod skills;
pub mod standard;
#[cfg(test)]
pub(crate) mod worlds;

use ontogeny_core::{
    Event, Predictive, Prefix, RunId, Series, Step, Target, TheoryRef, ThresholdRule,
};
use std::collections::BTreeMap;
use std::fmt::Debug;

pub use auto::Auto;
pub use calibrated::{
    Calibrated, CalibrationOptions, Exchanged, LeftOut, Rival, Verdict, calibrate, leave_cell_out,
    leave_one_out, rivals,
};
pub use climatology::Climatology;
pub use curve_stack::CurveStack;
pub use delta::Delta;
pub use eta_lambda::EtaLambda;
pub use extrapolation::Extrapolation;
pub use gini_passage::{GiniPassage, TimeAxis};
pub use hparams::HparamsOnly;
pub(crate) use landmark::{Answer, answer, landmarks};
pub use mirror::mirror_accuracy;
pub use mixture_law::MixtureShares;
pub use nearest::NearestRun;
pub use norm_passage::NormPassage;
pub use persistence::Persistence;
pub(crate) use pooled::Trees;
pub use pooled::{
    EarlyForest, Hazard, HierarchicalCurves, Known, PooledForest, PooledHurdle, PooledRidge,
};
pub use power_law::{PowerCurve, PowerLaw};
pub use proxy_run::ProxyRun;
pub use scaling_law::ScalingLaw;
pub use schedule_law::ByPlan;
pub use signals::{Link, Signal, SignalsAft};
pub use skills::{LocalSlope, PooledSlope, RemainingSkills, SkillNames, Strength, UnitSlope};

/// A finished run, for fitting.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRun {
    /// The run.
    pub run: RunId,
    /// Its configuration cell (everything but the seeds).
    pub cell: String,
    /// Hyper-parameters as numbers, e.g. `ln_lr`, `ln_wd`, `frac`; a non-finite number means "not applicable".
    pub features: BTreeMap<String, f64>,
    /// All its series.
    pub series: Vec<Series>,
    /// All its events, with their censoring.
    pub events: Vec<Event>,
}

impl TrainingRun {
    /// The event called `name`.
    pub fn event(&self, name: &str) -> Option<&Event> {
        self.events.iter().find(|e| e.name == name)
    }

    /// The series called `name`.
    pub fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|s| s.name == name)
    }
}

/// How the last step that may be read is found.
#[derive(Debug, Clone, PartialEq)]
pub enum CutoffRule {
    /// A multiple of the step at which an event was first seen, e.g. 2 × `T_mem`, rounded down; but never before
    /// the reading at which the event was known ([`Event::known_at`]): nobody could have asked there.
    AfterEvent {
        /// Name of the event.
        event: String,
        /// The multiple.
        multiple: f64,
    },
    /// The step at which the `n`-th of the events whose names start with `prefix` was known.
    AfterNth {
        /// Start of the names, e.g. `T_skill.`.
        prefix: String,
        /// Which, from 1.
        n: usize,
    },
    /// A fixed step.
    Fixed {
        /// The step.
        step: Step,
    },
}

/// A named cutoff of the registered grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cutoff {
    /// Its name, e.g. `2 T_mem`.
    pub name: String,
    /// How it is found.
    pub rule: CutoffRule,
}

impl Cutoff {
    /// `multiple` times the step at which `event` was first seen.
    pub fn after(event: &str, multiple: f64) -> Self {
        let rule = CutoffRule::AfterEvent { event: event.into(), multiple };
        Self { name: format!("{multiple} {event}"), rule }
    }

    /// The cutoff step of a run with these events; `None` if the anchor never happened.
    pub fn step(&self, events: &[Event]) -> Option<Step> {
        match &self.rule {
            CutoffRule::Fixed { step } => Some(*step),
            CutoffRule::AfterEvent { event, multiple } => {
                let event = events.iter().find(|e| e.name == *event)?;
                let at = event.when.seen_at()?;
                Some(Step((at.0 as f64 * multiple) as u64).max(event.known_at))
            }
            CutoffRule::AfterNth { prefix, n } => {
                let mut known: Vec<Step> = events
                    .iter()
                    .filter(|e| e.name.starts_with(prefix.as_str()) && !e.when.is_censored())
                    .map(|e| e.known_at)
                    .collect();
                known.sort_unstable();
                known.get(n.checked_sub(1)?).copied()
            }
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is forecast.
    pub target: Target,
    /// When: applied to the events of each fit run, to make the same question of it.
    pub cutoff: Cutoff,
    /// How the target event is detected; needed by theories that extrapolate its series.
    pub rule: Option<ThresholdRule>,
    /// Series that were decided before training and are known to their ends.
    pub plans: Vec<String>,
}

/// What a theory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TheorySpec {
    /// Stable name.
    pub name: &'static str,
    /// Version, counted up when anything that can change a forecast changes.
    pub version: u32,
    /// Free parameters of the plain form; what was really fitted stands in [`Fitted::theory_ref`].
    pub n_params: u32,
    /// For which runs and targets it speaks.
    pub scope: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// A way to make forecasts.
pub trait Theory: Send + Sync + Debug {
    /// What it is.
    fn spec(&self) -> TheorySpec;

    /// Fits it to finished runs for one question.
    ///
    /// # Errors
    /// [`NotFitted`] says what is missing.
    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted>;
}

/// A theory with its parameters fixed.
pub trait Fitted: Send + Sync + Debug {
    /// Forecasts a run from its beginning and its hyper-parameters. `None` is "not predictable".
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive>;

    /// Name, version, parameters and the runs it was fitted on, hashed.
    fn theory_ref(&self) -> TheoryRef;

    /// What it would say if it did not know that it cannot: for claims about fork effects, of which no fit run
    /// can judge it. The same as [`Fitted::predict`] unless a verdict silenced it.
    fn conjecture(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        self.predict(prefix, features)
    }

    /// What a reader should know beyond the name: who was chosen, what the forecast of this run rests on, or why
    /// there is none.
    fn remark(&self, _: &Prefix) -> Option<String> {
        None
    }

    /// Name of the forecaster that speaks through this one, if it is another's.
    fn speaker(&self) -> Option<String> {
        None
    }

    /// Why it answers "not predictable" to everything, if it does.
    fn reason(&self) -> Option<String> {
        None
    }
}

/// Why a theory could not be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum NotFitted {
    /// Too little to learn from.
    #[error("fit {theory}: {found} usable runs, at least {needed} are needed")]
    TooFewRuns { theory: &'static str, needed: usize, found: usize },
    /// The theory does not speak about this kind of target.
    #[error("fit {theory}: it does not forecast this kind of target")]
    WrongTarget { theory: &'static str },
    /// The question does not say how the event is detected.
    #[error("fit {theory}: the query has no detection rule for the target event")]
    NoRule { theory: &'static str },
    /// A hyper-parameter is missing in all runs.
    #[error("fit {theory}: no run has the feature {feature}")]
    NoFeature { theory: &'static str, feature: String },
    /// A series is missing in all runs.
    #[error("fit {theory}: no run has the series {series}")]
    NoSeries { theory: &'static str, series: String },
    /// A law that the runs cannot tell.
    #[error("fit {theory}: {why}")]
    NoLaw { theory: &'static str, why: String },
    /// The fit has no finite solution.
    #[error("fit {theory}: the estimate is not finite")]
    NoSolution { theory: &'static str },
}

impl NotFitted {
    /// Who could not be fitted.
    pub fn theory(&self) -> &'static str {
        match self {
            Self::TooFewRuns { theory, .. }
            | Self::WrongTarget { theory }
            | Self::NoRule { theory }
            | Self::NoFeature { theory, .. }
            | Self::NoSeries { theory, .. }
            | Self::NoLaw { theory, .. }
            | Self::NoSolution { theory } => theory,
        }
    }
}

/// Identity of a fitted theory.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    spec: TheorySpec,
    params: Vec<f64>,
    runs: Vec<RunId>,
}

impl Identity {
    pub(crate) fn new(spec: TheorySpec, params: Vec<f64>, runs: &[TrainingRun]) -> Self {
        Self { spec, params, runs: runs.iter().map(|r| r.run.clone()).collect() }
    }

    /// The reference: BLAKE3 over name, version, the bits of the parameters and the names of the runs.
    pub(crate) fn theory_ref(&self) -> TheoryRef {
        let mut h = blake3::Hasher::new();
        h.update(self.spec.name.as_bytes());
        h.update(&self.spec.version.to_le_bytes());
        for p in &self.params {
            h.update(&p.to_bits().to_le_bytes());
        }
        for r in &self.runs {
            h.update(r.as_str().as_bytes());
            h.update(&[0]);
        }
        TheoryRef {
            name: self.spec.name.into(),
            version: self.spec.version,
            hash: h.finalize().to_hex().to_string(),
            n_params: self.spec.n_params,
            fitted_on: self.runs.clone(),
            own_fit: None,
        }
    }
}

/// A row of a registry.
#[derive(Debug, Clone, Copy)]
pub struct TheoryEntry {
    /// What it is.
    pub spec: TheorySpec,
    /// Makes it with its default settings and the standard names of series and features.
    pub build: fn() -> Box<dyn Theory>,
}

/// The baselines that stand beside every forecast (law 6).
pub const BASELINES: &[TheoryEntry] = &[
    climatology::ENTRY,
    persistence::ENTRY,
    delta::ENTRY,
    extrapolation::ENTRY,
    hparams::ENTRY,
    nearest::ENTRY,
];

/// Theories proper: what a study puts beside the baselines.
pub const THEORIES: &[TheoryEntry] = &[
    eta_lambda::ENTRY,
    norm_passage::ENTRY,
    gini_passage::ENTRY,
    signals::ENTRY,
    mirror::ENTRY,
    power_law::ENTRY,
    power_law::ENTRY_POW4,
    skills::LOCAL_SLOPE,
    skills::UNIT_SLOPE,
    skills::STRENGTH,
    skills::POOLED_SLOPE,
    skills::REMAINING,
    pooled::RIDGE,
    pooled::FOREST_LEVEL,
    pooled::FOREST_CHANGE,
    pooled::HIERARCHY,
    pooled::HAZARD,
    pooled::HURDLE,
    scaling_law::ENTRY,
    scaling_law::ENTRY_CHINCHILLA,
    schedule_law::ENTRY,
    mixture_law::ENTRY,
    curve_stack::ENTRY,
    auto::ENTRY,
];

/// What fitted baselines say of a run: the form in which they stand in a [`ontogeny_core::Forecast`].
pub fn stand_beside(
    fitted: &[NamedFitted],
    prefix: &Prefix,
    features: &BTreeMap<String, f64>,
) -> Vec<(String, Predictive)> {
    fitted
        .iter()
        .filter_map(|(name, f)| Some((name.clone(), f.predict(prefix, features)?)))
        .collect()
}

/// The theory or baseline with this name.
pub fn find(name: &str) -> Option<&'static TheoryEntry> {
    BASELINES.iter().chain(THEORIES).find(|t| t.spec.name == name)
}

/// A fitted theory with its name.
pub type NamedFitted = (String, Box<dyn Fitted>);

/// Fits every baseline that speaks about the target; those that cannot be fitted are named with the reason.
pub fn fit_baselines(runs: &[TrainingRun], query: &Query) -> (Vec<NamedFitted>, Vec<NotFitted>) {
    let mut fitted = Vec::new();
    let mut missing = Vec::new();
    for entry in BASELINES {
        match (entry.build)().fit(runs, query) {
            Ok(f) => fitted.push((entry.spec.name.to_owned(), f)),
            Err(e) => missing.push(e),
        }
    }
    (fitted, missing)
}
