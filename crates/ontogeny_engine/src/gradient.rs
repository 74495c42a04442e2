//! Gradients and outputs by micro-batch lanes.
//!
//! The batch is cut into chunks of a fixed size; chunk `c` belongs to lane `c mod L`; each lane runs forward
//! AND backward chunk by chunk, so that its tensors stay in cache, adding gradients in order into its own
//! flat buffer; the lanes' sums are added in lane order. The number of threads decides who computes a lane,
//! never what is added to what: the result has the same bits for any number of threads. Lanes and chunk
//! size do decide the order of additions, so they are part of a run's identity.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{
    Batch, Chunk, Engine, EngineError, Lane, Network, Table, Taps, Var, lane::StepParams,
    var::values,
};

/// How a batch is cut. Part of a run's identity: it fixes the order of floating-point additions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlan {
    /// Sequences of chunks that may run at once; at most this many threads are of use.
    pub lanes: usize,
    /// Examples per chunk; best where a chunk's activations fit the second-level cache.
    pub chunk_examples: usize,
}

/// What is minimised. Losses are means over readouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cross entropy in nats, computed in `f64`.
    CrossEntropy,
    /// Squared error to the one-hot answer, mean over classes.
    Mse,
}

/// A loss and its gradient. `T` is `f32` in training and `f64` in measurements of curvature.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient<T = f32> {
    /// Mean loss over readouts.
    pub loss: f64,
    /// Readouts whose largest logit is the target's.
    pub n_correct: usize,
    /// Readouts in the batch.
    pub n_readouts: usize,
    /// Gradient of the mean loss, flat as the layout says.
    pub grad: Vec<T>,
}

/// Logits and activations of a forward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// `[n_readouts, n_classes]`.
    pub logits: Table,
    /// The taps that were asked for and that the network offers.
    pub taps: BTreeMap<String, Table>,
}

