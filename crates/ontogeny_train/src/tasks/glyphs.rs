//! Glyphs: drawn images of ten figures, hard enough to be worth certifying and small enough for a processor.
//!
//! Each class is one fixed polyline of four segments with corners uniform in [-.75, .75]² (of the data seed). An
//! example is its class's polyline rotated by .25 j, scaled by exp(.12 j), sheared by .2 j and shifted by .12 j (each
//! times a standard normal number), drawn with a stroke of half-width U(.08, .16) and a contrast of U(c, c + .3) on a
//! background of .1, with normal noise added to each pixel; the canvas is [-1, 1]². Pixels are rounded to 8 bits, as
//! those of any image file.
//!
//! Train, probe and audit examples come from streams of their own and share none. An update draws its batch from the
//! training examples with replacement, addressed by (data seed, step).

use super::images::{ClassDistances, Images};
use super::{EvalSet, InputShape, Task, TaskShape, Threat};
use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::random::{Draws, Philox};
use ontogeny_engine::Batch;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Number of figures.
const CLASSES: u64 = 10;
/// Corners of a figure.
const CORNERS: usize = 5;
/// The first random number of an example that is noise of a pixel.
const NOISE_FROM: u64 = 16;

/// Settings of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlyphsConfig {
    /// Height and width of an image.
    pub side: usize,
    /// Strength j of the jitter.
    pub jitter: f64,
    /// Least contrast c of a stroke.
    pub contrast: f64,
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
    /// How far an adversary may go.
    pub threat: Threat,
}

impl GlyphsConfig {
    /// Images of 16 by 16 of middling difficulty, 8000 to train on, 1000 to probe and 1000 to audit.
    pub fn small(eps: f64) -> Self {
        Self {
            side: 16,
            jitter: 0.5,
            contrast: 0.6,
            noise: 0.05,
            n_train: 8000,
            batch_examples: 128,
            n_probe: 1000,
            n_audit: 1000,
            threat: Threat::of(eps),
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range("task.side", self.side as f64, 8.0, 64.0, "a stroke is a few pixels wide")?;
        in_range("task.jitter", self.jitter, 0.0, 3.0, "beyond it figures leave the canvas")?;
        in_range(
            "task.contrast",
            self.contrast,
            0.01,
            0.9,
            "a stroke is brighter than its ground",
        )?;
        in_range("task.noise", self.noise, 0.0, 1.0, "pixels lie in [0, 1]")?;
        in_range("task.n_train", self.n_train as f64, 16.0, 1e6, "an update needs data")?;
        in_range("task.batch_examples", self.batch_examples as f64, 1.0, 1e6, "likewise")?;
        let least = "shares are measured on examples";
        in_range("task.n_probe", self.n_probe as f64, 16.0, 1e5, least)?;
        in_range("task.n_audit", self.n_audit as f64, 16.0, 1e5, least)?;
        self.threat.check(self.n_probe)
    }

    pub(super) fn shape(&self) -> TaskShape {
        let input = InputShape::Image { shape: [1, self.side, self.side] };
        TaskShape { input, n_classes: CLASSES as usize, every_position: false }
    }

    /// Distances to the nearest other class among the first `n` training examples: by them an epsilon is chosen.
    pub fn class_distances(&self, data_seed: u64, n: usize) -> ClassDistances {
        let n = n.min(self.n_train);
        ClassDistances::among(&Artist::new(self, data_seed).images("glyphs.train", n), n)
    }

    pub(super) fn build(&self, data_seed: u64) -> GlyphsTask {
        let artist = Artist::new(self, data_seed);
        let set = |name, stream, n| artist.images(stream, n).eval_set(name, 0..n);
        GlyphsTask {
            config: self.clone(),
            train: artist.images("glyphs.train", self.n_train),
            stream: Philox::new(data_seed, "glyphs.batches"),
            eval: vec![
                set("probe", "glyphs.probe", self.n_probe),
                set("audit", "glyphs.audit", self.n_audit),
            ],
        }
    }
}

/// Draws examples.
struct Artist<'a> {
    config: &'a GlyphsConfig,
    seed: u64,
    figures: Vec<[[f64; 2]; CORNERS]>,
}

