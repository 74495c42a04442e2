//! What a run was, to the last default.

use crate::{Clocks, RunId, Step, StudyId, ThresholdRule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Separate seeds for separate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// Decides the initial weights.
    pub init_seed: u64,
    /// Decides which data exist and in what order they come.
    pub data_seed: u64,
    /// Decides everything else that is random in training.
    pub noise_seed: u64,
}

impl Seeds {
    /// All three the same: seed n of a study.
    pub fn all(seed: u64) -> Self {
        Self { init_seed: seed, data_seed: seed, noise_seed: seed }
    }
}

/// Where a fork left its parent, and what it changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForkPoint {
    /// The parent run.
    pub parent: RunId,
    /// The step whose exact state the fork started from.
    pub step: Step,
    /// The declared change as `key=value` pairs of the configuration; empty for a control fork.
    pub set: Vec<(String, serde_json::Value)>,
    /// BLAKE3 of the state the fork started from.
    pub state_hash: String,
}

/// The code that made a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Version of Ontogeny.
    pub ontogeny: String,
    /// The engine, its backend and the processor features that can change bits.
    pub engine: String,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StopReason {
    /// It reached its horizon.
    Horizon,
    /// The study stopped it: everything it was run for had happened.
    Settled {
        /// What had happened.
        why: String,
    },
    /// Loss or gradient became NaN or infinite.
    Diverged {
        /// The step of the update that could not be made.
        step: Step,
        /// What was not finite.
        what: String,
    },
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RunStatus {
    /// Not finished: being trained, or waiting to be resumed.
    Open,
    /// Finished.
    Done {
        /// Why.
        reason: StopReason,
    },
}

/// A run can be repeated from this alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Version of this layout.
    pub format_version: u32,
    /// Name of the run, and of its folder.
    pub run: RunId,
    /// The study it belongs to, if any.
    pub study: Option<StudyId>,
    /// What the run was for in its study: `fit`, `test`, `control`, `fork`, `design`, ...
    pub role: String,
    /// The configuration cell: runs of one cell differ only in their seeds.
    pub cell: String,
    /// The resolved configuration, every default written out; the store does not interpret it.
    pub config: serde_json::Value,
    /// The seeds.
    pub seeds: Seeds,
    /// Parent and change, if the run is a fork.
    pub fork: Option<ForkPoint>,
    /// The events that were looked for while it ran.
    #[serde(default)]
    pub rules: Vec<ThresholdRule>,
    /// The code.
    pub versions: Versions,
    /// Wall time of creation, seconds since the Unix epoch.
    pub created_unix_secs: f64,
    /// Last step that has been recorded.
    pub step: Step,
    /// The clocks at that step.
    pub clocks: Clocks,
    /// Whether the run goes on.
    pub status: RunStatus,
    /// What probes could not read, with the first step at which and the reason.
    #[serde(default)]
    pub unread: BTreeMap<String, String>,
}

impl RunManifest {
    /// The layout written by this version.
    pub const FORMAT_VERSION: u32 = 1;
}
