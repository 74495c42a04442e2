//! The table of runs: a column for every key of any configuration.

use super::ExportedRun;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The runs that were written.
#[derive(Debug, Default)]
pub(super) struct TidyRuns {
    rows: Vec<(String, Map<String, Value>)>,
}

impl TidyRuns {
    /// Remembers a run. Objects and lists become columns `*_json`, which importing opens again.
    pub(super) fn add(&mut self, run: &ExportedRun<'_>) {
        let cells = run.config.iter().map(|(key, value)| match value {
            Value::Object(_) | Value::Array(_) => (format!("{key}_json"), value.to_string().into()),
            value => (key.clone(), value.clone()),
        });
        self.rows.push((run.id.to_owned(), cells.collect()));
    }

    /// All keys, sorted.
    pub(super) fn columns(&self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.rows.iter().flat_map(|r| r.1.keys()).collect();
        keys.into_iter().filter(|k| *k != "run_id").cloned().collect()
    }

    /// The cells of every row: its id, and text or nothing for every column.
    pub(super) fn rows<'a>(
        &'a self,
        columns: &'a [String],
    ) -> impl Iterator<Item = (&'a str, Vec<Option<String>>)> {
        self.rows.iter().map(|(id, config)| {
            let cell = |c: &String| match config.get(c)? {
                Value::Null => None,
                Value::String(s) => Some(s.clone()),
                other => Some(other.to_string()),
            };
            (id.as_str(), columns.iter().map(cell).collect())
        })
    }
}
