//! Kaplan's law of size and data above an irreducible loss: between Kaplan's form and Chinchilla's.

use super::kaplan_nd::{bracket_starts, ln_bracket};
use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};
use crate::scaling::lse;

pub(crate) const SPEC: LawSpec = LawSpec {
    name: "floor-nd",
    formula: "L = E + [(Nc/N)^q + Dc/D]^aD",
    source: "arXiv:2001.08361, eq. 1.5, with the floor of arXiv:2203.15556",
    inputs: &[Input::Params, Input::Tokens],
    theta: &[
        Coordinate::log("Nc^q"),
        Coordinate::log("Dc"),
        Coordinate::plain("q"),
        Coordinate::plain("aD"),
        Coordinate::log("E"),
    ],
};

/// `E + [(Nc/N)^q + Dc/D]^aD`; parameters `[q ln Nc, ln Dc, q, aD, ln E]`.
#[derive(Debug, Clone, Copy)]
pub struct FloorNd;

impl Law for FloorNd {
    fn spec(&self) -> &'static LawSpec {
        &SPEC
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let (reducible, g) = ln_bracket(&[t[0], t[1], t[2], t[3]], x);
        let (value, share) = lse::ln_sum_exp(&[reducible, t[4]]);
        *grad =
            theta([share[0] * g[0], share[0] * g[1], share[0] * g[2], share[0] * g[3], share[1]]);
        value
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[2] * by[0], t[1] + by[1], t[2], t[3], t[4]])
    }

    fn starts(&self, data: &Data) -> Vec<Theta> {
        let (middle, least) = (data.mean_ln_loss().exp(), data.least_ln_loss().exp());
        let mut all = Vec::new();
        for part in [0.3, 0.6, 0.85] {
            let e = part * least;
            for s in bracket_starts((middle - e).max(1e-12).ln()) {
                let start = theta([s[0], s[1], s[2], s[3], e.ln()]);
                all.push(self.shift(&start, &data.centre()));
            }
        }
        all
    }

    fn derived(&self, t: &Theta) -> Vec<(&'static str, f64)> {
        vec![("aN", t[2] * t[3]), ("N_opt exponent", 1.0 / (1.0 + t[2]))]
    }
}
