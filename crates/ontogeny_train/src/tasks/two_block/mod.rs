//! Two blocks: a core that is hard to read and a shortcut that is easy, correlated with the answer.
//!
//! A protected attribute a is +1 with probability `majority`; the answer y equals a with probability (1 + rho)/2.
//! The core block holds `k` signs whose product is y, each written into 8 numbers as
//! `core_gain * s_i * u_i + N(0, I)`; the shortcut block holds `shortcut_gain * a * v + N(0, I)` in 8 numbers; 16
//! numbers are noise. The directions u_i and v are unit vectors of the data seed. Labels of training examples are
//! turned around with probability `label_noise`; those of the other splits are not. Train, probe, audit and refit
//! examples are drawn from streams of their own and share none.
//!
//! A [`Treatment`] changes which examples an update sees, or which weights it moves, within a window of steps. Outside
//! the window every update has the batch it would have had anyway, so that a fork and its parent share their noise.
//!
//! Treatments: group-balanced resampling; group distributionally robust optimization with sampling in proportion to
//! the weights of the groups (Sagawa et al. 2020, arXiv:1911.08731: `q_g <- q_g exp(eta loss_g)`, the same expected
//! update as weighting groups that are drawn alike); up-weighting of what the network gets wrong now, without group
//! labels (after Liu et al. 2021, arXiv:2107.09044); shortcut-block dropout; the last layer alone on balanced held-out
//! examples (after Kirichenko et al. 2022, arXiv:2204.02937, by gradient steps instead of a solver, so that it costs
//! as many gradient examples as the others).

