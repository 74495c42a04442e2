//! The store as its users see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chains;
mod collecting;
mod crash;
mod errors;
mod flips;
mod fuzz;
mod indices;
mod inventory;
mod law_9;
mod ledger;
mod listing;
mod merging;
mod migrating;
mod model;
#[path = "../../../ontogeny_import/tests/mutation/mod.rs"]
mod mutation;
mod one_series;
mod round_trip;
mod staging;
mod support;
mod together;
mod zooms;
