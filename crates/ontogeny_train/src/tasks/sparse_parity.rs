//! Multitask sparse parity: smooth loss, discrete skills (Michaud et al. 2023, arXiv:2303.13506).
//!
//! Task k is met with probability p_k; the input is a one-hot of the task beside random bits ±1; the answer
//! is the parity of the few bits that belong to the task. Every update sees a fresh batch.

use super::{EvalSet, InputShape, Task, TaskShape};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::{Draws, Philox};
use ontogeny_engine::{Batch, Inputs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseParityConfig {
    /// Number of tasks.
    pub n_tasks: usize,
    /// Random bits in an input, at most 64.
    pub n_bits: usize,
    /// Bits of a parity.
    pub order: usize,
    /// How often each task is met.
    pub mixture: Mixture,
    /// Examples of an update.
    pub batch_examples: usize,
    /// Examples of each task in the evaluation set.
    pub eval_examples_per_task: usize,
}

/// Probabilities of the tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Mixture {
    /// `p_k` proportional to `k^-(1 + alpha)`, k = 1, 2, ...
    Zipf {
        /// Excess of the exponent over 1.
        alpha: f64,
    },
    /// Given weights, one per task; they need not sum to 1.
    Weights {
        /// The weights.
        weights: Vec<f64>,
    },
}

impl SparseParityConfig {
    /// 16 tasks of 3 bits among 24, Zipf exponent 1 + `alpha`, batch 1024.
    pub fn zipf(alpha: f64) -> Self {
        Self {
            n_tasks: 16,
            n_bits: 24,
            order: 3,
            mixture: Mixture::Zipf { alpha },
            batch_examples: 1024,
            eval_examples_per_task: 128,
        }
    }

    /// Probability of each task, summing to 1.
    pub fn probabilities(&self) -> Vec<f64> {
        let weights: Vec<f64> = match &self.mixture {
            Mixture::Zipf { alpha } => {
                (1..=self.n_tasks).map(|k| (k as f64).powf(-(1.0 + alpha))).collect()
            }
            Mixture::Weights { weights } => weights.clone(),
        };
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / sum).collect()
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range(
            "task.n_tasks",
            self.n_tasks as f64,
            1.0,
            4096.0,
            "inputs hold a one-hot of the task",
        )?;
        in_range(
            "task.n_bits",
            self.n_bits as f64,
            1.0,
            64.0,
            "the bits of an input are drawn as one word",
        )?;
        in_range(
            "task.order",
            self.order as f64,
            1.0,
            self.n_bits as f64,
            "a parity uses bits of the input",
        )?;
        in_range(
            "task.batch_examples",
            self.batch_examples as f64,
            1.0,
            f64::MAX,
            "an update needs data",
        )?;
        let eval = self.eval_examples_per_task as f64;
        in_range(
            "task.eval_examples_per_task",
            eval,
            1.0,
            1e6,
            "each skill is measured on examples",
        )?;
        match &self.mixture {
            Mixture::Zipf { alpha } => {
                in_range("task.mixture.alpha", *alpha, -1.0, 10.0, "-1 is the uniform mixture")
            }
            Mixture::Weights { weights } => {
                if weights.len() != self.n_tasks {
                    return Err(TrainError::Mismatch {
                        first: format!("task.n_tasks = {}", self.n_tasks),
                        second: format!("{} task.mixture.weights", weights.len()),
                        why: "every task needs a weight".into(),
                    });
                }
                for &w in weights {
                    in_range("task.mixture.weights", w, 0.0, 1e12, "a weight is a rate")?;
                }
                let sum = weights.iter().sum();
                in_range(
                    "task.mixture.weights (sum)",
                    sum,
                    1e-12,
                    f64::MAX,
                    "some task must be met",
                )
            }
        }
    }

    pub(super) fn shape(&self) -> TaskShape {
        let input = InputShape::Features { width: self.n_tasks + self.n_bits };
        TaskShape { input, n_classes: 2, every_position: false }
    }

    pub(super) fn build(&self, data_seed: u64) -> SparseParityTask {
        let probabilities = self.probabilities();
        let mut sum = 0.0;
        let cumulative = probabilities.iter().map(|p| {
            sum += p;
            sum
        });
        let subsets = Philox::new(data_seed, "parity.subsets");
        let masks = (0..self.n_tasks as u64)
            .map(|k| {
                let order = subsets.at(k).permutation(self.n_bits);
                order[..self.order].iter().fold(0u64, |mask, &bit| mask | 1 << bit)
            })
            .collect();
        let mut task = SparseParityTask {
            config: self.clone(),
            cumulative: cumulative.collect(),
            probabilities: self.probabilities(),
            masks,
            stream: Philox::new(data_seed, "parity.batches"),
            eval: Vec::new(),
        };
        let per = self.eval_examples_per_task;
        let bits = Philox::new(data_seed, "parity.eval").at(0);
        let batch = task.make(per * self.n_tasks, bits, |i| i / per);
        let group = |k: usize| {
            let first = (k * per) as u32;
            (format!("skill.{}", k + 1), (first..first + per as u32).collect())
        };
        task.eval = vec![EvalSet {
            name: "skills",
            batch: Arc::new(batch),
            groups: (0..self.n_tasks).map(group).collect(),
        }];
        task
    }
}

