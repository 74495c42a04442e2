//! Counts updates: how far a stage is, how fast it goes, how long it may still take.

use crate::text::{duration, number};
use ontogeny_core::Event;
use ontogeny_lab::Progress;
use std::collections::{BTreeMap, VecDeque};

/// Seconds over which the rate is taken.
const WINDOW_SECS: f64 = 15.0;

/// Where a run is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Now {
    pub(super) run: String,
    pub(super) step: u64,
    pub(super) horizon: u64,
    loss: f64,
    last_event: Option<String>,
}

impl From<&Progress<'_>> for Now {
    fn from(at: &Progress<'_>) -> Self {
        let event = |e: &Event| Some(format!("{} at {}", e.name, e.when.seen_at()?));
        Self {
            run: at.run.to_string(),
            step: at.step.0,
            horizon: at.horizon,
            loss: at.loss,
            last_event: at.last_event.and_then(event),
        }
    }
}

impl Now {
    /// A replay at a step, on its way to another.
    pub(super) fn replay(run: &str, step: u64, to: u64) -> Self {
        let run = run.to_owned();
        Self { run, step, horizon: to, loss: f64::NAN, last_event: None }
    }

    /// Loss and last event, what there is of them.
    pub(super) fn state(&self) -> String {
        let loss = self.loss.is_finite().then(|| format!("loss {}", number(self.loss)));
        let parts: Vec<String> = loss.into_iter().chain(self.last_event.clone()).collect();
        parts.join(", ")
    }
}

/// The counts of one stage.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) stage: String,
    n_runs: usize,
    n_done: usize,
    /// Updates that the stage may take.
    pub(super) total: u64,
    /// Updates made, found made, or not needed.
    position: u64,
    /// Updates made here.
    trained: u64,
    /// Last steps of the runs in progress.
    steps: BTreeMap<String, u64>,
    /// (seconds, updates made here) of the last while.
    window: VecDeque<(f64, u64)>,
}

impl Tally {
    pub(super) fn stage(&mut self, name: &str, n_runs: usize, n_updates: u64, secs: f64) {
        *self = Self { stage: name.to_owned(), n_runs, total: n_updates, ..Self::default() };
        self.window.push_back((secs, 0));
    }

    /// A run goes on from where it is; what it did before, since `origin`, counts as done but not as fast.
    pub(super) fn started(&mut self, now: &Now, origin: u64) {
        self.position += now.step.saturating_sub(origin);
        self.steps.insert(now.run.clone(), now.step);
    }

    pub(super) fn progress(&mut self, now: &Now, secs: f64) {
        let before = self.steps.insert(now.run.clone(), now.step).unwrap_or(now.step);
        let made = now.step.saturating_sub(before);
        self.position += made;
        self.trained += made;
        self.window.push_back((secs, self.trained));
        while self.window.len() > 2 && self.window[1].0 < secs - WINDOW_SECS {
            self.window.pop_front();
        }
    }

    pub(super) fn finished(&mut self, run: &str, skipped: u64) {
        self.steps.remove(run);
        self.position += skipped;
        self.n_done += 1;
    }

    /// Updates done, at most the total.
    pub(super) fn position(&self) -> u64 {
        self.position.min(self.total)
    }

    /// Updates per second of the last while; `None` before there is one.
    pub(super) fn rate(&self) -> Option<f64> {
        let (first, last) = (self.window.front()?, self.window.back()?);
        let (secs, made) = (last.0 - first.0, last.1 - first.1);
        (secs > 0.05 && made > 0).then(|| made as f64 / secs)
    }

    /// Share done, speed and time left. Runs may end before their horizon, so the time is an upper bound.
    pub(super) fn summary(&self) -> String {
        let mut parts = vec![format!("{} of {} runs", self.n_done, self.n_runs)];
        if let Some(rate) = self.rate() {
            parts.push(format!("{rate:.0} updates/s"));
            if self.total > 0 {
                let left = (self.total - self.position()) as f64 / rate;
                parts.push(format!("at most {} left", duration(left)));
            }
        }
        parts.join(", ")
    }

    /// Share done, in percent.
    pub(super) fn percent(&self) -> u64 {
        (self.position() * 100).checked_div(self.total).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(run: &str, step: u64) -> Now {
        Now { run: run.into(), step, horizon: 100, loss: f64::NAN, last_event: None }
    }

    #[test]
    fn speed_counts_only_what_is_done_now() {
        let mut t = Tally::default();
        t.stage("fit", 3, 300, 0.0);
        // One run is found finished, one goes on from step 40, one is a fork that begins at step 50.
        t.finished("a", 100);
        t.started(&now("b", 40), 0);
        t.started(&now("c", 50), 50);
        assert_eq!((t.position(), t.rate()), (140, None));
        t.progress(&now("b", 60), 1.0);
        t.progress(&now("c", 70), 2.0);
        assert_eq!((t.position(), t.rate()), (180, Some(20.0)));
        assert_eq!(t.summary(), "1 of 3 runs, 20 updates/s, at most 6 s left");
        // A run that ends early needs the rest of its updates no more.
        t.finished("b", 40);
        assert_eq!((t.position(), t.percent()), (220, 73));
    }

    #[test]
    fn speed_is_that_of_the_last_while() {
        let mut t = Tally::default();
        t.stage("fit", 1, 10_000, 0.0);
        t.started(&now("a", 0), 0);
        for s in 1..=100 {
            // Ten updates a second, then a hundred.
            let step = if s <= 50 { s * 10 } else { 500 + (s - 50) * 100 };
            t.progress(&now("a", step), s as f64);
        }
        assert_eq!(t.rate(), Some(100.0));
    }

    #[test]
    fn a_stage_of_unknown_length_has_no_end() {
        let mut t = Tally::default();
        t.stage("design", 0, 0, 0.0);
        t.started(&now("a", 0), 0);
        t.progress(&now("a", 10), 1.0);
        assert_eq!(t.summary(), "0 of 0 runs, 10 updates/s");
        assert_eq!(t.percent(), 0);
    }
}
