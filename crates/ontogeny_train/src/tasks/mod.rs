//! Tasks: generators of data addressed by (seed, step).
//!
//! To add one: a file here, its `mod` line, and its row in [`TaskConfig`].

pub mod glyphs;
mod idx;
mod images;
pub mod mnist;
pub mod modular;
pub mod personas;
pub mod sparse_parity;
pub mod teacher_mixture;
mod threat;
pub mod two_block;

pub use idx::DataError;
pub use images::ClassDistances;
pub use threat::Threat;

use crate::TrainError;
use glyphs::GlyphsConfig;
use mnist::MnistConfig;
use modular::ModularConfig;
use ontogeny_engine::{Batch, Outputs};
use personas::PersonasConfig;
use serde::{Deserialize, Serialize};
use sparse_parity::SparseParityConfig;
use std::sync::Arc;
use teacher_mixture::TeacherMixtureConfig;
use two_block::TwoBlockConfig;

/// Which task, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TaskConfig {
    /// Arithmetic modulo a prime.
    Modular(ModularConfig),
    /// Many parities of few bits each, met at different rates.
    SparseParity(SparseParityConfig),
    /// Two clusters, each labelled by a teacher of its own.
    TeacherMixture(TeacherMixtureConfig),
    /// A core that is hard to read beside a shortcut that is easy.
    TwoBlock(TwoBlockConfig),
    /// Answers whose badness has a hidden common cause.
    Personas(PersonasConfig),
    /// Drawn images of ten figures.
    Glyphs(GlyphsConfig),
    /// MNIST, or whatever comes in the same files.
    Mnist(MnistConfig),
}

/// What a network must read and say to do a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskShape {
    /// What goes in.
    pub input: InputShape,
    /// Number of classes.
    pub n_classes: usize,
    /// Whether the answer is read at every position, or at the last one only.
    pub every_position: bool,
}

/// Shape of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputShape {
    /// Token ids below `d_vocab`, `n_ctx` of them.
    Tokens {
        /// Number of different tokens.
        d_vocab: usize,
        /// Tokens per example.
        n_ctx: usize,
    },
    /// A vector of numbers.
    Features {
        /// Its length.
        width: usize,
    },
    /// An image.
    Image {
        /// `[channels, height, width]`.
        shape: [usize; 3],
    },
}

/// A set of examples that is not trained on, split into named groups.
#[derive(Debug, Clone)]
pub struct EvalSet {
    /// Its name.
    pub name: &'static str,
    /// The examples.
    pub batch: Arc<Batch>,
    /// Named groups, each a list of example indices.
    pub groups: Vec<(String, Vec<u32>)>,
}

/// An evaluation set that contains the batch of every update: only the rest must be computed for it.
#[derive(Debug, Clone)]
pub struct Contained {
    /// Where in the set the examples of the batch are, in the order of the batch.
    pub batch: Vec<u32>,
    /// Where the others are.
    pub rest: Vec<u32>,
    /// The others.
    pub rest_batch: Arc<Batch>,
}

/// What the examples of an update may depend on besides seed and step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The weights of the groups, as the state has them; empty before the first change.
    pub group_weights: &'a [f64],
    /// What the network says of the [pool](Task::pool) of this step.
    pub pool: Option<&'a Outputs>,
}

/// A generator of data.
pub trait Task: Send + Sync + std::fmt::Debug {
    /// The batch of the update that takes the run from `step` to `step + 1`.
    fn batch(&self, step: u64) -> Arc<Batch>;

    /// The evaluation sets; the same at every step.
    fn eval_sets(&self) -> &[EvalSet];

    /// Names of intermediate activations that the probes of this task read.
    fn taps(&self) -> &'static [&'static str] {
        &[]
    }

    /// The rate at which each group of the first evaluation set is met in training, where that is known: the
    /// expected loss of a batch is then known exactly.
    fn group_rates(&self) -> Option<&[f64]> {
        None
    }

    /// How the first evaluation set contains the batch, where every update has the same one.
    fn contained(&self) -> Option<&Contained> {
        None
    }

    /// The batch of the update at `step` where it depends on more than the step.
    fn batch_given(&self, step: u64, _given: Given<'_>) -> Arc<Batch> {
        self.batch(step)
    }

    /// Examples that the network is asked about before the batch of `step` is chosen among them.
    fn pool(&self, _step: u64) -> Option<Arc<Batch>> {
        None
    }

    /// Whether the weights of the groups change with the update at `step`.
    fn adapts(&self, _step: u64) -> bool {
        false
    }

    /// The weights of the groups after the update at `step`, from those before it and from what the network said of
    /// the batch that they gave.
    fn adapted(&self, _step: u64, weights: &[f64], _seen: &Outputs) -> Vec<f64> {
        weights.to_vec()
    }

    /// Whether the update at `step` moves the last layer alone.
    fn trains_last_layer_only(&self, _step: u64) -> bool {
        false
    }

    /// Named batches whose gradients probes compare.
    fn gradient_batches(&self) -> &[(&'static str, Arc<Batch>)] {
        &[]
    }

    /// How far an adversary may go, where the task has images.
    fn threat(&self) -> Option<Threat> {
        None
    }

    /// The modular-arithmetic structure, where there is one.
    fn modular(&self) -> Option<&modular::ModularTask> {
        None
    }
}

impl TaskConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`TrainError`] naming key, value, range and reason.
    pub fn check(&self) -> Result<(), TrainError> {
        match self {
            Self::Modular(c) => c.check(),
            Self::SparseParity(c) => c.check(),
            Self::TeacherMixture(c) => c.check(),
            Self::TwoBlock(c) => c.check(),
            Self::Personas(c) => c.check(),
            Self::Glyphs(c) => c.check(),
            Self::Mnist(c) => c.check(),
        }
    }

    /// What a network for it must look like.
    pub fn shape(&self) -> TaskShape {
        match self {
            Self::Modular(c) => c.shape(),
            Self::SparseParity(c) => c.shape(),
            Self::TeacherMixture(c) => c.shape(),
            Self::TwoBlock(c) => c.shape(),
            Self::Personas(c) => c.shape(),
            Self::Glyphs(c) => c.shape(),
            Self::Mnist(_) => MnistConfig::shape(),
        }
    }

    /// Makes the generator.
    ///
    /// # Errors
    /// [`TrainError::Data`] if the task reads files and they are not what they should be.
    pub fn build(&self, data_seed: u64) -> Result<Box<dyn Task>, TrainError> {
        Ok(match self {
            Self::Modular(c) => Box::new(c.build(data_seed)),
            Self::SparseParity(c) => Box::new(c.build(data_seed)),
            Self::TeacherMixture(c) => Box::new(c.build(data_seed)),
            Self::TwoBlock(c) => Box::new(c.build(data_seed)),
            Self::Personas(c) => Box::new(c.build(data_seed)),
            Self::Glyphs(c) => Box::new(c.build(data_seed)),
            Self::Mnist(c) => Box::new(c.build(data_seed)?),
        })
    }
}
