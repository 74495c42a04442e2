//! Singular values of a small matrix, and the effective rank they give.
//!
//! The smaller Gram matrix in `f64`, reduced to tridiagonal form by Householder reflections, then the
//! implicit QL iteration on the values alone (EISPACK tred1 and imtql1). Squaring the condition number costs
//! nothing here: the input is `f32`, whose own rounding hides singular values below 1e-7 of the largest, and
//! the Gram matrix in `f64` is good to 1e-8. So no linear-algebra library is needed for two small tables.
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::{
    lanes::{dispatch, dot_f64},
    observation::Matrix,
};

/// Singular values, largest first; `None` if an entry is not finite.
pub fn singular_values(matrix: &Matrix<'_>) -> Option<Vec<f64>> {
    let (r, c) = (matrix.n_rows, matrix.n_columns);
    let n = r.min(c);
    // Rows of the wide orientation, in f64.
    let mut wide = vec![0.0; r * c];
    let len = r.max(c);
    for (i, row) in matrix.values.chunks_exact(c).enumerate() {
        for (j, &v) in row.iter().enumerate() {
            wide[if r <= c { i * len + j } else { j * len + i }] = f64::from(v);
        }
    }
    let mut gram = vec![0.0; n * n];
    dispatch(
        #[inline(always)]
        || {
            for i in 0..n {
                for j in 0..=i {
                    let g = dot_f64(&wide[i * len..][..len], &wide[j * len..][..len]);
                    gram[i * n + j] = g;
                    gram[j * n + i] = g;
                }
            }
        },
    );
    if gram.iter().any(|g| !g.is_finite()) {
        return None;
    }
    let mut values = symmetric_eigenvalues(gram, n)?;
    for v in &mut values {
        *v = v.max(0.0).sqrt();
    }
    values.sort_by(|a, b| b.total_cmp(a));
    Some(values)
}

/// Effective rank `exp(-sum p_i ln p_i)` with `p_i = s_i / sum s + 1e-7` (RankMe, arXiv:2210.02885); the matrix is
/// not centred. `None` if all singular values are zero.
pub fn effective_rank(singular_values: &[f64]) -> Option<f64> {
    let sum: f64 = singular_values.iter().sum();
    if !sum.is_finite() || sum <= 0.0 {
        return None;
    }
    let entropy: f64 = singular_values
        .iter()
        .map(|s| {
            let p = s / sum + 1e-7;
            -p * p.ln()
        })
        .sum();
    Some(entropy.exp())
}

/// Eigenvalues of a symmetric matrix, in no order; `None` if the iteration does not settle.
fn symmetric_eigenvalues(mut a: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let (mut diagonal, mut off) = dispatch(
        #[inline(always)]
        || tridiagonal(&mut a, n),
    );
    for l in 0..n {
        let mut sweeps = 0;
        loop {
            // The first negligible off-diagonal element at or after l splits the matrix.
            let m = (l..n - 1)
                .find(|&m| {
                    let scale = diagonal[m].abs() + diagonal[m + 1].abs();
                    off[m].abs() <= f64::EPSILON * scale
                })
                .unwrap_or(n - 1);
            if m == l {
                break;
            }
            sweeps += 1;
            if sweeps > 60 {
                return None;
            }
            let mut g = (diagonal[l + 1] - diagonal[l]) / (2.0 * off[l]);
            let r = g.hypot(1.0);
            g = diagonal[m] - diagonal[l] + off[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (s * off[i], c * off[i]);
                let r = (f * f + g * g).sqrt();
                off[i + 1] = r;
                if r == 0.0 {
                    diagonal[i + 1] -= p;
                    off[m] = 0.0;
                    split = true;
                    break;
                }
                s = f / r;
                c = g / r;
                g = diagonal[i + 1] - p;
                let t = (diagonal[i] - g) * s + 2.0 * c * b;
                p = s * t;
                diagonal[i + 1] = g + p;
                g = c * t - b;
            }
            if !split {
                diagonal[l] -= p;
                off[l] = g;
                off[m] = 0.0;
            }
        }
    }
    Some(diagonal)
}