impl<'a> Artist<'a> {
    fn new(config: &'a GlyphsConfig, seed: u64) -> Self {
        let stream = Philox::new(seed, "glyphs.figures");
        let figure = |k| {
            let draws = stream.at(k);
            let at = |i: usize| 1.5 * draws.uniform(i as u64) - 0.75;
            std::array::from_fn(|i| [at(2 * i), at(2 * i + 1)])
        };
        Self { config, seed, figures: (0..CLASSES).map(figure).collect() }
    }

    fn images(&self, stream: &str, n: usize) -> Images {
        let (side, stream) = (self.config.side, Philox::new(self.seed, stream));
        let mut pixels = Vec::with_capacity(n * side * side);
        let mut classes = Vec::with_capacity(n);
        for i in 0..n as u64 {
            let draws = stream.at(i);
            let class = draws.below(0, CLASSES) as u8;
            self.draw(class, draws, &mut pixels);
            classes.push(class);
        }
        Images { size: [side, side], pixels, classes }
    }

    fn draw(&self, class: u8, draws: Draws, out: &mut Vec<u8>) {
        let c = self.config;
        let j = |k: u64, scale: f64| c.jitter * scale * draws.normal(k);
        let (turn, scale, shear) = (j(1, 0.25), libm::exp(j(2, 0.12)), j(3, 0.2));
        let shift = [j(4, 0.12), j(5, 0.12)];
        let half_width = 0.08 + 0.08 * draws.uniform(6);
        let contrast = c.contrast + 0.3 * draws.uniform(7);
        let (sin, cos) = (libm::sin(turn), libm::cos(turn));
        let corners = self.figures[usize::from(class)].map(|[x, y]| {
            let (x, y) = (scale * (x + shear * y), scale * y);
            [cos * x - sin * y + shift[0], sin * x + cos * y + shift[1]]
        });
        let pixel = 2.0 / c.side as f64;
        let centre = |i: usize| (i as f64 + 0.5) * pixel - 1.0;
        for row in 0..c.side {
            for column in 0..c.side {
                let at = [centre(column), centre(row)];
                let far =
                    (corners.windows(2)).map(|s| distance(at, s[0], s[1])).fold(f64::MAX, f64::min);
                // The edge of a stroke is one pixel wide.
                let ink = ((half_width - far) / pixel + 0.5).clamp(0.0, 1.0);
                let noise = c.noise * draws.normal(NOISE_FROM + (row * c.side + column) as u64);
                let value = (0.1 + contrast * ink + noise).clamp(0.0, 1.0);
                out.push((value * 255.0).round() as u8);
            }
        }
    }
}

