//! Where writing, syncing and naming can fail, so that tests make each of them fail in turn. Outside of the tests of
//! this crate nothing of it is left.

use std::io::{self, Write};
use std::path::Path;

/// A place where the file system may fail.
#[cfg(not(test))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "in tests it fails")]
pub(crate) fn point(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Syncs.
#[cfg(not(test))]
#[inline]
pub(crate) fn sync(_path: &Path, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    work()
}

/// Writes everything. In tests it may fail half-way.
#[cfg(not(test))]
#[inline]
pub(crate) fn write_all(_path: &Path, file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

#[cfg(test)]
pub(crate) use tests::{point, sync, write_all};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OwnedTensor, RunWriter, Store, StoreError};
    use ontogeny_core::{
        Censoring, Clocks, Event, FixedClock, LedgerBody, RunId, RunManifest, RunStatus, Seeds,
        Step, Versions, ZoomId, ZoomManifest,
    };
    use std::collections::BTreeSet;
    use std::path::PathBuf;
    use std::sync::{Mutex, PoisonError};

    /// Which point below a folder fails.
    #[derive(Debug)]
    struct Plan {
        below: PathBuf,
        fails_at: u64,
        /// Whether everything after it fails as well.
        stays: bool,
        n_seen: u64,
    }

    static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
    /// Tests that make things fail take turns.
    static TURN: Mutex<()> = Mutex::new(());

    fn plan(new: Option<Plan>) -> Option<Plan> {
        std::mem::replace(&mut PLAN.lock().unwrap_or_else(PoisonError::into_inner), new)
    }

    /// Whether this is a point of the plan, and whether it fails.
    fn is_planned(path: &Path) -> io::Result<bool> {
        let mut plan = PLAN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = plan.as_mut().filter(|p| path.starts_with(&p.below)) else {
            return Ok(false);
        };
        let n = plan.n_seen;
        plan.n_seen += 1;
        let fails = n == plan.fails_at || plan.stays && n > plan.fails_at;
        if fails { Err(io::Error::other("made to fail by a test")) } else { Ok(true) }
    }

    pub(crate) fn point(path: &Path) -> io::Result<()> {
        is_planned(path).map(drop)
    }

    /// Where failures are planned nothing is synced: no power is lost here, and it takes most of the time.
    pub(crate) fn sync(path: &Path, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if is_planned(path)? { Ok(()) } else { work() }
    }

    pub(crate) fn write_all(path: &Path, file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        if let Err(e) = point(path) {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        file.write_all(bytes)
    }

    fn run() -> RunId {
        RunId::new("r").unwrap()
    }

    fn versions() -> Versions {
        Versions { ontogeny: String::new(), engine: String::new() }
    }

    fn manifest() -> RunManifest {
        RunManifest {
            format_version: RunManifest::FORMAT_VERSION,
            run: run(),
            study: None,
            role: "fit".to_owned(),
            cell: String::new(),
            config: serde_json::json!({}),
            seeds: Seeds::all(0),
            fork: None,
            rules: Vec::new(),
            versions: versions(),
            created_unix_secs: 0.0,
            step: Step(0),
            clocks: Clocks::default(),
            status: RunStatus::Open,
            unread: std::collections::BTreeMap::new(),
        }
    }

    fn zoom() -> ZoomManifest {
        ZoomManifest {
            format_version: ZoomManifest::FORMAT_VERSION,
            run: run(),
            id: ZoomId::new("z").unwrap(),
            from: Step(0),
            to: Step(1),
            every: 1,
            probes: Vec::new(),
            began_here: Vec::new(),
            has_checkpoints: true,
            origin: Step(0),
            n_hashes_equal: 0,
            equal_at: Step(0),
            n_readings_equal: 0,
            n_readings: 1,
            versions: versions(),
            created_unix_secs: 0.0,
            unread: std::collections::BTreeMap::new(),
        }
    }

    fn event() -> Event {
        Event {
            run: run(),
            name: "e".to_owned(),
            series: "x".to_owned(),
            when: Censoring::Right { horizon: Step(3) },
            known_at: Step(3),
            detector: "d".to_owned(),
            evidence: 0.5,
        }
    }

    /// A state that moves a little.
    fn state(t: u64) -> OwnedTensor {
        let value = |i: u16| (f32::from(i) * 0.7).sin() + 1e-4 * (t as f32 + f32::from(i)).cos();
        OwnedTensor::from_f32("w", &[600], &(0..600).map(value).collect::<Vec<_>>())
    }

    /// What the store has said it has.
    #[derive(Debug, Default)]
    struct Acked {
        run: bool,
        rows: u64,
        checkpoints: BTreeSet<u64>,
        events: bool,
        zoom: bool,
        ledger: u64,
    }

    /// Somebody at work, who goes on after a failure with the run resumed.
    struct Work {
        store: Store,
        writer: Option<RunWriter>,
        n_rows: u64,
        waiting: BTreeSet<u64>,
        acked: Acked,
        /// Whether a failure ends the work.
        gives_up: bool,
    }

    impl Work {
        /// Tries; `None` once the work is given up.
        fn attempt(
            &mut self,
            what: impl FnOnce(&mut RunWriter, &mut Acked) -> Result<(), StoreError>,
        ) -> Option<()> {
            if self.writer.is_none() {
                self.writer = Some(self.begin()?);
            }
            let writer = self.writer.as_mut()?;
            if what(writer, &mut self.acked).is_err() {
                self.waiting.clear();
                self.writer = None;
                if self.gives_up {
                    return None;
                }
            }
            Some(())
        }

        fn begin(&mut self) -> Option<RunWriter> {
            for _ in 0..2 {
                let begun = match self.store.create_run(&manifest()) {
                    Err(StoreError::RunExists { .. }) => self.store.resume_run(&run()),
                    other => other,
                };
                match begun {
                    Ok(writer) => {
                        self.acked.run = true;
                        self.n_rows = rows(&self.store);
                        return Some(writer);
                    }
                    Err(_) if self.gives_up => return None,
                    Err(_) => {}
                }
            }
            panic!("a failure that does not stay keeps the run from being opened")
        }

        fn record(&mut self, n: u64) -> Option<()> {
            for _ in 0..n {
                self.attempt(|_, _| Ok(()))?;
                let t = self.n_rows;
                self.attempt(|w, _| {
                    w.append(Step(t), Clocks::default(), &[("x", "1", t as f64)])?;
                    w.append_tensor(Step(t), "v", "1", &[1], &[t as f32])
                })?;
                self.n_rows += u64::from(self.writer.is_some());
            }
            Some(())
        }

        fn sync(&mut self) -> Option<()> {
            self.attempt(|_, _| Ok(()))?;
            let (n, waiting) = (self.n_rows, std::mem::take(&mut self.waiting));
            self.attempt(|w, acked| {
                w.sync()?;
                acked.rows = n;
                acked.checkpoints.extend(waiting);
                Ok(())
            })
        }

        fn save(&mut self, later: bool) -> Option<()> {
            self.record(1)?;
            self.attempt(|_, _| Ok(()))?;
            let Some(t) = self.n_rows.checked_sub(1) else { return Some(()) };
            if later {
                self.waiting.insert(t);
                return self.attempt(|w, _| w.checkpoint_later(Step(t), vec![state(t)], t.into()));
            }
            let waiting = std::mem::take(&mut self.waiting);
            self.attempt(|w, acked| {
                w.checkpoint(Step(t), &[state(t).view()], t.into())?;
                acked.rows = t + 1;
                acked.checkpoints.extend(waiting);
                acked.checkpoints.insert(t);
                Ok(())
            })
        }

        fn go_back(&mut self, to: u64) -> Option<()> {
            self.attempt(|_, _| Ok(()))?;
            self.acked.rows = self.acked.rows.min(to + 1);
            self.acked.checkpoints.retain(|&t| t <= to);
            self.waiting.retain(|&t| t <= to);
            self.attempt(|w, _| w.truncate_after(Step(to)))?;
            if self.writer.is_some() {
                self.n_rows = self.n_rows.min(to + 1);
            }
            Some(())
        }

        fn look_closer(&mut self) -> Option<()> {
            let store = self.store.clone();
            self.attempt(|_, acked| {
                let mut z = store.begin_zoom(&run())?;
                z.append(Step(0), Clocks::default(), &[("closer", "1", 1.0)])?;
                z.checkpoint(Step(100), &[state(100).view()], 100.into())?;
                z.publish(&zoom())?;
                acked.zoom = true;
                Ok(())
            })
        }

        fn note(&mut self) -> Option<()> {
            let ledger = self.store.ledger();
            self.attempt(|_, acked| {
                let body = LedgerBody::Note { about: "r".to_owned(), text: String::new() };
                acked.ledger = ledger.append(body, &FixedClock(0.0))?.seq + 1;
                Ok(())
            })
        }

        fn all(&mut self) -> Option<()> {
            self.record(2)?;
            self.sync()?;
            self.note()?;
            self.save(false)?;
            (0..3).try_for_each(|_| self.save(true))?;
            self.sync()?;
            self.attempt(|w, _| w.seal())?;
            self.attempt(|w, acked| {
                w.write_events(&[event()])?;
                acked.events = true;
                Ok(())
            })?;
            self.attempt(|w, _| w.set_manifest(&manifest()))?;
            self.save(true)?;
            self.attempt(|w, _| w.set_manifest_later(&manifest()))?;
            self.look_closer()?;
            self.go_back(3)?;
            self.save(false)?;
            self.save(true)?;
            self.sync()?;
            self.note()?;
            self.attempt(|w, _| w.seal())?;
            // Enough segments to be merged.
            for _ in 0..7 {
                self.record(1)?;
                self.attempt(|w, _| w.seal())?;
            }
            self.attempt(|w, _| w.write_events(&[event()]))?;
            self.attempt(|w, _| {
                w.merger.wait();
                Ok(())
            })
        }
    }

    /// Rows go to two logs, one of which may be ahead after a failure: what it has too much is recorded again.
    fn rows(store: &Store) -> u64 {
        let reader = store.run(&run()).unwrap();
        let n = reader.recorded().unwrap().get("x").map_or(0, |s| s.points.len());
        n.min(reader.recorded_tensor("v").unwrap().len()) as u64
    }

    fn check(path: &Path, acked: &Acked) {
        let Ok(store) = Store::open(path) else {
            assert!(!acked.run, "the store is gone: {acked:?}");
            return;
        };
        let found = store.verify().unwrap();
        assert!(found.is_whole(), "{:?}", found.problems);
        assert!(found.n_ledger_entries >= acked.ledger, "{acked:?}");
        if !acked.run {
            return;
        }
        let reader = store.run(&run()).unwrap();
        let recorded = reader.recorded().unwrap();
        let points = recorded.get("x").map_or(&[][..], |s| &s.points);
        assert!(
            points.iter().enumerate().all(|(i, p)| (p.step.0, p.value) == (i as u64, i as f64))
        );
        assert!(points.len() as u64 >= acked.rows, "{} of {acked:?}", points.len());
        assert!(reader.recorded_tensor("v").unwrap().len() as u64 >= acked.rows, "{acked:?}");
        let steps: BTreeSet<u64> = reader.checkpoints().unwrap().iter().map(|s| s.0).collect();
        assert!(acked.checkpoints.is_subset(&steps), "{steps:?} of {acked:?}");
        for &t in &steps {
            assert_eq!(reader.checkpoint(Step(t)).unwrap().tensors, [state(t)]);
            assert!(points.len() as u64 > t, "a checkpoint without its rows");
        }
        assert!(!acked.events || reader.events().unwrap() == [event()]);
        if acked.zoom {
            assert_eq!(reader.checkpoint(Step(100)).unwrap().tensors, [state(100)]);
        }
        store.repair(true).unwrap();
        assert!(store.collect_garbage(&[], true).unwrap().is_removed);
        assert!(store.verify().unwrap().is_whole());
    }

    /// Fails at one point; says whether there was such a point.
    fn fail_at(fails_at: u64, stays: bool) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let below = dir.path().to_path_buf();
        plan(Some(Plan { below, fails_at, stays, n_seen: 0 }));
        let mut acked = Acked::default();
        let opened = Store::open_or_create(&path)
            .or_else(|e| if stays { Err(e) } else { Store::open_or_create(&path) });
        if let Ok(store) = opened {
            let (writer, waiting) = (None, BTreeSet::new());
            let mut work = Work { store, writer, n_rows: 0, waiting, acked, gives_up: stays };
            let _given_up = work.all();
            drop(work.writer.take());
            acked = work.acked;
        }
        let n_seen = plan(None).map_or(0, |p| p.n_seen);
        check(&path, &acked);
        n_seen > fails_at
    }

    /// Lets each point fail in turn, or one of so many; the first ones, where the run is made, in any case.
    fn fail_at_each(stays: bool, stride: u64) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut n = 0;
        while fail_at(n, stays) {
            n += if n < 20 { 1 } else { stride };
        }
        assert!(n > 100, "only {n} points");
    }

    #[test]
    fn a_failure_of_a_write_sync_or_rename_loses_nothing_that_was_acknowledged() {
        fail_at_each(false, 7);
    }

    #[test]
    fn a_disk_that_fails_for_good_loses_nothing_that_was_acknowledged() {
        fail_at_each(true, 7);
    }

    #[test]
    #[ignore = "slow: every point"]
    fn slow_a_failure_of_any_write_sync_or_rename_loses_nothing_that_was_acknowledged() {
        fail_at_each(false, 1);
    }

    #[test]
    #[ignore = "slow: every point"]
    fn slow_a_disk_that_fails_for_good_at_any_moment_loses_nothing_that_was_acknowledged() {
        fail_at_each(true, 1);
    }
}
