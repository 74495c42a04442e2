//! Runs that others trained, as a backtest sees them.

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

    /// The numbers among the attributes that `wanted` names.
    pub(crate) fn features(&self, wanted: &[String]) -> BTreeMap<String, f64> {
        let mut out = BTreeMap::new();
        for name in wanted {
            if let Some(inside) = name.strip_suffix(".*") {
                if let Ok(json) = serde_json::from_str(self.attribute(inside)) {
                    numbers(&json, inside, &mut out);
                }
            } else if let Ok(v) = self.attribute(name).trim().parse::<f64>() {
                out.insert(name.clone(), squeeze(v));
            }
        }
        out
    }
}
