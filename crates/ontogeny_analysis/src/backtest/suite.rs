//! Runs that others trained, as a backtest sees them.

use super::protocol::matches;
use crate::forecasters::features::{numbers, squeeze};
use ontogeny_core::{RunId, Series};
use std::collections::BTreeMap;

/// Finished runs with what is known of each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Suite {
    /// The runs.
    pub runs: Vec<SuiteRun>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteRun {
    /// Its name.
    pub id: RunId,
    /// What was known before training, as text.
    pub attributes: BTreeMap<String, String>,
    /// Its series, in order of step.
    pub series: Vec<Series>,
}

impl SuiteRun {
    /// An attribute; empty if the run has none of this name.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The product of these attributes; `None` unless all are numbers.
    pub(crate) fn product(&self, names: &[String]) -> Option<f64> {
        let factors = names.iter().map(|n| self.attribute(n).trim().parse::<f64>().ok());
        (!names.is_empty()).then(|| factors.product::<Option<f64>>()).flatten()
    }

    /// Whether every attribute has one of its wanted values.
    pub(crate) fn is_among(&self, wanted: &BTreeMap<String, Vec<String>>) -> bool {
        wanted.iter().all(|(k, all)| all.iter().any(|v| v == self.attribute(k)))
    }

    /// The numbers among the attributes that `wanted` names.
    pub(crate) fn features(&self, wanted: &[String]) -> BTreeMap<String, f64> {
        let mut out = BTreeMap::new();
        for name in wanted {
            let json =
                name.strip_suffix(".*").filter(|inside| self.attributes.contains_key(*inside));
            if let Some(inside) = json {
                if let Ok(json) = serde_json::from_str(self.attribute(inside)) {
                    numbers(&json, inside, &mut out);
                }
            } else if name.contains('*') {
                let named = self.attributes.iter().filter(|(k, _)| matches(name, k));
                let parsed = named.filter_map(|(k, v)| Some((k.clone(), v.trim().parse().ok()?)));
                out.extend(parsed.map(|(k, v): (String, f64)| (k, squeeze(v))));
            } else if let Ok(v) = self.attribute(name).trim().parse::<f64>() {
                out.insert(name.clone(), squeeze(v));
            }
        }
        out
    }
}
