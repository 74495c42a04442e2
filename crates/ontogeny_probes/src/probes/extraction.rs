//! Extraction: which strings a network says by heart when it is given their beginning.
//!
//! Of sets whose examples are sequences. Every byte is asked given the right ones before it. If the most probable byte is
//! the right one at every place, greedy decoding from the prompt never leaves the string, so it says exactly this
//! string; and the first place where it is not is the first error of greedy decoding. One forward pass tells both
//! (ties are errors). What greedy decoding would say after its first error is not known, so `matched` is the number of
//! bytes before it. Source: Carlini et al. 2022 (arXiv:2202.07646), Biderman et al. 2023 (arXiv:2304.11158).

use crate::{EvalSet, Observation, Output, Probe, ProbeError, ProbeSpec, Readings, Scores};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "extraction",
    unit: "examples",
    source: "arXiv:2202.07646",
    summary: "How many strings greedy decoding says by heart, and each string's loss.",
    needs: "a set whose examples are sequences",
    outputs: &[
        Output { name: "<set>.loss", unit: "nats", summary: "mean loss of a readout" },
        Output {
            name: "<set or group>.extractable",
            unit: "examples",
            summary: "sequences that greedy decoding says whole",
        },
        Output {
            name: "<set or group>.memorization_score",
            unit: "1",
            summary: "mean share of a sequence before the first error of greedy decoding",
        },
        Output {
            name: "<set or group>.sequence_loss",
            unit: "nats",
            summary: "mean summed loss of a sequence",
        },
        Output { name: "<set>.losses", unit: "nats", summary: "summed loss of each sequence" },
        Output {
            name: "<set>.matched",
            unit: "readouts",
            summary: "readouts of each sequence before the first error",
        },
        Output {
            name: "<set>.right",
            unit: "readouts",
            summary: "right readouts of each sequence, given the right ones before",
        },
        Output {
            name: "<set>.least_ln_prob",
            unit: "nats",
            summary: "log probability of the least probable readout of each sequence",
        },
    ],
};

/// Strings said by heart.
#[derive(Debug, Default)]
pub struct Extraction;

/// What was read of each sequence of a set.
pub(crate) struct Sequences {
    /// Readouts of a sequence.
    pub n_readouts: usize,
    pub losses: Vec<f64>,
    pub matched: Vec<usize>,
    pub right: Vec<usize>,
    pub least: Vec<f64>,
}

impl Sequences {
    /// Reads the sequences of a set of sequences.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] if its examples are no sequences, [`ProbeError::Shape`] or [`ProbeError::Index`] if readouts
    /// or groups do not fit.
    pub(crate) fn of(o: &Observation<'_>, set: usize) -> Result<Self, ProbeError> {
        let (set, scores) = (&o.sets[set], o.scores()[set].as_ref().map_err(Clone::clone)?);
        let n = o.readouts_per_example.get(set.name).copied().unwrap_or(0);
        if n == 0 {
            return Err(ProbeError::Missing { what: format!("sequences of set {}", set.name) });
        }
        let rows = set.targets.len();
        if !rows.is_multiple_of(n) {
            let what = format!("readouts of {} to sequences", set.name);
            return Err(ProbeError::Shape { what, expected: rows / n * n, found: rows });
        }
        check_groups(set, rows / n)?;
        Ok(Self::read(scores, n))
    }

    fn read(scores: &Scores, n: usize) -> Self {
        let margins = || scores.margins.chunks_exact(n);
        Self {
            n_readouts: n,
            losses: scores.losses.chunks_exact(n).map(|c| c.iter().sum()).collect(),
            matched: margins().map(|c| c.iter().take_while(|m| **m > 0.0).count()).collect(),
            right: margins().map(|c| c.iter().filter(|m| **m > 0.0).count()).collect(),
            least: scores
                .losses
                .chunks_exact(n)
                .map(|c| -c.iter().fold(0.0_f64, |m, l| if *l > m || l.is_nan() { *l } else { m }))
                .collect(),
        }
    }
}

fn check_groups(set: &EvalSet<'_>, n: usize) -> Result<(), ProbeError> {
    for group in &set.groups {
        if let Some(&bad) = group.members.iter().find(|&&m| m as usize >= n) {
            let what = format!("members of {}", group.name);
            return Err(ProbeError::Index { what, index: bad as usize, len: n });
        }
    }
    Ok(())
}

impl Probe for Extraction {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let mut found = false;
        for (i, set) in o.sets.iter().enumerate() {
            if !o.readouts_per_example.contains_key(set.name) {
                continue;
            }
            found = true;
            let s = Sequences::of(o, i)?;
            let n = s.losses.len();
            let loss = s.losses.iter().sum::<f64>() / (n * s.n_readouts) as f64;
            out.push(format!("{}.loss", set.name), "nats", loss);
            // A set without groups is there for its loss.
            if set.groups.is_empty() {
                continue;
            }
            write(set.name, &s, 0..n, out);
            for g in set.groups.iter().filter(|g| !g.members.is_empty()) {
                write(g.name, &s, g.members.iter().map(|m| *m as usize), out);
            }
            let whole = |v: &[usize]| -> Vec<f32> { v.iter().map(|x| *x as f32).collect() };
            let real = |v: &[f64]| -> Vec<f32> { v.iter().map(|x| *x as f32).collect() };
            let name = |what: &str| format!("{}.{what}", set.name);
            out.push_vector(name("losses"), "nats", &real(&s.losses));
            out.push_vector(name("matched"), "readouts", &whole(&s.matched));
            out.push_vector(name("right"), "readouts", &whole(&s.right));
            out.push_vector(name("least_ln_prob"), "nats", &real(&s.least));
        }
        if found { Ok(()) } else { Err(ProbeError::Missing { what: "a set of sequences".into() }) }
    }
}

