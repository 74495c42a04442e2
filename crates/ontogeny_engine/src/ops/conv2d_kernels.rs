//! The loops of convolution.
#![expect(
    clippy::inline_always,
    reason = "helpers must take on the vector instructions of the loops they are inlined into"
)]

use multiversion::multiversion;

use crate::host::{Real, simd};

/// A window sliding over an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) c_in: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    pub(super) fn out_h(self) -> usize {
        (self.h + 2 * self.padding - self.kh) / self.stride + 1
    }

    pub(super) fn out_w(self) -> usize {
        (self.w + 2 * self.padding - self.kw) / self.stride + 1
    }

    /// Scalars per input image.
    pub(super) fn image(self) -> usize {
        self.c_in * self.h * self.w
    }

    /// Scalars under the window.
    pub(super) fn rows(self) -> usize {
        self.c_in * self.kh * self.kw
    }

    /// Places of the window.
    pub(super) fn pixels(self) -> usize {
        self.out_h() * self.out_w()
    }

    /// The scalar of the image that row `row` of the window reads at an output place, if inside.
    #[inline(always)]
    pub(super) fn source(self, row: usize, out_y: usize, out_x: usize) -> Option<usize> {
        let (c, k) = (row / (self.kh * self.kw), row % (self.kh * self.kw));
        let inside = |o: usize, k: usize, side: usize| {
            (o * self.stride + k).checked_sub(self.padding).filter(|&at| at < side)
        };
        let (y, x) = (inside(out_y, k / self.kw, self.h)?, inside(out_x, k % self.kw, self.w)?);
        Some((c * self.h + y) * self.w + x)
    }

    /// For every (channel, dy, dx) and output row: the row of the image it reads, if inside, the first
    /// output column whose input is inside, their number, and the input column of that first one.
    #[inline(always)]
    fn runs(self, row: usize, out_y: usize) -> Option<Run> {
        let (c, k) = (row / (self.kh * self.kw), row % (self.kh * self.kw));
        let (ky, kx) = (k / self.kw, k % self.kw);
        let y = (out_y * self.stride + ky).checked_sub(self.padding).filter(|&y| y < self.h)?;
        // Output column o reads input column o * stride + kx - padding.
        let first = self.padding.saturating_sub(kx).div_ceil(self.stride);
        let end = (self.w + self.padding).saturating_sub(kx).div_ceil(self.stride);
        let end = end.min(self.out_w());
        let len = end.checked_sub(first).filter(|&len| len > 0)?;
        let from = (c * self.h + y) * self.w + first * self.stride + kx - self.padding;
        Some(Run { first, len, from })
    }
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first: usize,
    len: usize,
    from: usize,
}

/// Lays the windows of one image out: `cols [rows, pixels]`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn columns<S: Real>(window: Window, x: &[S], cols: &mut [S]) {
    let out_w = window.out_w();
    for (row, cols) in cols.chunks_exact_mut(window.pixels()).enumerate() {
        for (out_y, line) in cols.chunks_exact_mut(out_w).enumerate() {
            let Some(Run { first, len, from }) = window.runs(row, out_y) else {
                line.fill(S::ZERO);
                continue;
            };
            line[..first].fill(S::ZERO);
            line[first + len..].fill(S::ZERO);
            let line = &mut line[first..first + len];
            if window.stride == 1 {
                line.copy_from_slice(&x[from..from + len]);
            } else {
                for (l, x) in line.iter_mut().zip(x[from..].iter().step_by(window.stride)) {
                    *l = *x;
                }
            }
        }
    }
}

/// Adds columns back to the image they came from.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn from_columns<S: Real>(window: Window, cols: &[S], dx: &mut [S]) {
    let out_w = window.out_w();
    for (row, cols) in cols.chunks_exact(window.pixels()).enumerate() {
        for (out_y, line) in cols.chunks_exact(out_w).enumerate() {
            let Some(Run { first, len, from }) = window.runs(row, out_y) else { continue };
            let line = &line[first..first + len];
            if window.stride == 1 {
                for (d, l) in dx[from..from + len].iter_mut().zip(line) {
                    *d += *l;
                }
            } else {
                for (d, l) in dx[from..].iter_mut().step_by(window.stride).zip(line) {
                    *d += *l;
                }
            }
        }
    }
}

/// Adds a bias per channel (none if empty) and applies ReLU if asked, to `y [c_out, pixels]`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn channel_bias<S: Real>(y: &mut [S], bias: &[S], pixels: usize, with_relu: bool) {
    for (c, y) in y.chunks_exact_mut(pixels).enumerate() {
        let b = if bias.is_empty() { S::ZERO } else { bias[c] };
        for y in y {
            let sum = *y + b;
            *y = if with_relu && sum <= S::ZERO { S::ZERO } else { sum };
        }
    }
}

/// `db [c_out] (+)=` the sums over images and pixels of `dy [n, c_out, pixels]`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn channel_sums<S: Real>(db: &mut [S], dy: &[S], pixels: usize, is_sum: bool) {
    if !is_sum {
        db.fill(S::ZERO);
    }
    for dy in dy.chunks_exact(db.len() * pixels) {
        for (db, dy) in db.iter_mut().zip(dy.chunks_exact(pixels)) {
            *db += simd::sum(dy);
        }
    }
}
