//! Fully connected layers.

use super::{Activation, mismatch, normal, zeros};
use crate::TrainError;
use crate::config::in_range;
use crate::tasks::{InputShape, TaskShape};
use ontogeny_engine::{Chunk, Lane, Layout, Network, Stage, Taps, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Width of each hidden layer.
    pub widths: Vec<usize>,
    /// The nonlinearity.
    pub activation: Activation,
}

impl MlpConfig {
    fn input(shape: &TaskShape) -> Option<usize> {
        match shape.input {
            InputShape::Features { width } => Some(width),
            InputShape::Image { shape } => Some(shape.iter().product()),
            InputShape::Tokens { .. } => None,
        }
    }

    fn sizes(&self, shape: &TaskShape) -> Vec<usize> {
        let input = Self::input(shape).into_iter();
        input.chain(self.widths.iter().copied()).chain([shape.n_classes]).collect()
    }

    pub(super) fn check(&self, shape: &TaskShape) -> Result<(), TrainError> {
        for &w in &self.widths {
            in_range("model.widths", w as f64, 1.0, 65_536.0, "a layer has units")?;
        }
        if Self::input(shape).is_none() || shape.every_position {
            return Err(mismatch("mlp", shape, "an MLP reads feature vectors or flat images"));
        }
        Ok(())
    }

    pub(super) fn multiplications(&self, shape: &TaskShape) -> f64 {
        self.sizes(shape).windows(2).map(|w| (w[0] * w[1]) as f64).sum()
    }

    pub(super) fn build(&self, shape: &TaskShape) -> Mlp {
        // He initialization: variance 2 / fan-in before a ReLU, 1 / fan-in otherwise.
        let sizes = self.sizes(shape);
        let last = sizes.len() - 2;
        let mut specs = Vec::new();
        for (l, w) in sizes.windows(2).enumerate() {
            let gain = if l < last && self.activation == Activation::Relu { 2.0 } else { 1.0 };
            specs.push(normal(format!("layers.{l}.w"), &[w[0], w[1]], gain / w[0] as f64));
            specs.push(zeros(format!("layers.{l}.b"), w[1]));
        }
        Mlp { layout: Arc::new(Layout::new(specs)), activation: self.activation, last }
    }
}

/// The network.
#[derive(Debug)]
pub(super) struct Mlp {
    layout: Arc<Layout>,
    activation: Activation,
    last: usize,
}

impl Network for Mlp {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2> {
        let mut h = lane.features(chunk);
        for l in 0..self.last {
            let (w, b) =
                (lane.param(&format!("layers.{l}.w")), lane.param(&format!("layers.{l}.b")));
            h = taps.pass(&format!("layers.{l}.post"), self.activation.of_linear(&h, &w, Some(&b)));
        }
        let l = self.last;
        h.linear(&lane.param(&format!("layers.{l}.w")), Some(&lane.param(&format!("layers.{l}.b"))))
    }

    fn stages(&self) -> Option<Vec<Stage>> {
        if self.activation != Activation::Relu && self.last > 0 {
            return None;
        }
        let hidden =
            (0..self.last).flat_map(|l| [Stage::dense(&format!("layers.{l}")), Stage::Relu]);
        Some(hidden.chain([Stage::dense(&format!("layers.{}", self.last))]).collect())
    }
}
