//! Small numerical tools: special functions, linear algebra, minimization.

pub(crate) mod linear;
pub(crate) mod minimize;
pub(crate) mod scoring;
pub(crate) mod special;

/// Arithmetic mean; `None` of nothing.
pub(crate) fn mean(x: &[f64]) -> Option<f64> {
    (!x.is_empty()).then(|| x.iter().sum::<f64>() / x.len() as f64)
}

/// Sample variance with `n - 1`; `None` below two values.
pub(crate) fn variance(x: &[f64]) -> Option<f64> {
    let m = mean(x)?;
    (x.len() > 1).then(|| x.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (x.len() - 1) as f64)
}

/// The `q` quantile of `x`, by linear interpolation of order statistics at `(n - 1) q` (type 7).
pub(crate) fn quantile(x: &[f64], q: f64) -> Option<f64> {
    let mut v = x.to_vec();
    v.sort_by(f64::total_cmp);
    quantile_sorted(&v, q)
}

/// [`quantile`] of values already in order.
pub(crate) fn quantile_sorted(v: &[f64], q: f64) -> Option<f64> {
    let at = (v.len().checked_sub(1)?) as f64 * q.clamp(0.0, 1.0);
    let i = at.floor() as usize;
    let above = v[(i + 1).min(v.len() - 1)];
    Some(v[i] + (at - i as f64) * (above - v[i]))
}

/// The middle value.
pub(crate) fn median(x: &[f64]) -> Option<f64> {
    quantile(x, 0.5)
}

/// Median absolute deviation from the median, unscaled.
pub(crate) fn mad(x: &[f64]) -> Option<f64> {
    let m = median(x)?;
    median(&x.iter().map(|v| (v - m).abs()).collect::<Vec<_>>())
}

/// `ln(p / (1 - p))` with `p` kept inside `[1e-3, 1 - 1e-3]`: one error in a thousand examples.
pub(crate) fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-3, 1.0 - 1e-3);
    (p / (1.0 - p)).ln()
}

/// `1 / (1 + exp(-x))`.
pub(crate) fn logistic(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}
