//! Kaplan et al. 2020 (arXiv:2001.08361, eqs. 1.1 to 1.3): one power law in one input, without a floor.

use crate::scaling::data::Data;
use crate::scaling::law::{Coordinate, Input, Law, LawSpec, Theta, theta};

const SOURCE: &str = "arXiv:2001.08361, sec. 1.2";
const THETA: &[Coordinate] = &[Coordinate::log("K"), Coordinate::plain("a")];

const fn spec(name: &'static str, formula: &'static str, inputs: &'static [Input]) -> LawSpec {
    LawSpec { name, formula, source: SOURCE, inputs, theta: THETA }
}

/// `K / x^a` for one input `x`; parameters `[ln K, a]`.
#[derive(Debug, Clone, Copy)]
pub struct Power {
    spec: LawSpec,
    /// Name of the scale `K^(1/a)`.
    scale: &'static str,
}

/// `L(N) = (Nc/N)^aN`.
pub static KAPLAN_N: Power =
    Power { spec: spec("kaplan-n", "L = K/N^a = (Nc/N)^a", &[Input::Params]), scale: "Nc" };
/// `L(D) = (Dc/D)^aD`.
pub static KAPLAN_D: Power =
    Power { spec: spec("kaplan-d", "L = K/D^a = (Dc/D)^a", &[Input::Tokens]), scale: "Dc" };
/// `L(C) = (Cc/C)^aC`.
pub static KAPLAN_C: Power =
    Power { spec: spec("kaplan-c", "L = K/C^a = (Cc/C)^a", &[Input::Flops]), scale: "Cc" };

impl Power {
    fn input(&self) -> usize {
        self.spec.inputs[0] as usize
    }
}

impl Law for Power {
    fn spec(&self) -> &'static LawSpec {
        match self.spec.inputs[0] {
            Input::Params => &KAPLAN_N.spec,
            Input::Tokens => &KAPLAN_D.spec,
            Input::Flops => &KAPLAN_C.spec,
        }
    }

    fn ln_loss(&self, t: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64 {
        let x = x[self.input()];
        *grad = theta([1.0, -x]);
        t[0] - t[1] * x
    }

    fn shift(&self, t: &Theta, by: &[f64; 3]) -> Theta {
        theta([t[0] + t[1] * by[self.input()], t[1]])
    }

    fn starts(&self, data: &Data) -> Vec<Theta> {
        let middle = data.mean_ln_loss();
        let exponents = [0.01, 0.03, 0.05, 0.1, 0.2, 0.4, 0.8];
        exponents.map(|a| self.shift(&theta([middle, a]), &data.centre())).to_vec()
    }

    fn derived(&self, t: &Theta) -> Vec<(&'static str, f64)> {
        vec![(self.scale, (t[0] / t[1]).exp())]
    }
}
