//! Tensors, gradients, optimizers, addressed randomness; the only crate that names the tensor library.

mod batch;
#[cfg(feature = "composite")]
mod composite;
mod curvature;
mod engine;
mod gradient;
mod host;
mod lane;
mod layout;
mod network;
pub mod ops;
pub mod optim;
mod outputs;
mod stash;
mod table;
mod taps;
mod var;
mod workers;

pub use batch::{Batch, Chunk, Inputs, InputsView};
pub use engine::{Engine, EngineError};
pub use gradient::{Gradient, LanePlan, Objective};
pub use lane::Lane;
pub use layout::{Init, Layout, ParamSpec};
pub use network::Network;
pub use outputs::Outputs;
pub use table::Table;
pub use taps::Taps;
pub use var::Var;
