//! Set losses: loss, accuracy and logit margin of every evaluation set and of every group in it.
//!
//! Cost: one exponential for every logit; the forward pass is the trainer's. The losses are exact in `f64`
//! down to the smallest a network reaches (see [`Scores`]). Groups whose name begins with `skill.` are left to
//! the probe `skill_losses`, sets called `<set>~<edit>` to the counterfactual probes, and sets of sequences to `extraction`.
//! Source: Power et al. 2022 (arXiv:2201.02177) for the split that shows grokking.

use crate::marked::EDIT;
use crate::{
    EvalSet, Group, MeanScore, Observation, Output, Probe, ProbeError, ProbeSpec, Readings, Scores,
};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "set_loss",
    unit: "nats",
    source: "arXiv:2201.02177",
    summary: "Loss, accuracy and logit margin of every evaluation set and of every group in it.",
    needs: "an evaluation set",
    outputs: &[
        Output {
            name: "<set or group>.loss",
            unit: "nats",
            summary: "mean of -ln softmax(logits)[target]",
        },
        Output {
            name: "<set or group>.accuracy",
            unit: "1",
            summary: "share of examples whose target has the strictly largest logit",
        },
        Output {
            name: "<set or group>.margin",
            unit: "nats",
            summary: "mean of the target's logit less the largest other",
        },
    ],
};

/// Groups with this prefix are tasks, read by `skill_losses`.
pub(crate) const TASK_PREFIX: &str = "skill.";

/// Loss, accuracy and margin of sets and groups.
#[derive(Debug, Default)]
pub struct SetLoss;

impl Probe for SetLoss {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        if o.sets.is_empty() {
            return Err(ProbeError::Missing { what: "an evaluation set".into() });
        }
        let both = o.sets.iter().zip(o.scores());
        let is_mine = |set: &EvalSet<'_>| {
            !set.name.contains(EDIT) && !o.readouts_per_example.contains_key(set.name)
        };
        for (set, scores) in both.filter(|(set, _)| is_mine(set)) {
            let scores = match scores {
                Ok(scores) => scores,
                Err(reason) => {
                    out.leave(reason);
                    continue;
                }
            };
            write(set.name, scores.mean_of_all(), out);
            for group in set.groups.iter().filter(|g| !g.name.starts_with(TASK_PREFIX)) {
                write(group.name, mean_of_group(scores, group), out);
            }
        }
        Ok(())
    }
}

/// Means over the members of a group; `None` if it has none.
pub(crate) fn mean_of_group(scores: &Scores, group: &Group<'_>) -> Option<MeanScore> {
    scores.mean(group.members.iter().map(|&m| m as usize))
}

fn write(name: &str, mean: Option<MeanScore>, out: &mut Readings) {
    match mean {
        Some(mean) => {
            out.push(format!("{name}.loss"), "nats", mean.loss);
            out.push(format!("{name}.accuracy"), "1", mean.accuracy);
            out.push(format!("{name}.margin"), "nats", mean.margin);
        }
        None => out.leave(&ProbeError::Empty { what: format!("group {name}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvalSet, ProbeSet};
    use ontogeny_core::Step;

    #[test]
    fn sets_and_groups_are_read_by_name_and_tasks_are_left_alone() {
        let mut o = Observation::new(Step(3));
        o.sets = vec![EvalSet {
            name: "grid",
            n_classes: 2,
            logits: &[0.0, 0.0, 2.0, 0.0, 0.0, 2.0],
            targets: &[0, 0, 0],
            taps: vec![],
            groups: vec![
                Group { name: "train", members: &[1] },
                Group { name: "test", members: &[0, 2] },
                Group { name: "nobody", members: &[] },
                Group { name: "skill.0", members: &[0] },
            ],
        }];
        let mut readings = Readings::new();
        ProbeSet::named(["set_loss"]).unwrap().measure(&o, &mut readings);
        let names: Vec<&str> = readings.scalars.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "grid.loss",
                "grid.accuracy",
                "grid.margin",
                "train.loss",
                "train.accuracy",
                "train.margin",
                "test.loss",
                "test.accuracy",
                "test.margin"
            ]
        );
        let right = (-2.0_f64).exp().ln_1p();
        assert!((readings.scalar("train.loss").unwrap() - right).abs() < 1e-15);
        assert_eq!(readings.scalar("train.accuracy"), Some(1.0));
        assert_eq!(readings.scalar("test.accuracy"), Some(0.0));
        assert_eq!(readings.scalar("test.margin"), Some(-1.0));
        assert_eq!(readings.reasons.len(), 1);
        assert_eq!(readings.reasons[0].reason, "measure group nobody: it is empty");
    }
}
