//! One power law above an irreducible loss, `E + K/x^g`; in compute it is the law of the frontier.

use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};
use crate::scaling::lse;

const SOURCE: &str = "arXiv:2010.14701 (Henighan et al. 2020), eq. 1.1";
const THETA: &[Coordinate] = &[Coordinate::log("K"), Coordinate::log("E"), Coordinate::plain("g")];

const fn spec(name: &'static str, formula: &'static str, inputs: &'static [Input]) -> LawSpec {
    LawSpec { name, formula, source: SOURCE, inputs, theta: THETA }
}

/// `E + K / x^g` for one input `x`; parameters `[ln K, ln E, g]`.
#[derive(Debug, Clone, Copy)]
pub struct FloorPower {
    spec: LawSpec,
}

/// In size.
pub static FLOOR_N: FloorPower =
    FloorPower { spec: spec("floor-n", "L = E + K/N^g", &[Input::Params]) };
/// In data.
pub static FLOOR_D: FloorPower =
    FloorPower { spec: spec("floor-d", "L = E + K/D^g", &[Input::Tokens]) };
/// In compute: what the best runs of each budget follow.
pub static FRONTIER: FloorPower =
    FloorPower { spec: spec("frontier", "L = E + K/C^g", &[Input::Flops]) };

impl Law for FloorPower {
    fn spec(&self) -> &'static LawSpec {
        match self.spec.inputs[0] {
            Input::Params => &FLOOR_N.spec,
            Input::Tokens => &FLOOR_D.spec,
            Input::Flops => &FRONTIER.spec,
        }
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let x = x[self.spec.inputs[0] as usize];
        let (value, share) = lse::ln_sum_exp(&[t[0] - t[2] * x, t[1]]);
        *grad = theta([share[0], share[1], -share[0] * x]);
        value
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[2] * by[self.spec.inputs[0] as usize], t[1], t[2]])
    }

    fn starts(&self, data: &Data) -> Vec<Theta> {
        let (middle, least) = (data.mean_ln_loss().exp(), data.least_ln_loss().exp());
        let mut all = Vec::new();
        for g in [0.03, 0.1, 0.2, 0.3, 0.5, 0.8] {
            for part in [0.3, 0.6, 0.8, 0.9, 0.97] {
                let e = part * least;
                all.push(
                    self.shift(&theta([(middle - e).max(1e-12).ln(), e.ln(), g]), &data.centre()),
                );
            }
        }
        all
    }
}
