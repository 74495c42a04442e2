//! Loops over slices, compiled for the vector units of the machine they run on.
#![expect(
    clippy::inline_always,
    reason = "helpers must take on the vector instructions of the loops they are inlined into"
)]

use multiversion::multiversion;

use super::Real;

/// `dst = src`, or `dst += src` if `is_sum`.
pub(crate) fn put<S: Real>(dst: &mut [S], src: &[S], is_sum: bool) {
    if is_sum { add(dst, src) } else { dst.copy_from_slice(src) }
}

/// `dst += src`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn add<S: Real>(dst: &mut [S], src: &[S]) {
    for (d, s) in dst.iter_mut().zip(src) {
        *d += *s;
    }
}

/// `dst = a + b`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn sum_into<S: Real>(dst: &mut [S], a: &[S], b: &[S]) {
    for ((d, a), b) in dst.iter_mut().zip(a).zip(b) {
        *d = *a + *b;
    }
}

/// `dst = factor * src`, or `dst += factor * src` if `is_sum`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn put_scaled<S: Real>(dst: &mut [S], src: &[S], factor: S, is_sum: bool) {
    if is_sum {
        for (d, s) in dst.iter_mut().zip(src) {
            *d += factor * *s;
        }
    } else {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = factor * *s;
        }
    }
}

/// `x *= factor`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn scale<S: Real>(x: &mut [S], factor: S) {
    for x in x {
        *x *= factor;
    }
}

/// `dst = a * b`, or `dst += a * b` if `is_sum`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn put_product<S: Real>(dst: &mut [S], a: &[S], b: &[S], is_sum: bool) {
    if is_sum {
        for ((d, a), b) in dst.iter_mut().zip(a).zip(b) {
            *d += *a * *b;
        }
    } else {
        for ((d, a), b) in dst.iter_mut().zip(a).zip(b) {
            *d = *a * *b;
        }
    }
}

/// The sum, in 16 partial sums.
#[inline(always)]
pub(crate) fn sum<S: Real>(x: &[S]) -> S {
    let mut parts = [S::ZERO; 16];
    let (blocks, rest) = x.as_chunks::<16>();
    for block in blocks {
        for (p, v) in parts.iter_mut().zip(block) {
            *p += *v;
        }
    }
    fold(parts) + rest.iter().fold(S::ZERO, |s, v| s + *v)
}

/// The inner product, in 16 partial sums.
#[inline(always)]
pub(crate) fn dot<S: Real>(a: &[S], b: &[S]) -> S {
    let mut parts = [S::ZERO; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for ((p, a), b) in parts.iter_mut().zip(a).zip(b) {
            *p = a.mul_add(*b, *p);
        }
    }
    fold(parts) + a_rest.iter().zip(b_rest).fold(S::ZERO, |s, (a, b)| a.mul_add(*b, s))
}

/// The largest element; minus infinity of none. NaN is passed over.
#[inline(always)]
pub(crate) fn max<S: Real>(x: &[S]) -> S {
    let larger = |a: S, b: S| if b > a { b } else { a };
    let mut parts = [S::NEG_INFINITY; 16];
    let (blocks, rest) = x.as_chunks::<16>();
    for block in blocks {
        for (p, v) in parts.iter_mut().zip(block) {
            *p = larger(*p, *v);
        }
    }
    rest.iter().chain(&parts).fold(S::NEG_INFINITY, |a, b| larger(a, *b))
}

#[inline(always)]
fn fold<S: Real>(mut parts: [S; 16]) -> S {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            parts[i] += parts[i + width];
        }
    }
    parts[0]
}

/// `dst += factor * src`, to be inlined into a vectorised loop.
#[inline(always)]
pub(crate) fn axpy<S: Real>(dst: &mut [S], factor: S, src: &[S]) {
    for (d, s) in dst.iter_mut().zip(src) {
        *d = factor.mul_add(*s, *d);
    }
}

/// `dst[j] (+)= sum_i rows[i, j]`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn column_sums<S: Real>(dst: &mut [S], rows: &[S], is_sum: bool) {
    if !is_sum {
        dst.fill(S::ZERO);
    }
    for row in rows.chunks_exact(dst.len()) {
        for (d, r) in dst.iter_mut().zip(row) {
            *d += *r;
        }
    }
}
