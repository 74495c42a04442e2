//! Stacking: weights of a mixture that minimize its CRPS on readings that came later (E2).
//!
//! The CRPS of a mixture of normals is a quadratic form in its weights: `Σ w_i E|X_i - y| - ½ Σ w_i w_j E|X_i -
//! X_j|`. It is minimized over the simplex by exponentiated gradients from the prior weights, with a
//! penalty for leaving these (relative entropy), so that a few readings do not silence a family. Sources: Gneiting and Raftery 2007; Yao et al. 2018.

use crate::math::linear::dot;
use crate::math::special::{normal_cdf, normal_pdf};

/// Steps of the exponentiated gradient.
const STEPS: usize = 150;
/// Weight of the relative entropy, in units of the score of the best single family.
const PENALTY: f64 = 0.2;

/// The quadratic form, summed over outcomes.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    miss: Vec<f64>,
    apart: Vec<Vec<f64>>,
    total: f64,
}

impl Pairs {
    pub(crate) fn new(n: usize) -> Self {
        Self { miss: vec![0.0; n], apart: vec![vec![0.0; n]; n], total: 0.0 }
    }

    /// Adds an outcome, of which each family said a mean and a variance.
    pub(crate) fn add(&mut self, said: &[(f64, f64)], y: f64, weight: f64) {
        self.total += weight;
        for (i, &(mi, vi)) in said.iter().enumerate() {
            self.miss[i] += weight * absolute(mi - y, vi);
            for (j, &(mj, vj)) in said.iter().enumerate().take(i + 1) {
                self.apart[i][j] += weight * absolute(mi - mj, vi + vj);
                self.apart[j][i] = self.apart[i][j];
            }
        }
    }

    /// The summed CRPS of a mixture whose weights sum to 1.
    pub(crate) fn score(&self, w: &[f64]) -> f64 {
        let apart: f64 = w.iter().zip(&self.apart).map(|(wi, row)| wi * dot(w, row)).sum();
        dot(w, &self.miss) - 0.5 * apart
    }
}

/// Weights that sum to 1; `prior` (which must) where nothing has come yet. Families with prior 0 keep 0.
pub(crate) fn weights(pairs: &Pairs, prior: &[f64]) -> Vec<f64> {
    let mut w = prior.to_vec();
    if pairs.total <= 0.0 {
        return w;
    }
    // The unit of the score: that of the best single family.
    let heard: Vec<usize> = (0..w.len()).filter(|i| w[*i] > 0.0).collect();
    let single = |i: &usize| pairs.miss[*i] - 0.5 * pairs.apart[*i][*i];
    let best = heard.iter().map(single).fold(f64::INFINITY, f64::min).max(1e-300);
    for step in 0..STEPS {
        let gradient: Vec<f64> = heard
            .iter()
            .map(|&i| {
                let score = (pairs.miss[i] - dot(&w, &pairs.apart[i])) / best;
                score + PENALTY * (w[i].max(1e-12) / prior[i]).ln()
            })
            .collect();
        let lowest = gradient.iter().copied().fold(f64::INFINITY, f64::min);
        let rate = 2.0 / (1.0 + 0.02 * step as f64);
        for (&i, g) in heard.iter().zip(&gradient) {
            w[i] *= (-rate * (g - lowest).min(20.0)).exp();
        }
        let total: f64 = w.iter().sum();
        for w in &mut w {
            *w /= total;
        }
    }
    w
}

/// `E|N(m, v)|`.
fn absolute(m: f64, v: f64) -> f64 {
    let sd = v.sqrt();
    if sd <= 1e-12 * m.abs() || sd <= 1e-300 {
        return m.abs();
    }
    let z = m / sd;
    if z.abs() > 8.0 {
        return m.abs();
    }
    m * (2.0 * normal_cdf(z) - 1.0) + 2.0 * sd * normal_pdf(z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::crps_gaussian;

    #[test]
    fn one_family_scores_like_its_normal() {
        let mut p = Pairs::new(1);
        p.add(&[(1.0, 4.0)], 2.5, 1.0);
        assert!((p.score(&[1.0]) - crps_gaussian(1.0, 2.0, 2.5)).abs() < 1e-9);
    }

    #[test]
    fn the_family_that_was_right_gets_the_weight_and_the_silent_none() {
        let mut p = Pairs::new(3);
        for y in [1.0, 1.1, 0.9, 1.05] {
            p.add(&[(1.0, 0.01), (3.0, 0.01), (1.0, 0.01)], y, 1.0);
        }
        let w = weights(&p, &[0.2, 0.8, 0.0]);
        assert!(w[0] > 0.95 && w[2] == 0.0 && (w.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{w:?}");
        assert_eq!(weights(&Pairs::new(2), &[0.4, 0.6]), [0.4, 0.6]);
    }
}
