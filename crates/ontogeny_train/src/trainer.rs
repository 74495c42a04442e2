//! One optimizer update at a time.

use crate::config::OptimizerName;
use crate::tasks::{Given, Task, TaskShape};
use crate::{Initialization, ObjectiveConfig, RunConfig, TrainError, TrainState};
use ontogeny_core::{Clocks, Schedule, Seeds, Step};
use ontogeny_engine::optim::{Grokfast, Hyper, OptimState, OptimizerKind};
use ontogeny_engine::{Batch, Engine, Gradient, Init, LanePlan, Layout, Network, Outputs};
use std::sync::Arc;

/// Trains one network on one task.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) config: RunConfig,
    pub(crate) engine: Arc<Engine>,
    pub(crate) net: Box<dyn Network>,
    pub(crate) task: Box<dyn Task>,
    shape: TaskShape,
    pub(crate) noise_seed: u64,
    pub(crate) state: TrainState,
    pub(crate) gradient: Gradient,
    /// The gradient of the coming update, if it was made ahead of it.
    pub(crate) ahead: Gradient,
    pub(crate) ahead_of: Option<Step>,
}

/// What one update reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// The step before the update: loss, accuracy and gradient are those of the weights at this step.
    pub at: Step,
    /// Mean loss of the batch, nats for cross entropy.
    pub loss: f64,
    /// Share of the batch answered correctly.
    pub accuracy: f64,
    /// Euclidean norm of the gradient, before clipping.
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Euclidean norm of the change of the weights.
    pub update_norm: f64,
    /// Cosine between this change and the one before it; NaN at the first update.
    pub update_cosine: f64,
}

impl Trainer {
    /// A run at step 0.
    ///
    /// # Errors
    /// If the configuration is out of range or its parts do not fit.
    pub fn new(config: RunConfig, seeds: Seeds, engine: Arc<Engine>) -> Result<Self, TrainError> {
        config.check()?;
        let net = config.model.build(&config.task.shape())?;
        let layout = Arc::clone(net.layout());
        let mut params = layout.init(seeds.init_seed, config.init_scale as f32);
        if let ObjectiveConfig::Certified(c) = &config.objective
            && c.init == Initialization::Ibp
        {
            to_ibp_init(&layout, &mut params, config.init_scale);
        }
        let optim = OptimState::new(kind(&config, Step(0)), layout.len());
        let state = TrainState {
            step: Step(0),
            params,
            optim,
            grokfast: Grokfast::default(),
            group_weights: Vec::new(),
            previous_update: Vec::new(),
            clocks: Clocks::default(),
        };
        Self::from_state(config, seeds, engine, state)
    }

