//! Treatments: which examples an update sees, or which weights it moves, within a window of steps.
//!
//! Outside the window every update has the batch it would have had anyway, so that a fork and its parent share their
//! noise.
//!
//! The kinds: group-balanced resampling; group distributionally robust optimization with sampling in proportion to
//! the weights of the groups (Sagawa et al. 2020, arXiv:1911.08731: `q_g <- q_g exp(eta loss_g)`, the same expected
//! update as weighting groups that are drawn alike); up-weighting of what the network gets wrong now, without group
//! labels (after Liu et al. 2021, arXiv:2107.09044); shortcut-block dropout; the last layer alone on balanced held-out
//! examples (after Kirichenko et al. 2022, arXiv:2204.02937, by gradient steps instead of a solver, so that it costs
//! as many gradient examples as the others).

use super::{BLOCK, GROUPS, TwoBlockConfig, TwoBlockTask};
use crate::TrainError;
use crate::config::in_range;
use crate::tasks::Given;
use ontogeny_engine::{Batch, Inputs, Outputs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Candidates per example of a batch that is chosen by errors.
const CANDIDATES: usize = 4;

/// What updates do differently from `from` on and before `until`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Treatment {
    /// What they do.
    pub how: How,
    /// The first step of the window.
    pub from: u64,
    /// The step after its last; to the end of the run if absent.
    pub until: Option<u64>,
}

/// The kinds of treatment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum How {
    /// Every group (attribute, label) equally often.
    Balanced,
    /// Groups in proportion to weights that grow with their losses.
    GroupDro {
        /// Rate of the weights.
        eta: f64,
    },
    /// What the network gets wrong at this step more often than what it gets right.
    ErrorsUp {
        /// How many times as often.
        weight: f64,
    },
    /// The shortcut block of an example set to 0 with this probability.
    ShortcutDropout {
        /// The probability.
        p: f64,
    },
    /// Only the last layer learns, from balanced examples held out for it.
    LastLayer,
}

impl Treatment {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        match self.how {
            How::GroupDro { eta } => {
                in_range("task.treatment.how.eta", eta, 0.0, 10.0, "published values are near .01")
            }
            How::ErrorsUp { weight } => {
                in_range("task.treatment.how.weight", weight, 0.0, 1e4, "it is a ratio of rates")
            }
            How::ShortcutDropout { p } => {
                in_range("task.treatment.how.p", p, 0.0, 1.0, "it is a probability")
            }
            _ => Ok(()),
        }
    }
}

impl TwoBlockConfig {
    /// The treatment of the update at `step`.
    pub(super) fn how(&self, step: u64) -> Option<How> {
        let t = self.treatment.as_ref()?;
        (t.from <= step && t.until.is_none_or(|u| step < u)).then_some(t.how)
    }
}

impl TwoBlockTask {
    /// The batch of the update at `step`, as its treatment wants it.
    pub(super) fn treated(&self, step: u64, given: Given<'_>) -> Arc<Batch> {
        let even = [1.0 / GROUPS as f64; GROUPS];
        let rows = match self.config.how(step) {
            Some(How::Balanced) => self.grouped(step, &self.groups, even),
            Some(How::GroupDro { .. }) => self.dro(step, given.group_weights),
            Some(How::ErrorsUp { weight }) => match given.pool {
                Some(seen) => self.chosen(step, seen, weight),
                None => self.plain(step),
            },
            Some(How::ShortcutDropout { p }) => return Arc::new(self.without_shortcut(step, p)),
            Some(How::LastLayer) => {
                let Some(refit) = &self.refit else { return Arc::new(self.train.batch()) };
                let rows = self.grouped(step, &self.refit_groups, even);
                return Arc::new(refit.take(rows.into_iter()));
            }
            None => self.plain(step),
        };
        Arc::new(self.train.take(rows.into_iter()))
    }

