//! What is trained at which tier, and the arms of the grid, all of them drawn before any run.

use super::super::{StudyContext, StudyOptions, Tier};
use super::curriculum::{Curriculum, Rise};
use crate::LabError;
use crate::sealing::Features;
use ontogeny_core::random::Philox;
use ontogeny_core::{Curve, Schedule, Step};
use ontogeny_engine::LanePlan;
use ontogeny_train::models::{Activation, ConvConfig, MlpConfig, ModelConfig};
use ontogeny_train::tasks::glyphs::GlyphsConfig;
use ontogeny_train::tasks::mnist::MnistConfig;
use ontogeny_train::tasks::{TaskConfig, Threat};
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};

/// Shares of a run at which forecasts are sealed.
pub(super) const ORIGINS: [f64; 3] = [0.10, 0.20, 0.30];
/// Shares of a run at which arms of the search are judged, the last but for the end.
pub(super) const RUNGS: [f64; 2] = [0.20, 0.50];
/// Shares of a run from which it is forked.
pub(super) const FORKS: [f64; 2] = [0.20, 0.50];
/// Shares of a run at which it is read.
const READINGS: [f64; 21] = [
    0.025, 0.05, 0.075, 0.10, 0.125, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60,
    0.65, 0.70, 0.75, 0.80, 0.90, 1.0,
];
/// What every run is read by, and what audited runs are attacked by.
const PROBES: [&str; 4] = ["set_loss", "certified", "interval_bounds", "goal_conflict"];
const ATTACKED: &str = "attacked";

/// What a folder of data holds.
pub(super) const READS: &str = "the four files of MNIST, plain or with .gz";

/// Numbers of a tier.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub horizon: u64,
    pub n_fit: u64,
    pub n_test: u64,
    /// Runs of the reference curriculum, and those of them that are forked.
    pub n_parents: u64,
    /// Arms that begin, that pass the first rung, and that pass the second.
    pub arms: [usize; 3],
    /// Seeds on which the winner and its rivals are trained again.
    pub n_fresh: u64,
    /// Radii of the grid, and that of the reference, the search and the front.
    pub radii: [f64; 3],
    pub eps: f64,
    /// Radii at which the front is drawn.
    pub fronts: Vec<f64>,
    pub lr: f64,
    images: Images,
    model: ModelConfig,
    pub n_probe: usize,
    pub n_audit: usize,
}

/// Where images come from.
#[derive(Debug, Clone)]
enum Images {
    Drawn { n_train: usize },
    Read(MnistConfig),
}

/// One arm of the grid, by its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arm {
    pub id: u64,
    pub curriculum: Curriculum,
    pub eps: f64,
    pub lr: f64,
}

impl Arm {
    pub(super) fn name(&self) -> String {
        format!("c{:03}", self.id)
    }
}

fn conv(channels: [usize; 2], hidden: usize) -> ModelConfig {
    let strides = vec![2, 2];
    let channels = channels.to_vec();
    ModelConfig::Conv(ConvConfig { channels, strides, kernel: 4, hidden, padding: Some(1) })
}

fn mlp(width: usize) -> ModelConfig {
    ModelConfig::Mlp(MlpConfig { widths: vec![width; 2], activation: Activation::Relu })
}

impl Sizes {
    pub(super) fn of(ctx: &StudyContext<'_>) -> Result<Self, LabError> {
        let StudyOptions { tier, n_seeds, data, .. } = &ctx.options;
        let mut sizes = Self::drawn(*tier, *n_seeds);
        match data {
            Some(folder) => {
                let read = MnistConfig::of(folder, sizes.eps);
                let read = read.map_err(|source| LabError::Configure { source })?;
                sizes.n_probe = sizes.n_probe.min(read.n_probe);
                sizes.n_audit = sizes.n_audit.min(read.n_audit);
                sizes.images = Images::Read(read);
            }
            None if *tier == Tier::Paper => {
                let (study, tier) = (super::STUDY.name, tier.name());
                return Err(LabError::NeedsData { study, tier, what: READS });
            }
            None => {}
        }
        Ok(sizes)
    }

