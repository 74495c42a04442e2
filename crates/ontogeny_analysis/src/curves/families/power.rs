//! Power laws, bare, with a floor, and with a shift of time.

use super::{Coordinate, Family};

const LN_B: Coordinate = Coordinate::new("ln_b", -3.912, 1.386); // b in [.02, 4]

fn power(_: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    let b = theta[0].exp();
    phi.iter_mut().zip(ln_x).for_each(|(p, l)| *p = (-b * l).exp());
    if let [d] = d {
        for i in 0..phi.len() {
            d[i] = -b * ln_x[i] * phi[i];
        }
    }
}

fn shifted(x: &[f64], _: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    let (b, shift) = (theta[0].exp(), theta[1].exp());
    for i in 0..phi.len() {
        let ln = (x[i] + shift).ln();
        phi[i] = (-b * ln).exp();
        if let [d0, d1] = d {
            d0[i] = -b * ln * phi[i];
            d1[i] = -b * phi[i] * shift / (x[i] + shift);
        }
    }
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
    // d in [1e-3, 200].
    theta: &[LN_B, Coordinate::moving("ln_d", -6.908, 5.3, 1.0)],
    shape: shifted,
    ..POW3
};
