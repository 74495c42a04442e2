//! Rank correlation and the two-sample Kolmogorov-Smirnov test.

use crate::math::mean;

/// Ranks from 1, ties sharing their mean rank.
pub fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|a, b| x[*a].total_cmp(&x[*b]));
    let mut out = vec![0.0; x.len()];
    let mut i = 0;
    while i < order.len() {
        let mut j = i;
        while j + 1 < order.len() && x[order[j + 1]] == x[order[i]] {
            j += 1;
        }
        for k in i..=j {
            out[order[k]] = 0.5 * (i + j) as f64 + 1.0;
        }
        i = j + 1;
    }
    out
}

/// Spearman's rank correlation; `None` below 2 pairs or if a side is constant.
///
/// # Panics
/// If the sides differ in length.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "spearman: sides differ in length");
    let (rx, ry) = (ranks(x), ranks(y));
    let (mx, my) = (mean(&rx)?, mean(&ry)?);
    let s = |a: &[f64], ma: f64, b: &[f64], mb: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum()
    };
    let d = (s(&rx, mx, &rx, mx) * s(&ry, my, &ry, my)).sqrt();
    (d > 0.0).then(|| s(&rx, mx, &ry, my) / d)
}

/// Result of a Kolmogorov-Smirnov test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KsTest {
    /// Largest distance between the two empirical distribution functions.
    pub distance: f64,
    /// Asymptotic p-value with Stephens' correction for small samples.
    pub p: f64,
}

/// Two-sample Kolmogorov-Smirnov test; `None` if a side is empty.
///
/// `p = 2 Σ (-1)^(j-1) exp(-2 j² λ²)`, `λ = (√n + .12 + .11/√n) D`, `n = n1 n2 / (n1 + n2)` (Stephens 1970).
pub fn ks_two_sample(a: &[f64], b: &[f64]) -> Option<KsTest> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let share = |v: &[f64], x: f64| v.iter().filter(|y| **y <= x).count() as f64 / v.len() as f64;
    let distance =
        a.iter().chain(b).map(|x| (share(a, *x) - share(b, *x)).abs()).fold(0.0, f64::max);
    let n = (a.len() * b.len()) as f64 / (a.len() + b.len()) as f64;
    Some(judged(distance, n))
}

/// One-sample Kolmogorov-Smirnov test of `x` against a continuous distribution function that was not fitted to it; `None`
/// without values. The p-value is that of [`ks_two_sample`] with `n` values.
pub fn ks_one_sample(x: &[f64], cdf: impl Fn(f64) -> f64) -> Option<KsTest> {
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let gap = |(i, v): (usize, &f64)| {
        let p = cdf(*v);
        (p - i as f64 / n).max((i as f64 + 1.0) / n - p)
    };
    let distance = sorted.iter().enumerate().map(gap).fold(0.0, f64::max);
    (!x.is_empty()).then(|| judged(distance, n))
}

/// The p-value of a distance between distribution functions at `n` (effective) values.
fn judged(distance: f64, n: f64) -> KsTest {
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance;
    let p = if lambda < 0.2 {
        1.0
    } else {
        2.0 * (1..=100)
            .map(|j| {
                let sign = if j % 2 == 1 { 1.0 } else { -1.0 };
                sign * (-2.0 * f64::from(j * j) * lambda * lambda).exp()
            })
            .sum::<f64>()
    };
    KsTest { distance, p: p.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn rank_correlation_by_hand() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        // One exchange of neighbours among 5: 1 - 6*2/(5*24) = .9.
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[1.0, 2.0, 4.0, 3.0, 5.0]).unwrap();
        assert!((rho - 0.9).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn the_ks_test_keeps_its_level() {
        let rejected = (0..1000)
            .filter(|s| {
                let d = Philox::new(*s, "ks").at(0);
                let x: Vec<f64> = (0..60).map(|i| d.normal(i)).collect();
                ks_two_sample(&x[..20], &x[20..]).unwrap().p < 0.05
            })
            .count();
        assert!((20..=75).contains(&rejected), "{rejected}");
        let alone = (0..1000)
            .filter(|s| {
                let d = Philox::new(*s, "ks one").at(0);
                let x: Vec<f64> = (0..60).map(|i| d.uniform(i)).collect();
                ks_one_sample(&x, |v| v).unwrap().p < 0.05
            })
            .count();
        assert!((25..=75).contains(&alone), "{alone}");
        assert!(ks_one_sample(&[0.1; 20], |v| v).unwrap().p < 1e-6);
        assert_eq!(ks_one_sample(&[], |v| v), None);
        let far = ks_two_sample(&[0.0; 12], &[1.0; 12]).unwrap();
        assert!(far.distance == 1.0 && far.p < 1e-4);
    }
}
