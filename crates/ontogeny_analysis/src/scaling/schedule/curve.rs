//! A learning-rate schedule and a loss curve along it.

use crate::scaling::error::ScalingError;

/// A learning-rate schedule, update by update after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The step at which the warm-up has ended: `lr[0]` is the rate there.
    pub first_step: u64,
    /// Sum of the rates before `first_step`.
    pub warm_up_sum: f64,
    /// Learning rate of every update from `first_step` on.
    pub lr: Vec<f64>,
}

impl Schedule {
    /// From readings (step, lr) with a linear warm-up from zero before the first: a rate holds its line between two
    /// readings, unless it is the same at the left and the drop is more than a tenth, which is a step at the right.
    ///
    /// # Errors
    /// [`ScalingError::NotPositive`] if a rate is not finite or negative, [`ScalingError::TooFewPoints`] below two
    /// readings or with steps that do not increase.
    pub fn from_readings(readings: &[(u64, f64)]) -> Result<Self, ScalingError> {
        let law = "schedule";
        if let Some(point) = readings.iter().position(|r| !(r.1.is_finite() && r.1 >= 0.0)) {
            let value = readings[point].1;
            return Err(ScalingError::NotPositive { law, column: "lr", point, value });
        }
        if readings.len() < 2 || readings.windows(2).any(|w| w[1].0 <= w[0].0) {
            let n_points = readings.len();
            return Err(ScalingError::TooFewPoints { law, n_points, n_theta: 0, needed: 2 });
        }
        let (first_step, first_lr) = readings[0];
        let mut lr = vec![first_lr];
        for (k, w) in readings.windows(2).enumerate() {
            let ((left, from), (right, to)) = (w[0], w[1]);
            let was_flat = k == 0 || (readings[k - 1].1 - from).abs() < 1e-12;
            let is_jump = was_flat && to < 0.9 * from;
            for step in left + 1..=right {
                let part = (step - left) as f64 / (right - left) as f64;
                let at = if is_jump && step < right { from } else { from + part * (to - from) };
                lr.push(at);
            }
        }
        Ok(Self { first_step, warm_up_sum: 0.5 * first_step as f64 * first_lr, lr })
    }

    /// Position of a step in `lr`, held to its ends.
    pub(super) fn at(&self, step: u64) -> usize {
        (step.saturating_sub(self.first_step) as usize).min(self.lr.len() - 1)
    }

    /// `S1` after every update: the sum of rates, warm-up included.
    pub fn sums(&self) -> Vec<f64> {
        let mut sum = self.warm_up_sum;
        self.lr
            .iter()
            .map(|lr| {
                sum += lr;
                sum
            })
            .collect()
    }
}

/// Losses measured along a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduledCurve {
    /// The schedule.
    pub schedule: Schedule,
    /// Steps at which the loss was read, increasing.
    pub steps: Vec<u64>,
    /// The losses, nats per token.
    pub losses: Vec<f64>,
}
