//! Networks from a configuration.
//!
//! To add one: a file here, its `mod` line, and its row in [`ModelConfig`].

mod conv;
mod linear;
mod mlp;
mod transformer;

pub use conv::ConvConfig;
pub use linear::LinearConfig;
pub use mlp::MlpConfig;
pub use transformer::{Norm, Positions, TransformerConfig};

use crate::TrainError;
use crate::tasks::TaskShape;
use ontogeny_engine::{Init, Network, ParamSpec, Var};
use serde::{Deserialize, Serialize};

/// Which network, with its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ModelConfig {
    /// One matrix.
    Linear(LinearConfig),
    /// Fully connected layers.
    Mlp(MlpConfig),
    /// A decoder transformer.
    Transformer(TransformerConfig),
    /// A small convolutional network.
    Conv(ConvConfig),
}

/// The nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// x Φ(x), with the exact error function
    Gelu,
    /// tanh(x)
    Tanh,
}

impl Activation {
    /// The nonlinearity of an affine map.
    fn of_linear(self, x: &Var<2>, w: &Var<2>, b: Option<&Var<1>>) -> Var<2> {
        match self {
            Self::Relu => x.linear_relu(w, b),
            Self::Gelu => x.linear(w, b).gelu(),
            Self::Tanh => x.linear(w, b).tanh(),
        }
    }
}

fn normal(name: impl Into<String>, shape: &[usize], variance: f64) -> ParamSpec {
    ParamSpec::new(name, shape, Init::Normal { std: variance.sqrt() as f32 })
}

fn zeros(name: impl Into<String>, n: usize) -> ParamSpec {
    ParamSpec::new(name, &[n], Init::Zeros)
}

impl ModelConfig {
    /// Checks the sizes, and that the network can read the task.
    ///
    /// # Errors
    /// [`TrainError`] naming what does not fit.
    pub fn check(&self, shape: &TaskShape) -> Result<(), TrainError> {
        match self {
            Self::Linear(_) => LinearConfig::check(shape),
            Self::Mlp(c) => c.check(shape),
            Self::Transformer(c) => c.check(shape),
            Self::Conv(c) => c.check(shape),
        }
    }

    /// Makes the network.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn build(&self, shape: &TaskShape) -> Result<Box<dyn Network>, TrainError> {
        self.check(shape)?;
        Ok(match self {
            Self::Linear(_) => Box::new(LinearConfig::build(shape)),
            Self::Mlp(c) => Box::new(c.build(shape)),
            Self::Transformer(c) => Box::new(c.build(shape)),
            Self::Conv(c) => Box::new(c.build(shape)),
        })
    }

    /// Its kind, as a configuration calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Mlp(_) => "mlp",
            Self::Transformer(_) => "transformer",
            Self::Conv(_) => "conv",
        }
    }

    /// Floating-point operations of forward and backward for one example: six per weight of a matrix and
    /// row that it multiplies (Kaplan et al. 2020), embeddings not counted.
    pub fn flop_per_example(&self, shape: &TaskShape) -> f64 {
        6.0 * match self {
            Self::Linear(_) => LinearConfig::multiplications(shape),
            Self::Mlp(c) => c.multiplications(shape),
            Self::Transformer(c) => c.multiplications(shape),
            Self::Conv(c) => c.multiplications(shape),
        }
    }
}

fn mismatch(model: &str, task: &TaskShape, why: &str) -> TrainError {
    TrainError::Mismatch {
        first: format!("model {model}"),
        second: format!("a task with inputs {:?}", task.input),
        why: why.to_owned(),
    }
}
