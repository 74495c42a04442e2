//! Examples as plain host data.
//!
//! A batch holds no tensors. The engine cuts it into chunks and makes what a chunk needs inside the lane
//! that computes it, so no tracked tensor can ever be shared between two lanes.

use std::ops::Range;

/// What goes into a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Token ids, `[n_examples, n_ctx]`.
    Tokens {
        /// Row-major ids.
        ids: Vec<u32>,
        /// Positions per example.
        n_ctx: usize,
    },
    /// Feature vectors, `[n_examples, width]`.
    Features {
        /// Row-major values.
        values: Vec<f32>,
        /// Features per example.
        width: usize,
    },
    /// Images, `[n_examples, channels, height, width]`.
    Images {
        /// Row-major values.
        values: Vec<f32>,
        /// Channels.
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
    },
}

impl Inputs {
    /// Borrows the inputs.
    pub fn view(&self) -> InputsView<'_> {
        match self {
            Self::Tokens { ids, n_ctx } => InputsView::Tokens { ids, n_ctx: *n_ctx },
            Self::Features { values, width } => InputsView::Features { values, width: *width },
            Self::Images { values, channels, height, width } => {
                InputsView::Images { values, shape: [*channels, *height, *width] }
            }
        }
    }
}

/// Borrowed [`Inputs`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InputsView<'a> {
    /// Token ids, `[n_examples, n_ctx]`.
    Tokens {
        /// Row-major ids.
        ids: &'a [u32],
        /// Positions per example.
        n_ctx: usize,
    },
    /// Feature vectors, `[n_examples, width]`.
    Features {
        /// Row-major values.
        values: &'a [f32],
        /// Features per example.
        width: usize,
    },
    /// Images, `[n_examples, channels, height, width]`.
    Images {
        /// Row-major values.
        values: &'a [f32],
        /// `[channels, height, width]`.
        shape: [usize; 3],
    },
}

impl InputsView<'_> {
    /// Scalars per example.
    pub fn per_example(self) -> usize {
        match self {
            Self::Tokens { n_ctx, .. } => n_ctx,
            Self::Features { width, .. } => width,
            Self::Images { shape, .. } => shape.iter().product(),
        }
    }

    /// Number of scalars over all examples.
    pub fn len(self) -> usize {
        match self {
            Self::Tokens { ids, .. } => ids.len(),
            Self::Features { values, .. } | Self::Images { values, .. } => values.len(),
        }
    }

    /// True without examples.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The examples in `range`.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        let per = self.per_example();
        let cut = range.start * per..range.end * per;
        match self {
            Self::Tokens { ids, n_ctx } => Self::Tokens { ids: &ids[cut], n_ctx },
            Self::Features { values, width } => Self::Features { values: &values[cut], width },
            Self::Images { values, shape } => Self::Images { values: &values[cut], shape },
        }
    }
}

/// The target of a readout that counts for nothing, where networks read every position but only some have an answer.
pub const UNREAD: u32 = u32::MAX;

/// Examples with their answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// What goes in.
    pub inputs: Inputs,
    /// One class per readout: `n_examples` of them, or `n_examples * n_ctx` when every position is read,
    /// example after example; [`UNREAD`] where nothing is asked. May be empty where only outputs are wanted.
    pub targets: Vec<u32>,
}

impl Batch {
    /// Number of examples.
    pub fn n_examples(&self) -> usize {
        let view = self.inputs.view();
        view.len().checked_div(view.per_example()).unwrap_or(0)
    }

    /// Classes to be read per example: 1, or `n_ctx` when every position is read, or 0 without targets.
    pub fn readouts_per_example(&self) -> usize {
        self.targets.len().checked_div(self.n_examples()).unwrap_or(0)
    }

    /// Readouts whose target is not [`UNREAD`].
    pub fn n_read(&self) -> usize {
        self.targets.iter().filter(|t| **t != UNREAD).count()
    }

    /// Borrows the examples in `range`.
    pub fn slice(&self, range: Range<usize>) -> Chunk<'_> {
        let per = self.readouts_per_example();
        Chunk {
            inputs: self.inputs.view().slice(range.clone()),
            targets: &self.targets[range.start * per..range.end * per],
            range,
        }
    }
}

/// Consecutive examples of a batch: what one forward pass sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk<'a> {
    /// What goes in.
    pub inputs: InputsView<'a>,
    /// One class per readout.
    pub targets: &'a [u32],
    /// Where these examples stand in their batch.
    pub range: Range<usize>,
}

impl<'a> Chunk<'a> {
    /// Number of examples.
    pub fn n_examples(&self) -> usize {
        self.range.len()
    }

    /// Token ids `[n_examples, n_ctx]` and `n_ctx`.
    ///
    /// # Panics
    /// If the batch holds something else: the network and the data do not belong together.
    pub fn tokens(&self) -> (&'a [u32], usize) {
        match self.inputs {
            InputsView::Tokens { ids, n_ctx } => (ids, n_ctx),
            _ => panic!("this network reads tokens, but the batch holds features or images"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_cuts_inputs_and_targets_at_the_same_examples() {
        let batch = Batch {
            inputs: Inputs::Tokens { ids: (0..12).collect(), n_ctx: 3 },
            targets: (0..12).collect(),
        };
        assert_eq!((batch.n_examples(), batch.readouts_per_example()), (4, 3));
        let chunk = batch.slice(1..3);
        assert_eq!(chunk.tokens(), (&[3, 4, 5, 6, 7, 8][..], 3));
        assert_eq!(chunk.targets, [3, 4, 5, 6, 7, 8]);
        let unlabelled = Batch { targets: vec![], ..batch };
        assert_eq!(unlabelled.slice(0..4).targets, [0u32; 0]);
    }
}
