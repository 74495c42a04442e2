//! Executing a stretch of a run again, checked against what the run recorded.
//!
//! A replay begins with a recorded state (a checkpoint, the state a fork left its parent with, or the
//! initialization) and makes the run's own updates. On the way it compares everything that the run recorded of
//! its state: the hash of the whole state (`state.hash`) and of the parameters (`state.fingerprint`) at the steps
//! that have one, and the loss of every update. The first difference ends it, and says where it lies.

use crate::conductor::{engine, versions};
use crate::divergence::{Divergence, Located, Sign, differing_tensors};
use crate::fork::{self, ProbeState};
use crate::watch::Watch;
use crate::{LabError, config_of};
use ontogeny_core::{RunId, RunManifest, Series, Step};
use ontogeny_engine::Engine;
use ontogeny_store::{RunReader, Store};
use ontogeny_train::{RunConfig, TrainState, Trainer, Update};
use std::sync::Arc;

/// Fifty-two bits of a hash in hexadecimal, as a number that a series can carry exactly.
pub(crate) fn bits_of(hash: &str) -> f64 {
    u64::from_str_radix(&hash[..13], 16).map_or(f64::NAN, |bits| bits as f64)
}

/// Name of the series that holds the hash of the whole state.
pub(crate) const STATE_HASH: &str = "state.hash";
/// Name of the series that holds the hash of step and parameters.
pub(crate) const FINGERPRINT: &str = "state.fingerprint";

/// Who follows a replay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follow<'a> {
    pub watch: &'a dyn Watch,
    /// Whether it is shown by itself; one that belongs to a larger piece of work only looks whether to stop.
    pub is_shown: bool,
}

/// Where a replay may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At a recorded state at the step or before it.
    At,
    /// At a checkpoint of the run before the step (unless the run begins with it), so that the step is reached by an
    /// update, its loss and gradient are known, and so is what the probes remembered.
    Before,
}

/// A stretch of a run that is being executed again.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    store: &'a Store,
    reader: RunReader,
    config: RunConfig,
    engine: Arc<Engine>,
    follow: Follow<'a>,
    trainer: Trainer,
    /// Step of the state it began with.
    pub origin: Step,
    /// What the probes remembered there; `None` if it began where the run did.
    pub memory: Option<ProbeState>,
    /// Step of the last recorded hash that came out the same.
    pub equal_at: Option<Step>,
    /// Recorded hashes that came out the same.
    pub n_hashes: usize,
    /// Recorded losses that came out the same.
    pub n_losses: usize,
}

/// The last step at which the run recorded a hash of its state or parameters.
pub(crate) fn last_hash(reader: &RunReader) -> Result<Option<Step>, LabError> {
    let recorded = reader.recorded()?;
    let last = |name| recorded.get(name).and_then(Series::last).map(|p| p.step);
    Ok(last(STATE_HASH).max(last(FINGERPRINT)))
}

/// The first step of a run: that of its fork, or 0.
pub(crate) fn first_step(manifest: &RunManifest) -> Step {
    manifest.fork.as_ref().map_or(Step(0), |f| f.step)
}

/// What was recorded in a series at a step.
pub(crate) fn recorded_at(
    reader: &RunReader,
    name: &str,
    step: Step,
) -> Result<Option<f64>, LabError> {
    let point = reader.recorded()?.get(name).and_then(|s| s.at_or_before(step));
    Ok(point.filter(|p| p.step == step).map(|p| p.value))
}

