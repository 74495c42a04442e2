//! Follows a study on stderr: bars on a terminal, a plain line now and then elsewhere.

mod bars;
mod counter;
mod interrupt;
mod lines;
mod tally;

use bars::Bars;
pub(crate) use counter::Counter;
pub(crate) use interrupt::Interrupt;
use lines::Lines;
use ontogeny_core::{RunId, Step};
use ontogeny_lab::{Progress, Watch};
use ontogeny_store::Store;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tally::{Now, Tally};

/// Seconds between two looks at a replay, which reports every update.
const REPLAY_PAUSE_SECS: f64 = 0.03;

/// Where progress is shown.
#[derive(Debug)]
enum Screen {
    Bars(Bars),
    Lines(Lines),
    /// With `--json`, stderr is left to errors unless somebody is looking.
    Nowhere,
}

/// A [`Watch`] that shows where the work is and passes on a request to stop.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    store: &'a Store,
    interrupt: Interrupt,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tally: Tally,
    screen: Screen,
    /// Where the replay that is going on ends, and when it was last shown.
    replay: (u64, f64),
}

impl<'a> Follower<'a> {
    /// Follows work that is kept in `store`, and listens to Ctrl-C from now on.
    pub(crate) fn listen(store: &'a Store, json: bool) -> Result<Self, ctrlc::Error> {
        let (screen, interrupt) = if std::io::stderr().is_terminal() {
            let bars = Bars::new();
            let interrupt = Interrupt::listen(bars.notes())?;
            (Screen::Bars(bars), interrupt)
        } else if json {
            (Screen::Nowhere, Interrupt::listen(|_| {})?)
        } else {
            (Screen::Lines(Lines::default()), Interrupt::listen(lines::print)?)
        };
        let state = Mutex::new(State { tally: Tally::default(), screen, replay: (0, 0.0) });
        Ok(Self { store, interrupt, began: Instant::now(), state })
    }

    /// Takes the bars off the screen.
    pub(crate) fn clear(&self) {
        if let Screen::Bars(bars) = &mut self.state().screen {
            bars.clear();
        }
    }

    /// Seconds since the work began.
    pub(crate) fn secs(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not hide the progress of the others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step at which the run began: that of its fork, or 0.
    fn origin(&self, run: &RunId) -> u64 {
        let fork =
            self.store.run(run).ok().and_then(|r| r.manifest().fork.as_ref().map(|f| f.step.0));
        fork.unwrap_or(0)
    }
}

impl Watch for Follower<'_> {
    fn stage(&self, name: &str, n_runs: usize, n_updates: u64) {
        let secs = self.secs();
        let State { tally, screen, .. } = &mut *self.state();
        tally.stage(name, n_runs, n_updates, secs);
        match screen {
            Screen::Bars(bars) => bars.stage(tally),
            Screen::Lines(lines) => lines.stage(tally, secs),
            Screen::Nowhere => {}
        }
    }

    fn run_started(&self, at: &Progress<'_>) {
        let origin = self.origin(at.run);
        let State { tally, screen, .. } = &mut *self.state();
        tally.started(&Now::from(at), origin);
        if let Screen::Bars(bars) = screen {
            bars.run(tally, &Now::from(at));
        }
    }

    fn run_progress(&self, at: &Progress<'_>) {
        let secs = self.secs();
        let now = Now::from(at);
        let State { tally, screen, .. } = &mut *self.state();
        tally.progress(&now, secs);
        match screen {
            Screen::Bars(bars) => bars.run(tally, &now),
            Screen::Lines(lines) => lines.run(tally, &now, secs),
            Screen::Nowhere => {}
        }
    }

    fn run_finished(&self, run: &RunId, skipped: u64) {
        let secs = self.secs();
        let State { tally, screen, .. } = &mut *self.state();
        tally.finished(run.as_str(), skipped);
        match screen {
            Screen::Bars(bars) => bars.finished(tally, run.as_str()),
            Screen::Lines(lines) => lines.finished(tally, secs),
            Screen::Nowhere => {}
        }
    }

    fn replay_started(&self, run: &RunId, from: Step, to: Step) {
        let secs = self.secs();
        let name = format!("replay {run}");
        let now = Now::replay(run.as_str(), from.0, to.0);
        let State { tally, screen, replay } = &mut *self.state();
        *replay = (to.0, secs);
        tally.stage(&name, 1, to.0.saturating_sub(from.0), secs);
        tally.started(&now, from.0);
        match screen {
            Screen::Bars(bars) => {
                bars.stage(tally);
                bars.run(tally, &now);
            }
            Screen::Lines(lines) => lines.stage(tally, secs),
            Screen::Nowhere => {}
        }
    }

    fn replay_progress(&self, run: &RunId, at: Step) {
        let secs = self.secs();
        let State { tally, screen, replay } = &mut *self.state();
        if secs - replay.1 < REPLAY_PAUSE_SECS {
            return;
        }
        replay.1 = secs;
        let now = Now::replay(run.as_str(), at.0, replay.0);
        tally.progress(&now, secs);
        match screen {
            Screen::Bars(bars) => bars.run(tally, &now),
            Screen::Lines(lines) => lines.run(tally, &now, secs),
            Screen::Nowhere => {}
        }
    }

    fn replay_finished(&self, run: &RunId) {
        self.run_finished(run, 0);
    }

    fn note(&self, text: &str) {
        match &mut self.state().screen {
            Screen::Bars(bars) => bars.note(text),
            Screen::Lines(_) => lines::print(text),
            Screen::Nowhere => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_requested()
    }
}
