//! Products with a matrix of a few columns: the readout of a binary or four-way classifier.
//!
//! A general product packs blocks for a register tile as wide as a vector; with two columns most of the tile
//! is empty and the packing costs more than the product. Here every row of `x` is read once, in order, against
//! all columns. Sums run over sixteen fixed partial sums (forward) or over rows in order (backward), so the
//! bits depend on nothing but the operands.

use multiversion::multiversion;

use crate::host::Real;

/// Columns up to which these kernels are used.
pub(crate) const WIDEST: usize = 4;

/// Partial sums of a dot product.
const LANES: usize = 16;

/// `y = x w` for `x [n, d]`, `w [d, c]`, `c` at most [`WIDEST`].
pub(crate) fn product<S: Real>(x: &[S], w: &[S], y: &mut [S], c: usize) {
    let w = columns(w, c);
    match c {
        1 => forward::<S, 1>(x, &w, y),
        2 => forward::<S, 2>(x, &w, y),
        3 => forward::<S, 3>(x, &w, y),
        _ => forward::<S, 4>(x, &w, y),
    }
}

/// `dx (+)= dy wᵀ`.
pub(crate) fn to_inputs<S: Real>(dy: &[S], w: &[S], dx: &mut [S], c: usize, is_sum: bool) {
    let w = columns(w, c);
    match c {
        1 => inputs::<S, 1>(dy, &w, dx, is_sum),
        2 => inputs::<S, 2>(dy, &w, dx, is_sum),
        3 => inputs::<S, 3>(dy, &w, dx, is_sum),
        _ => inputs::<S, 4>(dy, &w, dx, is_sum),
    }
}

/// `dw (+)= xᵀ dy`.
pub(crate) fn to_weights<S: Real>(x: &[S], dy: &[S], dw: &mut [S], c: usize, is_sum: bool) {
    let d = dw.len() / c;
    let mut sums = vec![S::ZERO; dw.len()];
    match c {
        1 => weights::<S, 1>(x, dy, &mut sums, d),
        2 => weights::<S, 2>(x, dy, &mut sums, d),
        3 => weights::<S, 3>(x, dy, &mut sums, d),
        _ => weights::<S, 4>(x, dy, &mut sums, d),
    }
    for (i, row) in dw.chunks_exact_mut(c).enumerate() {
        for (o, v) in row.iter_mut().enumerate() {
            let sum = sums[o * d + i];
            *v = if is_sum { *v + sum } else { sum };
        }
    }
}

/// The columns of `w`, one after another.
fn columns<S: Real>(w: &[S], c: usize) -> Vec<S> {
    (0..c).flat_map(|o| w.iter().skip(o).step_by(c).copied()).collect()
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn forward<S: Real, const C: usize>(x: &[S], w: &[S], y: &mut [S]) {
    let d = w.len() / C;
    let whole = d / LANES * LANES;
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(C)) {
        let mut partial = [[S::ZERO; LANES]; C];
        for (b, x) in x[..whole].chunks_exact(LANES).enumerate() {
            for (o, p) in partial.iter_mut().enumerate() {
                let w = &w[o * d + b * LANES..][..LANES];
                for l in 0..LANES {
                    p[l] = x[l].mul_add(w[l], p[l]);
                }
            }
        }
        for (o, (y, p)) in y.iter_mut().zip(&partial).enumerate() {
            let rest = x[whole..].iter().zip(&w[o * d + whole..]);
            let sum = p.iter().fold(S::ZERO, |s, v| s + *v);
            *y = rest.fold(sum, |s, (x, w)| x.mul_add(*w, s));
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn inputs<S: Real, const C: usize>(dy: &[S], w: &[S], dx: &mut [S], is_sum: bool) {
    let d = w.len() / C;
    for (dy, dx) in dy.chunks_exact(C).zip(dx.chunks_exact_mut(d)) {
        for (i, v) in dx.iter_mut().enumerate() {
            let mut sum = if is_sum { *v } else { S::ZERO };
            for o in 0..C {
                sum = dy[o].mul_add(w[o * d + i], sum);
            }
            *v = sum;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn weights<S: Real, const C: usize>(x: &[S], dy: &[S], sums: &mut [S], d: usize) {
    for (x, dy) in x.chunks_exact(d).zip(dy.chunks_exact(C)) {
        for (o, sums) in sums.chunks_exact_mut(d).enumerate() {
            let g = dy[o];
            for (s, x) in sums.iter_mut().zip(x) {
                *s = x.mul_add(g, *s);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Mat, gemm};

    fn numbers(n: usize, at: f64) -> Vec<f64> {
        (0..n).map(|i| ((i as f64 + at) * 0.7).sin()).collect()
    }

    fn near(a: &[f64], b: &[f64]) {
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn say_what_the_general_product_says() {
        for c in 1..=WIDEST {
            for (n, d) in [(1, 1), (5, 16), (7, 37)] {
                let (x, w, dy) = (numbers(n * d, 1.0), numbers(d * c, 2.0), numbers(n * c, 3.0));
                let (xm, wm, dm) = (Mat::new(&x, d), Mat::new(&w, c), Mat::new(&dy, c));
                let (mut a, mut b) = (vec![0.0; n * c], vec![9.0; n * c]);
                gemm([n, c, d], xm, wm, &mut a, c, false);
                product(&x, &w, &mut b, c);
                near(&a, &b);
                for is_sum in [false, true] {
                    let (mut a, mut b) = (numbers(n * d, 4.0), numbers(n * d, 4.0));
                    gemm([n, d, c], dm, wm.t(), &mut a, d, is_sum);
                    to_inputs(&dy, &w, &mut b, c, is_sum);
                    near(&a, &b);
                    let (mut a, mut b) = (numbers(d * c, 5.0), numbers(d * c, 5.0));
                    gemm([d, c, n], xm.t(), dm, &mut a, c, is_sum);
                    to_weights(&x, &dy, &mut b, c, is_sum);
                    near(&a, &b);
                }
            }
        }
    }
}
