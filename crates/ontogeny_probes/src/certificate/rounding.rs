//! What rounding may cost.

use super::CertificateError;

/// Unit roundoff of `f64`.
const U64: f64 = 1.0 / (1u64 << 53) as f64;
/// Unit roundoff of `f32`.
const U32: f64 = 1.0 / (1u64 << 24) as f64;
/// Terms of a sum, at most: n times the unit roundoff of `f32` stays below 1/8.
const MOST_TERMS: usize = 1 << 21;

/// Makes a computed sum of at most 2²¹ absolute values, or a few products of such, an upper bound.
pub(super) const UP: f64 = 1.0 + 1.0 / (1u64 << 30) as f64;
/// Pays for underflow within a layer.
pub(super) const TINY: f64 = f64::from_bits((1023 - 1000) << 52);
/// Pays for every underflow on the way back.
pub(super) const LITTLE: f64 = f64::from_bits((1023 - 500) << 52);
/// Values between layers stay below it.
pub(super) const HUGE: f64 = f64::from_bits((1023 + 300) << 52);
/// From here on a sum might overflow in `f32`.
pub(super) const OVERFLOW_F32: f64 = f64::from_bits((1023 + 127) << 52);
/// Half the least number of `f32` per product would do.
const LEAST_F32: f64 = f64::from_bits((1023 - 149) << 52);

/// `g(n) = n u / (1 - n u)` in `f64`.
pub(super) fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U64;
    nu / (1.0 - nu)
}

/// By how much an `f32` output of a layer with fan-in `n` may be off, `magnitude` being `|W| |x| + |b|`.
pub(super) fn off_by_f32(n: usize, magnitude: f64) -> f64 {
    let nu = (n + 1) as f64 * U32;
    (nu / (1.0 - nu) * magnitude + n as f64 * LEAST_F32) * UP
}

/// Refuses sums that are too long.
pub(super) fn check_terms(terms: usize) -> Result<(), CertificateError> {
    // A few more are added on the way.
    let most = MOST_TERMS - 16;
    if terms <= most { Ok(()) } else { Err(CertificateError::TooLong { terms, most }) }
}