impl<'a> Replay<'a> {
    /// Stands at the last recorded state that `start` allows, having checked it.
    ///
    /// # Errors
    /// [`LabError::NoSuchStep`] beyond the end of the run, [`LabError::NotTrainedHere`] for an imported one,
    /// [`LabError::ReplayDiffers`] if the state is not the recorded one.
    pub(crate) fn begin(
        store: &'a Store,
        run: &RunId,
        step: Step,
        start: Start,
        follow: Follow<'a>,
    ) -> Result<Self, LabError> {
        let reader = store.run(run)?;
        let manifest = reader.manifest().clone();
        if manifest.imported().is_some() {
            return Err(LabError::NotTrainedHere { run: run.clone() });
        }
        if step > manifest.step {
            return Err(LabError::NoSuchStep { run: run.clone(), step, last: manifest.step });
        }
        let config = config_of(store, run)?;
        let train = |source| LabError::Train { run: run.clone(), source };
        let engine = engine()?;
        let fresh =
            Trainer::new(config.clone(), manifest.seeds, Arc::clone(&engine)).map_err(train)?;
        let first = first_step(&manifest);
        let saved = match start {
            Start::At => fork::last_state(&reader, step, fresh.layout())?,
            Start::Before if step > first => {
                fork::last_checkpoint(&reader, Step(step.0 - 1), fresh.layout())?
            }
            Start::Before => None,
        };
        let mut memory = None;
        let trainer = match (saved, &manifest.fork) {
            (Some((state, probes)), _) => {
                memory = Some(probes);
                Trainer::from_state(config.clone(), manifest.seeds, Arc::clone(&engine), state)
                    .map_err(train)?
            }
            (None, None) => fresh,
            (None, Some(f)) if f.step <= step => {
                let within = Follow { is_shown: false, ..follow };
                let state = Replay::state_of(store, &f.parent, f.step, within)?;
                let is_same = state.hash() == f.state_hash;
                let made =
                    Trainer::from_state(config.clone(), manifest.seeds, Arc::clone(&engine), state)
                        .map_err(train)?;
                if !is_same {
                    let divergence = Divergence {
                        run: run.clone(),
                        origin: f.step,
                        sign: Sign::ForkPoint,
                        step: f.step,
                        equal_at: None,
                        made_by: manifest.versions,
                        here: versions(),
                        located: Located::default(),
                    };
                    return Err(LabError::ReplayDiffers(Box::new(divergence)));
                }
                made
            }
            (None, Some(_)) => return Err(LabError::NoCheckpoint { run: run.clone(), step }),
        };
        let origin = trainer.state().step;
        let mut replay = Self {
            store,
            reader,
            config,
            engine,
            follow,
            trainer,
            origin,
            memory,
            equal_at: None,
            n_hashes: 0,
            n_losses: 0,
        };
        replay.compare_state()?;
        Ok(replay)
    }

    /// The exact state of `run` at `step`.
    pub(crate) fn state_of(
        store: &'a Store,
        run: &RunId,
        step: Step,
        follow: Follow<'a>,
    ) -> Result<TrainState, LabError> {
        let mut replay = Self::begin(store, run, step, Start::At, follow)?;
        replay.go_to(step)?;
        Ok(replay.trainer.state().clone())
    }

    /// The run as it is read.
    pub(crate) fn reader(&self) -> &RunReader {
        &self.reader
    }

