//! Turns series into findings: detectors, forecasters, scores, scorecards. Pure functions.
//!
//! Everything here is a function of what it is given: series, events, sealed records. Nothing reads a file,
//! sees a model, prints, asks the time or draws unseeded randomness; the same input and seed give the same
//! finding. A quantity that is undefined on the data is a value (`None`, or a list of issues), not an error.
//!
//! Event times live on the axis `u = ln t` everywhere.

pub mod backtest;
pub mod curves;
pub mod detectors;
pub mod distribution;
pub mod effects;
pub mod examples;
pub mod forecasters;
mod math;
pub mod scaling;
pub mod scorecard;
pub mod scores;
pub mod stats;
pub mod survival;
#[cfg(test)]
mod whole_loop;
