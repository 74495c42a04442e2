//! A small convolutional network: convolutions with ReLU, then one hidden layer, then the classes.

use super::{mismatch, normal, zeros};
use crate::TrainError;
use crate::config::in_range;
use crate::tasks::{InputShape, TaskShape};
use ontogeny_engine::{Chunk, Lane, Layout, Network, Stage, Taps, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvConfig {
    /// Output channels of each convolution.
    pub channels: Vec<usize>,
    /// Stride of each convolution.
    pub strides: Vec<usize>,
    /// Side of the (square) kernels.
    pub kernel: usize,
    /// Width of the hidden layer; 0 for global average pooling and no hidden layer.
    pub hidden: usize,
    /// Zeros on each side of an image; half the kernel, rounded down, if not given, and then not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<usize>,
}

impl ConvConfig {
    fn padding(&self) -> usize {
        self.padding.unwrap_or(self.kernel / 2)
    }

    fn image(shape: &TaskShape) -> Option<[usize; 3]> {
        match shape.input {
            InputShape::Image { shape } => Some(shape),
            _ => None,
        }
    }

    /// `[channels, height, width]` of the input and after each convolution.
    fn stages(&self, image: [usize; 3]) -> Vec<[usize; 3]> {
        let mut stages = vec![image];
        for (&c, &s) in self.channels.iter().zip(&self.strides) {
            let [_, h, w] = stages[stages.len() - 1];
            let side = |n: usize| (n + 2 * self.padding()).saturating_sub(self.kernel) / s + 1;
            stages.push([c, side(h), side(w)]);
        }
        stages
    }

    pub(super) fn check(&self, shape: &TaskShape) -> Result<(), TrainError> {
        in_range("model.kernel", self.kernel as f64, 1.0, 31.0, "a side in pixels")?;
        in_range("model.hidden", self.hidden as f64, 0.0, 65_536.0, "a layer has units")?;
        for (&c, &s) in self.channels.iter().zip(&self.strides) {
            in_range("model.channels", c as f64, 1.0, 4096.0, "a convolution has output channels")?;
            in_range("model.strides", s as f64, 1.0, 16.0, "a stride in pixels")?;
        }
        if self.channels.is_empty() || self.channels.len() != self.strides.len() {
            return Err(mismatch(
                "conv",
                shape,
                "every convolution needs its channels and its stride",
            ));
        }
        in_range("model.padding", self.padding() as f64, 0.0, 30.0, "zeros around an image")?;
        let Some(image) = Self::image(shape) else {
            return Err(mismatch("conv", shape, "a convolution reads images"));
        };
        let reached = |s: &[usize; 3]| s[1].min(s[2]) + 2 * self.padding() >= self.kernel;
        if !self.stages(image)[..self.channels.len()].iter().all(reached) {
            return Err(mismatch("conv", shape, "a kernel is larger than the image it reads"));
        }
        Ok(())
    }

    pub(super) fn multiplications(&self, shape: &TaskShape) -> f64 {
        let stages = self.stages(Self::image(shape).unwrap_or_default());
        let k2 = (self.kernel * self.kernel) as f64;
        let convolutions: f64 =
            stages.windows(2).map(|s| k2 * (s[0][0] * s[1].iter().product::<usize>()) as f64).sum();
        let [c, h, w] = stages[stages.len() - 1];
        let dense = if self.hidden == 0 {
            c * shape.n_classes
        } else {
            self.hidden * (c * h * w + shape.n_classes)
        };
        convolutions + dense as f64
    }

    pub(super) fn build(&self, shape: &TaskShape) -> Conv {
        let stages = self.stages(Self::image(shape).unwrap_or_default());
        let mut specs = Vec::new();
        for (l, s) in stages.windows(2).enumerate() {
            let (c_in, c_out, k) = (s[0][0], s[1][0], self.kernel);
            specs.push(normal(
                format!("conv.{l}.w"),
                &[c_out, c_in, k, k],
                2.0 / (c_in * k * k) as f64,
            ));
            specs.push(zeros(format!("conv.{l}.b"), c_out));
        }
        let [c, h, w] = stages[stages.len() - 1];
        let mut n = if self.hidden == 0 { c } else { c * h * w };
        if self.hidden > 0 {
            specs.push(normal("hidden.w", &[n, self.hidden], 2.0 / n as f64));
            specs.push(zeros("hidden.b", self.hidden));
            n = self.hidden;
        }
        specs.push(normal("out.w", &[n, shape.n_classes], 1.0 / n as f64));
        specs.push(zeros("out.b", shape.n_classes));
        Conv { layout: Arc::new(Layout::new(specs)), config: self.clone() }
    }
}

/// The network.
#[derive(Debug)]
pub(super) struct Conv {
    layout: Arc<Layout>,
    config: ConvConfig,
}

impl Network for Conv {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2> {
        let mut h = lane.images(chunk);
        for (l, &stride) in self.config.strides.iter().enumerate() {
            let (w, b) = (lane.param(&format!("conv.{l}.w")), lane.param(&format!("conv.{l}.b")));
            h = h.conv2d_relu(&w, Some(&b), stride, self.config.padding());
        }
        let [n, c, height, width] = h.dims();
        let features = if self.config.hidden == 0 {
            taps.pass("pooled", h.global_mean_pool())
        } else {
            let flat = h.reshape([n, c * height * width]);
            let (w, b) = (lane.param("hidden.w"), lane.param("hidden.b"));
            taps.pass("hidden.post", flat.linear_relu(&w, Some(&b)))
        };
        features.linear(&lane.param("out.w"), Some(&lane.param("out.b")))
    }

    /// None with global average pooling.
    fn stages(&self) -> Option<Vec<Stage>> {
        if self.config.hidden == 0 {
            return None;
        }
        let strides = self.config.strides.iter().enumerate();
        let conv = strides.flat_map(|(l, &stride)| {
            [Stage::conv(&format!("conv.{l}"), stride, self.config.padding()), Stage::Relu]
        });
        let dense = [Stage::dense("hidden"), Stage::Relu, Stage::dense("out")];
        Some(conv.chain(dense).collect())
    }
}
