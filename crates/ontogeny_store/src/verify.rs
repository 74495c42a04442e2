//! Reading everything once, to know that it can be read.

use crate::chunks::ChunkId;
use crate::{Damage, Store, StoreError, TornTail, runs_index};
use ontogeny_core::RunId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What reading the whole store found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Runs that were read.
    pub n_runs: usize,
    /// Different chunks that were read and whose hash was checked.
    pub n_chunks: usize,
    /// Studies whose files were read.
    pub n_studies: usize,
    /// Entries of the ledger.
    pub n_ledger_entries: u64,
    /// Everything that is not as it was written: that of runs by their names, then the index of runs, studies, the
    /// ledger.
    pub problems: Vec<StoreError>,
    /// Unfinished ends of logs, which are no damage: their runs were stopped, or are being written.
    pub torn_tails: Vec<TornTail>,
}

impl Verification {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What was found in one run.
#[derive(Debug, Default)]
struct OfRun {
    problems: Vec<StoreError>,
    torn_tails: Vec<TornTail>,
}

impl Store {
    /// Reads every run, zoom, event, checkpoint and chunk in use, the studies and the ledger, and checks every
    /// checksum.
    ///
    /// # Errors
    /// Only if the folder of runs cannot be listed; everything else is a problem in the result.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        self.verify_with(1, &|_, _| {})
    }

    /// As [`Store::verify`], by so many threads, one run each at a time. `seen` hears how many of how many runs are
    /// done. The result does not depend on the number of threads. Each may take 256 MiB of memory.
    ///
    /// # Errors
    /// As [`Store::verify`].
    pub fn verify_with(
        &self,
        n_threads: usize,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Verification, StoreError> {
        let listing = self.runs_themselves()?;
        let mut by_name: Vec<(String, OfRun)> = Vec::new();
        for (name, e) in listing.damaged {
            by_name.push((name, OfRun { problems: vec![e], ..OfRun::default() }));
        }
        let runs: Vec<RunId> = listing.runs.into_iter().map(|m| m.run).collect();
        let checked = Mutex::new(BTreeSet::new());
        let results = Mutex::new(Vec::with_capacity(runs.len()));
        let (next, n_done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let found = self.verify_run(run, &checked);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.push((run.to_string(), found));
                seen(n_done.fetch_add(1, Ordering::Relaxed) + 1, runs.len());
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..n_threads.min(runs.len()) {
                scope.spawn(work);
            }
            work();
        });
        by_name.extend(results.into_inner().unwrap_or_else(PoisonError::into_inner));
        by_name.sort_by(|a, b| a.0.cmp(&b.0));
        let mut found = Verification { n_runs: runs.len(), ..Verification::default() };
        for (_, of_run) in by_name {
            found.problems.extend(of_run.problems);
            found.torn_tails.extend(of_run.torn_tails);
        }
        found.n_chunks = checked.into_inner().unwrap_or_else(PoisonError::into_inner).len();
        if runs_index::is_broken(self.path()) {
            let file = runs_index::file(self.path());
            found.problems.push(StoreError::damaged(&file, Damage::RunsIndex));
        }
        self.verify_studies(&mut found);
        match self.ledger().verify() {
            Ok(n) => found.n_ledger_entries = n,
            Err(e) => found.problems.push(e),
        }
        Ok(found)
    }

    fn verify_run(&self, run: &RunId, checked: &Mutex<BTreeSet<ChunkId>>) -> OfRun {
        match self.run(run) {
            Err(e) => OfRun { problems: vec![e], ..OfRun::default() },
            // If the logs cannot be read, that is among the problems.
            Ok(reader) => OfRun {
                problems: reader.problems(checked),
                torn_tails: reader.torn_tails().unwrap_or_default(),
            },
        }
    }

    fn verify_studies(&self, found: &mut Verification) {
        let studies = match self.studies() {
            Ok(studies) => studies,
            Err(e) => return found.problems.push(e),
        };
        found.n_studies = studies.len();
        for id in studies {
            found.problems.extend(self.study(&id).problems());
        }
    }
}
