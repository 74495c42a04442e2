//! Kaplan et al. 2020 (arXiv:2001.08361, eq. 1.5): size and data together, without a floor.

use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};
use crate::scaling::lse;

pub(crate) const SPEC: LawSpec = LawSpec {
    name: "kaplan-nd",
    formula: "L = [(Nc/N)^q + Dc/D]^aD, q = aN/aD",
    source: "arXiv:2001.08361, eq. 1.5",
    inputs: &[Input::Params, Input::Tokens],
    theta: &[
        Coordinate::log("Nc^q"),
        Coordinate::log("Dc"),
        Coordinate::plain("q"),
        Coordinate::plain("aD"),
    ],
};

/// `[(Nc/N)^(aN/aD) + Dc/D]^aD`; parameters `[q ln Nc, ln Dc, q, aD]`.
#[derive(Debug, Clone, Copy)]
pub struct KaplanNd;

/// ln of the law and its gradient over the four parameters.
pub(super) fn ln_bracket(t: &[f64; 4], x: &[f64; 3]) -> (f64, [f64; 4]) {
    let (inner, share) = lse::ln_sum_exp(&[t[0] - t[2] * x[0], t[1] - x[1]]);
    let a_d = t[3];
    (a_d * inner, [a_d * share[0], a_d * share[1], -a_d * share[0] * x[0], inner])
}

/// Starts whose middle prediction is `middle`, centred.
pub(super) fn bracket_starts(middle: f64) -> Vec<[f64; 4]> {
    let mut all = Vec::new();
    for a_d in [0.05, 0.1, 0.2, 0.4] {
        for q in [0.5, 1.0, 1.5] {
            for part in [0.2_f64, 0.5, 0.8] {
                let inner = middle / a_d;
                all.push([inner + part.ln(), inner + (1.0 - part).ln(), q, a_d]);
            }
        }
    }
    all
}

impl Law for KaplanNd {
    fn spec(&self) -> &'static LawSpec {
        &SPEC
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let (value, g) = ln_bracket(&[t[0], t[1], t[2], t[3]], x);
        *grad = theta(g);
        value
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[2] * by[0], t[1] + by[1], t[2], t[3]])
    }

    fn starts(&self, data: &Data) -> Vec<Theta> {
        let starts = bracket_starts(data.mean_ln_loss());
        starts.into_iter().map(|s| self.shift(&theta(s), &data.centre())).collect()
    }

    fn derived(&self, t: &Theta) -> Vec<(&'static str, f64)> {
        vec![("aN", t[2] * t[3]), ("Nc", (t[0] / t[2]).exp())]
    }
}
