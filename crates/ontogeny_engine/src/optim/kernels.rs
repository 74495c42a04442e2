//! The arithmetic of an update, vectorised.
//!
//! PyTorch's order of operations in `f32`, with scalar factors computed in `f64` and rounded once. No fused
//! multiply-add is requested, so every instruction set gives the same bits.

use multiversion::multiversion;

use super::{Hyper, OptimizerKind};

/// One update's factors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    kind: OptimizerKind,
    lr: f32,
    weight_decay: f32,
    shrink: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    eps: f32,
    step_size: f32,
    root_correction: f32,
    momentum: f32,
    is_first: bool,
}

impl Rule {
    /// The factors of update number `t`, counted from 1.
    pub(super) fn new(kind: OptimizerKind, h: &Hyper, t: u64) -> Self {
        let power = |beta: f64| beta.powf(t as f64);
        Self {
            kind,
            lr: h.lr as f32,
            weight_decay: h.weight_decay as f32,
            shrink: (1.0 - h.lr * h.weight_decay) as f32,
            rest1: (1.0 - h.beta1) as f32,
            beta2: h.beta2 as f32,
            rest2: (1.0 - h.beta2) as f32,
            eps: h.eps as f32,
            step_size: (h.lr / (1.0 - power(h.beta1))) as f32,
            root_correction: (1.0 - power(h.beta2)).sqrt() as f32,
            momentum: h.momentum as f32,
            is_first: t == 1,
        }
    }

    /// Updates one piece; `m` and `v` are empty where the kind has none.
    pub(super) fn apply(
        &self,
        p: &mut [f32],
        g: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        decay: bool,
    ) {
        let wd = if decay { self.weight_decay } else { 0.0 };
        match self.kind {
            OptimizerKind::AdamW => {
                adam(self, p, g, m, v, if decay { self.shrink } else { 1.0 }, 0.0);
            }
            OptimizerKind::Adam => adam(self, p, g, m, v, 1.0, wd),
            OptimizerKind::Sgd => sgd(p, g, self.lr, wd),
            OptimizerKind::Momentum => {
                let momentum = if self.is_first { 0.0 } else { self.momentum };
                heavy_ball(p, g, m, self.lr, wd, momentum);
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn adam(r: &Rule, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], shrink: f32, wd: f32) {
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = g + wd * *p;
        *p *= shrink;
        // PyTorch's lerp: m + (g - m) (1 - beta1).
        *m += (g - *m) * r.rest1;
        *v = *v * r.beta2 + (r.rest2 * g) * g;
        let root = v.sqrt() / r.root_correction + r.eps;
        *p -= r.step_size * (*m / root);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn sgd(p: &mut [f32], g: &[f32], lr: f32, wd: f32) {
    for (p, &g) in p.iter_mut().zip(g) {
        *p -= lr * (g + wd * *p);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn heavy_ball(p: &mut [f32], g: &[f32], m: &mut [f32], lr: f32, wd: f32, momentum: f32) {
    for ((p, &g), m) in p.iter_mut().zip(g).zip(m) {
        *m = *m * momentum + (g + wd * *p);
        *p -= lr * *m;
    }
}
