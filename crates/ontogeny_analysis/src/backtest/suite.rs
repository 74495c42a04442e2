//! Runs that others trained, as a backtest sees them.

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

/// Hyper-parameters of any size on one axis: near 0 as they are, beyond in proportion to their logarithm.
fn squeeze(v: f64) -> f64 {
    (v / 1e-5).asinh()
}

fn numbers(json: &serde_json::Value, name: &str, out: &mut BTreeMap<String, f64>) {
    match json {
        serde_json::Value::Number(n) => {
            out.extend(n.as_f64().map(|v| (name.to_owned(), squeeze(v))));
        }
        serde_json::Value::Bool(b) => {
            out.insert(name.to_owned(), f64::from(u8::from(*b)));
        }
        serde_json::Value::Object(fields) => {
            for (k, v) in fields {
                numbers(v, &format!("{name}.{k}"), out);
            }
        }
        _ => {}
    }
}
