//! What an import found, to be told to the person who asked for it.

use crate::ImportError;
use crate::input::Fingerprint;

/// What became of one unit.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// Name of the unit.
    pub name: String,
    /// Name of the format.
    pub format: &'static str,
    /// Path, size and hash of every file that was read, in the order of reading.
    pub files: Vec<(String, Fingerprint)>,
    /// Runs that were found.
    pub n_runs: usize,
    /// Series that were found, over all runs.
    pub n_series: usize,
    /// Readings that were handed on.
    pub n_points: u64,
    /// Of these, readings at the step that their series had last: the later one counts.
    pub n_repeated: u64,
    /// Of these, readings at a step before one that their series had already reached.
    pub n_late: u64,
    /// Of these, readings that are NaN or infinite.
    pub n_not_finite: u64,
    /// Records that hold no scalar (images, text, graphs, configuration) and were passed over.
    pub n_passed_over: u64,
    /// Readings with a negative step, which means *no step* in some tables: left out.
    pub n_without_step: u64,
    /// Facts worth telling: a tail that was cut off, columns that are no numbers.
    pub notes: Vec<String>,
    /// Mistakes that were passed over because the user asked to keep going; the first hundred.
    pub problems: Vec<ImportError>,
    /// Mistakes in all.
    pub n_problems: u64,
}
