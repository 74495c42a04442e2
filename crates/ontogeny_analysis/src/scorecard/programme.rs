//! Parsimony and progress over versions: is the theory gaining content or collecting excuses?
//!
//! Patches are notes in the ledger about the theory whose text starts with `patch`; a new version after a
//! failure counts as one even without a note. Source: Lakatos, in the form of docs/protocol.md section 8.1 (14,
//! 15).

use super::Computed;
use super::predict::bets;
use super::records::{Record, Records, Subject, forecasts};
use super::severity::{SEVERE, Test};
use ontogeny_core::{LedgerBody, LedgerEntry};
use serde::Serialize;

/// Where the research programme stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Programme {
    /// PI >= 1 and at least 10 bits of corroboration.
    Progressive,
    /// No bold prediction by this version.
    Stagnating,
    /// Parameters or exceptions were added after a failure and no severe novel prediction has passed since.
    Degenerating,
    /// Bold predictions, but not enough content yet to say.
    Open,
}

/// Component 14.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parsimony {
    /// Free parameters plus log2 of the number of alternatives tried.
    pub k: f64,
    /// `Σ log2(p_theory / p_climatology)` over outcomes.
    pub bits_saved: f64,
    /// `bits / (k/2 · log2 n)`; above 1 the parameters paid for themselves.
    pub efficiency: f64,
}

/// Components 14 and 15.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProgrammeBlock {
    /// Free parameters of the latest version.
    pub n_params: u32,
    /// Patches so far.
    pub n_patches: usize,
    /// Parsimony of the latest version.
    pub parsimony: Computed<Parsimony>,
    /// Bits of corroboration of all versions.
    pub corroboration: f64,
    /// Failures of all versions.
    pub n_failures: usize,
    /// Progress index of the latest version, in units of 5 bits per added parameter or patch.
    pub progress_index: Computed<f64>,
    /// The verdict.
    pub programme: Programme,
}

pub(crate) fn block(
    entries: &[LedgerEntry],
    all: &Records,
    now: &Records,
    subject: &Subject,
    version: u32,
) -> ProgrammeBlock {
    let params_of = |v: u32| {
        forecasts(entries)
            .filter(|(_, f)| subject.is(f) && f.theory.version == v)
            .map(|(_, f)| f.theory.n_params)
            .max()
    };
    let first_of = |v: u32| {
        forecasts(entries).find(|(_, f)| subject.is(f) && f.theory.version == v).map(|f| f.0)
    };
    let versions: Vec<u32> = {
        let mut v: Vec<u32> = forecasts(entries)
            .filter(|(_, f)| subject.is(f))
            .map(|(_, f)| f.theory.version)
            .collect();
        v.sort_unstable();
        v.dedup();
        v
    };
    let tests: Vec<(&Record, Test)> =
        all.scored.iter().filter_map(|r| Some((r, Test::of(r, None)?))).collect();
    let failures: Vec<u64> =
        tests.iter().filter(|t| !t.1.passed).map(|t| t.0.outcome_seq).collect();
    let failed_before = |seq: u64| failures.iter().any(|f| *f < seq);
    let notes: Vec<u64> = entries
        .iter()
        .filter(|e| match &e.body {
            LedgerBody::Note { about, text } => {
                about == subject.theory && text.to_lowercase().starts_with("patch")
            }
            _ => false,
        })
        .map(|e| e.seq)
        .collect();
    // A new version that answers a failure is a patch even if nobody wrote a note for it.
    let mut silent: Vec<u64> = Vec::new();
    let mut excuses: Vec<u64> = notes.iter().copied().filter(|s| failed_before(*s)).collect();
    for pair in versions.windows(2) {
        let (Some(before), Some(at)) = (first_of(pair[0]), first_of(pair[1])) else { continue };
        let failed = failures.iter().any(|f| *f > before && *f < at);
        if failed && !notes.iter().any(|n| *n > before && *n < at) {
            silent.push(at);
        }
        if failed && params_of(pair[1]) > params_of(pair[0]) {
            excuses.push(at);
        }
    }
    excuses.extend(&silent);
    let n_patches = notes.len() + silent.len();
    // An empty sum is -0.
    let corroboration: f64 = 0.0 + tests.iter().map(|t| t.1.corroboration()).sum::<f64>();
    let start = first_of(version).unwrap_or(0);
    let previous = versions.iter().rev().nth(1).copied();
    let k_before = previous.and_then(params_of).unwrap_or(0);
    let n_params = params_of(version).unwrap_or(0);
    let since = previous.and_then(first_of).unwrap_or(0);
    let recent = notes.iter().chain(&silent).filter(|s| **s > since).count();
    let gained: Vec<&(&Record, Test)> = tests.iter().filter(|t| t.0.seq >= start).collect();
    let cost = (f64::from(n_params) - f64::from(k_before) + recent as f64).max(1.0);
    let index = gained.iter().map(|t| t.1.corroboration()).sum::<f64>() / cost / 5.0;
    let redeemed =
        |seq: u64| tests.iter().any(|(r, t)| r.seq > seq && t.passed && t.severity >= SEVERE);
    let bold = all
        .of_version(version)
        .scored
        .iter()
        .any(|r| Test::of(r, None).is_some_and(|t| t.boldness >= 1.0));
    let programme = if excuses.iter().any(|s| !redeemed(*s)) {
        Programme::Degenerating
    } else if index >= 1.0 && corroboration >= 10.0 {
        Programme::Progressive
    } else if bold {
        Programme::Open
    } else {
        Programme::Stagnating
    };
    ProgrammeBlock {
        n_params,
        n_patches,
        parsimony: parsimony(&now.observational(), n_params, n_patches),
        corroboration,
        n_failures: failures.len(),
        progress_index: if gained.is_empty() {
            Computed::not("no record of this version declares an acceptance region")
        } else {
            Computed::Value(index)
        },
        programme,
    }
}

fn parsimony(records: &[Record], n_params: u32, n_patches: usize) -> Computed<Parsimony> {
    let answered: Vec<Record> = records.iter().filter(|r| r.score.is_some()).cloned().collect();
    let bits: Vec<f64> =
        bets(&answered, "climatology").into_iter().map(|(p, b)| (p / b).log2()).collect();
    if bits.len() < 2 {
        return Computed::not("needs two outcomes with climatology beside them");
    }
    let k = f64::from(n_params) + (1.0 + n_patches as f64).log2();
    let bits_saved: f64 = bits.iter().sum();
    let price = 0.5 * k.max(0.5) * (bits.len() as f64).log2();
    Computed::Value(Parsimony { k, bits_saved, efficiency: bits_saved / price })
}
