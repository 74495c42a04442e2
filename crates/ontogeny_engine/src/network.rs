//! What the engine can train.

use std::sync::Arc;

use crate::{Chunk, Lane, Layout, Stage, Taps, Var};

/// A function from parameters and inputs to logits.
pub trait Network: Send + Sync + std::fmt::Debug {
    /// The parameters.
    fn layout(&self) -> &Arc<Layout>;

    /// The logits of a chunk, `[n_readouts, n_classes]`, rows in the order of the batch's targets.
    ///
    /// Parameters come from [`Lane::param`], inputs from [`Lane::features`], [`Lane::images`] or
    /// [`Chunk::tokens`]. Rows must not depend on other examples of the chunk: the engine cuts batches where
    /// it likes.
    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2>;

    /// The same function as a chain of affine maps and ReLUs that reads the chunk's numbers and ends with
    /// [`Stage::Dense`], if it is one. Bounds of outputs over boxes of inputs are computed from it.
    fn stages(&self) -> Option<Vec<Stage>> {
        None
    }
}
