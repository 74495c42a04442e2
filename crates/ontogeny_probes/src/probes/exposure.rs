//! Exposure: how far a string's loss stands below that of strings of the same law that were never inserted.
//!
//! `log2 |R| - log2 rank`, estimated as `-log2 F(loss)` where F is a skew normal distribution fitted (by moments) to the
//! losses of the reference controls. No more than `log2 |R|` can be meant: exposure is bounded by it, |R| being the number
//! of possible secrets, and by rank among the controls themselves by `log2 (n + 1)`. The exposure of a string that was
//! never inserted is exponential with mean 1/ln 2 = 1.44 bits. Source: Carlini et al. 2019 (arXiv:1802.08232).

use super::extraction::Sequences;
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings, SkewNormal};
use std::f64::consts::LN_2;

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "exposure",
    unit: "bits",
    source: "arXiv:1802.08232",
    summary: "How far strings stand below never-inserted ones of the same law.",
    needs: "sets canaries and controls of sequences of digits, controls with a group controls.reference",
    outputs: &[
        Output {
            name: "canaries.exposure",
            unit: "bits",
            summary: "mean over canaries, by the fit",
        },
        Output {
            name: "controls.tested.exposure",
            unit: "bits",
            summary: "mean over controls that are not the reference; 1.44 is expected",
        },
        Output { name: "canaries.exposures", unit: "bits", summary: "each canary's, by the fit" },
        Output {
            name: "canaries.rank_exposures",
            unit: "bits",
            summary: "each canary's, by its rank among the reference controls",
        },
        Output {
            name: "controls.exposures",
            unit: "bits",
            summary: "that of each control that is not the reference, by the fit",
        },
    ],
};

/// The group of controls that the law is fitted to.
const REFERENCE: &str = "controls.reference";

/// Exposure of strings.
#[derive(Debug, Default)]
pub struct Exposure;

impl Probe for Exposure {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let at = |name: &str| {
            let i = o.sets.iter().position(|s| s.name == name);
            i.ok_or_else(|| ProbeError::Missing { what: format!("evaluation set {name}") })
        };
        let (canaries, controls) = (at("canaries")?, at("controls")?);
        let (mine, theirs) = (Sequences::of(o, canaries)?, Sequences::of(o, controls)?);
        let group = o.sets[controls].groups.iter().find(|g| g.name == REFERENCE);
        let group =
            group.ok_or_else(|| ProbeError::Missing { what: format!("the group {REFERENCE}") })?;
        let is_reference = |i: &usize| group.members.contains(&(*i as u32));
        let (reference, tested): (Vec<usize>, Vec<usize>) =
            (0..theirs.losses.len()).partition(is_reference);
        let of = |i: &usize| theirs.losses[*i];
        let mut known: Vec<f64> = reference.iter().map(of).collect();
        let law = SkewNormal::fit(&known).ok_or_else(|| ProbeError::Undefined {
            what: format!("the law of the {} losses of {REFERENCE}", known.len()),
        })?;
        known.sort_by(f64::total_cmp);
        let most = mine.n_readouts as f64 * 10.0_f64.log2();
        let bits = |loss: f64| (-law.ln_cdf(loss) / LN_2).min(most);
        let rank = |loss: f64| {
            let before = known.partition_point(|k| *k < loss);
            ((known.len() + 1) as f64 / (before + 1) as f64).log2()
        };
        let of_canaries: Vec<f64> = mine.losses.iter().map(|l| bits(*l)).collect();
        let of_controls: Vec<f64> = tested.iter().map(of).map(bits).collect();
        let by_rank: Vec<f32> = mine.losses.iter().map(|l| rank(*l) as f32).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        out.push("canaries.exposure", "bits", mean(&of_canaries));
        if !of_controls.is_empty() {
            out.push("controls.tested.exposure", "bits", mean(&of_controls));
        }
        let short = |v: &[f64]| -> Vec<f32> { v.iter().map(|x| *x as f32).collect() };
        out.push_vector("canaries.exposures", "bits", &short(&of_canaries));
        out.push_vector("canaries.rank_exposures", "bits", &by_rank);
        out.push_vector("controls.exposures", "bits", &short(&of_controls));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvalSet, Group, ProbeSet};
    use ontogeny_core::Step;
    use ontogeny_core::random::Philox;

    /// Exposures with one readout a string whose loss is about -`x` plus a constant, x below -10.
    fn reading(canaries: &[f32], controls: &[f32], reference: &[u32]) -> Readings {
        let pairs = |x: &[f32]| -> Vec<f32> { x.iter().flat_map(|x| [*x, 0.0]).collect() };
        let (mine, theirs) = (pairs(canaries), pairs(controls));
        let (zeros, others) = (vec![0; canaries.len()], vec![0; controls.len()]);
        let mut o = Observation::new(Step(0));
        for (name, logits, targets, groups) in [
            ("canaries", &mine, &zeros, vec![]),
            ("controls", &theirs, &others, vec![Group { name: REFERENCE, members: reference }]),
        ] {
            o.readouts_per_example.insert(name, 1);
            o.sets.push(EvalSet { name, n_classes: 2, logits, targets, taps: vec![], groups });
        }
        let mut out = Readings::new();
        ProbeSet::named(["exposure"]).unwrap().measure(&o, &mut out);
        out
    }

    #[test]
    fn never_inserted_strings_have_exponential_exposure_of_mean_one_over_ln_2() {
        let draws = Philox::new(5, "losses").at(0);
        // Logits of -20 and less: the loss is their negative.
        let controls: Vec<f32> = (0..6000).map(|i| (-30.0 + draws.normal(i)) as f32).collect();
        let reference: Vec<u32> = (0..3000).collect();
        let r = reading(&[-30.0, -28.0, -33.0], &controls, &reference);
        assert_eq!(r.reasons, vec![]);
        let tested = r.vector("controls.exposures").unwrap();
        assert_eq!(tested.len(), 3000);
        let mean = r.scalar("controls.tested.exposure").unwrap();
        // 3000 exponential numbers: five standard errors are .13; the fit adds a little.
        assert!((mean - 1.0 / LN_2).abs() < 0.15, "{mean}");
        let above = |x: f32| tested.iter().filter(|t| **t > x).count() as f64 / 3000.0;
        for bits in [1.0_f32, 2.0, 3.0] {
            assert!((above(bits) - f64::from((-bits).exp2())).abs() < 0.04, "{bits}");
        }
        let mine = r.vector("canaries.exposures").unwrap();
        // In the middle 1 bit, two deviations below 5.46 (Φ(-2) = .0228), three above none to speak of; at most log2 10.
        assert!((mine[0] - 1.0).abs() < 0.1 && mine[2] < 0.01, "{mine:?}");
        assert!((f64::from(mine[1]) - 10.0_f64.log2()).abs() < 1e-6, "{mine:?}");
        let ranks = r.vector("canaries.rank_exposures").unwrap();
        assert!((ranks[1] - 5.46).abs() < 0.4, "{ranks:?}");
        assert!(ranks[2] < 0.01);
    }

    #[test]
    fn a_law_that_cannot_be_fitted_and_a_set_that_is_not_there_are_named() {
        let r = reading(&[-1.0], &[-1.0; 20], &(0..20).collect::<Vec<u32>>());
        assert!(
            r.scalars.is_empty() && r.reasons[0].reason.contains("20 losses"),
            "{:?}",
            r.reasons
        );
        let mut out = Readings::new();
        let o = Observation::new(Step(0));
        ProbeSet::named(["exposure"]).unwrap().measure(&o, &mut out);
        assert!(out.reasons[0].reason.contains("evaluation set canaries"));
    }
}
