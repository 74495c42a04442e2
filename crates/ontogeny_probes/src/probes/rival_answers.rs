//! Rival answers: whether a network says the other thing that it has learned.
//!
//! For every set that has a set `<set>~rival` (the same examples, another target each): how probable the rival answers
//! are, how often they are given, and by how much they lead. The rate jumps where the lead crosses zero, however
//! smoothly that moves, so both are read (Schaeffer et al. 2023, arXiv:2304.15004). Cost: two passes over the set.

use crate::{EvalSet, Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "rival_answers",
    unit: "1",
    source: "arXiv:2502.17424",
    summary: "How probable and how frequent a rival answer is, and by how much it leads.",
    needs: "a set <set> and a set <set>~rival",
    outputs: &[
        Output {
            name: "<set>.rival_probability",
            unit: "1",
            summary: "mean probability of the rival answer",
        },
        Output {
            name: "<set>.rival_rate",
            unit: "1",
            summary: "share of examples whose most probable answer is the rival one",
        },
        Output {
            name: "<set>.rival_lead",
            unit: "nats",
            summary: "mean of ln p(rival) - ln p(right)",
        },
        Output {
            name: "<set>.right_rate",
            unit: "1",
            summary: "share of examples whose most probable answer is the right one",
        },
    ],
};

/// What an EvalSet of rivals is called.
const RIVAL: &str = "~rival";

/// Probability, rate and lead of rival answers.
#[derive(Debug, Default)]
pub struct RivalAnswers;

impl Probe for RivalAnswers {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let mut found = false;
        for rival in &o.sets {
            let Some(name) = rival.name.strip_suffix(RIVAL) else { continue };
            read(o.set(name)?, rival, out)?;
            found = true;
        }
        if found {
            return Ok(());
        }
        Err(ProbeError::Missing { what: format!("an evaluation set <set>{RIVAL}") })
    }
}

fn read(set: &EvalSet<'_>, rival: &EvalSet<'_>, out: &mut Readings) -> Result<(), ProbeError> {
    set.check()?;
    rival.check()?;
    let (expected, n) = (set.targets.len(), rival.targets.len());
    if expected != n || set.n_classes != rival.n_classes {
        let what = format!("rows of {}", rival.name);
        return Err(ProbeError::Shape { what, expected, found: n });
    }
    if set.logits.iter().any(|v| !v.is_finite()) {
        return Err(ProbeError::NonFinite { what: format!("logits of {}", set.name) });
    }
    let (mut probability, mut lead, mut n_rival, mut n_right) = (0.0, 0.0, 0, 0);
    let rows = set.logits.chunks_exact(set.n_classes);
    for (row, (&right, &other)) in rows.zip(set.targets.iter().zip(rival.targets)) {
        let at = |c: u32| f64::from(row[c as usize]);
        let top = row.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(f64::from(v)));
        let sum: f64 = row.iter().map(|&v| (f64::from(v) - top).exp()).sum();
        probability += (at(other) - top).exp() / sum;
        lead += at(other) - at(right);
        // The first of equals counts, as it does for accuracy.
        let first = row.iter().position(|&v| f64::from(v) == top);
        n_rival += usize::from(first == Some(other as usize));
        n_right += usize::from(first == Some(right as usize));
    }
    let (name, n) = (set.name, n as f64);
    out.push(format!("{name}.rival_probability"), "1", probability / n);
    out.push(format!("{name}.rival_rate"), "1", f64::from(n_rival as u32) / n);
    out.push(format!("{name}.rival_lead"), "nats", lead / n);
    out.push(format!("{name}.right_rate"), "1", f64::from(n_right as u32) / n);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProbeSet;
    use ontogeny_core::Step;

    fn reading(logits: &[f32], right: &[u32], rival: &[u32]) -> Readings {
        let mut o = Observation::new(Step(0));
        for (name, targets) in [("other", right), ("other~rival", rival)] {
            let (taps, groups) = (vec![], vec![]);
            o.sets.push(EvalSet { name, n_classes: 3, logits, targets, taps, groups });
        }
        let mut out = Readings::new();
        ProbeSet::named(["rival_answers"]).unwrap().measure(&o, &mut out);
        out
    }

    #[test]
    fn probabilities_rates_and_leads_are_those_of_the_softmax() {
        let ln2 = 2.0_f32.ln();
        // Probabilities (1/2, 1/4, 1/4), then all alike.
        let r = reading(&[ln2, 0.0, 0.0, 1.0, 1.0, 1.0], &[0, 1], &[1, 0]);
        let at = |name: &str| r.scalar(&format!("other.{name}")).unwrap();
        assert!((at("rival_probability") - f64::midpoint(0.25, 1.0 / 3.0)).abs() < 1e-7);
        assert!((at("rival_lead") + f64::from(ln2) / 2.0).abs() < 1e-7);
        assert_eq!((at("rival_rate"), at("right_rate")), (0.5, 0.5));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let r = reading(&[0.0; 6], &[0, 1], &[1]);
        assert!(r.scalars.is_empty() && r.reasons[0].reason.contains("other~rival"));
        let r = reading(&[f32::NAN, 0.0, 0.0], &[0], &[1]);
        assert!(r.scalars.is_empty() && r.reasons[0].reason.contains("logits of other"));
    }
}
