//! Attention read at one position only, with keys and values computed once per distinct input.
//!
//! When the layer's input is only embedding plus position, its keys and values depend on the (token,
//! position) pair alone, of which there are far fewer than (example, position) pairs: `p` against `p²`
//! on modular arithmetic. The tables hold the distinct pairs, `idx` says which pair stands where, and no
//! row is ever recomputed.

use burn::tensor::activation::softmax;

use crate::Var;

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
    let ([nq, d], [m, dk]) = (q.dims(), k.dims());
    let n = idx.len() / t;
    assert!(n * t == idx.len() && (nq == n || nq == 1), "{nq} queries for {n} examples");
    assert!(dk == d && v.dims() == [m, d] && d % n_heads == 0, "tables [{m}, {dk}] for width {d}");
    assert!(idx.iter().all(|&i| (i as usize) < m), "an index is outside a table of {m} rows");
    let (h, d_head) = (n_heads, d / n_heads);
    let idx = q.ints(idx);
    let rows = |x: &Var<2>| x.tensor.clone().select(0, idx.clone()).reshape([n, t, h, d_head]);
    let query = q.tensor.clone().reshape([nq, 1, h, d_head]);
    let scores = (rows(k) * query).sum_dim(3).mul_scalar(1.0 / (d_head as f64).sqrt());
    let weighted = rows(v) * softmax(scores, 1);
    Var::of(weighted.sum_dim(1).reshape([n, d]))
}
