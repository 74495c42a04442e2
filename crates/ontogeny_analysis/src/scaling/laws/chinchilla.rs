//! The parametric law of Hoffmann et al. 2022 (arXiv:2203.15556, approach 3): `E + A/N^alpha + B/D^beta`.
//!
//! The objective is the fused kernel of [`lse`](super::super::lse); the starts are the 4,500 of Besiroglu et al. 2024
//! (arXiv:2404.10102).

use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};
use crate::scaling::lse;

pub(crate) const SPEC: LawSpec = LawSpec {
    name: "chinchilla",
    formula: "L = E + A/N^alpha + B/D^beta",
    source: "arXiv:2203.15556, approach 3; fitted as in arXiv:2404.10102",
    inputs: &[Input::Params, Input::Tokens],
    theta: &[
        Coordinate::log("A"),
        Coordinate::log("B"),
        Coordinate::log("E"),
        Coordinate::plain("alpha"),
        Coordinate::plain("beta"),
    ],
};

/// `E + A/N^alpha + B/D^beta`; parameters `[ln A, ln B, ln E, alpha, beta]`.
#[derive(Debug, Clone, Copy)]
pub struct Chinchilla;

impl Law for Chinchilla {
    fn spec(&self) -> &'static LawSpec {
        &SPEC
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let terms = [t[0] - t[3] * x[0], t[1] - t[4] * x[1], t[2]];
        let (value, share) = lse::ln_sum_exp(&terms);
        *grad = theta([share[0], share[1], share[2], -share[0] * x[0], -share[1] * x[1]]);
        value
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[3] * by[0], t[1] + t[4] * by[1], t[2], t[3], t[4]])
    }

    fn starts(&self, _data: &Data) -> Vec<Theta> {
        let exponents = [0.0, 0.5, 1.0, 1.5, 2.0];
        let mut all = Vec::with_capacity(4500);
        for alpha in exponents {
            for beta in exponents {
                for e in [-1.0, -0.5, 0.0, 0.5, 1.0] {
                    for a in 0..6 {
                        for b in 0..6 {
                            let (a, b) = (5.0 * f64::from(a), 5.0 * f64::from(b));
                            all.push(theta([a, b, e, alpha, beta]));
                        }
                    }
                }
            }
        }
        all
    }

    /// Exponents of the optimal size and data in compute, `beta/(alpha+beta)` and `alpha/(alpha+beta)`.
    fn derived(&self, t: &Theta) -> Vec<(&'static str, f64)> {
        let sum = t[3] + t[4];
        vec![("N_opt exponent", t[4] / sum), ("D_opt exponent", t[3] / sum)]
    }

    fn objective(&self, data: &Data, delta: f64, t: &Theta, grad: &mut Theta) -> f64 {
        let (value, g) = lse::two_powers_and_a_floor(data, delta, &[t[0], t[1], t[2], t[3], t[4]]);
        *grad = theta(g);
        value
    }
}
