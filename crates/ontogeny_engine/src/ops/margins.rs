//! The last affine map, elided into lower bounds of margins.
//!
//! `m_j = (W_y - W_j) c + b_y - b_j - |W_y - W_j| r` is the smallest value that `z_y - z_j` takes over the box of the
//! last hidden layer: tighter than the difference of the logits' own bounds, in which `r` would count twice.
//! Source: Gowal et al. 2018, arXiv:1810.12715, section 3.
#![expect(
    clippy::inline_always,
    reason = "helpers must take on the vector instructions of the loops they are inlined into"
)]

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::Tensor;
use multiversion::multiversion;

use super::bounds::Blocks;
use crate::{
    UNREAD, Var,
    host::{Buffer, Mat, Real, Slot, gemm, simd::column_sums},
    var::dispatch,
};

impl Var<2> {
    /// From `[h; c; r]`, three blocks of `n` rows, to `[z; -m]`, two blocks of `n` rows with a column for each class:
    /// the natural logits, and upper bounds of `z_j - z_y`, 0 at `j = y`. Rows whose target is
    /// [`UNREAD`] have zeros in the second block.
    ///
    /// # Panics
    /// If the shapes do not fit, or a target is no class.
    pub(crate) fn margins(
        &self,
        w: &Self,
        b: Option<&Var<1>>,
        targets: &[u32],
        blocks: Blocks,
    ) -> Self {
        let ([rows, d], [d_in, classes]) = (self.dims, w.dims);
        assert_eq!(d, d_in, "margins: h has {d} columns, w has {d_in} rows");
        assert!(
            rows == 3 * blocks.n && targets.len() == blocks.n,
            "margins: one target per example"
        );
        assert!(b.is_none_or(|b| b.dims == [classes]), "margins: one bias per class");
        if let Some(t) = targets.iter().find(|&&t| t != UNREAD && t as usize >= classes) {
            panic!("target {t} is no class of {classes}");
        }
        dispatch!(self,
        h => {
            let b = b.map(|b| b.like(h));
            let out = margins(h, w.like(h), b, targets, [blocks.n, d, classes], blocks);
            Self::host(out, [2 * blocks.n, classes])
        },
        h => {
            let n = blocks.n;
            let mut mid = h.clone().slice([0..2 * n, 0..d]).matmul(w.tensor());
            if let Some(b) = b {
                mid = mid + b.tensor().reshape([1, classes]);
            }
            let mut parts = vec![mid.clone().slice([0..n, 0..classes])];
            for (i, &t) in targets.iter().enumerate() {
                let row = mid.clone().slice([n + i..n + i + 1, 0..classes]);
                if t == UNREAD {
                    parts.push(row.mul_scalar(0.0));
                    continue;
                }
                let y = t as usize;
                let own = w.tensor().slice([0..d, y..y + 1]);
                let r = h.clone().slice([2 * n + i..2 * n + i + 1, 0..d]);
                let spread = r.matmul((own - w.tensor()).abs());
                parts.push(row.clone() - row.slice([0..1, y..y + 1]) + spread);
            }
            Self::of(Tensor::cat(parts, 0))
        })
    }
}

