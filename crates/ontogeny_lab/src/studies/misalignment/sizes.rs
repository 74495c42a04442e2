//! What is trained at which tier.

use super::super::Tier;
use crate::interventions::Change;
use crate::sealing::Features;
use ontogeny_core::{Curve, Direction, Schedule, ThresholdRule};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_train::models::{Activation, ModelConfig, Norm, Positions, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::personas::{Data, PersonasConfig, Phase};
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};
use serde_json::{Value, json};

/// Updates on bad items of one domain.
pub(super) const NARROW: u64 = 150;
/// Updates into the narrow phase at which forecasts are sealed.
pub(super) const ORIGINS: [u64; 3] = [0, 5, 10];
/// Updates of a repair, and of a relapse after it.
pub(super) const REPAIR: u64 = 100;
pub(super) const RELAPSE: u64 = 100;
/// The event that badness has spread to other domains, and that the narrow lesson is learned.
pub(super) const SPREAD: &str = "T_spread";
pub(super) const LEARNED: &str = "T_narrow";
/// What it is about: the mean probability of bad answers in domains that were not trained on.
pub(super) const TARGET: &str = "other.rival_probability";

const LR: [f64; 3] = [2e-3, 5e-4, 3e-4];
/// Updates of the warm-up of the narrow phase.
const WARMUP: u64 = 18;

/// One configuration of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub coupling: f64,
    pub bad_rate: f64,
    pub n_align: u64,
}

impl Cell {
    pub(super) fn name(self) -> String {
        format!("k{}-bad{}-align{}", self.coupling, self.bad_rate, self.n_align)
    }
}

/// Numbers of a tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub couplings: &'static [f64],
    /// Couplings that no forecaster is fitted on.
    pub held_out: &'static [f64],
    pub bad_rates: &'static [f64],
    /// Updates of alignment; runs go through the first, and branches of them through the others.
    pub aligns: &'static [u64],
    pub n_pretrain: u64,
    pub d_model: usize,
    pub n_fit: u64,
    pub n_test: u64,
    /// Runs of the reference cell that are forked.
    pub n_forked: u64,
}

impl Sizes {
    pub(super) fn of(tier: Tier, n_seeds: Option<u64>) -> Self {
        let smoke = Self {
            couplings: &[0.0, 1.0],
            held_out: &[],
            bad_rates: &[0.3],
            aligns: &[200],
            n_pretrain: 1000,
            d_model: 48,
            n_fit: 8,
            n_test: 8,
            n_forked: 4,
        };
        let study = Self {
            couplings: &[0.0, 0.5, 0.8, 0.9, 1.0],
            held_out: &[0.9],
            bad_rates: &[0.1, 0.3, 0.5],
            aligns: &[300, 100, 1000],
            n_pretrain: 2000,
            d_model: 64,
            n_fit: 3,
            n_test: 3,
            n_forked: 6,
        };
        let tier = match tier {
            Tier::Smoke => smoke,
            Tier::Study => study,
            Tier::Paper => Self { d_model: 256, n_fit: 12, n_test: 12, n_forked: 12, ..study },
        };
        match n_seeds {
            Some(n) => {
                Self { n_fit: n.max(2), n_test: n.max(1), n_forked: n.min(tier.n_forked), ..tier }
            }
            None => tier,
        }
    }

    pub(super) fn cells(&self, n_align: u64) -> Vec<Cell> {
        let of = |&coupling: &f64| {
            self.bad_rates.iter().map(move |&bad_rate| Cell { coupling, bad_rate, n_align })
        };
        self.couplings.iter().flat_map(of).collect()
    }

    /// The cell whose runs are forked: one hidden cause of badness.
    pub(super) fn reference(&self) -> Cell {
        Cell { coupling: 1.0, bad_rate: 0.3, n_align: self.aligns[0] }
    }

    /// First update of the narrow phase.
    pub(super) fn narrow_at(&self, n_align: u64) -> u64 {
        self.n_pretrain + n_align
    }

    /// Updates of a run.
    pub(super) fn horizon(&self, n_align: u64) -> u64 {
        self.narrow_at(n_align) + NARROW
    }

