//! Loss, correctness and logit margin of every example of an evaluation set.
//!
//! The loss is `-ln softmax` in `f64` of the `f32` logits, written so that it stays exact where it matters in
//! grokking: near 1e-7 and far below. With m the largest logit, `loss = (m - l_y) + ln_1p(r)`, where r sums
//! `exp(l_c - m)` over every class but one at the maximum, so that 1 is never added and taken away again.
//! (`f32` log-softmax stalls at 1e-7 and makes slingshots that are not there: arXiv:2301.05217, App.)
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::{
    EvalSet, ProbeError,
    lanes::{LANES, dispatch, exp, total},
};

/// Lanes of a row of `f32` logits.
const WIDE: usize = 2 * LANES;

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
        let n = set.targets.len();
        let (mut losses, mut margins) = (Vec::with_capacity(n), Vec::with_capacity(n));
        dispatch(
            #[inline(always)]
            || {
                for (row, &target) in set.logits.chunks_exact(set.n_classes).zip(set.targets) {
                    let (loss, margin) = score(row, target as usize);
                    losses.push(loss);
                    margins.push(margin);
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

/// Loss and margin of one example.
#[inline(always)]
fn score(row: &[f32], target: usize) -> (f64, f32) {
    let (chunks, rest) = row.as_chunks::<WIDE>();
    let mut tail = [f32::NEG_INFINITY; WIDE];
    tail[..rest.len()].copy_from_slice(rest);
    // The largest and the second largest logit, lane by lane. Comparisons skip NaN; the sum below does not.
    let (mut first, mut second) = (tail, [f32::NEG_INFINITY; WIDE]);
    for chunk in chunks {
        for l in 0..WIDE {
            let lower = if chunk[l] < first[l] { chunk[l] } else { first[l] };
            second[l] = if lower > second[l] { lower } else { second[l] };
            first[l] = if chunk[l] > first[l] { chunk[l] } else { first[l] };
        }
    }
    let (mut top, mut next) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for l in 0..WIDE {
        let lower = if first[l] < top { first[l] } else { top };
        next = if lower > next { lower } else { next };
        next = if second[l] > next { second[l] } else { next };
        top = if first[l] > top { first[l] } else { top };
    }
    let max = f64::from(top);
    let mut sums = [0.0; LANES];
    for chunk in chunks.iter().chain(if rest.is_empty() { None } else { Some(&tail) }) {
        for half in chunk.as_chunks::<LANES>().0 {
            let e = exp(std::array::from_fn(|l| f64::from(half[l]) - max));
            for l in 0..LANES {
                // The maximum itself is counted once, below.
                sums[l] += if half[l] == top { 0.0 } else { e[l] };
            }
        }
    }
    let n_top = if next == top { row.iter().filter(|&&v| v == top).count() } else { 1 };
    // No logit is at the maximum if all are NaN; the sum says so then.
    let others = total(sums) + f64::from(n_top.saturating_sub(1) as u32);
    let logit = row[target];
    let margin = if logit == top { logit - next } else { logit - top };
    ((max - f64::from(logit)) + others.ln_1p(), margin)
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
        assert_eq!(s.losses[1..], [0.0, 2000.0]);
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
