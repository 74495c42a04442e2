//! The multi-power law of Luo et al. 2025 (arXiv:2503.12811).
//!
//! `L = L0 + A (S1 + S_W)^-a - B Σ_k (lr_{k-1} - lr_k) G(lr_k^-g S_k(t))`, `G(x) = 1 - (1 + C x)^-b`, where `S_k(t)`
//! sums the rates from update `k` to `t`: every drop of the rate pays off along a power law of its own.

use super::curve::Schedule;
use super::{Prepared, ScheduleLaw};
use crate::scaling::law::{Theta, theta};

/// Drops within so many updates are taken together, at the middle of their mass.
const TOGETHER: usize = 64;

/// The law; parameters `[ln L0, ln A, a, ln B, ln C, b, g]`.
#[derive(Debug, Clone, Copy)]
pub struct MultiPower;

/// The law.
pub static MULTI_POWER: MultiPower = MultiPower;

/// A drop of the rate: how much, to what (ln), and `S1` just before it.
#[derive(Debug, Clone, Copy)]
struct Drop {
    size: f64,
    ln_lr: f64,
    s1: f64,
}

struct Drops {
    drops: Vec<Drop>,
    /// For each reading: `S1`, and how many drops have come by then.
    readings: Vec<(f64, usize)>,
}

impl Prepared for Drops {
    fn losses(&self, t: &Theta, out: &mut Vec<(f64, Theta)>) {
        let (floor, gain) = (t[0].min(20.0).exp(), t[3].min(30.0).exp());
        let scales: Vec<f64> =
            self.drops.iter().map(|d| (t[4] - t[6] * d.ln_lr).clamp(-60.0, 60.0).exp()).collect();
        out.clear();
        for &(s1, n) in &self.readings {
            let power = (t[1] - t[2] * s1.ln()).min(50.0).exp();
            let (mut sum, mut by_c, mut by_b, mut by_g) = (0.0, 0.0, 0.0, 0.0);
            for (d, scale) in self.drops[..n].iter().zip(&scales) {
                let y = scale * (s1 - d.s1).max(0.0);
                let log = y.ln_1p();
                let left = (-t[5] * log).exp();
                let slope = d.size * t[5] * left * y / (1.0 + y);
                sum += d.size * (1.0 - left);
                by_c += slope;
                by_b += d.size * left * log;
                by_g -= slope * d.ln_lr;
            }
            let g = [
                floor,
                power,
                -power * s1.ln(),
                -gain * sum,
                -gain * by_c,
                -gain * by_b,
                -gain * by_g,
            ];
            out.push((floor + power - gain * sum, theta(g)));
        }
    }
}

impl ScheduleLaw for MultiPower {
    fn spec(&self) -> (&'static str, &'static str) {
        ("multi-power", "L = L0 + A S1^-a - B sum_k (lr_{k-1} - lr_k) (1 - (1 + C lr_k^-g S_k)^-b)")
    }

    fn n_theta(&self) -> usize {
        7
    }

    fn prepare<'a>(&'a self, schedule: &'a Schedule, steps: &'a [u64]) -> Box<dyn Prepared + 'a> {
        let s1 = schedule.sums();
        let lr = &schedule.lr;
        let (mut drops, mut last): (Vec<(usize, Drop)>, usize) = (Vec::new(), 0);
        for i in 1..lr.len() {
            let size = lr[i - 1] - lr[i];
            if size == 0.0 {
                continue;
            }
            let one = Drop { size, ln_lr: lr[i].max(1e-12).ln(), s1: s1[i - 1] };
            match drops.last_mut() {
                Some((_, d)) if i - last < TOGETHER && d.size * size > 0.0 => {
                    let (total, part) = (d.size + size, size / (d.size + size));
                    d.ln_lr += part * (one.ln_lr - d.ln_lr);
                    d.s1 += part * (one.s1 - d.s1);
                    d.size = total;
                }
                _ => {
                    drops.push((i, one));
                    last = i;
                }
            }
        }
        let readings = steps.iter().map(|step| {
            let i = schedule.at(*step);
            (s1[i], drops.partition_point(|d| d.0 <= i))
        });
        let readings = readings.collect();
        Box::new(Drops { drops: drops.into_iter().map(|d| d.1).collect(), readings })
    }

    fn starts(&self, least: f64, mean: f64) -> Vec<Theta> {
        let mut all = Vec::new();
        for part in [0.7, 0.9] {
            for a in [0.3, 0.6] {
                for gain in [100.0_f64, 500.0] {
                    for c in [0.3_f64, 2.0] {
                        for (b, g) in [(0.4, 0.5), (0.8, 0.8)] {
                            let floor = part * least;
                            let power = (mean - floor).ln() + a;
                            all.push(theta([floor.ln(), power, a, gain.ln(), c.ln(), b, g]));
                        }
                    }
                }
            }
        }
        all
    }
}
