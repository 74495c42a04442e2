//! Says on stderr how many of something are done.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines where nobody can see a bar move.
const PAUSE: Duration = Duration::from_secs(2);

/// Counts things and shows the count now and then; may be told by several threads.
#[derive(Debug)]
pub(crate) struct Counter {
    shown: Option<ProgressBar>,
    is_silent: bool,
    what: &'static str,
    said: Mutex<Instant>,
}

impl Counter {
    /// Of `what`, a plural; `template` is that of the bar. With `--json`, stderr is left to errors unless somebody is
    /// looking.
    pub(crate) fn new(what: &'static str, template: &str, json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let shown = is_terminal.then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar
        });
        Self { shown, is_silent: json && !is_terminal, what, said: Mutex::new(Instant::now()) }
    }

    /// So many of so many are done; `message` stands beside the bar.
    pub(crate) fn set(&self, n: usize, total: usize, message: &str) {
        if let Some(bar) = &self.shown {
            bar.set_message(message.to_owned());
            bar.set_length(total as u64);
            bar.set_position(n as u64);
        } else if !self.is_silent {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.elapsed() >= PAUSE {
                *said = Instant::now();
                // Progress is not worth failing for.
                let _ = writeln!(std::io::stderr(), "{n} of {total} {}", self.what);
            }
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
