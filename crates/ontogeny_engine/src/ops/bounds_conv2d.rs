//! Interval bounds through a convolution: values and centres with the kernels, radii with their absolute values.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::{
    bounds::{Blocks, add_signed, relu, relu_backward},
    conv2d_kernels::{Window, channel_bias, channel_sums, columns, from_columns},
};
use crate::{
    Var,
    host::{Buffer, Mat, Real, Slot, gemm},
    var::dispatch,
};

impl Var<4> {
    /// `[x; c; r]`, three blocks of images, through [`conv2d`](Var::conv2d), and through ReLU if asked;
    /// `magnitude` is `|weight|`, flat.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[expect(clippy::too_many_arguments, reason = "those of `conv2d`, and three of bounds")]
    pub(crate) fn bounded_conv2d(
        &self,
        weight: &Self,
        magnitude: &Var<1>,
        bias: Option<&Var<1>>,
        stride: usize,
        padding: usize,
        blocks: Blocks,
        with_relu: bool,
    ) -> Self {
        let ([rows, c_in, h, w], [c_out, c_w, kh, kw]) = (self.dims, weight.dims);
        assert_eq!(c_in, c_w, "conv2d: channels of x and weight");
        assert_eq!(rows, 3 * blocks.n, "bounds have three blocks of images");
        assert!(bias.is_none_or(|b| b.dims == [c_out]), "conv2d: one bias per output channel");
        assert!(
            stride > 0 && kh <= h + 2 * padding && kw <= w + 2 * padding,
            "conv2d: a window of {kh} by {kw} over {h} by {w}"
        );
        let window = Window { c_in, h, w, kh, kw, stride, padding };
        let dims = [rows, c_out, window.out_h(), window.out_w()];
        dispatch!(self,
        x => {
            let (b, m) = (bias.map(|b| b.like(x)), magnitude.like(x));
            Self::host(convolve(x, weight.like(x), m, b, window, c_out, blocks, with_relu), dims)
        },
        x => {
            let n = blocks.n;
            let options = || ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            let part = |rows: std::ops::Range<usize>| x.clone().slice([rows, 0..c_in, 0..h, 0..w]);
            let (kernels, bias) = (weight.tensor(), bias.map(Var::tensor));
            let mid = module::conv2d(part(0..2 * n), kernels.clone(), bias, options());
            let radii = module::conv2d(part(2 * n..3 * n), kernels.abs(), None, options());
            let y = Self::of(Tensor::cat(vec![mid, radii], 0));
            let flat: usize = dims[1..].iter().product();
            if with_relu { y.reshape([rows, flat]).bounded_relu(blocks).reshape(dims) } else { y }
        })
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one operation")]
fn convolve<S: Real>(
    x: &Rc<Slot<S>>,
    weight: &Rc<Slot<S>>,
    magnitude: &Rc<Slot<S>>,
    bias: Option<&Rc<Slot<S>>>,
    window: Window,
    c_out: usize,
    blocks: Blocks,
    with_relu: bool,
) -> Rc<Slot<S>> {
    let (rows, pixels, n) = (window.rows(), window.pixels(), blocks.n);
    let (image, out) = (window.image(), c_out * pixels);
    let bias = bias.map_or_else(|| Slot::constant(Buffer::stale(0)), Rc::clone);
    let mut y = Buffer::stale(3 * n * out);
    let is_tracked = weight.is_tracked() || x.is_tracked();
    let mut cols = Buffer::stale(if is_tracked { 3 * n } else { 1 } * rows * pixels);
    let images = x.value().chunks_exact(image);
    for (i, (x, y)) in images.zip(y.chunks_exact_mut(out)).enumerate() {
        let cols = &mut cols[if is_tracked { i } else { 0 } * rows * pixels..][..rows * pixels];
        columns(window, x, cols);
        let kernels = if i < 2 * n { weight.value() } else { magnitude.value() };
        gemm(
            [c_out, pixels, rows],
            Mat::new(kernels, rows),
            Mat::new(cols, pixels),
            y,
            pixels,
            false,
        );
        if i < 2 * n {
            channel_bias(y, bias.value(), pixels, false);
        }
    }
    if with_relu {
        relu(&mut y);
    }
    Slot::result(
        y,
        [x, weight, &bias, magnitude],
        move |[x, weight, bias, magnitude], y, mut dy| {
            if with_relu {
                relu_backward(&mut dy, y.value(), blocks.natural_is_tracked);
            }
            let first = blocks.first();
            bias.contribute(|db, is_sum| {
                channel_sums(db, &dy[first * out..2 * n * out], pixels, is_sum)
            });
            weight.contribute(|dw, is_sum| {
                let mut signed = Buffer::stale(dw.len());
                let images = dy.chunks_exact(out).zip(cols.chunks_exact(rows * pixels)).enumerate();
                for (i, (dy, cols)) in images.skip(first) {
                    let (dy, cols) = (Mat::new(dy, pixels), Mat::new(cols, pixels).t());
                    let sizes = [c_out, rows, pixels];
                    if i < 2 * n {
                        gemm(sizes, dy, cols, dw, rows, is_sum || i > first);
                    } else {
                        gemm(sizes, dy, cols, &mut signed, rows, i > 2 * n);
                    }
                }
                add_signed(dw, weight.value(), &signed);
            });
            x.contribute(|dx, is_sum| {
                if !is_sum {
                    dx[first * image..].fill(S::ZERO);
                }
                let mut dcols = Buffer::stale(rows * pixels);
                let images = dy.chunks_exact(out).zip(dx.chunks_exact_mut(image)).enumerate();
                for (i, (dy, dx)) in images.skip(first) {
                    let kernels = if i < 2 * n { weight.value() } else { magnitude.value() };
                    let (w, dy) = (Mat::new(kernels, rows).t(), Mat::new(dy, pixels));
                    gemm([rows, pixels, c_out], w, dy, &mut dcols, pixels, false);
                    from_columns(window, &dcols, dx);
                }
            });
        },
    )
}
