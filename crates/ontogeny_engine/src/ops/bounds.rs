//! Interval bounds through affine maps and ReLU.
//!
//! A tensor that carries bounds has three blocks of `n` rows: the natural values `x`, the centres `c` and the
//! radii `r` of boxes `[c - r, c + r]`. An affine map takes them to `x W + b`, `c W + b` and `r |W|`: the first
//! two blocks are one matrix product. ReLU takes the box `[l, u]` to `[max(l, 0), max(u, 0)]`.
//!
//! Every product's rows are summed in the same order wherever they stand, so natural values are those of
//! [`Var::linear`] up to the rounding of another kernel. Rounding is to nearest: these bounds train networks and
//! are no proofs. Source: Gowal et al. 2018, arXiv:1810.12715.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::Tensor;
use multiversion::multiversion;

use crate::{
    Var,
    host::{Buffer, Mat, Real, Slot, gemm, simd::column_sums},
    var::dispatch,
};

/// How the rows of a tensor that carries bounds are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    /// Rows of each of the three blocks.
    pub(crate) n: usize,
    /// Whether the natural values get a gradient. Without one their rows are passed over backwards.
    pub(crate) natural_is_tracked: bool,
}

impl Blocks {
    /// The first row that gets a gradient.
    pub(super) fn first(self) -> usize {
        if self.natural_is_tracked { 0 } else { self.n }
    }
}

impl Var<2> {
    /// `[x; c; r]` through `x w + b`, and through ReLU if asked; `magnitude` is `|w|`, flat.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn bounded_linear(
        &self,
        w: &Self,
        magnitude: &Var<1>,
        b: Option<&Var<1>>,
        blocks: Blocks,
        with_relu: bool,
    ) -> Self {
        let ([rows, d], [d_in, d_out]) = (self.dims, w.dims);
        assert_eq!(d, d_in, "linear: x has {d} columns, w has {d_in} rows");
        assert_eq!(rows, 3 * blocks.n, "bounds have three blocks of rows");
        assert!(b.is_none_or(|b| b.dims == [d_out]), "linear: one bias per column of w");
        dispatch!(self,
        x => {
            let b = b.map(|b| b.like(x));
            let sizes = [blocks.n, d_in, d_out];
            let y = affine(x, w.like(x), magnitude.like(x), b, sizes, blocks, with_relu);
            Self::host(y, [rows, d_out])
        },
        x => {
            let n = blocks.n;
            let mut mid = x.clone().slice([0..2 * n, 0..d_in]).matmul(w.tensor());
            if let Some(b) = b {
                mid = mid + b.tensor().reshape([1, d_out]);
            }
            let r = x.clone().slice([2 * n..3 * n, 0..d_in]).matmul(w.tensor().abs());
            let y = Self::of(Tensor::cat(vec![mid, r], 0));
            if with_relu { y.bounded_relu(blocks) } else { y }
        })
    }

    /// `[x; c; r]` through ReLU.
    pub(crate) fn bounded_relu(&self, blocks: Blocks) -> Self {
        dispatch!(self,
        x => {
            let mut y = Buffer::copy(x.value());
            relu(&mut y);
            let y = Slot::result(y, [x], move |[x], y, mut dy| {
                relu_backward(&mut dy, y.value(), blocks.natural_is_tracked);
                x.give(dy);
            });
            Self::host(y, self.dims)
        },
        x => {
            let ([_, d], n) = (self.dims, blocks.n);
            let part = |i: usize| x.clone().slice([i * n..(i + 1) * n, 0..d]);
            let relu = burn::tensor::activation::relu::<2>;
            let (l, u) = (relu(part(1) - part(2)), relu(part(1) + part(2)));
            let (c, r) = ((l.clone() + u.clone()).mul_scalar(0.5), (u - l).mul_scalar(0.5));
            Self::of(Tensor::cat(vec![relu(part(0)), c, r], 0))
        })
    }
}

