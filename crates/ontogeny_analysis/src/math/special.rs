//! The normal, Student and beta distributions.
//!
//! `erfc` and `lgamma` come from `libm`; the incomplete beta function is Lentz's continued fraction
//! (Press et al. 2007, sec. 6.4); the normal quantile is Wichura's start (AS 241 in spirit, here Acklam's
//! rational form) polished by Halley steps to full precision.

use std::f64::consts::{PI, SQRT_2};

/// Density of the standard normal.
pub(crate) fn normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// P(Z <= z), accurate in both tails.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// P(Z > z), accurate in both tails.
pub(crate) fn normal_sf(z: f64) -> f64 {
    normal_cdf(-z)
}

/// The z with P(Z <= z) = p; infinite at 0 and 1.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let mut z = if p < 0.02425 {
        let q = (-2.0 * p.ln()).sqrt();
        (((((-7.784_894_002_430_293e-3 * q - 0.322_396_458_041_136_5) * q
            - 2.400_758_277_161_838)
            * q
            - 2.549_732_539_343_734)
            * q
            + 4.374_664_141_464_968)
            * q
            + 2.938_163_982_698_783)
            / ((((7.784_695_709_041_462e-3 * q + 0.322_467_129_070_039_8) * q
                + 2.445_134_137_142_996)
                * q
                + 3.754_408_661_907_416)
                * q
                + 1.0)
    } else {
        let q = p - 0.5;
        let r = q * q;
        (((((-39.696_830_286_653_76 * r + 220.946_098_424_520_5) * r - 275.928_510_446_968_7) * r
            + 138.357_751_867_269)
            * r
            - 30.664_798_066_147_16)
            * r
            + 2.506_628_277_459_239)
            * q
            / (((((-54.476_098_798_224_06 * r + 161.585_836_858_040_9) * r
                - 155.698_979_859_886_6)
                * r
                + 66.801_311_887_719_72)
                * r
                - 13.280_681_552_885_72)
                * r
                + 1.0)
    };
    for _ in 0..2 {
        let e = (normal_cdf(z) - p) / normal_pdf(z);
        z -= e / (1.0 + 0.5 * z * e);
    }
    z
}

/// Regularized incomplete beta function `I_x(a, b)`.
pub(crate) fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_inc(b, a, 1.0 - x);
    }
    let ln_front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    let tiny = 1e-300;
    let guard = |v: f64| if v.abs() < tiny { tiny } else { v };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut h = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (ln_front.exp() * h / a).clamp(0.0, 1.0)
}

/// The x with `I_x(a, b) = p`, by bisection to the last bit but a few.
pub(crate) fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut lo, mut hi) = (0.0, 1.0);
    for _ in 0..100 {
        let mid = 0.5 * (lo + hi);
        if beta_inc(a, b, mid) < p { lo = mid } else { hi = mid }
    }
    0.5 * (lo + hi)
}

/// `P(X > x)` of chi-square with `dof` degrees of freedom, by the recurrence of the incomplete gamma function.
pub(crate) fn chi_square_sf(x: f64, dof: u32) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let h = 0.5 * x;
    // Q(1/2, h) = erfc(√h), Q(1, h) = exp(-h); Q(a + 1, h) = Q(a, h) + h^a exp(-h) / Γ(a + 1).
    let odd = dof % 2 == 1;
    let (mut a, mut q) = if odd { (0.5, libm::erfc(h.sqrt())) } else { (1.0, (-h).exp()) };
    while a + 0.5 < 0.5 * f64::from(dof) {
        q += (a * h.ln() - h - libm::lgamma(a + 1.0)).exp();
        a += 1.0;
    }
    q.clamp(0.0, 1.0)
}

#[cfg(test)]
/// P(T <= t) of Student's t with `dof` degrees of freedom.
pub(crate) fn student_cdf(t: f64, dof: f64) -> f64 {
    let tail = 0.5 * beta_inc(0.5 * dof, 0.5, dof / (dof + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The t with P(T <= t) = p for Student's t with `dof` degrees of freedom.
pub(crate) fn student_quantile(p: f64, dof: f64) -> f64 {
    if p < 0.5 {
        return -student_quantile(1.0 - p, dof);
    }
    if dof > 1e6 {
        return normal_quantile(p);
    }
    // 2 (1 - p) = I_x(dof/2, 1/2) with x = dof / (dof + t^2).
    let x = beta_quantile(0.5 * dof, 0.5, 2.0 * (1.0 - p));
    if x <= 0.0 { f64::INFINITY } else { (dof * (1.0 - x) / x).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{got} {expected}");
    }

    #[test]
    fn agrees_with_tabulated_values() {
        check(normal_quantile(0.975), 1.959_963_984_540_054);
        check(normal_quantile(1e-10), -6.361_340_902_404_056);
        check(normal_cdf(-3.0), 0.001_349_898_031_630_094_6);
        check(student_quantile(0.975, 4.0), 2.776_445_105_197_793);
        check(student_quantile(0.95, 10.0), 1.812_461_122_811_676);
        check(student_cdf(1.0, 1.0), 0.75);
        // I_x(2, 3) = 6x^2 - 8x^3 + 3x^4.
        check(beta_inc(2.0, 3.0, 0.3), 0.3483);
        check(beta_inc(0.5, 0.5, 0.5), 0.5);
        check(chi_square_sf(16.918_977_604_620_448, 9), 0.05);
        check(chi_square_sf(5.991_464_547_107_979, 2), 0.05);
        check(chi_square_sf(3.841_458_820_694_124, 1), 0.05);
    }

    #[test]
    fn quantiles_undo_the_distribution_functions() {
        for i in 1..100 {
            let p = f64::from(i) / 100.0;
            check(normal_cdf(normal_quantile(p)), p);
            check(student_cdf(student_quantile(p, 3.5), 3.5), p);
            check(beta_inc(2.5, 4.0, beta_quantile(2.5, 4.0, p)), p);
        }
    }
}
