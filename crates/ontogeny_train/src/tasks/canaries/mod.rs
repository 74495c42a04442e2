//! Canaries: random strings inserted a known number of times into text, and never-inserted ones of the same law.
//!
//! A batch is windows of 64 bytes of text. A canary is `key <8 hexadecimal digits> is <12 digits>`; it takes the beginning
//! of a window. The first 16 bytes are the prompt, the 12 digits (40 bits) what is memorized. Beside the canaries, windows of
//! text are repeated as a whole, prompt and continuation 32 bytes each. Which string is inserted when is planned ahead
//! (`schedule.rs`), and every draw is addressed by (seed, step, example), so that treatments change what they declare and
//! nothing before.
//!
//! Carlini et al. 2019 (arXiv:1802.08232) for canaries and exposure, Lee et al. 2022 (arXiv:2107.06499) for deduplication.

mod grammar;
mod schedule;
mod text;

pub use grammar::Grammar;
pub use schedule::{Move, Placement, Treatments, Unlearn};
pub use text::Text;

use super::{EvalSet, InputShape, Task, TaskShape};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::Philox;
use ontogeny_engine::{Batch, Inputs, UNREAD};
use schedule::{Inserted, Plan, is_dropped, plan};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of a window.
pub const WINDOW: usize = 64;
/// Bytes of a canary before its digits.
pub const PROMPT: usize = 16;
/// Digits of a canary: what there is to memorize.
pub const SECRET: usize = 12;
/// Bytes of a repeated window that are its continuation.
pub const CONTINUATION: usize = 32;
/// Windows of the validation set.
const N_VALID: usize = 64;
/// Bytes from this one on are read as `?`.
const D_VOCAB: usize = 128;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanariesConfig {
    /// What is read between the canaries.
    pub text: Text,
    /// Bytes of text that windows are drawn from.
    pub n_bytes: usize,
    /// Updates over which insertions are planned.
    pub n_steps: u64,
    /// Windows of an update.
    pub batch_examples: usize,
    /// Numbers of insertions that occur.
    pub counts: Vec<u32>,
    /// Canaries of each count and placement.
    pub n_per_cell: usize,
    /// Windows of text of each count that are repeated, anywhere in the run.
    pub n_duplicates: usize,
    /// Never-inserted strings: half of them are the reference of exposure, the others are tested against it.
    pub n_controls: usize,
    /// What is done from a step on.
    pub treatments: Treatments,
}

/// A canary as planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    /// Planned insertions.
    pub count: u32,
    /// Where.
    pub placement: Placement,
}

impl CanariesConfig {
    /// Counts 1 to 64 in four placements over 1.5 MB of grammar.
    pub fn standard(n_steps: u64, n_per_cell: usize) -> Self {
        Self {
            text: Text::Grammar,
            n_bytes: 1_500_000,
            n_steps,
            batch_examples: 32,
            counts: (0..7).map(|i| 1 << i).collect(),
            n_per_cell,
            n_duplicates: n_per_cell,
            n_controls: 512,
            treatments: Treatments::default(),
        }
    }

    /// The canaries in their order: by count, placement and number.
    pub fn canaries(&self) -> Vec<Canary> {
        let of = |&count: &u32| {
            Placement::ALL
                .into_iter()
                .flat_map(move |placement| vec![Canary { count, placement }; self.n_per_cell])
        };
        self.counts.iter().flat_map(of).collect()
    }

    fn n_canaries(&self) -> usize {
        self.counts.len() * Placement::ALL.len() * self.n_per_cell
    }

    /// Planned repetitions of the repeated windows.
    pub fn duplicates(&self) -> Vec<u32> {
        self.counts.iter().flat_map(|&c| vec![c; self.n_duplicates]).collect()
    }

    /// The steps at which each canary is inserted, in order, treatments included.
    pub fn insertions(&self, data_seed: u64) -> Vec<Vec<u64>> {
        let mut steps = vec![Vec::new(); self.n_canaries()];
        for (slot, what) in plan(self, data_seed) {
            if let Inserted::Canary(i) = what {
                steps[i as usize].push(slot / self.batch_examples as u64);
            }
        }
        steps
    }

