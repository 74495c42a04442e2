//! Tinted glyphs: ten drawn figures in two classes, on a ground whose tint goes with the class more often than not.
//!
//! After Hall et al. 2022 (arXiv:2201.11706), who tinted photographs. Figures are those of the task [`glyphs`](super::glyphs);
//! the first five are class 0, the others class 1. The ground of an image is tinted in the first of three channels
//! (attribute 1) or the last (attribute 0): `v + tint (1 - v)`, so that a tint fades where there is ink. The attribute
//! is the class with probability `.5 + skew`. A strong tint is an easy shortcut; noise makes the figures hard.
//!
//! Train, probe and audit examples are drawn from streams of their own and share none; an update draws its batch with
//! replacement, addressed by (data seed, step). Evaluation sets are named as those of the two-block task, whose
//! shortcut is the tint here and whose core is the figure, so that the same probes read both: `<set>~shortcut` has every
//! image with the other tint, `<set>~core` with a figure of the other class and its own tint.

use super::glyphs::{Artist, GlyphsConfig};
use super::images::Images;
use super::{EvalSet, InputShape, Task, TaskShape, Threat};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::Philox;
use ontogeny_engine::{Batch, Inputs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Red, green, blue.
const CHANNELS: usize = 3;
/// The first figure of class 1.
const SECOND_CLASS: u8 = 5;
/// Examples of a batch on which the gradient of a side is read, at most.
const GRADIENT_EXAMPLES: usize = 256;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TintedGlyphsConfig {
    /// Height and width of an image.
    pub side: usize,
    /// How much more often than not the tint goes with the class, in [0, .5].
    pub skew: f64,
    /// Strength of the tint.
    pub tint: f64,
    /// Strength of the jitter of a figure.
    pub jitter: f64,
    /// Standard deviation of the noise of a pixel.
    pub noise: f64,
    /// Training examples.
    pub n_train: usize,
    /// Examples of an update, drawn with replacement.
    pub batch_examples: usize,
    /// Examples that probes read.
    pub n_probe: usize,
    /// Examples that decide final outcomes, and nothing else.
    pub n_audit: usize,
}

impl TintedGlyphsConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let half = "tint and class agree in a share of .5 + skew";
        in_range("task.skew", self.skew, 0.0, 0.5, half)?;
        in_range("task.tint", self.tint, 0.0, 1.0, "pixels lie in [0, 1]")?;
        let least = "each side is measured on examples";
        in_range("task.n_probe", self.n_probe as f64, 64.0, 1e5, least)?;
        in_range("task.n_audit", self.n_audit as f64, 64.0, 1e5, least)?;
        self.figures().check()
    }

    /// The figures, before they are tinted.
    fn figures(&self) -> GlyphsConfig {
        GlyphsConfig {
            side: self.side,
            jitter: self.jitter,
            noise: self.noise,
            n_train: self.n_train,
            batch_examples: self.batch_examples,
            n_probe: self.n_probe,
            n_audit: self.n_audit,
            threat: Threat { n_watched: 1, ..Threat::of(0.0) },
            ..GlyphsConfig::small(0.0)
        }
    }

    pub(super) fn shape(&self) -> TaskShape {
        let input = InputShape::Image { shape: [CHANNELS, self.side, self.side] };
        TaskShape { input, n_classes: 2, every_position: false }
    }

    /// Attributes of examples whose classes are `y`.
    fn attributes(&self, data_seed: u64, stream: &str, y: &[u32]) -> Vec<u32> {
        let stream = Philox::new(data_seed, stream);
        let agrees = |i: usize| stream.at(i as u64).uniform(0) < 0.5 + self.skew;
        y.iter().enumerate().map(|(i, y)| if agrees(i) { *y } else { 1 - y }).collect()
    }

    pub(super) fn build(&self, data_seed: u64) -> TintedGlyphsTask {
        let figures = self.figures();
        let artist = Artist::new(&figures, data_seed);
        let scenes = |name: &str, n: usize| {
            let images = artist.images(&format!("tinted.{name}"), n);
            let y: Vec<u32> =
                images.classes.iter().map(|c| u32::from(*c >= SECOND_CLASS)).collect();
            let a = self.attributes(data_seed, &format!("tinted.{name}.tint"), &y);
            Scenes { images, tint: self.tint, a, y }
        };
        let (probe, audit) = (scenes("probe", self.n_probe), scenes("audit", self.n_audit));
        let set = |name, batch, groups| EvalSet { name, batch: Arc::new(batch), groups };
        let sides = |s: &Scenes, name: &str| {
            let (aligned, conflict) = s.sides();
            vec![(format!("{name}.aligned"), aligned), (format!("{name}.conflict"), conflict)]
        };
        let donors = Philox::new(data_seed, "tinted.donors").at(0);
        let eval = vec![
            set("probe", probe.all(), sides(&probe, "probe")),
            set("probe~shortcut", probe.other_tint(), vec![]),
            set("probe~core", probe.other_figure(|i, n| donors.below(i, n)), vec![]),
            set("audit", audit.all(), sides(&audit, "audit")),
            set("audit~shortcut", audit.other_tint(), vec![]),
        ];
        let (aligned, conflict) = probe.sides();
        let some = |rows: &[u32]| {
            let rows = rows.iter().take(GRADIENT_EXAMPLES).map(|i| *i as usize);
            Arc::new(probe.batch(rows.map(|i| (i, probe.a[i], probe.y[i]))))
        };
        TintedGlyphsTask {
            gradients: vec![("aligned", some(&aligned)), ("conflict", some(&conflict))],
            train: scenes("train", self.n_train),
            stream: Philox::new(data_seed, "tinted.batches"),
            batch_examples: self.batch_examples as u64,
            eval,
        }
    }

    /// Correlation of attribute and class among the training examples of `data_seed`; `None` if one does not vary.
    pub fn measured_correlation(&self, data_seed: u64) -> Option<f64> {
        let figures = self.figures();
        let classes = Artist::new(&figures, data_seed).classes("tinted.train", self.n_train);
        let y: Vec<u32> = classes.map(|c| u32::from(c >= SECOND_CLASS)).collect();
        let a = self.attributes(data_seed, "tinted.train.tint", &y);
        let n = y.len() as f64;
        let mean = |x: &mut dyn Iterator<Item = u32>| x.map(f64::from).sum::<f64>() / n;
        let (my, ma) = (mean(&mut y.iter().copied()), mean(&mut a.iter().copied()));
        let both = mean(&mut y.iter().zip(&a).map(|(y, a)| y * a));
        let spread = (ma * (1.0 - ma) * my * (1.0 - my)).sqrt();
        (spread > 0.0).then(|| (both - ma * my) / spread)
    }
}

