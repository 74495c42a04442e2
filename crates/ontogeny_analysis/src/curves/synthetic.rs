//! Synthetic learning curves with known truth.
//!
//! A family with coordinates from its prior (time in units of the horizon), rising or falling over a range of 1,
//! AR(1) noise, and in a given share of curves a dip, a peak or a phase jump. Curves that are over within the
//! first tenth of their readings are drawn again: nobody would ask about them.

use super::families::{FAMILIES, Family, MAX_THETA};
use ontogeny_core::random::Philox;

/// Steps of a synthetic run.
pub const HORIZON: f64 = 10_000.0;

/// `ln` of the horizon over the earliest prefix asked about.
const EARLIEST: f64 = 3.0;

/// What disturbs a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Down and back.
    Dip,
    /// Up and back.
    Peak,
    /// Up or down for good.
    Jump,
}

/// A curve with its truth.
#[derive(Debug, Clone)]
pub struct Synthetic {
    /// The family.
    pub family: &'static Family,
    /// Its parameters `[a, (c,) θ...]`, with time in units of [`HORIZON`].
    pub params: Vec<f64>,
    /// Readings (step, value), evenly spaced up to [`HORIZON`].
    pub points: Vec<(f64, f64)>,
    /// The same without noise.
    pub clean: Vec<f64>,
    /// Standard deviation of the noise.
    pub noise_sd: f64,
    /// Its lag-1 autocorrelation.
    pub rho: f64,
    /// What disturbs it and the step at which that is centred.
    pub disturbance: Option<(Disturbance, f64)>,
}

/// What kinds of curves are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// Share of curves with a dip, peak or jump.
    pub disturbed: f64,
    /// Whether every disturbance is a phase jump.
    pub only_jumps: bool,
    /// Readings.
    pub n: usize,
}

impl Default for Kind {
    fn default() -> Self {
        Self { disturbed: 0.15, only_jumps: false, n: 200 }
    }
}

/// The curve of a seed.
pub fn curve(seed: u64, kind: Kind) -> Synthetic {
    let stream = Philox::new(seed, "synthetic curve");
    let d = stream.at(0);
    let uniform = |i: u64, lo: f64, hi: f64| lo + (hi - lo) * d.uniform(i);
    let x: Vec<f64> = (1..=kind.n).map(|i| i as f64 / kind.n as f64).collect();
    let (family, params) = (1..)
        .find_map(|attempt| shape(stream.at(attempt), &x))
        .unwrap_or((&FAMILIES[0], vec![1.0, 0.0]));
    let mut clean: Vec<f64> = x.iter().map(|x| family.value(*x, &params)).collect();
    let is_disturbed = d.uniform(10) < kind.disturbed;
    let disturbance = is_disturbed.then(|| {
        let which = if kind.only_jumps { 2 } else { d.below(11, 3) };
        let (at, height, width) =
            (uniform(12, 0.05, 0.9), uniform(13, 0.1, 0.5), uniform(14, 0.05, 0.2));
        let sign = if d.uniform(15) < 0.5 { -1.0 } else { 1.0 };
        for (y, x) in clean.iter_mut().zip(&x) {
            let u = (x / at).ln();
            let bump = height * (-0.5 * (u / width).powi(2)).exp();
            *y += match which {
                0 => -bump,
                1 => bump,
                _ => sign * height / (1.0 + (-u / 0.01).exp()),
            };
        }
        let which = [Disturbance::Dip, Disturbance::Peak, Disturbance::Jump][which as usize];
        (which, at * HORIZON)
    });
    let (rho, noise_sd) = (uniform(1, 0.0, 0.9), uniform(2, 0.003_f64.ln(), 0.05_f64.ln()).exp());
    let fresh = stream.at(u64::MAX);
    let mut noise = noise_sd * fresh.normal(0);
    let points = x
        .iter()
        .zip(&clean)
        .enumerate()
        .map(|(i, (x, y))| {
            if i > 0 {
                noise = rho * noise + (1.0 - rho * rho).sqrt() * noise_sd * fresh.normal(i as u64);
            }
            (x * HORIZON, y + noise)
        })
        .collect();
    Synthetic { family, params, points, clean, noise_sd, rho, disturbance }
}

/// A family with parameters whose curve has range 1; `None` if the draw is over too soon.
fn shape(d: ontogeny_core::random::Draws, x: &[f64]) -> Option<(&'static Family, Vec<f64>)> {
    let family = &FAMILIES[d.below(0, FAMILIES.len() as u64) as usize];
    let mut theta = [0.0; MAX_THETA];
    for (k, c) in family.theta.iter().enumerate() {
        // In units of a prefix of a twentieth the coordinate must still lie in its box.
        let (lo, hi) = (c.lo + EARLIEST * (-c.moves).max(0.0), c.hi - EARLIEST * c.moves.max(0.0));
        theta[k] = lo + (hi - lo) * d.uniform(1 + k as u64);
    }
    let mut params = vec![1.0];
    if family.has_floor {
        params.push(0.0);
    }
    params.extend(&theta[..family.theta.len()]);
    let phi: Vec<f64> = x.iter().map(|x| family.value(*x, &params)).collect();
    let range = |v: &[f64]| {
        let ends =
            v.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |a, y| (a.0.min(*y), a.1.max(*y)));
        ends.1 - ends.0
    };
    let all = range(&phi);
    let late = range(&phi[phi.len() / 10..]);
    if !all.is_finite() || all <= 1e-9 || all >= 1e9 || late < 0.1 * all {
        return None;
    }
    let sign = if family.has_floor && d.uniform(20) < 0.4 { -1.0 } else { 1.0 };
    params[0] = sign / all;
    if family.has_floor {
        params[1] = d.uniform(21) - phi.iter().fold(f64::INFINITY, |m, p| m.min(sign * p / all));
    }
    Some((family, params))
}

/// A random walk of `n` standard normal steps, at steps 1 to `n`: nothing about it can be forecast.
pub fn walk(seed: u64, n: usize) -> Vec<(f64, f64)> {
    let d = Philox::new(seed, "walk").at(0);
    let mut y = 0.0;
    (0..n as u64)
        .map(|i| {
            y += d.normal(i);
            ((i + 1) as f64, y)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_range_one_noise_as_said_and_their_share_of_disturbances() {
        let curves: Vec<Synthetic> = (0..600).map(|s| curve(s, Kind::default())).collect();
        let disturbed = curves.iter().filter(|c| c.disturbance.is_some()).count();
        // 15 % of 600, four standard errors.
        assert!((55..=125).contains(&disturbed), "{disturbed}");
        for f in FAMILIES {
            assert!(curves.iter().any(|c| c.family.name == f.name), "{}", f.name);
        }
        for c in &curves {
            assert!(c.points.iter().all(|p| p.1.is_finite()));
            let noise: f64 =
                c.points.iter().zip(&c.clean).map(|(p, y)| (p.1 - y).powi(2)).sum::<f64>() / 200.0;
            assert!(noise.sqrt() < 2.5 * c.noise_sd && noise.sqrt() > 0.3 * c.noise_sd);
        }
        assert_eq!(curve(3, Kind::default()).points, curves[3].points);
    }
}
