//! What is trained at which tier.

use super::super::Tier;
use crate::sealing::Features;
use ontogeny_core::{Direction, Schedule, Step, ThresholdRule};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::sparse_parity::{Mixture, SparseParityConfig};
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};

/// Loss at which a skill counts as learned, nats: half of guessing.
pub(super) const LEARNED: f64 = 0.5 * std::f64::consts::LN_2;

/// Skills whose learning opens the three registered cutoffs.
pub(super) const FIRST: [usize; 3] = [3, 4, 6];

/// One configuration of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub alpha: f64,
    pub lr: f64,
}

/// The cell that is forked and designed from.
pub(super) const REFERENCE: Cell = Cell { alpha: 0.6, lr: 2e-3 };

impl Cell {
    pub(super) fn name(self) -> String {
        format!("zipf{}-lr{}", self.alpha, self.lr)
    }
}

/// Numbers of a tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Zipf exponents (less one) and learning rates of the grid.
    pub alphas: &'static [f64],
    pub lrs: &'static [f64],
    pub n_tasks: usize,
    pub n_bits: usize,
    pub width: usize,
    pub batch: usize,
    pub horizon: u64,
    pub probe_every: u64,
    pub n_fit: u64,
    pub n_test: u64,
    pub n_transport: u64,
    pub n_forked: u64,
    pub n_design: u64,
    pub n_problems: usize,
}

impl Sizes {
    pub(super) fn of(tier: Tier, n_seeds: Option<u64>) -> Self {
        let smoke = Self {
            alphas: &[0.4, 0.6, 0.8],
            lrs: &[2e-3],
            n_tasks: 10,
            n_bits: 16,
            width: 128,
            batch: 512,
            horizon: 6500,
            probe_every: 20,
            n_fit: 3,
            n_test: 2,
            n_transport: 2,
            n_forked: 2,
            n_design: 5,
            n_problems: 2,
        };
        let study = Self {
            lrs: &[2e-3, 3e-3],
            n_tasks: 16,
            n_bits: 24,
            width: 256,
            batch: 1024,
            horizon: 12_000,
            n_fit: 5,
            n_test: 5,
            n_transport: 4,
            n_forked: 4,
            n_problems: 6,
            ..smoke
        };
        let tier = match tier {
            Tier::Smoke => smoke,
            Tier::Study => study,
            Tier::Paper => Self {
                n_tasks: 100,
                n_bits: 64,
                width: 1024,
                batch: 4096,
                horizon: 100_000,
                probe_every: 100,
                n_fit: 10,
                n_test: 10,
                n_transport: 10,
                n_forked: 10,
                ..study
            },
        };
        match n_seeds {
            Some(n) => Self {
                n_fit: n.max(2),
                n_test: n,
                n_transport: n,
                n_forked: n.min(tier.n_forked),
                ..tier
            },
            None => tier,
        }
    }

    pub(super) fn cells(&self) -> Vec<Cell> {
        let of = |&alpha: &f64| self.lrs.iter().map(move |&lr| Cell { alpha, lr });
        self.alphas.iter().flat_map(of).collect()
    }

    /// A cell with values that no theory has seen.
    pub(super) fn transport(&self) -> Cell {
        let last = self.lrs[self.lrs.len() - 1];
        Cell { alpha: 0.5, lr: f64::midpoint(self.lrs[0], last) }
    }

    pub(super) fn cell(&self, cell: Cell) -> RunConfig {
        let mut config = self.config(Mixture::Zipf { alpha: cell.alpha });
        config.optimizer.lr = Schedule::Constant(cell.lr);
        config
    }

    /// The reference run, which is forked and designed from: Zipf mixture with exponent 1.6.
    pub(super) fn zipf(&self) -> RunConfig {
        self.cell(REFERENCE)
    }

    pub(super) fn config(&self, mixture: Mixture) -> RunConfig {
        let task = SparseParityConfig {
            n_tasks: self.n_tasks,
            n_bits: self.n_bits,
            order: 3,
            mixture,
            batch_examples: self.batch,
            eval_examples_per_task: 128,
        };
        RunConfig {
            task: TaskConfig::SparseParity(task),
            model: ModelConfig::Mlp(MlpConfig {
                widths: vec![self.width],
                activation: Activation::Relu,
            }),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig {
                lr: Schedule::Constant(2e-3),
                beta2: 0.999,
                ..OptimizerConfig::adamw(2e-3, 0.0)
            },
            horizon: self.horizon,
            lanes: LanePlan { lanes: 1, chunk_examples: self.batch },
            record: RecordPlan::every(self.probe_every, self.horizon / 4, &["skill_losses"]),
        }
    }

    /// One event per skill, `T_skill.1` being the most frequent.
    pub(super) fn rules(&self) -> Vec<ThresholdRule> {
        let rule = |k: usize| ThresholdRule {
            event: event(k),
            series: format!("skill.{k}.loss"),
            direction: Direction::Falling,
            level: LEARNED,
            persistence: 3,
        };
        (1..=self.n_tasks).map(rule).collect()
    }
}

/// Name of the event "skill k is learned"; k counts from 1.
pub(super) fn event(k: usize) -> String {
    format!("T_skill.{k}")
}

/// Probabilities of the tasks.
pub(super) fn rates(config: &RunConfig) -> Vec<f64> {
    let TaskConfig::SparseParity(p) = &config.task else { return Vec::new() };
    p.probabilities()
}

/// What a theory may know beforehand: `ln_p.<k>`, the exponent of the mixture if it is Zipf's, the learning rate.
pub(super) fn features(config: &RunConfig) -> Features {
    let mut f: Features =
        (1..).zip(rates(config)).map(|(k, p)| (format!("ln_p.{k}"), p.ln())).collect();
    if let TaskConfig::SparseParity(SparseParityConfig {
        mixture: Mixture::Zipf { alpha }, ..
    }) = &config.task
    {
        f.insert("alpha".into(), *alpha);
    }
    f.insert("ln_lr".into(), config.optimizer.lr.at(Step(0)).ln());
    f
}
