//! Exact states of runs that exist: checkpoints, replay, and the proof that a fork would be exact.

use crate::conductor::engine;
use crate::{Conductor, LabError};
use ontogeny_core::{RunId, Step};
use ontogeny_engine::Layout;
use ontogeny_store::{OwnedTensor, RunWriter, Store};
use ontogeny_train::{RunConfig, TrainState, Trainer};
use std::collections::BTreeMap;

/// What probes remember, by name.
pub(crate) type ProbeState = BTreeMap<String, Vec<f64>>;

/// Fifty-two bits of the hash of step and parameters, as a number that a series can carry exactly.
pub(crate) fn fingerprint(state: &TrainState) -> f64 {
    let hash = state.params_hash();
    u64::from_str_radix(&hash[..13], 16).map_or(f64::NAN, |bits| bits as f64)
}

/// Hands the exact state of `trainer` to the store as a checkpoint, which is written while training goes on.
/// `RunWriter::sync` waits for it.
pub(crate) fn save(
    writer: &mut RunWriter,
    trainer: &Trainer,
    probes: &ProbeState,
) -> Result<(), LabError> {
    let state = trainer.state();
    let mut tensors = Vec::new();
    state.for_each_tensor(trainer.layout(), |t| {
        tensors.push(OwnedTensor::from_f32(t.name, t.shape, t.values));
    });
    let extra =
        serde_json::json!({ "train": state.extra(), "probes": probes, "hash": state.hash() });
    Ok(writer.checkpoint_later(state.step, tensors, extra)?)
}

/// The last checkpoint of `run` at or before `step`.
pub(crate) fn last_checkpoint(
    store: &Store,
    run: &RunId,
    step: Step,
    layout: &Layout,
) -> Result<Option<(TrainState, ProbeState)>, LabError> {
    let reader = store.run(run)?;
    let Some(at) = reader.checkpoints()?.into_iter().filter(|&s| s <= step).max() else {
        return Ok(None);
    };
    let saved = reader.checkpoint(at)?;
    let mut tensors: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for t in saved.tensors {
        let values =
            t.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.insert(t.name, values);
    }
    let state = TrainState::rebuild(layout, &saved.extra["train"], |name| tensors.remove(name))
        .map_err(|source| LabError::Train { run: run.clone(), source })?;
    let probes = serde_json::from_value(saved.extra["probes"].clone()).unwrap_or_default();
    Ok(Some((state, probes)))
}

/// The configuration that a run in the store was made with.
///
/// # Errors
/// [`LabError::Config`] if this version cannot read it.
pub fn config_of(store: &Store, run: &RunId) -> Result<RunConfig, LabError> {
    let config = store.run(run)?.manifest().config.clone();
    serde_json::from_value(config).map_err(|source| LabError::Config { run: run.clone(), source })
}

/// The exact state of `run` at `step`: the nearest checkpoint before it, or its beginning, and replay.
///
/// # Errors
/// [`LabError::NoSuchStep`] beyond the end of the run; what store and trainer report.
pub fn state_at(store: &Store, run: &RunId, step: Step) -> Result<TrainState, LabError> {
    let mut trainer = trainer_at(store, run, step)?;
    let train = |source| LabError::Train { run: run.clone(), source };
    while trainer.state().step < step {
        trainer.update().map_err(train)?;
    }
    Ok(trainer.state().clone())
}

/// A trainer of `run` at its last checkpoint at or before `step`, or at its beginning.
fn trainer_at(store: &Store, run: &RunId, step: Step) -> Result<Trainer, LabError> {
    let manifest = store.run(run)?.manifest().clone();
    if step > manifest.step {
        return Err(LabError::NoSuchStep { run: run.clone(), step, last: manifest.step });
    }
    let config = config_of(store, run)?;
    let train = |source| LabError::Train { run: run.clone(), source };
    let engine = engine()?;
    let fresh = Trainer::new(config.clone(), manifest.seeds, engine.clone()).map_err(train)?;
    let state = match (last_checkpoint(store, run, step, fresh.layout())?, &manifest.fork) {
        (Some((state, _)), _) => state,
        (None, None) => return Ok(fresh),
        (None, Some(f)) if f.step <= step => state_at(store, &f.parent, f.step)?,
        (None, Some(_)) => return Err(LabError::NoCheckpoint { run: run.clone(), step }),
    };
    Trainer::from_state(config, manifest.seeds, engine, state).map_err(train)
}

impl Conductor<'_> {
    /// Proves that a fork of `run` at `step` without a change would be the run itself: the state at `step` is
    /// rebuilt and trained on for `n_steps` (or to the run's end), and its fingerprint is compared with the
    /// recorded one at every reading on the way. Returns the number of readings compared.
    ///
    /// No effect of a fork is reported unless this holds.
    ///
    /// # Errors
    /// [`LabError::ControlDiffers`] with the first reading at which they differ; [`LabError::Stopped`] after a
    /// request to stop.
    pub fn verify_control(&self, run: &RunId, step: Step, n_steps: u64) -> Result<usize, LabError> {
        let reader = self.store.run(run)?;
        let recorded = reader.series("state.fingerprint")?.unwrap_or_default();
        let until = Step((step.0 + n_steps).min(reader.manifest().step.0));
        let config = config_of(self.store, run)?;
        let state = state_at(self.store, run, step)?;
        let train = |source| LabError::Train { run: run.clone(), source };
        let mut control = Trainer::from_state(config, reader.manifest().seeds, engine()?, state)
            .map_err(train)?;
        let mut compared = 0;
        loop {
            let now = control.state().step;
            if let Some(p) = recorded.at_or_before(now).filter(|p| p.step == now) {
                if p.value.to_bits() != fingerprint(control.state()).to_bits() {
                    return Err(LabError::ControlDiffers {
                        run: run.clone(),
                        fork: step,
                        step: now,
                    });
                }
                compared += 1;
            }
            if now >= until {
                return Ok(compared);
            }
            if self.watch.should_stop() {
                return Err(LabError::Stopped);
            }
            control.update().map_err(train)?;
        }
    }
}
