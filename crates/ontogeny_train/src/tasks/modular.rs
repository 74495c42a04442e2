//! Arithmetic modulo a prime: `(a, b) -> a op b mod p`, full batch.
//!
//! Tokens are `[a, b, =]` with `=` as id `p`; the answer is read at the last position. Sources: Power et al.
//! 2022 (arXiv:2201.02177), Nanda et al. 2023 (arXiv:2301.05217). Unlike the latter, `=` is not an output class.
//!
//! A share of the held-out pairs (a, b) has its mirror (b, a) in training when pairs are split in order. A
//! network that memorizes symmetrically answers those without having understood anything, so the two kinds
//! of held-out pairs are separate groups, and events are defined on the pairs whose mirror is held out too.

use super::{Contained, EvalSet, InputShape, Task, TaskShape};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::Philox;
use ontogeny_engine::{Batch, Inputs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModularConfig {
    /// The modulus, an odd prime.
    pub p: u32,
    /// What is computed.
    pub operation: Operation,
    /// Share of the pairs that is trained on: the first `floor(f p^2)` of a seeded shuffle.
    pub train_fraction: f64,
    /// Pairs beyond this share of the shuffle are held out; at least `train_fraction`. A fork that changes
    /// `train_fraction` keeps it, so that parent and fork are judged on the same pairs.
    pub held_out_from: f64,
    /// What is shuffled.
    pub split: Split,
    /// True labels, or random ones: the control that must never generalize.
    pub labels: Labels,
    /// Whether the mirror (b, a) of every training pair is trained on too.
    pub swap_augment: bool,
}

/// What is computed modulo p.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// a + b
    Add,
    /// a - b
    Subtract,
    /// a² + a b + b²
    Quadratic,
}

/// How pairs are divided into trained and held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Ordered pairs, as published: (a, b) and (b, a) may fall on different sides.
    Ordered,
    /// Unordered pairs: (a, b) and (b, a) fall on the same side, so symmetry gives nothing away.
    Unordered,
}

/// What the examples say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// The result.
    True,
    /// A random class per pair.
    Random,
}

