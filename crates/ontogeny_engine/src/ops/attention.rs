//! Causal attention that can show its pattern.

use burn::tensor::{Int, Tensor, TensorData, activation::softmax};

use crate::{Table, Var};

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
    let [rows, d] = q.dims();
    assert!(k.dims() == [rows, d] && v.dims() == [rows, d], "q, k and v have one shape");
    assert!(rows % t == 0 && d % h == 0, "[{rows}, {d}] is not {t} positions by {h} heads");
    let (n, d_head) = (rows / t, d / h);
    let split = |x: &Var<2>| x.tensor.clone().reshape([n, t, h, d_head]).swap_dims(1, 2);
    let query = split(q);
    let mut scores = query.clone().matmul(split(k).swap_dims(2, 3));
    if let Some(r) = relative {
        let [n_max, d_r] = r.dims();
        assert!(
            n_max >= t && d_r == d,
            "relative keys [{n_max}, {d_r}] for {t} positions of width {d}"
        );
        let keys = r.tensor.clone().slice([0..t, 0..d]).reshape([1, t, h, d_head]);
        let by_distance = query.matmul(keys.swap_dims(1, 2).swap_dims(2, 3));
        let distance: Vec<i64> = (0..t * t).map(|i| (i / t).saturating_sub(i % t) as i64).collect();
        let distance =
            Tensor::<4, Int>::from_data(TensorData::new(distance, [1, 1, t, t]), &q.device());
        scores = scores + by_distance.gather(3, distance.expand([n, h, t, t]));
    }
    let mask: Vec<f32> =
        (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    let scores = scores.mul_scalar(1.0 / (d_head as f64).sqrt()) + q.constant(mask, [1, 1, t, t]);
    let pattern = softmax(scores, 3);
    let z = pattern.clone().matmul(split(v)).swap_dims(1, 2).reshape([rows, d]);
    let pattern = with_pattern.then(|| Var::of(pattern.reshape([n * h * t, t])).to_table());
    Attended { z: Var::of(z), pattern }
}
