//! Gradient transfer: whether learning one thing would teach another.
//!
//! Of the gradients g of the mean loss of batch `narrow` and h of batch `other`: their cosine, and `g·h / g·g`, the first-order
//! fall of the other loss per unit of fall of the narrow one. Where a gradient is shorter than 1e-6 neither means
//! anything: the reading is flagged, and has no numbers. Cost: two gradients.

use crate::compared::Compared;
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "gradient_transfer",
    unit: "1",
    source: "our own",
    summary: "Whether learning the narrow batch would teach the other one.",
    needs: "gradients of the batches narrow and other",
    outputs: &[
        Output {
            name: "transfer.cosine",
            unit: "1",
            summary: "cosine of the gradients on the narrow and on the other batch",
        },
        Output {
            name: "transfer.gain",
            unit: "1",
            summary: "fall of the other loss per unit of fall of the narrow loss, to first order",
        },
        Output {
            name: "transfer.underflow",
            unit: "1",
            summary: "1 if one of them is shorter than 1e-6: the others mean nothing then",
        },
    ],
};

/// Cosine and gain between two named batches.
#[derive(Debug, Default)]
pub struct GradientTransfer;

impl Probe for GradientTransfer {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn reads_gradients(&self) -> bool {
        true
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let pair = Compared::of(o, ["narrow", "other"])?;
        out.push("transfer.underflow", "1", f64::from(u8::from(pair.underflows())));
        if pair.underflows() {
            let what = format!("transfer.cosine (shortest length {:.1e})", pair.shortest());
            return Err(ProbeError::Undefined { what });
        }
        out.push("transfer.cosine", "1", pair.cosine());
        out.push("transfer.gain", "1", pair.dot / pair.lengths[0].powi(2));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProbeSet;
    use ontogeny_core::Step;

    fn read(narrow: &[f32], other: &[f32]) -> Readings {
        let mut o = Observation::new(Step(0));
        o.named_grads = vec![("narrow", narrow), ("other", other)];
        let mut out = Readings::new();
        ProbeSet::named(["gradient_transfer"]).unwrap().measure(&o, &mut out);
        out
    }

    #[test]
    fn cosine_and_gain_are_those_of_the_plane() {
        let r = read(&[3.0, 4.0], &[0.0, 10.0]);
        assert_eq!(r.scalar("transfer.underflow"), Some(0.0));
        assert!((r.scalar("transfer.cosine").unwrap() - 0.8).abs() < 1e-12);
        assert!((r.scalar("transfer.gain").unwrap() - 1.6).abs() < 1e-12);
    }

    #[test]
    fn gradients_that_have_vanished_are_flagged() {
        let r = read(&[1e-9, 0.0], &[0.0, 1.0]);
        assert_eq!((r.scalars.len(), r.scalar("transfer.underflow")), (1, Some(1.0)));
        assert!(r.reasons[0].reason.contains("shortest length 1.0e-9"), "{:?}", r.reasons);
    }
}
