//! Two-dimensional convolution.

use burn::tensor::{module, ops::ConvOptions};

use crate::Var;

impl Var<4> {
    /// Cross-correlation of `x [n, c_in, h, w]` with `weight [c_out, c_in, kh, kw]` plus `bias [c_out]`,
    /// zero-padded by `padding` on each side: `[n, c_out, (h + 2p - kh) / stride + 1, ...]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[must_use]
    pub fn conv2d(
        &self,
        weight: &Self,
        bias: Option<&Var<1>>,
        stride: usize,
        padding: usize,
    ) -> Self {
        assert_eq!(self.dims()[1], weight.dims()[1], "conv2d: channels of x and weight");
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        let bias = bias.map(|b| b.tensor.clone());
        Self::of(module::conv2d(self.tensor.clone(), weight.tensor.clone(), bias, options))
    }

    /// `max(conv2d(x), 0)` in one pass over memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[must_use]
    pub fn conv2d_relu(
        &self,
        weight: &Self,
        bias: Option<&Var<1>>,
        stride: usize,
        padding: usize,
    ) -> Self {
        self.conv2d(weight, bias, stride, padding).relu()
    }
}
