//! Exponentials: plain, stretched, and the vapour pressure curve.

use super::{Coordinate, Family};

fn exponential(x: &[f64], _: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    let a = theta[0].exp();
    phi.iter_mut().zip(x).for_each(|(p, x)| *p = (-a * x).exp());
    if let [d] = d {
        for i in 0..phi.len() {
            d[i] = -a * x[i] * phi[i];
        }
    }
}

fn stretched(_: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    let power = theta[1].exp();
    for i in 0..phi.len() {
        let u = (power * (ln_x[i] - theta[0])).exp();
        phi[i] = (-u).exp();
        if let [d0, d1] = d {
            let slope = if phi[i] > 0.0 { -u * phi[i] } else { 0.0 };
            d0[i] = -power * slope;
            d1[i] = slope * power * (ln_x[i] - theta[0]);
        }
    }
}

/// Beyond this exponent the curve is cut: it fits nothing there.
const STEEPEST: f64 = 60.0;

fn vapour(x: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    for i in 0..phi.len() {
        let exponent = theta[0] / x[i] + theta[1] * ln_x[i];
        phi[i] = exponent.clamp(-STEEPEST, STEEPEST).exp();
        if let [d0, d1] = d {
            let slope = if exponent.abs() < STEEPEST { phi[i] } else { 0.0 };
            d0[i] = slope / x[i];
            d1[i] = slope * ln_x[i];
        }
    }
}

pub(crate) const EXP3: Family = Family {
    name: "exp3",
    also: &["expd3"],
    formula: "c + exp(-a x + b); c - (c - a) exp(-b x)",
    has_floor: true,
    theta: &[Coordinate::moving("ln_a", -6.0, 5.7, -1.0)], // a in [.0025, 300]
    source: "LCDB, arXiv:2505.15657",
    shape: exponential,
};
pub(crate) const EXP4: Family = Family {
    name: "exp4",
    also: &["wbl4", "janoschek"],
    formula: "c + exp(-a x^d + b); c - b exp(-a x^d); c - (c - b) exp(-a x^d)",
    // Written exp(-(x/x0)^d): x0 in [.01, 400], d in [.2, 4].
    theta: &[Coordinate::moving("ln_x0", -4.6, 6.0, 1.0), Coordinate::new("ln_d", -1.6, 1.386)],
    source: "Domhan et al. 2015 (IJCAI)",
    shape: stretched,
    ..EXP3
};
pub(crate) const VAP: Family = Family {
    name: "vap",
    also: &[],
    formula: "exp(a + b/x + d ln x)",
    has_floor: false,
    theta: &[Coordinate::new("b", -2.0, 2.0), Coordinate::new("d", -3.0, 3.0)],
    source: "Domhan et al. 2015 (IJCAI)",
    shape: vapour,
};
