//! Who says which canaries will be said by heart at the end, and how that is sealed.
//!
//! A forecast about the examples of a run is one entry of the ledger: a note with the scores of all canaries by all
//! speakers and the hash of the readings that they rest on, written while the run stands at the origin. When the run is
//! over the readings are cut again from what was kept; a note whose hash does not come out the same is refused.

use super::examples::History;
use super::{MAIN, ORACLE, TO_BEAT};
use crate::conductor::{Conductor, Live, Observer};
use crate::plan::RunPlan;
use crate::sealing::Sealer;
use crate::{LabError, RunRecord};
use ontogeny_analysis::examples::{ExampleForest, Logistic};
use ontogeny_analysis::scores::auprc;
use ontogeny_analysis::stats::{bootstrap_interval, cluster_bootstrap};
use ontogeny_core::{LedgerBody, LedgerEntry, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Ridge of the logistic regressions.
const RIDGE: f64 = 1.0;

/// The sums of the probabilities of a run's canaries, by run: from fit runs, made by learners that have not seen the run.
pub(super) type Sums = Arc<Mutex<BTreeMap<RunId, f64>>>;

/// Scores of all canaries by speaker; larger means more likely said by heart.
pub(super) type Spoken = BTreeMap<String, Vec<f64>>;

/// The canaries of a finished run as seen from an origin.
pub(super) struct Known {
    pub run: RunId,
    pub rows: Vec<Vec<f64>>,
    pub plain: [Vec<f64>; 3],
    pub planned: Vec<Vec<f64>>,
    pub yes: Vec<bool>,
}

/// The learners of one origin.
#[derive(Debug)]
pub(super) struct Speakers {
    pub step: u64,
    pub origin: String,
    forest: Option<ExampleForest>,
    logistic: Option<Logistic>,
    oracle: Option<Logistic>,
    base: f64,
    /// Whether the fit runs, left out one by one, say that [`MAIN`] beats what needs no learning.
    pub is_supported: bool,
    pub sums: Sums,
}

fn join<T: Clone>(parts: impl Iterator<Item = Vec<T>>) -> Vec<T> {
    parts.flatten().collect()
}

fn learned(runs: &[&Known]) -> (Option<ExampleForest>, Option<Logistic>) {
    let rows = join(runs.iter().map(|k| k.rows.clone()));
    let yes = join(runs.iter().map(|k| k.yes.clone()));
    let names: Vec<&str> =
        runs.iter().flat_map(|k| std::iter::repeat_n(k.run.as_str(), k.yes.len())).collect();
    (ExampleForest::fit(&rows, &yes, &names), Logistic::fit(&rows, &yes, RIDGE))
}

impl Speakers {
    /// Fits all learners to finished runs.
    pub(super) fn fit(step: u64, origin: String, runs: &[Known]) -> Self {
        let all: Vec<&Known> = runs.iter().collect();
        let yes = join(runs.iter().map(|k| k.yes.clone()));
        let base = yes.iter().filter(|y| **y).count() as f64 / yes.len().max(1) as f64;
        let (forest, logistic) = learned(&all);
        let planned = join(runs.iter().map(|k| k.planned.clone()));
        let oracle = Logistic::fit(&planned, &yes, RIDGE);
        // What learners that have not seen a run say of it.
        let mut left: Vec<Vec<f64>> = Vec::new();
        let mut sums = BTreeMap::new();
        for k in runs {
            let others: Vec<&Known> = all.iter().copied().filter(|o| o.run != k.run).collect();
            let (forest, _) = learned(&others);
            let said: Vec<f64> =
                k.rows.iter().map(|r| forest.as_ref().map_or(base, |f| f.probability(r))).collect();
            sums.insert(k.run.clone(), said.iter().sum());
            left.push(said);
        }
        let plain = (0..3).map(|i| runs.iter().map(|k| k.plain[i].clone()).collect());
        let plain: Vec<Vec<Vec<f64>>> = plain.collect();
        let outcomes: Vec<&[bool]> = runs.iter().map(|k| k.yes.as_slice()).collect();
        let best = plain.iter().max_by(|a, b| {
            let of = |s: &Vec<Vec<f64>>| pooled(s, &outcomes).and_then(|r| auprc(&r));
            of(a).unwrap_or(0.0).total_cmp(&of(b).unwrap_or(0.0))
        });
        let gain = best.and_then(|b| difference(&left, b, &outcomes));
        let is_supported = runs.len() >= 4 && gain.is_some_and(|g| g.1 > 0.0);
        let sums = Arc::new(Mutex::new(sums));
        Self { step, origin, forest, logistic, oracle, base, is_supported, sums }
    }

    /// What everybody says of the canaries of a run whose readings end at the origin.
    pub(super) fn say(
        &self,
        history: &History,
        insertions: &[Vec<u64>],
        n_steps: u64,
        planned: &[Vec<f64>],
    ) -> Spoken {
        let rows = history.rows(insertions, n_steps);
        let [duplicates, persistence, loss] = history.plain(insertions);
        let n = rows.len();
        let mut said = Spoken::new();
        let by = |rows: &[Vec<f64>], p: &dyn Fn(&[f64]) -> Option<f64>| -> Vec<f64> {
            rows.iter().map(|r| p(r).unwrap_or(self.base)).collect()
        };
        let forest = |r: &[f64]| self.forest.as_ref().map(|f| f.probability(r));
        let logistic = |r: &[f64]| self.logistic.as_ref().map(|f| f.probability(r));
        let oracle = |r: &[f64]| self.oracle.as_ref().map(|f| f.probability(r));
        said.insert(MAIN.into(), by(&rows, &forest));
        said.insert("logistic".into(), by(&rows, &logistic));
        said.insert(ORACLE.into(), by(planned, &oracle));
        for (name, scores) in TO_BEAT.into_iter().zip([duplicates, persistence, loss]) {
            said.insert(name.into(), scores);
        }
        said.insert("base-rate".into(), vec![self.base; n]);
        said
    }
}

/// Scores and outcomes of all runs together; `None` if their lengths differ.
pub(super) fn pooled(scores: &[Vec<f64>], outcomes: &[&[bool]]) -> Option<Vec<(f64, bool)>> {
    let fits = scores.len() == outcomes.len()
        && scores.iter().zip(outcomes).all(|(s, o)| s.len() == o.len());
    let both =
        scores.iter().zip(outcomes).flat_map(|(s, o)| s.iter().copied().zip(o.iter().copied()));
    fits.then(|| both.collect())
}

/// Area under the precision-recall curve over all canaries of some runs, with the 95 % interval of a bootstrap over runs.
pub(super) fn area(scores: &[Vec<f64>], outcomes: &[&[bool]]) -> Option<(f64, f64, f64)> {
    over_runs(outcomes.len(), |pick| {
        auprc(&pooled(&taken(scores, pick)?, &taken(outcomes, pick)?)?)
    })
}

/// The area of one less that of another, likewise.
pub(super) fn difference(
    a: &[Vec<f64>],
    b: &[Vec<f64>],
    outcomes: &[&[bool]],
) -> Option<(f64, f64, f64)> {
    over_runs(outcomes.len(), |pick| {
        let o = taken(outcomes, pick)?;
        let of = |s: &[Vec<f64>]| auprc(&pooled(&taken(s, pick)?, &o)?);
        Some(of(a)? - of(b)?)
    })
}

/// Those at `pick`; `None` if one of them is not there.
fn taken<T: Clone>(all: &[T], pick: &[usize]) -> Option<Vec<T>> {
    pick.iter().map(|i| all.get(*i).cloned()).collect()
}

/// A number over runs with the 95 % interval of 2000 resamples of them; without an interval from a single run.
fn over_runs(n: usize, of: impl Fn(&[usize]) -> Option<f64>) -> Option<(f64, f64, f64)> {
    let value = of(&(0..n).collect::<Vec<_>>())?;
    let clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let again = cluster_bootstrap(&clusters, 2000, 1, of);
    let (lo, hi) = bootstrap_interval(&again, 0.95).filter(|_| n > 1)?;
    Some((value, lo, hi))
}

/// What a note of the ledger holds about the canaries of one run from one origin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PerExample {
    /// The run.
    pub run: RunId,
    /// The name of the origin, and its step.
    pub origin: String,
    pub cutoff: u64,
    /// The step at which the run stood, and the step that is asked about.
    pub sealed_at: u64,
    pub horizon: u64,
    /// BLAKE3 of the readings up to the cutoff.
    pub prefix_hash: String,
    /// Whether the fit runs supported the main speaker.
    pub is_supported: bool,
    /// Scores by speaker, one per canary.
    pub said: Spoken,
}

