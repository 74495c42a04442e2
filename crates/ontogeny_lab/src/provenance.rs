//! What the store knows about the records of a ledger: who was fitted on what, and prefixes cut again.

use crate::LabError;
use crate::record::prefix_of;
use ontogeny_analysis::scorecard::{ForkInfo, Provenance, RunInfo, Scorecard, scorecard, subjects};
use ontogeny_core::{Forecast, LedgerBody, LedgerEntry, Observed, RunManifest, Target};
use ontogeny_store::Store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Facts about the forecasts of `entries`, from the runs in `store`.
///
/// A forecast whose run is gone or damaged gets no prefix hash, so no score of it counts.
///
/// # Errors
/// If the folder of runs cannot be listed.
pub fn provenance(store: &Store, entries: &[LedgerEntry]) -> Result<Provenance, LabError> {
    let mut known = Provenance::default();
    let forecasts: Vec<&Forecast> = entries
        .iter()
        .filter_map(|e| if let LedgerBody::Forecast(f) = &e.body { Some(&**f) } else { None })
        .collect();
    let manifests: BTreeMap<String, RunManifest> =
        store.runs()?.runs.into_iter().map(|m| (m.run.to_string(), m)).collect();
    let wanted: BTreeSet<String> = (forecasts.iter())
        .flat_map(|f| std::iter::once(&f.run).chain(&f.theory.fitted_on))
        .map(ToString::to_string)
        .collect();
    let varying =
        varying_keys(manifests.iter().filter(|(id, _)| wanted.contains(*id)).map(|(_, m)| m));
    for m in manifests.values().filter(|m| wanted.contains(m.run.as_str())) {
        let mut leaves = BTreeMap::new();
        flatten(&m.config, String::new(), &mut leaves);
        leaves.retain(|k, _| varying.contains(k));
        let parent = m.fork.as_ref().map(|f| f.parent.clone());
        known.runs.insert(m.run.clone(), RunInfo { seed: m.seeds.init_seed, axes: leaves, parent });
    }
    let spread = effect_spread(entries, &forecasts);
    let mut cache: BTreeMap<String, BTreeMap<String, ontogeny_core::Series>> = BTreeMap::new();
    for f in forecasts {
        let effect = matches!(f.target, Target::ForkEffect { .. });
        // A claim about a fork was made from its parent's readings.
        let read = match (effect, manifests.get(f.run.as_str())) {
            (true, Some(m)) => m.fork.as_ref().map_or(&m.run, |p| &p.parent),
            _ => &f.run,
        };
        if !cache.contains_key(read.as_str()) {
            let series = store.run(read).and_then(|r| r.all_series().cloned());
            cache.insert(read.to_string(), series.unwrap_or_default());
        }
        if let Some(series) = cache.get(read.as_str()).filter(|s| !s.is_empty()) {
            let hash = prefix_of(read, series, f.cutoff).hash().to_owned();
            known.prefix_hashes.insert(f.id.clone(), hash);
        }
        let fitted = known.fitted_on.entry(f.theory.hash.clone()).or_default();
        fitted.extend(f.theory.fitted_on.iter().cloned());
        if let Target::ForkEffect { intervention, .. } = &f.target {
            let (kind, dose) = dose(intervention);
            let info = ForkInfo {
                kind,
                dose,
                placebo: intervention == "placebo",
                std_error: spread.get(intervention).copied().unwrap_or(0.0),
                seen_in_fit: false,
                off_target: Vec::new(),
            };
            known.forks.insert(f.id.clone(), info);
        }
    }
    Ok(known)
}

/// The scorecards of every (theory, property) of which `wanted` says yes.
///
/// # Errors
/// What the store reports. A broken chain yields no card at all: opening the ledger refuses it first.
pub fn scorecards(
    store: &Store,
    entries: &[LedgerEntry],
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Vec<Scorecard>, LabError> {
    let known = provenance(store, entries)?;
    let cards = subjects(entries).into_iter().filter(|(t, p)| wanted(t, p));
    Ok(cards
        .filter_map(|(theory, property)| scorecard(entries, &known, &theory, &property).ok())
        .collect())
}

/// `late_x2` -> (`late`, ln 2), `wd_half` -> (`wd`, ln 1/2); anything else is a kind of its own at dose 1.
fn dose(intervention: &str) -> (String, f64) {
    if intervention == "placebo" {
        return ("placebo".into(), 0.0);
    }
    let split = intervention.rsplit_once('_');
    let factor = split.and_then(|(kind, last)| match last {
        "half" => Some((kind, 0.5)),
        _ => Some((kind, last.strip_prefix('x')?.parse::<f64>().ok()?)),
    });
    match factor {
        Some((kind, f)) if f > 0.0 => (kind.to_owned(), f.ln()),
        _ => (intervention.to_owned(), 1.0),
    }
}

/// Standard error over forks of the observed effect of each intervention; absent below two forks.
fn effect_spread(entries: &[LedgerEntry], forecasts: &[&Forecast]) -> BTreeMap<String, f64> {
    let mut effects: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for e in entries {
        let LedgerBody::Outcome(o) = &e.body else { continue };
        let (Observed::Value { value }, Some(f)) =
            (o.observed, forecasts.iter().find(|f| f.id == o.forecast))
        else {
            continue;
        };
        if let Target::ForkEffect { intervention, .. } = &f.target {
            effects.entry(intervention).or_default().insert(f.run.as_str(), value);
        }
    }
    let error = |v: Vec<f64>| {
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        let variance = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (n >= 2.0).then(|| (variance / n).sqrt())
    };
    let of = |(name, runs): (&str, BTreeMap<&str, f64>)| {
        Some((name.to_owned(), error(runs.into_values().collect())?))
    };
    effects.into_iter().filter_map(of).collect()
}

/// Configuration keys that take more than one value.
fn varying_keys<'a>(manifests: impl Iterator<Item = &'a RunManifest>) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for m in manifests {
        let mut leaves = BTreeMap::new();
        flatten(&m.config, String::new(), &mut leaves);
        for (k, v) in leaves {
            seen.entry(k).or_default().insert(v);
        }
    }
    seen.into_iter()
        .filter(|(k, v)| v.len() > 1 && !k.starts_with("record."))
        .map(|(k, _)| k)
        .collect()
}

fn flatten(json: &Value, prefix: String, out: &mut BTreeMap<String, String>) {
    match json {
        Value::Object(map) => {
            for (k, v) in map {
                let key = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
                flatten(v, key, out);
            }
        }
        other => drop(out.insert(prefix, other.to_string())),
    }
}
