//! The skew normal distribution (Azzalini 1985), far into its lower tail.
//!
//! Density `2/ω φ(z) Φ(αz)`, `z = (x - ξ)/ω`. The logarithm of the density is concave, so below the mode it falls at least
//! as fast as its tangent: the integral of a tail is taken over forty tangent lengths, where nothing is left.

use std::f64::consts::{LN_2, PI, SQRT_2};

/// Panels of Simpson's rule.
const PANELS: usize = 600;
/// The largest skewness that is fitted; a skew normal has less than .9953.
const MOST_SKEW: f64 = 0.99;

/// A skew normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SkewNormal {
    location: f64,
    scale: f64,
    shape: f64,
}

/// `ln Φ(x)`, also where Φ underflows.
fn ln_normal_cdf(x: f64) -> f64 {
    if x > -30.0 {
        return (0.5 * libm::erfc(-x / SQRT_2)).ln();
    }
    // Mills' ratio by its asymptotic series; at -30 the first term left out is below 1e-10.
    let s = 1.0 / (x * x);
    let series = 1.0 - s * (1.0 - 3.0 * s * (1.0 - 5.0 * s * (1.0 - 7.0 * s)));
    -0.5 * x * x - (-x).ln() - 0.5 * (2.0 * PI).ln() + series.ln()
}

impl SkewNormal {
    /// The distribution with the mean, variance and skewness of `values` (skewness bounded by .99); `None` below eight
    /// values, without spread, or where one is not finite.
    pub fn fit(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        if values.len() < 8 || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let moment = |k: i32| values.iter().map(|v| (v - mean).powi(k)).sum::<f64>() / n;
        let variance = moment(2);
        // Equal values differ from their mean by rounding.
        if variance <= (1e-12 * mean).powi(2) {
            return None;
        }
        let skew = (moment(3) / variance.powf(1.5)).clamp(-MOST_SKEW, MOST_SKEW);
        let g = skew.abs().powf(2.0 / 3.0);
        let share = g / (g + ((4.0 - PI) / 2.0).powf(2.0 / 3.0));
        let delta = (0.5 * PI * share).sqrt().copysign(skew);
        let scale = (variance / (1.0 - 2.0 * delta * delta / PI)).sqrt();
        Some(Self {
            location: mean - scale * delta * (2.0 / PI).sqrt(),
            scale,
            shape: delta / (1.0 - delta * delta).sqrt(),
        })
    }

    /// `ln` of the density of the standardized variable.
    fn ln_density(&self, z: f64) -> f64 {
        LN_2 - 0.5 * z * z - 0.5 * (2.0 * PI).ln() + ln_normal_cdf(self.shape * z)
    }

    /// `ln P(X <= x)`; accurate to about 1e-6 of itself, however small the probability.
    pub fn ln_cdf(&self, x: f64) -> f64 {
        let z = (x - self.location) / self.scale;
        let at = |t: f64| self.ln_density(t);
        let slope = (at(z + 1e-5) - at(z - 1e-5)) / 2e-5;
        let (length, base) =
            if slope > 1.0 { (40.0 / slope, at(z)) } else { ((z + 12.0).max(2.0), 0.0) };
        let h = length / PANELS as f64;
        let sum: f64 = (0..=PANELS)
            .map(|i| {
                let weight = match i {
                    0 | PANELS => 1.0,
                    i if i % 2 == 1 => 4.0,
                    _ => 2.0,
                };
                weight * (at(z - i as f64 * h) - base).exp()
            })
            .sum();
        (base + (sum * h / 3.0).ln()).min(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn without_skew_it_is_the_normal_distribution_even_at_fifty_deviations() {
        let d = SkewNormal { location: 2.0, scale: 3.0, shape: 0.0 };
        for z in [-50.0, -20.0, -6.0, -1.5, -0.5, 0.0, 1.0, 3.0] {
            let (got, expected) = (d.ln_cdf(2.0 + 3.0 * z), ln_normal_cdf(z));
            assert!(
                (got - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                "{z}: {got} {expected}"
            );
        }
        // Tabulated: Φ(-6) = 9.8659e-10; ln Φ(-50) = -1254.8314 (two terms of the series by hand).
        assert!((ln_normal_cdf(-6.0) - 9.865_876_45e-10_f64.ln()).abs() < 1e-8);
        assert!((ln_normal_cdf(-50.0) + 1254.8314).abs() < 1e-3);
    }

    #[test]
    fn shape_one_is_the_square_of_the_normal_distribution() {
        // The larger of two normal numbers is skew normal with shape 1.
        let d = SkewNormal { location: 0.0, scale: 1.0, shape: 1.0 };
        for z in [-30.0, -8.0, -2.0, 0.0, 1.0, 2.5] {
            let (got, expected) = (d.ln_cdf(z), 2.0 * ln_normal_cdf(z));
            assert!(
                (got - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{z}: {got} {expected}"
            );
        }
    }

    #[test]
    fn a_fit_finds_mean_spread_and_skew() {
        let draws = Philox::new(1, "skew").at(0);
        let values: Vec<f64> = (0..40_000)
            .map(|i| 5.0 + 2.0 * draws.normal(2 * i).max(draws.normal(2 * i + 1)))
            .collect();
        let d = SkewNormal::fit(&values).unwrap();
        // The skewness of 40,000 values has a standard error of .012; the shape moves several times as much.
        assert!((d.shape - 1.0).abs() < 0.25 && (d.scale - 2.0).abs() < 0.1, "{d:?}");
        for q in [0.01, 0.1, 0.5, 0.9] {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let x = sorted[(q * 40_000.0) as usize];
            assert!((d.ln_cdf(x).exp() - q).abs() < 0.01, "{q}: {}", d.ln_cdf(x).exp());
        }
        assert_eq!(SkewNormal::fit(&[1.0; 20]), None);
        assert_eq!(SkewNormal::fit(&[1.0, 2.0]), None);
        assert_eq!(SkewNormal::fit(&[f64::NAN; 20]), None);
    }
}
