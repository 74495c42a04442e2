//! Other views of the same numbers, and choices of rows and columns.

use std::{ops::Range, rc::Rc};

use crate::{
    Var,
    host::{Buffer, Real, Slot, simd},
    var::{Repr, dispatch},
};

impl<const D: usize> Var<D> {
    /// The same elements, row-major, under another shape. Nothing is copied.
    ///
    /// # Panics
    /// If the number of elements differs.
    #[must_use]
    pub fn reshape<const E: usize>(&self, dims: [usize; E]) -> Var<E> {
        let n: usize = self.dims.iter().product();
        assert_eq!(n, dims.iter().product::<usize>(), "reshape keeps the number of elements");
        let repr = match &self.repr {
            Repr::F32(x) => Repr::F32(x.clone()),
            Repr::F64(x) => Repr::F64(x.clone()),
            #[cfg(feature = "composite")]
            Repr::Burn(x) => Repr::Burn(x.clone().reshape(dims)),
        };
        Var { repr, dims }
    }
}

impl Var<2> {
    /// Rows `range` of `x [n, d]`.
    ///
    /// # Panics
    /// If the range leaves the tensor.
    #[must_use]
    pub fn slice_rows(&self, range: Range<usize>) -> Self {
        let [n, d] = self.dims;
        assert!(range.start <= range.end && range.end <= n, "rows {range:?} of {n}");
        let block = Block { start: range.start * d, len: range.len() * d, every: n * d };
        dispatch!(self,
            x => Self::host(blocks(x, block), [range.len(), d]),
            x => Self::of(x.clone().slice([range, 0..d])))
    }

    /// Columns `range` of `x [n, d]`.
    ///
    /// # Panics
    /// If the range leaves the tensor.
    #[must_use]
    pub fn slice_cols(&self, range: Range<usize>) -> Self {
        let [n, d] = self.dims;
        assert!(range.start <= range.end && range.end <= d, "columns {range:?} of {d}");
        let block = Block { start: range.start, len: range.len(), every: d };
        dispatch!(self,
            x => Self::host(blocks(x, block), [n, range.len()]),
            x => Self::of(x.clone().slice([0..n, range])))
    }

    /// Row `position` of every consecutive block of `n_ctx` rows: `[n * n_ctx, d]` to `[n, d]`.
    ///
    /// # Panics
    /// If the rows are no multiple of `n_ctx` or the position lies outside.
    #[must_use]
    pub fn at_position(&self, position: usize, n_ctx: usize) -> Self {
        let [rows, d] = self.dims;
        assert!(
            position < n_ctx && rows % n_ctx == 0,
            "position {position} of {n_ctx} in {rows} rows"
        );
        let n = rows / n_ctx;
        let block = Block { start: position * d, len: d, every: n_ctx * d };
        dispatch!(self,
        x => Self::host(blocks(x, block), [n, d]),
        x => {
            let x = x.clone().reshape([n, n_ctx, d]);
            Self::of(x.slice([0..n, position..position + 1, 0..d]).reshape([n, d]))
        })
    }
}

/// Elements `start..start + len` out of every consecutive `every`.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    len: usize,
    every: usize,
}

fn blocks<S: Real>(x: &Rc<Slot<S>>, block: Block) -> Rc<Slot<S>> {
    let Block { start, len, every } = block;
    let mut out = Buffer::stale(x.len().checked_div(every).unwrap_or(0) * len);
    if len > 0 {
        for (out, x) in out.chunks_exact_mut(len).zip(x.value().chunks_exact(every)) {
            out.copy_from_slice(&x[start..start + len]);
        }
    }
    Slot::result(out, [x], move |[x], _, dy| {
        x.contribute(|dx, is_sum| {
            if !is_sum {
                dx.fill(S::ZERO);
            }
            if len > 0 {
                for (dx, dy) in dx.chunks_exact_mut(every).zip(dy.chunks_exact(len)) {
                    simd::add(&mut dx[start..start + len], dy);
                }
            }
        });
    })
}
