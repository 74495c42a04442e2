//! The command as a person meets it: arguments in, text and exit code out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod backtest;
mod checkpoints;
mod damage;
mod forecasting;
mod forks;
mod help;
mod importing;
mod interrupt;
mod ledger;
mod names;
mod pushing;
mod reading;
mod scaling;
mod stores;
mod storing;
mod support;
mod zooming;
