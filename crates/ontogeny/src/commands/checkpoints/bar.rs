//! Says on stderr how far the work on checkpoints is.

use crate::progress::Counter;

/// Counts checkpoints.
#[derive(Debug)]
pub(super) struct Bar {
    counter: Counter,
    n: usize,
    total: usize,
}

impl Bar {
    pub(super) fn new(total: usize, json: bool) -> Self {
        let template = "{pos}/{len} [{wide_bar}] {eta}  {msg}";
        Self { counter: Counter::new("checkpoints", template, json), n: 0, total }
    }

    /// Another checkpoint is done.
    pub(super) fn next(&mut self, step: u64) {
        self.n += 1;
        self.counter.set(self.n, self.total, &format!("step {step}"));
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        self.counter.clear();
    }
}