    /// Which canaries are trained on again after unlearning, as numbers, the same at every step; none without that
    /// treatment. A stride through their order takes some of each count and placement.
    pub fn trained_again(&self) -> Vec<u32> {
        let Some(u) = self.treatments.unlearn else { return Vec::new() };
        let all = self.n_canaries();
        let n = (u.relearned * all as f64).ceil() as usize;
        (0..n).map(|i| ((2 * i + 1) * all / (2 * n)) as u32).collect()
    }

    /// `n` strings of the law of the canaries that are in no batch and in no set.
    pub fn fresh(&self, data_seed: u64, n: usize) -> Batch {
        let strings: Vec<Vec<u8>> = (0..n).map(|i| string(data_seed, "fresh", i)).collect();
        encode(strings.iter().map(Vec::as_slice), SECRET)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        self.text.check()?;
        let whole = |key, n: u64, min: u64, max: u64, why| {
            in_range(key, n as f64, min as f64, max as f64, why)
        };
        let size = |key, n: usize, min, max, why| whole(key, n as u64, min, max, why);
        size("task.n_bytes", self.n_bytes, WINDOW as u64, 1 << 28, "text is kept in memory")?;
        whole("task.n_steps", self.n_steps, 3, 1 << 32, "the run has three thirds")?;
        size("task.batch_examples", self.batch_examples, 1, 1 << 16, "an update needs data")?;
        size("task.counts", self.counts.len(), 1, 64, "canaries are inserted")?;
        for &c in &self.counts {
            whole("task.counts", c.into(), 1, 1 << 20, "a canary is inserted at least once")?;
        }
        size("task.n_per_cell", self.n_per_cell, 1, 1 << 12, "there are canaries")?;
        size("task.n_duplicates", self.n_duplicates, 1, 1 << 12, "there are repeated windows")?;
        size("task.n_controls", self.n_controls, 16, 1 << 16, "exposure is a rank among them")?;
        let copies: u64 = self.counts.iter().map(|c| u64::from(*c)).sum();
        let per_third = copies.saturating_mul(self.n_per_cell as u64);
        let anywhere = per_third + copies.saturating_mul(self.n_duplicates as u64);
        // A third of the run holds its own insertions and about a third of those that may be anywhere.
        let needed = per_third + anywhere.div_ceil(3);
        let places = self.n_steps / 3 * self.batch_examples as u64;
        if needed > places / 2 {
            return Err(TrainError::Mismatch {
                first: format!("{needed} insertions in a third of the run"),
                second: format!("its {places} windows"),
                why: "canaries may take half of the windows at most; lower task.n_per_cell or task.counts, or \
                      raise task.n_steps or task.batch_examples"
                    .into(),
            });
        }
        if let Some(m) = self.treatments.moved {
            let why =
                "what is moved must still be to come, and half of the rest must have room for it";
            whole("task.treatments.moved.from", m.from, 0, self.n_steps * 2 / 3, why)?;
        }
        if let Some(u) = self.treatments.unlearn {
            in_range("task.treatments.unlearn.relearned", u.relearned, 0.0, 1.0, "it is a share")?;
            let n = (u.relearned * self.n_canaries() as f64).ceil() as u64;
            let most = self.batch_examples as u64;
            whole(
                "task.treatments.unlearn.relearned",
                n,
                0,
                most,
                "as canaries, a batch holds them",
            )?;
        }
        Ok(())
    }

    pub(super) fn shape() -> TaskShape {
        let input = InputShape::Tokens { d_vocab: D_VOCAB, n_ctx: WINDOW - 1 };
        TaskShape { input, n_classes: D_VOCAB, every_position: true }
    }

