//! What is trained at which tier.

use super::super::Tier;
use crate::sealing::Features;
use ontogeny_core::{Direction, ThresholdRule};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_train::models::{Activation, ModelConfig, Norm, Positions, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::canaries::CanariesConfig;
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};

/// Shares of a run after which forecasts are sealed.
pub(super) const ORIGINS: [f64; 4] = [0.10, 0.25, 0.50, 0.75];
/// The event that a first canary is said by heart.
pub(super) const FIRST: &str = "T_first";
/// How many canaries are said by heart.
pub(super) const TARGET: &str = "canaries.extractable";
/// The learning rate of unlearning and of what follows it.
pub(super) const LR_AFTER: f64 = 5e-4;
/// Share of the canaries that are trained on again after unlearning.
pub(super) const RELEARNED: f64 = 0.05;

const LR: f64 = 2e-3;

/// Numbers of a tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub n_steps: u64,
    pub batch: usize,
    pub d_model: usize,
    /// Width of the smaller networks.
    pub d_proxy: usize,
    pub n_per_cell: usize,
    pub n_controls: usize,
    pub n_fit: u64,
    pub n_test: u64,
    pub n_forked: u64,
    /// Test runs whose exposure is also ranked among ten thousand fresh strings.
    pub n_exact: usize,
    /// Updates that climb the loss, and updates after them.
    pub n_ascent: u64,
    pub n_relearn: u64,
}

impl Sizes {
    pub(super) fn of(tier: Tier, n_seeds: Option<u64>) -> Self {
        let smoke = Self {
            n_steps: 600,
            batch: 16,
            d_model: 48,
            d_proxy: 24,
            n_per_cell: 4,
            n_controls: 256,
            n_fit: 8,
            n_test: 8,
            n_forked: 3,
            n_exact: 2,
            n_ascent: 20,
            n_relearn: 60,
        };
        let study = Self {
            n_steps: 3000,
            batch: 32,
            d_model: 64,
            d_proxy: 32,
            n_per_cell: 18,
            n_controls: 512,
            n_fit: 12,
            n_test: 12,
            n_forked: 4,
            n_exact: 4,
            n_ascent: 100,
            n_relearn: 200,
        };
        let tier = match tier {
            Tier::Smoke => smoke,
            Tier::Study => study,
            Tier::Paper => {
                Self { d_model: 256, d_proxy: 128, n_fit: 24, n_test: 24, n_forked: 8, ..study }
            }
        };
        match n_seeds {
            Some(n) => Self {
                n_fit: n.max(2),
                n_test: n.max(1),
                n_forked: n.min(tier.n_forked),
                n_exact: tier.n_exact.min(n as usize),
                ..tier
            },
            None => tier,
        }
    }

    /// The update at a share of the run.
    pub(super) fn at(&self, share: f64) -> u64 {
        (share * self.n_steps as f64).round() as u64
    }

    pub(super) fn config(&self, d_model: usize) -> RunConfig {
        let task = CanariesConfig {
            batch_examples: self.batch,
            n_controls: self.n_controls,
            ..CanariesConfig::standard(self.n_steps, self.n_per_cell)
        };
        let mut record = RecordPlan::every(
            (self.n_steps / 24).max(1),
            0,
            &["extraction", "exposure", "weight_norms"],
        );
        record.probe_at = ORIGINS.map(|o| self.at(o)).to_vec();
        record.checkpoint_at = vec![self.at(0.25), self.n_steps / 3, self.at(0.5)];
        RunConfig {
            task: TaskConfig::Canaries(task),
            model: ModelConfig::Transformer(TransformerConfig {
                n_layers: 2,
                d_model,
                n_heads: 4,
                d_mlp: 4 * d_model,
                activation: Activation::Gelu,
                norm: Norm::Pre,
                attention_biases: true,
                mlp_biases: true,
                positions: Positions::Learned,
                tied_embeddings: false,
                init_std: 0.0,
                compute_all_positions: false,
            }),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig { clip_norm: Some(1.0), ..OptimizerConfig::adamw(LR, 0.01) },
            horizon: self.n_steps,
            lanes: LanePlan { lanes: 1, chunk_examples: 8 },
            record,
        }
    }

    pub(super) fn rules() -> Vec<ThresholdRule> {
        vec![ThresholdRule {
            event: FIRST.into(),
            series: TARGET.into(),
            direction: Direction::Rising,
            level: 1.0,
            persistence: 1,
        }]
    }
}

/// What anybody knows of a run before it.
pub(super) fn observable(config: &RunConfig) -> Features {
    let mut f = Features::new();
    f.insert("ln_steps".into(), (config.horizon as f64).ln());
    f
}

/// The task of a run of this study.
pub(super) fn task(config: &RunConfig) -> Option<&CanariesConfig> {
    if let TaskConfig::Canaries(task) = &config.task { Some(task) } else { None }
}