    fn drawn(tier: Tier, n_seeds: Option<u64>) -> Self {
        let smoke = Self {
            horizon: 400,
            n_fit: 24,
            n_test: 28,
            n_parents: 4,
            arms: [9, 4, 2],
            n_fresh: 3,
            radii: [0.05, 0.1, 0.2],
            eps: 0.1,
            fronts: vec![0.1],
            lr: 1e-3,
            images: Images::Drawn { n_train: 2000 },
            model: mlp(48),
            n_probe: 128,
            n_audit: 256,
        };
        let study = Self {
            horizon: 800,
            n_fit: 40,
            n_test: 40,
            n_parents: 5,
            arms: [27, 9, 3],
            n_fresh: 5,
            images: Images::Drawn { n_train: 8000 },
            model: conv([16, 32], 100),
            n_probe: 256,
            n_audit: 500,
            ..smoke.clone()
        };
        let tier = match tier {
            Tier::Smoke => smoke,
            Tier::Study => study,
            // 70 epochs of 59,000 in batches of 128.
            Tier::Paper => Self {
                horizon: 32_270,
                radii: [0.1, 0.2, 0.3],
                eps: 0.3,
                fronts: vec![0.1, 0.3],
                lr: 5e-4,
                n_probe: 1000,
                n_audit: 10_000,
                ..study
            },
        };
        match n_seeds {
            // A small grid of short runs, to try things out.
            Some(n) => Self {
                horizon: 160,
                n_fit: 19 + n,
                n_test: 8 * n,
                n_parents: n + 1,
                arms: [4, 2, 1],
                n_fresh: n + 1,
                images: Images::Drawn { n_train: 1000 },
                model: mlp(32),
                n_probe: 48,
                n_audit: 64,
                ..tier
            },
            None => tier,
        }
    }

    /// The step at a share of a run.
    pub(super) fn at(&self, share: f64) -> u64 {
        (share * self.horizon as f64).round() as u64
    }

    /// The curriculum that is watched, forked and swept.
    pub(super) fn reference() -> Curriculum {
        Curriculum::published(Rise::Linear, 0.6, 0.5)
    }

    /// Arms to fit on and arms to forecast: which is which is drawn with them, before any run.
    pub(super) fn grid(&self, seed: u64) -> (Vec<Arm>, Vec<Arm>) {
        let stream = Philox::new(seed, "robustness.grid");
        let draw = |id: u64| {
            let d = stream.at(id);
            let published = |rise| {
                let kappa = [0.0, 0.25, 0.5][d.below(21, 3) as usize];
                Curriculum::published(rise, 0.2 + 0.7 * d.uniform(22), kappa)
            };
            let curriculum = match d.below(20, 3) {
                0 => published(Rise::Linear),
                1 => published(Rise::Smoothed),
                _ => Curriculum::drawn(d),
            };
            let eps = self.radii[d.below(23, 3) as usize];
            let lr = self.lr * [0.5, 1.0, 2.0][d.below(24, 3) as usize];
            (d.u64(25), Arm { id, curriculum, eps, lr })
        };
        let mut all: Vec<(u64, Arm)> = (0..self.n_fit + self.n_test).map(draw).collect();
        all.sort_by_key(|(lot, arm)| (*lot, arm.id));
        let mut fit: Vec<Arm> = all.into_iter().map(|(_, arm)| arm).collect();
        let mut test = fit.split_off(self.n_fit as usize);
        fit.sort_by_key(|a| a.id);
        test.sort_by_key(|a| a.id);
        (fit, test)
    }

    /// A run of `curriculum` at the reference's radius and learning rate.
    pub(super) fn config_of(&self, curriculum: Curriculum) -> RunConfig {
        self.config(&Arm { id: 0, curriculum, eps: self.eps, lr: self.lr })
    }

    pub(super) fn config(&self, arm: &Arm) -> RunConfig {
        self.config_over(arm, self.horizon)
    }

    /// The run of an arm, its schedules stretched to `horizon` updates.
    fn config_over(&self, arm: &Arm, horizon: u64) -> RunConfig {
        let at = |share: f64| (share * horizon as f64).round() as u64;
        let mut probe_at = READINGS.map(at).to_vec();
        probe_at.dedup();
        probe_at.retain(|s| *s > 0);
        let lr = Curve::WarmupStableDecay {
            value: arm.lr,
            warmup: 10,
            decay_from: at(0.7),
            end: 0.1 * arm.lr,
            until: horizon,
        };
        RunConfig {
            task: self.task(arm.eps),
            model: self.model.clone(),
            init_scale: 1.0,
            objective: arm.curriculum.objective(horizon, arm.eps).into(),
            optimizer: OptimizerConfig {
                lr: Schedule::Curve(lr),
                beta2: 0.999,
                clip_norm: Some(10.0),
                ..OptimizerConfig::adamw(arm.lr, 0.0)
            },
            horizon,
            lanes: LanePlan { lanes: 1, chunk_examples: 128 },
            record: RecordPlan { probe_at, ..RecordPlan::every(horizon, 0, &PROBES) },
        }
    }

    fn task(&self, eps: f64) -> TaskConfig {
        let threat = Threat { n_watched: self.n_probe, ..Threat::of(eps) };
        let (n_probe, n_audit) = (self.n_probe, self.n_audit);
        match &self.images {
            Images::Drawn { n_train } => TaskConfig::Glyphs(GlyphsConfig {
                n_train: *n_train,
                n_probe,
                n_audit,
                threat,
                ..GlyphsConfig::small(eps)
            }),
            Images::Read(c) => {
                TaskConfig::Mnist(MnistConfig { n_probe, n_audit, threat, ..c.clone() })
            }
        }
    }

