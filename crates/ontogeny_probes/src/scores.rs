//! Loss, correctness and logit margin of every example of an evaluation set.
//!
//! The loss is `-ln softmax` in `f64` of the `f32` logits, written so that it stays exact where it matters in
//! grokking: near 1e-7 and far below. With m the largest logit, `loss = (m - l_y) + ln_1p(r)`, where r sums
//! `exp(l_c - m)` over every class but one at the maximum, so that 1 is never added and taken away again.
//! (`f32` log-softmax stalls at 1e-7 and makes slingshots that are not there: arXiv:2301.05217, App.)
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::{
    EvalSet, ProbeError,
    lanes::{LANES, Tail, dispatch, exp_in_place, total},
};

/// Rows that go through the exponential together.
const ROWS: usize = 16;

/// What each example of a set scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `-ln softmax(logits)[target]`, in nats; NaN if a logit of the example is NaN or positive infinity.
    pub losses: Vec<f64>,
    /// Logit of the target less the largest other logit; positive if the answer is right.
    pub margins: Vec<f32>,
}

impl Scores {
    /// Scores every example.
    ///
    /// # Errors
    /// As [`EvalSet::check`].
    pub fn of(set: &EvalSet<'_>) -> Result<Self, ProbeError> {
        set.check()?;
        let (n, c) = (set.targets.len(), set.n_classes);
        let (mut losses, mut margins) = (Vec::with_capacity(n), Vec::with_capacity(n));
        // Rows go through the exponential together: it is fastest on long runs.
        let (width, tail) = (c.next_multiple_of(LANES), Tail::of(c));
        let mut exponentials = vec![0.0; ROWS * width];
        dispatch(
            #[inline(always)]
            || {
                for from in (0..n).step_by(ROWS) {
                    let rows = from..n.min(from + ROWS);
                    let mut tops = [(0.0_f32, 0.0_f32); ROWS];
                    for ((i, top), to) in
                        rows.clone().zip(&mut tops).zip(exponentials.chunks_exact_mut(width))
                    {
                        *top = below_maximum(set.logits, i * c, c, &tail, to);
                    }
                    exp_in_place::<12>(&mut exponentials[..rows.len() * width]);
                    for ((i, (top, next)), e) in
                        rows.zip(tops).zip(exponentials.chunks_exact(width))
                    {
                        let logit = set.logits[i * c + set.targets[i] as usize];
                        losses.push((f64::from(top) - f64::from(logit)) + others(e).ln_1p());
                        margins.push(if logit == top { logit - next } else { logit - top });
                    }
                }
            },
        );
        Ok(Self { losses, margins })
    }

    /// Means over the examples of a group.
    ///
    /// `None` for no examples.
    pub fn mean(&self, members: impl ExactSizeIterator<Item = usize>) -> Option<MeanScore> {
        let n = members.len();
        if n == 0 {
            return None;
        }
        let (mut loss, mut margin, mut n_right) = (0.0, 0.0, 0_usize);
        for i in members {
            loss += self.losses[i];
            margin += f64::from(self.margins[i]);
            n_right += usize::from(self.margins[i] > 0.0);
        }
        let n = n as f64;
        Some(MeanScore { loss: loss / n, accuracy: n_right as f64 / n, margin: margin / n })
    }

    /// Means over all examples; `None` for an empty set.
    pub fn mean_of_all(&self) -> Option<MeanScore> {
        self.mean(0..self.losses.len())
    }
}

/// Means over a set or group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanScore {
    /// Mean loss in nats.
    pub loss: f64,
    /// Share of examples whose target has a strictly larger logit than every other class; a tie is not an answer.
    pub accuracy: f64,
    /// Mean logit margin, in nats.
    pub margin: f64,
}

/// Writes `l - max` of the `n` logits from `from` on, with negative infinity in the lanes left over, and returns
/// the largest and the second largest logit. Comparisons skip NaN; the differences do not.
#[inline(always)]
fn below_maximum(logits: &[f32], from: usize, n: usize, tail: &Tail, to: &mut [f64]) -> (f32, f32) {
    let chunks = logits[from..from + n].as_chunks::<LANES>().0;
    let tail = tail.load(logits, from + n);
    let (mut first, mut second) = (tail, [f32::NEG_INFINITY; LANES]);
    for &chunk in chunks {
        let lower: [f32; LANES] = std::array::from_fn(|l| min(chunk[l], first[l]));
        second = std::array::from_fn(|l| max(lower[l], second[l]));
        first = std::array::from_fn(|l| max(chunk[l], first[l]));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            let lower = min(first[l], first[l + half]);
            second[l] = max(lower, max(second[l], second[l + half]));
            first[l] = max(first[l], first[l + half]);
        }
        half /= 2;
    }
    write_below(chunks, tail, f64::from(first[0]), to);
    (first[0], second[0])
}

