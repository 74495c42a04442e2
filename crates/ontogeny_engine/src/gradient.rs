//! Gradients by micro-batch lanes.
//!
//! The batch is cut into chunks of a fixed size; chunk `c` belongs to lane `c mod L`; each lane runs forward
//! AND backward chunk by chunk, so that its tensors stay in cache, adding gradients in order into its own
//! sums; the lanes' sums are added in lane order. The number of threads decides who computes a lane, never
//! what is added to what: the result has the same bits for any number of threads. Lanes and chunk size do
//! decide the order of additions, so they are part of a run's identity.

use std::{collections::BTreeMap, rc::Rc};

use serde::{Deserialize, Serialize};

use crate::{
    Batch, Chunk, Engine, EngineError, Lane, Layout, Network, Outputs, Table, Taps, UNREAD, Var,
    host::{Real, Sums, simd},
    lane::{Home, HostLane},
    stash::Stashed,
    var::{Repr, dispatch},
};

/// How a batch is cut. Part of a run's identity: it fixes the order of floating-point additions.
///
/// Small models want few, large chunks (one per lane, at least as many lanes as there will ever be threads);
/// chunks are made smaller when a chunk's activations outgrow the last-level cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlan {
    /// Sequences of chunks that may run at once; at most this many threads are of use.
    pub lanes: usize,
    /// Examples per chunk.
    pub chunk_examples: usize,
}

/// What is minimised. Losses are means over the readouts that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cross entropy in nats, computed in `f64`.
    CrossEntropy,
    /// Squared error to the one-hot answer, mean over classes.
    Mse,
}

impl Objective {
    /// The summed loss of a chunk.
    pub(crate) fn loss(self, logits: &Var<2>, targets: &[u32]) -> Var<1> {
        match self {
            Self::CrossEntropy => logits.cross_entropy(targets),
            Self::Mse => logits.mse_one_hot(targets),
        }
    }
}

/// A loss and its gradient. `T` is `f32` in training and `f64` in measurements of curvature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradient<T = f32> {
    /// Mean loss over the readouts that are read.
    pub loss: f64,
    /// Readouts whose largest logit is the target's.
    pub n_correct: usize,
    /// Readouts in the batch, those with the target [`UNREAD`](crate::UNREAD) left out.
    pub n_readouts: usize,
    /// Gradient of the mean loss, flat as the layout says.
    pub grad: Vec<T>,
}

impl Engine {
    /// The loss over a batch and its gradient with respect to the parameters.
    ///
    /// Determinism: a function of its arguments; the number of threads does not matter.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    ///
    /// # Panics
    /// If the network makes a mistake with shapes or names, reads out a number of rows that is not that of the
    /// targets, or keeps a parameter's tensor beyond its forward pass.
    pub fn gradient(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
    ) -> Result<Gradient, EngineError> {
        let mut out = Gradient::default();
        self.gradient_into(net, params, batch, plan, objective, &mut out)?;
        Ok(out)
    }

