//! What can go wrong while a study is conducted.

use crate::divergence::Divergence;
use ontogeny_core::{RunId, Step};

/// A study, run or fork that cannot be conducted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum LabError {
    /// Asked to stop: everything so far is kept.
    #[error("stopped by request; the same command goes on from here")]
    Stopped,
    /// A study nobody has.
    #[error("no study called {name}{}", suggestion.map(|s| format!("; did you mean {s}?")).unwrap_or_default())]
    UnknownStudy { name: String, suggestion: Option<&'static str> },
    /// A folder of data for a study that would not read it.
    #[error("study {study} draws its data itself: leave out --data")]
    DrawsItsData { study: &'static str },
    /// A study that cannot draw what it is asked for.
    #[error("study {study} at tier {tier} reads its data: give --data FOLDER with {what}")]
    NeedsData { study: &'static str, tier: &'static str, what: &'static str },
    /// The store holds a run of this name that was made differently.
    #[error(
        "run {run} is in the store with another {what}; choose another store or seed, or remove its folder"
    )]
    RunDiffers { run: RunId, what: &'static str },
    /// A step that a run never reached.
    #[error("run {run} has no step {step}: it ended at step {last}")]
    NoSuchStep { run: RunId, step: Step, last: Step },
    /// A run that is still open cannot be forked at a step it has not reached.
    #[error("run {run} has no checkpoint at or before step {step}")]
    NoCheckpoint { run: RunId, step: Step },
    /// Asked to stop while a stretch of a run was executed again.
    #[error("stopped by request at step {step} of a replay of run {run}, which keeps nothing")]
    ReplayStopped { run: RunId, step: Step },
    /// A replay that is not its run.
    #[error("{0}")]
    ReplayDiffers(Box<Divergence>),
    /// A probe that reads otherwise at a state that is the recorded one.
    #[error(
        "the state of run {run} at step {step} is the recorded one, but {series} is read as {now} and was recorded as {was}"
    )]
    ReadingDiffers { run: RunId, step: Step, series: String, was: f64, now: f64 },
    /// A run that others trained cannot be executed again.
    #[error("run {run} was imported: only runs that were trained here can be executed again")]
    NotTrainedHere { run: RunId },
    /// A stretch to zoom into that the run does not have.
    #[error("run {run} cannot be zoomed into from step {from} to {to}: {why}")]
    NoStretch { run: RunId, from: Step, to: Step, why: String },
    /// A control fork that does not reproduce its parent: no effect may be reported.
    #[error("control fork of {run} at step {fork} differs from its parent first at step {step}")]
    ControlDiffers { run: RunId, fork: Step, step: Step },
    /// A saved configuration that this version cannot read.
    #[error("read the configuration of run {run}")]
    Config {
        run: RunId,
        #[source]
        source: serde_json::Error,
    },
    /// The trainer refused.
    #[error("train run {run}")]
    Train {
        run: RunId,
        #[source]
        source: ontogeny_train::TrainError,
    },
    /// The configuration of a study or fork is out of range.
    #[error("configure")]
    Configure {
        #[source]
        source: ontogeny_train::TrainError,
    },
    /// A forecaster that cannot answer what it is asked.
    #[error("forecast run {run}")]
    NotAsked {
        run: RunId,
        #[source]
        source: ontogeny_analysis::forecasters::NotFitted,
    },
    /// A scorecard that cannot be computed.
    #[error("compute a scorecard")]
    Scorecard {
        #[source]
        source: ontogeny_analysis::scorecard::ScorecardError,
    },
    /// A probe nobody has.
    #[error("choose probes")]
    Probe {
        #[source]
        source: ontogeny_probes::ProbeError,
    },
    /// The engine cannot be made.
    #[error("start the engine")]
    Engine {
        #[source]
        source: ontogeny_engine::EngineError,
    },
    /// The store refused.
    #[error("keep the results")]
    Store {
        #[from]
        source: ontogeny_store::StoreError,
    },
}

impl LabError {
    /// For a replay within a larger piece of work, which keeps what it has and goes on when it is asked again.
    pub(crate) fn of_work(self) -> Self {
        match self {
            Self::ReplayStopped { .. } => Self::Stopped,
            other => other,
        }
    }
}
