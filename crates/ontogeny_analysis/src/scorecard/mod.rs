//! The progressive-understanding scorecard: what a theory has earned on a property.
//!
//! Everything is computed from sealed ledger entries and from [`Provenance`], which whoever keeps the runs
//! fills in; nothing is typed in by hand. Three levels are gates: predict, intervene, design; a score never
//! averages them. A broken ledger is refused (law 5), a post hoc record is shown and never scored (law 4),
//! and the baselines stand beside every score (law 6). Source: docs/protocol.md section 8, after Biderman et al.
//! 2026 (arXiv:2606.06533).

#[cfg(test)]
mod acceptance;
mod design;
mod gates;
mod intervene;
mod predict;
mod print;
mod programme;
mod provenance;
mod records;
mod severity;
#[cfg(test)]
mod studies;

pub use design::DesignBlock;
pub use gates::{Level, Requirement};
pub use intervene::{DoseCurve, EffectSkill, InterveneBlock, Invariance, SignAccuracy};
pub use predict::{AxisSkill, CutoffSkill, PredictBlock};
pub use programme::{Parsimony, Programme, ProgrammeBlock};
pub use provenance::{Alternative, ForkInfo, OffTarget, Provenance, Refit, RunInfo};
pub use records::RefusedRecord;
pub use severity::SeverityBlock;

use ontogeny_core::{ChainBreak, LedgerEntry};
use serde::Serialize;

/// Baselines without which nothing passes (law 6).
pub const REQUIRED_BASELINES: [&str; 4] = ["climatology", "persistence", "delta", "hparams-only"];

/// A quantity, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Computed<T> {
    /// The quantity.
    Value(T),
    /// Not computed, and why.
    NotComputed {
        /// The reason, a lowercase fragment.
        reason: String,
    },
}

impl<T> Computed<T> {
    /// "Not computed", with the reason.
    pub(crate) fn not(reason: &str) -> Self {
        Self::NotComputed { reason: reason.into() }
    }

    /// The value if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(v) => Some(v),
            Self::NotComputed { .. } => None,
        }
    }

    pub(crate) fn from_option(v: Option<T>, reason: &str) -> Self {
        v.map_or_else(|| Self::not(reason), Self::Value)
    }

    /// The value as text, or `not computed: <reason>`.
    pub(crate) fn text(&self, f: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Value(v) => f(v),
            Self::NotComputed { reason } => format!("not computed: {reason}"),
        }
    }
}

/// Why no scorecard is printed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum ScorecardError {
    /// Law 5, failures stay.
    #[error("read the ledger: its chain is broken, so nothing is printed")]
    BrokenChain(#[source] ChainBreak),
    /// There is nothing to score.
    #[error("find a forecast of {property} by {theory} in the ledger")]
    NoForecast { theory: String, property: String },
}

/// What a theory has earned on a property.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scorecard {
    /// The theory.
    pub theory: String,
    /// Its latest version; the blocks below are about this one.
    pub version: u32,
    /// The property.
    pub property: String,
    /// Level 1.
    pub predict: Computed<PredictBlock>,
    /// Boldness, severity, novelty.
    pub severity: Computed<SeverityBlock>,
    /// Level 2.
    pub intervene: Computed<InterveneBlock>,
    /// Level 3.
    pub design: Computed<DesignBlock>,
    /// Parsimony and progress over versions.
    pub programme: ProgrammeBlock,
    /// Level 0: fit on own data. No credit.
    pub own_fit: Computed<f64>,
    /// Gates from level 1 to 3.
    pub levels: Vec<Level>,
    /// Highest gate passed, in words, with the failed tests of the next.
    pub label: String,
    /// Post hoc records: shown, never scored.
    pub refused: Vec<RefusedRecord>,
    /// Forecasts whose outcome is not known yet.
    pub n_pending: usize,
}

/// Every (theory, property) with a forecast or a design problem in the ledger, in order of name.
pub fn subjects(entries: &[LedgerEntry]) -> Vec<(String, String)> {
    let subjects = entries.iter().filter_map(|e| e.body.subject());
    let mut all: Vec<(String, String)> =
        subjects.map(|(_, t, p)| (t.to_owned(), p.to_owned())).collect();
    all.sort();
    all.dedup();
    all
}

/// Computes the scorecard of one theory on one property.
///
/// Deterministic: the bootstrap is seeded by the names of theory and property.
///
/// # Errors
/// [`ScorecardError::BrokenChain`] if an entry was removed, moved or edited;
/// [`ScorecardError::NoForecast`] if there is nothing to score.
pub fn scorecard(
    entries: &[LedgerEntry],
    provenance: &Provenance,
    theory: &str,
    property: &str,
) -> Result<Scorecard, ScorecardError> {
    ontogeny_core::verify_chain(entries).map_err(ScorecardError::BrokenChain)?;
    let subject = records::Subject { theory, property };
    let posed = design::problems(entries).map(|(_, d)| d).filter(|d| subject.poses(d));
    let version = records::forecasts(entries)
        .filter(|(_, f)| subject.is(f))
        .map(|(_, f)| f.theory.version)
        .chain(posed.map(|d| d.version))
        .max()
        .ok_or_else(|| ScorecardError::NoForecast {
            theory: theory.into(),
            property: property.into(),
        })?;
    let all = records::gather(entries, provenance, &subject);
    let seed = seed_of(theory, property);
    let now = all.of_version(version);
    let predict = predict::block(&now, provenance, seed);
    let best = predict.value().map(|p| p.best_baseline.clone());
    let severity = severity::block(&now, best.as_deref());
    let intervene = intervene::block(&now, provenance, seed);
    let design = design::block(entries, &subject);
    let programme = programme::block(entries, &all, &now, &subject, version);
    let latest = records::forecasts(entries)
        .filter(|(_, f)| subject.is(f) && f.theory.version == version)
        .filter_map(|(_, f)| f.theory.own_fit)
        .last();
    let own_fit =
        Computed::from_option(latest, "no forecast says how well the fit runs were fitted");
    let levels = gates::levels(predict.value(), intervene.value(), design.value());
    let label = gates::label(&levels, intervene.value());
    Ok(Scorecard {
        theory: theory.into(),
        version,
        property: property.into(),
        predict,
        severity,
        intervene,
        design,
        programme,
        own_fit,
        levels,
        label,
        refused: now.refused,
        n_pending: now.n_pending,
    })
}

fn seed_of(theory: &str, property: &str) -> u64 {
    let mut h = blake3::Hasher::new();
    h.update(theory.as_bytes());
    h.update(&[0]);
    h.update(property.as_bytes());
    h.finalize().as_bytes()[..8].iter().fold(0, |a, b| a << 8 | u64::from(*b))
}
