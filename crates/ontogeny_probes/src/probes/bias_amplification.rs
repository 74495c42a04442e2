//! Bias amplification: whether attribute and prediction go together more than attribute and answer do.
//!
//! `1/(|A||T|) sum_at [y_at D_at - (1 - y_at) D_at]` with `y_at = 1[P(A=a, T=t) > P(A=a) P(T=t)]` and
//! `D_at = P(That=t | A=a) - P(T=t | A=a)`: the direction from attribute to task. A perfect classifier has 0, one that
//! reads the attribute alone (1 - rho)/2 where both are balanced. A classifier that always says the same has about
//! -rho/2 for a reason that has nothing to do with bias: it is flagged, and gets no number. Cost: one pass over the
//! examples. Source: Wang and Russakovsky 2021.

use crate::marked::{Marked, marked, predicted};
use crate::{Observation, Output, Probe, ProbeError, ProbeSpec, Readings};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "bias_amplification",
    unit: "1",
    source: "arXiv:2102.12594",
    summary: "Whether attribute and prediction go together more than attribute and answer do.",
    needs: "an evaluation set of two classes with sides aligned and conflict",
    outputs: &[
        Output {
            name: "<set>.bias_amplification",
            unit: "1",
            summary: "directional bias amplification from attribute to task; none of a constant classifier",
        },
        Output {
            name: "<set>.is_constant",
            unit: "1",
            summary: "1 if every example gets the same answer: bias amplification means nothing then",
        },
    ],
};

/// Directional bias amplification.
#[derive(Debug, Default)]
pub struct BiasAmplification;

/// The number itself, whatever the classifier; `None` if an attribute is absent.
pub fn amplification(attribute: &[u32], answer: &[u32], predicted: &[u32]) -> Option<f64> {
    let n = attribute.len() as f64;
    let mut cells = [[(0.0, 0.0); 2]; 2];
    for ((&a, &t), &p) in attribute.iter().zip(answer).zip(predicted) {
        cells[a as usize][t as usize].0 += 1.0;
        cells[a as usize][p as usize].1 += 1.0;
    }
    let mut sum = 0.0;
    for row in &cells {
        let of_a = row[0].0 + row[1].0;
        if of_a == 0.0 {
            return None;
        }
        for (t, (answered, said)) in row.iter().enumerate() {
            let of_t = cells[0][t].0 + cells[1][t].0;
            let delta = (said - answered) / of_a;
            sum += if answered * n > of_a * of_t { delta } else { -delta };
        }
    }
    Some(sum / 4.0)
}

/// Whether all predictions are one and the same.
pub(crate) fn is_constant(predicted: &[u32]) -> bool {
    predicted.windows(2).all(|w| w[0] == w[1])
}

impl Probe for BiasAmplification {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        for Marked { set, attribute, .. } in marked(o)? {
            let said = predicted(set);
            let constant = is_constant(&said);
            out.push(format!("{}.is_constant", set.name), "1", f64::from(u8::from(constant)));
            let what = format!("{}.bias_amplification", set.name);
            match amplification(&attribute, set.targets, &said).filter(|_| !constant) {
                Some(v) => out.push(what, "1", v),
                None => out.leave(&ProbeError::Undefined { what }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marked::tests::{balanced, read};

    const NAME: &str = "test.bias_amplification";

    #[test]
    fn classifiers_whose_bias_is_known() {
        let of = |f: fn(u32, u32) -> u32| {
            let r = read("bias_amplification", &balanced(f), &[]);
            assert_eq!(r.scalar("test.is_constant"), Some(0.0));
            r.scalar(NAME).unwrap()
        };
        assert_eq!(of(|_, y| y), 0.0, "perfect");
        // (1 - rho) / 2 with rho = .6.
        assert!((of(|a, _| a) - 0.2).abs() < 1e-12, "attribute only");
        assert!((of(|a, _| 1 - a) + 0.8).abs() < 1e-12, "the opposite of the attribute");
    }

    #[test]
    fn a_constant_classifier_is_flagged_and_has_no_number() {
        let rows = balanced(|_, _| 1);
        let r = read("bias_amplification", &rows, &[]);
        assert_eq!((r.scalar("test.is_constant"), r.scalar(NAME)), (Some(1.0), None));
        assert_eq!(r.reasons[0].reason, format!("measure {NAME}: it is undefined here"));
        let (a, y): (Vec<u32>, Vec<u32>) = rows.iter().map(|r| (r.0, r.1)).unzip();
        // What it would be: -rho / 2, negative whatever the classifier has learned.
        assert!((amplification(&a, &y, &vec![1; 100]).unwrap() + 0.3).abs() < 1e-12);
    }

    #[test]
    fn names_of_classes_and_attributes_do_not_matter() {
        let said = |a: u32, y: u32, i: usize| if i.is_multiple_of(3) { a } else { y };
        let rows = balanced(|_, _| 0);
        let (a, y): (Vec<u32>, Vec<u32>) = rows.iter().map(|r| (r.0, r.1)).unzip();
        let p: Vec<u32> = (0..100).map(|i| said(a[i], y[i], i)).collect();
        let turned = |v: &[u32]| v.iter().map(|x| 1 - x).collect::<Vec<u32>>();
        let (one, other) =
            (amplification(&a, &y, &p), amplification(&turned(&a), &turned(&y), &turned(&p)));
        assert!((one.unwrap() - other.unwrap()).abs() < 1e-12);
    }
}
