//! A forecast: a predictive distribution of a target, with what it read and what will judge it.

use crate::{RunId, Step};
use serde::{Deserialize, Serialize};

/// The probability levels at which every predictive distribution is written down.
pub const LEVELS: [f64; 23] = [
    0.01, 0.025, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65,
    0.70, 0.75, 0.80, 0.85, 0.90, 0.95, 0.975, 0.99,
];

/// What is forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Target {
    /// The step at which an event happens; its quantiles are natural logarithms of steps.
    EventTime {
        /// Name of the event.
        event: String,
        /// The last step that will be looked at.
        horizon: Step,
    },
    /// The value of a series at a step; its quantiles are natural logarithms if `log` is set.
    Value {
        /// The series.
        series: String,
        /// The step.
        at: Step,
        /// Whether the forecast and its score are on the logarithm of the value.
        log: bool,
    },
    /// The paired difference `treated - control` of an outcome; for event times of `ln T`.
    ForkEffect {
        /// The intervention.
        intervention: String,
        /// The outcome.
        outcome: String,
    },
}

/// A predictive distribution as quantiles at [`LEVELS`], plus a mass that is nowhere on the axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictive {
    /// Non-decreasing quantiles at [`LEVELS`], given that the event happens by the horizon (for other targets: always).
    pub quantiles: Vec<f64>,
    /// Probability that the event does not happen by the horizon; 0 for other targets.
    pub never_prob: f64,
}

/// How a forecast will be scored; all are lower-is-better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoringRule {
    /// Integrated Brier score over log time between cutoff and horizon, in [0, 1].
    IntegratedBrier,
    /// Continuous ranked probability score on the axis of the quantiles.
    Crps,
}

/// The theory that made a forecast: a versioned object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TheoryRef {
    /// Stable name, e.g. `mirror-accuracy`.
    pub name: String,
    /// Version, counted up when anything that can change a forecast changes.
    pub version: u32,
    /// BLAKE3 of the fitted parameters and of the runs they were fitted on.
    pub hash: String,
    /// Free parameters.
    pub n_params: u32,
    /// The runs it was fitted on: scoring on any of them is refused.
    pub fitted_on: Vec<RunId>,
    /// Share of the variance of the answers of these runs that the fit explains (R² of its medians); no credit
    /// is given for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_fit: Option<f64>,
}

/// A sealed claim about the future of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Unique within the ledger: `<study>/<run>/<theory>/<target>@<cutoff>`.
    pub id: String,
    /// The property the target stands for, e.g. `grok time`.
    pub property: String,
    /// Who claims.
    pub theory: TheoryRef,
    /// The run the claim is about.
    pub run: RunId,
    /// Its configuration cell.
    pub cell: String,
    /// What is claimed.
    pub target: Target,
    /// The last step that was read.
    pub cutoff: Step,
    /// The name of the cutoff in the registered grid, e.g. `2 T_mem`.
    pub cutoff_name: String,
    /// Hash of what was read ([`crate::Prefix::hash`]).
    pub prefix_hash: String,
    /// The step at which the live run stood when the forecast was sealed.
    pub sealed_at: Step,
    /// The claim; `None` is the claim "not predictable".
    pub predictive: Option<Predictive>,
    /// The baselines' claims about the same target, to be scored alongside.
    pub baselines: Vec<(String, Predictive)>,
    /// How it will be judged.
    pub rule: ScoringRule,
    /// Acceptance region on the axis of the quantiles, if a pass or failure is claimed.
    pub acceptance: Option<(f64, f64)>,
    /// The family of (target x cutoff) over which multiple testing is corrected.
    pub family: String,
}

/// What happened, on the axis of the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Observed {
    /// An event between two probes.
    Event {
        /// Last step at which it had not happened.
        lo: Step,
        /// First step at which it had.
        hi: Step,
    },
    /// No event by the horizon.
    Never {
        /// The horizon.
        horizon: Step,
    },
    /// A value.
    Value {
        /// The value, on the axis of the target.
        value: f64,
    },
}

/// The outcome of a forecast's target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The forecast it answers.
    pub forecast: String,
    /// What was observed.
    pub observed: Observed,
    /// The step the run had reached when it was known.
    pub known_at: Step,
}

/// The judgement of a forecast and of the baselines beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The forecast.
    pub forecast: String,
    /// Its score, lower is better; `None` if it claimed "not predictable".
    pub score: Option<f64>,
    /// The baselines' scores.
    pub baselines: Vec<(String, f64)>,
    /// Probability integral transform of the outcome, mean over the censoring interval.
    pub pit: Option<f64>,
    /// Reason why the record is post hoc and must not count; `None` if it counts.
    pub refused: Option<String>,
}
