//! The baseline: the loss on a domain as a line in the logarithm of its own share, and nothing else.

use super::{Mixture, MixtureLaw};
use crate::math::linear::Ridge;
use crate::math::mean;

/// `ln L = a - b ln(share + 0.001)`.
#[derive(Debug, Clone, Copy)]
pub struct ShareOnly;

/// The baseline.
pub static SHARE_ONLY: ShareOnly = ShareOnly;

/// Shares below this count alike: one token in a thousand.
pub(super) const LEAST_SHARE: f64 = 1e-3;

#[derive(Debug)]
struct Line {
    own: Option<usize>,
    coef: Vec<f64>,
}

impl Mixture for Line {
    fn loss(&self, mixture: &[f64]) -> f64 {
        let x = self.own.map_or(0.0, |k| (mixture[k] + LEAST_SHARE).ln());
        (self.coef[0] + self.coef.get(1).map_or(0.0, |b| b * x)).exp()
    }
}

impl MixtureLaw for ShareOnly {
    fn spec(&self) -> (&'static str, &'static str) {
        ("share-only", "ln L = a - b ln(own share)")
    }

    fn fit(
        &self,
        mixtures: &[Vec<f64>],
        losses: &[f64],
        own: Option<usize>,
    ) -> Option<Box<dyn Mixture>> {
        let y: Vec<f64> = losses.iter().map(|l| l.ln()).collect();
        let coef = match own {
            None => vec![mean(&y)?],
            Some(k) => {
                let rows = mixtures.iter().map(|m| vec![1.0, (m[k] + LEAST_SHARE).ln()]);
                Ridge::fit(&rows.collect::<Vec<_>>(), &y, &[0.0, 1e-9])?.coef
            }
        };
        Some(Box::new(Line { own, coef }))
    }
}