use super::{EvalSet, Given, InputShape, Task, TaskShape};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::{Draws, Philox};
use ontogeny_engine::{Batch, Inputs, Outputs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Numbers into which one sign is written; also the width of the shortcut block.
const BLOCK: usize = 8;
/// Numbers that say nothing.
const NOISE: usize = 16;
/// Candidates per example of a batch that is chosen by errors.
const CANDIDATES: usize = 4;
/// Examples of a batch on which the gradient of a group is read, at most.
const GRADIENT_EXAMPLES: usize = 512;
/// Groups are numbered `2 [a = 1] + [y = 1]`.
const GROUPS: usize = 4;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoBlockConfig {
    /// P(a = 1).
    pub majority: f64,
    /// Correlation of answer and attribute in a population where both are balanced.
    pub rho: f64,
    /// Signs whose product is the answer.
    pub k: usize,
    /// Length of the core's signal, in standard deviations of its noise.
    pub core_gain: f64,
    /// Length of the shortcut's signal, likewise.
    pub shortcut_gain: f64,
    /// Share of training labels that are turned around.
    pub label_noise: f64,
    /// Training examples.
    pub n_train: usize,
    /// Examples of an update, drawn with replacement.
    pub batch_examples: usize,
    /// Examples that probes read.
    pub n_probe: usize,
    /// Examples that decide final outcomes, and nothing else.
    pub n_audit: usize,
    /// What some updates do differently.
    pub treatment: Option<Treatment>,
}

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

impl TwoBlockConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let both = "both attributes must be met, or nothing can be compared";
        in_range("task.majority", self.majority, 0.05, 0.95, both)?;
        in_range("task.rho", self.rho, -1.0, 1.0, "it is a correlation")?;
        in_range("task.k", self.k as f64, 1.0, 64.0, "the core holds signs")?;
        in_range("task.core_gain", self.core_gain, 0.0, 1e3, "it is a length")?;
        in_range("task.shortcut_gain", self.shortcut_gain, 0.0, 1e3, "it is a length")?;
        let half = "beyond one half the labels say the opposite";
        in_range("task.label_noise", self.label_noise, 0.0, 0.5, half)?;
        in_range("task.n_train", self.n_train as f64, 16.0, 1e7, "an update needs data")?;
        in_range("task.batch_examples", self.batch_examples as f64, 1.0, 1e6, "likewise")?;
        let least = "each group is measured on examples";
        in_range("task.n_probe", self.n_probe as f64, 64.0, 1e6, least)?;
        in_range("task.n_audit", self.n_audit as f64, 64.0, 1e6, least)?;
        match self.treatment.as_ref().map(|t| t.how) {
            Some(How::GroupDro { eta }) => {
                in_range("task.treatment.how.eta", eta, 0.0, 10.0, "published values are near .01")
            }
            Some(How::ErrorsUp { weight }) => {
                in_range("task.treatment.how.weight", weight, 0.0, 1e4, "it is a ratio of rates")
            }
            Some(How::ShortcutDropout { p }) => {
                in_range("task.treatment.how.p", p, 0.0, 1.0, "it is a probability")
            }
            _ => Ok(()),
        }
    }

    /// Correlation of attribute and label among the training examples of `data_seed`: what whoever has the data can
    /// measure. `None` if one of them does not vary.
    pub fn measured_correlation(&self, data_seed: u64) -> Option<f64> {
        let stream = Philox::new(data_seed, "two_block.train");
        let (mut a, mut y, mut both) = (0.0, 0.0, 0.0);
        for i in 0..self.n_train as u64 {
            let (attribute, label) = self.marks(stream.at(i), self.label_noise).0;
            a += f64::from(attribute);
            y += f64::from(label);
            both += f64::from(attribute * label);
        }
        let n = self.n_train as f64;
        let (a, y) = (a / n, y / n);
        let spread = (a * (1.0 - a) * y * (1.0 - y)).sqrt();
        (spread > 0.0).then(|| (both / n - a * y) / spread)
    }

    /// Attribute and label of an example, and its answer before label noise.
    fn marks(&self, draws: Draws, label_noise: f64) -> ((u32, u32), bool) {
        let a = draws.uniform(0) < self.majority;
        let y = if draws.uniform(1) < 0.5 * (1.0 + self.rho) { a } else { !a };
        let label = if draws.uniform(3) < label_noise { !y } else { y };
        ((u32::from(a), u32::from(label)), y)
    }

    fn core(&self) -> usize {
        self.k * BLOCK
    }

    fn width(&self) -> usize {
        self.core() + BLOCK + NOISE
    }

    pub(super) fn shape(&self) -> TaskShape {
        let input = InputShape::Features { width: self.width() };
        TaskShape { input, n_classes: 2, every_position: false }
    }

    /// The treatment of the update at `step`.
    fn how(&self, step: u64) -> Option<How> {
        let t = self.treatment.as_ref()?;
        (t.from <= step && t.until.is_none_or(|u| step < u)).then_some(t.how)
    }

    pub(super) fn build(&self, data_seed: u64) -> TwoBlockTask {
        let maker = Maker::new(self, data_seed);
        let train = maker.examples("two_block.train", self.n_train, self.label_noise);
        let probe = maker.examples("two_block.probe", self.n_probe, 0.0);
        let audit = maker.examples("two_block.audit", self.n_audit, 0.0);
        let wants_refit = matches!(&self.treatment, Some(t) if t.how == How::LastLayer);
        let refit =
            wants_refit.then(|| maker.examples("two_block.refit", self.n_probe.max(512), 0.0));
        let core = 0..self.core();
        let shortcut = self.core()..self.core() + BLOCK;
        let exchange = Philox::new(data_seed, "two_block.exchange");
        let groups = |s: &Examples, name: &str| {
            let (aligned, conflict) = s.sides();
            vec![(format!("{name}.aligned"), aligned), (format!("{name}.conflict"), conflict)]
        };
        let set = |name, batch: Batch, groups| EvalSet { name, batch: Arc::new(batch), groups };
        let eval = vec![
            set("probe", probe.batch(), groups(&probe, "probe")),
            set("probe~shortcut", probe.exchanged(&shortcut, &probe.a, exchange.at(0)), vec![]),
            set("probe~core", probe.exchanged(&core, &probe.y, exchange.at(1)), vec![]),
            set("audit", audit.batch(), groups(&audit, "audit")),
            set("audit~shortcut", audit.exchanged(&shortcut, &audit.a, exchange.at(2)), vec![]),
        ];
        let (aligned, conflict) = probe.sides();
        let some = |rows: &[u32]| {
            Arc::new(probe.take(rows.iter().take(GRADIENT_EXAMPLES).map(|i| *i as usize)))
        };
        let gradients = vec![("aligned", some(&aligned)), ("conflict", some(&conflict))];
        TwoBlockTask {
            config: self.clone(),
            groups: train.groups(),
            refit_groups: refit.as_ref().map(Examples::groups).unwrap_or_default(),
            train,
            refit,
            stream: Philox::new(data_seed, "two_block.batches"),
            eval,
            gradients,
        }
    }
}

