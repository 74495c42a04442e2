//! Curves in the logarithm of time: line, inverse, hockey stick.

use super::{Coordinate, Family, MAX_THETA};

fn line(_: f64, ln_x: f64, _: &[f64], _: &mut [f64; MAX_THETA]) -> f64 {
    ln_x
}

/// `1 / ln(1 + k x)`: the unit of time, which the usual form takes for granted, is fitted.
fn inverse(x: f64, _: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let kx = theta[0].exp() * x;
    let phi = 1.0 / kx.ln_1p();
    d[0] = -phi * phi * kx / (1.0 + kx);
    phi
}

fn hockey(_: f64, ln_x: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let before = ln_x - theta[0];
    if before >= 0.0 {
        d[0] = 0.0;
        return 0.0;
    }
    d[0] = -1.0;
    before
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
    theta: &[Coordinate::new("ln_k", 1.0, 14.0)],
    source: "Domhan et al. 2015 (IJCAI)",
    shape: inverse,
    ..LOG2
};
pub(crate) const HOCKEY: Family = Family {
    name: "hockey",
    formula: "c + a min(0, ln x - ln x0)",
    // x0 in [.003, 20].
    theta: &[Coordinate::new("ln_x0", -5.8, 3.0)],
    shape: hockey,
    ..LOG2
};
