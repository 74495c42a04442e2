//! The table of points: one reading per row.

use super::rows::{Cell, Take};
use super::runs::Runs;
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta, SeriesKey};
use crate::{ImportError, Input, Problem, units};
use std::collections::{BTreeMap, BTreeSet};

/// Steps whose tokens were told, over all runs; beyond that only later steps are told.
const MAX_TOLD: usize = 2_000_000;

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Run,
    Step,
    Task,
    Metric,
    Unit,
    /// Anything that tells readings apart: part of the name.
    Tag,
    Tokens,
    Value,
    Stderr,
    WallSecs,
    Index,
}

/// A run, and the steps at which its tokens are known.
#[derive(Debug)]
struct Told {
    key: RunKey,
    tokens: Option<SeriesKey>,
    steps: BTreeSet<u64>,
}

/// A series that has appeared.
#[derive(Debug)]
struct Known {
    key: SeriesKey,
    /// Place of its run.
    run: usize,
    /// The series of its standard errors, once there is one.
    stderr: Option<SeriesKey>,
    /// Name and unit, where there may be standard errors.
    named: Option<(String, String)>,
}

/// Reads points, run by run and series by series as they come.
#[derive(Debug)]
pub(super) struct Points {
    runs: Runs,
    n_described: usize,
    names: Vec<String>,
    roles: Vec<Role>,
    /// What told the last row's series apart, and that series.
    last: Vec<u8>,
    last_place: usize,
    scratch: Vec<u8>,
    places: BTreeMap<Box<[u8]>, usize>,
    series: Vec<Known>,
    told: Vec<Told>,
    run_places: BTreeMap<Box<[u8]>, usize>,
    n_told: usize,
    n_undescribed: u64,
    n_empty: u64,
}

impl Points {
    pub(super) fn new(runs: Runs) -> Self {
        Self {
            n_described: runs.len(),
            runs,
            names: Vec::new(),
            roles: Vec::new(),
            last: Vec::new(),
            last_place: usize::MAX,
            scratch: Vec::new(),
            places: BTreeMap::new(),
            series: Vec::new(),
            told: Vec::new(),
            run_places: BTreeMap::new(),
            n_told: 0,
            n_undescribed: 0,
            n_empty: 0,
        }
    }

    pub(super) fn finish(self, out: &mut Recorder<'_>) {
        if self.n_described > 0 && self.n_undescribed > 0 {
            let n = self.n_undescribed;
            out.note(format!("{n} runs with points are not in the table of runs"));
        }
        if self.n_empty > 0 {
            out.note(format!("{} rows have no value and were left out", self.n_empty));
        }
        if !self.runs.is_empty() {
            let n = self.runs.len();
            out.note(format!("{n} runs in the table of runs have no points and were left out"));
        }
    }

    /// The place of the series that a row belongs to.
    fn place(
        &mut self,
        cells: &[Cell<'_>],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<usize, ImportError> {
        self.scratch.clear();
        for (role, cell) in self.roles.iter().zip(cells) {
            if matches!(role, Role::Run | Role::Task | Role::Metric | Role::Unit | Role::Tag) {
                cell.put(&mut self.scratch);
                self.scratch.push(0x1f);
            }
        }
        if self.last_place != usize::MAX && self.scratch == self.last {
            return Ok(self.last_place);
        }
        let place = match self.places.get(self.scratch.as_slice()) {
            Some(&place) => place,
            None => self.announce(cells, at, input, out)?,
        };
        std::mem::swap(&mut self.last, &mut self.scratch);
        self.last_place = place;
        Ok(place)
    }

    fn announce(
        &mut self,
        cells: &[Cell<'_>],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<usize, ImportError> {
        let text = |role: Role| {
            let mut bytes = Vec::new();
            let place = self.roles.iter().position(|r| *r == role);
            place.map_or(Cell::Empty, |i| cells[i]).put(&mut bytes);
            bytes
        };
        let utf8 = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_ignored| out.error(input, at, Problem::NotText))
        };
        let (task, metric) = (utf8(text(Role::Task))?, utf8(text(Role::Metric))?);
        let unit = utf8(text(Role::Unit))?;
        let mut tags = Vec::new();
        for (i, cell) in cells.iter().enumerate() {
            if self.roles[i] == Role::Tag && *cell != Cell::Empty {
                let mut bytes = Vec::new();
                cell.put(&mut bytes);
                tags.push(format!("{}={}", self.names[i], utf8(bytes)?));
            }
        }
        let tags = if tags.is_empty() { String::new() } else { format!("[{}]", tags.join(",")) };
        let name = match &*task {
            "" => format!("{metric}{tags}"),
            task => format!("{task}{tags}/{metric}"),
        };
        let id = text(Role::Run);
        let run = match self.run_places.get(id.as_slice()) {
            Some(&run) => run,
            None => self.announce_run(id, input, out)?,
        };
        let unit = if unit.is_empty() { units::of_name(&metric) } else { &unit };
        let key = self.told[run].key;
        let series = out.series(input, key, &name, unit)?;
        let has_stderr = self.roles.contains(&Role::Stderr);
        let named = has_stderr.then(|| (format!("{name}.stderr"), unit.to_owned()));
        let place = self.series.len();
        self.series.push(Known { key: series, run, stderr: None, named });
        self.places.insert(self.scratch.as_slice().into(), place);
        Ok(place)
    }

