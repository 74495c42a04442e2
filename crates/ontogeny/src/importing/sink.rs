//! Writes what an importer reads into runs of the store, out of sight until all of it is there.
//!
//! Readings wait in memory, run by run, so that tables whose rows jump between runs do not open thousands of
//! files; when too many wait, the run with the most of them is written. Within a run the order of writing is kept.

use super::known;
use super::naming::Naming;
use super::progress::Ticker;
use ontogeny_core::{
    Clock, Clocks, Imported, RunId, RunManifest, RunStatus, Seeds, Step, StopReason, StudyId,
    Versions,
};
use ontogeny_import::{Reading, Report, RunKey, RunMeta, SeriesKey, Sink, SinkError};
use ontogeny_store::{RunWriter, Staging, StoreError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Readings that may wait, over all runs: 32 bytes each.
const MAX_WAITING: usize = 1 << 20;
/// Runs that are open at a time.
const MAX_OPEN: usize = 16;
/// Runs that are written side by side at the end of a unit.
const MAX_THREADS: usize = 16;
/// Readings of a run that is small enough for that.
const SMALL_RUN: u64 = 1 << 16;

/// A run of the unit that is being read.
#[derive(Debug)]
struct Pending {
    meta: RunMeta,
    id: RunId,
    /// Number of the series and reading.
    waiting: Vec<(u32, Reading)>,
    n_readings: u64,
    last: Step,
    clocks: Clocks,
    is_made: bool,
}

/// A [`Sink`] that makes runs in a [`Staging`].
#[derive(Debug)]
pub(crate) struct StoreSink<'a> {
    staging: &'a Staging,
    clock: &'a dyn Clock,
    study: Option<StudyId>,
    ticker: &'a mut Ticker,
    naming: Naming,
    unit: String,
    runs: Vec<Pending>,
    /// Run, name and unit of every series.
    series: Vec<(u32, String, String)>,
    open: BTreeMap<usize, RunWriter>,
    n_waiting: usize,
}

impl<'a> StoreSink<'a> {
    pub(crate) fn new(
        staging: &'a Staging,
        clock: &'a dyn Clock,
        study: Option<StudyId>,
        ticker: &'a mut Ticker,
    ) -> Self {
        Self {
            staging,
            clock,
            study,
            ticker,
            naming: Naming::default(),
            unit: String::new(),
            runs: Vec::new(),
            series: Vec::new(),
            open: BTreeMap::new(),
            n_waiting: 0,
        }
    }

    /// Begins a unit.
    pub(crate) fn begin(&mut self, unit: &str, i: usize, n_units: usize) {
        unit.clone_into(&mut self.unit);
        self.ticker.unit(unit, i, n_units);
    }