/// What the subject of a note begins with.
const SUBJECT: &str = "per-example forecast";

fn subject(study: &str, run: &RunId, origin: &str) -> String {
    format!("{SUBJECT} {study}/{run}/extractable@{origin}")
}

/// The notes of a study, by subject.
pub(super) fn notes(entries: &[LedgerEntry], study: &str) -> BTreeMap<String, PerExample> {
    let mine = format!("{SUBJECT} {study}/");
    let of = |e: &LedgerEntry| match &e.body {
        LedgerBody::Note { about, text } if about.starts_with(&mine) => {
            Some((about.clone(), serde_json::from_str(text).ok()?))
        }
        _ => None,
    };
    entries.iter().filter_map(of).collect()
}

/// Seals per-example forecasts, and then, through the common sealer, those of the number of canaries.
pub(super) struct ExampleSealer<'a> {
    pub conductor: Conductor<'a>,
    pub speakers: &'a [Speakers],
    pub before: &'a BTreeMap<String, PerExample>,
    /// Insertions and plan of the run.
    pub insertions: Vec<Vec<u64>>,
    pub planned: Vec<Vec<f64>>,
    /// What the smaller network ended at: minus the loss of every canary.
    pub proxy: Option<Vec<f64>>,
    pub counts: Sealer<'a>,
    pub history: History,
}

