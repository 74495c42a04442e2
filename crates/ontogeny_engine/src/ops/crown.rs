//! Linear lower bounds of margins, carried backwards through ReLUs.
//!
//! A row `a` of coefficients says `margin >= a h + const` for the values `h` of a layer. Backwards through a ReLU with
//! input in `[l, u]`, a positive coefficient takes the slope `1[u > -l]` of a line below the ReLU, a negative one the
//! slope `s = u / (u - l)` and the intercept `t = -u l / (u - l)` of the chord above it; a ReLU that does not switch in
//! the box is passed exactly. Source: Zhang et al. 2018, arXiv:1811.00866; with interval bounds for `[l, u]`: Zhang et
//! al. 2019, arXiv:1906.06316.
//!
//! There are `k` rows per example (one for each class), one example after another.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::Tensor;
use multiversion::multiversion;

use super::bounds::Blocks;
use crate::{
    UNREAD, Var,
    host::{Buffer, Real, Slot},
    var::dispatch,
};

/// Which half of a relaxed ReLU is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The coefficients of the ReLU's input.
    Slopes,
    /// What is added to the constant.
    Intercept,
}

impl Var<2> {
    /// `w_y - w_j` for `w [d, k]` and every target `y` and class `j`: `[n k, d]`. Zeros for unread targets.
    pub(crate) fn differences(&self, targets: &[u32]) -> Self {
        let ([d, k], n) = (self.dims, targets.len());
        dispatch!(self,
        w => Self::host(differences(w, targets, [d, k]), [n * k, d]),
        w => {
            let turned = w.clone().transpose();
            let of = |&t: &u32| if t == UNREAD {
                turned.clone().mul_scalar(0.0)
            } else {
                turned.clone().slice([t as usize..t as usize + 1, 0..d]) - turned.clone()
            };
            Self::of(Tensor::cat(targets.iter().map(of).collect(), 0))
        })
    }

    /// Coefficients `[n k, d]` backwards through the ReLU whose input has the bounds `pre [3 n, d]`: new coefficients
    /// `[n k, d]`, or what is added to the constants, `[n k, 1]`.
    pub(crate) fn relaxed(&self, pre: &Self, k: usize, blocks: Blocks, part: Part) -> Self {
        let [rows, d] = self.dims;
        assert_eq!(pre.dims, [3 * blocks.n, d], "relaxed: bounds of another layer");
        assert_eq!(rows, k * blocks.n, "relaxed: {k} rows per example");
        let width = if part == Part::Slopes { d } else { 1 };
        dispatch!(self,
        a => Self::host(relaxed(a, pre.like(a), [blocks.n, k, d], part), [rows, width]),
        a => {
            let n = blocks.n;
            let pre = pre.tensor();
            let (c, r) = (pre.clone().slice([n..2 * n, 0..d]), pre.slice([2 * n..3 * n, 0..d]));
            let relu = burn::tensor::activation::relu::<2>;
            let (up, down) = (relu(c.clone() + r.clone()), relu(r - c.clone()));
            let s = up.clone() / (up + down.clone()).clamp_min(f64::MIN_POSITIVE.max(1e-30));
            let each = |x: Tensor<2>| x.reshape([n, 1, d]).repeat_dim(1, k).reshape([rows, d]);
            let negative = relu(a.clone().neg()).neg();
            if part == Part::Slopes {
                let low = each(c).greater_elem(0.0).float().cast(burn::tensor::FloatDType::from(a.dtype()));
                Self::of(relu(a.clone()) * low + negative * each(s))
            } else {
                Self::of((negative * each(s * down)).sum_dim(1))
            }
        })
    }

    /// The least value of `a x` over the example's box: `a c - |a| r` for `a [n k, d]` and the constant
    /// `input [3 n, d]`: `[n k, 1]`.
    pub(crate) fn concretized(&self, input: &Self, k: usize, blocks: Blocks) -> Self {
        let [rows, d] = self.dims;
        assert_eq!(input.dims, [3 * blocks.n, d], "concretized: a box of another size");
        dispatch!(self,
        a => Self::host(concretized(a, input.like(a), [blocks.n, k, d]), [rows, 1]),
        a => {
            let n = blocks.n;
            let each = |i: usize| input.tensor().slice([i * n..(i + 1) * n, 0..d])
                .reshape([n, 1, d]).repeat_dim(1, k).reshape([rows, d]);
            Self::of((a.clone() * each(1) - a.clone().abs() * each(2)).sum_dim(1))
        })
    }
}

