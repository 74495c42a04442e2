//! The loops of causal attention.
#![expect(
    clippy::inline_always,
    reason = "helpers must take on the vector instructions of the loops they are inlined into"
)]

use multiversion::multiversion;

use crate::host::{Buffer, Mat, Real, gemm, simd};

/// Contexts up to this length are computed by plain loops: the matrices are too small for products.
const SHORT: usize = 12;
/// Queries per matrix product; keys after the block's last query are skipped.
const BLOCK: usize = 64;

/// Examples, positions, heads and the width of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dims {
    pub(super) n: usize,
    pub(super) t: usize,
    pub(super) h: usize,
    pub(super) d_head: usize,
}

impl Dims {
    /// Width of a row.
    fn d(self) -> usize {
        self.h * self.d_head
    }

    /// Every (example, head): where its rows start in `q` and where its pattern starts.
    fn blocks(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.n * self.h).map(move |b| {
            let (example, head) = (b / self.h, b % self.h);
            (example * self.t * self.d() + head * self.d_head, b * self.t * self.t)
        })
    }

    fn scale<S: Real>(self) -> S {
        S::of(1.0 / (self.d_head as f64).sqrt())
    }
}

/// Fills `pattern [n, h, t, t]` and `z`; `r` is empty without relative keys.
pub(super) fn forward<S: Real>(
    dims: Dims,
    q: &[S],
    k: &[S],
    v: &[S],
    r: &[S],
    pattern: &mut [S],
    z: &mut [S],
) {
    if dims.t <= SHORT {
        return short_forward(dims, q, k, v, r, pattern, z);
    }
    let Dims { t, d_head, .. } = dims;
    let d = dims.d();
    let mut by_distance = Buffer::stale(if r.is_empty() { 0 } else { t * t });
    for (at, pat) in dims.blocks() {
        let pattern = &mut pattern[pat..pat + t * t];
        if !r.is_empty() {
            let keys = Mat::new(&r[at % d..], d).t();
            gemm([t, t, d_head], Mat::new(&q[at..], d), keys, &mut by_distance, t, false);
        }
        for start in (0..t).step_by(BLOCK) {
            let end = (start + BLOCK).min(t);
            let rows = &mut pattern[start * t..end * t];
            let queries = Mat::new(&q[at + start * d..], d);
            gemm([end - start, end, d_head], queries, Mat::new(&k[at..], d).t(), rows, t, false);
            softmax_rows(rows, start, t, dims.scale(), &by_distance);
            let values = Mat::new(&v[at..], d);
            let z = &mut z[at + start * d..];
            gemm([end - start, d_head, end], Mat::new(rows, t), values, z, d, false);
        }
    }
}

/// The gradients of `[q, k, v, r]` from that of `z`.
pub(super) fn backward<S: Real>(
    dims: Dims,
    [q, k, v, r]: [&[S]; 4],
    pattern: &[S],
    dz: &[S],
    r_is_tracked: bool,
) -> [Buffer<S>; 4] {
    let grads = || Buffer::zeros(q.len());
    let dr = Buffer::zeros(if r_is_tracked { r.len() } else { 0 });
    let mut out = [grads(), grads(), grads(), dr];
    let [dq, dk, dv, dr] = &mut out;
    if dims.t <= SHORT {
        short_backward(
            dims,
            [q, k, v, r],
            pattern,
            dz,
            [&mut **dq, &mut **dk, &mut **dv, &mut **dr],
        );
        return out;
    }
    let Dims { t, d_head, .. } = dims;
    let d = dims.d();
    let mut ds = Buffer::stale(BLOCK.min(t) * t);
    let mut by_distance = Buffer::stale(if r.is_empty() { 0 } else { BLOCK.min(t) * t });
    for (at, pat) in dims.blocks() {
        for start in (0..t).step_by(BLOCK) {
            let end = (start + BLOCK).min(t);
            let m = end - start;
            let p = &pattern[pat + start * t..pat + end * t];
            let ds = &mut ds[..m * t];
            let dz = Mat::new(&dz[at + start * d..], d);
            gemm([m, end, d_head], dz, Mat::new(&v[at..], d).t(), ds, t, false);
            gemm([end, d_head, m], Mat::new(p, t).t(), dz, &mut dv[at..], d, true);
            softmax_backward(ds, p, start, t, dims.scale());
            let (keys, queries) = (Mat::new(&k[at..], d), Mat::new(&q[at + start * d..], d));
            let dsm = Mat::new(ds, t);
            gemm([m, d_head, end], dsm, keys, &mut dq[at + start * d..], d, false);
            gemm([end, d_head, m], dsm.t(), queries, &mut dk[at..], d, true);
            if !r.is_empty() {
                let by_distance = &mut by_distance[..m * t];
                for (i, (by, ds)) in
                    by_distance.chunks_exact_mut(t).zip(ds.chunks_exact(t)).enumerate()
                {
                    let i = start + i;
                    by[i + 1..].fill(S::ZERO);
                    for (j, s) in ds[..=i].iter().enumerate() {
                        by[i - j] = *s;
                    }
                }
                let (head, by) = (at % d, Mat::new(by_distance, t));
                gemm(
                    [m, d_head, end],
                    by,
                    Mat::new(&r[head..], d),
                    &mut dq[at + start * d..],
                    d,
                    true,
                );
                if r_is_tracked {
                    gemm([end, d_head, m], by.t(), queries, &mut dr[head..], d, true);
                }
            }
        }
    }
    out
}

