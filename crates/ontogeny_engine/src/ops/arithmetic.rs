//! Elementwise arithmetic and full sums.

use std::rc::Rc;

use crate::{
    Var,
    host::{Buffer, Real, Slot, simd},
    var::dispatch,
};

impl<const D: usize> Var<D> {
    /// `x + y`, of equal shapes.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        assert_eq!(self.dims, other.dims, "add takes two tensors of one shape");
        dispatch!(self,
            x => Self::host(add(x, other.like(x)), self.dims),
            x => Self::of(x.clone() + other.tensor()))
    }

    /// `x - y`, of equal shapes.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.mul_scalar(-1.0))
    }

    /// `x * y` element by element, of equal shapes.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        assert_eq!(self.dims, other.dims, "mul takes two tensors of one shape");
        dispatch!(self,
            x => Self::host(mul(x, other.like(x)), self.dims),
            x => Self::of(x.clone() * other.tensor()))
    }

    /// `factor * x`.
    #[must_use]
    pub fn mul_scalar(&self, factor: f64) -> Self {
        dispatch!(self,
            x => Self::host(mul_scalar(x, factor), self.dims),
            x => Self::of(x.clone().mul_scalar(factor)))
    }

    /// The sum of all elements, as one element; added up in `f64`.
    #[must_use]
    pub fn sum(&self) -> Var<1> {
        dispatch!(self,
            x => Var::host(weighted_sum(x, 1.0), [1]),
            x => Var::of(x.clone().sum()))
    }

    /// The mean of all elements, as one element; added up in `f64`.
    #[must_use]
    pub fn mean(&self) -> Var<1> {
        let factor = 1.0 / self.dims.iter().product::<usize>() as f64;
        dispatch!(self,
            x => Var::host(weighted_sum(x, factor), [1]),
            x => Var::of(x.clone().sum().mul_scalar(factor)))
    }
}

impl Var<2> {
    /// Adds `pattern [t, d]` to every consecutive block of `t` rows of `x [n * t, d]`: position embeddings,
    /// or with `t = 1` a bias.
    ///
    /// # Panics
    /// If the widths differ or the rows are no multiple of `t`.
    #[must_use]
    pub fn add_tiled(&self, pattern: &Self) -> Self {
        let ([rows, d], [t, d_pattern]) = (self.dims, pattern.dims);
        assert!(
            d == d_pattern && t > 0 && rows % t == 0,
            "tile [{t}, {d_pattern}] over [{rows}, {d}]"
        );
        dispatch!(self,
        x => Self::host(add_tiled(x, pattern.like(x)), self.dims),
        x => {
            let sum = x.clone().reshape([rows / t, t, d]) + pattern.tensor().reshape([1, t, d]);
            Self::of(sum.reshape([rows, d]))
        })
    }
}

fn add<S: Real>(x: &Rc<Slot<S>>, y: &Rc<Slot<S>>) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(x.len());
    simd::sum_into(&mut out, x.value(), y.value());
    let out = Slot::result(out, [x, y], |[x, y], _, dy| {
        y.lend(&dy);
        x.give(dy);
    });
    match (x.exact(), y.exact()) {
        (Some(x), Some(y)) => out.with_exact(x + y),
        _ => out,
    }
}

fn mul<S: Real>(x: &Rc<Slot<S>>, y: &Rc<Slot<S>>) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(x.len());
    simd::put_product(&mut out, x.value(), y.value(), false);
    Slot::result(out, [x, y], |[x, y], _, dy| {
        x.contribute(|dx, is_sum| simd::put_product(dx, &dy, y.value(), is_sum));
        y.contribute(|d, is_sum| simd::put_product(d, &dy, x.value(), is_sum));
    })
}

fn mul_scalar<S: Real>(x: &Rc<Slot<S>>, factor: f64) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(x.len());
    simd::put_scaled(&mut out, x.value(), S::of(factor), false);
    let out = Slot::result(out, [x], move |[x], _, mut dy| {
        simd::scale(&mut dy, S::of(factor));
        x.give(dy);
    });
    match x.exact() {
        Some(exact) => out.with_exact(exact * factor),
        None => out,
    }
}

fn weighted_sum<S: Real>(x: &Rc<Slot<S>>, factor: f64) -> Rc<Slot<S>> {
    let exact = factor * x.value().iter().map(|v| v.f64()).sum::<f64>();
    let out = Buffer::copy(&[S::of(exact)]);
    let out = Slot::result(out, [x], move |[x], _, dy| {
        let each = dy[0] * S::of(factor);
        x.contribute(|dx, is_sum| {
            for d in dx {
                *d = if is_sum { *d + each } else { each };
            }
        });
    });
    out.with_exact(exact)
}

fn add_tiled<S: Real>(x: &Rc<Slot<S>>, pattern: &Rc<Slot<S>>) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(x.len());
    let tile = pattern.len();
    for (out, x) in out.chunks_exact_mut(tile).zip(x.value().chunks_exact(tile)) {
        simd::sum_into(out, x, pattern.value());
    }
    Slot::result(out, [x, pattern], |[x, pattern], _, dy| {
        pattern.contribute(|d, is_sum| simd::column_sums(d, &dy, is_sum));
        x.give(dy);
    })
}
