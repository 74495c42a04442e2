//! Logistic regression with a ridge, by Newton's method.

use crate::math::linear::Cholesky;

/// Steps of Newton's method; with a ridge a dozen are enough.
const STEPS: usize = 50;

/// A fitted logistic regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// Mean and deviation of each column among the rows it was fitted to.
    scale: Vec<(f64, f64)>,
    /// Intercept, then one weight a column.
    weights: Vec<f64>,
}

impl Logistic {
    /// Fits `P(yes) = 1 / (1 + exp(-w·x))` to rows of one length, columns standardized, minimizing the summed log loss plus
    /// `ridge/2` times the squared weights (the intercept is free).
    ///
    /// `None` without rows, with answers of one kind alone, or where a number is not finite: then nothing can be learned.
    pub fn fit(rows: &[Vec<f64>], yes: &[bool], ridge: f64) -> Option<Self> {
        let (n, width) = (rows.len(), rows.first()?.len());
        let n_yes = yes.iter().filter(|y| **y).count();
        let fits = yes.len() == n && rows.iter().all(|r| r.len() == width);
        if !fits || n_yes == 0 || n_yes == n || rows.iter().flatten().any(|v| !v.is_finite()) {
            return None;
        }
        let scale: Vec<(f64, f64)> = (0..width)
            .map(|j| {
                let mean = rows.iter().map(|r| r[j]).sum::<f64>() / n as f64;
                let variance = rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / n as f64;
                (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
            })
            .collect();
        let mut made = Self { scale, weights: vec![0.0; width + 1] };
        let x: Vec<Vec<f64>> = rows.iter().map(|r| made.standard(r)).collect();
        for _ in 0..STEPS {
            let mut gradient = vec![0.0; width + 1];
            let mut hessian = vec![vec![0.0; width + 1]; width + 1];
            for (x, y) in x.iter().zip(yes) {
                let p = sigmoid(dot(&made.weights, x));
                let (miss, bend) = (p - f64::from(u8::from(*y)), (p * (1.0 - p)).max(1e-12));
                for i in 0..=width {
                    gradient[i] += miss * x[i];
                    for j in 0..=width {
                        hessian[i][j] += bend * x[i] * x[j];
                    }
                }
            }
            for i in 0..=width {
                let r = if i == 0 { 1e-9 } else { ridge.max(1e-9) };
                gradient[i] += r * made.weights[i];
                hessian[i][i] += r;
            }
            let step = Cholesky::new(&hessian)?.solve(&gradient);
            // A step is never longer than five: far out the curvature says too little.
            let longest = step.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
            let factor = if longest > 5.0 { 5.0 / longest } else { 1.0 };
            made.weights.iter_mut().zip(&step).for_each(|(w, s)| *w -= factor * s);
            if longest < 1e-9 {
                break;
            }
        }
        made.weights.iter().all(|w| w.is_finite()).then_some(made)
    }

    /// With a 1 for the intercept.
    fn standard(&self, row: &[f64]) -> Vec<f64> {
        let scaled = row.iter().zip(&self.scale).map(|(v, (mean, sd))| (v - mean) / sd);
        std::iter::once(1.0).chain(scaled).collect()
    }

    /// The probability of yes.
    pub fn probability(&self, row: &[f64]) -> f64 {
        sigmoid(dot(&self.weights, &self.standard(row)))
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn a_table_of_two_columns_is_fitted_to_its_frequencies() {
        // Without a ridge to speak of, a yes-or-no column gives the frequencies of its two groups.
        let of = |x: f64, n: usize| vec![vec![x]; n];
        let rows: Vec<Vec<f64>> = [of(0.0, 40), of(1.0, 40)].concat();
        let yes: Vec<bool> =
            (0..80).map(|i| if i < 40 { i % 4 == 0 } else { i % 4 != 0 }).collect();
        let m = Logistic::fit(&rows, &yes, 0.0).unwrap();
        assert!((m.probability(&[0.0]) - 0.25).abs() < 1e-6);
        assert!((m.probability(&[1.0]) - 0.75).abs() < 1e-6);
    }

    #[test]
    fn planted_weights_come_back_and_separable_data_stay_finite() {
        let draws = Philox::new(2, "logistic").at(0);
        let rows: Vec<Vec<f64>> = (0..20_000)
            .map(|i| vec![draws.normal(3 * i), 10.0 * draws.normal(3 * i + 1)])
            .collect();
        let p = |r: &[f64]| sigmoid(0.5 + 1.5 * r[0] - 0.1 * r[1]);
        let yes: Vec<bool> =
            rows.iter().zip(0..).map(|(r, i)| draws.uniform(100_000 + i) < p(r)).collect();
        let m = Logistic::fit(&rows, &yes, 1.0).unwrap();
        for r in &rows[..100] {
            assert!((m.probability(r) - p(r)).abs() < 0.03, "{} {}", m.probability(r), p(r));
        }
        let rows: Vec<Vec<f64>> = (0..20).map(|i| vec![f64::from(i)]).collect();
        let yes: Vec<bool> = (0..20).map(|i| i >= 10).collect();
        let m = Logistic::fit(&rows, &yes, 1.0).unwrap();
        assert!(m.probability(&[0.0]) < 0.1 && m.probability(&[19.0]) > 0.9);
    }

    #[test]
    fn nothing_is_learned_from_one_kind_or_from_what_is_not_finite() {
        let rows = vec![vec![1.0], vec![2.0]];
        assert_eq!(Logistic::fit(&rows, &[true, true], 1.0), None);
        assert_eq!(Logistic::fit(&[vec![f64::NAN], vec![0.0]], &[true, false], 1.0), None);
        assert_eq!(Logistic::fit(&[], &[], 1.0), None);
        assert_eq!(Logistic::fit(&[vec![1.0], vec![]], &[true, false], 1.0), None);
    }
}
