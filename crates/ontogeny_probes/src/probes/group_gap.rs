//! Group gap: how much better a set is answered where class and attribute agree.
//!
//! Accuracy and loss of either side are read by `set_loss`; the accuracy of the conflicting side stands for that of the
//! worst group. Cost: one pass over the examples. Source: Sagawa et al. 2020.

use crate::marked::{Marked, marked, predicted};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "group_gap",
    unit: "1",
    source: "arXiv:1911.08731",
    summary: "How much better a set is answered where class and attribute agree.",
    needs: "an evaluation set of two classes with sides aligned and conflict",
    outputs: &[Output {
        name: "<set>.gap",
        unit: "1",
        summary: "accuracy on the aligned side less that on the conflicting side",
    }],
};

/// The gap in accuracy.
#[derive(Debug, Default)]
pub struct GroupGap;

impl Probe for GroupGap {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        for Marked { set, aligned, conflict, .. } in marked(o)? {
            let said = predicted(set);
            let right = |side: &[u32]| {
                let n = side.iter().filter(|&&i| said[i as usize] == set.targets[i as usize]);
                n.count() as f64 / side.len() as f64
            };
            if aligned.is_empty() || conflict.is_empty() {
                out.leave(&ProbeError::Empty { what: format!("a side of {}", set.name) });
            } else {
                out.push(format!("{}.gap", set.name), "1", right(aligned) - right(conflict));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::marked::tests::{balanced, read};

    #[test]
    fn who_reads_the_attribute_is_right_on_one_side_only() {
        let gap = |f: fn(u32, u32) -> u32| read("group_gap", &balanced(f), &[]).scalar("test.gap");
        assert_eq!(gap(|a, _| a), Some(1.0));
        assert_eq!(gap(|_, y| y), Some(0.0));
        assert_eq!(gap(|a, _| 1 - a), Some(-1.0));
    }
}
