//! Reading everything once, to know that it can be read.

use crate::{Store, StoreError, TornTail};
use ontogeny_core::RunId;
use std::collections::BTreeSet;

/// What reading the whole store found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Runs that were read.
    pub n_runs: usize,
    /// Different chunks that were read and whose hash was checked.
    pub n_chunks: usize,
    /// Entries of the ledger.
    pub n_ledger_entries: u64,
    /// Everything that is not as it was written.
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

impl Store {
    /// Reads every run, event, checkpoint and chunk in use, and the ledger, and checks every checksum.
    ///
    /// # Errors
    /// Only if the folder of runs cannot be listed; everything else is a problem in the result.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        let mut found = Verification::default();
        let mut checked = BTreeSet::new();
        let listing = self.runs()?;
        found.problems.extend(listing.damaged.into_iter().map(|(_, e)| e));
        for manifest in listing.runs {
            match self.verify_run(&manifest.run, &mut checked) {
                Ok((problems, torn)) => {
                    found.problems.extend(problems);
                    found.torn_tails.extend(torn);
                }
                Err(e) => found.problems.push(e),
            }
            found.n_runs += 1;
        }
        found.n_chunks = checked.len();
        match self.ledger().verify() {
            Ok(n) => found.n_ledger_entries = n,
            Err(e) => found.problems.push(e),
        }
        Ok(found)
    }

    fn verify_run(
        &self,
        run: &RunId,
        checked: &mut BTreeSet<crate::chunks::ChunkId>,
    ) -> Result<(Vec<StoreError>, Vec<TornTail>), StoreError> {
        let reader = self.run(run)?;
        // If the logs cannot be read, that is among the problems.
        Ok((reader.problems(checked), reader.torn_tails().unwrap_or_default()))
    }
}