/// Figures with their classes and the tints of their grounds, each 0 or 1.
#[derive(Debug)]
struct Scenes {
    images: Images,
    tint: f64,
    a: Vec<u32>,
    y: Vec<u32>,
}

impl Scenes {
    /// Images of (figure, tint, class).
    fn batch(&self, rows: impl Iterator<Item = (usize, u32, u32)>) -> Batch {
        let [height, width] = self.images.size;
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for (i, a, y) in rows {
            let tinted = if a == 1 { 0 } else { CHANNELS - 1 };
            for channel in 0..CHANNELS {
                let tint = if channel == tinted { self.tint } else { 0.0 };
                let pixels = self.images.image(i).iter().map(|v| f64::from(*v) / 255.0);
                values.extend(pixels.map(|v| (v + tint * (1.0 - v)) as f32));
            }
            targets.push(y);
        }
        Batch { inputs: Inputs::Images { values, channels: CHANNELS, height, width }, targets }
    }

    fn all(&self) -> Batch {
        self.batch((0..self.y.len()).map(|i| (i, self.a[i], self.y[i])))
    }

    /// Every image on the ground of the other tint.
    fn other_tint(&self) -> Batch {
        self.batch((0..self.y.len()).map(|i| (i, 1 - self.a[i], self.y[i])))
    }

    /// Every ground with a figure of the other class; `draw(i, n)` chooses one of `n`.
    fn other_figure(&self, draw: impl Fn(u64, u64) -> u64) -> Batch {
        let with =
            |y: u32| -> Vec<usize> { (0..self.y.len()).filter(|&i| self.y[i] == y).collect() };
        let donors = [with(0), with(1)];
        self.batch((0..self.y.len()).map(|i| {
            let others = &donors[1 - self.y[i] as usize];
            // With the sizes that are checked nobody is without a donor; if it were so, the figure would stay.
            let donor = if others.is_empty() {
                i
            } else {
                others[draw(i as u64, others.len() as u64) as usize]
            };
            (donor, self.a[i], self.y[i])
        }))
    }

