//! The two precisions, and elementary functions that vectorise.
#![expect(
    clippy::inline_always,
    reason = "helpers must take on the vector instructions of the loops they are inlined into"
)]

use std::{
    cell::RefCell,
    fmt::Debug,
    ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign},
    rc::Rc,
    thread::LocalKey,
};

use super::{Slot, buffer::Pool};
use crate::var::Repr;

/// `f32` or `f64`.
pub(crate) trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    const NEG_INFINITY: Self;

    fn of(v: f64) -> Self;
    fn f64(self) -> f64;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `e^x` for `x <= 0` or small; relative error near one unit in the last place.
    fn exp(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// This thread's free buffers.
    fn pool() -> &'static LocalKey<RefCell<Pool<Self>>>;
    fn wrap<const D: usize>(slot: Rc<Slot<Self>>) -> Repr<D>;
    fn unwrap<const D: usize>(repr: &Repr<D>) -> Option<&Rc<Slot<Self>>>;
}

thread_local! {
    static POOL_F32: RefCell<Pool<f32>> = const { RefCell::new(Pool::new()) };
    static POOL_F64: RefCell<Pool<f64>> = const { RefCell::new(Pool::new()) };
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn of(v: f64) -> Self {
        v as Self
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn tanh(self) -> Self {
        self.tanh()
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // 2^n e^r with n an integer and |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds to an integer and leaves
        // it in the low bits. Below -87 the result is set to e^-87 = 1.6e-38, nothing next to 1.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-87.0, 88.0);
        let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
        let p = r.mul_add(1.388_948e-3, 8.333_367e-3);
        let p = r.mul_add(r.mul_add(p, 4.166_666_6e-2), 1.666_666_6e-1);
        let p = r.mul_add(r.mul_add(r.mul_add(p, 0.5), 1.0), 1.0);
        Self::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
    }

    #[inline(always)]
    fn erf(self) -> Self {
        // An odd rational function on [-4, 4], outside of which erf rounds to ±1: the minimax coefficients
        // that Eigen and XLA use. The error is a few 1e-7.
        let x = self.clamp(-4.0, 4.0);
        let s = x * x;
        let p = s.mul_add(-2.726_142_3e-10, 2.770_681_4e-8);
        let p = s.mul_add(s.mul_add(p, -2.101_024e-6), -5.692_506_4e-5);
        let p = s.mul_add(s.mul_add(p, -7.349_906e-4), -2.954_6e-3);
        let p = x * s.mul_add(p, -1.609_603_3e-2);
        let q = s.mul_add(-1.456_607_2e-5, -2.133_740_6e-4);
        let q = s.mul_add(s.mul_add(q, -1.682_827e-3), -7.373_329e-3);
        p / s.mul_add(q, -1.426_473_9e-2)
    }

    fn pool() -> &'static LocalKey<RefCell<Pool<Self>>> {
        &POOL_F32
    }

    fn wrap<const D: usize>(slot: Rc<Slot<Self>>) -> Repr<D> {
        Repr::F32(slot)
    }

    fn unwrap<const D: usize>(repr: &Repr<D>) -> Option<&Rc<Slot<Self>>> {
        if let Repr::F32(slot) = repr { Some(slot) } else { None }
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn of(v: f64) -> Self {
        v
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn tanh(self) -> Self {
        self.tanh()
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // As in `f32`, with ln 2 in two parts and the Taylor polynomial of degree 13, whose remainder on
        // |r| <= 0.347 is below 5e-18.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let x = self.clamp(-708.0, 709.0);
        let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-1.908_214_929_270_587_7e-10, n.mul_add(-0.693_147_180_369_123_8, x));
        let p = r.mul_add(1.605_904_383_682_161_5e-10, 2.087_675_698_786_81e-9);
        let p = r.mul_add(r.mul_add(p, 2.505_210_838_544_172e-8), 2.755_731_922_398_589e-7);
        let p = r.mul_add(r.mul_add(p, 2.755_731_922_398_589_3e-6), 2.480_158_730_158_73e-5);
        let p = r.mul_add(r.mul_add(p, 1.984_126_984_126_984e-4), 1.388_888_888_888_889e-3);
        let p = r.mul_add(r.mul_add(p, 8.333_333_333_333_333e-3), 4.166_666_666_666_666_4e-2);
        let p = r.mul_add(r.mul_add(p, 1.666_666_666_666_666_6e-1), 0.5);
        let p = r.mul_add(r.mul_add(p, 1.0), 1.0);
        Self::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
    }

    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }

    fn pool() -> &'static LocalKey<RefCell<Pool<Self>>> {
        &POOL_F64
    }

    fn wrap<const D: usize>(slot: Rc<Slot<Self>>) -> Repr<D> {
        Repr::F64(slot)
    }

    fn unwrap<const D: usize>(repr: &Repr<D>) -> Option<&Rc<Slot<Self>>> {
        if let Repr::F64(slot) = repr { Some(slot) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn the_exponential_is_right_to_the_last_places() {
        for i in 0..4000 {
            let x = f64::from(i - 3900) * 0.02;
            let (single, exact) = (Real::exp(x as f32), f64::from(x as f32).exp());
            assert!((f64::from(single) / exact - 1.0).abs() < 3e-7, "f32 e^{x}");
            assert!((Real::exp(x) / x.exp() - 1.0).abs() < 5e-16, "f64 e^{x}");
        }
        assert_eq!((Real::exp(0.0f32), Real::exp(0.0f64)), (1.0, 1.0));
        assert!(Real::exp(f32::NEG_INFINITY) < 2e-38 && Real::exp(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn the_error_function_is_right_to_single_precision() {
        for i in 0..2000 {
            let x = f64::from(i - 1000) * 0.006;
            let error = f64::from(Real::erf(x as f32)) - libm::erf(f64::from(x as f32));
            assert!(error.abs() < 5e-7, "erf {x}: {error:e}");
        }
    }
}
