//! Other views of the same numbers, and choices of rows.

use std::ops::Range;

use crate::Var;

impl<const D: usize> Var<D> {
    /// The same elements, row-major, under another shape.
    ///
    /// # Panics
    /// If the number of elements differs.
    #[must_use]
    pub fn reshape<const E: usize>(&self, dims: [usize; E]) -> Var<E> {
        let n: usize = self.dims().iter().product();
        assert_eq!(n, dims.iter().product::<usize>(), "reshape keeps the number of elements");
        Var::of(self.tensor.clone().reshape(dims))
    }
}

impl Var<2> {
    /// Rows `range` of `x [n, d]`.
    ///
    /// # Panics
    /// If the range leaves the tensor.
    #[must_use]
    pub fn slice_rows(&self, range: Range<usize>) -> Self {
        let [n, d] = self.dims();
        assert!(range.end <= n, "rows {range:?} of {n}");
        Self::of(self.tensor.clone().slice([range, 0..d]))
    }

    /// Columns `range` of `x [n, d]`.
    ///
    /// # Panics
    /// If the range leaves the tensor.
    #[must_use]
    pub fn slice_cols(&self, range: Range<usize>) -> Self {
        let [n, d] = self.dims();
        assert!(range.end <= d, "columns {range:?} of {d}");
        Self::of(self.tensor.clone().slice([0..n, range]))
    }

    /// Row `position` of every consecutive block of `n_ctx` rows: `[n * n_ctx, d]` to `[n, d]`.
    ///
    /// # Panics
    /// If the rows are no multiple of `n_ctx` or the position lies outside.
    #[must_use]
    pub fn at_position(&self, position: usize, n_ctx: usize) -> Self {
        let [rows, d] = self.dims();
        assert!(
            position < n_ctx && rows % n_ctx == 0,
            "position {position} of {n_ctx} in {rows} rows"
        );
        let n = rows / n_ctx;
        let x = self.tensor.clone().reshape([n, n_ctx, d]);
        Self::of(x.slice([0..n, position..position + 1, 0..d]).reshape([n, d]))
    }
}