impl ModularConfig {
    /// Addition modulo `p` with the published ordered split.
    pub fn addition(p: u32, train_fraction: f64) -> Self {
        Self {
            p,
            operation: Operation::Add,
            train_fraction,
            held_out_from: train_fraction,
            split: Split::Ordered,
            labels: Labels::True,
            swap_augment: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let p = f64::from(self.p);
        in_range("task.p", p, 3.0, 499.0, "the grid of p² pairs is evaluated")?;
        if (2..self.p).take_while(|d| d * d <= self.p).any(|d| self.p.is_multiple_of(d)) {
            return Err(TrainError::OutOfRange {
                key: "task.p",
                value: self.p.to_string(),
                allowed: "the odd primes".into(),
                why: "the Fourier probes need an odd prime",
            });
        }
        let f = self.train_fraction;
        in_range("task.train_fraction", f, 1.0 / (p * p), 1.0, "it is a share of the pairs")?;
        let from = self.held_out_from;
        in_range("task.held_out_from", from, 0.0, 1.0, "it is a share of the pairs")
    }

    pub(super) fn shape(&self) -> TaskShape {
        let p = self.p as usize;
        let input = InputShape::Tokens { d_vocab: p + 1, n_ctx: 3 };
        TaskShape { input, n_classes: p, every_position: false }
    }

    fn answer(&self, a: u32, b: u32, labels: Philox) -> u32 {
        let p = self.p;
        match (self.labels, self.operation) {
            (Labels::Random, _) => labels.at(0).below(u64::from(a * p + b), u64::from(p)) as u32,
            (_, Operation::Add) => (a + b) % p,
            (_, Operation::Subtract) => (a + p - b) % p,
            (_, Operation::Quadratic) => (a * a + a * b + b * b) % p,
        }
    }

    /// Pairs `a * p + b` in the order of the seeded shuffle.
    fn shuffled(&self, data_seed: u64) -> Vec<u32> {
        let p = self.p;
        let draws = Philox::new(data_seed, "modular.split").at(0);
        match self.split {
            Split::Ordered => draws.permutation((p * p) as usize),
            Split::Unordered => {
                let pairs: Vec<(u32, u32)> =
                    (0..p).flat_map(|a| (a..p).map(move |b| (a, b))).collect();
                let order = draws.permutation(pairs.len());
                let both = |&i: &u32| {
                    let (a, b) = pairs[i as usize];
                    let mirror = (a != b).then_some(b * p + a);
                    std::iter::once(a * p + b).chain(mirror)
                };
                order.iter().flat_map(both).collect()
            }
        }
    }

    pub(super) fn build(&self, data_seed: u64) -> ModularTask {
        let p = self.p;
        let n = (p * p) as usize;
        let labels = Philox::new(data_seed, "modular.labels");
        let order = self.shuffled(data_seed);
        let n_train = ((self.train_fraction * n as f64).floor() as usize).max(1);
        let n_kept = ((self.held_out_from * n as f64).floor() as usize).max(n_train);
        let mut is_train = vec![false; n];
        order[..n_train].iter().for_each(|&i| is_train[i as usize] = true);
        let mirror = |i: u32| (i % p) * p + i / p;
        if self.swap_augment {
            order[..n_train].iter().for_each(|&i| is_train[mirror(i) as usize] = true);
        }
        let train: Vec<u32> = (0..n as u32).filter(|&i| is_train[i as usize]).collect();
        let mut held_out = vec![false; n];
        order[n_kept..].iter().for_each(|&i| held_out[i as usize] = !is_train[i as usize]);
        let test: Vec<u32> = (0..n as u32).filter(|&i| held_out[i as usize]).collect();
        // The groups are named by the split itself, so that a fork which trains on mirrors keeps its groups.
        let mut in_split = vec![false; n];
        order[..n_kept].iter().for_each(|&i| in_split[i as usize] = true);
        let (mirror_in, mirror_out) = test.iter().partition(|&&i| in_split[mirror(i) as usize]);
        let batch_of = |pairs: &[u32]| Batch {
            inputs: Inputs::Tokens {
                ids: pairs.iter().flat_map(|&i| [i / p, i % p, p]).collect(),
                n_ctx: 3,
            },
            targets: pairs.iter().map(|&i| self.answer(i / p, i % p, labels)).collect(),
        };
        let grid = EvalSet {
            name: "grid",
            batch: Arc::new(batch_of(&(0..n as u32).collect::<Vec<_>>())),
            groups: vec![
                ("train".into(), train.clone()),
                ("test".into(), test),
                ("test_mirror_in".into(), mirror_in),
                ("test_mirror_out".into(), mirror_out),
            ],
        };
        let rest: Vec<u32> = (0..n as u32).filter(|&i| !is_train[i as usize]).collect();
        let rest_batch = Arc::new(batch_of(&rest));
        let batch = Arc::new(batch_of(&train));
        let contained = Contained { batch: train, rest, rest_batch };
        ModularTask { p, batch, eval: [grid], is_train, contained }
    }
}

/// The generator: one fixed batch, and the whole grid as evaluation set.
#[derive(Debug)]
pub struct ModularTask {
    /// The modulus.
    pub p: u32,
    /// Whether pair `a * p + b` is trained on.
    pub is_train: Vec<bool>,
    batch: Arc<Batch>,
    eval: [EvalSet; 1],
    contained: Contained,
}

impl Task for ModularTask {
    fn batch(&self, _step: u64) -> Arc<Batch> {
        Arc::clone(&self.batch)
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn taps(&self) -> &'static [&'static str] {
        &["blocks.0.mlp.post"]
    }

