//! Progress where nobody can see a bar move: a line now and then.

use super::tally::{Now, Tally};
use std::io::Write;

/// Seconds between two lines.
const PAUSE_SECS: f64 = 2.0;

/// Remembers when it last said something.
#[derive(Debug, Default)]
pub(super) struct Lines {
    last: Option<f64>,
}

impl Lines {
    pub(super) fn stage(&mut self, tally: &Tally, secs: f64) {
        self.last = Some(secs);
        print(&format!("{}: up to {} updates", tally.stage, tally.total));
    }

    pub(super) fn run(&mut self, tally: &Tally, now: &Now, secs: f64) {
        if self.is_due(secs) {
            let state = now.state();
            let sep = if state.is_empty() { "" } else { ", " };
            let run = format!("{} at {}/{}{sep}{state}", now.run, now.step, now.horizon);
            print(&format!("{}: {}%, {}; {run}", tally.stage, tally.percent(), tally.summary()));
        }
    }

    pub(super) fn finished(&mut self, tally: &Tally, secs: f64) {
        if self.is_due(secs) {
            print(&format!("{}: {}%, {}", tally.stage, tally.percent(), tally.summary()));
        }
    }

    fn is_due(&mut self, secs: f64) -> bool {
        let due = self.last.is_none_or(|last| secs - last >= PAUSE_SECS);
        if due {
            self.last = Some(secs);
        }
        due
    }
}

/// Writes a line to stderr. Progress is not worth failing for.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
