//! The importers as their users see them: files in, runs out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod bad_input;
mod fixtures;
mod formats;
mod fuzz;
#[path = "../mutation/mod.rs"]
mod mutation;
mod round_trip;
mod support;
mod walking;
