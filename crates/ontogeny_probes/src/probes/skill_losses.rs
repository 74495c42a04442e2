//! Skill losses: loss and accuracy of every task of a multitask set.
//!
//! The tasks are the groups named `skill.<k>` of any evaluation set. Cost: as `set_loss`, whose scores it
//! shares. Source: Michaud et al. 2023 (arXiv:2303.13506), multitask sparse parity: the total loss falls
//! smoothly while every task is learned at a step of its own.

use super::set_loss::{TASK_PREFIX, mean_of_group};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "skill_losses",
    unit: "nats",
    source: "arXiv:2303.13506",
    summary: "Loss and accuracy of every task of a multitask set.",
    needs: "an evaluation set with groups named skill.<k>",
    outputs: &[
        Output { name: "skill.<k>.loss", unit: "nats", summary: "mean loss of task k" },
        Output { name: "skill.<k>.accuracy", unit: "1", summary: "accuracy of task k" },
        Output { name: "skill.losses", unit: "nats", summary: "all tasks as one vector" },
        Output { name: "skill.accuracies", unit: "1", summary: "all tasks as one vector" },
    ],
};

/// Loss and accuracy of every task.
#[derive(Debug, Default)]
pub struct SkillLosses;

impl Probe for SkillLosses {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let (mut losses, mut accuracies) = (Vec::new(), Vec::new());
        let mut n_tasks = 0;
        for (i, set) in o.sets.iter().enumerate() {
            for group in set.groups.iter().filter(|g| g.name.starts_with(TASK_PREFIX)) {
                n_tasks += 1;
                let scores = o.scores()[i].as_ref().map_err(Clone::clone)?;
                let Some(mean) = mean_of_group(scores, group) else {
                    // The vectors keep one place for every task.
                    out.leave(&ProbeError::Empty { what: format!("group {}", group.name) });
                    losses.push(f32::NAN);
                    accuracies.push(f32::NAN);
                    continue;
                };
                out.push(format!("{}.loss", group.name), "nats", mean.loss);
                out.push(format!("{}.accuracy", group.name), "1", mean.accuracy);
                losses.push(mean.loss as f32);
                accuracies.push(mean.accuracy as f32);
            }
        }
        if n_tasks == 0 {
            return Err(ProbeError::Missing { what: "any group named skill.<k>".into() });
        }
        out.push_vector("skill.losses", "nats", &losses);
        out.push_vector("skill.accuracies", "1", &accuracies);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvalSet, Group, ProbeSet};
    use ontogeny_core::Step;

    #[test]
    fn every_task_has_its_own_loss_and_accuracy() {
        let mut o = Observation::new(Step(0));
        o.sets = vec![EvalSet {
            name: "test",
            n_classes: 2,
            logits: &[0.0, 0.0, 0.0, 0.0, 20.0, 0.0, 0.0, 20.0],
            targets: &[0, 1, 0, 1],
            taps: vec![],
            groups: vec![
                Group { name: "skill.0", members: &[0, 1] },
                Group { name: "skill.1", members: &[2, 3] },
            ],
        }];
        let mut readings = Readings::new();
        ProbeSet::named(["skill_losses"]).unwrap().measure(&o, &mut readings);
        assert_eq!(readings.scalar("skill.0.loss"), Some(std::f64::consts::LN_2));
        assert_eq!(readings.scalar("skill.1.loss"), Some((-20.0_f64).exp().ln_1p()));
        assert_eq!(readings.vector("skill.accuracies"), Some(&[0.0, 1.0][..]));
        assert!(readings.reasons.is_empty());
    }
}