/// Distance of a point from the segment from `a` to `b`.
fn distance(at: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let (ab, ap) = ([b[0] - a[0], b[1] - a[1]], [at[0] - a[0], at[1] - a[1]]);
    let length = ab[0] * ab[0] + ab[1] * ab[1];
    let t =
        if length > 0.0 { ((ap[0] * ab[0] + ap[1] * ab[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    let away = [ap[0] - t * ab[0], ap[1] - t * ab[1]];
    (away[0] * away[0] + away[1] * away[1]).sqrt()
}

/// The generator.
#[derive(Debug)]
pub struct GlyphsTask {
    config: GlyphsConfig,
    train: Images,
    stream: Philox,
    eval: Vec<EvalSet>,
}

impl Task for GlyphsTask {
    fn batch(&self, step: u64) -> Arc<Batch> {
        let (draws, n) = (self.stream.at(step), self.train.len() as u64);
        let rows = (0..self.config.batch_examples as u64).map(|i| draws.below(i, n) as usize);
        Arc::new(self.train.take(rows))
    }

    fn eval_sets(&self) -> &[EvalSet] {
        &self.eval
    }

    fn threat(&self) -> Option<Threat> {
        Some(self.config.threat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_engine::Inputs;

    fn tiny() -> GlyphsConfig {
        GlyphsConfig {
            n_train: 400,
            n_probe: 64,
            n_audit: 64,
            threat: Threat { n_watched: 8, ..Threat::of(0.1) },
            ..GlyphsConfig::small(0.1)
        }
    }

    fn values(batch: &Batch) -> &[f32] {
        let Inputs::Images { values, .. } = &batch.inputs else { panic!("images are drawn") };
        values
    }

    #[test]
    fn the_distance_to_a_segment_is_that_of_the_textbook() {
        let d = |at| distance(at, [0.0, 0.0], [2.0, 0.0]);
        assert_eq!([d([1.0, 3.0]), d([-3.0, 4.0]), d([2.5, 0.0])], [3.0, 5.0, 0.5]);
        assert_eq!(distance([3.0, 4.0], [0.0, 0.0], [0.0, 0.0]), 5.0);
    }

    #[test]
    fn without_jitter_and_noise_a_class_is_one_figure_of_which_stroke_and_contrast_vary() {
        let config = GlyphsConfig { jitter: 0.0, noise: 0.0, ..tiny() };
        let artist = Artist::new(&config, 3);
        let images = artist.images("glyphs.train", 400);
        for i in 0..400 {
            let (class, image) = (images.classes[i], images.image(i));
            // Ground is .1. A corner is at most .0884 from the centre of its pixel, which has ink of .43 or more.
            assert_eq!(image.iter().min(), Some(&26));
            let corner = artist.figures[usize::from(class)][2];
            let at = |x: f64| ((x + 1.0) * 8.0) as usize;
            assert!(image[at(corner[1]) * 16 + at(corner[0])] >= 90, "{i}: {image:?}");
        }
    }

    #[test]
    fn batches_and_splits_are_those_of_their_address() {
        let (a, b, other) = (tiny().build(1), tiny().build(1), tiny().build(2));
        assert_eq!(a.batch(7), b.batch(7));
        assert_ne!(a.batch(7), a.batch(8));
        assert_ne!(a.batch(7), other.batch(7));
        let images = |b: &Batch| -> Vec<Vec<u32>> {
            values(b).chunks(256).map(|v| v.iter().map(|x| x.to_bits()).collect()).collect()
        };
        let all = a.train.take(0..400);
        let (train, probe, audit) =
            (images(&all), images(&a.eval[0].batch), images(&a.eval[1].batch));
        assert!(!probe.iter().any(|i| train.contains(i) || audit.contains(i)));
        assert!(!audit.iter().any(|i| train.contains(i)));
        assert!(values(&all).iter().all(|v| (0.0..=1.0).contains(v)));
        let seen: std::collections::BTreeSet<u32> = all.targets.iter().copied().collect();
        assert_eq!(seen.len(), 10);
    }

    #[test]
    fn harder_figures_are_closer_to_other_classes() {
        let middle = |contrast| {
            GlyphsConfig { contrast, ..tiny() }.class_distances(1, 300).quantile(0.5).unwrap()
        };
        assert!(middle(0.3) < middle(0.6), "{} {}", middle(0.3), middle(0.6));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let said = |c: GlyphsConfig| c.check().unwrap_err().to_string();
        let eps = GlyphsConfig { threat: Threat { eps: 0.7, ..tiny().threat }, ..tiny() };
        insta::assert_snapshot!(said(eps), @"configuration key task.threat.eps is 0.7, but must lie in [0, 0.5] (beyond one half every image may become the same grey)");
        let side = GlyphsConfig { side: 4, ..tiny() };
        insta::assert_snapshot!(said(side), @"configuration key task.side is 4, but must lie in [8, 64] (a stroke is a few pixels wide)");
        let many = GlyphsConfig { threat: Threat { n_watched: 65, ..tiny().threat }, ..tiny() };
        insta::assert_snapshot!(said(many), @"configuration key task.threat.n_watched is 65, but must lie in [1, 64] (they are among the probe examples)");
    }
}
