//! One CSV table of many runs, read as the user describes it: which columns name the run, which is the step, which
//! are readings. Everything else in the first row of a run is what is known of it.
//!
//! Nothing is recognised as this by itself: a [`TableShape`] has to be given.

use super::{Format, Head};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunMeta};
use crate::table::{self, Row, Rows, separator};
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, RunKey, TableShape, units};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The format.
#[derive(Debug)]
pub(super) struct Table;

impl Format for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn summary(&self) -> &'static str {
        "CSV of many runs, its columns described by --run-by"
    }

    fn recognises(&self, head: &Head, options: &Options) -> bool {
        let Some(shape) = &options.table else { return false };
        let Some(header) = head.lines().next().filter(|_| head.is_text()) else { return false };
        let split = char::from(separator(header.as_bytes()));
        let names: Vec<&str> =
            header.trim_start_matches('\u{feff}').split(split).map(str::trim).collect();
        shape.named().all(|n| names.contains(&n))
    }

    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let shape = options.table.clone().unwrap_or_default();
        for input in &unit.files {
            out.scan(input, |source, out| {
                let separator = separator(source.peek(1 << 16)?);
                let mut rows = Rows::new(separator);
                let Some(header) = rows.next(source)? else {
                    return Err(source.error(1, Problem::Expected { what: "a header" }));
                };
                let mut reader = Reader::new(&shape, &header, input, out)?;
                while let Some(row) = rows.next(source)? {
                    reader.row(&row, input, out)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Where the parts of a row are.
struct Reader {
    names: Vec<String>,
    run: Vec<usize>,
    step: Option<usize>,
    /// Long form: columns of the series' name and the one of its value.
    long: Option<(Vec<usize>, usize)>,
    /// Wide form: columns that are series.
    wide: Vec<usize>,
    about: Vec<usize>,
    runs: BTreeMap<String, RunKey>,
}

impl Reader {
    fn new(
        shape: &TableShape,
        header: &Row<'_>,
        input: &Input,
        out: &Recorder<'_>,
    ) -> Result<Self, ImportError> {
        let at = At { record: 1, offset: 0 };
        let names: Option<Vec<String>> =
            (0..header.len()).map(|i| header.str(i).map(|n| n.trim().to_owned())).collect();
        let mut names = names.ok_or_else(|| out.error(input, at, Problem::NotText))?;
        if let Some(first) = names.first_mut() {
            *first = first.trim_start_matches('\u{feff}').to_owned();
        }
        let place = |name: &String| {
            let column = name.clone();
            names
                .iter()
                .position(|n| n == name)
                .ok_or_else(|| out.error(input, at, Problem::MissingColumn { column }))
        };
        let places = |wanted: &[String]| wanted.iter().map(place).collect::<Result<Vec<_>, _>>();
        let (run, metric) = (places(&shape.run)?, places(&shape.metric)?);
        let step = shape.step.as_ref().map(place).transpose()?;
        let value = shape.value.as_ref().map(place).transpose()?;
        let is_series = |i: usize| shape.series.iter().any(|p| matches(p, &names[i]));
        let taken = |i: usize| {
            run.contains(&i) || metric.contains(&i) || step == Some(i) || value == Some(i)
        };
        let wide: Vec<usize> = (0..names.len()).filter(|&i| !taken(i) && is_series(i)).collect();
        let about = (0..names.len()).filter(|&i| !wide.contains(&i) && step != Some(i));
        let about = about.filter(|&i| run.contains(&i) || !taken(i)).collect();
        let long = value.map(|v| (metric, v));
        Ok(Self { run, step, long, wide, about, names, runs: BTreeMap::new() })
    }

    fn row(
        &mut self,
        row: &Row<'_>,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let at = At { record: row.number, offset: row.offset };
        let expected = self.names.len();
        if row.len() != expected {
            return out.problem(input, at, Problem::Fields { expected, found: row.len() });
        }
        let text = |i: &usize| String::from_utf8_lossy(row.bytes(*i)).trim().to_owned();
        let mut step = 0;
        if let Some(i) = self.step {
            let Some(read) = table::step(row.bytes(i)) else {
                let (column, text) = (self.names[i].clone(), text(&i));
                return out.problem(input, at, Problem::NotAStep { column, text });
            };
            let Ok(read) = u64::try_from(read) else {
                out.without_step();
                return Ok(());
            };
            step = read;
        }
        let name = match self.run.as_slice() {
            // The header is row 1.
            [] => format!("row-{}", row.number - 1),
            columns => columns.iter().map(text).collect::<Vec<_>>().join("/"),
        };
        let run = if let Some(run) = self.runs.get(&name) {
            *run
        } else {
            let known = self.about.iter().map(|&i| (self.names[i].clone(), cell(row, i)));
            let config: Map<String, Value> = known.filter(|(_, v)| !v.is_null()).collect();
            let meta = RunMeta { name: name.clone(), config, outcomes: Map::new() };
            *self.runs.entry(name).or_insert(out.run(input, &meta)?)
        };
        let mut readings: Vec<(String, usize)> =
            self.wide.iter().map(|&i| (self.names[i].clone(), i)).collect();
        if let Some((metric, value)) = &self.long {
            readings.push((metric.iter().map(text).collect::<Vec<_>>().join("/"), *value));
        }
        for (name, i) in readings {
            let bytes = row.bytes(i);
            if bytes.is_empty() {
                continue;
            }
            let Some(value) = table::number(bytes) else {
                let (column, text) = (self.names[i].clone(), text(&i));
                out.problem(input, at, Problem::NotANumber { column, text })?;
                continue;
            };
            let key = out.series(input, run, &name, units::of_name(&name))?;
            out.reading(key, Reading { step, value, wall_secs: f64::NAN })?;
        }
        Ok(())
    }
}

/// A cell as what is known of a run: a number, or text; null if it is empty.
fn cell(row: &Row<'_>, i: usize) -> Value {
    let bytes = row.bytes(i);
    if bytes.is_empty() {
        return Value::Null;
    }
    let text = String::from_utf8_lossy(bytes);
    // Whole numbers are often names: `3` must not become `3.0`.
    if let Ok(whole) = text.trim().parse::<i64>() {
        return Value::from(whole);
    }
    let number = table::number(bytes).and_then(serde_json::Number::from_f64);
    number.map_or_else(|| Value::String(text.into_owned()), Value::Number)
}

/// Whether `name` is `pattern`, or begins and ends like one with a `*` in it.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}
