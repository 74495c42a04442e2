//! Counterfactual shifts: how far logits move towards what an exchanged part says.
//!
//! The mean change of (logit of class 1 less that of class 0) in the direction of the new attribute (edit `shortcut`)
//! or of the new class (`core`), divided by the standard deviation of that contrast over the set. It moves before
//! answers do. Undefined where all contrasts are alike. Cost: as `counterfactual_flip`.

use super::counterfactual_flip::EDITS;
use crate::marked::{contrast, marked};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "counterfactual_shift",
    unit: "1",
    source: "our own, after arXiv:2102.12594",
    summary: "How far logits move towards what an exchanged part says, in their standard deviations.",
    needs: "an evaluation set with sides aligned and conflict, and its edits <set>~shortcut, <set>~core",
    outputs: &[
        Output {
            name: "<set>.shift.shortcut",
            unit: "1",
            summary: "mean signed change with the shortcut, in standard deviations",
        },
        Output {
            name: "<set>.shift.core",
            unit: "1",
            summary: "mean signed change with the core, in standard deviations",
        },
    ],
};

/// Mean signed changes.
#[derive(Debug, Default)]
pub struct CounterfactualShift;

impl Probe for CounterfactualShift {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let mut n_read = 0;
        for m in marked(o)? {
            let before = contrast(m.set);
            let n = before.len() as f64;
            let mean = before.iter().sum::<f64>() / n;
            let sd = (before.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n).sqrt();
            for edit in EDITS {
                let Some(edited) = m.edited(o, edit)? else { continue };
                let mark = if edit == "core" { m.set.targets } else { &m.attribute[..] };
                let change = before.iter().zip(contrast(edited)).zip(mark);
                // The new mark is the other one.
                let sum: f64 = change.map(|((a, b), &t)| if t == 1 { a - b } else { b - a }).sum();
                let what = format!("{}.shift.{edit}", m.set.name);
                if sd > f64::from(f32::MIN_POSITIVE) {
                    out.push(what, "1", sum / n / sd);
                } else {
                    out.leave(&ProbeError::Undefined { what });
                }
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
    fn contrasts_of_one_go_two_standard_deviations_when_turned() {
        let logits = |v: u32| if v == 1 { [0.0, 1.0] } else { [1.0, 0.0] };
        let rows = balanced(|a, _| a);
        let turned = rows.iter().map(|r| logits(1 - r.0)).collect();
        let kept = rows.iter().map(|r| logits(r.0)).collect();
        let r = read("counterfactual_shift", &rows, &[("shortcut", turned), ("core", kept)]);
        assert!((r.scalar("test.shift.shortcut").unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(r.scalar("test.shift.core"), Some(0.0));
    }

    #[test]
    fn without_spread_there_is_no_number() {
        let rows = balanced(|_, _| 1);
        let same = rows.iter().map(|r| r.2).collect();
        let r = read("counterfactual_shift", &rows, &[("shortcut", same)]);
        assert!(r.scalars.is_empty());
        assert_eq!(r.reasons[0].reason, "measure test.shift.shortcut: it is undefined here");
    }
}
