//! Laws of the loss that know the learning-rate schedule: fitted on curves, they predict schedules not tried.
//!
//! To add one: a file here with its [`ScheduleLaw`], its `mod` line and its row in [`SCHEDULE_LAWS`].

mod annealing;
mod curve;
mod multipower;

use super::error::ScalingError;
use super::law::{MAX_THETA, Theta};
use super::minimize::{Minimum, Stop, minimize};
use rayon::prelude::*;
use std::fmt;

pub use annealing::{ANNEALING, Annealing, annealing_area};
pub use curve::{Schedule, ScheduledCurve};
pub use multipower::{MULTI_POWER, MultiPower};

/// A law of the loss along a schedule.
pub trait ScheduleLaw: fmt::Debug + Sync {
    /// Name and formula.
    fn spec(&self) -> (&'static str, &'static str);

    /// Number of parameters, at most [`MAX_THETA`].
    fn n_theta(&self) -> usize;

    /// Everything about a schedule at some steps that does not depend on the parameters.
    fn prepare<'a>(&'a self, schedule: &'a Schedule, steps: &'a [u64]) -> Box<dyn Prepared + 'a>;

    /// Where searches begin, given the least and the mean loss.
    fn starts(&self, least: f64, mean: f64) -> Vec<Theta>;
}

/// A schedule that is ready to be evaluated.
pub trait Prepared: Sync {
    /// Losses at the steps and their gradients.
    fn losses(&self, theta: &Theta, out: &mut Vec<(f64, Theta)>);
}

/// Every schedule-aware law.
pub static SCHEDULE_LAWS: &[&dyn ScheduleLaw] = &[&ANNEALING, &MULTI_POWER];

/// A fitted law.
#[derive(Debug, Clone)]
pub struct ScheduleFit {
    /// The law.
    pub law: &'static dyn ScheduleLaw,
    /// Its parameters.
    pub theta: Theta,
    /// Sum of Huber losses of ln(loss).
    pub objective: f64,
    /// ln(measured) - ln(predicted) of all readings, curve after curve.
    pub residuals: Vec<f64>,
}

/// Threshold of the Huber loss, in nats of ln(loss), as published (arXiv:2503.12811, app. B).
const DELTA: f64 = 1e-3;

/// Fits a schedule-aware law to curves.
///
/// # Errors
/// [`ScalingError::TooFewPoints`] with fewer readings than three for every parameter, and
/// [`ScalingError::NotPositive`] for a loss without a logarithm.
pub fn fit_schedule(
    law: &'static dyn ScheduleLaw,
    curves: &[ScheduledCurve],
) -> Result<ScheduleFit, ScalingError> {
    let (name, n_theta) = (law.spec().0, law.n_theta());
    let readings: Vec<f64> = curves.iter().flat_map(|c| c.losses.iter().copied()).collect();
    let needed = 3 * n_theta;
    if readings.len() < needed {
        let n_points = readings.len();
        return Err(ScalingError::TooFewPoints { law: name, n_points, n_theta, needed });
    }
    if let Some(point) = readings.iter().position(|v| !(v.is_finite() && *v > 0.0)) {
        let value = readings[point];
        return Err(ScalingError::NotPositive { law: name, column: "loss", point, value });
    }
    let ready: Vec<(Box<dyn Prepared + '_>, Vec<f64>)> = (curves.iter())
        .map(|c| {
            let logs = c.losses.iter().map(|l| l.ln()).collect();
            (law.prepare(&c.schedule, &c.steps), logs)
        })
        .collect();
    let objective = |theta: &Theta, grad: &mut Theta| {
        let mut value = 0.0;
        *grad = [0.0; MAX_THETA];
        let mut out = Vec::new();
        for (prepared, logs) in &ready {
            prepared.losses(theta, &mut out);
            for ((loss, g), log) in out.iter().zip(logs) {
                if loss.is_nan() || *loss <= 0.0 {
                    return f64::INFINITY;
                }
                let r = loss.ln() - log;
                let psi = r.clamp(-DELTA, DELTA);
                value += psi * (r - 0.5 * psi);
                (0..n_theta).for_each(|j| grad[j] += psi * g[j] / loss);
            }
        }
        if value.is_finite() { value } else { f64::INFINITY }
    };
    let least = readings.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = readings.iter().sum::<f64>() / readings.len() as f64;
    let starts = law.starts(least, mean);
    let first: Vec<Option<Minimum>> =
        starts.par_iter().map(|s| minimize(n_theta, s, Stop::COARSE, objective)).collect();
    let mut ends: Vec<Minimum> = first.into_iter().flatten().collect();
    ends.sort_by(|a, b| a.value.total_cmp(&b.value));
    let polished =
        ends.iter().take(3).filter_map(|m| minimize(n_theta, &m.theta, Stop::FINE, objective));
    let best = polished
        .min_by(|a, b| a.value.total_cmp(&b.value))
        .ok_or(ScalingError::NoOptimum { law: name, n_starts: starts.len() })?;
    let mut out = Vec::new();
    let mut residuals = Vec::new();
    for (prepared, logs) in &ready {
        prepared.losses(&best.theta, &mut out);
        residuals.extend(out.iter().zip(logs).map(|((loss, _), log)| log - loss.ln()));
    }
    Ok(ScheduleFit { law, theta: best.theta, objective: best.value, residuals })
}

impl ScheduleFit {
    /// Losses at `steps` of another schedule.
    pub fn losses(&self, schedule: &Schedule, steps: &[u64]) -> Vec<f64> {
        let mut out = Vec::new();
        self.law.prepare(schedule, steps).losses(&self.theta, &mut out);
        out.into_iter().map(|(loss, _)| loss).collect()
    }
}

#[cfg(test)]
mod tests;
