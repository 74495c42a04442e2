//! Boldness, severity, novelty: what a pass was worth and what a failure cost.

use super::Computed;
use super::records::{Record, Records};
use crate::distribution::mass_of;
use crate::math::mean;
use crate::survival::Lifetime;
use ontogeny_core::Observed;
use serde::Serialize;

/// Severity at or above which a pass counts.
pub(crate) const SEVERE: f64 = 0.8;

/// Components 6 and 7.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeverityBlock {
    /// Records with a declared acceptance region.
    pub n: usize,
    /// Of these, passed.
    pub n_passed: usize,
    /// Sum over passes of `min(b, 10)` bits where severity is at least .8.
    pub corroboration: f64,
    /// Sum over failures of `min(-log2(1 - P_theory(A)), 10)` bits.
    pub refutation: f64,
    /// Mean severity, all records being registered and use-novel.
    pub novelty: f64,
}

/// What one acceptance region earned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Test {
    pub(crate) passed: bool,
    /// `-log2 P_base(A)`.
    pub(crate) boldness: f64,
    /// `1 - max over baselines of P(A)`.
    pub(crate) severity: f64,
    /// `-log2(1 - P_theory(A))`.
    pub(crate) stake: f64,
}

impl Test {
    /// `None` if the record declares no region or says "not predictable".
    pub(crate) fn of(r: &Record, base: Option<&str>) -> Option<Self> {
        let region = r.forecast.acceptance?;
        let own = mass_of(r.forecast.predictive.as_ref()?, r.support, region)?;
        let rivals: Vec<(&str, f64)> = r
            .forecast
            .baselines
            .iter()
            .filter_map(|(n, p)| Some((n.as_str(), mass_of(p, r.support, region)?)))
            .collect();
        let most = rivals.iter().map(|r| r.1).reduce(f64::max)?;
        let p_base = rivals.iter().find(|r| Some(r.0) == base).map_or(most, |r| r.1);
        let at = match r.observed {
            Observed::Value { value } => Some(value),
            other => Lifetime::from_observed(other).and_then(Lifetime::mid),
        };
        Some(Self {
            passed: at.is_some_and(|y| y >= region.0 && y <= region.1),
            boldness: -p_base.max(1e-6).log2(),
            severity: 1.0 - most,
            stake: -(1.0 - own).max(1e-6).log2(),
        })
    }

    pub(crate) fn corroboration(self) -> f64 {
        if self.passed && self.severity >= SEVERE { self.boldness.clamp(0.0, 10.0) } else { 0.0 }
    }

    pub(crate) fn refutation(self) -> f64 {
        if self.passed { 0.0 } else { self.stake.clamp(0.0, 10.0) }
    }
}

pub(crate) fn block(records: &Records, best: Option<&str>) -> Computed<SeverityBlock> {
    let tests: Vec<Test> = records.scored.iter().filter_map(|r| Test::of(r, best)).collect();
    if tests.is_empty() {
        return Computed::not("no record declares an acceptance region");
    }
    let total = |f: fn(Test) -> f64| 0.0 + tests.iter().map(|t| f(*t)).sum::<f64>();
    Computed::Value(SeverityBlock {
        n: tests.len(),
        n_passed: tests.iter().filter(|t| t.passed).count(),
        corroboration: total(Test::corroboration),
        refutation: total(Test::refutation),
        novelty: mean(&tests.iter().map(|t| t.severity).collect::<Vec<_>>()).unwrap_or(0.0),
    })
}
