//! From ledger entries to scored records: joined, checked, refused where post hoc.

use super::{Alternative, Provenance};
use crate::distribution::Support;
use crate::scores::{PitRange, Refusal, pit, refusal, score_predictive, support_of};
use ontogeny_core::{
    DesignProblem, Forecast, LedgerBody, LedgerEntry, Observed, Outcome, RunId, Target,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Whose scorecard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) theory: &'a str,
    pub(crate) property: &'a str,
}

impl Subject<'_> {
    pub(crate) fn is(&self, f: &Forecast) -> bool {
        f.theory.name == self.theory && f.property == self.property
    }

    pub(crate) fn poses(&self, d: &DesignProblem) -> bool {
        d.theory == self.theory && d.property == self.property
    }
}

/// A post hoc record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRecord {
    /// The forecast.
    pub forecast: String,
    /// Its version.
    pub version: u32,
    /// Why it is never scored.
    pub reason: String,
}

/// A record that counts.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    pub(crate) forecast: &'a Forecast,
    pub(crate) observed: Observed,
    pub(crate) seq: u64,
    pub(crate) outcome_seq: u64,
    pub(crate) support: Support,
    pub(crate) score: Option<f64>,
    pub(crate) baselines: BTreeMap<&'a str, f64>,
    pub(crate) pit: Option<PitRange>,
    /// The runs this theory was fitted on, from claim and provenance.
    pub(crate) fitted_on: BTreeSet<&'a RunId>,
}

/// All records of a subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records<'a> {
    pub(crate) scored: Vec<Record<'a>>,
    pub(crate) refused: Vec<RefusedRecord>,
    pub(crate) n_pending: usize,
    pending_versions: Vec<u32>,
}

impl<'a> Records<'a> {
    pub(crate) fn of_version(&self, version: u32) -> Self {
        let pending_versions: Vec<u32> =
            self.pending_versions.iter().copied().filter(|v| *v == version).collect();
        Self {
            scored: self
                .scored
                .iter()
                .filter(|r| r.forecast.theory.version == version)
                .cloned()
                .collect(),
            refused: self.refused.iter().filter(|r| r.version == version).cloned().collect(),
            n_pending: pending_versions.len(),
            pending_versions,
        }
    }

    /// Forecasts of events and values.
    pub(crate) fn observational(&self) -> Vec<Record<'a>> {
        let is_fork = |r: &&Record| matches!(r.forecast.target, Target::ForkEffect { .. });
        self.scored.iter().filter(|r| !is_fork(r)).cloned().collect()
    }

    /// Forecasts of fork effects.
    pub(crate) fn forks(&self) -> Vec<Record<'a>> {
        let is_fork = |r: &&Record| matches!(r.forecast.target, Target::ForkEffect { .. });
        self.scored.iter().filter(is_fork).cloned().collect()
    }
}

impl Record<'_> {
    /// The same record if the outcome had been found with another setting.
    pub(crate) fn under(&self, alternative: &Alternative) -> Self {
        let observed = alternative.outcomes.get(&self.forecast.id).copied();
        let mut r = self.clone();
        r.observed = observed.unwrap_or(r.observed);
        r.rescore();
        r
    }

    fn rescore(&mut self) {
        let f = self.forecast;
        self.score = f.predictive.as_ref().and_then(|p| score_predictive(p, f, self.observed));
        self.pit = f.predictive.as_ref().and_then(|p| pit(p, self.support, self.observed));
        self.baselines = f
            .baselines
            .iter()
            .filter_map(|(n, p)| Some((n.as_str(), score_predictive(p, f, self.observed)?)))
            .collect();
    }

    /// What is being claimed about which run: two cutoffs of one outcome are one bet.
    pub(crate) fn outcome_key(&self) -> (String, String) {
        let what = match &self.forecast.target {
            Target::EventTime { event, .. } => event.clone(),
            Target::Value { series, at, .. } => format!("{series}@{at}"),
            Target::ForkEffect { intervention, outcome } => format!("{intervention}:{outcome}"),
        };
        (self.forecast.run.to_string(), what)
    }
}

/// Forecasts in the ledger with their positions.
pub(crate) fn forecasts(entries: &[LedgerEntry]) -> impl Iterator<Item = (u64, &Forecast)> {
    entries.iter().filter_map(|e| match &e.body {
        LedgerBody::Forecast(f) => Some((e.seq, f.as_ref())),
        _ => None,
    })
}

/// Joins forecasts with their first outcome and checks each pair.
pub(crate) fn gather<'a>(
    entries: &'a [LedgerEntry],
    provenance: &'a Provenance,
    subject: &Subject,
) -> Records<'a> {
    let mut outcomes: BTreeMap<&str, (u64, &Outcome)> = BTreeMap::new();
    for e in entries {
        if let LedgerBody::Outcome(o) = &e.body {
            outcomes.entry(&o.forecast).or_insert((e.seq, o));
        }
    }
    let mut records = Records::default();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (seq, f) in forecasts(entries).filter(|(_, f)| subject.is(f)) {
        let version = f.theory.version;
        let mut refuse = |reason: String| {
            records.refused.push(RefusedRecord { forecast: f.id.clone(), version, reason });
        };
        if !seen.insert(&f.id) {
            refuse("the ledger holds an earlier forecast of the same name".into());
            continue;
        }
        let Some(&(outcome_seq, outcome)) = outcomes.get(f.id.as_str()) else {
            records.n_pending += 1;
            records.pending_versions.push(version);
            continue;
        };
        if outcome_seq < seq {
            refuse(Refusal::SealedAfterOutcome.to_string());
            continue;
        }
        let fitted_on: BTreeSet<&RunId> = f
            .theory
            .fitted_on
            .iter()
            .chain(provenance.fitted_on.get(&f.theory.hash).into_iter().flatten())
            .collect();
        if fitted_on.contains(&f.run) {
            refuse(Refusal::FittedOnRun.to_string());
            continue;
        }
        let recomputed = provenance.prefix_hashes.get(&f.id).map(String::as_str);
        if let Err(r) = refusal(f, outcome, recomputed) {
            refuse(r.to_string());
            continue;
        }
        let Some(support) = support_of(f) else {
            refuse("the horizon is not after the cutoff".into());
            continue;
        };
        let mut record = Record {
            forecast: f,
            observed: outcome.observed,
            seq,
            outcome_seq,
            support,
            score: None,
            baselines: BTreeMap::new(),
            pit: None,
            fitted_on,
        };
        record.rescore();
        if f.predictive.is_some() && record.score.is_none() {
            refuse("prediction, rule and outcome do not fit together".into());
            continue;
        }
        records.scored.push(record);
    }
    records
}
