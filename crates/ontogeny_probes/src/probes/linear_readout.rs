//! Linear readout: what the last hidden layer holds, whatever the last layer makes of it.
//!
//! Ridge regression of class and attribute (as -1 and 1) on the activations of the deepest tap, fitted on the first 512
//! examples of a set (half of a smaller one), and its accuracy on the others: for the class on all of them, for the
//! class on the conflicting ones, for the attribute. Only the first set with sides is read. Cost: n d^2 for d units.
//! Source: Alain and Bengio 2016.

use crate::marked::{Marked, marked};
use crate::ridge::solve;
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "linear_readout",
    unit: "1",
    source: "arXiv:1610.01644",
    summary: "How well class and attribute can be read linearly from the last hidden layer.",
    needs: "an evaluation set with sides aligned and conflict and a tap *.post",
    outputs: &[
        Output {
            name: "<set>.readout.class",
            unit: "1",
            summary: "held-out accuracy of a linear readout of the class",
        },
        Output {
            name: "<set>.readout.class_conflict",
            unit: "1",
            summary: "the same on the conflicting examples",
        },
        Output {
            name: "<set>.readout.attribute",
            unit: "1",
            summary: "held-out accuracy of a linear readout of the attribute",
        },
    ],
};

/// Examples that are fitted, at most.
const FITTED: usize = 512;
/// Weight of the penalty against the mean square of an activation.
const PENALTY: f64 = 1e-2;

/// Linear readouts of class and attribute.
#[derive(Debug, Default)]
pub struct LinearReadout;

impl Probe for LinearReadout {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let all = marked(o)?;
        let Marked { set, attribute, .. } = &all[0];
        let tap = set.last_tap(".post")?;
        if tap.values.iter().any(|v| !v.is_finite()) {
            return Err(ProbeError::NonFinite { what: format!("tap {}", tap.name) });
        }
        let n = set.targets.len();
        let fitted = FITTED.min(n / 2);
        let sign = |mark: &[u32]| -> Vec<f64> {
            mark[..fitted].iter().map(|&m| 2.0 * f64::from(m) - 1.0).collect()
        };
        let goals = [sign(set.targets), sign(attribute)];
        let rows = &tap.values[..fitted * tap.width];
        let [class, other] = solve(rows, tap.width, &goals, PENALTY)
            .ok_or_else(|| ProbeError::Undefined { what: format!("{}.readout", set.name) })?;
        let says = |weights: &[f64], i: usize| {
            let row = &tap.values[i * tap.width..(i + 1) * tap.width];
            let z: f64 = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * w).sum();
            u32::from(z + weights[tap.width] > 0.0)
        };
        let right = |weights: &[f64], mark: &[u32], of: &dyn Fn(usize) -> bool| {
            let held: Vec<usize> = (fitted..n).filter(|&i| of(i)).collect();
            let hits = held.iter().filter(|&&i| says(weights, i) == mark[i]).count();
            (!held.is_empty()).then(|| hits as f64 / held.len() as f64)
        };
        let conflicts = |i: usize| attribute[i] != set.targets[i];
        let readings = [
            ("class", right(&class, set.targets, &|_| true)),
            ("class_conflict", right(&class, set.targets, &conflicts)),
            ("attribute", right(&other, attribute, &|_| true)),
        ];
        for (name, value) in readings {
            let what = format!("{}.readout.{name}", set.name);
            match value {
                Some(v) => out.push(what, "1", v),
                None => out.leave(&ProbeError::Empty { what }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvalSet, Group, ProbeSet, Tap};
    use ontogeny_core::Step;
    use ontogeny_core::random::Philox;

    #[test]
    fn what_is_linearly_there_is_found_and_what_is_not_is_a_guess() {
        let n = 1000;
        let draws = Philox::new(1, "readout").at(0);
        let a: Vec<u32> = (0..n).map(|i| (draws.u64(i) & 1) as u32).collect();
        let y: Vec<u32> = (0..n).map(|i| (draws.u64(i) >> 1 & 1) as u32).collect();
        // One unit holds the class, one is noise, one is dead; the attribute is nowhere.
        let values: Vec<f32> = (0..n)
            .flat_map(|i| [y[i as usize] as f32 + 3.0, draws.normal(i) as f32, 0.0])
            .collect();
        let (aligned, conflict): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|&i| a[i as usize] == y[i as usize]);
        let logits = vec![0.0; 2 * n as usize];
        let mut o = Observation::new(Step(0));
        o.sets = vec![EvalSet {
            name: "test",
            n_classes: 2,
            logits: &logits,
            targets: &y,
            taps: vec![Tap { name: "layers.1.post", width: 3, values: &values }],
            groups: vec![
                Group { name: "test.aligned", members: &aligned },
                Group { name: "test.conflict", members: &conflict },
            ],
        }];
        let mut r = Readings::new();
        ProbeSet::named(["linear_readout"]).unwrap().measure(&o, &mut r);
        assert_eq!(r.scalar("test.readout.class"), Some(1.0));
        assert_eq!(r.scalar("test.readout.class_conflict"), Some(1.0));
        // 500 guesses: five standard errors.
        let guess = r.scalar("test.readout.attribute").unwrap();
        assert!((guess - 0.5).abs() < 0.112, "{guess}");
    }
}
