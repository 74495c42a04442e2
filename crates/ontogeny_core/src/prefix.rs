//! What a forecaster may see: the part of a run before its cutoff, and nothing else.

use crate::{RunId, Series, Step};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The readings of one run up to a cutoff, copied out, with the hash of what was copied.
///
/// Law 4, no peeking: a forecaster is given a `&Prefix`. Later points are not merely hidden, they are not
/// there; the only constructor drops them, and no method reaches the run or the store.
#[derive(Debug, Clone)]
pub struct Prefix {
    run: RunId,
    cutoff: Step,
    series: BTreeMap<String, Series>,
    plans: BTreeMap<String, Series>,
    /// Made when it is first asked for: fits cut many prefixes that nobody seals.
    hash: OnceLock<String>,
}

impl PartialEq for Prefix {
    fn eq(&self, other: &Self) -> bool {
        let parts = |p: &Self| (p.run.clone(), p.cutoff);
        parts(self) == parts(other) && self.series == other.series && self.plans == other.plans
    }
}

impl Prefix {
    /// Copies from `series` every point with `step <= cutoff` and hashes what it copied. A series that begins
    /// later is not there: that it will come is not known yet.
    pub fn cut<'a>(run: RunId, cutoff: Step, series: impl IntoIterator<Item = &'a Series>) -> Self {
        let series: BTreeMap<String, Series> = series
            .into_iter()
            .map(|s| {
                (
                    s.name.clone(),
                    Series {
                        points: s.up_to(cutoff).to_vec(),
                        name: s.name.clone(),
                        unit: s.unit.clone(),
                    },
                )
            })
            .filter(|(_, s)| !s.points.is_empty())
            .collect();
        Self { run, cutoff, series, plans: BTreeMap::new(), hash: OnceLock::new() }
    }

    /// Adds what was decided before training, such as the learning rate of every step: known to its end at any
    /// cutoff. It counts in the hash.
    #[must_use]
    pub fn with_plans<'a>(mut self, plans: impl IntoIterator<Item = &'a Series>) -> Self {
        self.plans.extend(plans.into_iter().map(|s| (s.name.clone(), s.clone())));
        self.hash = OnceLock::new();
        self
    }

    /// A series that was decided before training, whole.
    pub fn plan(&self, name: &str) -> Option<&Series> {
        self.plans.get(name)
    }

    /// The run the prefix was cut from.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The last step that may have been read.
    pub fn cutoff(&self) -> Step {
        self.cutoff
    }

    /// One series of the prefix.
    pub fn series(&self, name: &str) -> Option<&Series> {
        self.series.get(name)
    }

    /// Names of the series, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// The last value of a series at or before the cutoff.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.series.get(name)?.last().map(|p| p.value)
    }

    /// BLAKE3, in hexadecimal, over run, cutoff, names, units, steps and bit patterns of values, and the same of the plans
    /// if there are any.
    pub fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let read = hash_of(&self.run, self.cutoff, &self.series);
            if self.plans.is_empty() {
                return read;
            }
            let planned = hash_of(&self.run, Step(u64::MAX), &self.plans);
            blake3::hash(format!("{read}{planned}").as_bytes()).to_hex().to_string()
        })
    }
}

fn hash_of(run: &RunId, cutoff: Step, series: &BTreeMap<String, Series>) -> String {
    let mut h = blake3::Hasher::new();
    let text = |h: &mut blake3::Hasher, s: &str| {
        h.update(&(s.len() as u64).to_le_bytes());
        h.update(s.as_bytes());
    };
    text(&mut h, run.as_str());
    h.update(&cutoff.0.to_le_bytes());
    for s in series.values() {
        text(&mut h, &s.name);
        text(&mut h, &s.unit);
        h.update(&(s.points.len() as u64).to_le_bytes());
        for p in &s.points {
            h.update(&p.step.0.to_le_bytes());
            h.update(&p.value.to_bits().to_le_bytes());
        }
    }
    h.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(points: &[(u64, f64)], cutoff: u64) -> Prefix {
        let s = Series::from_pairs("loss", "nats", points.iter().copied());
        Prefix::cut(RunId::new("r").unwrap(), Step(cutoff), [&s])
    }

    #[test]
    fn law_4_no_peeking_points_after_the_cutoff_are_not_there() {
        let p = cut(&[(0, 3.0), (10, 2.0), (20, 1.0)], 10);
        assert_eq!(p.series("loss").unwrap().points.len(), 2);
        assert_eq!(p.last("loss"), Some(2.0));
    }

    #[test]
    fn law_4_no_peeking_the_hash_knows_the_past_and_not_the_future() {
        let a = cut(&[(0, 3.0), (10, 2.0), (20, 1.0)], 10);
        assert_eq!(a.hash(), cut(&[(0, 3.0), (10, 2.0), (20, 9.0)], 10).hash());
        assert_ne!(a.hash(), cut(&[(0, 3.0), (10, 2.1), (20, 1.0)], 10).hash());
        assert_ne!(a.hash(), cut(&[(0, 3.0), (10, 2.0), (20, 1.0)], 11).hash());
    }

    #[test]
    fn plans_are_whole_and_nothing_else_is() {
        let lr = Series::from_pairs("lr", "1", [(0, 1.0), (90, 0.1)]);
        let plain = cut(&[(0, 3.0), (20, 1.0)], 10);
        let planned = plain.clone().with_plans([&lr]);
        assert_eq!(planned.plan("lr"), Some(&lr));
        assert_eq!((planned.series("lr"), planned.last("loss")), (None, Some(3.0)));
        assert_ne!(planned.hash(), plain.hash());
        assert_eq!(plain.clone().with_plans([]).hash(), plain.hash());
    }

    #[test]
    fn law_4_no_peeking_a_series_that_begins_later_is_not_known_of() {
        let early = Series::from_pairs("loss", "nats", [(0, 3.0), (10, 2.0)]);
        let late = Series::from_pairs("eval.loss", "nats", [(50, 2.5)]);
        let run = RunId::new("r").unwrap();
        let before = Prefix::cut(run.clone(), Step(10), [&early]);
        let again = Prefix::cut(run, Step(10), [&early, &late]);
        assert_eq!((before.hash(), again.names().count()), (again.hash(), 1));
    }
}
