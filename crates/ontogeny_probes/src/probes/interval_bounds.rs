//! How fast boxes grow through the layers, and how many units they leave undecided.
//!
//! Over boxes of radius epsilon: the mean radius of what comes out of each affine map, relative to that of the image,
//! and the shares of ReLUs that are off everywhere in the box, on everywhere, or unstable. Bounds that explode tell of
//! certificates that will not come; too many units that are off, of a network that is dying (Shi et al. 2021).
//!
//! Cost: three forward passes in `f64`. Source: Shi et al. 2021 (arXiv:2103.17268).

use crate::certificate::Arithmetic;
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "interval_bounds",
    unit: "1",
    source: "arXiv:2103.17268",
    summary: "Growth of boxes through the layers, and shares of ReLUs that are off, on or unstable in them.",
    needs: "a chain of layers and examples with their surroundings",
    outputs: &[
        Output {
            name: "<set>.radius.<layer>",
            unit: "1",
            summary: "mean radius after the layer's affine map, in radii of the image",
        },
        Output {
            name: "<set>.relu.off.<layer>",
            unit: "1",
            summary: "share of units that are off in the whole box",
        },
        Output {
            name: "<set>.relu.on.<layer>",
            unit: "1",
            summary: "share of units that are on in the whole box",
        },
        Output { name: "<set>.relu.unstable.<layer>", unit: "1", summary: "share of the others" },
    ],
};

/// Radii and undecided units.
#[derive(Debug, Default)]
pub struct IntervalBounds;

impl Probe for IntervalBounds {
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
            let layers = certifier.layers(n.inputs, n.targets, n.eps, Arithmetic::F32)?;
            if layers.is_empty() {
                let what = format!("bounds of {} (no example could be bounded)", n.set);
                return Err(ProbeError::Undefined { what });
            }
            for (l, layer) in layers.iter().enumerate() {
                if n.eps > 0.0 {
                    out.push(format!("{}.radius.{l}", n.set), "1", layer.relative_radius);
                }
                if let Some([off, on]) = layer.relu {
                    out.push(format!("{}.relu.off.{l}", n.set), "1", off);
                    out.push(format!("{}.relu.on.{l}", n.set), "1", on);
                    out.push(format!("{}.relu.unstable.{l}", n.set), "1", 1.0 - off - on);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Chain, Neighbourhood, Observation, ParamView, ProbeSet, Readings};
    use ontogeny_core::Step;
    use ontogeny_engine::Stage;

    #[test]
    fn radii_and_units_are_those_of_a_layer_by_hand() {
        let mut o = Observation::new(Step(0));
        // Units 2 x + 1 (on), -x - 1 (off), x - .5 (either); one logit is their sum.
        o.params = vec![
            ParamView { name: "h.w", shape: &[1, 3], values: &[2.0, -1.0, 1.0] },
            ParamView { name: "h.b", shape: &[3], values: &[1.0, -1.0, -0.5] },
            ParamView { name: "o.w", shape: &[3, 2], values: &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0] },
            ParamView { name: "o.b", shape: &[2], values: &[0.0, 0.0] },
        ];
        let stages = [Stage::dense("h"), Stage::Relu, Stage::dense("o")];
        o.chain = Some(Chain { input: [1, 1, 1], stages: &stages });
        let (inputs, targets) = (&[0.5], &[0]);
        o.neighbourhoods =
            vec![Neighbourhood { set: "probe", eps: 0.125, inputs, targets, attacked: None }];
        let mut r = Readings::new();
        ProbeSet::named(["interval_bounds"]).unwrap().measure(&o, &mut r);
        assert_eq!(r.reasons, []);
        let near = |name: &str, value: f64| {
            let found = r.scalar(name).unwrap();
            assert!((found - value).abs() < 1e-5, "{name}: {found}");
        };
        near("probe.radius.0", 4.0 / 3.0);
        // The first logit: 2 x + 1 has the radius .25, max(x - .5, 0) is in [0, .125]; the second is constant.
        near("probe.radius.1", (0.25 + 0.0625) / 0.125 / 2.0);
        for state in ["off", "on", "unstable"] {
            near(&format!("probe.relu.{state}.0"), 1.0 / 3.0);
        }
        assert!(r.scalar("probe.relu.off.1").is_none());
    }
}