fn differences<S: Real>(w: &Rc<Slot<S>>, targets: &[u32], [d, k]: [usize; 2]) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(targets.len() * k * d);
    for (rows, &t) in out.chunks_exact_mut(k * d).zip(targets) {
        if t == UNREAD {
            rows.fill(S::ZERO);
            continue;
        }
        for (i, w) in w.value().chunks_exact(k).enumerate() {
            for (j, w_j) in w.iter().enumerate() {
                rows[j * d + i] = w[t as usize] - *w_j;
            }
        }
    }
    let targets = targets.to_vec();
    Slot::result(out, [w], move |[w], _, da| {
        w.contribute(|dw, is_sum| {
            if !is_sum {
                dw.fill(S::ZERO);
            }
            for (rows, &t) in da.chunks_exact(k * d).zip(&targets).filter(|(_, t)| **t != UNREAD) {
                for (i, dw) in dw.chunks_exact_mut(k).enumerate() {
                    let mut to_own = S::ZERO;
                    for (j, dw) in dw.iter_mut().enumerate() {
                        to_own += rows[j * d + i];
                        *dw += -rows[j * d + i];
                    }
                    dw[t as usize] += to_own;
                }
            }
        });
    })
}

fn relaxed<S: Real>(
    a: &Rc<Slot<S>>,
    pre: &Rc<Slot<S>>,
    [n, k, d]: [usize; 3],
    part: Part,
) -> Rc<Slot<S>> {
    let width = if part == Part::Slopes { d } else { 1 };
    let mut out = Buffer::stale(n * k * width);
    let (mut low, mut high) = (Buffer::stale(d), Buffer::stale(d));
    for i in 0..n {
        let (c, r) = boxes(pre.value(), i, n, d);
        lines(c, r, &mut low, &mut high, part);
        let rows = a.value()[i * k * d..][..k * d].chunks_exact(d);
        for (a, out) in rows.zip(out[i * k * width..][..k * width].chunks_exact_mut(width)) {
            match part {
                Part::Slopes => bend(out, a, &low, &high),
                Part::Intercept => out[0] = negative_dot(a, &high),
            }
        }
    }
    Slot::result(out, [a, pre], move |[a, pre], _, dout| {
        // Gradients of the slopes or intercepts above, summed over an example's rows.
        let mut to_line = Buffer::zeros(n * d);
        let (mut low, mut high) = (Buffer::stale(d), Buffer::stale(d));
        a.contribute(|da, is_sum| {
            for i in 0..n {
                let (c, r) = boxes(pre.value(), i, n, d);
                lines(c, r, &mut low, &mut high, part);
                for j in i * k..(i + 1) * k {
                    let (a, da) = (&a.value()[j * d..][..d], &mut da[j * d..][..d]);
                    if !is_sum {
                        da.fill(S::ZERO);
                    }
                    let to_line = &mut to_line[i * d..][..d];
                    match part {
                        Part::Slopes => bend_back(da, to_line, a, &dout[j * d..][..d], &low, &high),
                        Part::Intercept => negative_back(da, to_line, a, dout[j], &high),
                    }
                }
            }
        });
        pre.contribute(|dp, is_sum| {
            if !is_sum {
                dp.fill(S::ZERO);
            }
            let (_, dbounds) = dp.split_at_mut(n * d);
            let (dc, dr) = dbounds.split_at_mut(n * d);
            let (c, r) = pre.value()[n * d..].split_at(n * d);
            lines_back(dc, dr, c, r, &to_line, part);
        });
    })
}

fn boxes<S>(pre: &[S], i: usize, n: usize, d: usize) -> (&[S], &[S]) {
    (&pre[(n + i) * d..][..d], &pre[(2 * n + i) * d..][..d])
}

/// The slopes below and above (or the intercepts above, in `high`) of the ReLUs of one example.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn lines<S: Real>(c: &[S], r: &[S], low: &mut [S], high: &mut [S], part: Part) {
    for (((c, r), low), high) in c.iter().zip(r).zip(low).zip(high) {
        let (l, u) = (*c - *r, *c + *r);
        let up = if u > S::ZERO { u } else { S::ZERO };
        let down = if l < S::ZERO { -l } else { S::ZERO };
        // An input that is 0 for certain is switched off.
        let s = if up > S::ZERO { up / (up + down) } else { S::ZERO };
        *low = if *c > S::ZERO { S::ONE } else { S::ZERO };
        *high = if part == Part::Slopes { s } else { s * down };
    }
}

