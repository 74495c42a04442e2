//! The annealing law of Tissue et al. 2024 (arXiv:2408.11029): `L = L0 + A S1^-a - C S2`.
//!
//! `S1` sums the learning rates, `S2 = Σ_i Σ_{k<=i} (lr_{k-1} - lr_k) lambda^(i-k)` the rate given up so far, with a
//! memory that fades: what annealing has gained.

use super::curve::Schedule;
use super::{Prepared, ScheduleLaw};
use crate::scaling::law::{Theta, theta};

/// The law with one memory; parameters `[ln L0, ln (A at S1 = 1), a, ln C]`.
#[derive(Debug, Clone, Copy)]
pub struct Annealing {
    /// Memory `lambda` per update.
    pub lambda: f64,
}

/// The law with the published memory, .999.
pub static ANNEALING: Annealing = Annealing { lambda: 0.999 };

/// `S2` after every update, by `m_i = lambda m_{i-1} + (lr_{i-1} - lr_i)`, `S2_i = S2_{i-1} + m_i`.
pub fn annealing_area(lr: &[f64], lambda: f64) -> Vec<f64> {
    let (mut momentum, mut area) = (0.0, 0.0);
    let drops = std::iter::once(0.0).chain(lr.windows(2).map(|w| w[0] - w[1]));
    drops
        .map(|drop| {
            momentum = lambda * momentum + drop;
            area += momentum;
            area
        })
        .collect()
}

struct Areas(Vec<(f64, f64)>);

impl Prepared for Areas {
    fn losses(&self, t: &Theta, out: &mut Vec<(f64, Theta)>) {
        let (floor, gain) = (t[0].min(20.0).exp(), t[3].min(20.0).exp());
        out.clear();
        out.extend(self.0.iter().map(|(ln_s1, s2)| {
            let power = (t[1] - t[2] * ln_s1).min(50.0).exp();
            let g = theta([floor, power, -power * ln_s1, -gain * s2]);
            (floor + power - gain * s2, g)
        }));
    }
}

impl ScheduleLaw for Annealing {
    fn spec(&self) -> (&'static str, &'static str) {
        ("annealing", "L = L0 + A S1^-a - C S2")
    }

    fn n_theta(&self) -> usize {
        4
    }

    fn prepare<'a>(&'a self, schedule: &'a Schedule, steps: &'a [u64]) -> Box<dyn Prepared + 'a> {
        let (s1, s2) = (schedule.sums(), annealing_area(&schedule.lr, self.lambda));
        let at = steps.iter().map(|s| schedule.at(*s));
        Box::new(Areas(at.map(|i| (s1[i].ln(), s2[i])).collect()))
    }

    fn starts(&self, least: f64, mean: f64) -> Vec<Theta> {
        let mut all = Vec::new();
        for part in [0.6, 0.8, 0.95] {
            for a in [0.2, 0.4, 0.6, 0.9] {
                for gain in [0.03_f64, 0.3, 3.0] {
                    let floor = part * least;
                    all.push(theta([floor.ln(), (mean - floor).ln() + a, a, gain.ln()]));
                }
            }
        }
        all
    }
}
