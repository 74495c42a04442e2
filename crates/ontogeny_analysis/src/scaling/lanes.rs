//! Exponential and logarithm of eight numbers at a time.
//!
//! Written with additions, multiplications and fused multiply-adds in one fixed order, all of which are exactly
//! defined, so that the bits do not depend on the processor: wider registers change the speed and nothing else. Errors are a few
//! units in the last place on the ranges named.

/// Numbers handled together.
pub(super) const LANES: usize = 8;

/// Eight numbers.
pub(super) type Lanes = [f64; LANES];

/// 1.5 * 2^52: adding it rounds to an integer that then sits in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// The bits of sqrt(1/2): mantissas are brought to [sqrt(1/2), sqrt(2)).
const HALF_ROOT: u64 = 0x3fe6_a09e_667f_3bcd;
/// The bits of 1.
const ONE: u64 = 0x3ff0_0000_0000_0000;
/// The bits of 2^52, and 2^52.
const TWO_52: (u64, f64) = (0x4330_0000_0000_0000, 4_503_599_627_370_496.0);
/// ln 2 in two parts; the first has 11 trailing zero bits.
const LN2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);

/// `exp(x)`, `x` held to [-300, 300]: what is beyond has no share in a sum of losses, and subnormal numbers are slow.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "must become part of the kernel compiled for the processor"
)]
pub(super) fn exp(x: f64) -> f64 {
    let x = if x > -300.0 { x } else { -300.0 };
    let x = if x < 300.0 { x } else { 300.0 };
    let t = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let k = t - ROUND;
    let r = (-k).mul_add(LN2.1, (-k).mul_add(LN2.0, x));
    let r2 = r * r;
    let r4 = r2 * r2;
    // Taylor to degree 12: on |r| <= ln(2)/2 the next term is below 2e-16.
    let low = r2.mul_add(r.mul_add(1.0 / 6.0, 0.5), 1.0 + r);
    let mid = r2.mul_add(r.mul_add(1.0 / 5040.0, 1.0 / 720.0), r.mul_add(1.0 / 120.0, 1.0 / 24.0));
    let high = r4.mul_add(
        1.0 / 479_001_600.0,
        r2.mul_add(
            r.mul_add(1.0 / 39_916_800.0, 1.0 / 3_628_800.0),
            r.mul_add(1.0 / 362_880.0, 1.0 / 40_320.0),
        ),
    );
    let p = r4.mul_add(r4.mul_add(high, mid), low);
    f64::from_bits(p.to_bits().wrapping_add(t.to_bits() << 52))
}

/// `ln(x)` and `1/x` of a positive normal number below 1e300, for the price of one division.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "must become part of the kernel compiled for the processor"
)]
pub(super) fn ln_and_inverse(x: f64) -> (f64, f64) {
    let shifted = x.to_bits().wrapping_add(ONE - HALF_ROOT);
    let k = (f64::from_bits(TWO_52.0 | (shifted >> 52)) - TWO_52.1) - 1023.0;
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff) + HALF_ROOT);
    let over = m + 1.0;
    let q = 1.0 / (x * over);
    let inverse = q * over;
    let s = (m - 1.0) * (x * q);
    let z = s * s;
    let z2 = z * z;
    let z4 = z2 * z2;
    // 2 atanh(s): on |s| <= .1716 the next term is below 1e-17.
    let low = z2.mul_add(z.mul_add(2.0 / 9.0, 2.0 / 7.0), z.mul_add(2.0 / 5.0, 2.0 / 3.0));
    let high = z2.mul_add(z.mul_add(2.0 / 17.0, 2.0 / 15.0), z.mul_add(2.0 / 13.0, 2.0 / 11.0));
    let p = z4.mul_add(z4.mul_add(2.0 / 19.0, high), low);
    (k.mul_add(LN2.0, s.mul_add(2.0, (s * z).mul_add(p, k * LN2.1))), inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_the_standard_library() {
        for i in -3000..=3000 {
            let x = f64::from(i) * 0.099_97;
            let (got, expected) = (exp(x), x.exp());
            // Two units in the last place.
            assert!((got / expected - 1.0).abs() < 5e-16, "exp({x}) = {got}, not {expected}");
            let (got, inverse) = ln_and_inverse(x.exp());
            let expected = x.exp().ln();
            assert!((inverse * x.exp() - 1.0).abs() < 7e-16, "1/exp({x}) = {inverse}");
            assert!((got - expected).abs() <= 6e-16 * expected.abs().max(1.0), "{x}: {got}");
        }
        assert_eq!((exp(0.0), ln_and_inverse(1.0)), (1.0, (0.0, 1.0)));
    }

    #[test]
    fn far_arguments_stay_finite() {
        assert!(
            exp(1e300).is_finite() && exp(-1e300) > 0.0 && ln_and_inverse(exp(1e300)).0.is_finite()
        );
    }
}
