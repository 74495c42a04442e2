//! Training with certificates: losses over boxes of inputs.
//!
//! `kappa CE(z) + (1 - kappa) CE(-m, m_y = 0)`, where `m_j` is a lower bound of `z_y - z_j` over the box
//! `|x' - x| <= eps`, cut to the range of inputs (Gowal et al. 2018, arXiv:1810.12715). Bounds are computed in the
//! precision of training and rounded to nearest: they are signals, and no proofs.

use crate::{
    Batch, Chunk, Engine, EngineError, Gradient, InputsView, Lane, LanePlan, Network, Objective,
    Stage, Table, Taps, UNREAD, Var,
    gradient::{ForwardPass, Passed, Report, Tally},
    lane::Home,
    ops::Blocks,
    outputs::{Wants, joined},
};

/// The numbers of a certified objective at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certified {
    /// Half the side of the box around an input, in units of inputs. 0 is natural training.
    pub eps: f64,
    /// Weight of the natural loss, in [0, 1]; 1 is natural training.
    pub kappa: f64,
    /// The least and the largest value that an input can take; boxes are cut to it.
    pub range: Option<[f64; 2]>,
}

/// The parts of a certified loss, means over the readouts that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CertifiedLoss {
    /// Cross entropy of the logits, nats.
    pub natural: f64,
    /// Cross entropy of the bounds of the margins, nats; the natural one where no bound was computed.
    pub certified: f64,
    /// Share of readouts whose margins all have a positive lower bound; none where no bound was computed.
    pub certified_ratio: Option<f64>,
}

impl Certified {
    /// Whether no bound is needed: the loss is the natural one.
    pub fn is_natural(&self) -> bool {
        self.eps == 0.0 || self.kappa >= 1.0
    }

    fn check(&self) -> Result<(), EngineError> {
        let out = |name, value, allowed| Err(EngineError::OutOfRange { name, value, allowed });
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return out("eps", self.eps, "[0, ∞)");
        }
        if !(0.0..=1.0).contains(&self.kappa) {
            return out("kappa", self.kappa, "[0, 1]");
        }
        match self.range {
            Some([low, high]) if !(low.is_finite() && high.is_finite() && low < high) => {
                out("range", high - low, "two finite numbers, the first below the second")
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// The certified loss over a batch and its gradient with respect to the parameters.
    ///
    /// `centers`, as many numbers as the inputs, are the middles of the boxes if those are not the inputs
    /// themselves. Where [`Certified::is_natural`], this is
    /// [`gradient_into`](Self::gradient_into) of [`Objective::CrossEntropy`], bit for bit.
    ///
    /// `out.n_correct` counts natural logits.
    ///
    /// Determinism: a function of its arguments; the number of threads does not matter.
    ///
    /// # Errors
    /// [`EngineError::NoBounds`] for a network without [`stages`](Network::stages),
    /// [`EngineError::OutOfRange`] for numbers of the objective, [`EngineError::InputOutside`] for an input that lies
    /// outside the range, [`EngineError::OneTargetEach`], and whatever `gradient_into` refuses.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of `gradient_into`, and the middles of the boxes"
    )]
    pub fn certified_gradient_into(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        centers: Option<&[f32]>,
        plan: LanePlan,
        certified: &Certified,
        out: &mut Gradient,
    ) -> Result<CertifiedLoss, EngineError> {
        let boxes = Boxes::checked(net, batch, centers, certified)?;
        if certified.is_natural() {
            self.gradient_into(net, params, batch, plan, Objective::CrossEntropy, out)?;
            return Ok(CertifiedLoss::natural(out.loss));
        }
        let Report { tally, .. } =
            self.checked_gradient(net, params, batch, plan, &boxes, Home::F32, None, out)?;
        Ok(CertifiedLoss::of(tally, out.n_readouts))
    }

    /// [`certified_gradient_into`](Self::certified_gradient_into) with every operation in `f64`.
    ///
    /// # Errors
    /// As there.
    pub fn certified_gradient_f64(
        &self,
        net: &dyn Network,
        params: &[f64],
        batch: &Batch,
        centers: Option<&[f32]>,
        plan: LanePlan,
        certified: &Certified,
    ) -> Result<(Gradient<f64>, CertifiedLoss), EngineError> {
        let boxes = Boxes::checked(net, batch, centers, certified)?;
        if certified.is_natural() {
            let g = self.gradient_f64(net, params, batch, plan, Objective::CrossEntropy)?;
            let loss = CertifiedLoss::natural(g.loss);
            return Ok((g, loss));
        }
        let mut out = Gradient::default();
        let Report { tally, .. } =
            self.checked_gradient(net, params, batch, plan, &boxes, Home::F64, None, &mut out)?;
        let loss = CertifiedLoss::of(tally, out.n_readouts);
        Ok((out, loss))
    }
}