    /// What is said of the images.
    pub(super) fn images(&self) -> String {
        match &self.images {
            Images::Drawn { n_train } => format!("{n_train} drawn glyphs of 16 by 16"),
            Images::Read(c) => format!("{} images of {}", c.n_train, c.path),
        }
    }

    /// Distances to the nearest example of another class, in units of the range of a pixel: 10th and 50th percentile.
    pub(super) fn distances(&self, data_seed: u64) -> Option<(f64, f64)> {
        const N: usize = 500;
        let found = match self.task(self.eps) {
            TaskConfig::Glyphs(c) => c.class_distances(data_seed, N),
            TaskConfig::Mnist(c) => c.class_distances(N).ok()?,
            _ => return None,
        };
        found.quantile(0.1).zip(found.quantile(0.5))
    }

    /// Floating-point operations of the first `n` updates of a run.
    pub(super) fn flop(config: &RunConfig, n: u64) -> f64 {
        let examples = match &config.task {
            TaskConfig::Glyphs(c) => c.batch_examples,
            TaskConfig::Mnist(c) => c.batch_examples,
            _ => 0,
        };
        let shape = config.task.shape();
        let each = examples as f64 * config.model.flop_per_example(&shape);
        (0..n).map(|t| each * config.objective.flop_ratio(Step(t), shape.n_classes)).sum()
    }

    /// The proxies of an arm, by origin: runs of a quarter of the width whose whole compute is that of the prefix, or
    /// that are as long as the arm if that is less.
    pub(super) fn proxies(&self, arm: &Arm) -> Vec<RunConfig> {
        let whole = self.config(arm);
        let small = |horizon: u64| {
            let mut config = self.config_over(arm, horizon.max(20));
            match &mut config.model {
                ModelConfig::Mlp(m) => m.widths.iter_mut().for_each(|w| *w = (*w / 4).max(1)),
                ModelConfig::Conv(c) => {
                    c.channels.iter_mut().for_each(|w| *w = (*w / 4).max(1));
                    c.hidden /= 4;
                }
                _ => {}
            }
            let horizon = config.horizon;
            config.record = RecordPlan::every(horizon, 0, &["set_loss", "certified"]);
            config
        };
        let longest = Self::flop(&small(self.horizon), self.horizon);
        let lengths = ORIGINS.map(|share| {
            let spent = Self::flop(&whole, self.at(share));
            ((spent / longest * self.horizon as f64) as u64).min(self.horizon)
        });
        lengths.map(small).to_vec()
    }
}

/// The same run, attacked beside.
pub(super) fn attacked(mut config: RunConfig) -> RunConfig {
    config.record.probes.push(ATTACKED.to_owned());
    config
}

/// What is known before a run: its curriculum, radius and learning rate.
pub(super) fn observable(arm: &Arm) -> Features {
    let mut f: Features = arm.curriculum.features().into_iter().collect();
    f.insert("ln_eps".into(), arm.eps.ln());
    f.insert("ln_lr".into(), arm.lr.ln());
    f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arm_is_fitted_and_forecast_and_all_can_be_run() {
        for (tier, n) in [(Tier::Smoke, None), (Tier::Study, None), (Tier::Smoke, Some(1))] {
            let sizes = Sizes::drawn(tier, n);
            let (fit, test) = sizes.grid(0);
            assert_eq!((fit.len(), test.len()), (sizes.n_fit as usize, sizes.n_test as usize));
            assert!(fit.iter().all(|f| test.iter().all(|t| t.id != f.id)));
            for arm in fit.iter().chain(&test) {
                let config = attacked(sizes.config(arm));
                config.check().unwrap();
                for proxy in sizes.proxies(arm) {
                    proxy.check().unwrap();
                    assert!(proxy.horizon <= sizes.horizon);
                }
                for share in ORIGINS.iter().chain(&RUNGS).chain(&FORKS) {
                    assert!(config.record.reads(sizes.at(*share)), "{share}");
                }
            }
            assert_eq!(sizes.grid(0), (fit.clone(), test));
            assert_ne!(sizes.grid(1).0, fit);
        }
    }

    #[test]
    fn a_proxy_costs_no_more_than_the_prefix_it_stands_beside() {
        let sizes = Sizes::drawn(Tier::Study, None);
        for arm in sizes.grid(0).0.iter().take(5) {
            let whole = sizes.config(arm);
            for (proxy, share) in sizes.proxies(arm).iter().zip(ORIGINS) {
                let cost = Sizes::flop(proxy, proxy.horizon);
                let prefix = Sizes::flop(&whole, sizes.at(share));
                assert!(cost <= 1.05 * prefix, "{share}: {cost:.2e} of {prefix:.2e}");
            }
        }
    }
}
