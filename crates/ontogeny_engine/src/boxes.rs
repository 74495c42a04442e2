//! Forward passes that carry a box around every input.

use crate::{
    Batch, Certified, Chunk, EngineError, InputsView, Lane, Network, Stage, Taps, UNREAD, Var,
    gradient::{ForwardPass, Passed, Tally},
    ops::{Blocks, Part},
};

/// A forward pass that carries a box around every input.
pub(crate) struct Boxes<'a> {
    stages: Vec<Stage>,
    centers: Option<&'a [f32]>,
    certified: &'a Certified,
}

impl<'a> Boxes<'a> {
    pub(crate) fn checked(
        net: &dyn Network,
        batch: &Batch,
        centers: Option<&'a [f32]>,
        certified: &'a Certified,
    ) -> Result<Self, EngineError> {
        certified.check()?;
        let none =
            || EngineError::NoBounds { network: format!("{net:?}").chars().take(40).collect() };
        let stages = net.stages().ok_or_else(none)?;
        let Some(Stage::Dense { .. }) = stages.last() else { return Err(none()) };
        let (n_examples, n_targets) = (batch.n_examples(), batch.targets.len());
        if n_targets != n_examples {
            return Err(EngineError::OneTargetEach { n_examples, n_targets });
        }
        let (view, per) = (batch.inputs.view(), batch.inputs.view().per_example());
        let (InputsView::Features { values, .. } | InputsView::Images { values, .. }) = view else {
            return Err(EngineError::TokensHaveNoGradient);
        };
        if let Some(found) = centers.map(<[f32]>::len).filter(|&found| found != values.len()) {
            return Err(EngineError::Centers { expected: values.len(), found });
        }
        if let Some([low, high]) = certified.range {
            // A number that is no number is left to the loss, which becomes none, too.
            let outside = |v: &f32| f64::from(*v) < low || f64::from(*v) > high;
            for values in [Some(values), centers].into_iter().flatten() {
                if let Some(i) = values.iter().position(outside) {
                    let (value, example) = (values[i], i / per.max(1));
                    return Err(EngineError::InputOutside { value, example, low, high });
                }
            }
        }
        Ok(Self { stages, centers, certified })
    }

    /// Inputs, centres and radii of a chunk: `[3 n, scalars per example]`.
    fn input(&self, lane: &Lane<'_>, chunk: &Chunk<'_>) -> Var<2> {
        let (n, per) = (chunk.n_examples(), chunk.inputs.per_example());
        let (InputsView::Features { values, .. } | InputsView::Images { values, .. }) =
            chunk.inputs
        else {
            panic!("boxes are around numbers, but the batch holds tokens");
        };
        let around = self.centers.map_or(values, |c| &c[chunk.range.start * per..][..n * per]);
        let eps = self.certified.eps;
        let [low, high] = self.certified.range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
        let ends = |v: f32| ((f64::from(v) - eps).max(low), (f64::from(v) + eps).min(high));
        let centers = around.iter().map(|&v| ends(v)).map(|(l, u)| 0.5 * (l + u));
        let radii = around.iter().map(|&v| ends(v)).map(|(l, u)| 0.5 * (u - l));
        let natural = values.iter().map(|&v| f64::from(v));
        lane.wide_constant(natural.chain(centers).chain(radii), [3 * n, per])
    }

    /// Natural logits and bounds of a chunk.
    pub(crate) fn pass(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, blocks: Blocks) -> Bounded {
        let input = self.input(lane, chunk);
        // Bounds before each ReLU are kept only if somebody reads them: the fused operations are faster.
        let keeps = self.certified.crown > 0.0 || self.certified.is_regularized();
        let layers = self.hidden(lane, chunk, &input, blocks, keeps);
        let Some(Stage::Dense { weight, bias }) = self.stages.last() else {
            panic!("a chain that is bounded ends with an affine map of rows");
        };
        let (w, n) = (lane.param::<2>(weight), blocks.n);
        let b = bias.as_ref().map(|b| lane.param(b));
        let out = layers.last.margins(&w, b.as_ref(), chunk.targets, blocks);
        let logits = out.slice_rows(0..n);
        let mut bounds = out.slice_rows(n..2 * n);
        let share = self.certified.crown;
        if share > 0.0 {
            let linear = self.linear_bounds(lane, chunk, &input, &layers, blocks).mul_scalar(share);
            bounds = if share < 1.0 { linear.add(&bounds.mul_scalar(1.0 - share)) } else { linear };
        }
        Bounded { logits, bounds, before_relu: layers.before_relu, input }
    }

