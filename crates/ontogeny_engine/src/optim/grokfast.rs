//! Grokfast: amplifies the slow component of the gradient.

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// An exponential moving average of gradients, added back onto each gradient.
///
/// `h = lamb h + (1 - lamb) g`, then `g += alpha h`; `h` starts as the first gradient, as in the authors'
/// code. Source: Lee et al. 2024, arXiv:2405.20233, Algorithm 2 (`alpha = 2`, `lamb = 0.98`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Grokfast {
    /// The slow gradient; empty before the first update.
    pub h: Vec<f32>,
}

impl Grokfast {
    /// Filters `grad` in place and updates the average.
    ///
    /// # Panics
    /// If the gradient changes its length.
    pub fn filter(&mut self, grad: &mut [f32], alpha: f64, lamb: f64) {
        if self.h.is_empty() {
            self.h = grad.to_vec();
        }
        assert_eq!(self.h.len(), grad.len(), "the filter's state belongs to another network");
        amplify(&mut self.h, grad, alpha as f32, lamb as f32, (1.0 - lamb) as f32);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn amplify(h: &mut [f32], g: &mut [f32], alpha: f32, lamb: f32, rest: f32) {
    for (h, g) in h.iter_mut().zip(g) {
        *h = *h * lamb + *g * rest;
        *g += *h * alpha;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_starts_as_the_first_gradient() {
        let mut filter = Grokfast::default();
        let mut g = [1.0, -2.0];
        filter.filter(&mut g, 2.0, 0.5);
        assert_eq!((g, filter.h.as_slice()), ([3.0, -6.0], &[1.0, -2.0][..]));
        let mut g = [3.0, 0.0];
        filter.filter(&mut g, 2.0, 0.5);
        // h = (1 + 3) / 2, (-2 + 0) / 2
        assert_eq!((g, filter.h.as_slice()), ([7.0, -2.0], &[2.0, -1.0][..]));
    }
}
