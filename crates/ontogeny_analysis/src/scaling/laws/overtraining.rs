//! The over-training law of Gadre et al. 2024 (arXiv:2403.08540, eq. 4): one exponent for size and data.
//!
//! With token multiplier `M = D/N` and `C = 6 N D`, their `E + (a M^h + b M^-h) C^-h` is
//! `E + A/N^(2h) + B/D^(2h)`: Chinchilla's law with equal exponents.

use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};
use crate::scaling::lse;

pub(crate) const SPEC: LawSpec = LawSpec {
    name: "overtraining",
    formula: "L = E + (A + B (N/D)^g)/N^g = E + (a M^h + b M^-h) C^-h, g = 2 h",
    source: "arXiv:2403.08540, eq. 4",
    inputs: &[Input::Params, Input::Tokens],
    theta: &[
        Coordinate::log("A"),
        Coordinate::log("B"),
        Coordinate::log("E"),
        Coordinate::plain("g"),
    ],
};

/// `E + A/N^g + B/D^g`; parameters `[ln A, ln B, ln E, g]`.
#[derive(Debug, Clone, Copy)]
pub struct Overtraining;

impl Law for Overtraining {
    fn spec(&self) -> &'static LawSpec {
        &SPEC
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let (value, share) = lse::ln_sum_exp(&[t[0] - t[3] * x[0], t[1] - t[3] * x[1], t[2]]);
        *grad = theta([share[0], share[1], share[2], -share[0] * x[0] - share[1] * x[1]]);
        value
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[3] * by[0], t[1] + t[3] * by[1], t[2], t[3]])
    }

    fn starts(&self, data: &Data) -> Vec<Theta> {
        let (middle, least) = (data.mean_ln_loss().exp(), data.least_ln_loss().exp());
        let mut all = Vec::new();
        for g in [0.1, 0.2, 0.3, 0.5, 0.8] {
            for part in [0.3, 0.6, 0.85] {
                for of_size in [0.2, 0.5, 0.8] {
                    let e = part * least;
                    let rest = (middle - e).max(1e-12);
                    let (a, b) = ((of_size * rest).ln(), ((1.0 - of_size) * rest).ln());
                    all.push(self.shift(&theta([a, b, e.ln(), g]), &data.centre()));
                }
            }
        }
        all
    }

    fn derived(&self, t: &Theta) -> Vec<(&'static str, f64)> {
        vec![("h = g/2", 0.5 * t[3])]
    }

    fn objective(&self, data: &Data, delta: f64, t: &Theta, grad: &mut Theta) -> f64 {
        let (value, g) = lse::two_powers_and_a_floor(data, delta, &[t[0], t[1], t[2], t[3], t[3]]);
        *grad = theta([g[0], g[1], g[2], g[3] + g[4]]);
        value
    }
}
