//! Intervals of every layer, outwards.

use super::layers::{Affine, Step};
use super::rounding::{HUGE, OVERFLOW_F32, TINY, UP, gamma, off_by_f32};
use super::{Arithmetic, LayerBounds};
use ontogeny_engine::pixel_range;

/// What is known of a chunk of examples.
#[derive(Debug)]
pub(super) struct Boxes {
    pub(super) n: usize,
    /// Ends of what comes into each step, `[n, width]`; the last entry is what comes out of the last.
    pub(super) low: Vec<Vec<f64>>,
    pub(super) high: Vec<Vec<f64>>,
    /// What one unit of coefficient costs at each output of each affine step, `[n, width]`; empty for a ReLU.
    pub(super) price: Vec<Vec<f64>>,
    /// Examples of which nothing is known: something was not finite, or might overflow.
    pub(super) is_refused: Vec<bool>,
}

impl Boxes {
    pub(super) fn of(
        steps: &[Step],
        inputs: &[f32],
        n: usize,
        eps: f64,
        arithmetic: Arithmetic,
    ) -> Self {
        let ranges: Vec<[f32; 2]> = inputs.iter().map(|x| pixel_range(*x, eps)).collect();
        let end = |i: usize| ranges.iter().map(|r| f64::from(r[i])).collect();
        let mut boxes = Self {
            n,
            low: vec![end(0)],
            high: vec![end(1)],
            price: Vec::new(),
            is_refused: vec![false; n],
        };
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Affine(a) => boxes.affine(a, i, arithmetic),
                Step::Relu => {
                    // What is not finite was refused before; max would hide it.
                    let relu = |v: &Vec<f64>| v.iter().map(|x| x.max(0.0)).collect();
                    let (low, high) = (relu(&boxes.low[i]), relu(&boxes.high[i]));
                    boxes.low.push(low);
                    boxes.high.push(high);
                    boxes.price.push(Vec::new());
                }
            }
        }
        boxes
    }

    fn affine(&mut self, a: &Affine, i: usize, arithmetic: Arithmetic) {
        let (low, high) = (&self.low[i], &self.high[i]);
        let centre: Vec<f64> = low.iter().zip(high).map(|(l, u)| 0.5 * l + 0.5 * u).collect();
        // Rounded up: the box of centre and radius holds both ends.
        let radius: Vec<f64> = (low.iter().zip(high).zip(&centre))
            .map(|((l, u), c)| (u - c).max(c - l) * (1.0 + 2.0 * f64::EPSILON))
            .collect();
        let size: Vec<f64> = centre.iter().zip(&radius).map(|(c, r)| c.abs() + r).collect();
        let centres = a.forward(&centre, self.n, false);
        let radii = a.forward(&radius, self.n, true);
        let sizes = a.forward(&size, self.n, true);
        let width = a.n_out;
        let (mut low, mut high) = (vec![0.0; self.n * width], vec![0.0; self.n * width]);
        let mut price = vec![0.0; self.n * width];
        let (forwards, backwards) = (gamma(a.fan_in + 4) * UP, gamma(a.fan_out) * UP);
        for example in 0..self.n {
            let at = example * width;
            let mut is_known = true;
            for (k, b) in (at..at + width).zip(a.biases()) {
                let size = sizes[k] + b.abs();
                let e32 = match arithmetic {
                    Arithmetic::Real => 0.0,
                    Arithmetic::F32 => off_by_f32(a.fan_in, size * UP),
                };
                let (c, r) = (centres[k] + b, radii[k] + (forwards * size + TINY + e32));
                (low[k], high[k]) = (c - r, c + r);
                price[k] = backwards * size + TINY + e32 * UP;
                // Written so that what is no number is refused.
                is_known &= size < HUGE
                    && r < HUGE
                    && (arithmetic == Arithmetic::Real || size < OVERFLOW_F32);
            }
            self.is_refused[example] |= !is_known;
        }
        self.low.push(low);
        self.high.push(high);
        self.price.push(price);
    }
}

/// Sums what intervals say of the layers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    examples: usize,
    /// Sum of the radii of the images.
    image: f64,
    /// Of each affine step: units, sum of their radii, and, before a ReLU, units always off and always on.
    layers: Vec<(usize, f64, Option<[usize; 2]>)>,
}

impl Tally {
    pub(super) fn add(&mut self, steps: &[Step], boxes: &Boxes) {
        let known = || (0..boxes.n).filter(|i| !boxes.is_refused[*i]);
        let ends = |at: usize, example: usize| {
            let width = boxes.low[at].len() / boxes.n.max(1);
            let range = example * width..(example + 1) * width;
            boxes.low[at][range.clone()].iter().zip(&boxes.high[at][range])
        };
        let mean = |at: usize, example: usize| {
            let (n, sum) =
                ends(at, example).fold((0, 0.0), |(n, s), (l, u)| (n + 1, s + 0.5 * (u - l)));
            sum / f64::from(n.max(1))
        };
        self.examples += known().count();
        self.image += known().map(|i| mean(0, i)).sum::<f64>();
        let affine = (steps.iter().enumerate()).filter(|(_, s)| matches!(s, Step::Affine(_)));
        for (layer, (i, _)) in affine.enumerate() {
            if self.layers.len() == layer {
                let is_relu = matches!(steps.get(i + 1), Some(Step::Relu));
                self.layers.push((0, 0.0, is_relu.then_some([0; 2])));
            }
            let (units, radius, relu) = &mut self.layers[layer];
            for example in known() {
                *radius += mean(i + 1, example);
                *units += ends(i + 1, example).count();
                if let Some([off, on]) = relu {
                    *off += ends(i + 1, example).filter(|(_, u)| **u <= 0.0).count();
                    *on += ends(i + 1, example).filter(|(l, u)| **l >= 0.0 && **u > 0.0).count();
                }
            }
        }
    }

    pub(super) fn layers(&self) -> Vec<LayerBounds> {
        if self.examples == 0 {
            return Vec::new();
        }
        let layer = |&(units, radius, relu): &(usize, f64, Option<[usize; 2]>)| LayerBounds {
            relative_radius: radius / self.image,
            relu: relu.map(|r| r.map(|k| k as f64 / units as f64)),
        };
        self.layers.iter().map(layer).collect()
    }
}
