//! Attention read at one position only, with keys and values computed once per distinct input.
//!
//! When the layer's input is only embedding plus position, its keys and values depend on the (token,
//! position) pair alone, of which there are far fewer than (example, position) pairs: `2p + 1` against `3p²`
//! on modular arithmetic. The tables hold the distinct pairs, `idx` says which pair stands where, and no row
//! is ever copied or recomputed. If the query is the same for every example, so are the scores of a pair.
#![expect(
    clippy::inline_always,
    reason = "helpers must take on the vector instructions of the loops they are inlined into"
)]

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::activation::softmax;
use multiversion::multiversion;

use crate::{
    Var,
    host::{Buffer, Real, Slot, simd},
    var::dispatch,
};

/// Softmax attention of one query per example over `t` gathered keys.
///
/// # Shapes
/// - `q`: `[n, d]`, or `[1, d]` when the query is the same for every example.
/// - `k`, `v`: `[m, d]`, one row per distinct (token, position) pair.
/// - `idx`: `[n, t]` row-major, rows of the tables; every one of the `t` keys is attended to.
/// - returns `[n, d]`.
///
/// # Panics
/// If the shapes do not fit or an index is outside the tables.
pub fn gather_attention(
    q: &Var<2>,
    k: &Var<2>,
    v: &Var<2>,
    idx: &[u32],
    t: usize,
    n_heads: usize,
) -> Var<2> {
    let ([nq, d], [m, dk]) = (q.dims, k.dims);
    let n = idx.len() / t.max(1);
    assert!(n * t == idx.len() && (nq == n || nq == 1), "{nq} queries for {n} examples");
    assert!(dk == d && v.dims == [m, d] && d % n_heads == 0, "tables [{m}, {dk}] for width {d}");
    assert!(idx.iter().all(|&i| (i as usize) < m), "an index is outside a table of {m} rows");
    dispatch!(q,
    x => {
        let shape = Shape { t, h: n_heads, d_head: d / n_heads, one_query: nq == 1 };
        Var::host(attend(x, k.like(x), v.like(x), idx, shape), [n, d])
    },
    x => {
        let (h, d_head) = (n_heads, d / n_heads);
        let idx = crate::var::ints(x, idx);
        let rows = |x: &Var<2>| x.tensor().select(0, idx.clone()).reshape([n, t, h, d_head]);
        let query = x.clone().reshape([nq, 1, h, d_head]);
        let scores = (rows(k) * query).sum_dim(3).mul_scalar(1.0 / (d_head as f64).sqrt());
        let weighted = rows(v) * softmax(scores, 1);
        Var::of(weighted.sum_dim(1).reshape([n, d]))
    })
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    t: usize,
    h: usize,
    d_head: usize,
    one_query: bool,
}

fn attend<S: Real>(
    q: &Rc<Slot<S>>,
    k: &Rc<Slot<S>>,
    v: &Rc<Slot<S>>,
    idx: &[u32],
    shape: Shape,
) -> Rc<Slot<S>> {
    let Shape { t, h, d_head, .. } = shape;
    let n = idx.len() / t;
    let mut pattern = Buffer::stale(n * t * h);
    let mut z = Buffer::zeros(n * h * d_head);
    forward(shape, [q.value(), k.value(), v.value()], idx, &mut pattern, &mut z);
    let idx = idx.to_vec();
    Slot::result(z, [q, k, v], move |[q, k, v], _, dz| {
        let zeros = |x: &Slot<S>| Buffer::zeros(x.len());
        let (mut dq, mut dk, mut dv) = (zeros(&q), zeros(&k), zeros(&v));
        let grads = [&mut *dq, &mut *dk, &mut *dv];
        backward(shape, [q.value(), k.value(), v.value()], &idx, &pattern, &dz, grads);
        q.give(dq);
        k.give(dk);
        v.give(dv);
    })
}

