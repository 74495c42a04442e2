//! The transpose of a convolution: coefficients of its outputs become coefficients of its inputs.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{module, ops::ConvTransposeOptions};

use super::conv2d_kernels::{Window, columns, from_columns};
use crate::{
    Var,
    host::{Buffer, Mat, Real, Slot, gemm},
    var::dispatch,
};

impl Var<4> {
    /// `[n, c_out, oh, ow]` to `[n, c_in, h, w]` by the transpose of [`conv2d`](Var::conv2d) with
    /// `weight [c_out, c_in, kh, kw]`, where `image` is `[c_in, h, w]`.
    ///
    /// # Panics
    /// If the convolution of such an image has another size.
    pub(crate) fn conv_transpose2d(
        &self,
        weight: &Self,
        image: [usize; 3],
        stride: usize,
        padding: usize,
    ) -> Self {
        let ([n, c, oh, ow], [c_out, c_w, kh, kw], [c_in, h, w]) = (self.dims, weight.dims, image);
        let window = Window { c_in, h, w, kh, kw, stride, padding };
        assert_eq!(
            [c, oh, ow, c_in],
            [c_out, window.out_h(), window.out_w(), c_w],
            "conv_transpose2d: sizes of the convolution"
        );
        let dims = [n, c_in, h, w];
        dispatch!(self,
        a => Self::host(transpose(a, weight.like(a), window, c_out), dims),
        a => {
            let out = |side: usize, k: usize, o: usize| side + 2 * padding - k - (o - 1) * stride;
            let padding_out = [out(h, kh, oh), out(w, kw, ow)];
            let (stride, padding) = ([stride; 2], [padding; 2]);
            let options = ConvTransposeOptions::new(stride, padding, padding_out, [1, 1], 1);
            Self::of(module::conv_transpose2d(a.clone(), weight.tensor(), None, options))
        })
    }
}

fn transpose<S: Real>(
    a: &Rc<Slot<S>>,
    weight: &Rc<Slot<S>>,
    window: Window,
    c_out: usize,
) -> Rc<Slot<S>> {
    let (rows, pixels, image) = (window.rows(), window.pixels(), window.image());
    let n = a.len() / (c_out * pixels).max(1);
    let mut out = Buffer::zeros(n * image);
    let mut cols = Buffer::stale(rows * pixels);
    let coefficients = a.value().chunks_exact(c_out * pixels);
    for (a, out) in coefficients.zip(out.chunks_exact_mut(image)) {
        let w = Mat::new(weight.value(), rows).t();
        gemm([rows, pixels, c_out], w, Mat::new(a, pixels), &mut cols, pixels, false);
        from_columns(window, &cols, out);
    }
    Slot::result(out, [a, weight], move |[a, weight], _, dout| {
        let mut cols = Buffer::stale(rows * pixels);
        let wants_a = a.is_tracked();
        let mut da = wants_a.then(|| Buffer::stale(a.len()));
        weight.contribute(|dw, is_sum| {
            for (i, (dout, a)) in
                dout.chunks_exact(image).zip(a.value().chunks_exact(c_out * pixels)).enumerate()
            {
                columns(window, dout, &mut cols);
                let cm = Mat::new(&cols, pixels);
                let am = Mat::new(a, pixels);
                gemm([c_out, rows, pixels], am, cm.t(), dw, rows, is_sum || i > 0);
                if let Some(da) = &mut da {
                    let da = &mut da[i * c_out * pixels..][..c_out * pixels];
                    let w = Mat::new(weight.value(), rows);
                    gemm([c_out, pixels, rows], w, cm, da, pixels, false);
                }
            }
        });
        if let Some(da) = da {
            a.give(da);
        }
    })
}
