//! The data-mixing law of Ye et al. 2024 (arXiv:2403.16952): `L = c + k exp(Σ_j t_j share_j)`.

use super::{Mixture, MixtureLaw};
use crate::math::linear::dot;
use crate::math::minimize::bfgs;

/// The law; as shares sum to one, `k` is taken into the `t`.
#[derive(Debug, Clone, Copy)]
pub struct Exponential;

/// The law.
pub static EXPONENTIAL: Exponential = Exponential;

/// Weak pull of the `t` towards their mean, for domains that are hardly mixed.
const PULL: f64 = 1e-4;

#[derive(Debug)]
struct Fitted {
    floor: f64,
    t: Vec<f64>,
}

impl Mixture for Fitted {
    fn loss(&self, mixture: &[f64]) -> f64 {
        self.floor + dot(mixture, &self.t).min(50.0).exp()
    }
}

impl MixtureLaw for Exponential {
    fn spec(&self) -> (&'static str, &'static str) {
        ("exponential", "L = c + k exp(sum_j t_j share_j)")
    }

    fn fit(
        &self,
        mixtures: &[Vec<f64>],
        losses: &[f64],
        _own: Option<usize>,
    ) -> Option<Box<dyn Mixture>> {
        let n_domains = mixtures.first()?.len();
        let n = losses.len() as f64;
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = losses.iter().sum::<f64>() / n;
        // theta = [ln c, t...]; least squares of ln(loss).
        let objective = |theta: &[f64]| {
            let floor = theta[0].min(20.0).exp();
            let t = &theta[1..];
            let middle = t.iter().sum::<f64>() / n_domains as f64;
            let mut grad = vec![0.0; theta.len()];
            let mut value = 0.0;
            for (mixture, loss) in mixtures.iter().zip(losses) {
                let part = dot(mixture, t).min(50.0).exp();
                let r = (floor + part).ln() - loss.ln();
                let pull = r / (floor + part) / n;
                value += 0.5 * r * r / n;
                grad[0] += pull * floor;
                grad[1..].iter_mut().zip(mixture).for_each(|(g, s)| *g += pull * part * s);
            }
            for (g, t) in grad[1..].iter_mut().zip(t) {
                value += 0.5 * PULL * (t - middle).powi(2) / n;
                *g += PULL * (t - middle) / n;
            }
            (value, grad)
        };
        let ends = [0.3, 0.6, 0.8, 0.95].into_iter().filter_map(|part| {
            let mut start = vec![(mean - part * least).ln(); n_domains + 1];
            start[0] = f64::ln(part * least);
            bfgs(&start, objective)
        });
        let best = ends.min_by(|a, b| a.value.total_cmp(&b.value))?;
        Some(Box::new(Fitted { floor: best.x[0].exp(), t: best.x[1..].to_vec() }))
    }
}
