//! Evaluation sets in which every example has an attribute beside its class.
//!
//! Such a set has two classes and groups `<set>.aligned` (the class is the attribute) and `<set>.conflict` (it is the
//! other one). A set called `<set>~<edit>` holds the same examples, row for row, each with one part taken from an
//! example with the other attribute (`shortcut`) or of the other class (`core`).

use crate::{EvalSet, Observation, ProbeError};

/// Between the name of a set and that of its edit.
pub(crate) const EDIT: char = '~';

/// A set whose attribute is known.
#[derive(Debug)]
pub(crate) struct Marked<'a, 'o> {
    pub(crate) set: &'o EvalSet<'a>,
    pub(crate) aligned: &'a [u32],
    pub(crate) conflict: &'a [u32],
    /// The attribute of each example, 0 or 1.
    pub(crate) attribute: Vec<u32>,
}

/// All such sets, edits left out.
///
/// # Errors
/// [`ProbeError::Missing`] if there is none, [`ProbeError::Shape`] for more than two classes or examples that are in
/// neither group, [`ProbeError::NonFinite`] for logits that are not finite.
pub(crate) fn marked<'a, 'o>(o: &'o Observation<'a>) -> Result<Vec<Marked<'a, 'o>>, ProbeError> {
    let mut found = Vec::new();
    for set in o.sets.iter().filter(|s| !s.name.contains(EDIT)) {
        let group = |side: &str| {
            let name = format!("{}.{side}", set.name);
            set.groups.iter().find(|g| g.name == name).map(|g| g.members)
        };
        let (Some(aligned), Some(conflict)) = (group("aligned"), group("conflict")) else {
            continue;
        };
        check(set)?;
        let n = set.targets.len();
        if aligned.len() + conflict.len() != n {
            let what = format!("sides of {}", set.name);
            return Err(ProbeError::Shape {
                what,
                expected: n,
                found: aligned.len() + conflict.len(),
            });
        }
        let mut attribute = set.targets.to_vec();
        for &i in conflict {
            attribute[i as usize] = 1 - attribute[i as usize];
        }
        found.push(Marked { set, aligned, conflict, attribute });
    }
    if found.is_empty() {
        let what = "an evaluation set with the sides aligned and conflict".to_owned();
        return Err(ProbeError::Missing { what });
    }
    Ok(found)
}

fn check(set: &EvalSet<'_>) -> Result<(), ProbeError> {
    set.check()?;
    if set.n_classes != 2 {
        let what = format!("classes of {}", set.name);
        return Err(ProbeError::Shape { what, expected: 2, found: set.n_classes });
    }
    if set.logits.iter().any(|v| !v.is_finite()) {
        return Err(ProbeError::NonFinite { what: format!("logits of {}", set.name) });
    }
    Ok(())
}

impl<'a> Marked<'a, '_> {
    /// The edit of this set called `edit`, if there is one.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] or [`ProbeError::NonFinite`] if it does not fit.
    pub(crate) fn edited<'o>(
        &self,
        o: &'o Observation<'a>,
        edit: &str,
    ) -> Result<Option<&'o EvalSet<'a>>, ProbeError> {
        let name = format!("{}{EDIT}{edit}", self.set.name);
        let Some(set) = o.sets.iter().find(|s| s.name == name) else { return Ok(None) };
        check(set)?;
        let (expected, found) = (self.set.targets.len(), set.targets.len());
        if expected != found {
            return Err(ProbeError::Shape { what: format!("rows of {name}"), expected, found });
        }
        Ok(Some(set))
    }
}

/// The class with the larger logit of each example; of equals the first.
pub(crate) fn predicted(set: &EvalSet<'_>) -> Vec<u32> {
    set.logits.chunks_exact(2).map(|row| u32::from(row[1] > row[0])).collect()
}

/// Logit of class 1 less that of class 0.
pub(crate) fn contrast(set: &EvalSet<'_>) -> Vec<f64> {
    set.logits.chunks_exact(2).map(|row| f64::from(row[1]) - f64::from(row[0])).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Group, ProbeSet, Readings};
    use ontogeny_core::Step;

    /// What one probe reads on examples (attribute, class, logits), and on their edits.
    pub(crate) fn read(
        probe: &str,
        rows: &[(u32, u32, [f32; 2])],
        edits: &[(&str, Vec<[f32; 2]>)],
    ) -> Readings {
        let targets: Vec<u32> = rows.iter().map(|r| r.1).collect();
        let logits: Vec<f32> = rows.iter().flat_map(|r| r.2).collect();
        let all = || 0..rows.len() as u32;
        let is_aligned = |i: &u32| rows[*i as usize].0 == rows[*i as usize].1;
        let (aligned, conflict): (Vec<u32>, Vec<u32>) = all().partition(is_aligned);
        let names: Vec<String> = edits.iter().map(|(n, _)| format!("test~{n}")).collect();
        let other: Vec<Vec<f32>> = edits.iter().map(|(_, l)| l.concat()).collect();
        let mut o = Observation::new(Step(0));
        let set = |name, logits, groups| EvalSet {
            name,
            n_classes: 2,
            logits,
            targets: &targets,
            taps: vec![],
            groups,
        };
        let groups = vec![
            Group { name: "test.aligned", members: &aligned },
            Group { name: "test.conflict", members: &conflict },
        ];
        o.sets.push(set("test", &logits, groups));
        for (name, logits) in names.iter().zip(&other) {
            o.sets.push(set(name, logits, vec![]));
        }
        let mut readings = Readings::new();
        ProbeSet::named([probe]).unwrap().measure(&o, &mut readings);
        readings
    }

    /// A hundred examples, attribute and class as often 0 as 1, 80 aligned (rho = .6), with logits for a prediction.
    pub(crate) fn balanced(predict: impl Fn(u32, u32) -> u32) -> Vec<(u32, u32, [f32; 2])> {
        (0..100)
            .map(|i| {
                let a = i % 2;
                let y = if i < 80 { a } else { 1 - a };
                (a, y, if predict(a, y) == 1 { [0.0, 1.0] } else { [1.0, 0.0] })
            })
            .collect()
    }
}
