//! Many small segments, which earlier versions never merged, become few.

use super::Migration;
use crate::StoreError;
use crate::merge::merge;
use crate::merging::{self, Size};
use crate::rows::RowBlock;
use crate::segments::SegmentId;
use crate::tape::{Block, Tape};
use ontogeny_core::RunId;
use std::path::{Path, PathBuf};

pub(crate) const MIGRATION: Migration =
    Migration { name: "few_segments", what: "merged with its neighbours", migrate };

fn migrate(dir: &Path, run: &RunId, carry_out: bool) -> Result<Vec<PathBuf>, StoreError> {
    let tapes = dir.join(RowBlock::KIND);
    let mut old = Vec::new();
    loop {
        let (ids, sizes): (Vec<SegmentId>, Vec<Size>) =
            merging::sizes(&tapes, run)?.into_iter().unzip();
        let Some(range) = merging::due(&sizes) else { return Ok(old) };
        let paths = ids[range.clone()].iter().map(|id| id.path(&tapes));
        if !carry_out {
            // What comes after the first merge depends on it.
            old.extend(paths);
            return Ok(old);
        }
        old.extend(paths);
        Tape::<RowBlock>::open(dir, run)?;
        merge(&tapes, run, &ids[range])?;
    }
}
