//! Sigmoids in the logarithm of time: MMF, Hill, log-power.

use super::{Coordinate, Family, MAX_THETA};
use crate::math::logistic;

const LN_X0: Coordinate = Coordinate::new("ln_x0", -9.2, 3.4); // x0 in [1e-4, 30]
const LN_S: Coordinate = Coordinate::new("ln_s", -1.6, 2.5); // s in [.2, 12]

/// `1 / (1 + (x/x0)^s)`.
fn falling(_: f64, ln_x: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let s = theta[1].exp();
    let u = s * (ln_x - theta[0]);
    let phi = logistic(-u);
    let slope = -phi * logistic(u);
    d[0] = -s * slope;
    d[1] = u * slope;
    phi
}

/// `x^s / (x0^s + x^s)`.
fn rising(x: f64, ln_x: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let u = theta[1].exp() * (ln_x - theta[0]);
    falling(x, ln_x, theta, d);
    (d[0], d[1]) = (-d[0], -d[1]);
    logistic(u)
}

pub(crate) const MMF4: Family = Family {
    name: "mmf4",
    also: &["sigmoid"],
    formula: "(a b + c x^d) / (b + x^d); c + (a - c) / (1 + (x/x0)^s)",
    has_floor: true,
    theta: &[LN_X0, LN_S],
    source: "LCDB, arXiv:2505.15657",
    shape: falling,
};
pub(crate) const LOGPOW3: Family = Family {
    name: "logpow3",
    also: &[],
    formula: "a / (1 + (x/e^b)^c)",
    has_floor: false,
    source: "Domhan et al. 2015 (IJCAI)",
    ..MMF4
};
pub(crate) const HILL3: Family =
    Family { name: "hill3", formula: "a x^d / (k^d + x^d)", shape: rising, ..LOGPOW3 };
