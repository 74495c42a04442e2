//! Logarithms of sums of exponentials: the form in which loss laws are fitted.

use super::data::Data;
use super::lanes::{LANES, Lanes, exp, ln};
use multiversion::multiversion;

/// `ln Σ exp(terms)` and the share of each term in the sum.
pub(super) fn ln_sum_exp<const K: usize>(terms: &[f64; K]) -> (f64, [f64; K]) {
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts = terms.map(|t| (t - top).exp());
    let sum: f64 = parts.iter().sum();
    (top + sum.ln(), parts.map(|p| p / sum))
}

/// The objective of `exp(a - alpha x0) + exp(b - beta x1) + exp(e)` and its gradient over
/// `[a, b, e, alpha, beta]`: value and gradient in one pass, two exponentials and one logarithm a point.
pub(super) fn two_powers_and_a_floor(data: &Data, delta: f64, t: &[f64; 5]) -> (f64, [f64; 5]) {
    let sums = kernel(&data.x[0], &data.x[1], &data.y, &data.w, delta, t);
    // Lanes are added in a fixed order.
    let [value, a, b, e, alpha, beta] = sums.map(|lanes| lanes.iter().sum::<f64>());
    let value = if value.is_finite() { value } else { f64::INFINITY };
    (value, [a, b, e, -alpha, -beta])
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn kernel(x0: &[f64], x1: &[f64], y: &[f64], w: &[f64], delta: f64, t: &[f64; 5]) -> [Lanes; 6] {
    let mut sums = [[0.0; LANES]; 6];
    let floor = exp(t[2]);
    let blocks = x0.as_chunks::<LANES>().0.iter().zip(x1.as_chunks::<LANES>().0);
    let targets = y.as_chunks::<LANES>().0.iter().zip(w.as_chunks::<LANES>().0);
    for ((x0, x1), (y, w)) in blocks.zip(targets) {
        let (mut pa, mut pb, mut r, mut inverse) =
            ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            pa[i] = exp(t[0] - t[3] * x0[i]);
        }
        for i in 0..LANES {
            pb[i] = exp(t[1] - t[4] * x1[i]);
        }
        for i in 0..LANES {
            let sum = pa[i] + pb[i] + floor;
            inverse[i] = 1.0 / sum;
            r[i] = ln(sum) - y[i];
        }
        for i in 0..LANES {
            let psi = r[i].max(-delta).min(delta);
            let force = w[i] * psi;
            sums[0][i] += force * (r[i] - 0.5 * psi);
            let g = force * inverse[i];
            let (ga, gb) = (g * pa[i], g * pb[i]);
            sums[1][i] += ga;
            sums[2][i] += gb;
            sums[3][i] += g * floor;
            sums[4][i] += ga * x0[i];
            sums[5][i] += gb * x1[i];
        }
    }
    sums
}
