//! Checkpoints that others wrote: files in, tensors out, and nothing run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod bad_input;
mod finding;
mod fuzz;
#[path = "../mutation/mod.rs"]
mod mutation;
mod real_files;
mod round_trip;
mod support;