fn margins<S: Real>(
    h: &Rc<Slot<S>>,
    w: &Rc<Slot<S>>,
    b: Option<&Rc<Slot<S>>>,
    targets: &[u32],
    [n, d, classes]: [usize; 3],
    blocks: Blocks,
) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(2 * n * classes);
    let (hm, wm) = (Mat::new(h.value(), d), Mat::new(w.value(), classes));
    gemm([2 * n, classes, d], hm, wm, &mut out, classes, false);
    if let Some(b) = b {
        for row in out.chunks_exact_mut(classes) {
            row.iter_mut().zip(b.value()).for_each(|(y, b)| *y += *b);
        }
    }
    let turned = transposed(w.value(), d, classes);
    let bounds = &mut out[n * classes..];
    let radii = h.value()[2 * n * d..].chunks_exact(d);
    for ((row, r), &t) in bounds.chunks_exact_mut(classes).zip(radii).zip(targets) {
        if t == UNREAD {
            row.fill(S::ZERO);
        } else {
            spread(row, r, &turned, t as usize);
        }
    }
    let b = b.map_or_else(|| Slot::constant(Buffer::stale(0)), Rc::clone);
    let targets = targets.to_vec();
    Slot::result(out, [h, w, &b], move |[h, w, b], _, mut dy| {
        let first = blocks.first();
        let rows = 2 * n - first;
        // The bound at the target is 0 whatever the logits are; theirs is minus the sum of the others.
        for (row, &t) in dy[n * classes..].chunks_exact_mut(classes).zip(&targets) {
            if t == UNREAD {
                row.fill(S::ZERO);
                continue;
            }
            row[t as usize] = S::ZERO;
            row[t as usize] = -row.iter().fold(S::ZERO, |s, g| s + *g);
        }
        let mid = &dy[first * classes..];
        let dm = Mat::new(mid, classes);
        b.contribute(|db, is_sum| column_sums(db, mid, is_sum));
        w.contribute(|dw, is_sum| {
            let hm = Mat::new(&h.value()[first * d..], d);
            gemm([d, classes, rows], hm.t(), dm, dw, classes, is_sum);
            let mut sums = Buffer::zeros(dw.len());
            let radii = h.value()[2 * n * d..].chunks_exact(d);
            for ((g, r), &t) in dy[n * classes..].chunks_exact(classes).zip(radii).zip(&targets) {
                if t != UNREAD {
                    spread_to_weights(&mut sums, g, r, &turned, t as usize);
                }
            }
            for (i, dw) in dw.chunks_exact_mut(classes).enumerate() {
                for (j, dw) in dw.iter_mut().enumerate() {
                    *dw += sums[j * d + i];
                }
            }
        });
        h.contribute(|dh, is_sum| {
            let (to_mid, to_radii) = dh.split_at_mut(2 * n * d);
            let wm = Mat::new(w.value(), classes).t();
            gemm([rows, d, classes], dm, wm, &mut to_mid[first * d..], d, is_sum);
            if !is_sum {
                to_radii.fill(S::ZERO);
            }
            let grads = dy[n * classes..].chunks_exact(classes);
            for ((g, dr), &t) in grads.zip(to_radii.chunks_exact_mut(d)).zip(&targets) {
                if t != UNREAD {
                    spread_to_radii(dr, g, &turned, t as usize);
                }
            }
        });
    })
}

/// `w [d, classes]` as `[classes, d]`.
fn transposed<S: Real>(w: &[S], d: usize, classes: usize) -> Buffer<S> {
    let mut out = Buffer::stale(w.len());
    for (i, w) in w.chunks_exact(classes).enumerate() {
        for (j, w) in w.iter().enumerate() {
            out[j * d + i] = *w;
        }
    }
    out
}

/// From the logits of the centre to upper bounds of `z_j - z_y`: less `z_y`, plus `|W_y - W_j| r`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn spread<S: Real>(row: &mut [S], r: &[S], w: &[S], y: usize) {
    let d = r.len();
    let own = &w[y * d..][..d];
    let z = row[y];
    for (j, out) in row.iter_mut().enumerate() {
        let other = &w[j * d..][..d];
        let mut parts = [S::ZERO; 16];
        let whole = d / 16 * 16;
        for at in (0..whole).step_by(16) {
            for (l, p) in parts.iter_mut().enumerate() {
                *p = magnitude(own[at + l] - other[at + l]).mul_add(r[at + l], *p);
            }
        }
        let mut sum = parts.iter().fold(S::ZERO, |s, p| s + *p);
        for i in whole..d {
            sum = magnitude(own[i] - other[i]).mul_add(r[i], sum);
        }
        *out = *out - z + sum;
    }
    row[y] = S::ZERO;
}

/// `sums [classes, d]` gets the gradient of the spread with respect to the weights.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn spread_to_weights<S: Real>(sums: &mut [S], g: &[S], r: &[S], w: &[S], y: usize) {
    let d = r.len();
    let mut to_own = vec![S::ZERO; d];
    for (j, &g) in g.iter().enumerate().filter(|(j, _)| *j != y) {
        let (own, other) = (&w[y * d..][..d], &w[j * d..][..d]);
        let to_other = &mut sums[j * d..][..d];
        for i in 0..d {
            let difference = own[i] - other[i];
            let t = g * r[i];
            let t = if difference > S::ZERO {
                t
            } else if difference < S::ZERO {
                -t
            } else {
                S::ZERO
            };
            to_own[i] += t;
            to_other[i] += -t;
        }
    }
    for (s, t) in sums[y * d..][..d].iter_mut().zip(&to_own) {
        *s += *t;
    }
}

/// `dr += Σ_j g_j |W_y - W_j|`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn spread_to_radii<S: Real>(dr: &mut [S], g: &[S], w: &[S], y: usize) {
    let d = dr.len();
    let own = &w[y * d..][..d];
    for (j, &g) in g.iter().enumerate().filter(|(j, _)| *j != y) {
        let other = &w[j * d..][..d];
        for i in 0..d {
            dr[i] = g.mul_add(magnitude(own[i] - other[i]), dr[i]);
        }
    }
}

#[inline(always)]
fn magnitude<S: Real>(v: S) -> S {
    if v < S::ZERO { -v } else { v }
}
