//! The forgetting curve: what remains of an advantage after the last insertion.

/// `a + b exp(-t/h)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forgetting {
    /// What stays.
    pub a: f64,
    /// What goes.
    pub b: f64,
    /// Time in which it falls to 1/e.
    pub h: f64,
    /// Share of the variance that the curve explains.
    pub r2: f64,
}

/// Fits [`Forgetting`] to (time since the last insertion, value) by least squares: `a` and `b` exactly for each of 400
/// half-lives from a tenth of the shortest to ten times the longest time, evenly on a logarithmic axis.
///
/// `None` below four points, without spread in time or value, or where a number is not finite.
pub fn forgetting(points: &[(f64, f64)]) -> Option<Forgetting> {
    const GRID: usize = 400;
    let n = points.len() as f64;
    if points.len() < 4 || points.iter().any(|p| !p.0.is_finite() || !p.1.is_finite()) {
        return None;
    }
    let shortest = points.iter().map(|p| p.0).filter(|t| *t > 0.0).fold(f64::INFINITY, f64::min);
    let longest = points.iter().map(|p| p.0).fold(0.0, f64::max);
    let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let total: f64 = points.iter().map(|p| (p.1 - mean).powi(2)).sum();
    if longest <= 0.0 || total <= 0.0 {
        return None;
    }
    let (low, high) = ((0.1 * shortest).ln(), (10.0 * longest).ln());
    let fit = |i: usize| {
        let h = (low + (high - low) * i as f64 / (GRID - 1) as f64).exp();
        let x: Vec<f64> = points.iter().map(|p| (-p.0 / h).exp()).collect();
        let centre = x.iter().sum::<f64>() / n;
        let spread: f64 = x.iter().map(|x| (x - centre).powi(2)).sum();
        if spread < 1e-12 {
            return None;
        }
        let b =
            x.iter().zip(points).map(|(x, p)| (x - centre) * (p.1 - mean)).sum::<f64>() / spread;
        let a = mean - b * centre;
        let rest: f64 = x.iter().zip(points).map(|(x, p)| (p.1 - a - b * x).powi(2)).sum();
        Some(Forgetting { a, b, h, r2: 1.0 - rest / total })
    };
    (0..GRID).filter_map(fit).max_by(|p, q| p.r2.total_cmp(&q.r2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_curve_comes_back() {
        let points: Vec<(f64, f64)> = (0..40)
            .map(|i| f64::from(i) * 10.0)
            .map(|t| (t, 1.5 + 6.0 * (-t / 70.0).exp()))
            .collect();
        let f = forgetting(&points).unwrap();
        // The grid of h is spaced by 2.5 %.
        assert!((f.h / 70.0 - 1.0).abs() < 0.03 && (f.a - 1.5).abs() < 0.05, "{f:?}");
        assert!((f.b - 6.0).abs() < 0.1 && f.r2 > 0.999, "{f:?}");
    }

    #[test]
    fn what_has_no_shape_has_no_curve() {
        assert_eq!(forgetting(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), None);
        assert_eq!(forgetting(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(forgetting(&[(0.0, f64::NAN), (1.0, 2.0), (2.0, 1.0), (3.0, 0.0)]), None);
    }
}