    /// The trainer, for looking at the network.
    pub(crate) fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// The trainer, for looking ahead; its updates are made here.
    pub(crate) fn trainer_mut(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// Updates applied.
    pub(crate) fn step(&self) -> Step {
        self.trainer.state().step
    }

    fn run(&self) -> &RunId {
        &self.reader.manifest().run
    }

    /// Makes updates until `step`.
    pub(crate) fn go_to(&mut self, step: Step) -> Result<(), LabError> {
        self.announce(step);
        while self.step() < step {
            self.update()?;
        }
        self.finished();
        Ok(())
    }

    /// Says how far this replay is to go.
    pub(crate) fn announce(&self, to: Step) {
        if self.follow.is_shown && self.step() < to {
            self.follow.watch.replay_started(self.run(), self.step(), to);
        }
    }

    /// Says that it is over.
    pub(crate) fn finished(&self) {
        if self.follow.is_shown {
            self.follow.watch.replay_finished(self.run());
        }
    }

    /// Makes one update and compares what was recorded of it.
    ///
    /// # Errors
    /// [`LabError::ReplayStopped`] after a request to stop; [`LabError::ReplayDiffers`].
    pub(crate) fn update(&mut self) -> Result<Update, LabError> {
        if self.follow.watch.should_stop() {
            return Err(LabError::ReplayStopped { run: self.run().clone(), step: self.step() });
        }
        let made = self.trainer.update();
        let update = made.map_err(|source| LabError::Train { run: self.run().clone(), source })?;
        let step = self.step();
        if let Some(loss) = recorded_at(&self.reader, "batch.loss", step)? {
            if loss.to_bits() != update.loss.to_bits() {
                return Err(self.differs(Sign::Loss));
            }
            self.n_losses += 1;
        }
        self.compare_state()?;
        if self.follow.is_shown {
            self.follow.watch.replay_progress(self.run(), step);
        }
        Ok(update)
    }

    /// Compares the state with what was recorded at its step.
    fn compare_state(&mut self) -> Result<(), LabError> {
        let step = self.step();
        let state = self.trainer.state();
        // The parameters first: if they are equal and the whole is not, the moments differ.
        let prints = recorded_at(&self.reader, FINGERPRINT, step)?;
        if prints.is_some_and(|v| v.to_bits() != bits_of(&state.params_hash()).to_bits()) {
            return Err(self.differs(Sign::Parameters));
        }
        let hashes = recorded_at(&self.reader, STATE_HASH, step)?;
        if hashes.is_some_and(|v| v.to_bits() != bits_of(&state.hash()).to_bits()) {
            let sign = if prints.is_some() { Sign::Moments } else { Sign::State };
            return Err(self.differs(sign));
        }
        if prints.is_some() || hashes.is_some() {
            self.equal_at = Some(step);
            self.n_hashes += 1;
        }
        Ok(())
    }

    /// The error for a first difference at this step, with all that can be known of it.
    fn differs(&mut self, sign: Sign) -> LabError {
        let step = self.step();
        let located = self.locate(step).unwrap_or_default();
        let divergence = Divergence {
            run: self.run().clone(),
            origin: self.origin,
            sign,
            step,
            equal_at: self.equal_at,
            made_by: self.reader.manifest().versions.clone(),
            here: versions(),
            located,
        };
        LabError::ReplayDiffers(Box::new(divergence))
    }

    /// Looks closer at a difference: does a second replay agree with this one, and which tensors differ at the next
    /// checkpoint? What cannot be found out (a request to stop, a state that is gone) stays open.
    fn locate(&mut self, step: Step) -> Result<Located, LabError> {
        let mut located = Located::default();
        let quiet = Follow { is_shown: false, ..self.follow };
        let run = self.run().clone();
        let fresh = |state: TrainState| {
            let seeds = self.reader.manifest().seeds;
            Trainer::from_state(self.config.clone(), seeds, Arc::clone(&self.engine), state)
        };
        let again = match fork::last_state(&self.reader, self.origin, self.trainer.layout())? {
            Some((state, _)) if state.step == self.origin => fresh(state).ok(),
            _ if self.origin == Step(0) => {
                let seeds = self.reader.manifest().seeds;
                Trainer::new(self.config.clone(), seeds, Arc::clone(&self.engine)).ok()
            }
            _ => {
                let fork = self.reader.manifest().fork.clone();
                let state = fork.map(|f| Replay::state_of(self.store, &f.parent, f.step, quiet));
                state.transpose()?.and_then(|s| fresh(s).ok())
            }
        };
        if let Some(mut again) = again {
            while again.state().step < step && !quiet.watch.should_stop() {
                again.update().map_err(|source| LabError::Train { run: run.clone(), source })?;
            }
            let is_there = again.state().step == step;
            located.repeats = is_there.then(|| again.state().hash() == self.trainer.state().hash());
        }
        let next = self.reader.checkpoints()?.into_iter().find(|&s| s >= step);
        if let Some(at) = next {
            while self.step() < at {
                if quiet.watch.should_stop() {
                    return Ok(located);
                }
                let made = self.trainer.update();
                made.map_err(|source| LabError::Train { run: run.clone(), source })?;
            }
            let saved = self.reader.checkpoint(at)?;
            located.tensors =
                Some((at, differing_tensors(self.trainer.state(), self.trainer.layout(), &saved)));
        }
        Ok(located)
    }
}
