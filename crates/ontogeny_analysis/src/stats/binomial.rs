//! Exact binomial test, Clopper-Pearson interval, sign test.

use crate::math::special::beta_quantile;

fn ln_pmf(k: u64, n: u64, p: f64) -> f64 {
    let lg = |x: u64| libm::lgamma(x as f64 + 1.0);
    let part = |count: u64, prob: f64| if count == 0 { 0.0 } else { count as f64 * prob.ln() };
    lg(n) - lg(k) - lg(n - k) + part(k, p) + part(n - k, 1.0 - p)
}

/// Two-sided exact p-value of `k` successes in `n` trials of probability `p`.
///
/// Sums the probabilities of all outcomes no more likely than the observed one (up to 1e-7 relative, as R's
/// `binom.test` does). 1 if `n` is 0.
///
/// # Panics
/// If `k > n`.
pub fn binomial_test(k: u64, n: u64, p: f64) -> f64 {
    assert!(k <= n, "binomial_test: {k} successes in {n} trials");
    let seen = ln_pmf(k, n, p) + 1e-7;
    let sum: f64 = (0..=n).map(|i| ln_pmf(i, n, p)).filter(|l| *l <= seen).map(f64::exp).sum();
    sum.min(1.0)
}

/// Clopper-Pearson interval of a probability after `k` successes in `n` trials.
///
/// Both bounds at the two-sided level `confidence`: the one-sided 90 % lower bound is the lower end at
/// `confidence` = 0.8. (0, 1) if `n` is 0.
///
/// # Panics
/// If `k > n`.
pub fn clopper_pearson(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    assert!(k <= n, "clopper_pearson: {k} successes in {n} trials");
    let tail = 0.5 * (1.0 - confidence);
    let (kf, rest) = (k as f64, (n - k) as f64);
    let lo = if k == 0 { 0.0 } else { beta_quantile(kf, rest + 1.0, tail) };
    let hi = if k == n { 1.0 } else { beta_quantile(kf + 1.0, rest, 1.0 - tail) };
    (lo, hi)
}

/// Two-sided sign test of "as many differences above 0 as below"; zeros are dropped.
pub fn sign_test(differences: &[f64]) -> f64 {
    let up = differences.iter().filter(|d| **d > 0.0).count() as u64;
    let down = differences.iter().filter(|d| **d < 0.0).count() as u64;
    binomial_test(up, up + down, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    }

    #[test]
    fn agrees_with_hand_counts() {
        // n = 10, p = 1/2: outcomes {0,1,9,10} hold 22/1024.
        check(binomial_test(9, 10, 0.5), 22.0 / 1024.0);
        // n = 5, p = .9, k = 5: every outcome is at most as likely, so 1.
        check(binomial_test(5, 5, 0.9), 1.0);
        // k = 2 of 5 at p = .9: outcomes 0, 1, 2 hold 1e-5 + 45e-5 + 810e-5 = .00856.
        check(binomial_test(2, 5, 0.9), 0.00856);
        // k = n: the lower bound solves p^n = tail.
        check(clopper_pearson(17, 17, 0.8).0, 0.1_f64.powf(1.0 / 17.0));
        check(clopper_pearson(0, 10, 0.95).1, 1.0 - 0.025_f64.powf(0.1));
        // R: binom.test(7, 10)$conf.int
        check(clopper_pearson(7, 10, 0.95).0, 0.347_547_1);
        check(clopper_pearson(7, 10, 0.95).1, 0.933_260_5);
        check(sign_test(&[1.0, 2.0, 0.0, 3.0, 1.0, 4.0]), 2.0 / 32.0);
    }
}