    pub(super) fn build(&self, data_seed: u64) -> Result<CanariesTask, TrainError> {
        let copies = self.duplicates();
        let needed = (self.n_bytes / WINDOW + N_VALID + copies.len()) * WINDOW;
        let (text, bits) = match &self.text {
            Text::Grammar => {
                let (text, bits) = Grammar::new(data_seed).text(data_seed, needed);
                (text, Some(bits / needed as f64))
            }
            Text::Files { path, blake3 } => (Text::load(path, blake3)?, None),
        };
        if text.len() < needed {
            let (path, found) = (self.text.path(), text.len());
            return Err(TrainError::Text {
                path,
                what: format!(
                    "it holds {found} bytes, but task.n_bytes, {} repeated and {N_VALID} held-out windows take {needed}: \
                     lower task.n_bytes or add text",
                    copies.len()
                ),
                source: None,
            });
        }
        let mut task = CanariesTask {
            plan: plan(self, data_seed),
            config: self.clone(),
            strings: (0..self.n_canaries()).map(|i| string(data_seed, "canary", i)).collect(),
            first_reserved: self.n_bytes / WINDOW,
            text,
            bits_per_byte: bits,
            stream: Philox::new(data_seed, "canaries.windows"),
            eval: Vec::new(),
        };
        task.eval = task.sets(data_seed, &copies);
        Ok(task)
    }
}

impl Text {
    fn path(&self) -> String {
        match self {
            Self::Grammar => "grammar".to_owned(),
            Self::Files { path, .. } => path.clone(),
        }
    }
}

/// String `i` of a kind.
fn string(seed: u64, kind: &str, i: usize) -> Vec<u8> {
    let draws = Philox::new(seed, &format!("canaries.{kind}")).at(i as u64);
    let digits = draws.u64(1) % 10_u64.pow(SECRET as u32);
    format!("key {:08x} is {digits:012}", draws.u64(0) as u32).into_bytes()
}

/// Strings of one length as a batch in which the last `n_read` bytes are asked for.
fn encode<'a>(strings: impl Iterator<Item = &'a [u8]>, n_read: usize) -> Batch {
    let (mut ids, mut targets, mut n_ctx) = (Vec::new(), Vec::new(), 1);
    for s in strings {
        n_ctx = s.len() - 1;
        ids.extend(s[..n_ctx].iter().map(|b| token(*b)));
        let read = |(i, b): (usize, &u8)| if i + n_read >= n_ctx { token(*b) } else { UNREAD };
        targets.extend(s[1..].iter().enumerate().map(read));
    }
    Batch { inputs: Inputs::Tokens { ids, n_ctx }, targets }
}

fn token(byte: u8) -> u32 {
    if byte.is_ascii() { byte.into() } else { b'?'.into() }
}

/// The generator.
///
/// Evaluation sets: `valid` (held-out windows, every byte asked), `canaries` and `controls` (their digits asked; groups by
/// count and placement, and the two halves of the controls), `duplicates` (continuations asked; groups by count).
#[derive(Debug)]
pub struct CanariesTask {
    config: CanariesConfig,
    plan: Plan,
    strings: Vec<Vec<u8>>,
    text: Vec<u8>,
    /// The window after those that are drawn: repeated and held-out ones follow.
    first_reserved: usize,
    bits_per_byte: Option<f64>,
    stream: Philox,
    eval: Vec<EvalSet>,
}

impl CanariesTask {
    fn window(&self, i: usize) -> &[u8] {
        &self.text[i * WINDOW..(i + 1) * WINDOW]
    }

