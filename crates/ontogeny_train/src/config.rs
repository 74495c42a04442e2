//! The configuration of a run, every default written out.

use crate::TrainError;
use crate::models::ModelConfig;
use crate::objective::ObjectiveConfig;
use crate::tasks::TaskConfig;
use ontogeny_core::{Curve, Schedule};
use ontogeny_engine::LanePlan;
use serde::{Deserialize, Serialize};

/// Everything that decides a run besides its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// What is learned.
    pub task: TaskConfig,
    /// Who learns.
    pub model: ModelConfig,
    /// Multiplies every normally distributed initial weight.
    pub init_scale: f64,
    /// What is minimized.
    pub objective: ObjectiveConfig,
    /// How.
    pub optimizer: OptimizerConfig,
    /// Updates until the run ends.
    pub horizon: u64,
    /// How a batch is cut and summed: decides the last bits, so it is part of the run's identity.
    pub lanes: LanePlan,
    /// What is recorded when.
    pub record: RecordPlan,
}

/// The optimizer and its hyper-parameters, each a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which update rule.
    pub name: OptimizerName,
    /// Learning rate.
    pub lr: Schedule,
    /// Decoupled weight decay (per unit of learning rate).
    pub weight_decay: Schedule,
    /// Decay of the first moment; the momentum of SGD.
    pub beta1: Schedule,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Gradients longer than this are shortened to it.
    pub clip_norm: Option<f64>,
    /// Amplifies the slow part of the gradient (Lee et al. 2024, arXiv:2405.20233).
    pub grokfast: Option<Grokfast>,
}

/// Update rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Adam with decoupled weight decay.
    AdamW,
    /// Stochastic gradient descent, with momentum `beta1` (0 for none).
    Sgd,
}

/// `h <- lambda h + (1 - lambda) g`, then `g <- g + alpha h`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grokfast {
    /// How much of the slow gradient is added.
    pub alpha: f64,
    /// Memory of the slow gradient, in [0, 1).
    pub lambda: f64,
}

/// When the run is looked at. Never changes the run (law 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPlan {
    /// Steps between two readings of the probes.
    pub probe_every: u64,
    /// Steps between two checkpoints; 0 for the first and last only.
    pub checkpoint_every: u64,
    /// Names of the probes.
    pub probes: Vec<String>,
    /// Steps between two hashes of the whole state (`state.hash`); 0 for one at every tenth reading. The ends of the
    /// run have one in any case. Left out of a written configuration where it is 0, so that those of earlier
    /// versions mean what they meant.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hash_every: u64,
    /// Steps of readings beside those of `probe_every`, increasing. Left out of a written configuration where there
    /// are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probe_at: Vec<u64>,
    /// Steps of checkpoints beside those of `checkpoint_every`, increasing, e.g. where forks are planned; the probes read
    /// there, too. Left out of a written configuration where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoint_at: Vec<u64>,
}

impl RecordPlan {
    /// Probes every so many updates, checkpoints every so many (0 for the first and last only), nothing beside them.
    pub fn every(probe_every: u64, checkpoint_every: u64, probes: &[&str]) -> Self {
        Self {
            probe_every,
            checkpoint_every,
            probes: probes.iter().map(|p| (*p).to_owned()).collect(),
            hash_every: 0,
            probe_at: Vec::new(),
            checkpoint_at: Vec::new(),
        }
    }

    /// Whether the probes read at `step`, the ends of a run apart.
    pub fn reads(&self, step: u64) -> bool {
        let is_in = |steps: &[u64]| steps.binary_search(&step).is_ok();
        step.is_multiple_of(self.probe_every) || is_in(&self.probe_at) || is_in(&self.checkpoint_at)
    }

