//! Hessian-vector products by central differences of `f64` gradients.

use crate::{Batch, Engine, EngineError, LanePlan, Network, Objective};

impl Engine {
    /// `H v`, the Hessian of the mean loss times `v`.
    ///
    /// `(g(θ + h v) - g(θ - h v)) / 2h` with `h = 1e-5 max(|θ|, 1) / |v|`: the truncation error falls as
    /// `h²`, the rounding error of a `f64` gradient grows as `1e-16 / h`. A zero `v` gives zeros. At kinks
    /// (ReLU) the product is that of a network smoothed over `h |v|`.
    ///
    /// # Errors
    /// If parameters, direction, batch and plan do not fit each other, or the batch has no targets.
    pub fn hvp(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
        v: &[f64],
    ) -> Result<Vec<f64>, EngineError> {
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let size = norm(&mut params.iter().map(|&p| f64::from(p))).max(1.0);
        let length = norm(&mut v.iter().copied());
        if v.len() != params.len() {
            return Err(EngineError::ParamCount { expected: params.len(), found: v.len() });
        }
        if length == 0.0 {
            return Ok(vec![0.0; v.len()]);
        }
        let h = 1e-5 * size / length;
        let at = |sign: f64| {
            let moved: Vec<f64> =
                params.iter().zip(v).map(|(&p, v)| f64::from(p) + sign * h * v).collect();
            self.gradient_f64(net, &moved, batch, plan, objective)
        };
        let (ahead, behind) = (at(1.0)?, at(-1.0)?);
        Ok(ahead.grad.iter().zip(&behind.grad).map(|(a, b)| (a - b) / (2.0 * h)).collect())
    }
}
