//! Linear bounds of margins, carried from the logits back to the image.

use super::Margins;
use super::forward::Boxes;
use super::layers::Step;
use super::rounding::{LITTLE, TINY, UP, gamma};

/// Bounds `margin ≥ coefficients · x + constant`, `n_classes - 1` rows for each example.
#[derive(Debug)]
pub(super) struct Rows {
    /// Rows per example.
    each: usize,
    /// `[rows, width]`.
    coefficients: Vec<f64>,
    width: usize,
    constant: Vec<Sum>,
    /// Products in a constant so far, at most.
    terms: usize,
    /// The least bound of each example from intervals alone.
    ibp: Vec<f64>,
}

/// A computed sum, with the sum of the absolute values that went into it.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    size: f64,
}

impl Rows {
    /// The logit of the right class less that of each other.
    pub(super) fn margins(targets: &[u32], n_classes: usize) -> Self {
        let each = n_classes - 1;
        let mut coefficients = vec![0.0; targets.len() * each * n_classes];
        for (example, &right) in targets.iter().enumerate() {
            let others = (0..n_classes).filter(|c| *c != right as usize);
            for (row, other) in (example * each..).zip(others) {
                coefficients[row * n_classes + right as usize] = 1.0;
                coefficients[row * n_classes + other] = -1.0;
            }
        }
        Self {
            each,
            coefficients,
            width: n_classes,
            constant: vec![Sum::default(); targets.len() * each],
            terms: 0,
            ibp: Vec::new(),
        }
    }

    /// Through step `i`, which `boxes` saw.
    pub(super) fn back(&mut self, step: &Step, boxes: &Boxes, i: usize) {
        let width = self.width;
        self.terms += 2 * width;
        if self.each == 0 {
            return;
        }
        match step {
            Step::Affine(a) => {
                let biases: Vec<f64> = a.biases().collect();
                let prices = boxes.price[i].chunks_exact(width);
                let rows = self.coefficients.chunks_exact(width).zip(&mut self.constant);
                let priced = prices.flat_map(|p| std::iter::repeat_n(p, self.each));
                for ((row, constant), price) in rows.zip(priced) {
                    constant.affine(row, &biases, price);
                }
                self.coefficients = a.backward(&self.coefficients, self.constant.len());
                self.width = a.n_in;
            }
            Step::Relu => {
                let ends = boxes.low[i].chunks_exact(width).zip(boxes.high[i].chunks_exact(width));
                let rows = self.coefficients.chunks_exact_mut(width * self.each);
                let constants = self.constant.chunks_exact_mut(self.each);
                for ((rows, constants), (low, high)) in rows.zip(constants).zip(ends) {
                    let lines: Vec<Line> =
                        low.iter().zip(high).map(|(l, u)| Line::of(*l, *u)).collect();
                    for (row, constant) in rows.chunks_exact_mut(width).zip(constants) {
                        constant.relu(row, &lines);
                    }
                }
            }
        }
    }

    /// Remembers the bounds that follow from the box of what comes into step `i`.
    pub(super) fn keep(&mut self, boxes: &Boxes, i: usize) {
        self.ibp = self.least(boxes, i);
    }

    /// The bounds of each example, all steps having been passed.
    pub(super) fn margins_at(self, boxes: &Boxes) -> Vec<Margins> {
        let crown = self.least(boxes, 0);
        self.ibp.iter().zip(crown).map(|(ibp, crown)| Margins { ibp: *ibp, crown }).collect()
    }

    /// The least value of the rows of each example on the box of what comes into step `i`; of one class infinity.
    fn least(&self, boxes: &Boxes, i: usize) -> Vec<f64> {
        let (width, each) = (self.width, self.each);
        let price = gamma(self.terms + width + 8) * UP;
        let ends = boxes.low[i].chunks_exact(width).zip(boxes.high[i].chunks_exact(width));
        let of = |example: usize, (low, high): (&[f64], &[f64])| {
            let mut least = f64::INFINITY;
            for row in example * each..(example + 1) * each {
                let coefficients = &self.coefficients[row * width..][..width];
                let mut sum = self.constant[row];
                sum.on_box(coefficients, low, high);
                let bound = sum.value - price * sum.size - LITTLE;
                // Whatever is no number proves nothing.
                least = least.min(if bound.is_finite() { bound } else { f64::NEG_INFINITY });
            }
            least
        };
        ends.enumerate().map(|(example, e)| of(example, e)).collect()
    }
}

/// Bounds of ReLU on an interval: `below · z ≤ max(z, 0) ≤ slope · z + above`.
#[derive(Debug, Clone, Copy)]
struct Line {
    below: f64,
    slope: f64,
    above: f64,
}

impl Line {
    fn of(low: f64, high: f64) -> Self {
        if high <= 0.0 {
            return Self { below: 0.0, slope: 0.0, above: 0.0 };
        }
        if low >= 0.0 {
            return Self { below: 1.0, slope: 1.0, above: 0.0 };
        }
        let slope = (high / (high - low)).clamp(0.0, 1.0);
        // At both ends, the rounding of these and that of a coefficient times the slope.
        let ends = (-slope * low).max(high - slope * high);
        let above = ends + (high - low) * (8.0 * f64::EPSILON) + TINY;
        Self { below: f64::from(u8::from(high > -low)), slope, above }
    }
}

/// Partial sums, so that a row fills vector registers.
const LANES: usize = 8;

impl Sum {
    /// Adds `sum_j term(j)` of pairs (value, absolute value).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the closure is the loop's body")]
    fn add(&mut self, n: usize, mut term: impl FnMut(usize) -> (f64, f64)) {
        let (mut values, mut sizes) = ([0.0; LANES], [0.0; LANES]);
        for k in 0..n / LANES {
            for l in 0..LANES {
                let (value, size) = term(k * LANES + l);
                values[l] += value;
                sizes[l] += size;
            }
        }
        for k in n / LANES * LANES..n {
            let (value, size) = term(k);
            values[0] += value;
            sizes[0] += size;
        }
        self.value += values.iter().sum::<f64>();
        self.size += sizes.iter().sum::<f64>();
    }

    fn affine(&mut self, row: &[f64], biases: &[f64], price: &[f64]) {
        let (biases, price) = (&biases[..row.len()], &price[..row.len()]);
        self.add(row.len(), |j| {
            let (constant, cost) = (row[j] * biases[j], row[j].abs() * price[j]);
            (constant - cost, constant.abs() + cost)
        });
    }

    fn relu(&mut self, row: &mut [f64], lines: &[Line]) {
        let lines = &lines[..row.len()];
        self.add(row.len(), |j| {
            let (a, line) = (row[j], lines[j]);
            // Written so that what is no number stays none.
            let (slope, cost) =
                if a >= 0.0 { (line.below, 0.0) } else { (line.slope, -a * line.above) };
            row[j] = a * slope;
            (-cost, cost)
        });
    }

    fn on_box(&mut self, row: &[f64], low: &[f64], high: &[f64]) {
        let (low, high) = (&low[..row.len()], &high[..row.len()]);
        self.add(row.len(), |j| {
            let least = row[j] * if row[j] >= 0.0 { low[j] } else { high[j] };
            (least, least.abs())
        });
    }
}