/// Writes `l - max` of a row and its tail.
#[inline(always)]
pub(crate) fn write_below(chunks: &[[f32; LANES]], tail: [f32; LANES], max: f64, to: &mut [f64]) {
    let (to, _) = to.as_chunks_mut::<LANES>();
    for (to, &from) in to.iter_mut().zip(chunks) {
        *to = std::array::from_fn(|l| f64::from(from[l]) - max);
    }
    if let Some(to) = to.get_mut(chunks.len()) {
        *to = std::array::from_fn(|l| f64::from(tail[l]) - max);
    }
}

/// The sum of a row of exponentials without one of those that are 1. Others at the maximum, or so near it that
/// their exponential rounds to 1, are counted, not added, so that small terms are not lost beside them.
#[inline(always)]
fn others(exponentials: &[f64]) -> f64 {
    let (mut sums, mut ones) = ([0.0; LANES], [0_u64; LANES]);
    for &e in exponentials.as_chunks::<LANES>().0 {
        // 1 for the number 1, whose exponent field is 1023, and 0 for less and for NaN: a comparison on bits, which
        // vector code does well.
        let one: [u64; LANES] = std::array::from_fn(|l| (((e[l].to_bits() >> 52) + 1) >> 10) & 1);
        sums = std::array::from_fn(|l| {
            sums[l] + f64::from_bits(e[l].to_bits() & one[l].wrapping_sub(1))
        });
        ones = std::array::from_fn(|l| ones[l] + one[l]);
    }
    // Nothing is at the maximum if all are NaN; the sum says so then.
    total(sums) + ones.iter().sum::<u64>().saturating_sub(1) as f64
}

#[inline(always)]
fn max(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

#[inline(always)]
fn min(x: f32, y: f32) -> f32 {
    if x < y { x } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    /// The loss as the textbook writes it, exact in its own way: one minus a ratio is never formed.
    fn naive(row: &[f32], target: usize) -> f64 {
        let max = row.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        let sum: f64 = row.iter().map(|&v| (f64::from(v) - f64::from(max)).exp()).sum();
        f64::from(max) + sum.ln() - f64::from(row[target])
    }

    fn scores(n_classes: usize, logits: &[f32], targets: &[u32]) -> Scores {
        let set =
            EvalSet { name: "test", n_classes, logits, targets, taps: vec![], groups: vec![] };
        Scores::of(&set).unwrap()
    }

    #[test]
    fn the_loss_is_minus_the_log_of_the_softmax_for_small_and_huge_logits() {
        let draws = Philox::new(0, "logits").at(0);
        for n_classes in [1, 2, 15, 16, 17, 53] {
            for scale in [1e-3, 1.0, 30.0, 1e3] {
                let logits: Vec<f32> =
                    (0..20 * n_classes as u64).map(|i| (scale * draws.normal(i)) as f32).collect();
                let targets: Vec<u32> = (0..20).map(|i| i * 7 % n_classes as u32).collect();
                let s = scores(n_classes, &logits, &targets);
                for (i, row) in logits.chunks(n_classes).enumerate() {
                    let expected = naive(row, targets[i] as usize);
                    // The naive form rounds at the size of the logits.
                    let tolerance = 1e-15 * (1.0 + scale * 5.0);
                    assert!(
                        (s.losses[i] - expected).abs() <= tolerance,
                        "{} not {expected}",
                        s.losses[i]
                    );
                }
            }
        }
    }

    #[test]
    fn a_loss_far_below_the_resolution_of_f32_is_exact() {
        // One rival at -40: loss = ln_1p(e^-40), which 1 + x - 1 would round to 0.
        let s = scores(2, &[0.0, -40.0, 1000.0, -1000.0, -1000.0, 1000.0], &[0, 0, 0]);
        assert!((s.losses[0] / (-40.0_f64).exp() - 1.0).abs() < 1e-14);
        assert!(s.losses[1] < 1e-300 && s.losses[2] == 2000.0);
    }

    #[test]
    fn the_margin_is_positive_exactly_if_the_answer_is_right() {
        let s = scores(3, &[1.0, 3.0, 2.0, 1.0, 3.0, 2.0, 5.0, 5.0, 0.0], &[1, 2, 0]);
        assert_eq!(s.margins, [1.0, -1.0, 0.0]);
        let mean = s.mean_of_all().unwrap();
        assert_eq!((mean.accuracy, mean.margin), (1.0 / 3.0, 0.0));
        // Two at the top share the probability, up to the third.
        assert!((s.losses[2] - (2.0 + (-5.0_f64).exp()).ln()).abs() < 1e-15);
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let s = scores(2, &[nan, 1.0, inf, 0.0, -inf, 0.0, nan, nan], &[1, 0, 0, 1]);
        assert!(s.losses[0].is_nan() && s.losses[1].is_nan() && s.losses[3].is_nan());
        assert_eq!(s.losses[2], f64::INFINITY);
        assert_eq!(s.mean(0..0), None);
    }
}
