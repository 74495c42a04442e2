//! Accuracy under attack: the share of examples for which an adversary found no wrong answer.
//!
//! The attack is projected gradient descent on the margin (`ontogeny_engine::Attack`). What it does not find may still
//! be there: this is an upper bound of robustness, as certified accuracy is a lower one. Where the margin's gradient
//! vanishes at every start and the answer stays right, the attack was blind and there is no accuracy, only the share
//! of such examples: a network that cannot be attacked by gradients is not thereby robust.
//!
//! Cost: two passes per step and start. Sources: Madry et al. 2018 (arXiv:1706.06083), Carlini and Wagner 2017
//! (arXiv:1608.04644).

use crate::{Neighbourhood, Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "attacked",
    unit: "1",
    source: "arXiv:1706.06083, arXiv:1608.04644",
    summary: "Share of examples for which an attack on the margin finds no wrong answer within epsilon.",
    needs: "examples with what an attack found around them, and the logits of their set",
    outputs: &[
        Output {
            name: "<set>.attacked.accuracy",
            unit: "1",
            summary: "share for which no wrong answer was found; absent if the attack was blind",
        },
        Output {
            name: "<set>.attacked.clean",
            unit: "1",
            summary: "share of the same examples that is answered correctly as it is",
        },
        Output {
            name: "<set>.attacked.unclean",
            unit: "1",
            summary: "share that is wrong as it is and counted right under attack: 0, or the attack is wrong",
        },
        Output {
            name: "<set>.attacked.blind",
            unit: "1",
            summary: "share that stayed right while the gradient of the margin was below 1e-6 at every start",
        },
        Output {
            name: "<set>.attacked.margin",
            unit: "1",
            summary: "median over examples of the least margin that was found",
        },
    ],
};

/// Accuracy under attack.
#[derive(Debug, Default)]
pub struct Attacked;

impl Probe for Attacked {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn reads_neighbourhoods(&self) -> bool {
        true
    }

    fn reads_attacks(&self) -> bool {
        true
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        for n in o.neighbourhoods()? {
            if let Err(reason) = read(o, n, out) {
                out.leave(&reason);
            }
        }
        Ok(())
    }
}

fn read(o: &Observation<'_>, n: &Neighbourhood<'_>, out: &mut Readings) -> Result<(), ProbeError> {
    let missing = || ProbeError::Missing { what: format!("an attack on {}", n.set) };
    let found = n.attacked.ok_or_else(missing)?;
    let k = found.margins.len();
    if k == 0 || k != n.targets.len() || k != found.is_blind.len() {
        let what = format!("attacked examples of {}", n.set);
        return Err(ProbeError::Shape { what, expected: n.targets.len(), found: k });
    }
    if found.margins.iter().any(|m| !m.is_finite()) {
        return Err(ProbeError::NonFinite { what: format!("margins of {} under attack", n.set) });
    }
    let set = o.set(n.set)?;
    set.check()?;
    if set.targets.len() < k || set.targets[..k] != *n.targets {
        let what = format!("attacked examples of {} to its first ones", n.set);
        return Err(ProbeError::Shape { what, expected: k, found: set.targets.len() });
    }
    let share = |count: usize| count as f64 / k as f64;
    let rows = set.logits.chunks_exact(set.n_classes).zip(n.targets);
    let is_right = |(row, y): &(&[f32], &u32)| {
        let right = row[**y as usize];
        row.iter().enumerate().all(|(j, z)| j == **y as usize || *z < right)
    };
    let right: Vec<bool> = rows.map(|row| is_right(&row)).collect();
    out.push(format!("{}.attacked.clean", n.set), "1", share(right.iter().filter(|r| **r).count()));
    let unclean = right.iter().zip(&found.margins).filter(|(r, m)| !**r && **m > 0.0).count();
    out.push(format!("{}.attacked.unclean", n.set), "1", share(unclean));
    let pairs = found.margins.iter().zip(&found.is_blind);
    let blind = pairs.filter(|(m, blind)| **blind && **m > 0.0).count();
    out.push(format!("{}.attacked.blind", n.set), "1", share(blind));
    let Some(accuracy) = found.accuracy() else {
        let what = format!(
            "{}.attacked.accuracy (the gradient of the margin vanished on {blind} of {k} examples)",
            n.set
        );
        return Err(ProbeError::Undefined { what });
    };
    out.push(format!("{}.attacked.accuracy", n.set), "1", accuracy);
    let mut margins = found.margins.clone();
    margins.sort_unstable_by(f64::total_cmp);
    out.push(format!("{}.attacked.margin", n.set), "1", margins[k / 2]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{EvalSet, Neighbourhood, Observation, ProbeSet, Readings};
    use ontogeny_core::Step;
    use ontogeny_engine::Attacked;

    fn read(is_blind: [bool; 4]) -> Readings {
        // Right by 1, right by 2, wrong by 1, right by 3.
        let logits = [1.0, 0.0, 0.0, 2.0, 0.0, 1.0, 3.0, 0.0, 9.0, 0.0];
        let targets = [0, 1, 0, 0, 0];
        let attacked = Attacked {
            margins: vec![-0.5, 1.0, -1.0, 2.0],
            is_blind: is_blind.to_vec(),
            worst: vec![0.0; 4],
        };
        let mut o = Observation::new(Step(0));
        o.sets = vec![EvalSet {
            name: "probe",
            n_classes: 2,
            logits: &logits,
            targets: &targets,
            taps: vec![],
            groups: vec![],
        }];
        o.neighbourhoods = vec![Neighbourhood {
            set: "probe",
            eps: 0.1,
            inputs: &[0.0; 4],
            targets: &targets[..4],
            attacked: Some(&attacked),
        }];
        let mut readings = Readings::new();
        ProbeSet::named(["attacked"]).unwrap().measure(&o, &mut readings);
        readings
    }

    #[test]
    fn what_was_not_broken_counts_as_right() {
        let r = read([false; 4]);
        assert_eq!(r.scalar("probe.attacked.clean"), Some(0.75));
        assert_eq!(r.scalar("probe.attacked.accuracy"), Some(0.5));
        assert_eq!(r.scalar("probe.attacked.unclean"), Some(0.0));
        assert_eq!(r.scalar("probe.attacked.blind"), Some(0.0));
        assert_eq!(r.scalar("probe.attacked.margin"), Some(1.0));
        // Blind, but broken all the same.
        assert_eq!(read([true, false, true, false]).scalar("probe.attacked.accuracy"), Some(0.5));
    }

    #[test]
    fn an_attack_that_could_not_aim_is_flagged_and_has_no_accuracy() {
        let r = read([false, true, false, false]);
        assert_eq!(r.scalar("probe.attacked.blind"), Some(0.25));
        assert_eq!(r.scalar("probe.attacked.accuracy"), None);
        assert_eq!(
            r.reasons[0].reason,
            "measure probe.attacked.accuracy (the gradient of the margin vanished on 1 of 4 examples): it is undefined here"
        );
    }
}