    /// A run that goes on from `state`, be it its own or its parent's.
    ///
    /// # Errors
    /// If the configuration is out of range, or the state belongs to another network or optimizer.
    pub fn from_state(
        config: RunConfig,
        seeds: Seeds,
        engine: Arc<Engine>,
        mut state: TrainState,
    ) -> Result<Self, TrainError> {
        config.check()?;
        let shape = config.task.shape();
        let net = config.model.build(&shape)?;
        let n = net.layout().len();
        if state.params.len() != n {
            let what = format!("it has {} parameters, the network has {n}", state.params.len());
            return Err(TrainError::StateMismatch { what });
        }
        let fresh = OptimState::new(kind(&config, state.step), n);
        if (state.optim.m.len(), state.optim.v.len()) != (fresh.m.len(), fresh.v.len()) {
            if state.optim.t != 0 && !state.optim.m.is_empty() {
                let what = "its optimizer keeps other moments than the configured one".to_owned();
                return Err(TrainError::StateMismatch { what });
            }
            state.optim = fresh;
        }
        let task = config.task.build(seeds.data_seed)?;
        Ok(Self {
            config,
            engine,
            net,
            task,
            shape,
            noise_seed: seeds.noise_seed,
            state,
            gradient: Gradient::default(),
            ahead: Gradient::default(),
            ahead_of: None,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The exact state.
    pub fn state(&self) -> &TrainState {
        &self.state
    }

    /// Adds to the wall clock; training itself never looks at one.
    pub fn add_wall_secs(&mut self, secs: f64) {
        self.state.clocks.wall_secs += secs;
    }

    /// The task.
    pub fn task(&self) -> &dyn Task {
        &*self.task
    }

    /// Names, shapes and offsets of the parameters.
    pub fn layout(&self) -> &Arc<Layout> {
        self.net.layout()
    }

    /// The gradient of the last update, flat; empty before the first.
    pub fn last_gradient(&self) -> &[f32] {
        &self.gradient.grad
    }

    /// Makes one update.
    ///
    /// Determinism: a function of configuration, seeds and state; the number of threads does not matter.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if loss or gradient is not finite: the state is left as it was.
    pub fn update(&mut self) -> Result<Update, TrainError> {
        let step = self.state.step;
        let batch = self.batch()?;
        let group_weights = self.make_gradient(&batch)?;
        let flop_ratio = self.config.objective.flop_ratio(step, self.shape.n_classes);
        let g = &mut self.gradient;
        if !g.loss.is_finite() {
            return Err(TrainError::Diverged { step, what: "the loss" });
        }
        let layout = Arc::clone(self.net.layout());
        // Everything before the last layer, if that alone is to move.
        let frozen = if self.task.trains_last_layer_only(step.0) { last_layer(&layout) } else { 0 };
        g.grad[..frozen].fill(0.0);
        let grad_norm = norm(&g.grad);
        if !grad_norm.is_finite() {
            return Err(TrainError::Diverged { step, what: "the gradient" });
        }
        let o = &self.config.optimizer;
        if let Some(clip) = o.clip_norm.filter(|&c| grad_norm > c) {
            let factor = (clip / grad_norm) as f32;
            g.grad.iter_mut().for_each(|v| *v *= factor);
        }
        if let Some(f) = o.grokfast {
            self.state.grokfast.filter(&mut g.grad, f.alpha, f.lambda);
        }
        let at = |s: &Schedule| s.at(step);
        let hyper = Hyper {
            lr: at(&o.lr),
            weight_decay: at(&o.weight_decay),
            beta1: at(&o.beta1),
            beta2: o.beta2,
            eps: o.eps,
            momentum: at(&o.beta1),
        };
        let before = self.state.params.clone();
        // Momentum and decay move what has no gradient, too.
        let moments = (frozen > 0).then(|| self.state.optim.clone());
        kind(&self.config, step).update(
            &self.engine,
            &layout,
            &hyper,
            &mut self.state.optim,
            &mut self.state.params,
            &g.grad,
        );
        if let Some(moments) = moments {
            self.state.params[..frozen].copy_from_slice(&before[..frozen]);
            let optim = &mut self.state.optim;
            for (now, then) in [(&mut optim.m, &moments.m), (&mut optim.v, &moments.v)] {
                if !then.is_empty() {
                    now[..frozen].copy_from_slice(&then[..frozen]);
                }
            }
        }
        if let Some(weights) = group_weights {
            self.state.group_weights = weights;
        }
        let mut made = before;
        for (old, new) in made.iter_mut().zip(&self.state.params) {
            *old = new - *old;
        }
        let previous = std::mem::replace(&mut self.state.previous_update, made);
        let (update_norm, update_cosine) = compare(&self.state.previous_update, &previous);
        self.state.step = step.next();
        let n = batch.n_examples() as u64;
        let clocks = &mut self.state.clocks;
        clocks.n_examples += n;
        clocks.flop += n as f64 * self.config.model.flop_per_example(&self.shape) * flop_ratio;
        clocks.lr_time += hyper.lr;
        let accuracy = g.n_correct as f64 / g.n_readouts as f64;
        Ok(Update {
            at: step,
            loss: g.loss,
            accuracy,
            grad_norm,
            lr: hyper.lr,
            update_norm,
            update_cosine,
        })
    }

    /// Makes `out` the outputs of the first evaluation set, from what [`look_ahead`](Self::look_ahead) showed of the
    /// batch and a forward pass over the rest; `false`, and nothing, for a task whose set does not contain the batch.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn evaluate_rest(
        &self,
        seen: &Outputs,
        taps: &[&str],
        out: &mut Outputs,
    ) -> Result<bool, TrainError> {
        let Some(parts) = self.task.contained() else { return Ok(false) };
        let rest = self.outputs(&parts.rest_batch, taps)?;
        out.interleave([(seen, &parts.batch), (&rest, &parts.rest)]);
        Ok(true)
    }

    /// The batch of the coming update.
    pub(crate) fn batch(&self) -> Result<Arc<Batch>, TrainError> {
        let step = self.state.step.0;
        let pool = self.task.pool(step).map(|b| self.outputs(&b, &[])).transpose()?;
        let given = Given { group_weights: &self.state.group_weights, pool: pool.as_ref() };
        Ok(self.task.batch_given(step, given))
    }

    /// Logits and the named activations of evaluation set `i` at the current weights.
    ///
    /// # Errors
    /// [`TrainError::Engine`] if the engine refuses.
    pub fn evaluate(&self, set: usize, taps: &[&str]) -> Result<Outputs, TrainError> {
        self.outputs(&self.task.eval_sets()[set].batch, taps)
    }

    pub(crate) fn outputs(&self, batch: &Batch, taps: &[&str]) -> Result<Outputs, TrainError> {
        let lanes = self.config.lanes.lanes;
        // Nothing is kept for a backward pass: chunks may be large.
        let chunk_examples = batch.n_examples().div_ceil(lanes).min(EVAL_CHUNK);
        let plan = LanePlan { lanes, chunk_examples };
        (self.engine)
            .outputs(&*self.net, &self.state.params, batch, plan, taps)
            .map_err(|source| TrainError::Engine { step: self.state.step, source })
    }
}

/// Most examples of an evaluation that are computed at once in a lane.
const EVAL_CHUNK: usize = 4096;

/// Rescales drawn weights to standard deviation `sqrt(2 pi) / fan_in`, whatever `init_scale` is: the number decides
/// how boxes grow.
fn to_ibp_init(layout: &Layout, params: &mut [f32], init_scale: f64) {
    for (range, spec) in layout.iter() {
        let Init::Normal { std } = spec.init else { continue };
        // [d_in, d_out] of rows, [c_out, c_in, kh, kw] of convolutions.
        let fan_in = match spec.shape[..] {
            [d_in, _] => d_in,
            [_, ref window @ ..] => window.iter().product(),
            [] => continue,
        };
        let drawn = f64::from(std) * init_scale;
        let factor = (2.0 * std::f64::consts::PI).sqrt() / fan_in as f64 / drawn;
        if factor.is_finite() {
            params[range].iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
        }
    }
}

/// Where the parameters of the last layer begin: those whose names share the stem of the last parameter.
fn last_layer(layout: &Layout) -> usize {
    let stem = |name: &str| name.rsplit_once('.').map_or(name.to_owned(), |(s, _)| s.to_owned());
    let last = layout.specs().last().map(|s| stem(&s.name)).unwrap_or_default();
    layout.iter().find(|(_, s)| stem(&s.name) == last).map_or(0, |(range, _)| range.start)
}

/// Euclidean norm, accumulated in `f64`.
fn norm(v: &[f32]) -> f64 {
    dot(v, v).sqrt()
}

/// Norm of `new`, and its cosine with `old` (NaN without an old one).
fn compare(new: &[f32], old: &[f32]) -> (f64, f64) {
    let length = norm(new);
    if old.is_empty() {
        return (length, f64::NAN);
    }
    (length, dot(new, old) / (length * norm(old)))
}

/// Inner product in `f64`, as sixteen fixed partial sums: vectorizable, and the same bits everywhere.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut partial = [0.0f64; 16];
    let (ca, cb) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f64 =
        ca.remainder().iter().zip(cb.remainder()).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    for (x, y) in ca.zip(cb) {
        for ((p, &x), &y) in partial.iter_mut().zip(x).zip(y) {
            *p += f64::from(x) * f64::from(y);
        }
    }
    partial.iter().sum::<f64>() + rest
}

fn kind(config: &RunConfig, step: Step) -> OptimizerKind {
    match config.optimizer.name {
        OptimizerName::AdamW => OptimizerKind::AdamW,
        OptimizerName::Sgd if config.optimizer.beta1.at(step) > 0.0 => OptimizerKind::Momentum,
        OptimizerName::Sgd => OptimizerKind::Sgd,
    }
}
