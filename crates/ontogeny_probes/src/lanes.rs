//! Arithmetic in a fixed number of lanes: fast where the machine has AVX2 and FMA, and the same bits elsewhere.
//!
//! The compiler may not reorder a floating-point sum, so a sum that is to use vector registers must be
//! written as several sums. Their number is fixed here, not taken from the machine, and products are fused
//! explicitly; so the result does not depend on which instructions ran.
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

/// Lanes of every `f64` sum.
pub(crate) const LANES: usize = 8;

/// Runs `kernel` compiled for the best instructions that this machine has.
#[inline]
pub(crate) fn dispatch<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// Adds up the lanes in a fixed order.
#[inline(always)]
pub(crate) fn total(lanes: [f64; LANES]) -> f64 {
    let four: [f64; 4] = std::array::from_fn(|i| lanes[i] + lanes[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The inner product of two vectors of one length, accumulated in `f64`.
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f64 {
    assert_eq!(x.len(), y.len(), "dot takes two vectors of one length");
    dispatch(
        #[inline(always)]
        || dot_kernel(x, y),
    )
}

#[inline(always)]
fn dot_kernel(x: &[f32], y: &[f32]) -> f64 {
    const WIDE: usize = 2 * LANES;
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<WIDE>(), y.as_chunks::<WIDE>());
    let mut sums = [0.0; WIDE];
    for (x, y) in xs.iter().zip(ys) {
        sums = std::array::from_fn(|l| f64::from(x[l]).mul_add(f64::from(y[l]), sums[l]));
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    total(std::array::from_fn(|l| sums[l] + sums[l + LANES])) + rest
}

/// The inner product of two `f64` vectors of one length, to be inlined into a kernel.
#[inline(always)]
pub(crate) fn dot_f64(x: &[f64], y: &[f64]) -> f64 {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut sum = [0.0; LANES];
    for (x, y) in xs.iter().zip(ys) {
        sum = std::array::from_fn(|l| x[l].mul_add(y[l], sum[l]));
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    total(sum) + rest
}

/// Loads the end of a row that does not fill all lanes, with negative infinity in the lanes left over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    n: usize,
    keep: [u32; LANES],
    fill: [u32; LANES],
}

impl Tail {
    /// For rows of `width` values.
    pub(crate) fn of(width: usize) -> Self {
        let n = width % LANES;
        Self {
            n,
            keep: std::array::from_fn(|l| if l < n { u32::MAX } else { 0 }),
            fill: std::array::from_fn(|l| if l < n { 0 } else { f32::NEG_INFINITY.to_bits() }),
        }
    }

    /// The end of the row that ends before `table[end]`.
    ///
    /// It reads past the row where there is something to read, which costs less than a copy of unknown length.
    #[inline(always)]
    pub(crate) fn load(&self, table: &[f32], end: usize) -> [f32; LANES] {
        let from = end - self.n;
        if let Some(&chunk) = table[from..].first_chunk::<LANES>() {
            return std::array::from_fn(|l| {
                f32::from_bits((chunk[l].to_bits() & self.keep[l]) | self.fill[l])
            });
        }
        let mut lanes = [f32::NEG_INFINITY; LANES];
        lanes[..self.n].copy_from_slice(&table[from..end]);
        lanes
    }
}

/// Replaces every x, which must be 0 or below, by `exp(x)`; to be inlined into a kernel.
///
/// The relative error is 3e-16 for `DEGREE` 12 and 8e-9 for `DEGREE` 7. NaN stays NaN, and below -708 the result is
/// `exp(-708)`, 3e-308.
#[inline(always)]
pub(crate) fn exp_in_place<const DEGREE: usize>(values: &mut [f64]) {
    for x in values {
        *x = exp::<DEGREE>(*x);
    }
}

/// Cody and Waite's reduction by multiples of ln 2, then the Taylor polynomial on |r| <= ln 2 / 2. Without branches,
/// so that a loop over it becomes vector code.
#[inline(always)]
fn exp<const DEGREE: usize>(x: f64) -> f64 {
    /// 1.5 * 2^52: adding it leaves the nearest integer in the low bits.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    const LN2_HI: f64 = 6.931_471_803_691_238e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    /// 1/0!, 1/1!, ..., 1/12!.
    const TAYLOR: [f64; 13] = [
        1.0,
        1.0,
        0.5,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
    ];
    // Written so that NaN passes.
    let x = if -708.0 > x { -708.0 } else { x };
    let shifted = x.mul_add(std::f64::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, x));
    let mut e = TAYLOR[DEGREE];
    for c in TAYLOR[..DEGREE].iter().rev() {
        e = e.mul_add(r, *c);
    }
    e * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_as_good_as_it_says() {
        for i in 0..100_000 {
            let x = -708.0 * f64::from(i) / 100_000.0;
            let (fine, coarse) = (exp::<12>(x) / x.exp(), exp::<7>(x) / x.exp());
            // Two units in the last place; (ln 2 / 2)^8 / 8! over the smallest value, 2^-1/2.
            assert!((fine - 1.0).abs() < 4.5e-16 && (coarse - 1.0).abs() < 8e-9, "at {x}");
        }
        assert_eq!((exp::<12>(0.0), exp::<7>(0.0)), (1.0, 1.0));
        let far = [-1e3, f64::NEG_INFINITY].map(exp::<12>);
        assert!(far.iter().all(|&e| e < 1e-307) && exp::<12>(f64::NAN).is_nan());
    }

    #[test]
    fn the_inner_product_is_that_of_a_plain_loop() {
        for n in [0, 1, 7, 8, 9, 100] {
            let x: Vec<f32> = (0..n).map(|i| i as f32 - 3.0).collect();
            let y: Vec<f32> = (0..n).map(|i| 0.5 * i as f32).collect();
            let naive: f64 = (0..n).map(|i| (f64::from(i) - 3.0) * 0.5 * f64::from(i)).sum();
            assert_eq!(dot(&x, &y), naive);
        }
    }
}
