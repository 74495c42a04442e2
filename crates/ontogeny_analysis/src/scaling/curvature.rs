//! The shape of the objective around an optimum, smoothed over the size of the residuals.
//!
//! With a threshold far below the residuals the Hessian of a sum of Huber losses is that of whichever few points lie
//! within the threshold. Averaged over moves as large as the residuals it is `2 delta f(0) JᵀJ`, with `f(0)` the density
//! of the residuals at zero and `J` the gradients of ln(predicted): as in median regression (Koenker & Bassett 1978).

use super::data::Data;
use super::law::{Law, MAX_THETA, Theta};
use super::minimize::Inverse;
use crate::math::linear::{Cholesky, gram};
use crate::math::quantile;

/// Curvature and spread of the objective at an optimum.
#[derive(Debug, Clone)]
pub(super) struct Curvature {
    /// Gradients of ln(predicted) at the points: [n_points][n_theta].
    pub(super) jacobian: Vec<Vec<f64>>,
    /// Mean slope of the Huber function's derivative, `E psi'`.
    pub(super) slope: f64,
    /// Mean square of that derivative, `E psi²`, with the degrees of freedom of the fit taken off.
    pub(super) square: f64,
}

impl Curvature {
    /// At centred parameters, from residuals of `data`.
    pub(super) fn new(
        law: &dyn Law,
        data: &Data,
        delta: f64,
        theta: &Theta,
        residuals: &[f64],
    ) -> Self {
        let (n, n_theta) = (residuals.len(), law.spec().theta.len());
        let mut g = [0.0; MAX_THETA];
        let jacobian = (0..n).map(|i| {
            law.ln_loss(theta, &data.x(i), &mut g);
            g[..n_theta].to_vec()
        });
        let sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
        // Half of the residuals decide the density at zero, or those within the threshold if they are more.
        let reach = quantile(&sizes, 0.5).unwrap_or(delta).max(delta);
        let within = sizes.iter().filter(|r| **r <= reach).count() as f64 / n as f64;
        let square = sizes.iter().map(|r| r.min(delta).powi(2)).sum::<f64>();
        Self {
            jacobian: jacobian.collect(),
            slope: (within * delta / reach).max(1e-12),
            square: square / (n - n_theta).max(1) as f64,
        }
    }

    /// What a difference of the objective is divided by to be half a chi-squared variable: `E psi² / E psi'`.
    pub(super) fn unit(&self) -> f64 {
        self.square / self.slope
    }

    /// Factors of `JᵀJ`; `None` where parameters cannot be told apart at all.
    pub(super) fn gram(&self) -> Option<Cholesky> {
        let n_theta = self.jacobian.first().map_or(0, Vec::len);
        Cholesky::new(&gram(&self.jacobian, &vec![0.0; n_theta]))
    }

    /// The inverse of the smoothed Hessian.
    pub(super) fn inverse(&self) -> Option<Inverse> {
        let factor = self.gram()?;
        let n = self.jacobian.first()?.len();
        let columns: Vec<Vec<f64>> = (0..n)
            .map(|j| factor.solve(&(0..n).map(|i| f64::from(u8::from(i == j))).collect::<Vec<_>>()))
            .collect();
        Some(Inverse::from_columns(&columns, 1.0 / self.slope))
    }
}
