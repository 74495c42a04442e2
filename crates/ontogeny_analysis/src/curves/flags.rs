//! Flags of ill-behaved curves: turns and bends beyond the noise.
//!
//! Readings are averaged in eight blocks of equal count; a turn is a significant step against the direction
//! of another significant step, a bend a significant change of slope in `ln t` against another. "Significant" is
//! four standard errors, from the residuals of the best fit with their memory. Source: LCDB 1.1, arXiv:2505.15657.

use super::posterior::FamilyFit;
use super::readings::Readings;

const BLOCKS: usize = 8;
const FAR: f64 = 4.0;

/// What is unusual about a curve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// It rises and falls, beyond noise.
    pub non_monotone: bool,
    /// It bends both ways in `t`, beyond noise.
    pub non_convex: bool,
    /// Readings that stood out alone and were cut back.
    pub n_spikes: usize,
    /// Changes found.
    pub n_changes: usize,
}

impl Flags {
    /// Whether any shape flag is set.
    pub fn is_ill_behaved(&self) -> bool {
        self.non_monotone || self.non_convex || self.n_changes > 0
    }
}

/// Flags of readings; `best` is the fit whose residuals say how large the noise is.
pub(crate) fn flags(r: &Readings, best: &FamilyFit, n_changes: usize) -> Flags {
    let n = r.len();
    let mut out = Flags { n_spikes: r.spikes, n_changes, ..Flags::default() };
    if n < 2 * BLOCKS {
        return out;
    }
    // Variance of a block's mean: innovations pile up by 1/(1 - ρ)².
    let size = n as f64 / BLOCKS as f64;
    let rho = best.rho.clamp(0.0, 0.95);
    let var = best.innovation / ((1.0 - rho).powi(2) * size);
    let blocks: Vec<(f64, f64, f64)> = (0..BLOCKS)
        .map(|k| {
            let (from, to) = (k * n / BLOCKS, (k + 1) * n / BLOCKS);
            let m = (to - from) as f64;
            let mean = |v: &[f64]| v[from..to].iter().sum::<f64>() / m;
            let w = mean(&r.w);
            (mean(&r.t), mean(&r.y), var / (w * w))
        })
        .collect();
    let (mut up, mut down) = (false, false);
    for i in 0..BLOCKS {
        for j in i + 1..BLOCKS {
            let z = (blocks[j].1 - blocks[i].1) / (blocks[j].2 + blocks[i].2).sqrt();
            up |= z > FAR;
            down |= z < -FAR;
        }
    }
    out.non_monotone = up && down;
    let (mut hollow, mut round) = (false, false);
    for w in blocks.windows(3) {
        let share = (w[1].0 - w[0].0) / (w[2].0 - w[0].0);
        let bend = w[0].1 + share * (w[2].1 - w[0].1) - w[1].1;
        let sd = (w[1].2 + (1.0 - share).powi(2) * w[0].2 + share * share * w[2].2).sqrt();
        hollow |= bend / sd > FAR;
        round |= bend / sd < -FAR;
    }
    out.non_convex = hollow && round;
    out
}