impl Engine {
    /// The loss over a batch and its gradient with respect to the parameters.
    ///
    /// Determinism: a function of its arguments; the number of threads does not matter.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    pub fn gradient(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
    ) -> Result<Gradient, EngineError> {
        Self::check(net, params.len(), batch, plan)?;
        let step = StepParams::new_f32(net.layout(), params, &self.device);
        let g = self.lanes(net, &step, batch, plan, objective)?;
        let grad = g.grad.into_iter().map(|v| v as f32).collect();
        Ok(Gradient { loss: g.loss, n_correct: g.n_correct, n_readouts: g.n_readouts, grad })
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
        Self::check(net, params.len(), batch, plan)?;
        let step = StepParams::new_f64(net.layout(), params, &self.device);
        self.lanes(net, &step, batch, plan, objective)
    }

    /// Logits and named activations, without a graph.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other.
    pub fn outputs(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        taps: &[&str],
    ) -> Result<Outputs, EngineError> {
        Self::check(net, params.len(), batch, plan)?;
        let step = StepParams::new_f32(net.layout(), params, &self.device);
        let mut out = Outputs { logits: Table::default(), taps: BTreeMap::new() };
        for (logits, tables) in self.chunks(batch, plan, |chunk| {
            let lane = Lane::new(net.layout(), &step, false);
            let mut taps = Taps::wanting(taps);
            let logits = net.forward(&lane, &chunk, &mut taps).to_table();
            (logits, taps.into_tables())
        }) {
            out.logits.append(logits);
            for (name, table) in tables {
                out.taps.entry(name).or_default().append(table);
            }
        }
        Ok(out)
    }

    /// The gradient of every example's own loss (summed over its readouts) with respect to its features or
    /// pixels, `[n_examples, scalars per example]`.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, the batch has no targets or holds tokens.
    pub fn input_gradient(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
    ) -> Result<Table, EngineError> {
        Self::check(net, params.len(), batch, plan)?;
        if batch.targets.is_empty() {
            return Err(EngineError::NoTargets);
        }
        if matches!(batch.inputs, crate::Inputs::Tokens { .. }) {
            return Err(EngineError::TokensHaveNoGradient);
        }
        let step = StepParams::new_f32(net.layout(), params, &self.device);
        let mut out = Table::default();
        for table in self.chunks(batch, plan, |chunk| {
            let lane = Lane::new(net.layout(), &step, false).with_tracked_input();
            let logits = net.forward(&lane, &chunk, &mut Taps::none());
            let loss = objective.loss(&logits, chunk.targets);
            let per = chunk.inputs.per_example();
            let zeros = || vec![0.0; chunk.n_examples() * per];
            let values = match lane.into_leaves().1 {
                Some(input) if loss.tensor.is_tracked() => {
                    let grads = loss.tensor.backward();
                    input.grad(&grads).map_or_else(zeros, f32_values)
                }
                _ => zeros(),
            };
            Table::new(chunk.n_examples(), per, values)
        }) {
            out.append(table);
        }
        Ok(out)
    }

    /// The gradient of the summed loss with respect to named activations (those the network
    /// [passes](Taps::pass)), rows in the order of the batch.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    pub fn activation_gradients(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
        taps: &[&str],
    ) -> Result<BTreeMap<String, Table>, EngineError> {
        Self::check(net, params.len(), batch, plan)?;
        if batch.targets.is_empty() {
            return Err(EngineError::NoTargets);
        }
        let step = StepParams::new_f32(net.layout(), params, &self.device);
        let mut out: BTreeMap<String, Table> = BTreeMap::new();
        for tables in self.chunks(batch, plan, |chunk| {
            let lane = Lane::new(net.layout(), &step, false);
            let mut taps = Taps::wanting_gradients(taps);
            let logits = net.forward(&lane, &chunk, &mut taps);
            let loss = objective.loss(&logits, chunk.targets);
            let watched = taps.into_watched();
            if watched.is_empty() {
                return Vec::new();
            }
            let grads = loss.tensor.backward();
            let table = |(name, leaf): (String, Var<2>)| {
                let [rows, cols] = leaf.dims();
                let grad = leaf.tensor.grad(&grads);
                (name, Table::new(rows, cols, grad.map_or(vec![0.0; rows * cols], f32_values)))
            };
            watched.into_iter().map(table).collect()
        }) {
            for (name, table) in tables {
                out.entry(name).or_default().append(table);
            }
        }
        Ok(out)
    }

    fn lanes(
        &self,
        net: &dyn Network,
        step: &StepParams,
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
    ) -> Result<Gradient<f64>, EngineError> {
        if batch.targets.is_empty() {
            return Err(EngineError::NoTargets);
        }
        let (n, layout) = (batch.n_examples(), net.layout());
        let sums = self.workers.run(plan.lanes, |l| {
            let mut sum = Gradient {
                loss: 0.0,
                n_correct: 0,
                n_readouts: batch.targets.len(),
                grad: vec![0f64; layout.len()],
            };
            let starts = (l * plan.chunk_examples..n).step_by(plan.lanes * plan.chunk_examples);
            for start in starts {
                let chunk = batch.slice(start..(start + plan.chunk_examples).min(n));
                let lane = Lane::new(layout, step, true);
                let logits = net.forward(&lane, &chunk, &mut Taps::none());
                sum.n_correct += n_correct(&logits, chunk.targets);
                let loss = objective.loss(&logits, chunk.targets);
                sum.loss += loss.to_vec()[0];
                let grads = loss.tensor.backward();
                for (i, leaf) in lane.into_leaves().0 {
                    let Some(grad) = leaf.grad(&grads) else { continue };
                    for (s, g) in sum.grad[layout.range(i)].iter_mut().zip(values(grad)) {
                        *s += g;
                    }
                }
            }
            sum
        });
        let mut sums = sums.into_iter();
        let Some(mut total) = sums.next() else { return Err(EngineError::EmptyPlan) };
        for lane in sums {
            total.loss += lane.loss;
            total.n_correct += lane.n_correct;
            for (t, g) in total.grad.iter_mut().zip(lane.grad) {
                *t += g;
            }
        }
        let scale = 1.0 / batch.targets.len() as f64;
        total.loss *= scale;
        for g in &mut total.grad {
            *g *= scale;
        }
        Ok(total)
    }

    /// Applies `f` to every chunk and returns the results in the order of the batch.
    fn chunks<T: Send>(
        &self,
        batch: &Batch,
        plan: LanePlan,
        f: impl Fn(Chunk<'_>) -> T + Sync,
    ) -> Vec<T> {
        let n = batch.n_examples();
        let n_chunks = n.div_ceil(plan.chunk_examples);
        self.workers.run(n_chunks, |c| {
            let start = c * plan.chunk_examples;
            f(batch.slice(start..(start + plan.chunk_examples).min(n)))
        })
    }
}

impl Objective {
    fn loss(self, logits: &Var<2>, targets: &[u32]) -> Var<1> {
        match self {
            Self::CrossEntropy => logits.cross_entropy(targets),
            Self::Mse => logits.mse_one_hot(targets),
        }
    }
}

/// Rows whose largest entry stands at the target; the first of equals counts.
fn n_correct(logits: &Var<2>, targets: &[u32]) -> usize {
    let table = logits.to_table();
    let argmax = |row: &[f32]| {
        let mut best = 0;
        for (i, v) in row.iter().enumerate() {
            if *v > row[best] {
                best = i;
            }
        }
        best
    };
    (targets.iter().enumerate()).filter(|&(i, &t)| argmax(table.row(i)) == t as usize).count()
}

fn f32_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    values(tensor).into_iter().map(|v| v as f32).collect()
}
