//! The real Fourier basis of the residues modulo an odd number, and how concentrated a spectrum is.
//!
//! Source: Nanda et al. 2023 (arXiv:2301.05217), App. A; the Gini coefficient as in their Sec. 5.

use crate::ProbeError;

/// Orthonormal: rows `1/sqrt(p)`, then for k = 1..=(p-1)/2 `sqrt(2/p) cos(2 pi k x/p)`, `sqrt(2/p) sin(2 pi k x/p)`.
#[derive(Debug, Clone, PartialEq)]
pub struct FourierBasis {
    p: usize,
    rows: Vec<f32>,
    cosines: Vec<f64>,
    sines: Vec<f64>,
}

impl FourierBasis {
    /// The basis for the modulus `p`.
    ///
    /// # Panics
    /// If `p` is even or below 3: then cosines and sines do not pair up.
    pub fn new(p: usize) -> Self {
        assert!(
            p >= 3 && !p.is_multiple_of(2),
            "the basis needs an odd modulus of at least 3, not {p}"
        );
        let angle = |j: usize| std::f64::consts::TAU * j as f64 / p as f64;
        let cosines: Vec<f64> = (0..p).map(|j| angle(j).cos()).collect();
        let sines: Vec<f64> = (0..p).map(|j| angle(j).sin()).collect();
        let mut rows = vec![(1.0 / p as f64).sqrt() as f32; p];
        let scale = (2.0 / p as f64).sqrt();
        rows.reserve(p * (p - 1));
        for k in 1..=p / 2 {
            for table in [&cosines, &sines] {
                // k x mod p, without a division for each.
                let mut at = 0;
                rows.extend((0..p).map(|_| {
                    let value = (scale * table[at]) as f32;
                    at += k;
                    at -= if at >= p { p } else { 0 };
                    value
                }));
            }
        }
        Self { p, rows, cosines, sines }
    }

    /// The modulus.
    pub fn p(&self) -> usize {
        self.p
    }

    /// Frequencies: (p-1)/2.
    pub fn n_frequencies(&self) -> usize {
        self.p / 2
    }

    /// The basis, `[p, p]`, one vector a row.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// `cos(2 pi k x / p)`, not normalized.
    pub fn cos(&self, k: usize, x: usize) -> f64 {
        self.cosines[k * x % self.p]
    }

    /// `sin(2 pi k x / p)`, not normalized.
    pub fn sin(&self, k: usize, x: usize) -> f64 {
        self.sines[k * x % self.p]
    }

    /// The norm of each frequency's two rows, from the sums of squares of all `p` rows of a transformed table.
    ///
    /// # Panics
    /// If there are not `p` sums.
    pub fn norms(&self, sq_rows: &[f64]) -> Vec<f64> {
        assert_eq!(sq_rows.len(), self.p, "one sum of squares for every row of the basis");
        sq_rows[1..].as_chunks::<2>().0.iter().map(|[c, s]| (c + s).sqrt()).collect()
    }
}

/// The Gini coefficient of values that are not negative: 0 if all are equal, (n-1)/n if one has everything.
///
/// `2 sum_i i x_(i) / (n sum x) - (n+1)/n` with x ascending. `None` if the values are empty, all zero or not finite.
pub fn gini(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    if !sum.is_finite() || sum <= 0.0 {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let weighted: f64 = sorted.iter().zip(1..).map(|(x, i)| f64::from(i) * x).sum();
    Some(2.0 * weighted / (n * sum) - (n + 1.0) / n)
}

/// The share of power (squared norm) that the `top` strongest frequencies hold; `None` if there is no power.
pub fn top_power_share(norms: &[f64], top: usize) -> Option<f64> {
    let mut power: Vec<f64> = norms.iter().map(|n| n * n).collect();
    let sum: f64 = power.iter().sum();
    if !sum.is_finite() || sum <= 0.0 {
        return None;
    }
    power.sort_by(|a, b| b.total_cmp(a));
    Some(power.iter().take(top).sum::<f64>() / sum)
}

/// The value, or a reason why there is none.
pub(crate) fn defined(value: Option<f64>, what: &str) -> Result<f64, ProbeError> {
    value.ok_or_else(|| ProbeError::Undefined { what: what.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::dot;
    use proptest::prelude::*;

    #[test]
    fn the_basis_is_orthonormal() {
        for p in [3, 5, 31, 53] {
            let basis = FourierBasis::new(p);
            let rows: Vec<&[f32]> = basis.rows().chunks(p).collect();
            assert_eq!(rows.len(), p);
            for i in 0..p {
                for j in 0..p {
                    // f32 entries: p products, each to 6e-8.
                    assert!((dot(rows[i], rows[j]) - f64::from(u8::from(i == j))).abs() < 1e-6);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_transform_keeps_the_energy(x in prop::collection::vec(-10.0_f32..10.0, 31)) {
            let basis = FourierBasis::new(31);
            let energy: f64 = basis.rows().chunks(31).map(|row| dot(row, &x).powi(2)).sum();
            let expected = dot(&x, &x);
            prop_assert!((energy - expected).abs() <= 1e-6 * expected.max(1.0));
        }

        #[test]
        fn gini_is_independent_of_scale_and_order(mut x in prop::collection::vec(0.0_f64..10.0, 1..40), scale in 0.1_f64..10.0) {
            prop_assume!(x.iter().sum::<f64>() > 0.0);
            let g = gini(&x).unwrap();
            x.reverse();
            for v in &mut x {
                *v *= scale;
            }
            prop_assert!((gini(&x).unwrap() - g).abs() < 1e-12);
            prop_assert!((-1e-12..1.0).contains(&g));
        }
    }

    #[test]
    fn gini_is_zero_for_uniform_and_almost_one_for_a_spike() {
        assert!(gini(&[2.0; 26]).unwrap().abs() < 1e-12);
        let mut spike = [0.0; 26];
        spike[7] = 3.0;
        assert!((gini(&spike).unwrap() - 25.0 / 26.0).abs() < 1e-12);
        assert_eq!((gini(&[]), gini(&[0.0]), gini(&[f64::NAN, 1.0])), (None, None, None));
    }

    #[test]
    fn the_strongest_frequencies_share_the_power() {
        assert_eq!(top_power_share(&[1.0, 2.0, 1.0], 1), Some(4.0 / 6.0));
        assert_eq!(top_power_share(&[1.0; 3], 5), Some(1.0));
        assert_eq!(top_power_share(&[0.0; 3], 5), None);
    }
}