    fn announce_run(
        &mut self,
        id: Vec<u8>,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<usize, ImportError> {
        let meta = self.runs.take(&id).unwrap_or_else(|| {
            self.n_undescribed += 1;
            RunMeta { name: String::from_utf8_lossy(&id).into_owned(), ..RunMeta::default() }
        });
        let key = out.run(input, &meta)?;
        let place = self.told.len();
        self.told.push(Told { key, tokens: None, steps: BTreeSet::new() });
        self.run_places.insert(id.into(), place);
        Ok(place)
    }

    /// Hands on the tokens of a step, once per run.
    fn tokens(
        &mut self,
        run: usize,
        step: u64,
        value: f64,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let told = &mut self.told[run];
        let is_later = told.steps.last().is_none_or(|last| step > *last);
        if (self.n_told >= MAX_TOLD && !is_later) || !told.steps.insert(step) {
            return Ok(());
        }
        if self.n_told < MAX_TOLD {
            self.n_told += 1;
        } else {
            told.steps.pop_first();
        }
        let series = match told.tokens {
            Some(series) => series,
            None => *told.tokens.insert(out.series(input, told.key, "tokens", "tokens")?),
        };
        out.reading(series, Reading { step, value, wall_secs: f64::NAN })
    }
}

impl Take for Points {
    fn header(
        &mut self,
        names: &[String],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        self.roles = names
            .iter()
            .map(|name| match name.as_str() {
                "run_id" => Role::Run,
                "step" => Role::Step,
                "task" => Role::Task,
                "metric" => Role::Metric,
                "unit" => Role::Unit,
                "tokens" => Role::Tokens,
                "value" => Role::Value,
                "stderr" => Role::Stderr,
                "wall_secs" => Role::WallSecs,
                name if super::super::step_key::is_index(name) => Role::Index,
                _ => Role::Tag,
            })
            .collect();
        for (role, column) in [
            (Role::Run, "run_id"),
            (Role::Step, "step"),
            (Role::Metric, "metric"),
            (Role::Value, "value"),
        ] {
            if !self.roles.contains(&role) {
                let column = column.to_owned();
                return Err(out.error(input, at, Problem::MissingColumn { column }));
            }
        }
        for (i, name) in names.iter().enumerate() {
            if self.roles[i] != Role::Index && names[..i].contains(name) {
                let column = name.clone();
                return Err(out.error(input, at, Problem::DoubleColumn { column }));
            }
        }
        self.names = names.to_vec();
        self.last_place = usize::MAX;
        Ok(())
    }

    fn row(
        &mut self,
        cells: &[Cell<'_>],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let (mut step, mut value, mut stderr, mut tokens) = (None, None, None, None);
        let mut wall_secs = f64::NAN;
        for ((role, &cell), name) in self.roles.iter().zip(cells).zip(&self.names) {
            let not_a_number = || Problem::NotANumber { column: name.clone(), text: cell.shown() };
            let number = match role {
                Role::Step => {
                    step = cell.step();
                    if step.is_none() {
                        let (column, text) = (name.clone(), cell.shown());
                        return out.problem(input, at, Problem::NotAStep { column, text });
                    }
                    continue;
                }
                Role::Value | Role::Stderr | Role::Tokens | Role::WallSecs
                    if cell != Cell::Empty =>
                {
                    match cell.number() {
                        Some(number) => number,
                        None => return out.problem(input, at, not_a_number()),
                    }
                }
                // Not measured, or NaN as pandas writes it.
                Role::Value => {
                    self.n_empty += 1;
                    return Ok(());
                }
                _ => continue,
            };
            match role {
                Role::Value => value = Some(number),
                Role::Stderr => stderr = Some(number),
                Role::Tokens => tokens = Some(number),
                _ => wall_secs = number,
            }
        }
        let (Some(step), Some(value)) = (step, value) else { return Ok(()) };
        let Ok(step) = u64::try_from(step) else {
            out.without_step();
            return Ok(());
        };
        let place = self.place(cells, at, input, out)?;
        let known = &mut self.series[place];
        let run = known.run;
        out.reading(known.key, Reading { step, value, wall_secs })?;
        if let (Some(value), Some((name, unit))) = (stderr, &known.named) {
            let key = match known.stderr {
                Some(key) => key,
                None => *known.stderr.insert(out.series(input, self.told[run].key, name, unit)?),
            };
            out.reading(key, Reading { step, value, wall_secs })?;
        }
        match tokens {
            Some(tokens) => self.tokens(run, step, tokens, input, out),
            None => Ok(()),
        }
    }
}
