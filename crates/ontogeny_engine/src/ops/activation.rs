//! Elementwise nonlinearities.

use burn::tensor::activation;

use crate::Var;

impl<const D: usize> Var<D> {
    /// `max(x, 0)`; the gradient at 0 is 0, as in PyTorch.
    #[must_use]
    pub fn relu(&self) -> Self {
        Self::of(activation::relu(self.tensor.clone()))
    }

    /// `x Φ(x)` with the exact normal distribution function, not its tanh approximation.
    #[must_use]
    pub fn gelu(&self) -> Self {
        Self::of(activation::gelu(self.tensor.clone()))
    }

    /// `tanh(x)`.
    #[must_use]
    pub fn tanh(&self) -> Self {
        Self::of(activation::tanh(self.tensor.clone()))
    }
}
