//! Slopes with intervals: least squares, Theil-Sen, and Deming's for errors in both variables.

use crate::math::special::{normal_quantile, student_quantile};
use crate::math::{mean, median, quantile_sorted};

/// A line with an interval of its slope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlopeFit {
    /// Slope.
    pub slope: f64,
    /// Intercept.
    pub intercept: f64,
    /// Interval of the slope at the asked confidence.
    pub interval: (f64, f64),
    /// Share of variance explained.
    pub r_squared: f64,
}

/// Ordinary least squares `y = a + b x` with Student's interval of `b`.
///
/// `None` below 3 points or if `x` is constant.
///
/// # Panics
/// If the sides differ in length.
pub fn ols(x: &[f64], y: &[f64], confidence: f64) -> Option<SlopeFit> {
    assert_eq!(x.len(), y.len(), "ols: sides differ in length");
    let n = x.len() as f64;
    let (mx, my) = (mean(x)?, mean(y)?);
    let sxx: f64 = x.iter().map(|v| (v - mx).powi(2)).sum();
    let sxy: f64 = x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).sum();
    let syy: f64 = y.iter().map(|v| (v - my).powi(2)).sum();
    if x.len() < 3 || sxx.is_nan() || sxx <= 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    let rss = (syy - slope * sxy).max(0.0);
    let half = student_quantile(0.5 + 0.5 * confidence, n - 2.0) * (rss / (n - 2.0) / sxx).sqrt();
    Some(SlopeFit {
        slope,
        intercept: my - slope * mx,
        interval: (slope - half, slope + half),
        r_squared: if syy > 0.0 { 1.0 - rss / syy } else { 1.0 },
    })
}

/// Theil-Sen: the median of all pairwise slopes, with Sen's (1968) normal-approximation interval.
///
/// `None` below 3 points or if `x` is constant.
///
/// # Panics
/// If the sides differ in length.
pub fn theil_sen(x: &[f64], y: &[f64], confidence: f64) -> Option<SlopeFit> {
    assert_eq!(x.len(), y.len(), "theil_sen: sides differ in length");
    let mut slopes = Vec::new();
    for i in 0..x.len() {
        for j in 0..i {
            if x[i] != x[j] {
                slopes.push((y[i] - y[j]) / (x[i] - x[j]));
            }
        }
    }
    if x.len() < 3 || slopes.is_empty() {
        return None;
    }
    slopes.sort_by(f64::total_cmp);
    let slope = quantile_sorted(&slopes, 0.5)?;
    let rest: Vec<f64> = x.iter().zip(y).map(|(a, b)| b - slope * a).collect();
    let intercept = median(&rest)?;
    let n = x.len() as f64;
    let sd = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let (pairs, c) = (slopes.len() as f64, normal_quantile(0.5 + 0.5 * confidence) * sd);
    let at = |r: f64| slopes[(r.max(0.0) as usize).min(slopes.len() - 1)];
    let my = mean(y)?;
    let syy: f64 = y.iter().map(|v| (v - my).powi(2)).sum();
    let rss: f64 = rest.iter().map(|r| (r - intercept).powi(2)).sum();
    Some(SlopeFit {
        slope,
        intercept,
        interval: (at(((pairs - c) / 2.0).floor()), at(f64::midpoint(pairs, c).ceil())),
        r_squared: if syy > 0.0 { 1.0 - rss / syy } else { 1.0 },
    })
}

/// Deming regression: slope when both sides carry error, `ratio = var(error of y) / var(error of x)`.
///
/// `b = (s_yy - r s_xx + √((s_yy - r s_xx)² + 4 r s_xy²)) / (2 s_xy)`; an infinite ratio is least squares.
/// `None` below 2 points or if the sides do not vary together.
///
/// # Panics
/// If the sides differ in length.
pub fn deming(x: &[f64], y: &[f64], ratio: f64) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "deming: sides differ in length");
    let (mx, my) = (mean(x)?, mean(y)?);
    let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        sxx += (a - mx).powi(2);
        sxy += (a - mx) * (b - my);
        syy += (b - my).powi(2);
    }
    if x.len() < 2 || sxx <= 0.0 {
        return None;
    }
    if ratio > 1e9 {
        return Some(sxy / sxx);
    }
    let d = syy - ratio * sxx;
    (sxy != 0.0).then(|| (d + (d * d + 4.0 * ratio * sxy * sxy).sqrt()) / (2.0 * sxy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_by_hand() {
        // Slope 1.1, rss 2.7, se = sqrt(1.35 / 5), t(.975, 2) = 4.302653.
        let f = ols(&[0.0, 1.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 5.0], 0.95).unwrap();
        assert!((f.slope - 1.1).abs() < 1e-12);
        assert!((f.interval.1 - 1.1 - 4.302_652_73 * 0.27_f64.sqrt()).abs() < 1e-6);
        assert!(ols(&[1.0; 4], &[0.0; 4], 0.9).is_none());
    }

    #[test]
    fn theil_sen_shrugs_at_an_outlier() {
        let x: Vec<f64> = (0..11).map(f64::from).collect();
        let mut y: Vec<f64> = x.iter().map(|v| 2.0 * v + 1.0).collect();
        y[5] = 1000.0;
        let f = theil_sen(&x, &y, 0.95).unwrap();
        assert!((f.slope - 2.0).abs() < 1e-9 && (f.intercept - 1.0).abs() < 1e-9);
        assert!(f.interval.0 <= 2.0 && f.interval.1 >= 2.0);
    }

    #[test]
    fn deming_lies_between_the_two_regressions() {
        let (x, y) = ([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 2.0, 5.0]);
        let inverse = 1.0 / ols(&y, &x, 0.9).unwrap().slope;
        let b = deming(&x, &y, 1.0).unwrap();
        assert!(b > 1.1 && b < inverse, "{b} {inverse}");
        assert!((deming(&x, &y, f64::INFINITY).unwrap() - 1.1).abs() < 1e-12);
        let line = deming(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0], 1.0).unwrap();
        assert!((line - 2.0).abs() < 1e-12);
    }
}
