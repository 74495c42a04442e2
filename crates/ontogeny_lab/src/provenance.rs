//! What the store knows about the records of a ledger: who was fitted on what, and prefixes cut again.

use crate::LabError;
use crate::record::prefix_of;
use ontogeny_analysis::detectors::{Variant, variants};
use ontogeny_analysis::scorecard::{
    Alternative, ForkInfo, Provenance, RunInfo, Scorecard, scorecard, subjects,
};
use ontogeny_analysis::stats::mean_and_error;
use ontogeny_core::{
    Censoring, Forecast, LedgerBody, LedgerEntry, Observed, RunManifest, Series, Target,
};
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
    let mut cache: BTreeMap<String, BTreeMap<String, Series>> = BTreeMap::new();
    let mut others = Others::default();
    for f in forecasts {
        let effect = matches!(f.target, Target::ForkEffect { .. });
        // A claim about a fork was made from its parent's readings.
        let read = match (effect, manifests.get(f.run.as_str())) {
            (true, Some(m)) => m.fork.as_ref().map_or(&m.run, |p| &p.parent),
            _ => &f.run,
        };
        if !cache.contains_key(read.as_str()) {
            let series = store.run(read).and_then(|r| r.recorded().cloned());
            cache.insert(read.to_string(), series.unwrap_or_default());
        }
        if let Some(series) = cache.get(read.as_str()).filter(|s| !s.is_empty()) {
            let hash = prefix_of(read, series, f.cutoff).hash().to_owned();
            known.prefix_hashes.insert(f.id.clone(), hash);
            if let Some(m) = manifests.get(f.run.as_str()) {
                others.add(f, m, series);
            }
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
    known.alternatives = others.into_alternatives();
    Ok(known)
}

/// The same events under other settings of their detectors.
#[derive(Debug, Default)]
struct Others {
    /// Variants by run and event: many forecasts ask for one event.
    found: BTreeMap<(String, String), Vec<Variant>>,
    /// Outcomes by change and forecast.
    outcomes: BTreeMap<String, BTreeMap<String, Observed>>,
}

impl Others {
    fn add(&mut self, f: &Forecast, run: &RunManifest, series: &BTreeMap<String, Series>) {
        let Target::EventTime { event, horizon } = &f.target else { return };
        let Some(rule) = run.rules.iter().find(|r| r.event == *event) else { return };
        let Some(watched) = series.get(&rule.series) else { return };
        let key = (run.run.to_string(), event.clone());
        let found = self.found.entry(key).or_insert_with(|| variants(rule, &run.run, watched));
        for v in found {
            let observed = match v.event.when {
                // Under this setting the event was past when the forecast was made: nothing was asked.
                Censoring::Interval { hi, .. } if hi <= f.cutoff => continue,
                Censoring::Interval { lo, hi } if hi <= *horizon => Observed::Event { lo, hi },
                // The run was ended soon after its event: that it had not happened then says little.
                Censoring::Right { horizon: seen } if seen < *horizon => continue,
                _ => Observed::Never { horizon: *horizon },
            };
            self.outcomes.entry(v.change.clone()).or_default().insert(f.id.clone(), observed);
        }
    }

    fn into_alternatives(self) -> Vec<Alternative> {
        let of = |(name, outcomes)| Alternative { name, outcomes };
        self.outcomes.into_iter().map(of).collect()
    }
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
    cards
        .map(|(theory, property)| {
            let card = scorecard(entries, &known, &theory, &property);
            card.map_err(|source| LabError::Scorecard { source })
        })
        .collect()
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
    let of = |(name, runs): (&str, BTreeMap<&str, f64>)| {
        let (_, error) = mean_and_error(&runs.into_values().collect::<Vec<_>>())?;
        Some((name.to_owned(), error))
    };
    effects.into_iter().filter_map(of).collect()
}

/// Configuration keys that take more than one value; how a run is recorded and cut into lanes is no axis.
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
        .filter(|(k, v)| v.len() > 1 && !k.starts_with("record.") && !k.starts_with("lanes."))
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
        other => drop(out.insert(prefix, level(other.to_string()))),
    }
}

/// The name of a value: itself, or the beginning of its hash where it is a list too long to be read in a table.
fn level(text: String) -> String {
    const READABLE: usize = 48;
    if text.len() <= READABLE {
        return text;
    }
    format!("list {}", &blake3::hash(text.as_bytes()).to_hex()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_lists_have_short_names_that_tell_them_apart() {
        let named = |config: Value| {
            let mut leaves = BTreeMap::new();
            flatten(&config, String::new(), &mut leaves);
            leaves
        };
        let of = |last: u32| {
            named(
                json!({"lr": {"pieces": [[0, 0.0002], [1, 0.0004], [last, 0.0006], [3000, 0.5], [4000, 0.25]]}, "n": [1, 2]}),
            )
        };
        assert_eq!(of(2)["n"], "[1,2]");
        assert!(of(2)["lr.pieces"].starts_with("list ") && of(2)["lr.pieces"].len() == 13);
        assert_eq!(of(2), of(2));
        assert_ne!(of(2)["lr.pieces"], of(7)["lr.pieces"]);
    }
}
