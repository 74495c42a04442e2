//! Certified accuracy: the share of examples whose answer provably stays right.
//!
//! Every number is a proof ([`crate::certificate`]): in `f64` with every rounding paid for, of what the network computes
//! in `f32` in any order of summation, and once of the function of real numbers behind it. The ladder of radii shows what
//! is coming: a network is certified at a quarter of epsilon long before it is at the whole. The set's name stands for
//! the examples that are watched, which may be its first ones only.
//!
//! Cost: for each radius three forward passes and one backward pass per class and example, in `f64`.
//! Sources: Gowal et al. 2018 (arXiv:1810.12715), Zhang et al. 2018 (arXiv:1811.00866), Jia and Rinard 2020
//! (arXiv:2003.03021).

use crate::certificate::{Arithmetic, Margins};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "certified",
    unit: "1",
    source: "arXiv:1810.12715, arXiv:1811.00866, arXiv:2003.03021",
    summary: "Shares of examples whose answer provably stays right within a quarter, half and all of epsilon.",
    needs: "a chain of layers and examples with their surroundings",
    outputs: &[
        Output {
            name: "<set>.certified",
            unit: "1",
            summary: "share certified at epsilon by intervals or relaxation, for f32 in any order",
        },
        Output {
            name: "<set>.certified.real",
            unit: "1",
            summary: "the same for the network of real numbers",
        },
        Output {
            name: "<set>.certified.ibp.<radius>",
            unit: "1",
            summary: "share certified by intervals at this radius: quarter, half or full",
        },
        Output {
            name: "<set>.certified.crown.<radius>",
            unit: "1",
            summary: "share certified by linear relaxation at this radius",
        },
        Output {
            name: "<set>.certified.broken",
            unit: "1",
            summary: "share certified at epsilon for which an attack found a wrong answer: 0, or a certificate is wrong",
        },
        Output {
            name: "<set>.certified.margin",
            unit: "1",
            summary: "median over examples of the better lower bound of the margin at epsilon",
        },
    ],
};

/// Radii, in epsilons.
const LADDER: [(&str, f64); 3] = [("quarter", 0.25), ("half", 0.5), ("full", 1.0)];

/// Certified accuracies.
#[derive(Debug, Default)]
pub struct Certified;

impl Probe for Certified {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn reads_neighbourhoods(&self) -> bool {
        true
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let neighbourhoods = o.neighbourhoods()?;
        let certifier = o.certifier()?;
        for n in neighbourhoods {
            let empty = || ProbeError::Empty { what: format!("neighbourhood of {}", n.set) };
            let at = |eps, arithmetic| {
                certifier.certify(n.inputs, n.targets, eps, arithmetic).map(|c| c.margins)
            };
            let mut full = Vec::new();
            for (name, share) in LADDER {
                let margins = at(share * n.eps, Arithmetic::F32)?;
                let ibp = positive(&margins, |m| m.ibp).ok_or_else(empty)?;
                let crown = positive(&margins, |m| m.crown).ok_or_else(empty)?;
                out.push(format!("{}.certified.ibp.{name}", n.set), "1", ibp);
                out.push(format!("{}.certified.crown.{name}", n.set), "1", crown);
                full = margins;
            }
            if let Some(found) = n.attacked {
                let both = full.iter().zip(&found.margins);
                let broken = both.filter(|(c, least)| c.best() > 0.0 && **least <= 0.0).count();
                let share = broken as f64 / full.len().max(1) as f64;
                out.push(format!("{}.certified.broken", n.set), "1", share);
            }
            let either = positive(&full, Margins::best).ok_or_else(empty)?;
            out.push(format!("{}.certified", n.set), "1", either);
            let real = positive(&at(n.eps, Arithmetic::Real)?, Margins::best).ok_or_else(empty)?;
            out.push(format!("{}.certified.real", n.set), "1", real);
            let mut best: Vec<f64> = full.into_iter().map(Margins::best).collect();
            best.sort_unstable_by(f64::total_cmp);
            out.push(format!("{}.certified.margin", n.set), "1", best[best.len() / 2]);
        }
        Ok(())
    }
}

/// The share of examples whose bound is positive.
fn positive(margins: &[Margins], bound: impl Fn(Margins) -> f64) -> Option<f64> {
    let n = margins.iter().filter(|m| bound(**m) > 0.0).count();
    (!margins.is_empty()).then(|| n as f64 / margins.len() as f64)
}

#[cfg(test)]
mod tests {
    use crate::{Chain, Neighbourhood, Observation, ParamView, ProbeSet, Readings};
    use ontogeny_core::Step;
    use ontogeny_engine::Stage;

    fn read(stages: &[Stage], b: &[f32]) -> Readings {
        let mut o = Observation::new(Step(0));
        o.params = vec![
            ParamView { name: "w", shape: &[1, 2], values: &[1.0, -1.0] },
            ParamView { name: "b", shape: &[2], values: b },
        ];
        o.chain = Some(Chain { input: [1, 1, 1], stages });
        let (inputs, targets) = (&[0.5, 0.7, 0.9, 0.1], &[0, 0, 0, 0]);
        o.neighbourhoods =
            vec![Neighbourhood { set: "probe", eps: 0.3, inputs, targets, attacked: None }];
        let mut readings = Readings::new();
        ProbeSet::named(["certified"]).unwrap().measure(&o, &mut readings);
        readings
    }

    #[test]
    fn of_one_layer_every_radius_certifies_what_it_should() {
        // The margin is 2 x - .9: class 0 above .45. Examples at .5, .7, .9 and (wrong) .1.
        let r = read(&[Stage::Dense { weight: "w".into(), bias: Some("b".into()) }], &[0.0, 0.9]);
        // .075 leaves .7 and .9; .15 as well; .3 leaves .9.
        let shares = ["quarter", "half", "full"].map(|radius| {
            let of = |bound: &str| r.scalar(&format!("probe.certified.{bound}.{radius}"));
            assert_eq!(of("ibp"), of("crown"));
            of("ibp").unwrap()
        });
        assert_eq!(shares, [0.5, 0.5, 0.25]);
        assert_eq!(r.scalar("probe.certified"), Some(0.25));
        assert_eq!(r.scalar("probe.certified.real"), Some(0.25));
        // Least margins -.5, -.1, .3 and (at .1 - .3, cut to 0) -.9.
        assert!((r.scalar("probe.certified.margin").unwrap() + 0.1).abs() < 1e-6);
        assert!(r.reasons.is_empty());
    }

    #[test]
    fn a_network_that_cannot_be_followed_leaves_a_reason_and_no_number() {
        let r = read(&[Stage::Relu], &[0.0, 0.9]);
        assert!(r.scalars.is_empty());
        assert_eq!(
            r.reasons[0].reason,
            "certify the network: its stages do not end with a dense layer"
        );
        let mut o = Observation::new(Step(0));
        o.neighbourhoods = vec![Neighbourhood {
            set: "probe",
            eps: 0.3,
            inputs: &[],
            targets: &[],
            attacked: None,
        }];
        let mut r = Readings::new();
        ProbeSet::named(["certified"]).unwrap().measure(&o, &mut r);
        assert_eq!(
            r.reasons[0].reason,
            "find a network of dense layers, convolutions and relu alone (no other can be certified) in the observation"
        );
    }
}