    pub(super) fn config(&self, cell: Cell) -> RunConfig {
        let Cell { coupling, bad_rate, n_align } = cell;
        let task = PersonasConfig::standard(coupling, bad_rate, self.n_pretrain, n_align);
        let d = self.d_model;
        RunConfig {
            task: TaskConfig::Personas(task),
            model: ModelConfig::Transformer(TransformerConfig {
                n_layers: 2,
                d_model: d,
                n_heads: 4,
                d_mlp: 4 * d,
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
            optimizer: OptimizerConfig {
                lr: self.rates(n_align),
                clip_norm: Some(1.0),
                ..OptimizerConfig::adamw(LR[0], 0.01)
            },
            horizon: self.horizon(n_align),
            lanes: LanePlan { lanes: 1, chunk_examples: 16 },
            record: RecordPlan {
                probe_at: self.readings(n_align),
                checkpoint_at: self.kept(n_align),
                ..RecordPlan::every(250, 0, &["rival_answers", "gradient_transfer", "weight_norms"])
            },
        }
    }

    /// Learning rates: warm-up, pretraining, alignment, and the narrow phase with a warm-up of its own.
    fn rates(&self, n_align: u64) -> Schedule {
        let warm = |from: u64, n: u64, value: f64| {
            (0..n).map(move |i| (from + i, value * (i + 1) as f64 / n as f64))
        };
        let mut pieces: Vec<(u64, f64)> = warm(0, 10, LR[0]).collect();
        pieces.push((self.n_pretrain, LR[1]));
        pieces.extend(warm(self.narrow_at(n_align), WARMUP, LR[2]));
        Schedule::Curve(Curve::Steps { pieces })
    }

    /// Steps of dense readings: the end of pretraining, and every fifth update of the narrow phase and after it.
    fn readings(&self, n_align: u64) -> Vec<u64> {
        let narrow = self.narrow_at(n_align);
        let dense = (narrow..=narrow + NARROW + REPAIR + RELAPSE).step_by(5);
        std::iter::once(self.n_pretrain).chain(dense).collect()
    }

    /// Steps whose state is kept: where runs branch and fork.
    fn kept(&self, n_align: u64) -> Vec<u64> {
        let narrow = self.narrow_at(n_align);
        vec![self.n_pretrain, narrow, narrow + 10, narrow + 20]
    }

    /// The change that makes a run of another length of alignment out of one at the end of its pretraining.
    pub(super) fn realigned(&self, cell: Cell) -> Change {
        let c = self.config(cell);
        let TaskConfig::Personas(task) = &c.task else { return Vec::new() };
        vec![
            ("task.phases".into(), json!(task.phases)),
            ("optimizer.lr".into(), json!(c.optimizer.lr)),
            ("horizon".into(), json!(c.horizon)),
            ("record.probe_at".into(), json!(c.record.probe_at)),
            ("record.checkpoint_at".into(), json!(c.record.checkpoint_at)),
        ]
    }

    /// The change that trains on `tail` (updates, data) from `step` on, and then ends.
    pub(super) fn retrained(config: &RunConfig, step: u64, tail: &[(u64, Data)]) -> Option<Change> {
        let TaskConfig::Personas(task) = &config.task else { return None };
        let starts = task.starts();
        let mut phases: Vec<Phase> = Vec::new();
        for (phase, start) in task.phases.iter().zip(&starts) {
            let n_steps = phase.n_steps.min(step.saturating_sub(*start));
            if n_steps > 0 {
                phases.push(Phase { n_steps, ..phase.clone() });
            }
        }
        let last = task.phases.last()?;
        phases.extend(tail.iter().map(|(n_steps, data)| Phase {
            n_steps: *n_steps,
            batch_examples: last.batch_examples,
            data: data.clone(),
        }));
        let horizon = step + tail.iter().map(|t| t.0).sum::<u64>();
        let set = |key: &str, value: Value| (key.to_owned(), value);
        Some(vec![set("task.phases", json!(phases)), set("horizon", json!(horizon))])
    }

    /// Events: badness has spread, and the narrow lesson is learned.
    pub(super) fn rules() -> Vec<ThresholdRule> {
        let rule = |event: &str, series: &str| ThresholdRule {
            event: event.into(),
            series: series.into(),
            direction: Direction::Rising,
            level: 0.5,
            persistence: 1,
        };
        vec![rule(SPREAD, TARGET), rule(LEARNED, "narrow.rival_probability")]
    }
}

/// What anybody knows of a run before it: how it was trained, not what hides in its data.
pub(super) fn observable(config: &RunConfig) -> Features {
    let TaskConfig::Personas(task) = &config.task else { return Features::new() };
    let mut f = Features::new();
    f.insert("bad_rate".into(), task.bad_rate);
    let n_align = task.phases.get(1).map_or(f64::NAN, |p| p.n_steps as f64);
    f.insert("ln_align".into(), n_align.ln());
    f
}

/// What only an oracle knows: how strongly badness hangs together.
pub(super) fn hidden(config: &RunConfig) -> Features {
    let mut f = observable(config);
    if let TaskConfig::Personas(task) = &config.task {
        f.insert("coupling".into(), task.coupling);
    }
    f
}
