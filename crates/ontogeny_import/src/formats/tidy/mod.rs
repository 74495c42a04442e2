//! Tidy folders: `points` (`run_id, step, [task, tokens,] metric, value[, stderr]`, one reading per row) and `runs` (one run
//! per row), each as CSV, gzip CSV or Parquet.
//!
//! A series is `task/metric`; columns that the layout does not know become part of the name:
//! `task[prompt=3]/metric`. Standard errors are the series `.stderr` beside it, tokens the series `tokens`. The columns of
//! `runs` are the configuration, except those that tell how a run ended (`final_*`, `max_step`, ...): they are
//! kept apart, so that nobody forecasts from them. A negative step means "no step"; such rows are left out and counted.

mod columns;
mod points;
mod rows;
mod runs;

use super::{Format, Grouping, Head};
use crate::recorder::Recorder;
use crate::table::separator;
use crate::walk::Unit;
use crate::{ImportError, Input, Options};
pub(super) use columns::MAGIC as PARQUET;
pub(super) use columns::names as parquet_columns;
use points::Points;
use runs::Runs;

/// The format.
#[derive(Debug)]
pub(super) struct Tidy;

/// What a file of a tidy folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Points,
    Runs,
}

/// What a header promises; `None` if it is not tidy.
fn kind<'a, I: Iterator<Item = &'a str> + Clone>(names: &I) -> Option<Kind> {
    let has = |wanted: &str| names.clone().any(|n| n.trim() == wanted);
    if !has("run_id") {
        return None;
    }
    match (has("step"), has("metric"), has("value")) {
        (true, true, true) => Some(Kind::Points),
        (_, false, false) if !has("step") => Some(Kind::Runs),
        _ => None,
    }
}

fn kind_of(head: &Head) -> Option<Kind> {
    if let Some(columns) = &head.columns {
        return kind(&columns.iter().map(String::as_str));
    }
    let header = head.lines().next().filter(|_| head.is_text())?;
    let split = char::from(separator(header.as_bytes()));
    kind(&header.trim_start_matches('\u{feff}').split(split).map(|n| n.trim_matches('"')))
}

impl Format for Tidy {
    fn name(&self) -> &'static str {
        "tidy"
    }

    fn summary(&self) -> &'static str {
        "tidy tables: points(.csv|.csv.gz|.parquet) and runs beside it"
    }

    fn grouping(&self) -> Grouping {
        Grouping::Folder
    }

    fn recognises(&self, head: &Head, _: &Options) -> bool {
        kind_of(head).is_some()
    }

    fn read(&self, unit: &Unit, _: &Options, out: &mut Recorder<'_>) -> Result<(), ImportError> {
        let mut runs = Runs::default();
        let mut all: Vec<&Input> = Vec::new();
        for input in &unit.files {
            match kind_of(&Head::of(input)?) {
                Some(Kind::Runs) => rows::scan(input, out, &mut runs)?,
                _ => all.push(input),
            }
        }
        // Points that were given alone still have their runs beside them.
        if runs.is_empty()
            && unit.files.len() == all.len()
            && let Some(input) = all.first().and_then(|i| runs::beside(i))
        {
            rows::scan(&input, out, &mut runs)?;
        }
        let mut points = Points::new(runs);
        for input in all {
            rows::scan(input, out, &mut points)?;
        }
        points.finish(out);
        Ok(())
    }
}