    /// Ends a unit: its runs are whole, and still out of sight.
    ///
    /// Runs are written side by side: a small one costs little but the waiting for the disk.
    pub(crate) fn finish(
        &mut self,
        report: &Report,
        options: &str,
    ) -> Result<Vec<RunManifest>, StoreError> {
        let files = known::files(&report.files);
        let mut done = Vec::new();
        let mut jobs = Vec::new();
        for (i, run) in std::mem::take(&mut self.runs).into_iter().enumerate() {
            if run.n_readings == 0 {
                continue; // Nothing to keep; the report tells.
            }
            let name = if run.meta.name.is_empty() { &self.unit } else { &run.meta.name };
            let from = Imported {
                format: report.format.to_owned(),
                name: name.clone(),
                files: files.clone(),
                checkpoints: Vec::new(),
                options: options.to_owned(),
                n_readings: run.n_readings,
                outcomes: run.meta.outcomes.clone(),
            };
            let mut manifest = self.manifest(&run);
            manifest.config = RunManifest::imported_config(run.meta.config.clone(), &from);
            done.push(manifest.clone());
            jobs.push((run, self.open.remove(&i), manifest));
        }
        let (series, staging) = (std::mem::take(&mut self.series), self.staging);
        self.open.clear();
        self.n_waiting = 0;
        // Sealing takes memory in proportion to a run, so only small ones go many at a time.
        let is_small = |m: &RunManifest| m.imported().is_some_and(|f| f.n_readings <= SMALL_RUN);
        let n_threads = if done.iter().all(is_small) { MAX_THREADS } else { 2 }.min(jobs.len());
        let jobs = Mutex::new(jobs.into_iter());
        let work = || -> Result<(), StoreError> {
            // The guard is gone before the work begins.
            let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some((run, writer, manifest)) = next() {
                let mut writer = match writer {
                    Some(writer) => writer,
                    None if run.is_made => staging.resume_run(&run.id)?,
                    None => staging.create_run(&manifest)?,
                };
                append(&mut writer, &run.waiting, &series)?;
                writer.seal()?;
                if run.is_made {
                    writer.set_manifest(&manifest)?;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(worked) => worked,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        Ok(done)
    }

    /// The manifest of a run, as far as it is known.
    fn manifest(&self, run: &Pending) -> RunManifest {
        let config = &run.meta.config;
        let seed = config.get("seed").and_then(Value::as_u64).unwrap_or(0);
        RunManifest {
            format_version: RunManifest::FORMAT_VERSION,
            run: run.id.clone(),
            study: self.study.clone(),
            role: "imported".to_owned(),
            cell: cell(config),
            config: Value::Object(config.clone()),
            seeds: Seeds::all(seed),
            fork: None,
            rules: Vec::new(),
            versions: Versions {
                ontogeny: env!("CARGO_PKG_VERSION").to_owned(),
                engine: "imported".to_owned(),
            },
            created_unix_secs: self.clock.unix_secs(),
            step: run.last,
            clocks: run.clocks,
            status: RunStatus::Done {
                reason: StopReason::Settled { why: "imported: the source ends here".to_owned() },
            },
            unread: std::collections::BTreeMap::new(),
        }
    }

    /// Writes the waiting readings of a run, making it with a preliminary manifest if it is new.
    fn write(&mut self, i: usize) -> Result<(), StoreError> {
        if !self.open.contains_key(&i) {
            let run = &self.runs[i];
            let writer = if run.is_made {
                self.staging.resume_run(&run.id)?
            } else {
                self.staging.create_run(&self.manifest(run))?
            };
            if self.open.len() >= MAX_OPEN {
                self.open.pop_first();
            }
            self.open.insert(i, writer);
        }
        let run = &mut self.runs[i];
        run.is_made = true;
        let Some(writer) = self.open.get_mut(&i) else { return Ok(()) };
        append(writer, &run.waiting, &self.series)?;
        self.n_waiting -= run.waiting.len();
        run.waiting.clear();
        // Memory that one long run took is not kept for it.
        run.waiting.shrink_to(1 << 16);
        Ok(())
    }

    fn add(&mut self, series: SeriesKey, reading: Reading) -> Result<(), StoreError> {
        let run = &mut self.runs[self.series[series.0 as usize].0 as usize];
        run.n_readings += 1;
        if Step(reading.step) >= run.last {
            (run.last, run.clocks) = (Step(reading.step), clocks(&reading));
        }
        run.waiting.push((series.0, reading));
        self.n_waiting += 1;
        if self.n_waiting >= MAX_WAITING {
            let most = (0..self.runs.len()).max_by_key(|&i| self.runs[i].waiting.len());
            if let Some(most) = most {
                self.write(most)?;
            }
        }
        Ok(())
    }
}

/// Appends readings in their order.
fn append(
    writer: &mut RunWriter,
    readings: &[(u32, Reading)],
    series: &[(u32, String, String)],
) -> Result<(), StoreError> {
    let mut row: Vec<(&str, &str, f64)> = Vec::new();
    // Readings of one step and moment are one row of the log.
    let is_one = |a: &(u32, Reading), b: &(u32, Reading)| {
        a.1.step == b.1.step && a.1.wall_secs.to_bits() == b.1.wall_secs.to_bits()
    };
    for chunk in readings.chunk_by(is_one) {
        row.clear();
        row.extend(chunk.iter().map(|(number, reading)| {
            let (_, name, unit) = &series[*number as usize];
            (name.as_str(), unit.as_str(), reading.value)
        }));
        let reading = chunk[0].1;
        writer.append(Step(reading.step), clocks(&reading), &row)?;
    }
    Ok(())
}

fn clocks(reading: &Reading) -> Clocks {
    let wall_secs = if reading.wall_secs.is_finite() { reading.wall_secs } else { 0.0 };
    Clocks { wall_secs, ..Clocks::default() }
}

/// Runs that differ in nothing but their seeds are of one cell; where nothing is known, there is none.
fn cell(config: &Map<String, Value>) -> String {
    let is_seed = |k: &str| k == "seed" || k.ends_with("_seed");
    let rest: Map<String, Value> =
        config.iter().filter(|(k, _)| !is_seed(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if rest.is_empty() {
        return String::new();
    }
    let text = Value::Object(rest).to_string();
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("cfg-{:08x}", hash >> 32)
}

impl Sink for StoreSink<'_> {
    fn run(&mut self, _: RunKey, meta: &RunMeta) -> Result<(), SinkError> {
        let id = self.naming.name(&self.unit, &meta.name);
        let id = id.ok_or_else(|| format!("no name can be made of `{}`", meta.name))?;
        self.runs.push(Pending {
            meta: meta.clone(),
            id,
            waiting: Vec::new(),
            n_readings: 0,
            last: Step(0),
            clocks: Clocks::default(),
            is_made: false,
        });
        Ok(())
    }

    fn config(&mut self, run: RunKey, config: &Map<String, Value>) -> Result<(), SinkError> {
        self.runs[run.0 as usize].meta.config.extend(config.clone());
        Ok(())
    }

    fn series(
        &mut self,
        _: SeriesKey,
        run: RunKey,
        name: &str,
        unit: &str,
    ) -> Result<(), SinkError> {
        self.series.push((run.0, name.to_owned(), unit.to_owned()));
        Ok(())
    }

    fn reading(&mut self, series: SeriesKey, reading: Reading) -> Result<(), SinkError> {
        self.ticker.tick();
        Ok(self.add(series, reading)?)
    }
}
