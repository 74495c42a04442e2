//! Between the readers and the sink: numbers series, counts what is odd, and decides what ends an import.

use crate::input::Fingerprint;
use crate::report::Report;
use crate::sink::{Reading, RunKey, RunMeta, SeriesKey, Sink};
use crate::source::Source;
use crate::walk::Unit;
use crate::{ImportError, Input, Problem};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Problems that are kept; more are counted.
const MAX_PROBLEMS: usize = 100;
/// Series of one import; a file that names more is no training log.
const MAX_SERIES: usize = 1_000_000;
/// Runs of one import.
const MAX_RUNS: usize = 200_000;
/// Bytes of a name that are kept.
const MAX_NAME: usize = 1_000;

/// Where a record is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct At {
    /// Number of the record, from 1.
    pub(crate) record: u64,
    /// Its first byte in the (unpacked) file.
    pub(crate) offset: u64,
}

/// What a reader hands its findings to.
pub struct Recorder<'a> {
    sink: &'a mut dyn Sink,
    keep_going: bool,
    report: Report,
    /// By run: series by name. Nested, so that a look-up needs no new string.
    names: Vec<BTreeMap<Box<str>, SeriesKey>>,
    /// By series: the greatest step so far, plus one.
    reached: Vec<u64>,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("report", &self.report).finish_non_exhaustive()
    }
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(format: &'static str, keep_going: bool, sink: &'a mut dyn Sink) -> Self {
        let report = Report {
            name: String::new(),
            format,
            files: Vec::new(),
            n_runs: 0,
            n_series: 0,
            n_points: 0,
            n_repeated: 0,
            n_late: 0,
            n_not_finite: 0,
            n_passed_over: 0,
            n_without_step: 0,
            notes: Vec::new(),
            problems: Vec::new(),
            n_problems: 0,
        };
        Self { sink, keep_going, report, names: Vec::new(), reached: Vec::new() }
    }

    /// Announces a run.
    pub(crate) fn run(&mut self, input: &Input, meta: &RunMeta) -> Result<RunKey, ImportError> {
        if self.names.len() >= MAX_RUNS {
            return Err(self.too_many(input, "runs", MAX_RUNS));
        }
        let key = RunKey(self.names.len() as u32);
        self.names.push(BTreeMap::new());
        self.sink.run(key, meta).map_err(|source| ImportError::Sink { source })?;
        Ok(key)
    }

    /// Adds to the configuration of a run.
    pub(crate) fn config(
        &mut self,
        run: RunKey,
        config: &Map<String, Value>,
    ) -> Result<(), ImportError> {
        self.sink.config(run, config).map_err(|source| ImportError::Sink { source })
    }

    /// The series of this name, announced if it is new. A unit counts when the series is new.
    pub(crate) fn series(
        &mut self,
        input: &Input,
        run: RunKey,
        name: &str,
        unit: &str,
    ) -> Result<SeriesKey, ImportError> {
        let name = clipped(name);
        if let Some(&key) = self.names[run.0 as usize].get(name) {
            return Ok(key);
        }
        if self.reached.len() >= MAX_SERIES {
            return Err(self.too_many(input, "series", MAX_SERIES));
        }
        let key = SeriesKey(self.reached.len() as u32);
        self.reached.push(0);
        self.names[run.0 as usize].insert(name.into(), key);
        let made = self.sink.series(key, run, name, unit);
        made.map_err(|source| ImportError::Sink { source })?;
        Ok(key)
    }

    /// Hands on a reading.
    #[inline]
    pub(crate) fn reading(
        &mut self,
        series: SeriesKey,
        reading: Reading,
    ) -> Result<(), ImportError> {
        let reached = &mut self.reached[series.0 as usize];
        let next = reading.step.saturating_add(1);
        match next.cmp(reached) {
            Ordering::Greater => *reached = next,
            Ordering::Equal => self.report.n_repeated += 1,
            Ordering::Less => self.report.n_late += 1,
        }
        self.report.n_points += 1;
        self.report.n_not_finite += u64::from(!reading.value.is_finite());
        self.sink.reading(series, reading).map_err(|source| ImportError::Sink { source })
    }

    /// A reading whose step is negative: some tables say "no step" that way.
    pub(crate) fn without_step(&mut self) {
        self.report.n_without_step += 1;
    }

    /// A record without scalars.
    pub(crate) fn passed_over(&mut self) {
        self.report.n_passed_over += 1;
    }

    /// A fact worth telling, once.
    pub(crate) fn note(&mut self, note: String) {
        if self.report.notes.len() < MAX_PROBLEMS && !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    /// An error of a record of `input`.
    pub(crate) fn error(&self, input: &Input, at: At, problem: Problem) -> ImportError {
        ImportError::Record {
            format: self.report.format,
            path: input.path().to_path_buf(),
            record: at.record,
            offset: at.offset,
            problem: Box::new(problem),
        }
    }

    /// A record that cannot be used: the end, unless the user asked to keep going.
    pub(crate) fn problem(
        &mut self,
        input: &Input,
        at: At,
        problem: Problem,
    ) -> Result<(), ImportError> {
        let error = self.error(input, at, problem);
        self.give_up(error)
    }

    /// Something that ends the reading of a file: the end of all, unless the user asked to keep going and
    /// what came before can stand for itself.
    pub(crate) fn give_up(&mut self, error: ImportError) -> Result<(), ImportError> {
        if !self.keep_going || !matches!(error, ImportError::Record { .. }) {
            return Err(error);
        }
        self.report.n_problems += 1;
        if self.report.problems.len() < MAX_PROBLEMS {
            self.report.problems.push(error);
        }
        Ok(())
    }

    /// Opens a file, lets `read` have it, and puts its size and hash into the report.
    pub(crate) fn scan(
        &mut self,
        input: &Input,
        read: impl FnOnce(&mut Source, &mut Self) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut source = match input.open(self.report.format) {
            Ok(source) => source,
            // Not even its first bytes can be unpacked.
            Err(e) => {
                self.give_up(e)?;
                self.has_read(input, input.fingerprint()?);
                return Ok(());
            }
        };
        let done = read(&mut source, self);
        done.or_else(|e| self.give_up(e))?;
        self.has_read(input, source.fingerprint()?);
        Ok(())
    }

    /// A file has been read.
    pub(crate) fn has_read(&mut self, input: &Input, print: Fingerprint) {
        self.report.files.push((input.path().display().to_string(), print));
    }

    fn too_many(&self, input: &Input, what: &'static str, limit: usize) -> ImportError {
        let record = self.report.n_points;
        self.error(input, At { record, offset: 0 }, Problem::TooMany { what, limit })
    }

    pub(crate) fn finish(self, unit: &Unit) -> Report {
        let mut report = self.report;
        report.name.clone_from(&unit.name);
        report.n_runs = self.names.len();
        report.n_series = self.reached.len();
        report
    }
}

/// A name, cut at a character boundary if it is absurdly long.
fn clipped(name: &str) -> &str {
    if name.is_empty() {
        return "unnamed";
    }
    &name[..name.floor_char_boundary(MAX_NAME)]
}
