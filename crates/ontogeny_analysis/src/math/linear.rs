//! Least squares with a ridge, by Cholesky factors of the normal equations.

/// A symmetric positive definite system, factored once.
#[derive(Debug, Clone)]
pub(crate) struct Cholesky {
    l: Vec<Vec<f64>>,
}

impl Cholesky {
    /// Factors `a = L Lᵀ`; `None` if `a` is not positive definite.
    pub(crate) fn new(a: &[Vec<f64>]) -> Option<Self> {
        let n = a.len();
        let mut l = vec![vec![0.0; n]; n];
        for i in 0..n {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
                let rest = a[i][j] - dot;
                if i == j {
                    if rest.is_nan() || rest <= 1e-14 * a[i][i].abs() {
                        return None;
                    }
                    l[i][i] = rest.sqrt();
                } else {
                    l[i][j] = rest / l[j][j];
                }
            }
        }
        Some(Self { l })
    }

    /// Solves `a x = b`.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.l.len();
        let mut x = b.to_vec();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| self.l[i][k] * x[k]).sum();
            x[i] = (x[i] - dot) / self.l[i][i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| self.l[k][i] * x[k]).sum();
            x[i] = (x[i] - dot) / self.l[i][i];
        }
        x
    }

    /// `xᵀ a⁻¹ x`.
    pub(crate) fn inverse_form(&self, x: &[f64]) -> f64 {
        self.solve(x).iter().zip(x).map(|(a, b)| a * b).sum()
    }
}

/// `XᵀX + diag(ridge)` for rows `x`.
pub(crate) fn gram(x: &[Vec<f64>], ridge: &[f64]) -> Vec<Vec<f64>> {
    let p = ridge.len();
    let mut a = vec![vec![0.0; p]; p];
    for row in x {
        for i in 0..p {
            for j in 0..p {
                a[i][j] += row[i] * row[j];
            }
        }
    }
    for i in 0..p {
        a[i][i] += ridge[i];
    }
    a
}

/// A least-squares fit `y ≈ X b` with what a prediction interval needs.
#[derive(Debug, Clone)]
pub(crate) struct Ridge {
    pub(crate) coef: Vec<f64>,
    pub(crate) residual_sd: f64,
    factor: Cholesky,
}

impl Ridge {
    /// Minimizes `|y - X b|² + Σ ridge_j b_j²`. `None` if the system is singular or no residual degree of
    /// freedom is left (`dof = n - tr((XᵀX + R)⁻¹ XᵀX)`).
    pub(crate) fn fit(x: &[Vec<f64>], y: &[f64], ridge: &[f64]) -> Option<Self> {
        let factor = Cholesky::new(&gram(x, ridge))?;
        let p = ridge.len();
        let xty: Vec<f64> = (0..p).map(|j| x.iter().zip(y).map(|(r, y)| r[j] * y).sum()).collect();
        let coef = factor.solve(&xty);
        let rss: f64 = x.iter().zip(y).map(|(r, y)| (y - dot(r, &coef)).powi(2)).sum();
        let used: f64 = x.iter().map(|r| factor.inverse_form(r)).sum();
        let dof = x.len() as f64 - used;
        (dof > 0.5).then(|| Self { coef, residual_sd: (rss / dof).sqrt(), factor })
    }

    pub(crate) fn predict(&self, x: &[f64]) -> f64 {
        dot(x, &self.coef)
    }

    /// Standard deviation of a new observation at `x`: residual plus what is unknown of the coefficients.
    pub(crate) fn predictive_sd(&self, x: &[f64]) -> f64 {
        self.residual_sd * (1.0 + self.factor.inverse_form(x)).sqrt()
    }
}

/// Inner product.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_a_line_and_its_prediction_error() {
        // y = 1, 3, 2, 5 at x = 0..3: slope 1.1, intercept 1.1, rss 2.7 on 2 degrees of freedom.
        let x: Vec<Vec<f64>> = (0..4).map(|i| vec![1.0, f64::from(i)]).collect();
        let f = Ridge::fit(&x, &[1.0, 3.0, 2.0, 5.0], &[0.0, 0.0]).unwrap();
        assert!((f.coef[0] - 1.1).abs() < 1e-12 && (f.coef[1] - 1.1).abs() < 1e-12);
        assert!((f.residual_sd - 1.35_f64.sqrt()).abs() < 1e-12);
        // At x = 4: 1 + 1/4 + (4 - 1.5)²/5 = 2.5.
        assert!((f.predictive_sd(&[1.0, 4.0]) - (1.35_f64 * 2.5).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_singular_system_is_none() {
        assert!(Ridge::fit(&vec![vec![1.0, 1.0]; 5], &[1.0; 5], &[0.0, 0.0]).is_none());
    }
}