/// The gradient of [`lines`]' upper half with respect to centres and radii.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn lines_back<S: Real>(dc: &mut [S], dr: &mut [S], c: &[S], r: &[S], g: &[S], part: Part) {
    for ((((dc, dr), c), r), g) in dc.iter_mut().zip(dr).zip(c).zip(r).zip(g) {
        let (l, u) = (*c - *r, *c + *r);
        let is_unstable = l < S::ZERO && u > S::ZERO;
        let width = if is_unstable { u - l } else { S::ONE };
        let scaled = *g / (width * width);
        let (to_l, to_u) = if part == Part::Slopes {
            (u * scaled, -(l * scaled))
        } else {
            (-(u * u * scaled), l * l * scaled)
        };
        if is_unstable {
            *dc += to_u + to_l;
            *dr += to_u - to_l;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn bend<S: Real>(out: &mut [S], a: &[S], low: &[S], high: &[S]) {
    for (((out, a), low), high) in out.iter_mut().zip(a).zip(low).zip(high) {
        *out = *a * if *a < S::ZERO { *high } else { *low };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn bend_back<S: Real>(da: &mut [S], to_high: &mut [S], a: &[S], g: &[S], low: &[S], high: &[S]) {
    for i in 0..a.len() {
        let is_negative = a[i] < S::ZERO;
        da[i] += g[i] * if is_negative { high[i] } else { low[i] };
        to_high[i] += if is_negative { g[i] * a[i] } else { S::ZERO };
    }
}

/// `Σ min(a, 0) t`, in sixteen partial sums.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn negative_dot<S: Real>(a: &[S], t: &[S]) -> S {
    let mut parts = [S::ZERO; 16];
    for (a, t) in a.chunks(16).zip(t.chunks(16)) {
        for ((p, a), t) in parts.iter_mut().zip(a).zip(t) {
            *p += if *a < S::ZERO { *a * *t } else { S::ZERO };
        }
    }
    parts.iter().fold(S::ZERO, |s, p| s + *p)
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn negative_back<S: Real>(da: &mut [S], to_t: &mut [S], a: &[S], g: S, t: &[S]) {
    for i in 0..a.len() {
        let is_negative = a[i] < S::ZERO;
        da[i] += if is_negative { g * t[i] } else { S::ZERO };
        to_t[i] += if is_negative { g * a[i] } else { S::ZERO };
    }
}

fn concretized<S: Real>(
    a: &Rc<Slot<S>>,
    input: &Rc<Slot<S>>,
    [n, k, d]: [usize; 3],
) -> Rc<Slot<S>> {
    assert!(!input.is_tracked(), "boxes of inputs are constants");
    let mut out = Buffer::stale(n * k);
    for (j, (a, out)) in a.value().chunks_exact(d).zip(out.iter_mut()).enumerate() {
        let (c, r) = boxes(input.value(), j / k, n, d);
        *out = least(a, c, r);
    }
    let input = input.clone();
    Slot::result(out, [a], move |[a], _, dout| {
        a.contribute(|da, is_sum| {
            for (j, da) in da.chunks_exact_mut(d).enumerate() {
                if !is_sum {
                    da.fill(S::ZERO);
                }
                let (c, r) = boxes(input.value(), j / k, n, d);
                least_back(da, &a.value()[j * d..][..d], c, r, dout[j]);
            }
        });
    })
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn least<S: Real>(a: &[S], c: &[S], r: &[S]) -> S {
    let mut parts = [S::ZERO; 16];
    for ((a, c), r) in a.chunks(16).zip(c.chunks(16)).zip(r.chunks(16)) {
        for (((p, a), c), r) in parts.iter_mut().zip(a).zip(c).zip(r) {
            *p += *a * if *a < S::ZERO { *c + *r } else { *c - *r };
        }
    }
    parts.iter().fold(S::ZERO, |s, p| s + *p)
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn least_back<S: Real>(da: &mut [S], a: &[S], c: &[S], r: &[S], g: S) {
    for i in 0..a.len() {
        da[i] += g * if a[i] < S::ZERO { c[i] + r[i] } else { c[i] - r[i] };
    }
}
