//! Images of 8-bit pixels with classes, as several tasks have them.

use super::EvalSet;
use ontogeny_engine::{Batch, Inputs};
use std::sync::Arc;

/// Images with their classes. Pixels are kept as bytes and handed out as `byte / 255`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Images {
    /// `[height, width]`; there is one channel.
    pub(super) size: [usize; 2],
    /// `[n, height, width]`.
    pub(super) pixels: Vec<u8>,
    /// `[n]`.
    pub(super) classes: Vec<u8>,
}

impl Images {
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    pub(super) fn image(&self, i: usize) -> &[u8] {
        let n = self.size[0] * self.size[1];
        &self.pixels[i * n..][..n]
    }

    /// The examples at `rows`, in this order.
    pub(super) fn take(&self, rows: impl Iterator<Item = usize>) -> Batch {
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for i in rows {
            values.extend(self.image(i).iter().map(|&v| f32::from(v) / 255.0));
            targets.push(u32::from(self.classes[i]));
        }
        let [height, width] = self.size;
        Batch { inputs: Inputs::Images { values, channels: 1, height, width }, targets }
    }

    pub(super) fn eval_set(
        &self,
        name: &'static str,
        rows: impl Iterator<Item = usize>,
    ) -> EvalSet {
        EvalSet { name, batch: Arc::new(self.take(rows)), groups: vec![] }
    }
}

/// How far examples are from the nearest example of another class: the largest difference of a pixel, least over
/// those others. An epsilon beyond half of it asks for two answers to one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassDistances {
    /// One distance per example, increasing, in units of the range [0, 1] of a pixel.
    pub sorted: Vec<f64>,
}

impl ClassDistances {
    /// Of each of the first `n` of `images` to the others among them.
    pub(super) fn among(images: &Images, n: usize) -> Self {
        let n = n.min(images.len());
        let mut least = vec![u8::MAX; n];
        for i in 0..n {
            for j in 0..i {
                if images.classes[i] != images.classes[j] {
                    let pairs = images.image(i).iter().zip(images.image(j));
                    let far = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
                    least[i] = least[i].min(far);
                    least[j] = least[j].min(far);
                }
            }
        }
        least.sort_unstable();
        Self { sorted: least.into_iter().map(|d| f64::from(d) / 255.0).collect() }
    }

    /// The distance below which a share `q` in [0, 1] of the examples lie; `None` without examples.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let last = self.sorted.len().checked_sub(1)?;
        let at = (q.clamp(0.0, 1.0) * last as f64).round() as usize;
        self.sorted.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_example_of_another_class_decides() {
        // Two of class 0 that are alike, one of class 1 at distances 51 and 102.
        let pixels = vec![0, 0, 51, 0, 102, 10];
        let images = Images { size: [1, 2], pixels, classes: vec![0, 0, 1] };
        let d = ClassDistances::among(&images, 10);
        assert_eq!(d.sorted, [0.2, 0.2, 0.4]);
        assert_eq!(
            (d.quantile(0.0), d.quantile(0.5), d.quantile(1.0)),
            (Some(0.2), Some(0.2), Some(0.4))
        );
        assert_eq!(ClassDistances { sorted: vec![] }.quantile(0.5), None);
    }
}
