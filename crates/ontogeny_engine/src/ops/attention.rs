//! Causal attention that can show its pattern.
//!
//! The pattern is materialised: probes read it, and the backward pass needs it. Short contexts are computed
//! by plain loops, long ones by matrix products over blocks of queries that skip the masked keys.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{Int, Tensor, TensorData, activation::softmax};

use super::attention_kernels::{Dims, backward, forward};
#[cfg(feature = "composite")]
use crate::var::{constant, device};
use crate::{
    Table, Var,
    host::{Buffer, Real, Slot},
    var::dispatch,
};

/// How rows are read as examples, positions and heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Positions per example.
    pub n_ctx: usize,
    /// Attention heads; the width of a row is `n_heads * d_head`.
    pub n_heads: usize,
}

/// What attention returns.
#[derive(Debug, Clone)]
pub struct Attended {
    /// The heads' outputs side by side, `[n * n_ctx, n_heads * d_head]`.
    pub z: Var<2>,
    /// The pattern, row `((example * n_heads) + head) * n_ctx + query`, one column per key; if asked for.
    pub pattern: Option<Table>,
}

/// Causal softmax attention with scores `q_i . (k_j + r_{i-j}) / sqrt(d_head)` for `j <= i`.
///
/// # Shapes
/// - `q`, `k`, `v`: `[n * n_ctx, n_heads * d_head]`.
/// - `relative`: keys of relative positions, `[n_max, n_heads * d_head]` with `n_max >= n_ctx`, row `i - j`.
///
/// # Panics
/// If the shapes do not fit.
pub fn causal_attention(
    q: &Var<2>,
    k: &Var<2>,
    v: &Var<2>,
    heads: Heads,
    relative: Option<&Var<2>>,
    with_pattern: bool,
) -> Attended {
    let Heads { n_ctx: t, n_heads: h } = heads;
    let [rows, d] = q.dims;
    assert!(k.dims == [rows, d] && v.dims == [rows, d], "q, k and v have one shape");
    assert!(
        t > 0 && h > 0 && rows % t == 0 && d % h == 0,
        "[{rows}, {d}] is not {t} positions by {h} heads"
    );
    if let Some([n_max, d_r]) = relative.map(|r| r.dims) {
        assert!(n_max >= t && d_r == d, "relative keys [{n_max}, {d_r}] for {t} of width {d}");
    }
    let dims = Dims { n: rows / t, t, h, d_head: d / h };
    dispatch!(q,
        x => {
            let r = relative.map(|r| r.like(x));
            let (z, pattern) = attend(x, k.like(x), v.like(x), r, dims, with_pattern);
            Attended { z: Var::host(z, [rows, d]), pattern }
        },
        x => composite(x, &k.tensor(), &v.tensor(), relative.map(Var::tensor), dims, with_pattern))
}

fn attend<S: Real>(
    q: &Rc<Slot<S>>,
    k: &Rc<Slot<S>>,
    v: &Rc<Slot<S>>,
    r: Option<&Rc<Slot<S>>>,
    dims: Dims,
    with_pattern: bool,
) -> (Rc<Slot<S>>, Option<Table>) {
    let Dims { n, t, h, .. } = dims;
    // Without relative keys an untracked empty slot stands in, so that one backward rule serves both.
    let r = r.map_or_else(|| Slot::constant(Buffer::stale(0)), Rc::clone);
    let mut z = Buffer::stale(q.len());
    let mut pattern = Buffer::stale(n * h * t * t);
    forward(dims, q.value(), k.value(), v.value(), r.value(), &mut pattern, &mut z);
    let table = with_pattern.then(|| {
        let values = pattern.iter().map(|p| p.f64() as f32).collect();
        Table::new(n * h * t, t, values)
    });
    let z = Slot::result(z, [q, k, v, &r], move |[q, k, v, r], _, dz| {
        let grads = backward(
            dims,
            [q.value(), k.value(), v.value(), r.value()],
            &pattern,
            &dz,
            r.is_tracked(),
        );
        let [dq, dk, dv, dr] = grads;
        q.give(dq);
        k.give(dk);
        v.give(dv);
        if r.is_tracked() {
            r.give(dr);
        }
    });
    (z, table)
}

#[cfg(feature = "composite")]
fn composite(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    relative: Option<Tensor<2>>,
    Dims { n, t, h, d_head }: Dims,
    with_pattern: bool,
) -> Attended {
    let d = h * d_head;
    let split = |x: &Tensor<2>| x.clone().reshape([n, t, h, d_head]).swap_dims(1, 2);
    let query = split(q);
    let mut scores = query.clone().matmul(split(k).swap_dims(2, 3));
    if let Some(r) = relative {
        let keys = r.slice([0..t, 0..d]).reshape([1, t, h, d_head]);
        let by_distance = query.matmul(keys.swap_dims(1, 2).swap_dims(2, 3));
        let distance: Vec<i64> =
            (0..t * t).map(|i| (i / t).saturating_sub(i % t).cast_signed() as i64).collect();
        let distance =
            Tensor::<4, Int>::from_data(TensorData::new(distance, [1, 1, t, t]), &device(q));
        scores = scores + by_distance.gather(3, distance.expand([n, h, t, t]));
    }
    let mask: Vec<f32> =
        (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    let scores = scores.mul_scalar(1.0 / (d_head as f64).sqrt()) + constant(q, mask, [1, 1, t, t]);
    let pattern = softmax(scores, 3);
    let z = pattern.clone().matmul(split(v)).swap_dims(1, 2).reshape([n * t, d]);
    let pattern = with_pattern.then(|| Var::of(pattern.reshape([n * h * t, t])).to_table());
    Attended { z: Var::of(z), pattern }
}