fn affine<S: Real>(
    x: &Rc<Slot<S>>,
    w: &Rc<Slot<S>>,
    magnitude: &Rc<Slot<S>>,
    b: Option<&Rc<Slot<S>>>,
    [n, d_in, d_out]: [usize; 3],
    blocks: Blocks,
    with_relu: bool,
) -> Rc<Slot<S>> {
    let mut y = Buffer::stale(3 * n * d_out);
    let (mid, radii) = y.split_at_mut(2 * n * d_out);
    let (wm, am) = (Mat::new(w.value(), d_out), Mat::new(magnitude.value(), d_out));
    gemm([2 * n, d_out, d_in], Mat::new(x.value(), d_in), wm, mid, d_out, false);
    gemm([n, d_out, d_in], Mat::new(&x.value()[2 * n * d_in..], d_in), am, radii, d_out, false);
    if let Some(b) = b {
        add_bias(mid, b.value());
    }
    if with_relu {
        relu(&mut y);
    }
    let b = b.map_or_else(|| Slot::constant(Buffer::stale(0)), Rc::clone);
    Slot::result(y, [x, w, &b, magnitude], move |[x, w, b, magnitude], y, mut dy| {
        if with_relu {
            relu_backward(&mut dy, y.value(), blocks.natural_is_tracked);
        }
        let first = blocks.first();
        let rows = 2 * n - first;
        let (mid, radii) = dy.split_at(2 * n * d_out);
        let mid = &mid[first * d_out..];
        b.contribute(|db, is_sum| column_sums(db, mid, is_sum));
        let (dm, dr) = (Mat::new(mid, d_out), Mat::new(radii, d_out));
        let (xm, xr) = (
            Mat::new(&x.value()[first * d_in..], d_in),
            Mat::new(&x.value()[2 * n * d_in..], d_in),
        );
        w.contribute(|dw, is_sum| {
            gemm([d_in, d_out, rows], xm.t(), dm, dw, d_out, is_sum);
            let mut signed = Buffer::stale(dw.len());
            gemm([d_in, d_out, n], xr.t(), dr, &mut signed, d_out, false);
            add_signed(dw, w.value(), &signed);
        });
        x.contribute(|dx, is_sum| {
            let (to_mid, to_radii) = dx.split_at_mut(2 * n * d_in);
            let to_mid = &mut to_mid[first * d_in..];
            let (wm, am) = (Mat::new(w.value(), d_out), Mat::new(magnitude.value(), d_out));
            gemm([rows, d_in, d_out], dm, wm.t(), to_mid, d_in, is_sum);
            gemm([n, d_in, d_out], dr, am.t(), to_radii, d_in, is_sum);
        });
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

/// `dw += sign(w) g`, with 0 where `w` is 0: the gradient of `|w|` there is taken as 0.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn add_signed<S: Real>(dw: &mut [S], w: &[S], g: &[S]) {
    for ((dw, w), g) in dw.iter_mut().zip(w).zip(g) {
        let up = if *w > S::ZERO { *g } else { S::ZERO };
        let down = if *w < S::ZERO { *g } else { S::ZERO };
        *dw += up - down;
    }
}

/// ReLU of three blocks in place. NaN stays NaN.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn relu<S: Real>(y: &mut [S]) {
    let (x, bounds) = y.split_at_mut(y.len() / 3);
    for x in x {
        *x = if *x <= S::ZERO { S::ZERO } else { *x };
    }
    let (c, r) = bounds.split_at_mut(bounds.len() / 2);
    let half = S::of(0.5);
    for (c, r) in c.iter_mut().zip(r) {
        let (l, u) = (*c - *r, *c + *r);
        let l = if l <= S::ZERO { S::ZERO } else { l };
        let u = if u <= S::ZERO { S::ZERO } else { u };
        *c = (l + u) * half;
        *r = (u - l) * half;
    }
}

/// The gradient of [`relu`] in place, from its output: where a lower bound was cut off, centre and radius are equal.
/// Without the natural block its rows stay as they are.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn relu_backward<S: Real>(dy: &mut [S], y: &[S], with_natural: bool) {
    let block = y.len() / 3;
    let (dx, dbounds) = dy.split_at_mut(block);
    let (x, bounds) = y.split_at(block);
    if with_natural {
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = if *x > S::ZERO { *dx } else { S::ZERO };
        }
    }
    let ((dc, dr), (c, r)) = (dbounds.split_at_mut(block), bounds.split_at(block));
    let half = S::of(0.5);
    for (((dc, dr), c), r) in dc.iter_mut().zip(dr).zip(c).zip(r) {
        let to_l = if *c > *r { (*dc - *dr) * half } else { S::ZERO };
        let to_u = if *c > S::ZERO { (*dc + *dr) * half } else { S::ZERO };
        *dc = to_u + to_l;
        *dr = to_u - to_l;
    }
}
