//! Pooling of images.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{module, ops::MaxPoolOptions};

use crate::{
    Var,
    host::{Buffer, Real, Slot},
    var::dispatch,
};

impl Var<4> {
    /// The largest value of every `size` by `size` window, windows `stride` apart, without padding. The
    /// gradient goes to the first of equals.
    ///
    /// # Panics
    /// If the window is larger than the image.
    #[must_use]
    pub fn max_pool2d(&self, size: usize, stride: usize) -> Self {
        let [n, c, h, w] = self.dims;
        assert!(
            size > 0 && stride > 0 && size <= h.min(w),
            "a window of {size} in an image of {h} by {w}"
        );
        let dims = [n, c, (h - size) / stride + 1, (w - size) / stride + 1];
        dispatch!(self,
        x => Self::host(max_pool(x, [h, w], [dims[2], dims[3]], size, stride), dims),
        x => {
            let mut options = MaxPoolOptions::new([size; 2]);
            options.stride = [stride; 2];
            Self::of(module::max_pool2d(x.clone(), options))
        })
    }

    /// The mean over all pixels, `[n, c, h, w]` to `[n, c]`.
    #[must_use]
    pub fn global_mean_pool(&self) -> Var<2> {
        let [n, c, h, w] = self.dims;
        dispatch!(self,
            x => Var::host(row_means(x, h * w), [n, c]),
            x => Var::of(x.clone().reshape([n * c, h * w]).mean_dim(1).reshape([n, c])))
    }
}

fn max_pool<S: Real>(
    x: &Rc<Slot<S>>,
    [h, w]: [usize; 2],
    [out_h, out_w]: [usize; 2],
    size: usize,
    stride: usize,
) -> Rc<Slot<S>> {
    let images = x.len() / (h * w);
    let mut y = Buffer::stale(images * out_h * out_w);
    let mut from = Vec::with_capacity(y.len());
    for (i, y) in y.iter_mut().enumerate() {
        let (image, out) = (i / (out_h * out_w), i % (out_h * out_w));
        let corner = image * h * w + out / out_w * stride * w + out % out_w * stride;
        let mut best = corner;
        for k in 0..size * size {
            let at = corner + k / size * w + k % size;
            if x.value()[at] > x.value()[best] {
                best = at;
            }
        }
        *y = x.value()[best];
        from.push(best as u32);
    }
    Slot::result(y, [x], move |[x], _, dy| {
        x.contribute(|dx, is_sum| {
            if !is_sum {
                dx.fill(S::ZERO);
            }
            for (&at, dy) in from.iter().zip(&*dy) {
                dx[at as usize] += *dy;
            }
        });
    })
}

fn row_means<S: Real>(x: &Rc<Slot<S>>, width: usize) -> Rc<Slot<S>> {
    let each = S::of(1.0 / width as f64);
    let mut y = Buffer::stale(x.len() / width);
    for (y, row) in y.iter_mut().zip(x.value().chunks_exact(width)) {
        *y = row.iter().fold(S::ZERO, |s, v| s + *v) * each;
    }
    Slot::result(y, [x], move |[x], _, dy| {
        x.contribute(|dx, is_sum| {
            for (row, dy) in dx.chunks_exact_mut(width).zip(&*dy) {
                for d in row {
                    *d = if is_sum { *d + *dy * each } else { *dy * each };
                }
            }
        });
    })
}
