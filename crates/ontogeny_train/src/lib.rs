//! Trains networks deterministically, one optimizer update at a time, from any state.
//!
//! A [`RunConfig`] says everything there is to say about a run. A [`Trainer`] made from it is a pure function
//! of (configuration, seeds, state): the same three give the same bits at the next step, whether the run
//! never stopped, was resumed, or is a fork ([`Trainer::from_state`]). Nothing is drawn from a generator
//! that has a position; batches are addressed by (seed, step).

mod attack;
mod config;
mod error;
mod gradients;
pub mod models;
mod objective;
mod overrides;
mod state;
mod surroundings;
pub mod tasks;
mod trainer;

pub use config::{Grokfast, OptimizerConfig, OptimizerName, RecordPlan, RunConfig};
pub use error::TrainError;
pub use objective::{CertifiedConfig, Initialization, Method, ObjectiveConfig, Regularizer};
pub use overrides::{apply_set, parse_set};
pub use state::{StateTensor, TrainState};
pub use trainer::{Trainer, Update};
