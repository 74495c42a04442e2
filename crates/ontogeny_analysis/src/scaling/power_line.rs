//! A straight line in logarithms, `ln y = ln k + a ln x`: how the optimal size grows with compute.

use crate::math::mean;

/// `y = k x^exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLine {
    /// The exponent.
    pub exponent: f64,
    /// ln k.
    pub ln_scale: f64,
    /// Central interval of the exponent, where resamples were made: (low, high).
    pub interval: Option<(f64, f64)>,
}

impl PowerLine {
    /// Least squares in logarithms; `None` below two points or without spread.
    pub fn fit(x: &[f64], y: &[f64]) -> Option<Self> {
        let (lx, ly): (Vec<f64>, Vec<f64>) = x.iter().zip(y).map(|(x, y)| (x.ln(), y.ln())).unzip();
        let (mx, my) = (mean(&lx)?, mean(&ly)?);
        let sxx: f64 = lx.iter().map(|x| (x - mx).powi(2)).sum();
        let sxy: f64 = lx.iter().zip(&ly).map(|(x, y)| (x - mx) * (y - my)).sum();
        let exponent = sxy / sxx;
        let line = Self { exponent, ln_scale: my - exponent * mx, interval: None };
        (sxx > 1e-12 && exponent.is_finite()).then_some(line)
    }

    /// The value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        (self.ln_scale + self.exponent * x.ln()).exp()
    }
}
