//! Pooling of images.

use burn::tensor::{module, ops::MaxPoolOptions};

use crate::Var;

impl Var<4> {
    /// The largest value of every `size` by `size` window, windows `stride` apart, without padding.
    ///
    /// # Panics
    /// If the window is larger than the image.
    #[must_use]
    pub fn max_pool2d(&self, size: usize, stride: usize) -> Self {
        let [_, _, h, w] = self.dims();
        assert!(size <= h.min(w), "a window of {size} in an image of {h} by {w}");
        let mut options = MaxPoolOptions::new([size; 2]);
        options.stride = [stride; 2];
        Self::of(module::max_pool2d(self.tensor.clone(), options))
    }

    /// The mean over all pixels, `[n, c, h, w]` to `[n, c]`.
    #[must_use]
    pub fn global_mean_pool(&self) -> Var<2> {
        let [n, c, h, w] = self.dims();
        Var::of(self.tensor.clone().reshape([n * c, h * w]).mean_dim(1).reshape([n, c]))
    }
}
