//! Power laws, bare, with a floor, and with a shift of time.

use super::{Coordinate, Family, MAX_THETA};

const LN_B: Coordinate = Coordinate::new("ln_b", -3.912, 1.386); // b in [.02, 4]

fn power(_: f64, ln_x: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let b = theta[0].exp();
    let phi = (-b * ln_x).exp();
    d[0] = -b * ln_x * phi;
    phi
}

fn shifted(x: f64, _: f64, theta: &[f64], d: &mut [f64; MAX_THETA]) -> f64 {
    let (b, shift) = (theta[0].exp(), theta[1].exp());
    let ln = (x + shift).ln();
    let phi = (-b * ln).exp();
    d[0] = -b * ln * phi;
    d[1] = -b * phi * shift / (x + shift);
    phi
}

pub(crate) const POW2: Family = Family {
    name: "pow2",
    also: &[],
    formula: "a x^-b",
    has_floor: false,
    theta: &[LN_B],
    source: "LCDB, arXiv:2505.15657",
    shape: power,
};
pub(crate) const POW3: Family = Family {
    name: "pow3",
    formula: "a x^-b + c",
    has_floor: true,
    source: "Domhan et al. 2015 (IJCAI)",
    ..POW2
};
pub(crate) const POW4: Family = Family {
    name: "pow4",
    formula: "a (x + d)^-b + c",
    // d in [1e-3, 10].
    theta: &[LN_B, Coordinate::new("ln_d", -6.908, 2.303)],
    shape: shifted,
    ..POW3
};
