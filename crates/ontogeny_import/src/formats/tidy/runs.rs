//! The table of runs: what each run is called, its configuration, and how it ended.

use super::rows::{Cell, Take};
use crate::recorder::{At, Recorder};
use crate::sink::RunMeta;
use crate::{ImportError, Input, Problem};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Runs that are kept.
const MAX_RUNS: usize = 200_000;
/// Columns that tell how a run went.
const OUTCOMES: [&str; 8] =
    ["max_step", "n_rows", "n_evals", "n_points", "n_val", "n_train", "wall_secs", "status"];
/// Beginnings of names of columns that do.
const OUTCOME_PREFIXES: [&str; 4] = ["final_", "first_step_", "best_", "last_"];
/// Names of the files in which runs are described.
const NAMES: [&str; 3] = ["runs.csv.gz", "runs.csv", "runs.parquet"];

/// The described runs, by their `run_id`.
#[derive(Debug, Default)]
pub(super) struct Runs {
    names: Vec<String>,
    all: BTreeMap<Vec<u8>, RunMeta>,
}

/// The table of runs that lies beside a table of points.
pub(super) fn beside(points: &Input) -> Option<Input> {
    let files = NAMES.iter().map(|n| points.path().with_file_name(n));
    let mut files = files.filter(|p| std::fs::symlink_metadata(p).is_ok_and(|m| m.is_file()));
    files.next().map(Input::from_path)
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Takes out what is known of a run.
    pub(super) fn take(&mut self, run_id: &[u8]) -> Option<RunMeta> {
        self.all.remove(run_id)
    }
}

fn is_outcome(name: &str) -> bool {
    OUTCOMES.contains(&name) || OUTCOME_PREFIXES.iter().any(|p| name.starts_with(p))
}

/// A cell as a value of a configuration; objects in columns `*_json` are opened.
fn value(name: &str, cell: Cell<'_>) -> Option<(String, Value)> {
    let number = |v: f64| Number::from_f64(v).map(Value::Number);
    let value = match cell {
        Cell::Empty => return None,
        Cell::Int(n) => n.into(),
        Cell::Number(v) => number(v).unwrap_or_else(|| v.to_string().into()),
        Cell::Bool(b) => b.into(),
        Cell::Bytes(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            if let Some(short) = name.strip_suffix("_json")
                && let Ok(value @ Value::Object(_)) = serde_json::from_str(&text)
            {
                return Some((short.to_owned(), value));
            }
            match &*text {
                "True" | "true" => true.into(),
                "False" | "false" => false.into(),
                text => match (text.parse::<i64>(), text.parse().map(number)) {
                    (Ok(n), _) => n.into(),
                    (_, Ok(Some(v))) => v,
                    _ => text.into(),
                },
            }
        }
    };
    Some((name.to_owned(), value))
}

impl Take for Runs {
    fn header(
        &mut self,
        names: &[String],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        if !names.iter().any(|n| n == "run_id") {
            let column = "run_id".to_owned();
            return Err(out.error(input, at, Problem::MissingColumn { column }));
        }
        self.names = names.to_vec();
        Ok(())
    }

    fn row(
        &mut self,
        cells: &[Cell<'_>],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        if self.all.len() >= MAX_RUNS {
            return Err(out.error(input, at, Problem::TooMany { what: "runs", limit: MAX_RUNS }));
        }
        let (mut id, mut named) = (Vec::new(), None);
        let (mut config, mut outcomes) = (Map::new(), Map::new());
        for (name, &cell) in self.names.iter().zip(cells) {
            match name.as_str() {
                "run_id" => cell.put(&mut id),
                "run" | "name" if named.is_none() && cell != Cell::Empty => {
                    let mut text = Vec::new();
                    cell.put(&mut text);
                    named = Some(String::from_utf8_lossy(&text).into_owned());
                }
                name if super::super::step_key::is_index(name) => {}
                name => {
                    let place = if is_outcome(name) { &mut outcomes } else { &mut config };
                    place.extend(value(name, cell));
                }
            }
        }
        let name = named.unwrap_or_else(|| String::from_utf8_lossy(&id).into_owned());
        if self.all.contains_key(&id) {
            let run = String::from_utf8_lossy(&id).into_owned();
            return out.problem(input, at, Problem::DoubleRun { run });
        }
        self.all.insert(id, RunMeta { name, config, outcomes });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_become_values() {
        for (name, text, expected) in [
            ("lr", "0.001", json!({"lr": 0.001})),
            ("depth", "12", json!({"depth": 12})),
            ("deduped", "True", json!({"deduped": true})),
            ("size", "1b", json!({"size": "1b"})),
            ("hparams_json", "{\"b\": 1}", json!({"hparams": {"b": 1}})),
            ("hparams_json", "oops", json!({"hparams_json": "oops"})),
            ("x", "nan", json!({"x": "nan"})),
        ] {
            let map: Map<String, Value> =
                value(name, Cell::Bytes(text.as_bytes())).into_iter().collect();
            assert_eq!(Value::Object(map), expected, "{name} {text}");
        }
        assert_eq!(value("lr", Cell::Empty), None);
    }
}