/// Fills `pattern [n, t, h]` and adds to a zeroed `z`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn forward<S: Real>(
    Shape { t, h, d_head, one_query }: Shape,
    [q, k, v]: [&[S]; 3],
    idx: &[u32],
    pattern: &mut [S],
    z: &mut [S],
) {
    let d = h * d_head;
    let scale = S::of(1.0 / (d_head as f64).sqrt());
    // With one query, the score of a table row: [m, h].
    let of_pair = if one_query { pair_scores(q, k, h, d_head) } else { Vec::new() };
    let examples =
        idx.chunks_exact(t).zip(pattern.chunks_exact_mut(t * h)).zip(z.chunks_exact_mut(d));
    for (i, ((idx, pattern), z)) in examples.enumerate() {
        for (scores, &j) in pattern.chunks_exact_mut(h).zip(idx) {
            let j = j as usize;
            if one_query {
                scores.copy_from_slice(&of_pair[j * h..][..h]);
            } else {
                for (head, score) in scores.iter_mut().enumerate() {
                    let at = head * d_head;
                    *score = simd::dot(&q[i * d + at..][..d_head], &k[j * d + at..][..d_head]);
                }
            }
        }
        for head in 0..h {
            let mut largest = S::NEG_INFINITY;
            for row in pattern.chunks_exact(h) {
                largest = if row[head] > largest { row[head] } else { largest };
            }
            let mut total = S::ZERO;
            for row in pattern.chunks_exact_mut(h) {
                row[head] = ((row[head] - largest) * scale).exp();
                total += row[head];
            }
            for row in pattern.chunks_exact_mut(h) {
                row[head] = row[head] / total;
            }
        }
        for (weights, &j) in pattern.chunks_exact(h).zip(idx) {
            let values = v[j as usize * d..][..d].chunks_exact(d_head);
            for ((z, p), v) in z.chunks_exact_mut(d_head).zip(weights).zip(values) {
                simd::axpy(z, *p, v);
            }
        }
    }
}

/// Adds to zeroed gradients.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn backward<S: Real>(
    Shape { t, h, d_head, one_query }: Shape,
    [q, k, v]: [&[S]; 3],
    idx: &[u32],
    pattern: &[S],
    dz: &[S],
    [dq, dk, dv]: [&mut [S]; 3],
) {
    let d = h * d_head;
    let scale = S::of(1.0 / (d_head as f64).sqrt());
    let mut of_pair = vec![S::ZERO; if one_query { k.len() / d_head } else { 0 }];
    let mut ds = vec![S::ZERO; t * h];
    let mut mean = vec![S::ZERO; h];
    let examples = idx.chunks_exact(t).zip(pattern.chunks_exact(t * h)).zip(dz.chunks_exact(d));
    for (i, ((idx, pattern), dz)) in examples.enumerate() {
        mean.fill(S::ZERO);
        for ((ds, weights), &j) in ds.chunks_exact_mut(h).zip(pattern.chunks_exact(h)).zip(idx) {
            let at = j as usize * d..j as usize * d + d;
            let values = v[at.clone()].chunks_exact(d_head).zip(dv[at].chunks_exact_mut(d_head));
            let heads = ds.iter_mut().zip(mean.iter_mut()).zip(weights);
            for (((ds, mean), p), (dz, (v, dv))) in heads.zip(dz.chunks_exact(d_head).zip(values)) {
                *ds = simd::dot(dz, v);
                *mean = ds.mul_add(*p, *mean);
                simd::axpy(dv, *p, dz);
            }
        }
        for ((ds, weights), &j) in ds.chunks_exact_mut(h).zip(pattern.chunks_exact(h)).zip(idx) {
            let j = j as usize;
            for (head, ((ds, p), mean)) in ds.iter_mut().zip(weights).zip(&mean).enumerate() {
                *ds = *p * (*ds - *mean) * scale;
                if one_query {
                    of_pair[j * h + head] += *ds;
                } else {
                    let (here, there) = (i * d + head * d_head, j * d + head * d_head);
                    simd::axpy(&mut dq[here..][..d_head], *ds, &k[there..][..d_head]);
                    simd::axpy(&mut dk[there..][..d_head], *ds, &q[here..][..d_head]);
                }
            }
        }
    }
    if one_query {
        let rows = k.chunks_exact(d).zip(dk.chunks_exact_mut(d)).zip(of_pair.chunks_exact(h));
        for ((k, dk), ds) in rows {
            for (head, ds) in ds.iter().enumerate() {
                let at = head * d_head..(head + 1) * d_head;
                simd::axpy(&mut dk[at.clone()], *ds, &q[at.clone()]);
                simd::axpy(&mut dq[at.clone()], *ds, &k[at]);
            }
        }
    }
}

#[inline(always)]
fn pair_scores<S: Real>(q: &[S], k: &[S], h: usize, d_head: usize) -> Vec<S> {
    let mut scores = Vec::with_capacity(k.len() / d_head);
    for k in k.chunks_exact(h * d_head) {
        for (q, k) in q.chunks_exact(d_head).zip(k.chunks_exact(d_head)) {
            scores.push(simd::dot(q, k));
        }
    }
    scores
}