    /// [`gradient`](Self::gradient) into memory that exists already: training steps reuse one.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    pub fn gradient_into(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
        out: &mut Gradient,
    ) -> Result<(), EngineError> {
        let pass = forward(net, objective);
        self.checked_gradient(net, params, batch, plan, &pass, Home::F32, None, out).map(drop)
    }

    /// [`gradient_into`](Self::gradient_into) that also hands out what its forward pass computed: logits and
    /// named activations, rows in the order of the batch. The gradient has the same bits as without.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    #[expect(clippy::too_many_arguments, reason = "those of `gradient_into`, and the taps")]
    pub fn gradient_and_outputs(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
        taps: &[&str],
        out: &mut Gradient,
    ) -> Result<Outputs, EngineError> {
        #[cfg(feature = "composite")]
        if self.device.is_some() {
            self.gradient_into(net, params, batch, plan, objective, out)?;
            return self.outputs(net, params, batch, plan, taps);
        }
        let pass = forward(net, objective);
        let seen =
            self.checked_gradient(net, params, batch, plan, &pass, Home::F32, Some(taps), out)?;
        Ok(seen.outputs)
    }

    /// [`gradient`](Self::gradient) with every operation in `f64`.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    pub fn gradient_f64(
        &self,
        net: &dyn Network,
        params: &[f64],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
    ) -> Result<Gradient<f64>, EngineError> {
        let (mut out, pass) = (Gradient::default(), forward(net, objective));
        self.checked_gradient(net, params, batch, plan, &pass, Home::F64, None, &mut out)?;
        Ok(out)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the public arguments and where to put the result"
    )]
    pub(crate) fn checked_gradient<S: Stashed>(
        &self,
        net: &dyn Network,
        params: &[S],
        batch: &Batch,
        plan: LanePlan,
        pass: &dyn ForwardPass,
        home: fn(HostLane<S>) -> Home,
        taps: Option<&[&str]>,
        out: &mut Gradient<S>,
    ) -> Result<Report, EngineError> {
        Self::check(net, params.len(), batch, plan)?;
        let n_readouts = batch.n_read();
        if n_readouts == 0 {
            return Err(EngineError::NoTargets);
        }
        #[cfg(feature = "composite")]
        if let Some(device) = &self.device {
            let tally = crate::composite::gradient(device, net, params, batch, plan, pass, out)?;
            return Ok(Report { tally, outputs: Outputs::default() });
        }
        let (n, layout, stash) = (batch.n_examples(), net.layout(), S::stash(self));
        let step = stash.params(params);
        let magnitudes = pass.bounds().then(|| stash.magnitudes(params));
        let mut lanes = self.workers.run(plan.lanes.min(n.div_ceil(plan.chunk_examples)), |l| {
            let sums = Rc::new(stash.sums(layout));
            let (mut loss, mut n_correct, mut seen) = (0.0, 0, Vec::new());
            let mut tally = Tally::default();
            let starts = (l * plan.chunk_examples..n).step_by(plan.lanes * plan.chunk_examples);
            for start in starts {
                let chunk = batch.slice(start..(start + plan.chunk_examples).min(n));
                let host = HostLane::new(layout, &step, Some(&sums), false)
                    .with_magnitudes(magnitudes.as_ref());
                let lane = Lane::new(layout, home(host));
                let mut wanted = taps.map_or_else(Taps::none, Taps::wanting);
                let Passed { logits, loss: of_chunk, tally: more } =
                    pass.run(&lane, &chunk, &mut wanted);
                if taps.is_some() {
                    seen.push((start, logits.to_table(), wanted.into_tables()));
                }
                n_correct += correct(&logits, chunk.targets);
                loss += backward(&of_chunk);
                tally.add(more);
            }
            let Some(sums) = Rc::into_inner(sums) else {
                panic!("{net:?} kept a parameter's tensor beyond its forward pass");
            };
            LaneSum { loss, n_correct, tally, sums, seen }
        });
        stash.put_params(step);
        if let Some(magnitudes) = magnitudes {
            stash.put_params(magnitudes);
        }
        let mut tally = Tally::default();
        for lane in &lanes {
            tally.add(lane.tally);
        }
        out.loss = lanes.iter().map(|l| l.loss).sum::<f64>() / n_readouts as f64;
        out.n_correct = lanes.iter().map(|l| l.n_correct).sum();
        out.n_readouts = n_readouts;
        out.grad.resize(layout.len(), S::ZERO);
        let mut seen: Vec<Seen> = lanes.iter_mut().flat_map(|l| l.seen.drain(..)).collect();
        seen.sort_by_key(|s| s.0);
        let outputs = Outputs::of_chunks(seen.into_iter().map(|(_, logits, taps)| (logits, taps)));
        let mut sums: Vec<&mut Sums<S>> = lanes.iter_mut().map(|l| &mut l.sums).collect();
        self.reduce(layout, &mut sums, 1.0 / n_readouts as f64, &mut out.grad);
        for lane in lanes {
            stash.put_sums(lane.sums);
        }
        Ok(Report { tally, outputs })
    }

    /// `out = scale * (lanes[0] + lanes[1] + ...)`, added in that order.
    fn reduce<S: Real>(
        &self,
        layout: &Layout,
        lanes: &mut [&mut Sums<S>],
        scale: f64,
        out: &mut [S],
    ) {
        const BLOCK: usize = 1 << 14;
        let mut pieces = Vec::new();
        let mut rest = out;
        let mut parts: Vec<Vec<Option<&[S]>>> = Vec::new();
        for lane in lanes {
            parts.push(lane.parts().collect());
        }
        for (i, spec) in layout.specs().iter().enumerate() {
            let (param, others) = rest.split_at_mut(spec.len());
            rest = others;
            for (b, piece) in param.chunks_mut(BLOCK).enumerate() {
                pieces.push((piece, i, b * BLOCK));
            }
        }
        let scale = S::of(scale);
        self.workers.for_each(pieces, layout.len(), |(piece, i, at)| {
            let mut found = parts.iter().filter_map(|lane| lane[i]);
            let Some(first) = found.next() else { return piece.fill(S::ZERO) };
            let second = found.next();
            let cut = |part: &[S]| at..(at + piece.len()).min(part.len());
            match second {
                None => simd::put_scaled(piece, &first[cut(first)], scale, false),
                Some(second) => {
                    let range = cut(first);
                    simd::sum_into(piece, &first[range.clone()], &second[range.clone()]);
                    for part in found {
                        simd::add(piece, &part[range.clone()]);
                    }
                    simd::scale(piece, scale);
                }
            }
        });
    }
}

