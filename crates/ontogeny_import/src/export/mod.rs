//! Writing runs for others: tidy CSV, tidy Parquet, TensorBoard event files.
//!
//! What is written can be imported again and is the same: names, steps, values to the last bit (NaN is NaN), standard
//! errors, and the configuration. Files appear whole or not at all.

mod draft;
mod parquet;
mod readings;
mod tfevents;
mod tidy_csv;
mod tidy_runs;

pub(crate) use draft::Draft;

use crate::ImportError;
use ontogeny_core::{Series, Step};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A run to be written.
#[derive(Debug)]
pub struct ExportedRun<'a> {
    /// Its name; safe as the name of a folder.
    pub id: &'a str,
    /// Its configuration.
    pub config: &'a Map<String, Value>,
    /// Its series, in step order; `x.stderr` is written as the standard error of `x`.
    pub series: &'a [&'a Series],
    /// When it began, in seconds since the Unix epoch.
    pub began_unix_secs: f64,
    /// Seconds since then at the steps where they are known, in step order.
    pub wall_secs: &'a [(Step, f64)],
}

impl ExportedRun<'_> {
    /// Seconds since the beginning at a step; NaN where it is not known.
    fn wall_secs_at(&self, step: Step) -> f64 {
        let place = self.wall_secs.binary_search_by_key(&step, |w| w.0);
        place.map_or(f64::NAN, |i| self.wall_secs[i].1)
    }
}

/// Writes runs in one format.
pub trait Exporter: std::fmt::Debug {
    /// Writes a run.
    ///
    /// # Errors
    /// [`ImportError::Io`] if the disk does not take it.
    fn run(&mut self, run: &ExportedRun<'_>) -> Result<(), ImportError>;

    /// Gives the files their names, and says which they are.
    ///
    /// # Errors
    /// As [`Exporter::run`].
    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, ImportError>;
}

/// Names of the formats that can be written.
pub const FORMATS: [&str; 3] = ["csv", "parquet", "tfevents"];

/// Makes the exporter of this name, which writes into `dir`.
///
/// # Errors
/// [`ImportError::UnknownFormat`]; [`ImportError::Io`] if the folder cannot be made.
pub fn exporter(name: &str, dir: &Path) -> Result<Box<dyn Exporter>, ImportError> {
    if !FORMATS.contains(&name) {
        return Err(ImportError::UnknownExport { name: name.to_owned() });
    }
    std::fs::create_dir_all(dir).map_err(|e| ImportError::io("create the folder", dir, e))?;
    Ok(match name {
        "csv" => Box::new(tidy_csv::TidyCsv::new(dir)?),
        "parquet" => Box::new(parquet::TidyParquet::new(dir)?),
        _ => Box::new(tfevents::TfEvents::new(dir)),
    })
}
