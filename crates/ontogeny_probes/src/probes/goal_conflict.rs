//! Goal conflict: whether being right and being provably right pull in one direction.
//!
//! The cosine between the gradient of the natural loss and that of the certified loss on the same examples, at the
//! radius in force. Where a gradient is shorter than 1e-6 it means nothing: the reading is flagged, and has no cosine.
//! Cost: two gradients, one of them over boxes.

use crate::compared::Compared;
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "goal_conflict",
    unit: "1",
    source: "our own",
    summary: "Cosine between the gradients of the natural and of the certified loss.",
    needs: "gradients of the batches natural and certified",
    outputs: &[
        Output {
            name: "goal_conflict.cosine",
            unit: "1",
            summary: "cosine of the gradients of the natural and of the certified loss",
        },
        Output {
            name: "goal_conflict.length_ratio",
            unit: "1",
            summary: "length of the certified gradient over that of the natural one",
        },
        Output {
            name: "goal_conflict.underflow",
            unit: "1",
            summary: "1 if one of them is shorter than 1e-6: the others mean nothing then",
        },
    ],
};

/// Cosine between two goals.
#[derive(Debug, Default)]
pub struct GoalConflict;

impl Probe for GoalConflict {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn reads_gradients(&self) -> bool {
        true
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let pair = Compared::of(o, ["natural", "certified"])?;
        out.push("goal_conflict.underflow", "1", f64::from(u8::from(pair.underflows())));
        if pair.underflows() {
            let what = format!("goal_conflict.cosine (shortest length {:.1e})", pair.shortest());
            return Err(ProbeError::Undefined { what });
        }
        out.push("goal_conflict.cosine", "1", pair.cosine());
        out.push("goal_conflict.length_ratio", "1", pair.lengths[1] / pair.lengths[0]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Observation, ProbeSet, Readings};
    use ontogeny_core::Step;

    fn read(natural: &[f32], certified: &[f32]) -> Readings {
        let mut o = Observation::new(Step(0));
        o.named_grads = vec![("natural", natural), ("certified", certified)];
        let mut readings = Readings::new();
        ProbeSet::named(["goal_conflict"]).unwrap().measure(&o, &mut readings);
        readings
    }

    #[test]
    fn cosine_and_lengths_are_those_of_the_textbook() {
        let r = read(&[3.0, 4.0], &[8.0, 6.0]);
        assert!((r.scalar("goal_conflict.cosine").unwrap() - 0.96).abs() < 1e-12);
        assert_eq!(r.scalar("goal_conflict.length_ratio"), Some(2.0));
        assert_eq!(r.scalar("goal_conflict.underflow"), Some(0.0));
    }

    #[test]
    fn a_gradient_that_vanished_is_flagged_and_has_no_cosine() {
        let r = read(&[3.0, 4.0], &[1e-9, 0.0]);
        assert_eq!(r.scalar("goal_conflict.underflow"), Some(1.0));
        assert_eq!(r.scalar("goal_conflict.cosine"), None);
        assert_eq!(r.reasons.len(), 1);
    }
}