/// How a chunk becomes logits and a summed loss.
pub(crate) trait ForwardPass: Sync {
    fn run(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Passed;

    /// Whether it asks for the absolute values of parameters.
    fn bounds(&self) -> bool {
        false
    }
}

/// What a forward pass over a chunk says.
pub(crate) struct Passed {
    pub(crate) logits: Var<2>,
    /// Summed over readouts.
    pub(crate) loss: Var<1>,
    pub(crate) tally: Tally,
}

/// Sums of a forward pass beside its loss.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) natural: f64,
    pub(crate) certified: f64,
    pub(crate) regularizer: f64,
    pub(crate) n_certified: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, more: Self) {
        self.natural += more.natural;
        self.certified += more.certified;
        self.regularizer += more.regularizer;
        self.n_certified += more.n_certified;
    }
}

/// What came with a gradient.
pub(crate) struct Report {
    pub(crate) tally: Tally,
    pub(crate) outputs: Outputs,
}

/// The network's own forward pass.
struct Forward<'a> {
    net: &'a dyn Network,
    objective: Objective,
}

fn forward(net: &dyn Network, objective: Objective) -> Forward<'_> {
    Forward { net, objective }
}

impl ForwardPass for Forward<'_> {
    fn run(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Passed {
        let logits = self.net.forward(lane, chunk, taps);
        let loss = self.objective.loss(&logits, chunk.targets);
        Passed { logits, loss, tally: Tally::default() }
    }
}

struct LaneSum<S> {
    loss: f64,
    n_correct: usize,
    tally: Tally,
    sums: Sums<S>,
    seen: Vec<Seen>,
}

/// What a chunk's forward pass showed, and where in the batch the chunk begins.
type Seen = (usize, Table, BTreeMap<String, Table>);

/// Runs the backward pass and returns the loss.
pub(crate) fn backward(loss: &Var<1>) -> f64 {
    match &loss.repr {
        Repr::F32(x) => {
            x.backward();
            x.exact().unwrap_or_else(|| f64::from(x.value()[0]))
        }
        Repr::F64(x) => {
            x.backward();
            x.exact().unwrap_or_else(|| x.value()[0])
        }
        #[cfg(feature = "composite")]
        Repr::Burn(_) => loss.to_vec()[0],
    }
}

/// Rows whose largest entry stands at the target; the first of equals counts.
pub(crate) fn correct(logits: &Var<2>, targets: &[u32]) -> usize {
    fn count<S: Real>(x: &[S], targets: &[u32]) -> usize {
        let classes = x.len() / targets.len().max(1);
        let rows = x.chunks_exact(classes.max(1)).zip(targets);
        rows.filter(|(_, t)| **t != UNREAD)
            .filter(|(row, t)| {
                let (before, from) = row.split_at(**t as usize);
                before.iter().all(|v| *v < from[0]) && from.iter().all(|v| *v <= from[0])
            })
            .count()
    }
    dispatch!(logits,
        x => count(x.value(), targets),
        x => count(&crate::var::values(x.clone()), targets))
}
