//! What is trained at which tier, and the configurations, all of them drawn before any run.

use super::super::Tier;
use crate::sealing::Features;
use ontogeny_core::random::Philox;
use ontogeny_core::{Schedule, Step};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::two_block::TwoBlockConfig;
use ontogeny_train::{OptimizerConfig, OptimizerName, RecordPlan, RunConfig};

/// Shares of a run at which forecasts are sealed.
pub(super) const ORIGINS: [f64; 3] = [0.05, 0.10, 0.20];
/// Shares of a run at which windows of treatment begin.
pub(super) const WINDOWS: [f64; 6] = [0.0, 0.05, 0.10, 0.25, 0.50, 1.0];
/// Length of a window of treatment, and of the biased training after which relapse is read, as shares of a run.
const WINDOW: f64 = 0.05;
const RELAPSE: f64 = 0.25;

/// Numbers of a tier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub horizon: u64,
    pub n_fit: u64,
    pub n_test: u64,
    /// Test configurations that are run again with other seeds.
    pub n_again: u64,
    pub n_forked: usize,
    pub n_probe: usize,
    pub n_audit: usize,
}

/// One configuration of the grid, by its number.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub id: u64,
    pub config: RunConfig,
}

impl Drawn {
    pub(super) fn name(&self) -> String {
        format!("c{:03}", self.id)
    }
}

impl Sizes {
    pub(super) fn of(tier: Tier, n_seeds: Option<u64>) -> Self {
        let study = Self {
            horizon: 2000,
            n_fit: 60,
            n_test: 120,
            n_again: 60,
            n_forked: 12,
            n_probe: 2048,
            n_audit: 4096,
        };
        let tier = match tier {
            Tier::Smoke => Self { n_fit: 40, n_test: 40, n_again: 16, n_forked: 4, ..study },
            Tier::Study => study,
            Tier::Paper => Self { n_fit: 240, n_test: 480, n_again: 120, n_forked: 60, ..study },
        };
        match n_seeds {
            // A small grid of shorter runs, to try things out.
            Some(n) => Self {
                horizon: 600,
                n_fit: 20 * n,
                n_test: 8 * n,
                n_again: 4 * n,
                n_forked: n as usize + 1,
                n_probe: 512,
                n_audit: 1024,
            },
            None => tier,
        }
    }

    /// The step at a share of a run.
    pub(super) fn at(&self, share: f64) -> u64 {
        (share * self.horizon as f64).round() as u64
    }

    /// Steps of a window of treatment.
    pub(super) fn window(&self) -> u64 {
        self.at(WINDOW)
    }

    /// The step at which treated runs and their control are compared, all with the same number of examples.
    pub(super) fn judged(&self) -> u64 {
        self.horizon + self.window()
    }

    /// The step at which relapse is read.
    pub(super) fn relapsed(&self) -> u64 {
        self.judged() + self.at(RELAPSE)
    }

