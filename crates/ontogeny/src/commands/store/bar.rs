//! Says on stderr how many runs are done.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two lines where nobody can see a bar move.
const PAUSE: Duration = Duration::from_secs(2);

/// Counts runs; may be told by several threads.
#[derive(Debug)]
pub(super) struct Bar {
    shown: Option<ProgressBar>,
    is_silent: bool,
    said: Mutex<Instant>,
}

impl Bar {
    /// With `--json`, stderr is left to errors unless somebody is looking.
    pub(super) fn new(json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let shown = is_terminal.then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{pos}/{len} runs [{wide_bar}] {eta}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar
        });
        Self { shown, is_silent: json && !is_terminal, said: Mutex::new(Instant::now()) }
    }

    /// So many of so many are done.
    pub(super) fn set(&self, n: usize, total: usize) {
        if let Some(bar) = &self.shown {
            bar.set_length(total as u64);
            bar.set_position(n as u64);
        } else if !self.is_silent
            && let Ok(mut said) = self.said.lock()
            && said.elapsed() >= PAUSE
        {
            *said = Instant::now();
            // Progress is not worth failing for.
            let _ = writeln!(std::io::stderr(), "{n} of {total} runs");
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
