//! Broken neural scaling laws with one and two breaks.

use super::{Coordinate, Family};

const C0: Coordinate = Coordinate::new("c0", 0.0, 2.0);
const LN_D: Coordinate = Coordinate::moving("ln_d", -6.9, 4.6, 1.0); // d in [1e-3, 100]
const C: Coordinate = Coordinate::new("c", -1.5, 3.0);
const LN_F: Coordinate = Coordinate::new("ln_f", -3.5, 1.1); // f in [.03, 3]

/// `x^-c0 Π (1 + (x/d_i)^(1/f_i))^(-c_i f_i)`, in logarithms.
fn broken(_: &[f64], ln_x: &[f64], theta: &[f64], phi: &mut [f64], d: &mut [Vec<f64>]) {
    let jac = !d.is_empty();
    for (p, l) in phi.iter_mut().zip(ln_x) {
        *p = -theta[0] * l;
    }
    for (k, brk) in theta[1..].chunks_exact(3).enumerate() {
        let (c, f) = (brk[1], brk[2].exp());
        for i in 0..phi.len() {
            let u = (ln_x[i] - brk[0]) / f;
            let small = (-u.abs()).exp();
            let soft = u.max(0.0) + small.ln_1p();
            phi[i] -= c * f * soft;
            if jac {
                let sigma = if u >= 0.0 { 1.0 } else { small } / (1.0 + small);
                d[1 + 3 * k][i] = c * sigma;
                d[2 + 3 * k][i] = -f * soft;
                d[3 + 3 * k][i] = -c * f * (soft - u * sigma);
            }
        }
    }
    for p in &mut *phi {
        *p = p.min(60.0).exp();
    }
    if jac {
        d[0].iter_mut().zip(ln_x).for_each(|(d, l)| *d = -l);
        for column in d {
            column.iter_mut().zip(&*phi).for_each(|(d, p)| *d *= p);
        }
    }
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
