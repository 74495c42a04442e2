//! Replays the past honestly: what would every forecaster have said of runs that are finished?
//!
//! A [`Protocol`] says which runs inform one another, what is out of sight while a run is forecast, how much of
//! it may be seen and what is asked. [`replay`] hands every forecaster a [`Prefix`](ontogeny_core::Prefix),
//! which cannot give out later points, and [`summarize_replay`] scores what was said beside every baseline
//! (law 6). Nothing depends on the names of suites: a new one needs a protocol and no code.

mod protocol;
mod replay;
mod suite;
mod summary;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_runs;

pub use protocol::{Axis, Better, EventSpec, Protocol, ScaleUnit, TableSpec, TargetSpec, Visible};
pub use replay::{BacktestError, Record, Replay, Waited, replay};
pub use suite::{Suite, SuiteRun};
pub use summary::{Line, summarize_replay};
