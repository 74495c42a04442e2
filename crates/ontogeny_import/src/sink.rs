//! Where readings go.

use serde_json::{Map, Value};

/// Why a sink could not take something.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Number of a run within one import: 0, 1, 2, ... in the order in which runs are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey(pub u32);

/// Number of a series within one import, over all its runs, in the order in which they are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey(pub u32);

/// What is known of a run before its readings come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunMeta {
    /// Its name in the source; empty if the source is one run and does not name it.
    pub name: String,
    /// Hyper-parameters and whatever else describes it beforehand.
    pub config: Map<String, Value>,
    /// What the source says of how it ended, kept apart so that nobody forecasts from it.
    pub outcomes: Map<String, Value>,
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Optimizer updates already applied.
    pub step: u64,
    /// The value; NaN and infinities as they were written.
    pub value: f64,
    /// Seconds since the run began, if the source tells the time; otherwise NaN.
    pub wall_secs: f64,
}

/// Takes what an importer reads, in the order in which it was written.
///
/// Keys are handed out densely: a sink may keep its state in vectors. Readings of different runs may come
/// mixed, and steps may repeat or go back.
pub trait Sink {
    /// A run appears.
    ///
    /// # Errors
    /// Whatever keeps the sink from taking it; the import ends.
    fn run(&mut self, run: RunKey, meta: &RunMeta) -> Result<(), SinkError>;

    /// More is known of a run: entries are added to its configuration, or replaced.
    ///
    /// # Errors
    /// As [`Sink::run`].
    fn config(&mut self, run: RunKey, config: &Map<String, Value>) -> Result<(), SinkError>;

    /// A series of a run appears.
    ///
    /// # Errors
    /// As [`Sink::run`].
    fn series(
        &mut self,
        series: SeriesKey,
        run: RunKey,
        name: &str,
        unit: &str,
    ) -> Result<(), SinkError>;

    /// A reading.
    ///
    /// # Errors
    /// As [`Sink::run`].
    fn reading(&mut self, series: SeriesKey, reading: Reading) -> Result<(), SinkError>;
}

/// Takes everything and keeps nothing: for dry runs and for measuring the readers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Sink for Discard {
    fn run(&mut self, _: RunKey, _: &RunMeta) -> Result<(), SinkError> {
        Ok(())
    }

    fn config(&mut self, _: RunKey, _: &Map<String, Value>) -> Result<(), SinkError> {
        Ok(())
    }

    fn series(&mut self, _: SeriesKey, _: RunKey, _: &str, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn reading(&mut self, _: SeriesKey, _: Reading) -> Result<(), SinkError> {
        Ok(())
    }
}
