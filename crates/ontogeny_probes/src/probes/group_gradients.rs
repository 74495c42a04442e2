//! Group gradients: whether what helps the aligned examples helps the conflicting ones.
//!
//! Cosine of the gradients of the mean losses of two batches of the probe split, and the ratio of their lengths. Where a
//! gradient is shorter than 1e-6 neither means anything: the reading is flagged, and has no numbers. Cost: two
//! gradients over at most 512 examples. Source: gradient alignment between groups; our own.

use crate::compared::Compared;
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "group_gradients",
    unit: "1",
    source: "our own",
    summary: "Whether what helps the aligned examples helps the conflicting ones.",
    needs: "gradients of the batches aligned and conflict",
    outputs: &[
        Output {
            name: "group.gradient_cosine",
            unit: "1",
            summary: "cosine of the gradients on aligned and on conflicting examples",
        },
        Output {
            name: "group.gradient_ratio",
            unit: "1",
            summary: "length of the gradient on conflicting examples over that on aligned ones",
        },
        Output {
            name: "group.gradient_underflow",
            unit: "1",
            summary: "1 if one of them is shorter than 1e-6: the others mean nothing then",
        },
    ],
};

/// Cosine and ratio of group gradients.
#[derive(Debug, Default)]
pub struct GroupGradients;

impl Probe for GroupGradients {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn reads_gradients(&self) -> bool {
        true
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let pair = Compared::of(o, ["aligned", "conflict"])?;
        out.push("group.gradient_underflow", "1", f64::from(u8::from(pair.underflows())));
        if pair.underflows() {
            let what = format!("group.gradient_cosine (shortest length {:.1e})", pair.shortest());
            return Err(ProbeError::Undefined { what });
        }
        out.push("group.gradient_cosine", "1", pair.cosine());
        out.push("group.gradient_ratio", "1", pair.lengths[1] / pair.lengths[0]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProbeSet;
    use ontogeny_core::Step;

    fn read(al: &[f32], co: &[f32]) -> Readings {
        let mut o = Observation::new(Step(0));
        o.named_grads = vec![("aligned", al), ("conflict", co)];
        let mut out = Readings::new();
        ProbeSet::named(["group_gradients"]).unwrap().measure(&o, &mut out);
        out
    }

    #[test]
    fn directions_and_lengths_are_compared() {
        let r = read(&[3.0, 4.0], &[0.0, 10.0]);
        assert_eq!(r.scalar("group.gradient_underflow"), Some(0.0));
        assert!((r.scalar("group.gradient_cosine").unwrap() - 0.8).abs() < 1e-12);
        assert!((r.scalar("group.gradient_ratio").unwrap() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn gradients_that_have_vanished_are_flagged() {
        let r = read(&[1e-9, 0.0], &[0.0, 1.0]);
        assert_eq!(r.scalars.len(), 1);
        assert_eq!(r.scalar("group.gradient_underflow"), Some(1.0));
        assert!(r.reasons[0].reason.contains("shortest length 1.0e-9"), "{:?}", r.reasons);
    }
}
