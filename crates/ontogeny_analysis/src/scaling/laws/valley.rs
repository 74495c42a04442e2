//! Iso-FLOP curves as one surface: a parabola in ln N whose bottom follows the frontier.
//!
//! Chinchilla's approach 2 (arXiv:2203.15556, sec. 3.2) fits a parabola to each budget and then a power law to their
//! bottoms; fitted together, budgets with few points borrow from the others.

use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};
use crate::scaling::lse;

pub(crate) const SPEC: LawSpec = LawSpec {
    name: "valley",
    formula: "L = E + K/C^g (1 + h (ln N - m - n ln C)^2)",
    source: "arXiv:2203.15556, approach 2, all budgets at once",
    inputs: &[Input::Params, Input::Flops],
    theta: &[
        Coordinate::log("K"),
        Coordinate::log("E"),
        Coordinate::plain("g"),
        Coordinate::plain("m"),
        Coordinate::plain("n"),
        Coordinate::log("h"),
    ],
};

/// `E + K C^-g (1 + h u²)`, `u = ln N - m - n ln C`; parameters `[ln K, ln E, g, m, n, ln h]`.
#[derive(Debug, Clone, Copy)]
pub struct Valley;

impl Law for Valley {
    fn spec(&self) -> &'static LawSpec {
        &SPEC
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let u = x[0] - t[3] - t[4] * x[2];
        let h = t[5].min(50.0).exp();
        let rise = 1.0 + h * u * u;
        let (value, share) = lse::ln_sum_exp(&[t[0] - t[2] * x[2] + rise.ln(), t[1]]);
        let by_u = share[0] * 2.0 * h * u / rise;
        let by_h = share[0] * h * u * u / rise;
        *grad = theta([share[0], share[1], -share[0] * x[2], -by_u, -by_u * x[2], by_h]);
        value
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[2] * by[2], t[1], t[2], t[3] + by[0] - t[4] * by[2], t[4], t[5]])
    }

    fn starts(&self, data: &Data) -> Vec<Theta> {
        let (middle, least) = (data.mean_ln_loss().exp(), data.least_ln_loss().exp());
        let mut all = Vec::new();
        for g in [0.1, 0.2, 0.4] {
            for part in [0.4, 0.7, 0.9] {
                for n in [0.35, 0.5, 0.65] {
                    for h in [-3.0, -1.0] {
                        let e = part * least;
                        let k = (middle - e).max(1e-12).ln();
                        all.push(self.shift(&theta([k, e.ln(), g, 0.0, n, h]), &data.centre()));
                    }
                }
            }
        }
        all
    }

    fn derived(&self, t: &Theta) -> Vec<(&'static str, f64)> {
        vec![("N_opt exponent", t[4])]
    }
}