    /// Examples of groups that are drawn in proportion to `weights`; a group without examples is never drawn.
    fn grouped(
        &self,
        step: u64,
        groups: &[Vec<u32>; GROUPS],
        weights: [f64; GROUPS],
    ) -> Vec<usize> {
        let draws = self.stream.at(step);
        let weight = |g: usize| if groups[g].is_empty() { 0.0 } else { weights[g] };
        let total: f64 = (0..GROUPS).map(weight).sum();
        let one = |i: u64| {
            let mut left = draws.uniform(4 * i + 1) * total;
            let mut last = 0;
            for g in (0..GROUPS).filter(|&g| weight(g) > 0.0) {
                last = g;
                if left < weight(g) {
                    break;
                }
                left -= weight(g);
            }
            let members = &groups[last];
            members[draws.below(4 * i + 2, members.len() as u64) as usize] as usize
        };
        (0..self.config.batch_examples as u64).map(one).collect()
    }

    fn weights(given: &[f64]) -> [f64; GROUPS] {
        given.try_into().unwrap_or([1.0 / GROUPS as f64; GROUPS])
    }

    fn dro(&self, step: u64, weights: &[f64]) -> Vec<usize> {
        self.grouped(step, &self.groups, Self::weights(weights))
    }

    /// The training examples among which errors choose.
    pub(super) fn candidates(&self, step: u64) -> Vec<usize> {
        let draws = self.stream.at(step);
        let (m, n) = (CANDIDATES * self.config.batch_examples, self.config.n_train as u64);
        (0..m as u64).map(|j| draws.below((1 << 32) + j, n) as usize).collect()
    }

    /// Candidates, those that `seen` shows to be wrong `weight` times as often as the others.
    fn chosen(&self, step: u64, seen: &Outputs, weight: f64) -> Vec<usize> {
        let (draws, pool) = (self.stream.at(step), self.candidates(step));
        let classes = seen.logits.cols.max(1);
        let mut sum = 0.0;
        let rows = seen.logits.values.chunks_exact(classes);
        let cumulative: Vec<f64> = rows
            .zip(&pool)
            .map(|(row, &i)| {
                sum += if argmax(row) == self.train.y[i] { 1.0 } else { weight };
                sum
            })
            .collect();
        let last = pool.len().min(cumulative.len()).saturating_sub(1);
        let one = |i: u64| {
            let at = draws.uniform(4 * i + 1) * sum;
            pool[cumulative.partition_point(|&c| c <= at).min(last)]
        };
        (0..self.config.batch_examples as u64).map(one).collect()
    }

    fn without_shortcut(&self, step: u64, p: f64) -> Batch {
        let mut batch = self.train.take(self.plain(step).into_iter());
        let (draws, core) = (self.stream.at(step), self.config.core());
        if let Inputs::Features { values, width } = &mut batch.inputs {
            for (i, row) in values.chunks_exact_mut(*width).enumerate() {
                if draws.uniform(4 * i as u64 + 3) < p {
                    row[core..core + BLOCK].fill(0.0);
                }
            }
        }
        batch
    }

    /// The weights of the groups after the update at `step`, where they change.
    pub(super) fn reweighted(&self, step: u64, weights: &[f64], seen: &Outputs) -> Vec<f64> {
        let Some(How::GroupDro { eta }) = self.config.how(step) else { return weights.to_vec() };
        let (mut sums, mut counts) = ([0.0; GROUPS], [0usize; GROUPS]);
        let rows = seen.logits.values.chunks_exact(seen.logits.cols.max(1));
        for (row, i) in rows.zip(self.dro(step, weights)) {
            let g = self.train.group(i);
            sums[g] += cross_entropy(row, self.train.y[i]);
            counts[g] += 1;
        }
        let mut q = Self::weights(weights);
        for g in 0..GROUPS {
            if counts[g] > 0 {
                q[g] *= (eta * sums[g] / counts[g] as f64).exp();
            }
        }
        let total: f64 = q.iter().sum();
        q.iter().map(|w| w / total).collect()
    }
}

