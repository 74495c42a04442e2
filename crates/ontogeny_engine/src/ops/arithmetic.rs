//! Elementwise arithmetic and full sums.

use crate::Var;

impl<const D: usize> Var<D> {
    /// `x + y`, of equal shapes.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        assert_eq!(self.dims(), other.dims(), "add takes two tensors of one shape");
        Self::of(self.tensor.clone() + other.tensor.clone())
    }

    /// `x - y`, of equal shapes.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.mul_scalar(-1.0))
    }

    /// `x * y` element by element, of equal shapes.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        assert_eq!(self.dims(), other.dims(), "mul takes two tensors of one shape");
        Self::of(self.tensor.clone() * other.tensor.clone())
    }

    /// `factor * x`.
    #[must_use]
    pub fn mul_scalar(&self, factor: f64) -> Self {
        Self::of(self.tensor.clone().mul_scalar(factor))
    }

    /// The sum of all elements, as one element.
    #[must_use]
    pub fn sum(&self) -> Var<1> {
        Var::of(self.tensor.clone().sum())
    }

    /// The mean of all elements, as one element.
    #[must_use]
    pub fn mean(&self) -> Var<1> {
        let n: usize = self.dims().iter().product();
        self.sum().mul_scalar(1.0 / n as f64)
    }
}

impl Var<2> {
    /// Adds `pattern [t, d]` to every consecutive block of `t` rows of `x [n * t, d]`: position embeddings,
    /// or with `t = 1` a bias.
    ///
    /// # Panics
    /// If the widths differ or the rows are no multiple of `t`.
    #[must_use]
    pub fn add_tiled(&self, pattern: &Self) -> Self {
        let ([rows, d], [t, d_pattern]) = (self.dims(), pattern.dims());
        assert!(d == d_pattern && rows % t == 0, "tile [{t}, {d_pattern}] over [{rows}, {d}]");
        let x = self.tensor.clone().reshape([rows / t, t, d]);
        let sum = x + pattern.tensor.clone().reshape([1, t, d]);
        Self::of(sum.reshape([rows, d]))
    }
}