/// Draws examples.
struct Maker<'a> {
    config: &'a TwoBlockConfig,
    seed: u64,
    /// The u_i, then v.
    directions: Vec<[f64; BLOCK]>,
}

impl<'a> Maker<'a> {
    fn new(config: &'a TwoBlockConfig, seed: u64) -> Self {
        let stream = Philox::new(seed, "two_block.directions");
        let unit = |i: u64| {
            let draws = stream.at(i);
            let raw: [f64; BLOCK] = std::array::from_fn(|j| draws.normal(j as u64));
            let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
            raw.map(|x| x / length)
        };
        // The shortcut's direction comes first: it is the same whatever k is.
        let v = unit(0);
        let directions = (1..=config.k as u64).map(unit).chain([v]).collect();
        Self { config, seed, directions }
    }

    /// `n` examples of a stream; index 0 to 3 of example i decide attribute, answer, signs and label noise, those
    /// from 16 on the noise.
    fn examples(&self, stream: &str, n: usize, label_noise: f64) -> Examples {
        let (c, stream) = (self.config, Philox::new(self.seed, stream));
        let mut made = Examples {
            width: c.width(),
            values: Vec::with_capacity(n * c.width()),
            a: Vec::with_capacity(n),
            y: Vec::with_capacity(n),
        };
        for i in 0..n as u64 {
            let draws = stream.at(i);
            let ((a, label), y) = c.marks(draws, label_noise);
            let bits = draws.u64(2);
            let mut noise = (16..).map(|j| draws.normal(j));
            let mut product = 1.0;
            for s in 0..c.k {
                // The last sign makes the product right.
                let free = if bits >> s & 1 == 1 { 1.0 } else { -1.0 };
                let last = if y { product } else { -product };
                let sign = if s + 1 == c.k { last } else { free };
                product *= sign;
                made.write(c.core_gain * sign, &self.directions[s], &mut noise);
            }
            let sign = if a == 1 { 1.0 } else { -1.0 };
            made.write(c.shortcut_gain * sign, &self.directions[c.k], &mut noise);
            made.values.extend(noise.take(NOISE).map(|x| x as f32));
            made.a.push(a);
            made.y.push(label);
        }
        made
    }
}

/// Examples with attribute and label, each 0 or 1.
#[derive(Debug)]
struct Examples {
    width: usize,
    values: Vec<f32>,
    a: Vec<u32>,
    y: Vec<u32>,
}

impl Examples {
    fn write(&mut self, signal: f64, along: &[f64; BLOCK], noise: &mut impl Iterator<Item = f64>) {
        self.values.extend(along.iter().zip(noise).map(|(u, n)| (signal * u + n) as f32));
    }

