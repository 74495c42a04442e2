//! Which optimizer, its state and one update.

use serde::{Deserialize, Serialize};

use super::kernels;
use crate::{Engine, Layout};

/// Scalars per unit of work handed to a thread; below this nothing is gained by a second one.
const BLOCK: usize = 1 << 15;

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay: `p *= 1 - lr wd`, then Adam. Loshchilov and Hutter, arXiv:1711.05101.
    AdamW,
    /// Adam with weight decay added to the gradient. Kingma and Ba, arXiv:1412.6980.
    Adam,
    /// `p -= lr (g + wd p)`.
    Sgd,
    /// Heavy ball: `m = momentum m + g + wd p`, `p -= lr m`; at the first update `m = g + wd p`.
    Momentum,
}

/// Hyper-parameters of one update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hyper {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay, applied where the parameter's specification says so.
    pub weight_decay: f64,
    /// Decay of the first moment (Adam, AdamW).
    pub beta1: f64,
    /// Decay of the second moment (Adam, AdamW).
    pub beta2: f64,
    /// Added to the root of the second moment (Adam, AdamW).
    pub eps: f64,
    /// Decay of the velocity (Momentum).
    pub momentum: f64,
}

impl Default for Hyper {
    /// PyTorch's defaults for Adam without weight decay, and a momentum of 0.9.
    fn default() -> Self {
        Self { lr: 1e-3, weight_decay: 0.0, beta1: 0.9, beta2: 0.999, eps: 1e-8, momentum: 0.9 }
    }
}

/// What an optimizer remembers between updates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OptimState {
    /// First moment, or velocity; empty for SGD.
    pub m: Vec<f32>,
    /// Second moment; empty for SGD and Momentum.
    pub v: Vec<f32>,
    /// Updates done.
    pub t: u64,
}

impl OptimState {
    /// The state before the first update of `n` scalars.
    pub fn new(kind: OptimizerKind, n: usize) -> Self {
        let (m, v) = match kind {
            OptimizerKind::AdamW | OptimizerKind::Adam => (n, n),
            OptimizerKind::Momentum => (n, 0),
            OptimizerKind::Sgd => (0, 0),
        };
        Self { m: vec![0.0; m], v: vec![0.0; v], t: 0 }
    }

    /// The moments by name, for a checkpoint; `t` is the other half of the state.
    pub fn tensors(&self) -> [(&'static str, &[f32]); 2] {
        [("m", &self.m), ("v", &self.v)]
    }

    /// The state that a checkpoint's moments and count describe.
    pub fn from_tensors(m: Vec<f32>, v: Vec<f32>, t: u64) -> Self {
        Self { m, v, t }
    }
}

impl OptimizerKind {
    /// Performs one update of `params` in place.
    ///
    /// # Panics
    /// If `params`, `grad`, the layout and the state are not of one length: they belong to different
    /// networks or optimizers.
    pub fn update(
        self,
        engine: &Engine,
        layout: &Layout,
        hyper: &Hyper,
        state: &mut OptimState,
        params: &mut [f32],
        grad: &[f32],
    ) {
        let n = layout.len();
        let fits = |len: usize, needed: bool| len == if needed { n } else { 0 };
        let adam = matches!(self, Self::AdamW | Self::Adam);
        assert!(
            params.len() == n
                && grad.len() == n
                && fits(state.m.len(), self != Self::Sgd)
                && fits(state.v.len(), adam),
            "parameters ({}), gradient ({}) and state ({}, {}) of a layout of {n} scalars",
            params.len(),
            grad.len(),
            state.m.len(),
            state.v.len()
        );
        state.t += 1;
        let rule = kernels::Rule::new(self, hyper, state.t);
        let mut pieces = Vec::new();
        let (mut p, mut g) = (params, grad);
        let (mut m, mut v) = (state.m.as_mut_slice(), state.v.as_mut_slice());
        for spec in layout.specs() {
            let mut left = spec.len();
            while left > 0 {
                let take = left.min(BLOCK);
                left -= take;
                let piece;
                (piece, p) = p.split_at_mut(take);
                let gradient;
                (gradient, g) = g.split_at(take);
                let (first, second);
                (first, m) = m.split_at_mut(take.min(m.len()));
                (second, v) = v.split_at_mut(take.min(v.len()));
                pieces.push((piece, gradient, first, second, spec.decay));
            }
        }
        engine.workers.for_each(pieces, n, |(p, g, m, v, decay)| rule.apply(p, g, m, v, decay));
    }
}
