//! Two-dimensional convolution.
//!
//! One image at a time: its windows are laid out as columns (small enough for the second-level cache) and
//! the convolution is a matrix product that writes `[c_out, pixels]`, the layout that images have anyway.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{module, ops::ConvOptions};

use super::conv2d_kernels::{Window, channel_bias, channel_sums, columns, from_columns};
use crate::{
    Var,
    host::{Buffer, Mat, Real, Slot, gemm},
    var::dispatch,
};

impl Var<4> {
    /// Cross-correlation of `x [n, c_in, h, w]` with `weight [c_out, c_in, kh, kw]` plus `bias [c_out]`,
    /// zero-padded by `padding` on each side: `[n, c_out, (h + 2 padding - kh) / stride + 1, ...]`.
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
        self.convolve(weight, bias, stride, padding, false)
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
        self.convolve(weight, bias, stride, padding, true)
    }

    fn convolve(
        &self,
        weight: &Self,
        bias: Option<&Var<1>>,
        stride: usize,
        padding: usize,
        with_relu: bool,
    ) -> Self {
        let ([n, c_in, h, w], [c_out, c_w, kh, kw]) = (self.dims, weight.dims);
        assert_eq!(c_in, c_w, "conv2d: channels of x and weight");
        assert!(bias.is_none_or(|b| b.dims == [c_out]), "conv2d: one bias per output channel");
        assert!(
            stride > 0 && kh <= h + 2 * padding && kw <= w + 2 * padding,
            "conv2d: a window of {kh} by {kw} over {h} by {w}"
        );
        let window = Window { c_in, h, w, kh, kw, stride, padding };
        let dims = [n, c_out, window.out_h(), window.out_w()];
        dispatch!(self,
        x => {
            let bias = bias.map(|b| b.like(x));
            Self::host(convolve(x, weight.like(x), bias, window, c_out, with_relu), dims)
        },
        x => {
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            let bias = bias.map(Var::tensor);
            let y = Self::of(module::conv2d(x.clone(), weight.tensor(), bias, options));
            if with_relu { y.relu() } else { y }
        })
    }
}

fn convolve<S: Real>(
    x: &Rc<Slot<S>>,
    weight: &Rc<Slot<S>>,
    bias: Option<&Rc<Slot<S>>>,
    window: Window,
    c_out: usize,
    with_relu: bool,
) -> Rc<Slot<S>> {
    let (rows, pixels) = (window.rows(), window.pixels());
    let bias = bias.map_or_else(|| Slot::constant(Buffer::stale(0)), Rc::clone);
    let n = x.len() / window.image().max(1);
    let mut y = Buffer::stale(n * c_out * pixels);
    // Columns are kept for the backward pass if there will be one.
    let is_tracked = weight.is_tracked() || x.is_tracked();
    let mut cols = Buffer::stale(if is_tracked { n } else { 1 } * rows * pixels);
    let images = x.value().chunks_exact(window.image());
    for (i, (x, y)) in images.zip(y.chunks_exact_mut(c_out * pixels)).enumerate() {
        let cols = &mut cols[if is_tracked { i } else { 0 } * rows * pixels..][..rows * pixels];
        columns(window, x, cols);
        let w = Mat::new(weight.value(), rows);
        gemm([c_out, pixels, rows], w, Mat::new(cols, pixels), y, pixels, false);
        channel_bias(y, bias.value(), pixels, with_relu);
    }
    Slot::result(y, [x, weight, &bias], move |[x, weight, bias], y, mut dy| {
        if with_relu {
            super::activation::mask(&mut dy, y.value());
        }
        bias.contribute(|db, is_sum| channel_sums(db, &dy, pixels, is_sum));
        weight.contribute(|dw, is_sum| {
            let images = dy.chunks_exact(c_out * pixels).zip(cols.chunks_exact(rows * pixels));
            for (i, (dy, cols)) in images.enumerate() {
                let (dy, cols) = (Mat::new(dy, pixels), Mat::new(cols, pixels));
                gemm([c_out, rows, pixels], dy, cols.t(), dw, rows, is_sum || i > 0);
            }
        });
        x.contribute(|dx, is_sum| {
            if !is_sum {
                dx.fill(S::ZERO);
            }
            let mut dcols = Buffer::stale(rows * pixels);
            let images = dy.chunks_exact(c_out * pixels).zip(dx.chunks_exact_mut(window.image()));
            for (dy, dx) in images {
                let w = Mat::new(weight.value(), rows).t();
                gemm([rows, pixels, c_out], w, Mat::new(dy, pixels), &mut dcols, pixels, false);
                from_columns(window, &dcols, dx);
            }
        });
    })
}
