//! Continuous ranked probability score, `∫ (F(x) - 1{y <= x})² dx`, in the unit of the target.

use crate::distribution::{Cdf, Support};
use crate::math::special::{normal_cdf, normal_pdf};
use ontogeny_core::Predictive;

/// The score of a prediction written as quantiles, exact for its piecewise-linear distribution function with
/// exponential tails ([`Cdf`]).
///
/// `None` if the prediction is malformed or `y` is not finite. `never_prob` is ignored: values always exist.
pub fn crps(p: &Predictive, y: f64) -> Option<f64> {
    let cdf = Cdf::new(p, Support::Line)?;
    if !y.is_finite() {
        return None;
    }
    let corners = cdf.corners();
    let (left, right) = cdf.tails().unwrap_or((0.0, 0.0));
    let ((first, p0), (last, p1)) = (corners[0], corners[corners.len() - 1]);
    let mut total = tail(left, p0, first - y) + tail(right, 1.0 - p1, y - last);
    for w in corners.windows(2) {
        let ((x0, f0), (x1, f1)) = (w[0], w[1]);
        if x1 <= x0 {
            continue;
        }
        let at = |x: f64| f0 + (f1 - f0) * (x - x0) / (x1 - x0);
        let split = y.clamp(x0, x1);
        // ∫ of a squared line: (b - a)(fa² + fa fb + fb²)/3.
        let piece =
            |a: f64, b: f64, fa: f64, fb: f64| (b - a) * (fa * fa + fa * fb + fb * fb) / 3.0;
        total += piece(x0, split, f0, at(split));
        total += piece(split, x1, 1.0 - at(split), 1.0 - f1);
    }
    Some(total)
}

/// The part of the integral beyond an outer quantile whose tail holds mass `p` with scale `s`; `beyond` is
/// how far the outcome lies outside it (negative: inside).
fn tail(s: f64, p: f64, beyond: f64) -> f64 {
    if beyond <= 0.0 {
        // Only tail mass squared: ∫ p² e^(-2x/s) dx.
        return 0.5 * p * p * s;
    }
    if s <= 0.0 {
        return beyond;
    }
    // Between the edge and y the tail mass g = p e^(-x/s) stands against 1: ∫ (1 - g)²; beyond y: ∫ g².
    let e1 = 1.0 - (-beyond / s).exp();
    let e2 = 1.0 - (-2.0 * beyond / s).exp();
    let between = beyond - 2.0 * p * s * e1 + 0.5 * p * p * s * e2;
    between + 0.5 * p * p * s * (-2.0 * beyond / s).exp()
}

/// Closed form for N(mu, sigma²): `σ (z (2Φ(z) - 1) + 2φ(z) - 1/√π)` (Gneiting and Raftery 2007).
pub fn crps_gaussian(mu: f64, sigma: f64, y: f64) -> f64 {
    let z = (y - mu) / sigma;
    sigma
        * (z * (2.0 * normal_cdf(z) - 1.0) + 2.0 * normal_pdf(z)
            - 1.0 / std::f64::consts::PI.sqrt())
}

/// Fair form for a sample: `mean |x_i - y| - Σ |x_i - x_j| / (2 M (M - 1))`; `None` below 2 members.
pub fn crps_sample(sample: &[f64], y: f64) -> Option<f64> {
    let m = sample.len();
    if m < 2 {
        return None;
    }
    let mut v = sample.to_vec();
    v.sort_by(f64::total_cmp);
    let miss = v.iter().map(|x| (x - y).abs()).sum::<f64>() / m as f64;
    // Σ_{i<j} (x_j - x_i) = Σ_i (2i - M + 1) x_i of the sorted sample.
    let pairs: f64 = v.iter().enumerate().map(|(i, x)| (2.0 * i as f64 - m as f64 + 1.0) * x).sum();
    Some(miss - pairs / (m as f64 * (m as f64 - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::gaussian;
    use ontogeny_core::random::Philox;

    #[test]
    fn quantiles_score_like_the_gaussian_they_came_from() {
        assert!((crps_gaussian(0.0, 1.0, 0.0) - 0.233_694_977_255_109).abs() < 1e-12);
        for y in [-6.0, -2.4, -0.5, 0.0, 1.0, 2.2, 4.0] {
            let (a, b) = (crps(&gaussian(0.0, 1.0), y).unwrap(), crps_gaussian(0.0, 1.0, y));
            // 23 levels, linear between them; outside, an exponential tail instead of a Gaussian one.
            assert!((a - b).abs() < 6e-3, "{y} {a} {b}");
        }
    }

    #[test]
    fn a_sample_scores_like_its_distribution_without_bias() {
        let d = Philox::new(2, "crps").at(0);
        let mean = (0..4000)
            .map(|r| {
                let s: Vec<f64> = (0..10).map(|i| d.normal(r * 10 + i)).collect();
                crps_sample(&s, 0.7).unwrap()
            })
            .sum::<f64>()
            / 4000.0;
        assert!((mean - crps_gaussian(0.0, 1.0, 0.7)).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_certain_forecast_scores_its_distance() {
        let p = gaussian(2.0, 0.0);
        assert!((crps(&p, 5.0).unwrap() - 3.0).abs() < 1e-12);
        assert!((crps(&p, 0.5).unwrap() - 1.5).abs() < 1e-12);
        assert!(crps(&p, 2.0).unwrap().abs() < 1e-12);
    }
}
