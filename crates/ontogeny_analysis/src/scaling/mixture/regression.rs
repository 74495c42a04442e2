//! Regression of ln(loss) on functions of the shares, as RegMix does with many small runs (Liu et al. 2024,
//! arXiv:2407.01492), with the ridge chosen by generalized cross-validation.

use super::share::LEAST_SHARE;
use super::{Mixture, MixtureLaw};
use crate::math::linear::{Cholesky, dot, gram};
use crate::math::mean;

/// Which functions of the shares are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Features {
    /// The shares themselves.
    Shares,
    /// Shares, their square roots and their logarithms, and products of the own share with the others.
    Rich,
}

/// A ridge regression of ln(loss).
#[derive(Debug, Clone, Copy)]
pub struct Regression {
    features: Features,
}

/// Linear in the shares, RegMix's linear variant.
pub static LINEAR: Regression = Regression { features: Features::Shares };
/// Linear in shares, square roots, logarithms of the shares and products with the own share.
pub static LOG_SHARES: Regression = Regression { features: Features::Rich };

impl Features {
    fn of(self, mixture: &[f64], own: Option<usize>) -> Vec<f64> {
        let mut row = mixture.to_vec();
        if self == Self::Rich {
            row.extend(mixture.iter().map(|s| s.sqrt()));
            row.extend(mixture.iter().map(|s| (s + LEAST_SHARE).ln()));
            if let Some(k) = own {
                let ln_own = (mixture[k] + LEAST_SHARE).ln();
                row.push(ln_own * ln_own);
                row.extend(mixture.iter().map(|s| s.sqrt() * ln_own));
            }
        }
        row
    }
}

#[derive(Debug)]
struct Fitted {
    features: Features,
    own: Option<usize>,
    /// Mean and spread of each feature.
    standard: Vec<(f64, f64)>,
    mean: f64,
    coef: Vec<f64>,
}

impl Fitted {
    fn row(&self, mixture: &[f64]) -> Vec<f64> {
        let row = self.features.of(mixture, self.own);
        row.iter().zip(&self.standard).map(|(v, (m, s))| (v - m) / s).collect()
    }
}

impl Mixture for Fitted {
    fn loss(&self, mixture: &[f64]) -> f64 {
        (self.mean + dot(&self.row(mixture), &self.coef)).exp()
    }
}

impl MixtureLaw for Regression {
    fn spec(&self) -> (&'static str, &'static str) {
        match self.features {
            Features::Shares => ("linear", "ln L = a + sum_j b_j share_j, ridge"),
            Features::Rich => (
                "log-shares",
                "ln L = a + b.shares + c.sqrt(shares) + d.ln(shares) + own share's products, ridge",
            ),
        }
    }

    fn fit(
        &self,
        mixtures: &[Vec<f64>],
        losses: &[f64],
        own: Option<usize>,
    ) -> Option<Box<dyn Mixture>> {
        let y: Vec<f64> = losses.iter().map(|l| l.ln()).collect();
        let centre = mean(&y)?;
        let y: Vec<f64> = y.iter().map(|v| v - centre).collect();
        let raw: Vec<Vec<f64>> = mixtures.iter().map(|m| self.features.of(m, own)).collect();
        let n_features = raw.first()?.len();
        let standard = (0..n_features).map(|j| {
            let column: Vec<f64> = raw.iter().map(|r| r[j]).collect();
            let m = mean(&column).unwrap_or(0.0);
            let s = crate::math::variance(&column).unwrap_or(0.0).sqrt();
            (m, if s > 1e-12 { s } else { 1.0 })
        });
        let mut fitted = Fitted {
            features: self.features,
            own,
            standard: standard.collect(),
            mean: centre,
            coef: Vec::new(),
        };
        let rows: Vec<Vec<f64>> = mixtures.iter().map(|m| fitted.row(m)).collect();
        let n = rows.len() as f64;
        let xty: Vec<f64> =
            (0..n_features).map(|j| rows.iter().zip(&y).map(|(r, y)| r[j] * y).sum()).collect();
        // Generalized cross-validation: n rss / (n - trace)^2 (Golub, Heath & Wahba 1979).
        let mut best: Option<(f64, Vec<f64>)> = None;
        for exponent in -12_i32..=4 {
            let ridge = n * 10f64.powf(0.5 * f64::from(exponent));
            let Some(factor) = Cholesky::new(&gram(&rows, &vec![ridge; n_features])) else {
                continue;
            };
            let coef = factor.solve(&xty);
            let rss: f64 = rows.iter().zip(&y).map(|(r, y)| (y - dot(r, &coef)).powi(2)).sum();
            let trace: f64 = rows.iter().map(|r| factor.inverse_form(r)).sum();
            let score = n * rss / (n - trace - 1.0).max(1e-3).powi(2);
            if best.as_ref().is_none_or(|b| score < b.0) {
                best = Some((score, coef));
            }
        }
        fitted.coef = best?.1;
        Some(Box::new(fitted))
    }
}