    /// The values and bounds of every layer, `[x; c; r]`.
    fn hidden(
        &self,
        lane: &Lane<'_>,
        chunk: &Chunk<'_>,
        input: &Var<2>,
        blocks: Blocks,
        keeps: bool,
    ) -> Layers {
        let mut h = input.clone();
        let mut image = image(chunk);
        let (mut before_relu, mut images) = (Vec::new(), Vec::new());
        let last = self.stages.len() - 1;
        let mut is_done = false;
        for (i, stage) in self.stages[..last].iter().enumerate() {
            images.push(image);
            let with_relu = !keeps && self.stages[i + 1] == Stage::Relu;
            if *stage == Stage::Relu {
                if !is_done {
                    before_relu.push(h.clone());
                    h = h.bounded_relu(blocks);
                }
            } else {
                h = affine(lane, stage, &h, &mut image, blocks, with_relu);
            }
            is_done = with_relu;
        }
        Layers { last: h, before_relu, images }
    }

    /// The input and the output of every affine layer, `[x; c; r]` each.
    pub(crate) fn affine_outputs(
        &self,
        lane: &Lane<'_>,
        chunk: &Chunk<'_>,
        blocks: Blocks,
    ) -> Vec<Var<2>> {
        let mut h = self.input(lane, chunk);
        let (mut image, mut out) = (image(chunk), vec![h.clone()]);
        for stage in &self.stages {
            if *stage == Stage::Relu {
                h = h.bounded_relu(blocks);
            } else {
                h = affine(lane, stage, &h, &mut image, blocks, false);
                out.push(h.clone());
            }
        }
        out
    }

    pub(crate) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Upper bounds of `z_j - z_y`, `[n, n_classes]`, by lines through every layer.
    fn linear_bounds(
        &self,
        lane: &Lane<'_>,
        chunk: &Chunk<'_>,
        input: &Var<2>,
        layers: &Layers,
        blocks: Blocks,
    ) -> Var<2> {
        let Some((Stage::Dense { weight, bias }, stages)) = self.stages.split_last() else {
            panic!("a chain that is bounded ends with an affine map of rows");
        };
        let w = lane.param::<2>(weight);
        let k = w.dims()[1];
        let rows = k * blocks.n;
        let mut a = w.differences(chunk.targets);
        let column = |b: &String| {
            let b = lane.param::<1>(b);
            let n = b.dims()[0];
            (b, n)
        };
        let mut constant = bias.as_ref().map(|b| {
            let (b, n) = column(b);
            b.reshape([1, n]).differences(chunk.targets)
        });
        let mut add = |more: Var<2>| {
            constant = Some(constant.take().map_or(more.clone(), |c| c.add(&more)));
        };
        let mut before_relu = layers.before_relu.iter().rev();
        for (i, stage) in stages.iter().enumerate().rev() {
            a = match stage {
                Stage::Relu => {
                    let Some(pre) = before_relu.next() else {
                        panic!("lines through a ReLU need the bounds before it");
                    };
                    add(a.relaxed(pre, k, blocks, Part::Intercept));
                    a.relaxed(pre, k, blocks, Part::Slopes)
                }
                Stage::Dense { weight, bias } => {
                    if let Some(b) = bias {
                        let (b, n) = column(b);
                        add(a.linear(&b.reshape([n, 1]), None));
                    }
                    a.matmul_transposed(&lane.param(weight))
                }
                Stage::Conv { weight, bias, stride, padding } => {
                    let (w, image) = (lane.param::<4>(weight), sides(layers.images[i], weight));
                    let ([c_out, _, kh, kw], [c_in, h, width]) = (w.dims(), image);
                    let side = |n: usize, k: usize| (n + 2 * padding - k) / stride + 1;
                    let (oh, ow) = (side(h, kh), side(width, kw));
                    if let Some(b) = bias {
                        let (b, n) = column(b);
                        let ones = lane.constant(&vec![1.0; oh * ow], [oh * ow, 1]);
                        let sums = a.reshape([rows * c_out, oh * ow]).linear(&ones, None);
                        add(sums.reshape([rows, c_out]).linear(&b.reshape([n, 1]), None));
                    }
                    let a = a.reshape([rows, c_out, oh, ow]);
                    a.conv_transpose2d(&w, image, *stride, *padding)
                        .reshape([rows, c_in * h * width])
                }
            };
        }
        add(a.concretized(input, k, blocks));
        let Some(least) = constant else { panic!("a chain has an input") };
        least.mul_scalar(-1.0).reshape([blocks.n, k])
    }