    /// Powers of two and their halves between, every origin, every beginning of a window, and the end.
    pub(super) fn readings(&self) -> Vec<u64> {
        let doubling = std::iter::successors(Some(1_u64), |s| Some(2 * s));
        let powers = doubling.take_while(|s| *s < self.horizon).flat_map(|s| [s, s + s / 2]);
        let shares = ORIGINS.iter().chain(&WINDOWS).map(|s| self.at(*s));
        let halves = ORIGINS.iter().flat_map(|s| [self.at(s / 2.0), self.at(s / 4.0)]);
        let mut steps: Vec<u64> = powers.chain(shares).chain(halves).collect();
        steps.retain(|s| (1..=self.horizon).contains(s));
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// All configurations: number `i` is a function of the study's seed and `i`.
    ///
    /// Ranges as in the protocol's pilot; the share of the attribute, which it leaves open, between .5 and .7.
    fn draw(&self, seed: u64, id: u64) -> Drawn {
        let draws = Philox::new(seed, "bias.grid").at(id);
        let between = |i: u64, lo: f64, hi: f64| lo + (hi - lo) * draws.uniform(i);
        let one_of = |i: u64, n: usize| draws.below(i, n as u64) as usize;
        let task = TwoBlockConfig {
            rho: between(0, 0.2, 0.9),
            k: [1, 2, 3, 3][one_of(1, 4)],
            core_gain: between(2, 0.8, 2.0),
            shortcut_gain: between(3, 0.6, 3.0),
            label_noise: between(4, 0.0, 0.15),
            n_train: between(5, 10.0, 14.0).exp2() as usize,
            majority: between(6, 0.5, 0.7),
            batch_examples: 128,
            n_probe: self.n_probe,
            n_audit: self.n_audit,
            treatment: None,
        };
        let width = [16, 32, 64, 128][one_of(7, 4)];
        let lr = 10_f64.powf(between(8, -2.5, -0.8));
        let weight_decay = [0.0, 1e-4, 1e-3, 1e-2][one_of(9, 4)];
        Drawn { id, config: self.config(task, width, lr, weight_decay) }
    }

    /// The configurations that are fitted and those that are forecast: which is which is drawn as they are.
    pub(super) fn grid(&self, seed: u64) -> (Vec<Drawn>, Vec<Drawn>) {
        let n = self.n_fit + self.n_test;
        let order = Philox::new(seed, "bias.split").at(0).permutation(n as usize);
        let mut all: Vec<Drawn> = order.iter().map(|i| self.draw(seed, u64::from(*i))).collect();
        let mut test = all.split_off(self.n_fit as usize);
        all.sort_by_key(|d| d.id);
        test.sort_by_key(|d| d.id);
        (all, test)
    }

    fn config(&self, task: TwoBlockConfig, width: usize, lr: f64, weight_decay: f64) -> RunConfig {
        let probes = [
            "set_loss",
            "group_gap",
            "bias_amplification",
            "zhao_bias",
            "counterfactual_flip",
            "counterfactual_shift",
            "group_gradients",
            "linear_readout",
        ];
        let batch = task.batch_examples;
        RunConfig {
            task: TaskConfig::TwoBlock(task),
            model: ModelConfig::Mlp(MlpConfig {
                widths: vec![width; 2],
                activation: Activation::Relu,
            }),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig {
                name: OptimizerName::Sgd,
                lr: Schedule::Constant(lr),
                weight_decay: Schedule::Constant(weight_decay),
                beta1: Schedule::Constant(0.9),
                ..OptimizerConfig::adamw(lr, weight_decay)
            },
            horizon: self.horizon,
            lanes: LanePlan { lanes: 1, chunk_examples: batch },
            record: RecordPlan {
                probe_at: self.readings(),
                ..RecordPlan::every(self.horizon, self.horizon / 4, &probes)
            },
        }
    }

    /// The proxy of a run: a quarter of its width, read where its compute is that of each prefix (or at the length of
    /// the run itself, if that comes sooner).
    pub(super) fn proxy(&self, config: &RunConfig) -> (RunConfig, Vec<u64>) {
        let mut small = config.clone();
        if let ModelConfig::Mlp(m) = &mut small.model {
            m.widths.iter_mut().for_each(|w| *w = (*w / 4).max(1));
        }
        let cost = |c: &RunConfig| c.model.flop_per_example(&c.task.shape());
        let ratio = cost(config) / cost(&small);
        let steps: Vec<u64> = (ORIGINS.iter())
            .map(|s| ((s * ratio * self.horizon as f64) as u64).clamp(1, self.horizon))
            .collect();
        let mut at = steps.clone();
        at.dedup();
        small.horizon = at[at.len() - 1];
        small.record = RecordPlan {
            probe_at: at,
            ..RecordPlan::every(
                self.horizon,
                0,
                &["set_loss", "bias_amplification", "counterfactual_flip"],
            )
        };
        (small, steps)
    }
}

fn task(config: &RunConfig) -> Option<&TwoBlockConfig> {
    match &config.task {
        TaskConfig::TwoBlock(task) => Some(task),
        _ => None,
    }
}

/// What is known before a run: size of the data, share of the attribute and its measured correlation with the labels,
/// width, learning rate, weight decay.
pub(super) fn observable(config: &RunConfig, data_seed: u64) -> Features {
    let mut f = Features::new();
    if let Some(t) = task(config) {
        f.insert("ln_n".into(), (t.n_train as f64).ln());
        f.insert("majority".into(), t.majority);
        f.extend(t.measured_correlation(data_seed).map(|r| ("correlation".into(), r)));
    }
    if let ModelConfig::Mlp(m) = &config.model {
        f.insert("ln_width".into(), (m.widths[0] as f64).ln());
    }
    f.insert("ln_lr".into(), config.optimizer.lr.at(Step(0)).ln());
    f.insert("ln_wd".into(), (config.optimizer.weight_decay.at(Step(0)) + 1e-5).ln());
    f
}

/// What only the generator knows.
pub(super) fn hidden(config: &RunConfig) -> Features {
    let of = |t: &TwoBlockConfig| {
        [
            ("rho", t.rho),
            ("k", t.k as f64),
            ("core_gain", t.core_gain),
            ("shortcut_gain", t.shortcut_gain),
            ("label_noise", t.label_noise),
        ]
        .map(|(name, v)| (name.to_owned(), v))
    };
    task(config).map(of).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_configuration_is_fitted_and_forecast_and_all_can_be_run() {
        let sizes = Sizes::of(Tier::Study, None);
        let (fit, test) = sizes.grid(0);
        assert_eq!((fit.len(), test.len()), (60, 120));
        assert!(fit.iter().all(|f| test.iter().all(|t| t.id != f.id && t.config != f.config)));
        for d in fit.iter().chain(&test) {
            d.config.check().unwrap();
            let (proxy, steps) = sizes.proxy(&d.config);
            proxy.check().unwrap();
            assert!(steps.is_sorted() && steps[2] == proxy.horizon && steps[0] > 100, "{steps:?}");
        }
        assert_eq!(sizes.grid(0).0[3].config, fit[3].config);
        assert_ne!(sizes.grid(1).0[3].config, fit[3].config);
    }

    #[test]
    fn a_run_is_read_at_twenty_places_at_least_with_every_origin_and_window() {
        let sizes = Sizes::of(Tier::Smoke, None);
        let at = sizes.readings();
        assert!(at.len() >= 20 && at.is_sorted());
        let all = ORIGINS.iter().chain(&WINDOWS[1..]);
        assert!(all.map(|s| sizes.at(*s)).all(|s| at.contains(&s)));
        assert_eq!((sizes.window(), sizes.judged(), sizes.relapsed()), (100, 2100, 2600));
    }
}
