//! Sigmoids in the logarithm of time: MMF, Hill, log-power.

use super::{Coordinate, Family};
use crate::math::logistic;

const LN_X0: Coordinate = Coordinate::moving("ln_x0", -9.2, 6.4, 1.0); // x0 in [1e-4, 600]
const LN_S: Coordinate = Coordinate::new("ln_s", -1.6, 2.5); // s in [.2, 12]

/// `1 / (1 + (x/x0)^s)`.
fn falling(_: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    sigmoid(ln_x, theta, -1.0, phi, d);
}

/// `x^s / (x0^s + x^s)`.
fn rising(_: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    sigmoid(ln_x, theta, 1.0, phi, d);
}

fn sigmoid(ln_x: &[f64], theta: &[f64], sign: f64, phi: &mut [f64], d: &mut [Vec<f64>]) {
    let s = theta[1].exp();
    for i in 0..phi.len() {
        let u = s * (ln_x[i] - theta[0]);
        phi[i] = logistic(sign * u);
        if let [d0, d1] = d {
            let slope = sign * phi[i] * (1.0 - phi[i]);
            d0[i] = -s * slope;
            d1[i] = u * slope;
        }
    }
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
