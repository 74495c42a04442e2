//! Layer normalisation over columns.

use std::rc::Rc;

use multiversion::multiversion;

use crate::{
    Var,
    host::{Buffer, Real, Slot, simd},
    var::dispatch,
};

impl Var<2> {
    /// `(x - mean) / sqrt(var + eps) * gain + bias` row by row, for `x [n, d]`, `gain [d]`, `bias [d]`;
    /// `var` is the biased variance. Source: Ba et al. 2016, arXiv:1607.06450.
    ///
    /// # Panics
    /// If the widths differ.
    #[must_use]
    pub fn layer_norm(&self, gain: &Var<1>, bias: Option<&Var<1>>, eps: f64) -> Self {
        let [_, d] = self.dims;
        assert_eq!(gain.dims, [d], "layer_norm: one gain per column");
        assert!(bias.is_none_or(|b| b.dims == [d]), "layer_norm: one bias per column");
        dispatch!(self,
        x => Self::host(normalise(x, gain.like(x), bias.map(|b| b.like(x)), eps), self.dims),
        x => {
            let centred = x.clone() - x.clone().mean_dim(1);
            let var = (centred.clone() * centred.clone()).mean_dim(1);
            let y = centred / var.add_scalar(eps).sqrt() * gain.tensor().reshape([1, d]);
            Self::of(match bias {
                Some(bias) => y + bias.tensor().reshape([1, d]),
                None => y,
            })
        })
    }
}

fn normalise<S: Real>(
    x: &Rc<Slot<S>>,
    gain: &Rc<Slot<S>>,
    bias: Option<&Rc<Slot<S>>>,
    eps: f64,
) -> Rc<Slot<S>> {
    let d = gain.len();
    let bias = bias.map_or_else(|| Slot::constant(Buffer::zeros(d)), Rc::clone);
    let mut y = Buffer::stale(x.len());
    let mut normal = Buffer::stale(x.len());
    let mut inverse = Buffer::stale(x.len() / d.max(1));
    forward(x.value(), gain.value(), bias.value(), S::of(eps), &mut y, &mut normal, &mut inverse);
    Slot::result(y, [x, gain, &bias], move |[x, gain, bias], _, dy| {
        bias.contribute(|db, is_sum| simd::column_sums(db, &dy, is_sum));
        gain.contribute(|dg, is_sum| column_products(dg, &dy, &normal, is_sum));
        x.contribute(|dx, is_sum| backward(dx, &dy, gain.value(), &normal, &inverse, is_sum));
    })
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn forward<S: Real>(
    x: &[S],
    gain: &[S],
    bias: &[S],
    eps: S,
    y: &mut [S],
    normal: &mut [S],
    inverse: &mut [S],
) {
    let d = gain.len();
    let width = S::of(d as f64);
    let rows = x.chunks_exact(d).zip(normal.chunks_exact_mut(d)).zip(y.chunks_exact_mut(d));
    for (((x, normal), y), inverse) in rows.zip(inverse) {
        let mean = simd::sum(x) / width;
        for (n, x) in normal.iter_mut().zip(x) {
            *n = *x - mean;
        }
        let k = S::ONE / (simd::dot(normal, normal) / width + eps).sqrt();
        *inverse = k;
        for (((y, n), g), b) in y.iter_mut().zip(normal).zip(gain).zip(bias) {
            *n *= k;
            *y = n.mul_add(*g, *b);
        }
    }
}

/// `dx (+)= (dy g - mean(dy g) - n mean(dy g n)) / sigma`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn backward<S: Real>(
    dx: &mut [S],
    dy: &[S],
    gain: &[S],
    normal: &[S],
    inverse: &[S],
    is_sum: bool,
) {
    let d = gain.len();
    let width = S::of(d as f64);
    let mut scaled = vec![S::ZERO; d];
    let rows = dx.chunks_exact_mut(d).zip(dy.chunks_exact(d)).zip(normal.chunks_exact(d));
    for (((dx, dy), normal), k) in rows.zip(inverse) {
        for ((s, dy), g) in scaled.iter_mut().zip(dy).zip(gain) {
            *s = *dy * *g;
        }
        let mean = simd::sum(&scaled) / width;
        let along = simd::dot(&scaled, normal) / width;
        for ((dx, s), n) in dx.iter_mut().zip(&scaled).zip(normal) {
            let d = *k * (*s - mean - *n * along);
            *dx = if is_sum { *dx + d } else { d };
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn column_products<S: Real>(dst: &mut [S], a: &[S], b: &[S], is_sum: bool) {
    let d = dst.len();
    if !is_sum {
        dst.fill(S::ZERO);
    }
    for (a, b) in a.chunks_exact(d).zip(b.chunks_exact(d)) {
        for ((dst, a), b) in dst.iter_mut().zip(a).zip(b) {
            *dst = a.mul_add(*b, *dst);
        }
    }
}
