//! Curves in the logarithm of time: line, inverse, hockey stick.

use super::{Coordinate, Family};

fn line(_: &[f64], ln_x: &[f64], _: &[f64], phi: &mut [f64], _: &mut [Vec<f64>]) {
    phi.copy_from_slice(ln_x);
}

/// `1 / ln(1 + k x)`: the unit of time, which the usual form takes for granted, is fitted.
fn inverse(x: &[f64], _: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    let k = theta[0].exp();
    for i in 0..phi.len() {
        let kx = k * x[i];
        phi[i] = 1.0 / kx.ln_1p();
        if let [d] = d {
            d[i] = -phi[i] * phi[i] * kx / (1.0 + kx);
        }
    }
}

fn hockey(_: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    for i in 0..phi.len() {
        phi[i] = (ln_x[i] - theta[0]).min(0.0);
        if let [d] = d {
            d[i] = if phi[i] < 0.0 { -1.0 } else { 0.0 };
        }
    }
}

pub(crate) const LOG2: Family = Family {
    name: "log2",
    also: &[],
    formula: "a ln x + c",
    has_floor: true,
    theta: &[],
    source: "LCDB, arXiv:2505.15657",
    shape: line,
};
pub(crate) const ILOG2: Family = Family {
    name: "ilog2",
    formula: "c - a / ln(1 + k x)",
    theta: &[Coordinate::moving("ln_k", -2.0, 14.0, -1.0)],
    source: "Domhan et al. 2015 (IJCAI)",
    shape: inverse,
    ..LOG2
};
pub(crate) const HOCKEY: Family = Family {
    name: "hockey",
    formula: "c + a min(0, ln x - ln x0)",
    // x0 in [.003, 400].
    theta: &[Coordinate::moving("ln_x0", -5.8, 6.0, 1.0)],
    shape: hockey,
    ..LOG2
};
