//! Progress on a terminal: one bar for the stage and a line for every run that is being trained.

use super::tally::{Now, Tally};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// The bars on screen.
#[derive(Debug)]
pub(super) struct Bars {
    screen: MultiProgress,
    overall: Option<ProgressBar>,
    runs: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { screen: MultiProgress::new(), overall: None, runs: BTreeMap::new() }
    }

    pub(super) fn stage(&mut self, tally: &Tally) {
        self.clear();
        let bar = self.screen.add(ProgressBar::new(tally.total.max(1)));
        bar.set_style(style("{prefix} [{wide_bar}] {percent:>3}%  {msg}"));
        bar.set_prefix(tally.stage.clone());
        // The clock of the bar goes on while a long evaluation shows no progress.
        bar.enable_steady_tick(Duration::from_millis(500));
        self.overall = Some(bar);
        self.update(tally);
    }

    pub(super) fn run(&mut self, tally: &Tally, now: &Now) {
        let bar = self.runs.entry(now.run.clone()).or_insert_with(|| {
            let bar = self.screen.add(ProgressBar::new(now.horizon.max(1)));
            bar.set_style(style("  {prefix}  {pos}/{len}  {wide_msg}"));
            bar.set_prefix(now.run.clone());
            bar
        });
        bar.set_position(now.step);
        bar.set_message(now.state());
        self.update(tally);
    }

    pub(super) fn finished(&mut self, tally: &Tally, run: &str) {
        if let Some(bar) = self.runs.remove(run) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        self.update(tally);
    }

    /// A line above the bars.
    pub(super) fn note(&self, text: &str) {
        note(&self.screen, text);
    }

    /// The same for who cannot hold on to the bars.
    pub(super) fn notes(&self) -> impl Fn(&str) + Send + 'static {
        let screen = self.screen.clone();
        move |text| note(&screen, text)
    }

    /// Takes everything off the screen.
    pub(super) fn clear(&mut self) {
        for bar in std::mem::take(&mut self.runs).into_values().chain(self.overall.take()) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    fn update(&self, tally: &Tally) {
        if let Some(bar) = &self.overall {
            bar.set_position(tally.position());
            bar.set_message(tally.summary());
        }
    }
}

fn note(screen: &MultiProgress, text: &str) {
    // Progress is not worth failing for.
    let _ = screen.println(text);
}

/// The style of a template that is written in this file.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
