//! Affine maps, always on matrices.
//!
//! A three-dimensional input would make the weight gradient a batch of outer products (20 times slower
//! through the tensor library's own `linear`), so callers flatten (example, position) into rows first.

use burn::tensor::activation;

use crate::Var;

impl Var<2> {
    /// `x w + b` for `x [n, d_in]`, `w [d_in, d_out]`, `b [d_out]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[must_use]
    pub fn linear(&self, w: &Self, b: Option<&Var<1>>) -> Self {
        let ([_, d], [d_in, d_out]) = (self.dims(), w.dims());
        assert_eq!(d, d_in, "linear: x has {d} columns, w has {d_in} rows");
        let y = self.tensor.clone().matmul(w.tensor.clone());
        let Some(b) = b else { return Self::of(y) };
        assert_eq!(b.dims(), [d_out], "linear: one bias per column of w");
        Self::of(y + b.tensor.clone().reshape([1, d_out]))
    }

    /// `max(x w + b, 0)`: [`linear`](Self::linear) and [`relu`](Var::relu) in one pass over memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[must_use]
    pub fn linear_relu(&self, w: &Self, b: Option<&Var<1>>) -> Self {
        Self::of(activation::relu(self.linear(w, b).tensor))
    }

    /// `x yᵀ` for `x [n, d]`, `y [m, d]`: tied unembeddings.
    ///
    /// # Panics
    /// If the widths differ.
    #[must_use]
    pub fn matmul_transposed(&self, y: &Self) -> Self {
        assert_eq!(self.dims()[1], y.dims()[1], "matmul_transposed: rows of one width");
        Self::of(self.tensor.clone().matmul(y.tensor.clone().transpose()))
    }
}
