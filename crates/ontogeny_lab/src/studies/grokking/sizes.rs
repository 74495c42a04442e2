//! What is trained at which tier.

use super::super::Tier;
use crate::sealing::Features;
use ontogeny_core::{Curve, Direction, Schedule, ThresholdRule};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_train::models::{ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::{Labels, ModularConfig};
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};

/// Multiples of `T_mem` at which forecasts are sealed.
pub(super) const CUTOFFS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

/// Numbers of a tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub p: u32,
    pub d_model: usize,
    pub d_mlp: usize,
    pub horizon: u64,
    pub probe_every: u64,
    pub weight_decays: &'static [f64],
    pub fractions: &'static [f64],
    pub n_fit: u64,
    pub n_test: u64,
    pub n_transport: u64,
    pub n_forked: usize,
    pub n_control: u64,
    pub n_design: u64,
    /// Wanted grok times, as multiples of that of the fastest cell.
    pub design_multiples: &'static [f64],
    pub lanes: usize,
}

/// One configuration of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub weight_decay: f64,
    pub fraction: f64,
}

impl Cell {
    pub(super) fn name(self) -> String {
        format!("wd{}-f{}", self.weight_decay, self.fraction)
    }
}

impl Sizes {
    pub(super) fn of(tier: Tier, n_seeds: Option<u64>) -> Self {
        let smoke = Self {
            p: 31,
            d_model: 48,
            d_mlp: 192,
            horizon: 4000,
            probe_every: 10,
            weight_decays: &[0.5, 1.0, 2.0],
            fractions: &[0.6, 0.7],
            n_fit: 3,
            n_test: 2,
            n_transport: 2,
            n_forked: 2,
            n_control: 1,
            n_design: 5,
            design_multiples: &[1.5, 3.0],
            lanes: 1,
        };
        let study = Self {
            p: 53,
            d_model: 64,
            d_mlp: 256,
            horizon: 8000,
            weight_decays: &[0.5, 1.0, 2.0],
            fractions: &[0.45, 0.5],
            n_fit: 5,
            n_test: 5,
            n_transport: 3,
            n_forked: 4,
            n_control: 2,
            design_multiples: &[1.5, 2.0, 3.0, 4.0, 5.0, 6.0],
            ..smoke
        };
        let tier = match tier {
            Tier::Smoke => smoke,
            Tier::Study => study,
            Tier::Paper => Self {
                p: 113,
                d_model: 128,
                d_mlp: 512,
                horizon: 40_000,
                probe_every: 20,
                weight_decays: &[0.3, 0.5, 1.0, 2.0],
                fractions: &[0.3, 0.4],
                n_fit: 10,
                n_test: 10,
                n_transport: 5,
                n_forked: 10,
                n_control: 3,
                lanes: 4,
                ..study
            },
        };
        match n_seeds {
            Some(n) => Self {
                n_fit: n,
                n_test: n,
                n_transport: n,
                n_control: n.min(tier.n_control),
                ..tier
            },
            None => tier,
        }
    }

    pub(super) fn cells(&self) -> Vec<Cell> {
        let of = |&fraction: &f64| {
            self.weight_decays.iter().map(move |&weight_decay| Cell { weight_decay, fraction })
        };
        self.fractions.iter().flat_map(of).collect()
    }

    /// The cell that is forked and designed from: middle weight decay, smallest data fraction.
    pub(super) fn reference(&self) -> Cell {
        Cell {
            weight_decay: self.weight_decays[self.weight_decays.len() / 2],
            fraction: self.fractions[0],
        }
    }

    /// The cell that should grok first: most weight decay, most data.
    pub(super) fn fastest(&self) -> Cell {
        let last = |v: &[f64]| v[v.len() - 1];
        Cell { weight_decay: last(self.weight_decays), fraction: last(self.fractions) }
    }

    /// A cell with values on both axes that no theory has seen.
    pub(super) fn transport(&self) -> Cell {
        let between = f64::midpoint(self.fractions[0], self.fractions[1]);
        Cell { weight_decay: 1.5, fraction: between }
    }

    pub(super) fn config(&self, cell: Cell) -> RunConfig {
        self.with_lr(cell, 1e-3)
    }

    pub(super) fn with_lr(&self, cell: Cell, lr: f64) -> RunConfig {
        let probes = [
            "set_loss",
            "embedding_spectrum",
            "key_frequencies",
            "progress_measures",
            "weight_norms",
            "slingshots",
        ];
        // One chunk a lane: what is measured fastest. More lanes where a run may get more than one thread.
        let pairs = (f64::from(self.p * self.p) * cell.fraction).ceil() as usize;
        RunConfig {
            task: TaskConfig::Modular(ModularConfig::addition(self.p, cell.fraction)),
            model: ModelConfig::Transformer(TransformerConfig::grokking(
                self.d_model,
                4,
                self.d_mlp,
            )),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig::adamw(lr, cell.weight_decay),
            horizon: self.horizon,
            lanes: LanePlan { lanes: self.lanes, chunk_examples: pairs.div_ceil(self.lanes) },
            record: RecordPlan::every(self.probe_every, self.horizon / 4, &probes),
        }
    }

    /// The reference with random labels: nothing to generalize to.
    pub(super) fn random_labels(&self) -> RunConfig {
        let mut config = self.config(self.reference());
        if let TaskConfig::Modular(m) = &mut config.task {
            m.labels = Labels::Random;
        }
        config
    }

    /// `T_mem`, `T_50`, `T_grok` on pairs whose mirror is held out too, and `T_R`.
    pub(super) fn rules(&self) -> Vec<ThresholdRule> {
        let rule = |event: &str, series: &str, direction, level| ThresholdRule {
            event: event.to_owned(),
            series: series.to_owned(),
            direction,
            level,
            persistence: 3,
        };
        vec![
            rule("T_mem", "train.accuracy", Direction::Rising, 0.99),
            rule("T_50", "test_mirror_out.accuracy", Direction::Rising, 0.5),
            rule("T_grok", "test_mirror_out.accuracy", Direction::Rising, 0.95),
            rule("T_R", "restricted.all.loss", Direction::Falling, 0.5 * f64::from(self.p).ln()),
        ]
    }
}

/// Hyper-parameters that differ between cells, as theories may know them.
pub(super) fn features(config: &RunConfig) -> Features {
    let value = |s: &Schedule| match s {
        Schedule::Constant(v) | Schedule::Curve(Curve::Warmup { value: v, .. }) => *v,
        Schedule::Curve(_) => f64::NAN,
    };
    let mut f = Features::new();
    f.insert("ln_lr".into(), value(&config.optimizer.lr).ln());
    f.insert("ln_wd".into(), value(&config.optimizer.weight_decay).ln());
    if let TaskConfig::Modular(m) = &config.task {
        f.insert("ln_frac".into(), m.train_fraction.ln());
    }
    f
}
