//! Two blocks: a core that is hard to read and a shortcut that is easy, correlated with the answer.
//!
//! A protected attribute a is +1 with probability `majority`; the answer y equals a with probability (1 + rho)/2.
//! The core block holds `k` signs whose product is y, each written into 8 numbers as
//! `core_gain * s_i * u_i + N(0, I)`; the shortcut block holds `shortcut_gain * a * v + N(0, I)` in 8 numbers; 16
//! numbers are noise. The directions u_i and v are unit vectors of the data seed. Labels of training examples are
//! turned around with probability `label_noise`; those of the other splits are not. Train, probe, audit and refit
//! examples are drawn from streams of their own and share none. A [`Treatment`] changes what some updates do.

mod treatment;

pub use treatment::{How, Treatment};

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
        self.treatment.as_ref().map_or(Ok(()), Treatment::check)
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
        self.treated(step, given)
    }

    fn pool(&self, step: u64) -> Option<Arc<Batch>> {
        let chooses = matches!(self.config.how(step), Some(How::ErrorsUp { .. }));
        chooses.then(|| Arc::new(self.train.take(self.candidates(step).into_iter())))
    }

    fn adapts(&self, step: u64) -> bool {
        matches!(self.config.how(step), Some(How::GroupDro { .. }))
    }

    fn adapted(&self, step: u64, weights: &[f64], seen: &Outputs) -> Vec<f64> {
        self.reweighted(step, weights, seen)
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
}