/// Softmax of the scores of queries `start..`, masked keys 0; `by_distance` adds the relative scores.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_rows<S: Real>(rows: &mut [S], start: usize, t: usize, scale: S, by_distance: &[S]) {
    for (i, row) in rows.chunks_exact_mut(t).enumerate() {
        let i = start + i;
        let (seen, masked) = row.split_at_mut(i + 1);
        masked.fill(S::ZERO);
        if !by_distance.is_empty() {
            for (s, r) in seen.iter_mut().zip(by_distance[i * t..=i * t + i].iter().rev()) {
                *s += *r;
            }
        }
        softmax(seen, scale);
    }
}

/// `softmax(scale * x)` in place.
#[inline(always)]
fn softmax<S: Real>(x: &mut [S], scale: S) {
    let largest = simd::max(x);
    for x in x.iter_mut() {
        *x = ((*x - largest) * scale).exp();
    }
    let inverse = S::ONE / simd::sum(x);
    for x in x.iter_mut() {
        *x *= inverse;
    }
}

/// `ds = scale * p * (dp - sum p dp)` in place of `dp`, masked keys 0.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_backward<S: Real>(dp: &mut [S], p: &[S], start: usize, t: usize, scale: S) {
    for (i, (dp, p)) in dp.chunks_exact_mut(t).zip(p.chunks_exact(t)).enumerate() {
        let (seen, masked) = dp.split_at_mut(start + i + 1);
        masked.fill(S::ZERO);
        let p = &p[..=start + i];
        let mean = simd::dot(seen, p);
        for (d, p) in seen.iter_mut().zip(p) {
            *d = *p * (*d - mean) * scale;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn short_forward<S: Real>(
    dims: Dims,
    q: &[S],
    k: &[S],
    v: &[S],
    r: &[S],
    pattern: &mut [S],
    z: &mut [S],
) {
    let Dims { t, d_head, .. } = dims;
    let (d, scale) = (dims.d(), dims.scale());
    for (at, pat) in dims.blocks() {
        for i in 0..t {
            let query = &q[at + i * d..][..d_head];
            let row = &mut pattern[pat + i * t..][..t];
            row[i + 1..].fill(S::ZERO);
            for (j, score) in row[..=i].iter_mut().enumerate() {
                *score = simd::dot(query, &k[at + j * d..][..d_head]);
                if !r.is_empty() {
                    *score += simd::dot(query, &r[at % d + (i - j) * d..][..d_head]);
                }
            }
            softmax(&mut row[..=i], scale);
            let z = &mut z[at + i * d..][..d_head];
            z.fill(S::ZERO);
            for (j, p) in row[..=i].iter().enumerate() {
                simd::axpy(z, *p, &v[at + j * d..][..d_head]);
            }
        }
    }
}

/// Adds to zeroed gradients.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn short_backward<S: Real>(
    dims: Dims,
    [q, k, v, r]: [&[S]; 4],
    pattern: &[S],
    dz: &[S],
    [dq, dk, dv, dr]: [&mut [S]; 4],
) {
    let Dims { t, d_head, .. } = dims;
    let (d, scale): (usize, S) = (dims.d(), dims.scale());
    let mut dp = [S::ZERO; SHORT];
    for (at, pat) in dims.blocks() {
        for i in 0..t {
            let row = &pattern[pat + i * t..][..=i];
            let here = at + i * d..at + i * d + d_head;
            let (query, dz) = (&q[here.clone()], &dz[here.clone()]);
            let mut mean = S::ZERO;
            for (j, p) in row.iter().enumerate() {
                dp[j] = simd::dot(dz, &v[at + j * d..][..d_head]);
                mean = dp[j].mul_add(*p, mean);
            }
            for (j, p) in row.iter().enumerate() {
                let there = at + j * d..at + j * d + d_head;
                let ds = *p * (dp[j] - mean) * scale;
                simd::axpy(&mut dv[there.clone()], *p, dz);
                simd::axpy(&mut dq[here.clone()], ds, &k[there.clone()]);
                simd::axpy(&mut dk[there], ds, query);
                if !r.is_empty() {
                    let distance = at % d + (i - j) * d;
                    simd::axpy(&mut dq[here.clone()], ds, &r[distance..][..d_head]);
                    if !dr.is_empty() {
                        simd::axpy(&mut dr[distance..][..d_head], ds, query);
                    }
                }
            }
        }
    }
}