    fn batch(&self) -> Batch {
        let inputs = Inputs::Features { values: self.values.clone(), width: self.width };
        Batch { inputs, targets: self.y.clone() }
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    fn take(&self, rows: impl Iterator<Item = usize>) -> Batch {
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for i in rows {
            values.extend_from_slice(self.row(i));
            targets.push(self.y[i]);
        }
        Batch { inputs: Inputs::Features { values, width: self.width }, targets }
    }

    /// Examples whose label is their attribute, and the others.
    fn sides(&self) -> (Vec<u32>, Vec<u32>) {
        (0..self.a.len() as u32).partition(|&i| self.a[i as usize] == self.y[i as usize])
    }

    /// The members of each group.
    fn groups(&self) -> [Vec<u32>; GROUPS] {
        let mut groups: [Vec<u32>; GROUPS] = Default::default();
        for i in 0..self.a.len() {
            groups[self.group(i)].push(i as u32);
        }
        groups
    }

    fn group(&self, i: usize) -> usize {
        (2 * self.a[i] + self.y[i]) as usize
    }

    /// Every example with the numbers in `block` taken from a random example whose `mark` is the other one.
    fn exchanged(&self, block: &std::ops::Range<usize>, mark: &[u32], draws: Draws) -> Batch {
        let with = |m: u32| -> Vec<usize> { (0..mark.len()).filter(|&i| mark[i] == m).collect() };
        let donors = [with(0), with(1)];
        let mut batch = self.batch();
        let Inputs::Features { values, width } = &mut batch.inputs else { return batch };
        for (i, row) in values.chunks_exact_mut(*width).enumerate() {
            let others = &donors[1 - mark[i] as usize];
            // With the ranges that are checked nobody is without a donor; if it were so, the row would stay.
            if !others.is_empty() {
                let donor = others[draws.below(i as u64, others.len() as u64) as usize];
                row[block.clone()].copy_from_slice(&self.row(donor)[block.clone()]);
            }
        }
        batch
    }
}

/// The generator.
#[derive(Debug)]
pub struct TwoBlockTask {
    config: TwoBlockConfig,
    train: Examples,
    groups: [Vec<u32>; GROUPS],
    refit: Option<Examples>,
    refit_groups: [Vec<u32>; GROUPS],
    stream: Philox,
    eval: Vec<EvalSet>,
    gradients: Vec<(&'static str, Arc<Batch>)>,
}

impl TwoBlockTask {
    /// Which training examples the update at `step` sees without treatment. Of each example i of the batch the
    /// numbers at 4i to 4i + 3 of the step are used: which, its group, who of the group, dropout.
    fn plain(&self, step: u64) -> Vec<usize> {
        let draws = self.stream.at(step);
        let n = self.config.n_train as u64;
        (0..self.config.batch_examples as u64).map(|i| draws.below(4 * i, n) as usize).collect()
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
    fn candidates(&self, step: u64) -> Vec<usize> {
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

impl Task for TwoBlockTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        self.batch_given(step, Given::default())
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn taps(&self) -> &'static [&'static str] {
        &["layers.1.post"]
    }

    fn gradient_batches(&self) -> &[(&'static str, Arc<Batch>)] {
        &self.gradients
    }

    fn batch_given(&self, step: u64, given: Given<'_>) -> Arc<Batch> {
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

    fn pool(&self, step: u64) -> Option<Arc<Batch>> {
        let chooses = matches!(self.config.how(step), Some(How::ErrorsUp { .. }));
        chooses.then(|| Arc::new(self.train.take(self.candidates(step).into_iter())))
    }

    fn adapts(&self, step: u64) -> bool {
        matches!(self.config.how(step), Some(How::GroupDro { .. }))
    }

    fn adapted(&self, step: u64, weights: &[f64], seen: &Outputs) -> Vec<f64> {
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

    fn trains_last_layer_only(&self, step: u64) -> bool {
        self.config.how(step) == Some(How::LastLayer)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn tiny() -> TwoBlockConfig {
        TwoBlockConfig {
            majority: 0.6,
            rho: 0.7,
            k: 2,
            core_gain: 1.5,
            shortcut_gain: 2.0,
            label_noise: 0.1,
            n_train: 4096,
            batch_examples: 128,
            n_probe: 1024,
            n_audit: 1024,
            treatment: None,
        }
    }

    fn treated(how: How) -> TwoBlockConfig {
        TwoBlockConfig { treatment: Some(Treatment { how, from: 2, until: Some(4) }), ..tiny() }
    }

    /// Mean along a block of what should stand there, over examples.
    fn signal(s: &Examples, block: std::ops::Range<usize>, sign: impl Fn(usize) -> f64) -> f64 {
        let mean = |j: usize| {
            let n = s.a.len();
            (0..n).map(|i| sign(i) * f64::from(s.row(i)[j])).sum::<f64>() / n as f64
        };
        block.map(|j| mean(j).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn attribute_answer_and_signals_follow_the_generator() {
        let c = TwoBlockConfig { n_train: 20_000, ..tiny() };
        let maker = Maker::new(&c, 5);
        let s = maker.examples("two_block.train", c.n_train, 0.0);
        let n = c.n_train as f64;
        let share = |f: &dyn Fn(usize) -> bool| (0..c.n_train).filter(|&i| f(i)).count() as f64 / n;
        // Four standard errors of a share at n = 20,000 are at most .0142.
        assert!((share(&|i| s.a[i] == 1) - 0.6).abs() < 0.0142);
        assert!((share(&|i| s.a[i] == s.y[i]) - 0.85).abs() < 0.0142);
        // P(y = 1) = .6 * .85 + .4 * .15 = .57; covariance .51 - .6 * .57.
        let r = 0.168 / (0.6f64 * 0.4 * 0.57 * 0.43).sqrt();
        let clean = TwoBlockConfig { label_noise: 0.0, ..c.clone() };
        assert!((clean.measured_correlation(5).unwrap() - r).abs() < 0.02);
        let a = signal(&s, 16..24, |i| 2.0 * f64::from(s.a[i]) - 1.0);
        // Length of a mean vector: its noise adds sqrt(8 / n) at most a few times over.
        assert!((a - 2.0).abs() < 0.06, "{a}");
        // One sign of two says nothing about the answer, their product all.
        assert!(signal(&s, 0..8, |i| 2.0 * f64::from(s.y[i]) - 1.0) < 0.08);
        let along = |i: usize, b: usize| -> f64 {
            (0..8).map(|j| f64::from(s.row(i)[8 * b + j]) * maker.directions[b][j]).sum()
        };
        let right = share(&|i| (along(i, 0) * along(i, 1) > 0.0) == (s.y[i] == 1));
        // P(both signs read right or both wrong) at 1.5 standard deviations: .933^2 + .067^2.
        assert!((right - 0.875).abs() < 0.0142, "{right}");
        let noisy = maker.examples("two_block.train", c.n_train, 0.1);
        let flipped = share(&|i| s.y[i] != noisy.y[i]);
        assert!((flipped - 0.1).abs() < 0.0142 && s.values == noisy.values, "{flipped}");
    }

    #[test]
    fn an_exchange_changes_one_block_and_brings_the_other_mark() {
        let task = tiny().build(3);
        let sets = task.eval_sets();
        let values = |i: usize| match &sets[i].batch.inputs {
            Inputs::Features { values, .. } => values.clone(),
            _ => panic!(),
        };
        let (plain, short, core) = (values(0), values(1), values(2));
        let width = 40;
        let same = |a: &[f32], b: &[f32], r: std::ops::Range<usize>| {
            a.chunks(width).zip(b.chunks(width)).all(|(x, y)| x[r.clone()] == y[r.clone()])
        };
        assert!(same(&plain, &short, 0..16) && same(&plain, &short, 24..40));
        assert!(same(&plain, &core, 16..40) && !same(&plain, &core, 0..16));
        let config = tiny();
        let maker = Maker::new(&config, 3);
        let s = maker.examples("two_block.probe", 1024, 0.0);
        let along = |v: &[f32], i: usize| -> f64 {
            let at = &v[i * width + 16..i * width + 24];
            at.iter().zip(maker.directions[2]).map(|(x, u)| f64::from(*x) * u).sum()
        };
        let mean: f64 =
            (0..1024).map(|i| along(&short, i) * (2.0 * f64::from(s.a[i]) - 1.0)).sum::<f64>()
                / 1024.0;
        assert!((mean + 2.0).abs() < 0.15, "the block of the other attribute: {mean}");
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