fn write(
    name: &str,
    s: &Sequences,
    members: impl ExactSizeIterator<Item = usize>,
    out: &mut Readings,
) {
    let n = members.len() as f64;
    let (mut whole, mut matched, mut loss) = (0_usize, 0_usize, 0.0);
    for i in members {
        whole += usize::from(s.matched[i] == s.n_readouts);
        matched += s.matched[i];
        loss += s.losses[i];
    }
    out.push(format!("{name}.extractable"), "examples", whole as f64);
    out.push(format!("{name}.memorization_score"), "1", matched as f64 / (n * s.n_readouts as f64));
    out.push(format!("{name}.sequence_loss"), "nats", loss / n);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Group, ProbeSet};
    use ontogeny_core::Step;
    use ontogeny_core::random::Philox;
    use proptest::prelude::*;

    fn read(logits: &[f32], targets: &[u32], n: usize, groups: Vec<Group<'_>>) -> Readings {
        let mut o = Observation::new(Step(0));
        o.readouts_per_example.insert("canaries", n);
        o.sets =
            vec![EvalSet { name: "canaries", n_classes: 2, logits, targets, taps: vec![], groups }];
        let mut out = Readings::new();
        ProbeSet::named(["extraction"]).unwrap().measure(&o, &mut out);
        out
    }

    #[test]
    fn strings_are_read_as_wholes() {
        // Right, right; right, wrong; wrong, right; a tie.
        let logits =
            [9.0, 0.0, 0.0, 9.0, 9.0, 0.0, 9.0, 0.0, 0.0, 9.0, 9.0, 0.0, 1.0, 1.0, 9.0, 0.0];
        let targets = [0, 1, 0, 1, 0, 0, 0, 0];
        let groups = vec![Group { name: "canaries.c1", members: &[0, 1] }];
        let r = read(&logits, &targets, 2, groups);
        assert_eq!(r.vector("canaries.matched"), Some(&[2.0, 1.0, 0.0, 0.0][..]));
        assert_eq!(r.vector("canaries.right"), Some(&[2.0, 1.0, 1.0, 1.0][..]));
        assert_eq!(r.scalar("canaries.extractable"), Some(1.0));
        assert_eq!(r.scalar("canaries.c1.extractable"), Some(1.0));
        assert_eq!(r.scalar("canaries.c1.memorization_score"), Some(0.75));
        let (right, wrong) = ((-9.0_f64).exp().ln_1p(), 9.0 + (-9.0_f64).exp().ln_1p());
        let losses = r.vector("canaries.losses").unwrap();
        assert!((f64::from(losses[1]) - right - wrong).abs() < 1e-6);
        let least = r.vector("canaries.least_ln_prob").unwrap();
        assert!((f64::from(least[0]) + right).abs() < 1e-9);
        assert!((f64::from(least[1]) + wrong).abs() < 1e-6);
        let mean = 3.0 * right + 2.0 * wrong + std::f64::consts::LN_2 + 2.0 * right;
        assert!((r.scalar("canaries.loss").unwrap() - mean / 8.0).abs() < 1e-6);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let r = read(&[0.0; 6], &[0, 1, 0], 2, vec![]);
        assert!(r.reasons[0].reason.contains("readouts of canaries to sequences"));
        let r = read(&[0.0; 8], &[0, 1, 0, 1], 2, vec![Group { name: "g", members: &[2] }]);
        assert!(r.reasons[0].reason.contains("members of g: index 2 of 2"), "{:?}", r.reasons);
    }

    /// Logits of the next of three bytes after `before`, from a table drawn by `seed`: the last two decide.
    fn network(seed: u64, before: &[u32]) -> [f32; 3] {
        let at = before.iter().rev().take(2).fold(0, |h, b| h * 4 + u64::from(*b) + 1);
        let draws = Philox::new(seed, "network").at(at);
        // Few values, so that ties occur.
        [0, 1, 2].map(|c| draws.below(c, 4) as f32)
    }

    proptest! {
        /// Greedy decoding with a network against the chain of right answers given the right ones before.
        #[test]
        fn one_pass_tells_what_greedy_decoding_says(
            seed in 0_u64..500, prompt in 0_u32..3, asked in prop::collection::vec(0_u32..3, 1..6)
        ) {
            let greedy: Vec<u32> = (0..asked.len()).scan(vec![prompt], |said, _| {
                let l = network(seed, said);
                let best = (0..3).find(|c| (0..3).all(|d| d == *c || l[d] < l[*c]))?;
                said.push(best as u32);
                Some(best as u32)
            }).collect();
            let mut before = vec![prompt];
            let mut logits = Vec::new();
            for t in &asked {
                logits.extend(network(seed, &before));
                before.push(*t);
            }
            let set = EvalSet {
                name: "s", n_classes: 3, logits: &logits, targets: &asked, taps: vec![], groups: vec![],
            };
            let s = Sequences::read(&Scores::of(&set).unwrap(), asked.len());
            prop_assert_eq!(s.matched[0] == asked.len(), greedy == asked);
            let alike = greedy.iter().zip(&asked).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(s.matched[0], alike);
        }
    }
}