impl Engine {
    /// Lower bounds `m_j` of the margins `z_y - z_j` over every example's box, `[n_examples, n_classes]`, 0 at
    /// `j = y`. An example is certified, up to rounding in `f32`, where all others are positive.
    /// [`Certified::kappa`] does not matter.
    ///
    /// # Errors
    /// As [`certified_gradient_into`](Self::certified_gradient_into).
    pub fn bounded_margins(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        certified: &Certified,
    ) -> Result<Table, EngineError> {
        let boxes = Boxes::checked(net, batch, None, certified)?;
        let tables = self.chunks(net, params, batch, plan, Wants::Bounds, |lane, chunk| {
            let n = chunk.n_examples();
            let out = boxes.margins(lane, chunk, Blocks { n, natural_is_tracked: false });
            let mut table = out.slice_rows(n..2 * n).to_table();
            // 0 - 0 is 0, and not -0.
            table.values.iter_mut().for_each(|v| *v = 0.0 - *v);
            table
        })?;
        Ok(joined(tables))
    }
}

impl CertifiedLoss {
    fn natural(loss: f64) -> Self {
        Self { natural: loss, certified: loss, certified_ratio: None }
    }

    fn of(tally: Tally, n_readouts: usize) -> Self {
        let n = n_readouts as f64;
        Self {
            natural: tally.natural / n,
            certified: tally.certified / n,
            certified_ratio: Some(tally.n_certified as f64 / n),
        }
    }
}

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
        let mut rows = Vec::with_capacity(3 * n * per);
        rows.extend(values.iter().map(|&v| f64::from(v)));
        let ends = |v: f32| ((f64::from(v) - eps).max(low), (f64::from(v) + eps).min(high));
        rows.extend(around.iter().map(|&v| ends(v)).map(|(l, u)| 0.5 * (l + u)));
        rows.extend(around.iter().map(|&v| ends(v)).map(|(l, u)| 0.5 * (u - l)));
        lane.wide_constant(&rows, [3 * n, per])
    }

    /// `[z; -m]` of a chunk.
    fn margins(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, blocks: Blocks) -> Var<2> {
        let mut h = self.input(lane, chunk);
        let mut image = match chunk.inputs {
            InputsView::Images { shape, .. } => Some(shape),
            _ => None,
        };
        let bias = |b: &Option<String>| b.as_ref().map(|b| lane.param::<1>(b));
        let last = self.stages.len() - 1;
        let mut i = 0;
        while i < last {
            let with_relu = self.stages[i + 1] == Stage::Relu;
            h = match &self.stages[i] {
                Stage::Relu => h.bounded_relu(blocks),
                Stage::Dense { weight, bias: b } => {
                    image = None;
                    let (w, b) = (lane.param(weight), bias(b));
                    h.bounded_linear(&w, &lane.magnitude(weight), b.as_ref(), blocks, with_relu)
                }
                Stage::Conv { weight, bias: b, stride, padding } => {
                    let Some([c, height, width]) = image else {
                        panic!("a convolution of {weight} comes after the image was flattened");
                    };
                    let (w, b) = (lane.param(weight), bias(b));
                    let (m, rows) = (lane.magnitude(weight), 3 * blocks.n);
                    let h = h.reshape([rows, c, height, width]);
                    let y =
                        h.bounded_conv2d(&w, &m, b.as_ref(), *stride, *padding, blocks, with_relu);
                    let [_, c, height, width] = y.dims();
                    image = Some([c, height, width]);
                    y.reshape([rows, c * height * width])
                }
            };
            let is_fused = with_relu && self.stages[i] != Stage::Relu;
            i += if is_fused { 2 } else { 1 };
        }
        let Stage::Dense { weight, bias: b } = &self.stages[last] else {
            panic!("a chain that is bounded ends with an affine map of rows");
        };
        h.margins(&lane.param(weight), bias(b).as_ref(), chunk.targets, blocks)
    }
}

impl ForwardPass for Boxes<'_> {
    fn run(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Passed {
        let (n, kappa) = (chunk.n_examples(), self.certified.kappa);
        let blocks = Blocks { n, natural_is_tracked: kappa > 0.0 };
        let out = self.margins(lane, chunk, blocks);
        let (logits, bounds) = (out.slice_rows(0..n), out.slice_rows(n..2 * n));
        let natural = logits.cross_entropy(chunk.targets);
        let certified = bounds.cross_entropy(chunk.targets);
        let tally = Tally {
            natural: natural.to_vec()[0],
            certified: certified.to_vec()[0],
            regularizer: 0.0,
            n_certified: n_certified(&bounds, chunk.targets),
        };
        let mut loss = certified.mul_scalar(1.0 - kappa);
        if kappa > 0.0 {
            loss = loss.add(&natural.mul_scalar(kappa));
        }
        Passed { logits, loss, tally }
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
