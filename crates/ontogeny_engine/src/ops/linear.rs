//! Affine maps, always on matrices.
//!
//! Callers flatten (example, position) into rows first. Bias and ReLU are applied in one pass over the
//! product while it is still in cache, and backwards the mask and the bias gradient are one pass too.

use std::rc::Rc;

use multiversion::multiversion;

use super::narrow;
use crate::{
    Var,
    host::{Buffer, Mat, Real, Slot, gemm, simd::column_sums},
    var::dispatch,
};

impl Var<2> {
    /// `x w + b` for `x [n, d_in]`, `w [d_in, d_out]`, `b [d_out]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[must_use]
    pub fn linear(&self, w: &Self, b: Option<&Var<1>>) -> Self {
        self.affine(w, b, false)
    }

    /// `max(x w + b, 0)`: [`linear`](Self::linear) and [`relu`](Var::relu) in one pass over memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[must_use]
    pub fn linear_relu(&self, w: &Self, b: Option<&Var<1>>) -> Self {
        self.affine(w, b, true)
    }

    /// `x yᵀ` for `x [n, d]`, `y [m, d]`: tied unembeddings.
    ///
    /// # Panics
    /// If the widths differ.
    #[must_use]
    pub fn matmul_transposed(&self, y: &Self) -> Self {
        let ([n, d], [m, d_y]) = (self.dims, y.dims);
        assert_eq!(d, d_y, "matmul_transposed: rows of one width");
        dispatch!(self,
            x => Self::host(matmul_transposed(x, y.like(x), [n, d, m]), [n, m]),
            x => Self::of(x.clone().matmul(y.tensor().transpose())))
    }

    fn affine(&self, w: &Self, b: Option<&Var<1>>, with_relu: bool) -> Self {
        let ([n, d], [d_in, d_out]) = (self.dims, w.dims);
        assert_eq!(d, d_in, "linear: x has {d} columns, w has {d_in} rows");
        assert!(b.is_none_or(|b| b.dims == [d_out]), "linear: one bias per column of w");
        dispatch!(self,
        x => {
            let b = b.map(|b| b.like(x));
            Self::host(affine(x, w.like(x), b, [n, d, d_out], with_relu), [n, d_out])
        },
        x => {
            let mut y = x.clone().matmul(w.tensor());
            if let Some(b) = b {
                y = y + b.tensor().reshape([1, d_out]);
            }
            let y = Self::of(y);
            if with_relu { y.relu() } else { y }
        })
    }
}

fn affine<S: Real>(
    x: &Rc<Slot<S>>,
    w: &Rc<Slot<S>>,
    b: Option<&Rc<Slot<S>>>,
    [n, d_in, d_out]: [usize; 3],
    with_relu: bool,
) -> Rc<Slot<S>> {
    let mut y = Buffer::stale(n * d_out);
    let (xm, wm) = (Mat::new(x.value(), d_in), Mat::new(w.value(), d_out));
    if d_out <= narrow::WIDEST {
        narrow::product(x.value(), w.value(), &mut y, d_out);
    } else {
        gemm([n, d_out, d_in], xm, wm, &mut y, d_out, false);
    }
    match (b, with_relu) {
        (Some(b), false) => add_bias(&mut y, b.value()),
        (Some(b), true) => add_bias_relu(&mut y, b.value()),
        (None, false) => {}
        (None, true) => super::activation::clip(&mut y),
    }
    // A missing bias is an untracked empty slot, so that one backward rule serves both.
    let b = b.map_or_else(|| Slot::constant(Buffer::stale(0)), Rc::clone);
    Slot::result(y, [x, w, &b], move |[x, w, b], y, mut dy| {
        match (with_relu, b.is_tracked()) {
            (true, true) => {
                b.contribute(|db, is_sum| mask_and_sum(&mut dy, y.value(), db, is_sum));
            }
            (true, false) => super::activation::mask(&mut dy, y.value()),
            (false, _) => b.contribute(|db, is_sum| column_sums(db, &dy, is_sum)),
        }
        if d_out <= narrow::WIDEST {
            w.contribute(|dw, is_sum| narrow::to_weights(x.value(), &dy, dw, d_out, is_sum));
            x.contribute(|dx, is_sum| narrow::to_inputs(&dy, w.value(), dx, d_out, is_sum));
            return;
        }
        let (xm, wm) = (Mat::new(x.value(), d_in), Mat::new(w.value(), d_out));
        let dym = Mat::new(&dy, d_out);
        w.contribute(|dw, is_sum| gemm([d_in, d_out, n], xm.t(), dym, dw, d_out, is_sum));
        x.contribute(|dx, is_sum| gemm([n, d_in, d_out], dym, wm.t(), dx, d_in, is_sum));
    })
}

fn matmul_transposed<S: Real>(
    x: &Rc<Slot<S>>,
    y: &Rc<Slot<S>>,
    [n, d, m]: [usize; 3],
) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(n * m);
    gemm([n, m, d], Mat::new(x.value(), d), Mat::new(y.value(), d).t(), &mut out, m, false);
    Slot::result(out, [x, y], move |[x, y], _, dout| {
        let (xm, ym, dm) = (Mat::new(x.value(), d), Mat::new(y.value(), d), Mat::new(&dout, m));
        x.contribute(|dx, is_sum| gemm([n, d, m], dm, ym, dx, d, is_sum));
        y.contribute(|dy, is_sum| gemm([m, d, n], dm.t(), xm, dy, d, is_sum));
    })
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_bias<S: Real>(y: &mut [S], b: &[S]) {
    for row in y.chunks_exact_mut(b.len()) {
        for (y, b) in row.iter_mut().zip(b) {
            *y += *b;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_bias_relu<S: Real>(y: &mut [S], b: &[S]) {
    for row in y.chunks_exact_mut(b.len()) {
        for (y, b) in row.iter_mut().zip(b) {
            let sum = *y + *b;
            *y = if sum <= S::ZERO { S::ZERO } else { sum };
        }
    }
}

/// Masks `dy` where `y` is not positive and adds its columns up, in one pass.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn mask_and_sum<S: Real>(dy: &mut [S], y: &[S], db: &mut [S], is_sum: bool) {
    if !is_sum {
        db.fill(S::ZERO);
    }
    let width = db.len();
    for (dy, y) in dy.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
        for ((dy, y), db) in dy.iter_mut().zip(y).zip(db.iter_mut()) {
            let d = if *y > S::ZERO { *dy } else { S::ZERO };
            *dy = d;
            *db += d;
        }
    }
}
