//! Finished runs at the cutoff that were still waiting for the event: what they showed by then, and what became of them.

use super::signals::Signals;
use crate::forecasters::landmark::landmarks;
use crate::forecasters::{NotFitted, Query, TrainingRun};
use crate::survival::{Lifetime, kaplan_meier, survival_at};
use ontogeny_core::{Prefix, Step, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Runs and cells below which nothing is learned across runs.
const LEAST_RUNS: usize = 20;
const LEAST_CELLS: usize = 3;
/// Parts into which the cells are dealt for cross-validation.
const FOLDS: usize = 5;

/// How a run is read at its cutoff.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    signals: Signals,
    horizon: Step,
}

impl Reader {
    /// Signals, hyper-parameters and `ln` of the cutoff; `None` before the first reading of the watched series.
    pub(super) fn row(
        &self,
        prefix: &Prefix,
        features: &BTreeMap<String, f64>,
    ) -> Option<Vec<f64>> {
        let mut row = self.signals.row(prefix, features)?;
        row.push(prefix.cutoff().ln());
        Some(row)
    }

    /// Cutoff and horizon on `ln t`; `None` if nothing lies between.
    pub(super) fn window(&self, prefix: &Prefix) -> Option<(f64, f64)> {
        let (from, to) = (prefix.cutoff().ln(), self.horizon.ln());
        (from < to).then_some((from, to))
    }
}

/// The runs that were still waiting; all vectors are of one length.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    pub(super) reader: Reader,
    pub(super) rows: Vec<Vec<f64>>,
    /// `ln` of the cutoff of each.
    pub(super) from: Vec<f64>,
    pub(super) times: Vec<Lifetime>,
    pub(super) cells: Vec<&'a str>,
    /// Which part of the cross-validation each belongs to; a cell is in one part.
    pub(super) fold: Vec<usize>,
    /// `ln` of the horizon.
    pub(super) to: f64,
}

impl<'a> Waiting<'a> {
    /// Reads the runs at their cutoffs.
    ///
    /// # Errors
    /// [`NotFitted`] if the query is not about an event whose series is known, or below 20 runs or 3 cells.
    pub(super) fn of(
        runs: &'a [TrainingRun],
        query: &Query,
        theory: &'static str,
    ) -> Result<Self, NotFitted> {
        let Target::EventTime { horizon, .. } = query.target else {
            return Err(NotFitted::WrongTarget { theory });
        };
        let rule = query.rule.as_ref().ok_or(NotFitted::NoRule { theory })?;
        let marks = landmarks(runs, query);
        let signals = Signals::learn(&marks, &rule.series, false);
        let reader = Reader { signals, horizon };
        let (mut rows, mut from, mut times, mut cells) = (vec![], vec![], vec![], vec![]);
        for m in &marks {
            if let (Some(row), Some(t)) = (reader.row(&m.prefix, &m.run.features), m.answer.time())
            {
                rows.push(row);
                from.push(m.prefix.cutoff().ln());
                times.push(t);
                cells.push(m.run.cell.as_str());
            }
        }
        let names: Vec<&str> = cells.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let few = |needed, found| Err(NotFitted::TooFewRuns { theory, needed, found });
        if rows.len() < LEAST_RUNS {
            return few(LEAST_RUNS, rows.len());
        }
        if names.len() < LEAST_CELLS {
            return few(LEAST_CELLS, names.len());
        }
        let fold = cells.iter().map(|c| names.binary_search(c).unwrap_or(0) % FOLDS).collect();
        Ok(Self { reader, rows, from, times, cells, fold, to: horizon.ln() })
    }

    /// The parts of the cross-validation.
    pub(super) fn folds(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.fold.iter().max().map_or(0, |f| f + 1)
    }

    /// Whether the event came by the horizon, and the weight of knowing it.
    ///
    /// A run that was not watched until the horizon (but for one percent) and had no event by then has weight
    /// 0; the others stand in for it: inverse probability of being watched that long (Robins & Rotnitzky 1992),
    /// at most 10.
    pub(super) fn outcomes(&self) -> Vec<(bool, f64)> {
        let lost = |t: &Lifetime| matches!(t, Lifetime::Censored { at } if *at < self.to - 0.01);
        let end = |t: &Lifetime| match *t {
            Lifetime::Event { hi, .. } => hi,
            Lifetime::Censored { at } => at,
        };
        // The same estimate with the roles exchanged: here it is the end of watching that "happens".
        let watching: Vec<Lifetime> = (self.times.iter())
            .map(|t| match (lost(t), end(t)) {
                (true, at) => Lifetime::Event { lo: at, hi: at },
                (false, at) => Lifetime::Censored { at },
            })
            .collect();
        let watched = kaplan_meier(&watching);
        (self.times.iter())
            .map(|t| match t {
                t if lost(t) => (false, 0.0),
                t => {
                    let w = 1.0 / survival_at(&watched, end(t) - 1e-9).max(0.1);
                    (matches!(t, Lifetime::Event { .. }), w)
                }
            })
            .collect()
    }
}
