//! Losses, summed over readouts.
//!
//! A readout whose target is [`UNREAD`] counts for nothing: it adds no loss and gets no gradient.
//!
//! Softmax and cross entropy are computed in `f64` whatever the precision of the logits: in `f32` the
//! log-softmax of a memorised example rounds to 0, gradients stall near 1e-7 and grokking is replaced by
//! artefact slingshots (Nanda et al. 2023). Graphics processors have no `f64`; there it is `f32`.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{FloatDType, Tensor, activation::log_softmax};
use multiversion::multiversion;

use crate::{
    UNREAD, Var,
    host::{Buffer, Real, Slot, simd},
    var::dispatch,
};

impl Var<2> {
    /// `-sum_i log softmax(x_i)[targets_i]` for logits `x [n, n_classes]`: the SUM over readouts.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is no class.
    #[must_use]
    pub fn cross_entropy(&self, targets: &[u32]) -> Var<1> {
        self.check_targets(targets);
        dispatch!(self,
        x => Var::host(summed(x, targets, cross_entropy), [1]),
        x => {
            let safe: Vec<u32> = targets.iter().map(|&t| if t == UNREAD { 0 } else { t }).collect();
            let at_target = crate::var::ints(x, &safe).reshape([targets.len(), 1]);
            let losses = log_softmax(in_f64(x), 1).gather(1, at_target);
            Var::of((losses * is_read(x, targets)).sum().neg())
        })
    }

    /// `sum_i mean_c (x_ic - [c = targets_i])²`: the SUM over readouts of the squared error to one-hot
    /// answers.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is no class.
    #[must_use]
    pub fn mse_one_hot(&self, targets: &[u32]) -> Var<1> {
        self.check_targets(targets);
        dispatch!(self,
        x => Var::host(summed(x, targets, squared_error), [1]),
        x => {
            let [n, classes] = self.dims;
            let mut one_hot = vec![0.0; n * classes];
            for (i, &t) in targets.iter().enumerate().filter(|(_, t)| **t != UNREAD) {
                one_hot[i * classes + t as usize] = 1.0;
            }
            let error = in_f64(&(x.clone() - crate::var::constant(x, one_hot, [n, classes])));
            let squares = error.clone() * error * is_read(x, targets);
            Var::of(squares.sum().mul_scalar(1.0 / classes as f64))
        })
    }

    /// `sum_i max_{j != targets_i} x_ij - x_(i, targets_i)`: the SUM over readouts of the lead of the strongest wrong
    /// class (of equals the first). Its gradient never vanishes for a sure network, as that of cross entropy does.
    ///
    /// # Panics
    /// If there is not one target per row, a target is no class, or there is only one class.
    #[must_use]
    pub fn rival_lead(&self, targets: &[u32]) -> Var<1> {
        self.check_targets(targets);
        assert!(self.dims[1] > 1, "a single class has no rival");
        dispatch!(self,
        x => Var::host(summed(x, targets, rival_lead), [1]),
        x => {
            let [n, classes] = self.dims;
            // Which entry is subtracted from which: a constant, so no gradient flows through the choice.
            let values = crate::var::values(x.clone());
            let mut signs = vec![0.0; n * classes];
            for (i, &t) in targets.iter().enumerate().filter(|(_, t)| **t != UNREAD) {
                let row = &values[i * classes..][..classes];
                signs[i * classes + rival(row, t as usize)] = 1.0;
                signs[i * classes + t as usize] = -1.0;
            }
            Var::of((x.clone() * crate::var::constant(x, signs, [n, classes])).sum())
        })
    }

    /// `sum_i mean_c (x_ic - y_ic)²`: the SUM over rows of the mean over columns.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn mse(&self, y: &Self) -> Var<1> {
        let error = self.sub(y);
        error.mul(&error).sum().mul_scalar(1.0 / self.dims[1] as f64)
    }

    fn check_targets(&self, targets: &[u32]) {
        let [n, classes] = self.dims;
        assert_eq!(n, targets.len(), "one target per row of logits");
        if let Some(t) = targets.iter().find(|&&t| t != UNREAD && t as usize >= classes) {
            panic!("target {t} is no class of {classes}");
        }
    }
}

