//! Measures a network at a step.
//!
//! A probe reads an [`Observation`] (host arrays that the trainer copied out at one step) and writes
//! [`Readings`]. It cannot reach the run, so a run with every probe on has the same weights, bit for bit, as
//! the run with none. The probes are listed by [`probes()`]; a [`ProbeSet`] is a choice of them, made by name,
//! with the state that some keep between readings.
//!
//! Everything here is deterministic: sums are taken in a fixed order with a fixed number of lanes, so a
//! reading has the same bits on every machine that has a fused multiply-add, and on any number of threads.

pub mod certificate;
mod compared;
mod error;
mod excluded;
mod fourier;
mod lanes;
mod loss_history;
mod marked;
mod matmul;
mod neurons;
mod observation;
mod probe;
mod probe_set;
pub mod probes;
mod readings;
mod ridge;
mod scores;
mod shared;
mod singular;
mod spectrum;
mod trig_logits;

pub use error::ProbeError;
pub use fourier::{FourierBasis, gini, top_power_share};
pub use loss_history::{EARLY_STEPS, SpectralFeature, spectral_feature};
pub use neurons::NeuronBlocks;
pub use observation::{
    Chain, EvalSet, Group, Matrix, ModularGrid, Neighbourhood, Observation, ParamView, Tap,
};
pub use probe::{Output, Probe, ProbeEntry, ProbeSpec};
pub use probe_set::ProbeSet;
pub use probes::{
    probe, probes,
    slingshots::{Slingshot, find_slingshots},
};
pub use readings::{Reading, Readings, Reason, VectorReading};
pub use scores::{MeanScore, Scores};
pub use singular::{effective_rank, singular_values};
pub use spectrum::{embedding_norms, output_norms};