/// Four digits are kept: the order of scores that differ by less says nothing.
fn short(v: f64) -> f64 {
    (v * 1e4).round() / 1e4
}

impl ExampleSealer<'_> {
    fn seal(&self, live: &Live<'_>, speakers: &Speakers) -> Result<(), LabError> {
        let plan: &RunPlan = live.plan;
        let (horizon, seen) = (plan.config.horizon, self.history.until(speakers.step));
        let mut said = speakers.say(&seen, &self.insertions, horizon, &self.planned);
        if let Some(p) = &self.proxy {
            said.insert(super::PROXY.into(), p.clone());
        }
        said.values_mut().flatten().for_each(|v| *v = short(*v));
        if let (Some(main), Ok(mut sums)) = (said.get(MAIN), speakers.sums.lock()) {
            sums.insert(plan.id.clone(), main.iter().sum());
        }
        let study = plan.study.as_ref().map_or("", |s| s.as_str());
        let about = subject(study, &plan.id, &speakers.origin);
        if self.before.contains_key(&about) {
            return Ok(());
        }
        let sealed = PerExample {
            run: plan.id.clone(),
            origin: speakers.origin.clone(),
            cutoff: speakers.step,
            sealed_at: live.step.0,
            horizon,
            prefix_hash: seen.hash(),
            is_supported: speakers.is_supported,
            said,
        };
        let text = serde_json::to_string(&sealed)
            .map_err(|source| LabError::Config { run: plan.id.clone(), source })?;
        let body = LedgerBody::Note { about, text };
        Ok(self.conductor.ledger.append_all([body], self.conductor.clock).map(drop)?)
    }
}

