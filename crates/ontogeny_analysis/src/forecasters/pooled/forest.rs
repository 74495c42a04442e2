//! A forest over early signals whose leaves keep their runs: the forecast is a weighted sample of finished runs.
//!
//! Extremely randomized trees (Geurts et al. 2006) that separate the ranks of the answers. A new run falls into
//! one leaf of every tree; each run there gets its share of the weight (Meinshausen 2006, quantile regression
//! forests), so the forecast has the width, the skew and the second mode that such runs had. Why not a crate:
//! `docs/decisions/0006`.
//!
//! Every tree is grown without a third of the cells. What the trees that have not seen a run's cell say about
//! that run is compared with what became of it, and the forecast is widened or narrowed so that nine in ten of
//! those comparisons fall inside the central 90 % (conformal, the cell being what is exchanged).
//!
//! Of event times the leaves keep lifetimes, censored ones among them; the forecast is their Kaplan-Meier curve.
//!
//! Two forms: the *level* forest forecasts the answer, the *change* forest what remains after the last value.

use super::signals::Signals;
use super::trees::Trees;
use crate::distribution::{Cdf, Support, from_lifetimes, from_weighted, median, rescale};
use crate::forecasters::landmark::{Answer, landmarks};
use crate::forecasters::{
    Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::stats::ranks;
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Step, Target, TheoryRef};
use std::collections::BTreeMap;

/// Runs below which no forest is grown.
const LEAST_RUNS: usize = 20;
/// Share of outcomes that the central interval is to cover.
const COVERED: f64 = 0.9;

const fn spec(name: &'static str) -> TheorySpec {
    TheorySpec {
        name,
        version: 1,
        // A forest has as many free choices as runs; what it may claim is measured by leaving cells out.
        n_params: 10,
        scope: "values and event times of runs among at least 20 finished ones",
        source: "trees: Geurts et al. 2006, leaves: Meinshausen 2006",
    }
}
const LEVEL: TheorySpec = spec("pooled-forest-level");
const CHANGE: TheorySpec = spec("pooled-forest-change");
pub(crate) const LEVEL_ENTRY: TheoryEntry =
    TheoryEntry { spec: LEVEL, build: || Box::new(PooledForest { from_last: false }) };
pub(crate) const CHANGE_ENTRY: TheoryEntry =
    TheoryEntry { spec: CHANGE, build: || Box::new(PooledForest { from_last: true }) };

/// A quantile forest over early signals.
#[derive(Debug, Clone, Copy, Default)]
pub struct PooledForest {
    /// Whether it forecasts what remains after the last value instead of the answer itself.
    pub from_last: bool,
}

#[derive(Debug)]
struct FittedForest {
    signals: Signals,
    from_last: bool,
    trees: Trees,
    answers: Vec<f64>,
    /// Of event times: the lifetimes, and the last step that is looked at.
    lifetimes: Option<(Vec<Lifetime>, Step)>,
    /// By how much distances from the median are multiplied.
    factor: f64,
    identity: Identity,
}

/// The answers with their weights, each moved by `base`; `None` if nobody has a weight.
fn moved(answers: &[f64], weights: &[f64], base: f64) -> Option<Predictive> {
    let weighted: Vec<(f64, f64)> =
        answers.iter().zip(weights).map(|(a, w)| (base + a, *w)).collect();
    from_weighted(&weighted)
}

/// Every lifetime as often as its share of the weight says, out of some forty.
fn in_proportion(lifetimes: &[Lifetime], weights: &[f64]) -> Vec<Lifetime> {
    let total: f64 = weights.iter().sum();
    let times = |w: f64| if total > 0.0 { (40.0 * w / total).round() as usize } else { 0 };
    lifetimes.iter().zip(weights).flat_map(|(t, w)| std::iter::repeat_n(*t, times(*w))).collect()
}

/// How far an answer lay from the median, in distances from there to the end of the central interval.
fn ratio(p: &Predictive, y: f64) -> Option<f64> {
    let cdf = Cdf::new(p, Support::Line)?;
    let centre = median(p);
    let edge = cdf.quantile(if y > centre { 0.5 + 0.5 * COVERED } else { 0.5 - 0.5 * COVERED })?;
    let half = (edge - centre).abs();
    (half > 0.0).then(|| (y - centre).abs() / half)
}

/// The `⌈(n + 1) q⌉`-th ratio of `n`; 1 where there are too few.
fn conformal(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    let rank = ((ratios.len() as f64 + 1.0) * COVERED).ceil() as usize;
    ratios.get(rank.wrapping_sub(1)).map_or(1.0, |r| r.clamp(0.2, 5.0))
}

impl Theory for PooledForest {
    fn spec(&self) -> TheorySpec {
        if self.from_last { CHANGE } else { LEVEL }
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let spec = self.spec();
        let (series, log, horizon) = match (&query.target, &query.rule) {
            (Target::Value { series, log, .. }, _) => (series, *log, None),
            // What remains until an event is the level forest's answer already, given that it has not come.
            (Target::EventTime { horizon, .. }, Some(rule)) if !self.from_last => {
                (&rule.series, false, Some(*horizon))
            }
            _ => return Err(NotFitted::WrongTarget { theory: spec.name }),
        };
        let marks = landmarks(runs, query);
        let signals = Signals::learn(&marks, series, log);
        let (mut rows, mut answers, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        let mut lifetimes = Vec::new();
        for m in &marks {
            let row = signals.row(&m.prefix, &m.run.features);
            let y = match m.answer {
                Answer::Value(v) => v,
                Answer::Time(t) => {
                    lifetimes.push(t);
                    // Later than any that came; the censoring itself is kept beside.
                    t.mid().unwrap_or(2.0 * f64::from(u32::MAX).ln())
                }
            };
            let Some(row) = row else {
                lifetimes.pop();
                continue;
            };
            let base = if self.from_last { signals.last(&m.prefix).unwrap_or(0.0) } else { 0.0 };
            rows.push(row);
            answers.push(y - base);
            cells.push(m.run.cell.as_str());
        }
        if rows.len() < LEAST_RUNS {
            let found = rows.len();
            return Err(NotFitted::TooFewRuns { theory: spec.name, needed: LEAST_RUNS, found });
        }
        let ranks = ranks(&answers);
        let trees = Trees::grow(&rows, &ranks, &cells, "pooled-forest");
        let unseen = |i: usize| moved(&answers, &trees.unseen(i, &rows[i]), 0.0);
        let ratios = (0..rows.len()).filter_map(|i| ratio(&unseen(i)?, answers[i])).collect();
        let factor = if horizon.is_some() { 1.0 } else { conformal(ratios) };
        let lifetimes = horizon.map(|h| (lifetimes, h));
        let identity = Identity::new(spec, answers.iter().copied().chain([factor]).collect(), runs);
        let from_last = self.from_last;
        Ok(Box::new(FittedForest {
            signals,
            from_last,
            trees,
            answers,
            lifetimes,
            factor,
            identity,
        }))
    }
}

impl Fitted for FittedForest {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let row = self.signals.row(prefix, features)?;
        let base = if self.from_last { self.signals.last(prefix)? } else { 0.0 };
        let weights = self.trees.weights(&row);
        if let Some((lifetimes, horizon)) = &self.lifetimes {
            let alike = in_proportion(lifetimes, &weights);
            let now = prefix.cutoff();
            return (now < *horizon).then(|| from_lifetimes(&alike, now, *horizon));
        }
        let p = moved(&self.answers, &weights, base)?;
        Some(rescale(&p, self.factor, Support::Line))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