fn argmax(row: &[f32]) -> u32 {
    let mut best = 0;
    for (i, v) in row.iter().enumerate() {
        if *v > row[best] {
            best = i;
        }
    }
    best as u32
}

/// `-ln softmax(row)[target]`.
fn cross_entropy(row: &[f32], target: u32) -> f64 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|v| f64::from(v - top).exp()).sum();
    sum.ln() - f64::from(row[target as usize] - top)
}

#[cfg(test)]
mod tests {
    use super::super::tests::tiny;
    use super::*;
    use crate::tasks::Task;

    fn treated(how: How) -> TwoBlockConfig {
        TwoBlockConfig { treatment: Some(Treatment { how, from: 2, until: Some(4) }), ..tiny() }
    }

    #[test]
    fn treatments_act_in_their_window_only() {
        let plain = tiny().build(1);
        let kinds = [
            How::Balanced,
            How::GroupDro { eta: 0.01 },
            How::ShortcutDropout { p: 0.5 },
            How::LastLayer,
        ];
        for how in kinds {
            let other = treated(how).build(1);
            for step in 0..6 {
                let same = plain.batch(step) == other.batch(step);
                assert_eq!(same, !(2..4).contains(&step), "{how:?} at {step}");
            }
            assert_eq!(other.trains_last_layer_only(2), how == How::LastLayer);
        }
    }

    #[test]
    fn a_balanced_batch_has_every_group_as_often() {
        let task = TwoBlockConfig { batch_examples: 4000, ..treated(How::Balanced) }.build(1);
        let rows = task.grouped(2, &task.groups, [0.25; GROUPS]);
        for g in 0..GROUPS {
            let n = rows.iter().filter(|&&i| task.train.group(i) == g).count();
            // Five binomial standard errors.
            assert!((n as f64 - 1000.0).abs() < 140.0, "group {g}: {n}");
        }
    }

    #[test]
    fn weights_of_groups_grow_with_their_losses() {
        let task = treated(How::GroupDro { eta: 0.5 }).build(1);
        let rows = task.dro(2, &[]);
        // Logits that are right for every example of label 1 and wrong for the others.
        let logits: Vec<f32> = rows.iter().flat_map(|_| [0.0, 2.0]).collect();
        let mut seen = Outputs::default();
        (seen.logits.rows, seen.logits.cols, seen.logits.values) = (rows.len(), 2, logits);
        let q = task.adapted(2, &[], &seen);
        let (right, wrong) = ((-2.0f64).exp().ln_1p(), 2.0f64.exp().ln_1p());
        let total = 2.0 * ((0.5 * right).exp() + (0.5 * wrong).exp());
        let expected = [(0.5 * wrong).exp() / total, (0.5 * right).exp() / total];
        for g in 0..GROUPS {
            assert!((q[g] - expected[g % 2]).abs() < 1e-9, "{q:?}");
        }
    }

    #[test]
    fn errors_are_chosen_more_often() {
        let task = treated(How::ErrorsUp { weight: 9.0 }).build(1);
        let pool = task.candidates(2);
        // Everything is called 1: examples of label 0 are wrong.
        let mut seen = Outputs::default();
        let logits = pool.iter().flat_map(|_| [0.0, 1.0]).collect();
        (seen.logits.rows, seen.logits.cols, seen.logits.values) = (pool.len(), 2, logits);
        let given = Given { group_weights: &[], pool: Some(&seen) };
        let batch = task.batch_given(2, given);
        let zeros = batch.targets.iter().filter(|&&y| y == 0).count() as f64;
        let in_pool = pool.iter().filter(|&&i| task.train.y[i] == 0).count() as f64;
        let share = 9.0 * in_pool / (9.0 * in_pool + (pool.len() as f64 - in_pool));
        // Five binomial standard errors of 128 draws.
        let tolerance = 5.0 * (share * (1.0 - share) / 128.0).sqrt();
        assert!((zeros / 128.0 - share).abs() < tolerance, "{zeros} of 128, {share}");
    }
}
