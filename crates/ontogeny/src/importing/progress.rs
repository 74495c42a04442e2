//! Says on stderr how far an import is.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Readings between two looks at the clock.
const EVERY: u64 = 1 << 16;
/// Seconds between two lines where nobody can see a bar move.
const PAUSE: Duration = Duration::from_secs(2);

/// Counts readings and shows them now and then.
#[derive(Debug)]
pub(crate) struct Ticker {
    bar: Option<ProgressBar>,
    is_silent: bool,
    unit: String,
    began: Instant,
    said: Instant,
    n: u64,
}

impl Ticker {
    /// With `--json`, stderr is left to errors unless somebody is looking.
    pub(crate) fn new(json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = is_terminal.then(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        let (is_silent, now) = (json && !is_terminal, Instant::now());
        Self { bar, is_silent, unit: String::new(), began: now, said: now, n: 0 }
    }

    /// A unit begins.
    pub(crate) fn unit(&mut self, name: &str, i: usize, n_units: usize) {
        self.unit = format!("{name} ({} of {n_units})", i + 1);
        (self.began, self.n) = (Instant::now(), 0);
        if let Some(bar) = &self.bar {
            bar.set_prefix(self.unit.clone());
        }
    }

    /// Another reading.
    #[inline]
    pub(crate) fn tick(&mut self) {
        self.n += 1;
        if self.n.is_multiple_of(EVERY) && self.said.elapsed() >= PAUSE {
            self.say();
        }
    }

    fn say(&mut self) {
        self.said = Instant::now();
        let rate = self.n as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        let text =
            format!("{:.1} million readings, {:.1} million/s", self.n as f64 / 1e6, rate / 1e6);
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.tick();
            }
            None if self.is_silent => {}
            // Progress is not worth failing for.
            None => drop(writeln!(std::io::stderr(), "{}: {text}", self.unit)),
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