/// Householder's reduction: the diagonal, and the elements beside it with one spare place at the end.
#[inline(always)]
fn tridiagonal(a: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut off, mut v, mut w) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    // Column k is cleared below its second element; the trailing block is kept full, so rows stay contiguous.
    for k in 0..n.saturating_sub(2) {
        let below = k + 1;
        let len = n - below;
        v[..len].copy_from_slice(&a[k * n + below..k * n + n]);
        let norm = dot_f64(&v[..len], &v[..len]).sqrt();
        if norm == 0.0 {
            continue;
        }
        let alpha = -norm.copysign(v[0]);
        off[k] = alpha;
        v[0] -= alpha;
        let beta = 2.0 / dot_f64(&v[..len], &v[..len]);
        for (i, w) in w[..len].iter_mut().enumerate() {
            *w = beta * dot_f64(&a[(below + i) * n + below..][..len], &v[..len]);
        }
        let half = 0.5 * beta * dot_f64(&w[..len], &v[..len]);
        for (w, v) in w[..len].iter_mut().zip(&v) {
            *w -= half * v;
        }
        for i in 0..len {
            let (vi, wi) = (v[i], w[i]);
            let row = &mut a[(below + i) * n + below..][..len];
            for ((x, vj), wj) in row.iter_mut().zip(&v[..len]).zip(&w[..len]) {
                *x -= vi * wj + wi * vj;
            }
        }
    }
    if n >= 2 {
        off[n - 2] = a[(n - 2) * n + n - 1];
    }
    ((0..n).map(|i| a[i * n + i]).collect(), off)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    fn of(n_rows: usize, n_columns: usize, values: &[f32]) -> Matrix<'_> {
        Matrix { name: "test", n_rows, n_columns, values }
    }

    fn gaussian(stream: &str, n: usize) -> Vec<f32> {
        let draws = Philox::new(0, stream).at(0);
        (0..n as u64).map(|i| draws.normal(i) as f32).collect()
    }

    #[test]
    fn finds_the_singular_values_of_a_diagonal() {
        let mut m = vec![0.0; 4 * 6];
        for (i, s) in [3.0, 0.0, 5.0, 1.0].into_iter().enumerate() {
            m[i * 6 + i] = s;
        }
        let s = singular_values(&of(4, 6, &m)).unwrap();
        assert!(s.iter().zip([5.0, 3.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{s:?}");
    }

    #[test]
    fn keeps_trace_and_energy_of_a_random_matrix_in_either_orientation() {
        let m = gaussian("svd", 53 * 64);
        let mut t = vec![0.0; 53 * 64];
        for i in 0..53 {
            for j in 0..64 {
                t[j * 53 + i] = m[i * 64 + j];
            }
        }
        let (s, st) =
            (singular_values(&of(53, 64, &m)).unwrap(), singular_values(&of(64, 53, &t)).unwrap());
        assert_eq!(s.len(), 53);
        assert!(s.iter().zip(&st).all(|(a, b)| (a - b).abs() < 1e-10));
        let energy: f64 = m.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        assert!((s.iter().map(|s| s * s).sum::<f64>() / energy - 1.0).abs() < 1e-12);
        // Fourth moments: the squared Frobenius norm of the Gram matrix.
        let mut fourth = 0.0;
        for i in 0..53 {
            for j in 0..53 {
                fourth += crate::lanes::dot(&m[i * 64..][..64], &m[j * 64..][..64]).powi(2);
            }
        }
        assert!((s.iter().map(|s| s.powi(4)).sum::<f64>() / fourth - 1.0).abs() < 1e-12);
    }

    #[test]
    fn effective_rank_of_an_isotropic_table_is_its_width() {
        let d = 40;
        let mut m = vec![0.0; d * d];
        for i in 0..d {
            m[i * d + i] = 2.0;
        }
        let rank = effective_rank(&singular_values(&of(d, d, &m)).unwrap()).unwrap();
        assert!((rank - d as f64).abs() < 1e-3 * d as f64, "{rank}");
    }

    #[test]
    fn effective_rank_of_planted_rank_is_that_rank() {
        // Three orthogonal directions of equal strength in 50 by 64.
        let mut m = vec![0.0_f32; 50 * 64];
        for i in 0..3 {
            m[i * 64 + 5 * i] = 4.0;
        }
        let rank = effective_rank(&singular_values(&of(50, 64, &m)).unwrap()).unwrap();
        // The offset 1e-7 in each of 50 p_i adds 8e-5 in all.
        assert!((rank - 3.0).abs() < 1e-3, "{rank}");
    }

    #[test]
    fn what_has_no_rank_gets_none() {
        assert_eq!(effective_rank(&[0.0, 0.0]), None);
        assert_eq!(singular_values(&of(1, 2, &[f32::NAN, 1.0])), None);
        assert_eq!(singular_values(&of(1, 2, &[3.0, 4.0])), Some(vec![5.0]));
    }
}