    /// The weighted regularizers of a chunk, times its examples: losses are sums here.
    fn regularizer(&self, bounded: &Bounded, n: usize, blocks: Blocks) -> Option<Var<1>> {
        let Certified { tightness, balance, tau, .. } = *self.certified;
        let each = n as f64 / bounded.before_relu.len().max(1) as f64;
        let input = bounded.input.to_vec();
        let radii = &input[input.len() / 3 * 2..];
        let r_0 = radii.iter().sum::<f64>() / radii.len() as f64;
        let loose = |pre: &Var<2>| pre.looseness(r_0, tau, blocks).mul_scalar(tightness * each);
        let uneven = |pre: &Var<2>| pre.imbalance(tau, blocks).mul_scalar(balance * each);
        let layers = &bounded.before_relu;
        let terms = layers.iter().filter(|_| tightness > 0.0).map(loose);
        terms
            .chain(layers.iter().filter(|_| balance > 0.0).map(uneven))
            .reduce(|sum, term| sum.add(&term))
    }
}

/// What a pass over a chunk bounds.
pub(crate) struct Bounded {
    /// `[n, n_classes]`.
    pub(crate) logits: Var<2>,
    /// Upper bounds of `z_j - z_y`, `[n, n_classes]`, 0 at `j = y`.
    pub(crate) bounds: Var<2>,
    /// `[x; c; r]` before each ReLU, if kept.
    before_relu: Vec<Var<2>>,
    /// `[x; c; r]`.
    input: Var<2>,
}

/// The hidden layers of a pass.
struct Layers {
    /// The last affine map's input.
    last: Var<2>,
    /// The inputs of the ReLUs, if kept.
    before_relu: Vec<Var<2>>,
    /// The image that each stage reads, if it is one.
    images: Vec<Option<[usize; 3]>>,
}

fn image(chunk: &Chunk<'_>) -> Option<[usize; 3]> {
    match chunk.inputs {
        InputsView::Images { shape, .. } => Some(shape),
        _ => None,
    }
}

/// `[x; c; r]` through an affine stage, and through ReLU if asked. `image` becomes the image behind it.
fn affine(
    lane: &Lane<'_>,
    stage: &Stage,
    h: &Var<2>,
    image: &mut Option<[usize; 3]>,
    blocks: Blocks,
    with_relu: bool,
) -> Var<2> {
    match stage {
        Stage::Relu => panic!("a ReLU is not affine"),
        Stage::Dense { weight, bias } => {
            *image = None;
            let b = bias.as_ref().map(|b| lane.param(b));
            let (w, m) = (lane.param(weight), lane.magnitude(weight));
            h.bounded_linear(&w, &m, b.as_ref(), blocks, with_relu)
        }
        Stage::Conv { weight, bias, stride, padding } => {
            let [c, height, width] = sides(*image, weight);
            let b = bias.as_ref().map(|b| lane.param(b));
            let (w, m) = (lane.param(weight), lane.magnitude(weight));
            let h = h.reshape([3 * blocks.n, c, height, width]);
            let y = h.bounded_conv2d(&w, &m, b.as_ref(), *stride, *padding, blocks, with_relu);
            let [rows, c, height, width] = y.dims();
            *image = Some([c, height, width]);
            y.reshape([rows, c * height * width])
        }
    }
}

fn sides(image: Option<[usize; 3]>, weight: &str) -> [usize; 3] {
    let Some(image) = image else {
        panic!("the convolution {weight} comes after its image was flattened");
    };
    image
}

impl ForwardPass for Boxes<'_> {
    fn run(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Passed {
        let (n, kappa) = (chunk.n_examples(), self.certified.kappa);
        let blocks = Blocks { n, natural_is_tracked: kappa > 0.0 };
        let bounded = self.pass(lane, chunk, blocks);
        let natural = bounded.logits.cross_entropy(chunk.targets);
        let certified = bounded.bounds.cross_entropy(chunk.targets);
        let mut tally = Tally {
            natural: natural.to_vec()[0],
            certified: certified.to_vec()[0],
            regularizer: 0.0,
            n_certified: n_certified(&bounded.bounds, chunk.targets),
        };
        let mut loss = certified.mul_scalar(1.0 - kappa);
        if kappa > 0.0 {
            loss = loss.add(&natural.mul_scalar(kappa));
        }
        if self.certified.is_regularized()
            && let Some(more) = self.regularizer(&bounded, n, blocks)
        {
            tally.regularizer = more.to_vec()[0];
            loss = loss.add(&more);
        }
        Passed { logits: bounded.logits, loss, tally }
    }

    fn bounds(&self) -> bool {
        true
    }
}

/// Rows all of whose bounds are negative, but for the target's own 0.
fn n_certified(bounds: &Var<2>, targets: &[u32]) -> usize {
    let [_, classes] = bounds.dims();
    let values = bounds.to_vec();
    let rows = values.chunks_exact(classes).zip(targets).filter(|(_, t)| **t != UNREAD);
    rows.filter(|(row, t)| {
        row.iter().enumerate().all(|(j, bound)| j == **t as usize || *bound < 0.0)
    })
    .count()
}
