//! Reads what others wrote (logs, evaluations, tidy tables) into runs, and writes runs back; trusts no byte of it.
//!
//! [`find`] walks paths and says which format each file is in, by its content; [`import`] streams one
//! [`Unit`] of that into a [`Sink`], run by run, series by series, reading by reading. Nothing is gathered on the
//! way, so a file of any size is read in bounded memory. [`Collected`] is a sink that keeps everything;
//! the command's sink writes the store.
//!
//! # Steps that repeat or come late
//!
//! Readings are handed on in the order in which they were written, all of them. A sink, and the store
//! behind it, decides by *the last one written at a step counts*, as TensorBoard and the store do. How many came at a
//! step that a series had already passed is counted in the [`Report`].
//!
//! # Foreign bytes
//!
//! Lengths are checked before memory is set aside, nesting and names are bounded, compressed files may
//! not expand without end, links that leave the folder are refused, and no parser panics. A mistake
//! names file, record and byte; with [`Options::keep_going`] it is noted in the report and the rest is read.
//!
//! # Examples
//! ```
//! # use ontogeny_import::{Collected, Input, Options, import, unit_of};
//! let log = Input::from_bytes("log.csv", "step,loss\n0,2.5\n10,1.25\n");
//! let options = Options::default();
//! let mut collected = Collected::default();
//! let report = import(&unit_of(log, &options)?, &options, &mut collected)?;
//! assert_eq!((report.format, report.n_points), ("csv", 2));
//! assert_eq!(collected.runs[0].series[0].last().map(|p| p.value), Some(1.25));
//! # Ok::<(), ontogeny_import::ImportError>(())
//! ```

pub mod checkpoints;
mod collected;
mod error;
pub mod export;
mod formats;
mod input;
mod json;
mod options;
mod recorder;
mod report;
mod sink;
mod source;
mod table;
mod units;
mod walk;
mod wire;

pub use collected::{Collected, CollectedRun};
pub use error::{ImportError, Problem};
pub use formats::{Format, Grouping, Head, format_named, format_names, formats};
pub use input::{Fingerprint, Input};
pub use options::{LogPattern, Options, StepRule, TableShape};
pub use recorder::Recorder;
pub use report::Report;
pub use sink::{Discard, Reading, RunKey, RunMeta, SeriesKey, Sink, SinkError};
pub use walk::{Found, Unit, find, unit_of};

/// Reads one unit into `sink`.
///
/// # Errors
/// The first mistake, with file, record and byte; with [`Options::keep_going`] only what leaves
/// nothing to go on with (an unreadable file, a sink that fails). What the sink was given until then
/// is the caller's to throw away.
pub fn import(unit: &Unit, options: &Options, sink: &mut dyn Sink) -> Result<Report, ImportError> {
    let mut recorder = Recorder::new(unit.format.name(), options.keep_going, sink);
    let read = unit.format.read(unit, options, &mut recorder);
    read.or_else(|e| recorder.give_up(e))?;
    Ok(recorder.finish(unit))
}
