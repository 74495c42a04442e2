//! Interval bounds through a convolution: values and centres with the kernels, radii with their absolute values.
//!
//! The images of a chunk stand side by side, one scalar of all of them after another: windows are then laid out by
//! copies as long as there are images, and there is one matrix product for all.

use std::rc::Rc;

use multiversion::multiversion;

#[cfg(feature = "composite")]
use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::{
    bounds::{Blocks, add_signed, relu, relu_backward},
    conv2d_kernels::{Window, channel_bias, channel_sums},
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
    let groups = groups(blocks);
    let mut kept = Vec::with_capacity(groups.len());
    for group in &groups {
        let len = group.len();
        let mut turned = Buffer::stale(image * len);
        turn(&x.value()[group.start * image..group.end * image], &mut turned, image, false);
        let mut cols = Buffer::stale(rows * pixels * len);
        columns_of_images(window, &turned, &mut cols, len);
        let kernels = if group.start < 2 * n { weight.value() } else { magnitude.value() };
        let mut side_by_side = Buffer::stale(out * len);
        let wide = pixels * len;
        let (w, cm) = (Mat::new(kernels, rows), Mat::new(&cols, wide));
        gemm([c_out, wide, rows], w, cm, &mut side_by_side, wide, false);
        turn(&side_by_side, &mut y[group.start * out..group.end * out], len, false);
        kept.push(cols);
    }
    if !bias.value().is_empty() {
        for y in y[..2 * n * out].chunks_exact_mut(out) {
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
                channel_sums(db, &dy[first * out..2 * n * out], pixels, is_sum);
            });
            for (group, cols) in groups.iter().zip(&kept).filter(|(g, _)| g.start >= first) {
                let (len, is_mid) = (group.len(), group.start < 2 * n);
                let wide = pixels * len;
                let mut side_by_side = Buffer::stale(out * len);
                turn(&dy[group.start * out..group.end * out], &mut side_by_side, out, false);
                let dm = Mat::new(&side_by_side, wide);
                weight.contribute(|dw, is_sum| {
                    let cm = Mat::new(cols, wide).t();
                    if is_mid {
                        gemm([c_out, rows, wide], dm, cm, dw, rows, is_sum);
                    } else {
                        let mut signed = Buffer::stale(dw.len());
                        gemm([c_out, rows, wide], dm, cm, &mut signed, rows, false);
                        add_signed(dw, weight.value(), &signed);
                    }
                });
                x.contribute(|dx, is_sum| {
                    if !is_sum {
                        dx.fill(S::ZERO);
                    }
                    let kernels = if is_mid { weight.value() } else { magnitude.value() };
                    let mut dcols = Buffer::stale(rows * wide);
                    let w = Mat::new(kernels, rows).t();
                    gemm([rows, wide, c_out], w, dm, &mut dcols, wide, false);
                    let mut turned = Buffer::zeros(image * len);
                    columns_to_images(window, &dcols, &mut turned, len);
                    turn(&turned, &mut dx[group.start * image..group.end * image], len, true);
                });
            }
        },
    )
}

/// Blocks of images that meet the same kernels and get a gradient, or none of them does.
fn groups(blocks: Blocks) -> Vec<std::ops::Range<usize>> {
    let n = blocks.n;
    if blocks.natural_is_tracked {
        vec![0..2 * n, 2 * n..3 * n]
    } else {
        vec![0..n, n..2 * n, 2 * n..3 * n]
    }
}

/// `to (+)= from [_, width]` transposed, in tiles that stay in registers and the first-level cache.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn<S: Real>(from: &[S], to: &mut [S], width: usize, is_sum: bool) {
    const SIDE: usize = 16;
    let height = from.len() / width.max(1);
    for top in (0..height).step_by(SIDE) {
        let n = SIDE.min(height - top);
        for left in (0..width).step_by(SIDE) {
            let m = SIDE.min(width - left);
            if n == SIDE && m == SIDE {
                let mut tile = [[S::ZERO; SIDE]; SIDE];
                for (i, tile) in tile.iter_mut().enumerate() {
                    tile.copy_from_slice(&from[(top + i) * width + left..][..SIDE]);
                }
                for j in 0..SIDE {
                    let line = &mut to[(left + j) * height + top..][..SIDE];
                    for i in 0..SIDE {
                        line[i] = if is_sum { line[i] + tile[i][j] } else { tile[i][j] };
                    }
                }
                continue;
            }
            for j in left..left + m {
                for i in top..top + n {
                    let (v, to) = (from[i * width + j], &mut to[j * height + i]);
                    *to = if is_sum { *to + v } else { v };
                }
            }
        }
    }
}

/// The windows of `len` images side by side, from `x [image, len]` to `cols [rows, pixels, len]`: every copy is as
/// long as there are images.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn columns_of_images<S: Real>(window: Window, x: &[S], cols: &mut [S], len: usize) {
    let out_w = window.out_w();
    for (row, cols) in cols.chunks_exact_mut(window.pixels() * len).enumerate() {
        for (p, cols) in cols.chunks_exact_mut(len).enumerate() {
            match window.source(row, p / out_w, p % out_w) {
                Some(at) => cols.copy_from_slice(&x[at * len..][..len]),
                None => cols.fill(S::ZERO),
            }
        }
    }
}

/// Adds columns back to the images they came from.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn columns_to_images<S: Real>(window: Window, cols: &[S], dx: &mut [S], len: usize) {
    let out_w = window.out_w();
    for (row, cols) in cols.chunks_exact(window.pixels() * len).enumerate() {
        for (p, cols) in cols.chunks_exact(len).enumerate() {
            let Some(at) = window.source(row, p / out_w, p % out_w) else { continue };
            for (d, c) in dx[at * len..][..len].iter_mut().zip(cols) {
                *d += *c;
            }
        }
    }
}
