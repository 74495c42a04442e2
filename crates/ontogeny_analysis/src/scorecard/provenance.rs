//! What the keeper of the runs knows and the ledger does not: configurations, prefixes cut again, forks.

use ontogeny_core::{Observed, RunId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Facts about runs and records, from the store.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Every run that was fitted on or scored.
    pub runs: BTreeMap<RunId, RunInfo>,
    /// Forecast id -> hash of the prefix, cut again from the stored run. A record without is refused.
    pub prefix_hashes: BTreeMap<String, String>,
    /// Theory hash -> runs it was fitted on, as recorded by who fitted; joined to what the theory claims.
    pub fitted_on: BTreeMap<String, BTreeSet<RunId>>,
    /// Cells on which somebody chose settings by looking at the outcome.
    pub tuned_cells: BTreeSet<String>,
    /// The same outcomes under other event thresholds, persistences and probe spacings.
    pub alternatives: Vec<Alternative>,
    /// Forecast id -> the fork, for fork-effect forecasts.
    pub forks: BTreeMap<String, ForkInfo>,
    /// Structural constants fitted again on forked runs.
    pub refits: Vec<Refit>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its seed, to count seeds.
    pub seed: u64,
    /// Configuration axes and their levels as text, e.g. `wd` -> `1.0`.
    pub axes: BTreeMap<String, String>,
    /// The run it was forked from.
    pub parent: Option<RunId>,
}

/// Outcomes as another setting of the detector would have found them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// What was changed, e.g. `level x0.8`.
    pub name: String,
    /// Forecast id -> outcome; records without keep theirs.
    pub outcomes: BTreeMap<String, Observed>,
}

/// A fork whose effect was forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForkInfo {
    /// What is changed, e.g. `weight_decay`; doses of one kind share it.
    pub kind: String,
    /// By how much, signed against the control (0 for a placebo), e.g. `ln` of the ratio.
    pub dose: f64,
    /// Whether it changes nothing that matters.
    pub placebo: bool,
    /// Standard error of the observed paired difference over seeds.
    pub std_error: f64,
    /// Whether forks of this kind were used in fitting the theory.
    pub seen_in_fit: bool,
    /// Declared off-target properties.
    pub off_target: Vec<OffTarget>,
}

/// A property that an intervention should leave alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OffTarget {
    /// The property.
    pub property: String,
    /// The observed paired effect on it.
    pub effect: f64,
    /// The declared bound of its size.
    pub bound: f64,
}

/// A structural constant before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refit {
    /// Name of the constant.
    pub name: String,
    /// Fitted on unforked runs.
    pub observational: f64,
    /// Fitted on forked runs.
    pub interventional: f64,
    /// Standard error of the difference.
    pub std_error: f64,
}
