//! Logarithms of sums of exponentials: the form in which loss laws are fitted.

use super::data::Data;
use super::lanes::{LANES, Lanes, exp, ln_and_inverse};
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

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn kernel(x0: &[f64], x1: &[f64], y: &[f64], w: &[f64], delta: f64, t: &[f64; 5]) -> [Lanes; 6] {
    let mut sums = [[0.0; LANES]; 6];
    let floor = exp(t[2]);
    let blocks = x0.as_chunks::<LANES>().0.iter().zip(x1.as_chunks::<LANES>().0);
    let targets = y.as_chunks::<LANES>().0.iter().zip(w.as_chunks::<LANES>().0);
    for ((x0, x1), (y, w)) in blocks.zip(targets) {
        let (mut pa, mut pb, mut r, mut inverse) =
            ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            pa[i] = exp(x0[i].mul_add(-t[3], t[0]));
        }
        for i in 0..LANES {
            pb[i] = exp(x1[i].mul_add(-t[4], t[1]));
        }
        for i in 0..LANES {
            let sum = pa[i] + pb[i] + floor;
            let (ln, one_over) = ln_and_inverse(sum);
            inverse[i] = one_over;
            r[i] = ln - y[i];
        }
        for i in 0..LANES {
            let psi = if r[i] > -delta { r[i] } else { -delta };
            let psi = if psi < delta { psi } else { delta };
            let force = w[i] * psi;
            sums[0][i] = psi.mul_add(-0.5, r[i]).mul_add(force, sums[0][i]);
            let g = force * inverse[i];
            let (ga, gb) = (g * pa[i], g * pb[i]);
            sums[1][i] += ga;
            sums[2][i] += gb;
            sums[3][i] = g.mul_add(floor, sums[3][i]);
            sums[4][i] = ga.mul_add(x0[i], sums[4][i]);
            sums[5][i] = gb.mul_add(x1[i], sums[5][i]);
        }
    }
    sums
}