impl Observer for ExampleSealer<'_> {
    fn reading(&mut self, live: &Live<'_>) -> Result<(), LabError> {
        // A resumed run has readings from before.
        let first = live.plan.fork.as_ref().map_or(0, |f| f.step.0);
        if self.history.steps.is_empty() && live.step.0 > first {
            self.history = History::of(&self.conductor.store.run(&live.plan.id)?, live.step)?;
        }
        self.history.push(live.step, live.vectors);
        for s in self.speakers.iter().filter(|s| s.step == live.step.0) {
            self.seal(live, s)?;
        }
        self.counts.reading(live)
    }

    fn finished(&mut self, record: &RunRecord) -> Result<(), LabError> {
        self.counts.finished(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(i: usize) -> RunId {
        RunId::new(format!("r{i}")).unwrap()
    }

    /// Twenty canaries of a run: the first four are said by heart, and the first signal shows it.
    fn known(i: usize) -> Known {
        let yes: Vec<bool> = (0..20).map(|c| c < 4).collect();
        let rows = (0..20).map(|c| vec![f64::from(20 - c) + 0.1 * i as f64, 1.0]).collect();
        let flat = vec![0.0; 20];
        let opposite: Vec<f64> = (0..20).map(f64::from).collect();
        let plain = [opposite, flat.clone(), flat];
        Known { run: id(i), rows, plain, planned: vec![vec![0.0]; 20], yes }
    }

    #[test]
    fn what_separates_is_found_supported_and_summed_without_the_run_itself() {
        let runs: Vec<Known> = (0..6).map(known).collect();
        let s = Speakers::fit(10, "10 %".into(), &runs);
        assert!(s.is_supported && (s.base - 0.2).abs() < 1e-12);
        let sums = s.sums.lock().unwrap();
        assert_eq!(sums.len(), 6);
        assert!(sums.values().all(|v| (v - 4.0).abs() < 1.0), "{sums:?}");
        // Nothing to learn from: everybody says the base rate, and nothing is supported.
        let none: Vec<Known> = (0..6).map(|i| Known { yes: vec![false; 20], ..known(i) }).collect();
        let s = Speakers::fit(10, "10 %".into(), &none);
        assert!(!s.is_supported && s.forest.is_none() && s.base == 0.0);
    }

    #[test]
    fn areas_and_differences_are_over_runs() {
        let outcomes: Vec<Vec<bool>> = (0..5).map(|i| known(i).yes).collect();
        let outcomes: Vec<&[bool]> = outcomes.iter().map(Vec::as_slice).collect();
        let good: Vec<Vec<f64>> = vec![(0..20).map(|c| -f64::from(c)).collect(); 5];
        let flat = vec![vec![1.0; 20]; 5];
        assert_eq!(area(&good, &outcomes), Some((1.0, 1.0, 1.0)));
        let (d, lo, hi) = difference(&good, &flat, &outcomes).unwrap();
        assert!((d - 0.8).abs() < 1e-12 && (lo - 0.8).abs() < 1e-12 && (hi - 0.8).abs() < 1e-12);
        assert_eq!(difference(&good, &good, &outcomes), Some((0.0, 0.0, 0.0)));
        // One run has no interval, and runs of other lengths no area.
        assert_eq!(area(&good[..1], &outcomes[..1]), None);
        assert_eq!(area(&good[..4], &outcomes), None);
    }

    #[test]
    fn notes_are_found_again_by_study() {
        let sealed = PerExample {
            run: id(1),
            origin: "10 %".into(),
            cutoff: 60,
            sealed_at: 60,
            horizon: 600,
            prefix_hash: History::default().hash(),
            is_supported: true,
            said: Spoken::from([(MAIN.to_owned(), vec![0.25, 1.0])]),
        };
        let note = |study: &str| LedgerBody::Note {
            about: subject(study, &sealed.run, &sealed.origin),
            text: serde_json::to_string(&sealed).unwrap(),
        };
        let other = LedgerBody::Note { about: "memo".into(), text: "a remark".into() };
        let entries: Vec<LedgerEntry> = [note("memo"), note("memo2"), other]
            .into_iter()
            .map(|body| LedgerEntry::seal(None, 0.0, body))
            .collect();
        let found = notes(&entries, "memo");
        assert_eq!(found.len(), 1);
        let again = &found["per-example forecast memo/r1/extractable@10 %"];
        assert_eq!((&again.said, &again.prefix_hash), (&sealed.said, &sealed.prefix_hash));
    }
}