/// The generator.
#[derive(Debug)]
pub struct SparseParityTask {
    config: SparseParityConfig,
    cumulative: Vec<f64>,
    probabilities: Vec<f64>,
    masks: Vec<u64>,
    stream: Philox,
    eval: Vec<EvalSet>,
}

impl SparseParityTask {
    /// `n` examples: index 2i of `draws` decides the task of example i (where asked), 2i + 1 its bits.
    fn make(&self, n: usize, draws: Draws, task_of: impl Fn(usize) -> usize) -> Batch {
        let (n_tasks, n_bits) = (self.config.n_tasks, self.config.n_bits);
        let width = n_tasks + n_bits;
        let mut values = vec![0.0f32; n * width];
        let mut targets = Vec::with_capacity(n);
        for (i, row) in values.chunks_exact_mut(width).enumerate() {
            let task = task_of(i);
            let bits = draws.u64(2 * i as u64 + 1);
            row[task] = 1.0;
            for (b, v) in row[n_tasks..].iter_mut().enumerate() {
                *v = if bits >> b & 1 == 1 { 1.0 } else { -1.0 };
            }
            targets.push((bits & self.masks[task]).count_ones() & 1);
        }
        Batch { inputs: Inputs::Features { values, width }, targets }
    }
}

impl Task for SparseParityTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        let draws = self.stream.at(step);
        let last = self.config.n_tasks - 1;
        let task_of = |i: usize| {
            let u = draws.uniform(2 * i as u64);
            self.cumulative.partition_point(|&c| c <= u).min(last)
        };
        Arc::new(self.make(self.config.batch_examples, draws, task_of))
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn group_rates(&self) -> Option<&[f64]> {
        Some(&self.probabilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_met_at_their_rates_and_labels_are_parities() {
        let config = SparseParityConfig::zipf(0.6);
        let task = config.build(1);
        let p = config.probabilities();
        let mut met = [0u32; 16];
        let mut ones = 0;
        for step in 0..20 {
            let batch = task.batch(step);
            let Inputs::Features { values, width } = &batch.inputs else { panic!() };
            for (row, &y) in values.chunks(*width).zip(&batch.targets) {
                let k = row[..16].iter().position(|&v| v == 1.0).unwrap();
                met[k] += 1;
                let negatives = (0..24)
                    .filter(|b| task.masks[k] >> b & 1 == 1 && row[16 + b] > 0.0)
                    .count() as u32;
                assert_eq!(negatives & 1, y);
                ones += y;
            }
        }
        let n = 20.0 * 1024.0;
        for (k, &m) in met.iter().enumerate() {
            // Five binomial standard errors.
            let tolerance = 5.0 * (p[k] * (1.0 - p[k]) / n).sqrt();
            assert!((f64::from(m) / n - p[k]).abs() < tolerance, "task {k}");
        }
        assert!((f64::from(ones) / n - 0.5).abs() < 0.02);
    }

    #[test]
    fn a_mixture_changes_which_tasks_are_met_but_not_their_bits() {
        let zipf = SparseParityConfig::zipf(0.6);
        let uniform = SparseParityConfig {
            mixture: Mixture::Weights { weights: vec![1.0; 16] },
            ..zipf.clone()
        };
        let bits = |c: &SparseParityConfig| match &c.build(1).batch(5).inputs {
            Inputs::Features { values, width } => {
                values.chunks(*width).flat_map(|r| r[16..].to_vec()).collect::<Vec<f32>>()
            }
            _ => panic!(),
        };
        assert_eq!(bits(&zipf), bits(&uniform));
        assert!(uniform.probabilities().iter().all(|p| (p - 1.0 / 16.0).abs() < 1e-15));
    }
}