    fn contained(&self) -> Option<&Contained> {
        // Nothing is saved where nothing is left over.
        Some(&self.contained).filter(|c| !c.rest.is_empty())
    }

    fn modular(&self) -> Option<&ModularTask> {
        Some(self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::RunConfig;
    use crate::models::{ModelConfig, TransformerConfig};
    use crate::{OptimizerConfig, RecordPlan, tasks::TaskConfig};
    use ontogeny_engine::{LanePlan, Objective};

    /// A run that trains in a millisecond a step.
    pub(crate) fn tiny() -> RunConfig {
        RunConfig {
            task: TaskConfig::Modular(ModularConfig::addition(7, 0.6)),
            model: ModelConfig::Transformer(TransformerConfig::grokking(16, 2, 32)),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig::adamw(1e-3, 1.0),
            horizon: 50,
            lanes: LanePlan { lanes: 2, chunk_examples: 10 },
            record: RecordPlan::every(10, 0, &[]),
        }
    }

    fn group<'a>(task: &'a ModularTask, name: &str) -> &'a [u32] {
        &task.eval_sets()[0].groups.iter().find(|(n, _)| n == name).unwrap().1
    }

    #[test]
    fn every_pair_is_trained_on_or_held_out_with_the_right_answer() {
        let task = ModularConfig::addition(31, 0.45).build(3);
        let (train, test) = (group(&task, "train"), group(&task, "test"));
        assert_eq!((train.len(), train.len() + test.len()), (432, 961));
        let batch = task.batch(0);
        let Inputs::Tokens { ids, .. } = &batch.inputs else { panic!() };
        assert_eq!(ids.len(), 3 * 432);
        assert!(
            ids.chunks(3).zip(&batch.targets).all(|(t, &y)| (t[0] + t[1]) % 31 == y && t[2] == 31)
        );
    }

    #[test]
    fn mirrors_are_where_their_group_says() {
        let task = ModularConfig::addition(31, 0.45).build(3);
        let mirror = |&i: &u32| task.is_train[((i % 31) * 31 + i / 31) as usize];
        assert!(group(&task, "test_mirror_in").iter().all(mirror));
        assert!(!group(&task, "test_mirror_out").iter().any(mirror));
        let unordered =
            ModularConfig { split: Split::Unordered, ..ModularConfig::addition(31, 0.45) }.build(3);
        // At most the one pair that the cut divides.
        assert!(group(&unordered, "test_mirror_in").len() <= 1);
    }

    #[test]
    fn adding_mirrors_or_pairs_leaves_the_held_out_pairs_alone() {
        let base = ModularConfig::addition(31, 0.45);
        let out = |c: &ModularConfig| group(&c.build(3), "test_mirror_out").to_vec();
        assert_eq!(out(&ModularConfig { swap_augment: true, ..base.clone() }), out(&base));
        let fewer = ModularConfig { train_fraction: 0.2, ..base.clone() };
        assert_eq!(out(&fewer), out(&base));
        assert!(fewer.build(3).batch(0).targets.len() < base.build(3).batch(0).targets.len());
    }

    #[test]
    fn random_labels_ignore_the_sum() {
        let c = ModularConfig { labels: Labels::Random, ..ModularConfig::addition(31, 0.45) };
        let batch = c.build(3).batch(0);
        let Inputs::Tokens { ids, .. } = &batch.inputs else { panic!() };
        let hits =
            ids.chunks(3).zip(&batch.targets).filter(|(t, y)| (t[0] + t[1]) % 31 == **y).count();
        assert!(hits < 40, "{hits} of 432 by chance about 14");
    }

    #[test]
    fn refuses_a_modulus_that_is_not_prime() {
        let e = ModularConfig::addition(51, 0.5).check().unwrap_err().to_string();
        assert_eq!(
            e,
            "configuration key task.p is 51, but must lie in the odd primes (the Fourier probes need an odd prime)"
        );
    }
}
