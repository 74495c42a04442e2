//! Elementwise nonlinearities.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::activation;
use multiversion::multiversion;

use crate::{
    Var,
    host::{Buffer, Real, Slot},
    var::dispatch,
};

impl<const D: usize> Var<D> {
    /// `max(x, 0)`; the gradient at 0 is 0, as in PyTorch.
    #[must_use]
    pub fn relu(&self) -> Self {
        dispatch!(self,
            x => Self::host(elementwise(x, relu, |dy, _, y| mask(dy, y)), self.dims),
            x => Self::of(activation::relu(x.clone())))
    }

    /// `x Φ(x)` with the exact normal distribution function, not its tanh approximation.
    #[must_use]
    pub fn gelu(&self) -> Self {
        dispatch!(self,
            x => Self::host(elementwise(x, gelu, |dy, x, _| gelu_backward(dy, x)), self.dims),
            x => Self::of(activation::gelu(x.clone())))
    }

    /// `tanh(x)`.
    #[must_use]
    pub fn tanh(&self) -> Self {
        dispatch!(self,
            x => Self::host(elementwise(x, tanh, |dy, _, y| tanh_backward(dy, y)), self.dims),
            x => Self::of(activation::tanh(x.clone())))
    }
}

/// Applies `forward(y, x)`; `backward(dy, x, y)` turns the gradient of `y` into that of `x` in place.
fn elementwise<S: Real>(
    x: &Rc<Slot<S>>,
    forward: impl Fn(&mut [S], &[S]),
    backward: impl Fn(&mut [S], &[S], &[S]) + 'static,
) -> Rc<Slot<S>> {
    let mut y = Buffer::stale(x.len());
    forward(&mut y, x.value());
    Slot::result(y, [x], move |[x], y, mut dy| {
        backward(&mut dy, x.value(), y.value());
        x.give(dy);
    })
}

/// NaN stays NaN, so that a run that has lost its numbers is seen to have lost them.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn relu<S: Real>(y: &mut [S], x: &[S]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = if *x <= S::ZERO { S::ZERO } else { *x };
    }
}

/// ReLU in place.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn clip<S: Real>(y: &mut [S]) {
    for y in y {
        *y = if *y <= S::ZERO { S::ZERO } else { *y };
    }
}

/// Sets `dy` to 0 where `y` is not positive: the gradient of ReLU from its output.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn mask<S: Real>(dy: &mut [S], y: &[S]) {
    for (dy, y) in dy.iter_mut().zip(y) {
        *dy = if *y > S::ZERO { *dy } else { S::ZERO };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu<S: Real>(y: &mut [S], x: &[S]) {
    let root_half = S::of(std::f64::consts::FRAC_1_SQRT_2);
    for (y, x) in y.iter_mut().zip(x) {
        *y = S::of(0.5) * *x * (S::ONE + (*x * root_half).erf());
    }
}

/// `Φ(x) + x φ(x)`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_backward<S: Real>(dy: &mut [S], x: &[S]) {
    let root_half = S::of(std::f64::consts::FRAC_1_SQRT_2);
    let peak = S::of(0.398_942_280_401_432_7); // 1 / sqrt(2 pi)
    for (dy, x) in dy.iter_mut().zip(x) {
        let below = S::of(0.5) * (S::ONE + (*x * root_half).erf());
        *dy *= (*x * peak).mul_add((S::of(-0.5) * *x * *x).exp(), below);
    }
}

fn tanh<S: Real>(y: &mut [S], x: &[S]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = x.tanh();
    }
}

fn tanh_backward<S: Real>(dy: &mut [S], y: &[S]) {
    for (dy, y) in dy.iter_mut().zip(y) {
        *dy *= S::ONE - *y * *y;
    }
}
