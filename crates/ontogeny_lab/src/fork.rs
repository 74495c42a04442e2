//! Exact states of runs that exist: checkpoints, replay, and the proof that a fork would be exact.

use crate::replay::{Follow, Replay, Start};
use crate::watch::Unwatched;
use crate::{Conductor, LabError};
use ontogeny_core::{RunId, Step};
use ontogeny_engine::Layout;
use ontogeny_store::{OwnedTensor, RunReader, RunWriter, Store, TensorView, ZoomWriter};
use ontogeny_train::{RunConfig, TrainState, Trainer};
use std::collections::BTreeMap;

/// What probes remember, by name.
pub(crate) type ProbeState = BTreeMap<String, Vec<f64>>;

fn tensors_of(trainer: &Trainer) -> Vec<OwnedTensor> {
    let mut tensors = Vec::new();
    trainer.state().for_each_tensor(trainer.layout(), |t| {
        tensors.push(OwnedTensor::from_f32(t.name, t.shape, t.values));
    });
    tensors
}

/// Hands the exact state of `trainer` to the store as a checkpoint, which is written while training goes on.
/// `RunWriter::sync` waits for it.
pub(crate) fn save(
    writer: &mut RunWriter,
    trainer: &Trainer,
    probes: &ProbeState,
) -> Result<(), LabError> {
    let state = trainer.state();
    let extra =
        serde_json::json!({ "train": state.extra(), "probes": probes, "hash": state.hash() });
    Ok(writer.checkpoint_later(state.step, tensors_of(trainer), extra)?)
}

/// Writes the exact state of `trainer` as a checkpoint of a zoom. What probes remember is left out: no run goes on
/// from here, only replays begin here.
pub(crate) fn save_zoomed(writer: &mut ZoomWriter, trainer: &Trainer) -> Result<(), LabError> {
    let state = trainer.state();
    let tensors = tensors_of(trainer);
    let views: Vec<TensorView<'_>> = tensors.iter().map(OwnedTensor::view).collect();
    let extra = serde_json::json!({ "train": state.extra(), "hash": state.hash() });
    writer.checkpoint(state.step, &views, extra)?;
    Ok(())
}

/// The last checkpoint of `run` at or before `step`: where a resumed run goes on.
pub(crate) fn last_checkpoint(
    reader: &RunReader,
    step: Step,
    layout: &Layout,
) -> Result<Option<(TrainState, ProbeState)>, LabError> {
    let last = reader.checkpoints()?.into_iter().filter(|&s| s <= step).max();
    last.map(|at| read_state(reader, at, layout)).transpose()
}

/// The last state at or before `step` that was kept, by the run or by a zoom into it: where a replay begins.
pub(crate) fn last_state(
    reader: &RunReader,
    step: Step,
    layout: &Layout,
) -> Result<Option<(TrainState, ProbeState)>, LabError> {
    let zoomed = reader.zoomed_checkpoints()?;
    let kept = reader.checkpoints()?.into_iter().chain(zoomed);
    let last = kept.filter(|&s| s <= step).max();
    last.map(|at| read_state(reader, at, layout)).transpose()
}

fn read_state(
    reader: &RunReader,
    at: Step,
    layout: &Layout,
) -> Result<(TrainState, ProbeState), LabError> {
    let saved = reader.checkpoint(at)?;
    let mut tensors: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for t in saved.tensors {
        let values =
            t.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.insert(t.name, values);
    }
    let state = TrainState::rebuild(layout, &saved.extra["train"], |name| tensors.remove(name));
    let run = || reader.manifest().run.clone();
    let state = state.map_err(|source| LabError::Train { run: run(), source })?;
    let probes = serde_json::from_value(saved.extra["probes"].clone()).unwrap_or_default();
    Ok((state, probes))
}

/// The configuration that a run in the store was made with.
///
/// # Errors
/// [`LabError::Config`] if this version cannot read it.
pub fn config_of(store: &Store, run: &RunId) -> Result<RunConfig, LabError> {
    let config = store.run(run)?.manifest().config.clone();
    serde_json::from_value(config).map_err(|source| LabError::Config { run: run.clone(), source })
}

/// The exact state of `run` at `step`: the nearest recorded state before it, or its beginning, and replay, compared
/// with the recorded hashes on the way.
///
/// # Errors
/// [`LabError::NoSuchStep`] beyond the end of the run; [`LabError::ReplayDiffers`] if the replay is not the run;
/// what store and trainer report.
pub fn state_at(store: &Store, run: &RunId, step: Step) -> Result<TrainState, LabError> {
    Replay::state_of(store, run, step, Follow { watch: &Unwatched, is_shown: false })
}

impl Conductor<'_> {
    /// Proves that a fork of `run` at `step` without a change would be the run itself: the state at `step` is
    /// rebuilt and trained on for `n_steps` (or to the run's end), and everything that was recorded of the state is
    /// compared on the way. Returns the number of recorded hashes from `step` on that came out the same.
    ///
    /// No effect of a fork is reported unless this holds.
    ///
    /// # Errors
    /// [`LabError::ReplayDiffers`] with the first difference; [`LabError::ReplayStopped`] after a request to stop.
    pub fn verify_control(&self, run: &RunId, step: Step, n_steps: u64) -> Result<usize, LabError> {
        let follow = Follow { watch: self.watch, is_shown: true };
        let mut replay = Replay::begin(self.store, run, step, Start::At, follow)?;
        let until = Step((step.0 + n_steps).min(replay.reader().manifest().step.0));
        replay.announce(until);
        let mut n_equal = 0;
        loop {
            let now = replay.step();
            n_equal += usize::from(now >= step && replay.equal_at == Some(now));
            if now >= until {
                break;
            }
            replay.update()?;
        }
        replay.finished();
        Ok(n_equal)
    }
}
