//! How a face follows a study and asks it to stop.

use ontogeny_core::{Event, RunId, Step};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// The run.
    pub run: &'a RunId,
    /// Updates applied.
    pub step: Step,
    /// Updates it may make.
    pub horizon: u64,
    /// Loss of the last batch.
    pub loss: f64,
    /// The event detected last.
    pub last_event: Option<&'a Event>,
}

/// Follows the work. All methods may be called from several threads at once; none may change a result.
pub trait Watch: Send + Sync + std::fmt::Debug {
    /// A stage of the study begins: its name, and the updates it may take over all its runs.
    fn stage(&self, _name: &str, _n_runs: usize, _n_updates: u64) {}

    /// A run begins or goes on.
    fn run_started(&self, _at: &Progress<'_>) {}

    /// A run has come further; called at readings, some thirty times a second at most.
    fn run_progress(&self, _at: &Progress<'_>) {}

    /// A run is over; `skipped` is how many of its updates were not needed.
    fn run_finished(&self, _run: &RunId, _skipped: u64) {}

    /// A stretch of a run is executed again, from one step to another, to rebuild a state or to look closer.
    fn replay_started(&self, _run: &RunId, _from: Step, _to: Step) {}

    /// A replay has come to a step; called after every update.
    fn replay_progress(&self, _run: &RunId, _at: Step) {}

    /// A replay has ended.
    fn replay_finished(&self, _run: &RunId) {}

    /// Something a person should know.
    fn note(&self, _text: &str) {}

    /// Whether to stop at the next reading: everything is saved, and the same call goes on from there.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Watches nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
