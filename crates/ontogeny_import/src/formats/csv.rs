//! CSV (or tab-separated values) with one row per step and one column per series.
//!
//! The step is the column `step`, `global_step`, ... or the one named with `--step-key`. Columns that hold text are
//! passed over with a note; an empty cell is a reading that was not taken.

use super::{Format, Head, step_key};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunMeta, SeriesKey};
use crate::table::{self, Row, Rows, separator};
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};

/// The format.
#[derive(Debug)]
pub(super) struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn summary(&self) -> &'static str {
        "CSV with a step column and a column per series"
    }

    fn recognises(&self, head: &Head, options: &Options) -> bool {
        let mut lines = head.lines().filter(|l| !l.trim().is_empty());
        let Some(header) = lines.next().filter(|_| head.is_text()) else { return false };
        let split = char::from(separator(header.as_bytes()));
        let names = header.trim_start_matches('\u{feff}').split(split);
        let Some(step) = step_key::find(&names, options.step_key.as_deref()) else {
            return false;
        };
        // A header alone is a log that has not begun.
        let is_step =
            |l: &str| l.split(split).nth(step).is_some_and(|c| table::step(c.as_bytes()).is_some());
        names.count() > 1 && lines.next().is_none_or(|l| is_step(l) || l.contains('"'))
    }

    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        for input in &unit.files {
            out.scan(input, |source, out| {
                let separator = separator(source.peek(1 << 16)?);
                let mut rows = Rows::new(separator);
                let Some(header) = rows.next(source)? else {
                    return Err(source.error(1, Problem::Expected { what: "a header" }));
                };
                let columns = Columns::new(&header, input, options, out)?;
                let mut reader = Reader { columns, run: None };
                while let Some(row) = rows.next(source)? {
                    reader.row(&row, input, out)?;
                }
                reader.finish(input, out);
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The columns of a table.
struct Columns {
    step: usize,
    step_name: String,
    /// Name, key once there is a reading, and how many cells were no number.
    series: Vec<(String, Option<SeriesKey>, u64)>,
}

impl Columns {
    fn new(
        header: &Row<'_>,
        input: &Input,
        options: &Options,
        out: &Recorder<'_>,
    ) -> Result<Self, ImportError> {
        let at = At { record: 1, offset: 0 };
        let names: Option<Vec<String>> =
            (0..header.len()).map(|i| header.str(i).map(|n| n.trim().to_owned())).collect();
        let names = names.ok_or_else(|| out.error(input, at, Problem::NotText))?;
        let wanted = options.step_key.as_deref();
        let step = step_key::find(&names.iter().map(String::as_str), wanted).ok_or_else(|| {
            let column = wanted.unwrap_or("step").to_owned();
            out.error(input, at, Problem::MissingColumn { column })
        })?;
        let mut sorted: Vec<&String> = names.iter().filter(|n| !n.is_empty()).collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            let column = twice[0].clone();
            return Err(out.error(input, at, Problem::DoubleColumn { column }));
        }
        let step_name = names[step].clone();
        let series = names.into_iter().map(|n| (n, None, 0)).collect();
        Ok(Self { step, step_name, series })
    }
}

struct Reader {
    columns: Columns,
    run: Option<crate::RunKey>,
}

impl Reader {
    fn row(
        &mut self,
        row: &Row<'_>,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let at = At { record: row.number, offset: row.offset };
        let expected = self.columns.series.len();
        if row.len() != expected {
            return out.problem(input, at, Problem::Fields { expected, found: row.len() });
        }
        let cell = row.bytes(self.columns.step);
        let Some(step) = table::step(cell) else {
            let text = String::from_utf8_lossy(&cell[..cell.len().min(40)]).into_owned();
            let column = self.columns.step_name.clone();
            return out.problem(input, at, Problem::NotAStep { column, text });
        };
        let Ok(step) = u64::try_from(step) else {
            out.without_step();
            return Ok(());
        };
        let run = match self.run {
            Some(run) => run,
            None => *self.run.insert(out.run(input, &RunMeta::default())?),
        };
        for (i, (name, key, n_text)) in self.columns.series.iter_mut().enumerate() {
            let cell = row.bytes(i);
            if i == self.columns.step || cell.is_empty() || step_key::is_index(name) {
                continue;
            }
            let Some(value) = table::number(cell) else {
                // A text column is one from its first cell on; a lone word among numbers is a mistake.
                if key.is_none() {
                    *n_text += 1;
                } else {
                    let text = String::from_utf8_lossy(&cell[..cell.len().min(40)]).into_owned();
                    out.problem(input, at, Problem::NotANumber { column: name.clone(), text })?;
                }
                continue;
            };
            let key = match key {
                Some(key) => *key,
                None => *key.insert(out.series(input, run, name, units::of_name(name))?),
            };
            out.reading(key, Reading { step, value, wall_secs: f64::NAN })?;
        }
        Ok(())
    }

    fn finish(self, input: &Input, out: &mut Recorder<'_>) {
        if self.run.is_none() {
            out.note(format!("{} has no rows", input.path().display()));
        }
        for (name, _, n) in self.columns.series.iter().filter(|c| c.2 > 0) {
            out.note(format!("column `{name}` holds text ({n} cells) and was passed over"));
        }
    }
}