    /// Whether the state is kept at `step`, where it is read, the ends of a run apart.
    pub fn keeps(&self, step: u64) -> bool {
        let every = self.checkpoint_every;
        every > 0 && step.is_multiple_of(every) || self.checkpoint_at.binary_search(&step).is_ok()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl OptimizerConfig {
    /// AdamW as in Nanda et al. 2023: betas (.9, .98), eps 1e-8, ten steps of linear warm-up.
    pub fn adamw(lr: f64, weight_decay: f64) -> Self {
        Self {
            name: OptimizerName::AdamW,
            lr: Schedule::Curve(Curve::Warmup { value: lr, warmup: 10 }),
            weight_decay: Schedule::Constant(weight_decay),
            beta1: Schedule::Constant(0.9),
            beta2: 0.98,
            eps: 1e-8,
            clip_norm: None,
            grokfast: None,
        }
    }
}

/// Refuses `value` unless it lies in [min, max].
pub(crate) fn in_range(
    key: &'static str,
    value: f64,
    min: f64,
    max: f64,
    why: &'static str,
) -> Result<(), TrainError> {
    if value.is_finite() && value >= min && value <= max {
        return Ok(());
    }
    let allowed = if max == f64::MAX { format!("[{min}, ∞)") } else { format!("[{min}, {max}]") };
    Err(TrainError::OutOfRange { key, value: value.to_string(), allowed, why })
}

impl RunConfig {
    /// Checks every number against its range and the parts against each other.
    ///
    /// # Errors
    /// The first [`TrainError`] found, naming the key, the value, the range and the reason for it.
    pub fn check(&self) -> Result<(), TrainError> {
        let o = &self.optimizer;
        let schedule = |key, s: &Schedule, max| {
            s.check(0.0, max).map_err(|source| TrainError::Schedule { key, source })
        };
        schedule("optimizer.lr", &o.lr, 10.0)?;
        schedule("optimizer.weight_decay", &o.weight_decay, 100.0)?;
        schedule("optimizer.beta1", &o.beta1, 0.999_999)?;
        in_range("optimizer.beta2", o.beta2, 0.0, 0.999_999, "a decay of 1 never forgets")?;
        in_range("optimizer.eps", o.eps, 0.0, 1.0, "it only guards a division")?;
        if let Some(clip) = o.clip_norm {
            in_range("optimizer.clip_norm", clip, 1e-12, f64::MAX, "a norm of 0 stops training")?;
        }
        if let Some(g) = o.grokfast {
            in_range("optimizer.grokfast.alpha", g.alpha, 0.0, 1e3, "published values are 1 to 5")?;
            in_range("optimizer.grokfast.lambda", g.lambda, 0.0, 0.999_999, "1 never forgets")?;
        }
        in_range("init_scale", self.init_scale, 0.0, 100.0, "it multiplies every initial weight")?;
        in_range("horizon", self.horizon as f64, 1.0, 1e9, "a run makes at least one update")?;
        in_range(
            "lanes.lanes",
            self.lanes.lanes as f64,
            1.0,
            1024.0,
            "each lane keeps a gradient",
        )?;
        let chunk = self.lanes.chunk_examples as f64;
        in_range("lanes.chunk_examples", chunk, 1.0, f64::MAX, "a chunk holds an example")?;
        let every = self.record.probe_every as f64;
        in_range("record.probe_every", every, 1.0, f64::MAX, "steps between readings")?;
        let record = &self.record;
        for (key, steps, why) in [
            ("record.probe_at", &record.probe_at, "each reading is taken once"),
            ("record.checkpoint_at", &record.checkpoint_at, "each state is kept once"),
        ] {
            if let Some((a, b)) = steps.iter().zip(steps.iter().skip(1)).find(|(a, b)| a >= b) {
                let (value, allowed) = (format!("{a}, {b}"), "increasing order".into());
                return Err(TrainError::OutOfRange { key, value, allowed, why });
            }
        }
        self.task.check()?;
        self.model.check(&self.task.shape())?;
        let ObjectiveConfig::Certified(certified) = &self.objective else { return Ok(()) };
        certified.check()?;
        if self.model.build(&self.task.shape())?.stages().is_none() {
            return Err(TrainError::Mismatch {
                first: "a certified objective".into(),
                second: format!("model {}", self.model.name()),
                why: "unsupported layer: bounds go through affine layers, convolutions and ReLU, and neither \
                      through attention, norms, pooling nor other nonlinearities"
                    .into(),
            });
        }
        Ok(())
    }
}