/// 1 for rows that are read, 0 for the others: `[n, 1]`.
#[cfg(feature = "composite")]
fn is_read(x: &Tensor<2>, targets: &[u32]) -> Tensor<2> {
    let mask = targets.iter().map(|&t| f32::from(u8::from(t != UNREAD))).collect();
    in_f64(&crate::var::constant(x, mask, [targets.len(), 1]))
}

#[cfg(feature = "composite")]
fn in_f64(x: &Tensor<2>) -> Tensor<2> {
    if x.device().supports_dtype(burn::tensor::DType::F64) {
        x.clone().cast(FloatDType::F64)
    } else {
        x.clone()
    }
}

/// A sum over rows of `loss(row, target, gradient of the row, scratch)`.
fn summed<S: Real>(
    x: &Rc<Slot<S>>,
    targets: &[u32],
    loss: impl Fn(&[S], &[u32], &mut [S]) -> f64,
) -> Rc<Slot<S>> {
    let mut dx = Buffer::stale(x.len());
    let total = loss(x.value(), targets, &mut dx);
    let out = Slot::result(Buffer::copy(&[S::of(total)]), [x], move |[x], _, dy| {
        let mut dx = dx;
        if dy[0] != S::ONE {
            simd::scale(&mut dx, dy[0]);
        }
        x.give(dx);
    });
    out.with_exact(total)
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn cross_entropy<S: Real>(x: &[S], targets: &[u32], dx: &mut [S]) -> f64 {
    let classes = x.len() / targets.len().max(1);
    let mut weights = vec![0f64; classes];
    let mut total = 0.0;
    for ((x, dx), &t) in x.chunks_exact(classes).zip(dx.chunks_exact_mut(classes)).zip(targets) {
        if t == UNREAD {
            dx.fill(S::ZERO);
            continue;
        }
        let t = t as usize;
        let largest = simd::max(x).f64();
        for (w, x) in weights.iter_mut().zip(x) {
            *w = Real::exp(x.f64() - largest);
        }
        let sum = simd::sum(&weights);
        total += sum.ln() - (x[t].f64() - largest);
        let inverse = 1.0 / sum;
        for (dx, w) in dx.iter_mut().zip(&weights) {
            *dx = S::of(*w * inverse);
        }
        // In f64 first: p - 1 of a memorised example is not -0.
        dx[t] = S::of((weights[t] - sum) * inverse);
    }
    total
}

/// The first of the largest entries beside `target`.
fn rival<S: Real>(row: &[S], target: usize) -> usize {
    let mut best = usize::from(target == 0);
    for j in best + 1..row.len() {
        if j != target && row[j] > row[best] {
            best = j;
        }
    }
    best
}

fn rival_lead<S: Real>(x: &[S], targets: &[u32], dx: &mut [S]) -> f64 {
    let classes = x.len() / targets.len().max(1);
    let mut total = 0.0;
    dx.fill(S::ZERO);
    for ((x, dx), &t) in x.chunks_exact(classes).zip(dx.chunks_exact_mut(classes)).zip(targets) {
        if t != UNREAD {
            let (t, j) = (t as usize, rival(x, t as usize));
            total += x[j].f64() - x[t].f64();
            (dx[j], dx[t]) = (S::ONE, S::of(-1.0));
        }
    }
    total
}

fn squared_error<S: Real>(x: &[S], targets: &[u32], dx: &mut [S]) -> f64 {
    let classes = x.len() / targets.len().max(1);
    let each = 1.0 / classes as f64;
    let mut total = 0.0;
    for ((x, dx), &t) in x.chunks_exact(classes).zip(dx.chunks_exact_mut(classes)).zip(targets) {
        if t == UNREAD {
            dx.fill(S::ZERO);
            continue;
        }
        for (c, (x, dx)) in x.iter().zip(dx).enumerate() {
            let error = x.f64() - f64::from(u8::from(c == t as usize));
            total += error * error * each;
            *dx = S::of(2.0 * error * each);
        }
    }
    total
}
