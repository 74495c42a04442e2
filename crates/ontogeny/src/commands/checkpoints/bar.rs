//! Says on stderr how far the work on checkpoints is.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Time between two lines where nobody can see a bar move.
const PAUSE: Duration = Duration::from_secs(2);

/// Counts checkpoints and shows the count now and then.
#[derive(Debug)]
pub(super) struct Bar {
    shown: Option<ProgressBar>,
    is_silent: bool,
    said: Instant,
    n: u64,
    total: u64,
}

impl Bar {
    /// With `--json`, stderr is left to errors unless somebody is looking.
    pub(super) fn new(total: usize, json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let shown = is_terminal.then(|| {
            let bar = ProgressBar::new(total as u64);
            let style = ProgressStyle::with_template("{pos}/{len} [{wide_bar}] {eta}  {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar
        });
        let is_silent = json && !is_terminal;
        Self { shown, is_silent, said: Instant::now(), n: 0, total: total as u64 }
    }

    /// Another checkpoint is done.
    pub(super) fn next(&mut self, step: u64) {
        self.n += 1;
        if let Some(bar) = &self.shown {
            bar.set_message(format!("step {step}"));
            bar.set_position(self.n);
        } else if !self.is_silent && self.said.elapsed() >= PAUSE {
            self.said = Instant::now();
            // Progress is not worth failing for.
            let _ = writeln!(std::io::stderr(), "{} of {} checkpoints", self.n, self.total);
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