    /// Examples whose tint is that of their class, and the others.
    fn sides(&self) -> (Vec<u32>, Vec<u32>) {
        (0..self.a.len() as u32).partition(|&i| self.a[i as usize] == self.y[i as usize])
    }
}

/// The generator.
#[derive(Debug)]
pub struct TintedGlyphsTask {
    train: Scenes,
    stream: Philox,
    batch_examples: u64,
    eval: Vec<EvalSet>,
    gradients: Vec<(&'static str, Arc<Batch>)>,
}

impl Task for TintedGlyphsTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        let (draws, s) = (self.stream.at(step), &self.train);
        let rows = (0..self.batch_examples).map(|i| draws.below(i, s.y.len() as u64) as usize);
        Arc::new(s.batch(rows.map(|i| (i, s.a[i], s.y[i]))))
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn taps(&self) -> &'static [&'static str] {
        &["hidden.post"]
    }

    fn gradient_batches(&self) -> &[(&'static str, Arc<Batch>)] {
        &self.gradients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> TintedGlyphsConfig {
        TintedGlyphsConfig {
            side: 12,
            skew: 0.3,
            tint: 0.4,
            jitter: 0.5,
            noise: 0.1,
            n_train: 2000,
            batch_examples: 16,
            n_probe: 256,
            n_audit: 128,
        }
    }

    fn images(batch: &Batch) -> Vec<&[f32]> {
        let Inputs::Images { values, .. } = &batch.inputs else { panic!("images are drawn") };
        values.chunks(3 * 144).collect()
    }

    #[test]
    fn tint_goes_with_the_class_as_often_as_asked() {
        let task = tiny().build(4);
        let (aligned, conflict) = task.train.sides();
        // Five binomial standard errors of a share of .8 among 2000.
        let share = aligned.len() as f64 / (aligned.len() + conflict.len()) as f64;
        assert!((share - 0.8).abs() < 0.045, "{share}");
        // With classes and tints alike often the correlation is twice the skew.
        let r = tiny().measured_correlation(4).unwrap();
        assert!((r - 0.6).abs() < 0.1 && (r - (2.0 * share - 1.0)).abs() < 0.01, "{r} {share}");
        assert_eq!(TintedGlyphsConfig { skew: 0.5, ..tiny() }.build(4).train.sides().1.len(), 0);
    }

    #[test]
    fn an_exchange_changes_the_tint_or_the_figure_and_nothing_else() {
        let task = tiny().build(4);
        let batches: Vec<_> = task.eval.iter().map(|s| &*s.batch).collect();
        let [plain, tinted, figured] = [0, 1, 2].map(|i| images(batches[i]));
        let channel = |image: &[f32], c: usize| image[144 * c..144 * (c + 1)].to_vec();
        for i in 0..256 {
            // Red and blue change places; green, which is never tinted, is the figure.
            assert_eq!(channel(plain[i], 0), channel(tinted[i], 2), "{i}");
            assert_eq!(channel(plain[i], 2), channel(tinted[i], 0), "{i}");
            assert_eq!(channel(plain[i], 1), channel(tinted[i], 1), "{i}");
            let is_red = |image: &[f32]| channel(image, 0) > channel(image, 1);
            assert_eq!(is_red(plain[i]), is_red(figured[i]), "{i}");
            let donor = (0..256).find(|j| channel(plain[*j], 1) == channel(figured[i], 1));
            let donor = donor.expect("the figure is that of another probe image");
            assert_ne!(batches[0].targets[donor], batches[0].targets[i]);
        }
        assert!(plain.iter().flat_map(|i| i.iter()).all(|v| (0.0..=1.0).contains(v)));
    }

    #[test]
    fn batches_are_those_of_their_address() {
        let (a, b) = (tiny().build(1), tiny().build(1));
        assert_eq!(a.batch(7), b.batch(7));
        assert_ne!(a.batch(7), a.batch(8));
        let said = TintedGlyphsConfig { skew: 0.7, ..tiny() }.check().unwrap_err().to_string();
        insta::assert_snapshot!(said, @"configuration key task.skew is 0.7, but must lie in [0, 0.5] (tint and class agree in a share of .5 + skew)");
    }
}
