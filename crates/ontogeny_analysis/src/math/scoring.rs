//! Fisher scoring: maximizes a penalized log-likelihood whose expected information is positive definite.

use super::linear::{Cholesky, dot};

/// A penalized log-likelihood at one point.
#[derive(Debug, Clone)]
pub(crate) struct Likelihood {
    pub(crate) value: f64,
    pub(crate) gradient: Vec<f64>,
    /// Expected information plus the curvature of the penalty; only its lower triangle is read.
    pub(crate) information: Vec<Vec<f64>>,
}

/// Where it is greatest, and the factored information there.
///
/// Newton's direction with the expected information (which is iteratively reweighted least squares), halved
/// until the value does not fall. `None` if the value at the start is not finite or the information is not
/// positive definite. Deterministic.
pub(crate) fn fisher_scoring(
    start: Vec<f64>,
    at: impl Fn(&[f64]) -> Likelihood,
) -> Option<(Vec<f64>, Cholesky)> {
    let mut x = start;
    let mut here = at(&x);
    if !here.value.is_finite() {
        return None;
    }
    for _ in 0..50 {
        let step = Cholesky::new(&here.information)?.solve(&here.gradient);
        // What a quadratic would still gain, twice over.
        if dot(&step, &here.gradient) < 1e-7 {
            break;
        }
        let mut share = 1.0;
        let next = loop {
            let trial: Vec<f64> = x.iter().zip(&step).map(|(x, d)| x + share * d).collect();
            let there = at(&trial);
            if there.value.is_finite() && there.value >= here.value {
                break Some((trial, there));
            }
            share *= 0.5;
            if share < 1e-6 {
                break None;
            }
        };
        let Some((trial, there)) = next else { break };
        (x, here) = (trial, there);
    }
    Some((x, Cholesky::new(&here.information)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_rate_of_a_poisson_count() {
        // Five counts of mean 3: the maximum is ln 3, the information there 15.
        let at = |t: &[f64]| {
            let rate = t[0].exp();
            let value = 15.0 * t[0] - 5.0 * rate;
            Likelihood {
                value,
                gradient: vec![15.0 - 5.0 * rate],
                information: vec![vec![5.0 * rate]],
            }
        };
        let (x, factor) = fisher_scoring(vec![-4.0], at).unwrap();
        assert!((x[0] - 3.0_f64.ln()).abs() < 1e-4);
        assert!((factor.inverse_form(&[1.0]) - 1.0 / 15.0).abs() < 1e-4);
    }
}
