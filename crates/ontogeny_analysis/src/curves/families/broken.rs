//! Broken neural scaling laws with one and two breaks.

use super::{Coordinate, Family, MAX_THETA};
use crate::math::logistic;

const C0: Coordinate = Coordinate::new("c0", 0.0, 2.0);
const LN_D: Coordinate = Coordinate::new("ln_d", -6.9, 1.6); // d in [1e-3, 5]
const C: Coordinate = Coordinate::new("c", -1.5, 3.0);
const LN_F: Coordinate = Coordinate::new("ln_f", -3.5, 1.1); // f in [.03, 3]

/// `ln(1 + e^u)` without overflow.
fn softplus(u: f64) -> f64 {
    u.max(0.0) + (-u.abs()).exp().ln_1p()
}

/// `x^-c0 Π (1 + (x/d_i)^(1/f_i))^(-c_i f_i)`, in logarithms.
fn broken(_: f64, ln_x: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let mut ln_phi = -theta[0] * ln_x;
    d[0] = -ln_x;
    for (i, brk) in theta[1..].chunks_exact(3).enumerate() {
        let (c, f) = (brk[1], brk[2].exp());
        let u = (ln_x - brk[0]) / f;
        let (soft, sigma) = (softplus(u), logistic(u));
        ln_phi -= c * f * soft;
        d[1 + 3 * i] = c * sigma;
        d[2 + 3 * i] = -f * soft;
        d[3 + 3 * i] = -c * f * (soft - u * sigma);
    }
    let phi = ln_phi.min(60.0).exp();
    d[..theta.len()].iter_mut().for_each(|d| *d *= phi);
    phi
}

pub(crate) const BNSL1: Family = Family {
    name: "bnsl1",
    also: &[],
    formula: "c + a x^-c0 (1 + (x/d)^(1/f))^(-c1 f)",
    has_floor: true,
    theta: &[C0, LN_D, C, LN_F],
    source: "Caballero et al. 2022, arXiv:2210.14891",
    shape: broken,
};
pub(crate) const BNSL2: Family = Family {
    name: "bnsl2",
    formula: "c + a x^-c0 Π (1 + (x/d_i)^(1/f_i))^(-c_i f_i), i = 1, 2",
    theta: &[C0, LN_D, C, LN_F, LN_D, C, LN_F],
    ..BNSL1
};
