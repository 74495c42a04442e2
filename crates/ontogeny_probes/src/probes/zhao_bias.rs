//! Zhao's bias amplification: how much more of an answer's examples have its usual attribute when predicted than true.
//!
//! `b(a, t) = P(A=a | T=t)`, and the same of predictions; the mean over t of the sum over the a with `b(a, t) > 1/2` of
//! predicted less true. Of a classifier that never gives one of the answers there is none. Cost: one pass over the
//! examples. Source: Zhao et al. 2017.

use super::bias_amplification::is_constant;
use crate::marked::{Marked, marked, predicted};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "zhao_bias",
    unit: "1",
    source: "arXiv:1707.09457",
    summary: "How much more of an answer's examples have its usual attribute when predicted than true.",
    needs: "an evaluation set of two classes with sides aligned and conflict",
    outputs: &[Output {
        name: "<set>.zhao_bias",
        unit: "1",
        summary: "bias amplification of Zhao et al.; none of a constant classifier",
    }],
};

/// Zhao's bias amplification.
#[derive(Debug, Default)]
pub struct ZhaoBias;

fn score(attribute: &[u32], answer: &[u32], predicted: &[u32]) -> Option<f64> {
    let share = |t: u32, said: &[u32], a: u32| {
        let with =
            |want: &dyn Fn(usize) -> bool| (0..said.len()).filter(|&i| want(i)).count() as f64;
        let all = with(&|i| said[i] == t);
        (all > 0.0).then(|| with(&|i| said[i] == t && attribute[i] == a) / all)
    };
    let mut sum = 0.0;
    for t in 0..2 {
        for a in 0..2 {
            let (said, right) = (share(t, predicted, a)?, share(t, answer, a)?);
            if right > 0.5 {
                sum += said - right;
            }
        }
    }
    Some(sum / 2.0)
}

impl Probe for ZhaoBias {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        for Marked { set, attribute, .. } in marked(o)? {
            let said = predicted(set);
            let what = format!("{}.zhao_bias", set.name);
            match score(&attribute, set.targets, &said).filter(|_| !is_constant(&said)) {
                Some(v) => out.push(what, "1", v),
                None => out.leave(&ProbeError::Undefined { what }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::marked::tests::{balanced, read};

    #[test]
    fn classifiers_whose_score_is_known() {
        let of =
            |f: fn(u32, u32) -> u32| read("zhao_bias", &balanced(f), &[]).scalar("test.zhao_bias");
        assert_eq!(of(|_, y| y), Some(0.0));
        // 80 of 100 are aligned; of what is predicted from the attribute, all.
        assert!((of(|a, _| a).unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(of(|_, _| 0), None);
    }
}
