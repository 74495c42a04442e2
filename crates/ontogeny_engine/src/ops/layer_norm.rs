//! Layer normalisation over columns.

use crate::Var;

impl Var<2> {
    /// `(x - mean) / sqrt(var + eps) * gain + bias` row by row, for `x [n, d]`, `gain [d]`, `bias [d]`;
    /// `var` is the biased variance. Source: Ba et al. 2016, arXiv:1607.06450.
    ///
    /// # Panics
    /// If the widths differ.
    #[must_use]
    pub fn layer_norm(&self, gain: &Var<1>, bias: Option<&Var<1>>, eps: f64) -> Self {
        let [_, d] = self.dims();
        assert_eq!(gain.dims(), [d], "layer_norm: one gain per column");
        let x = self.tensor.clone();
        let centred = x.clone() - x.mean_dim(1);
        let var = (centred.clone() * centred.clone()).mean_dim(1);
        let y = centred / (var.add_scalar(eps)).sqrt() * gain.tensor.clone().reshape([1, d]);
        let Some(bias) = bias else { return Self::of(y) };
        assert_eq!(bias.dims(), [d], "layer_norm: one bias per column");
        Self::of(y + bias.tensor.clone().reshape([1, d]))
    }
}
