//! Counterfactual flips: how often the answer changes when one part of the input is exchanged.
//!
//! The part is taken from a random example with the other attribute (edit `shortcut`) or of the other class (`core`),
//! everything else stays: what changes is what the network makes of that part. A network that does not use the
//! shortcut has 0 there. Cost: the forward pass over the edited set, which is the trainer's.

use crate::marked::{marked, predicted};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "counterfactual_flip",
    unit: "1",
    source: "our own, after arXiv:2102.12594",
    summary: "How often the answer changes when one part of the input is exchanged.",
    needs: "an evaluation set with sides aligned and conflict, and its edits <set>~shortcut, <set>~core",
    outputs: &[
        Output {
            name: "<set>.flip.shortcut",
            unit: "1",
            summary: "share of answers that change with the shortcut",
        },
        Output {
            name: "<set>.flip.core",
            unit: "1",
            summary: "share of answers that change with the core",
        },
    ],
};

/// Names of the edits.
pub(crate) const EDITS: [&str; 2] = ["shortcut", "core"];

/// Shares of answers that change.
#[derive(Debug, Default)]
pub struct CounterfactualFlip;

impl Probe for CounterfactualFlip {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let mut n_read = 0;
        for m in marked(o)? {
            let before = predicted(m.set);
            for edit in EDITS {
                let Some(edited) = m.edited(o, edit)? else { continue };
                let changed = before.iter().zip(predicted(edited)).filter(|(a, b)| **a != *b);
                let share = changed.count() as f64 / before.len() as f64;
                out.push(format!("{}.flip.{edit}", m.set.name), "1", share);
                n_read += 1;
            }
        }
        if n_read == 0 {
            return Err(ProbeError::Missing { what: "an edited evaluation set".into() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::marked::tests::{balanced, read};

    #[test]
    fn a_network_that_reads_the_attribute_changes_its_answer_with_it() {
        let logits = |v: u32| if v == 1 { [0.0, 1.0] } else { [1.0, 0.0] };
        let rows = balanced(|a, _| a);
        let turned = rows.iter().map(|r| logits(1 - r.0)).collect();
        let kept = rows.iter().map(|r| logits(r.0)).collect();
        let r = read("counterfactual_flip", &rows, &[("shortcut", turned), ("core", kept)]);
        assert_eq!(r.scalar("test.flip.shortcut"), Some(1.0));
        assert_eq!(r.scalar("test.flip.core"), Some(0.0));
        assert_eq!(
            read("counterfactual_flip", &rows, &[]).reasons[0].reason,
            "find an edited evaluation set in the observation"
        );
    }
}
