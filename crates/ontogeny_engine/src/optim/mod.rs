//! Optimizers over flat slices.
//!
//! State is plain vectors, so a checkpoint stores it and a fork continues from it; hyper-parameters are
//! handed in at every step, so a schedule can drive any of them. Formulas and the order of operations are
//! PyTorch's. Every scalar is updated independently of all others: the result has the same bits for any
//! number of threads and any split.

mod grokfast;
mod kernels;
mod kind;

pub use grokfast::Grokfast;
pub use kind::{Hyper, OptimState, OptimizerKind};
