//! A run before it is conducted.

use ontogeny_core::{RunId, Seeds, Step, StudyId, ThresholdRule};
use ontogeny_train::RunConfig;
use serde_json::Value;

/// Everything a run needs to be conducted.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPlan {
    /// Its name.
    pub id: RunId,
    /// The study it belongs to, if any.
    pub study: Option<StudyId>,
    /// What it is for: `fit`, `test`, `fork`, `placebo`, `design`, ...
    pub role: String,
    /// Its configuration cell: plans of one cell differ only in their seeds.
    pub cell: String,
    /// Its configuration (of a fork: with the change made).
    pub config: RunConfig,
    /// Its seeds.
    pub seeds: Seeds,
    /// Where it leaves its parent, if it is a fork.
    pub fork: Option<ForkPlan>,
    /// Events to detect while it runs.
    pub rules: Vec<ThresholdRule>,
    /// When it may end before its horizon.
    pub stop: StopRule,
}

/// The origin of a fork.
#[derive(Debug, Clone, PartialEq)]
pub struct ForkPlan {
    /// The run it leaves.
    pub parent: RunId,
    /// The step whose exact state it starts from.
    pub step: Step,
    /// The declared change; empty for a control.
    pub set: Vec<(String, Value)>,
}

/// When a run ends.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum StopRule {
    /// At its horizon.
    #[default]
    Horizon,
    /// Once all these events have been seen and some more steps have been made.
    After {
        /// Names of the events.
        events: Vec<String>,
        /// Steps after the last of them.
        extra: u64,
    },
    /// At this step, which is read: a rung of a search. A fork of the last state with the same configuration goes on as
    /// if the run had never ended.
    At(Step),
}