    fn sets(&self, data_seed: u64, copies: &[u32]) -> Vec<EvalSet> {
        let c = &self.config;
        let canaries = c.canaries();
        let n = c.n_controls;
        let controls: Vec<Vec<u8>> = (0..n).map(|i| string(data_seed, "control", i)).collect();
        let repeated = self.first_reserved..self.first_reserved + copies.len();
        let valid = repeated.end..repeated.end + N_VALID;
        let of = |is: &dyn Fn(usize) -> bool, n: usize| -> Vec<u32> {
            (0..n).filter(|i| is(*i)).map(|i| i as u32).collect()
        };
        let mut by_count = Vec::new();
        let mut repeats = Vec::new();
        for count in &c.counts {
            let is = |i: usize| canaries[i].count == *count;
            by_count.push((format!("canaries.c{count}"), of(&is, canaries.len())));
            let is = |i: usize| copies[i] == *count;
            repeats.push((format!("duplicates.c{count}"), of(&is, copies.len())));
        }
        for p in Placement::ALL {
            let is = |i: usize| canaries[i].placement == p;
            by_count.push((format!("canaries.{}", p.name()), of(&is, canaries.len())));
        }
        let halves = vec![
            ("controls.reference".to_owned(), of(&|i| i < n / 2, n)),
            ("controls.tested".to_owned(), of(&|i| i >= n / 2, n)),
        ];
        let set = |name, batch, groups| EvalSet { name, batch: Arc::new(batch), groups };
        let windows = |range: std::ops::Range<usize>, n| encode(range.map(|i| self.window(i)), n);
        vec![
            set("valid", windows(valid, WINDOW - 1), Vec::new()),
            set("canaries", encode(self.strings.iter().map(Vec::as_slice), SECRET), by_count),
            set("controls", encode(controls.iter().map(Vec::as_slice), SECRET), halves),
            set("duplicates", windows(repeated, CONTINUATION), repeats),
        ]
    }

    /// Canary `i` at the beginning of a window.
    fn with_canary(&self, window: usize, i: usize) -> Vec<u8> {
        let s = &self.strings[i];
        [s, &self.window(window)[s.len()..]].concat()
    }
}

impl Task for CanariesTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        let c = &self.config;
        let (draws, n) = (self.stream.at(step), c.batch_examples);
        let t = &c.treatments;
        let after = t.unlearn.filter(|u| step >= u.from);
        let again = if after.is_some() { c.trained_again() } else { Vec::new() };
        let first = step * n as u64;
        let windows: Vec<Vec<u8>> = (0..n)
            .map(|i| {
                let window = draws.below(2 * i as u64, self.first_reserved as u64) as usize;
                if self.ascends(step) {
                    let canary = draws.below(2 * i as u64 + 1, self.strings.len() as u64);
                    return self.with_canary(window, canary as usize);
                }
                if let Some(&canary) = again.get(i) {
                    return self.with_canary(window, canary as usize);
                }
                match self.plan.get(&(first + i as u64)) {
                    Some(Inserted::Canary(i)) => self.with_canary(window, *i as usize),
                    Some(Inserted::Duplicate(i)) => {
                        self.window(self.first_reserved + *i as usize).to_vec()
                    }
                    None => self.window(window).to_vec(),
                }
            })
            .collect();
        let mut batch = encode(windows.iter().map(Vec::as_slice), WINDOW - 1);
        if self.ascends(step) {
            // Only what is to be forgotten: the digits.
            let is_secret =
                |i: usize| (PROMPT - 1..PROMPT - 1 + SECRET).contains(&(i % (WINDOW - 1)));
            let targets = batch.targets.iter_mut().enumerate();
            targets.filter(|(i, _)| !is_secret(*i)).for_each(|(_, t)| *t = UNREAD);
        } else if t.goldfish_from.is_some_and(|from| step >= from) {
            for (w, targets) in windows.iter().zip(batch.targets.chunks_mut(WINDOW - 1)) {
                let dropped = targets.iter_mut().enumerate().filter(|(i, _)| is_dropped(&w[..=*i]));
                dropped.for_each(|(_, t)| *t = UNREAD);
            }
        }
        Arc::new(batch)
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn bits_per_byte(&self) -> Option<f64> {
        self.bits_per_byte
    }

    fn ascends(&self, step: u64) -> bool {
        let u = self.config.treatments.unlearn;
        u.is_some_and(|u| (u.from..u.from + u.n_steps).contains(&step))
    }
}

#[cfg(test)]
mod tests;
