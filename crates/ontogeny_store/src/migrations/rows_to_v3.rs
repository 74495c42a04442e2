//! Segments of version 1, in the order of arrival, become sorted ones with an index. Neighbours become one.

use super::Migration;
use crate::StoreError;
use crate::merge::merge;
use crate::merging::{self, Size};
use crate::rows::RowBlock;
use crate::segments::SegmentId;
use crate::sorted_rows;
use crate::tape::{Block, Tape};
use ontogeny_core::RunId;
use std::path::{Path, PathBuf};

pub(crate) const MIGRATION: Migration =
    Migration { name: "rows_to_v3", what: "sorted and given an index", migrate };

fn migrate(dir: &Path, run: &RunId, carry_out: bool) -> Result<Vec<PathBuf>, StoreError> {
    let tapes = dir.join(RowBlock::KIND);
    let (ids, sizes): (Vec<SegmentId>, Vec<Size>) =
        merging::sizes(&tapes, run)?.into_iter().unzip();
    let mut is_old = Vec::with_capacity(ids.len());
    for id in &ids {
        is_old.push(!sorted_rows::open_table(&id.path(&tapes))?.has("row"));
    }
    let mut old = Vec::new();
    let mut merges = Vec::new();
    for stretch in merging::stretches(&sizes) {
        let mut at = stretch.start;
        while at < stretch.end {
            let end = (at..stretch.end).find(|&i| is_old[i] != is_old[at]).unwrap_or(stretch.end);
            let mut from = at;
            while is_old[at] && from < end {
                let part = merging::bounded(&sizes, from..end);
                let part = part.start..part.end.max(from + 1);
                old.extend(ids[part.clone()].iter().map(|id| id.path(&tapes)));
                from = part.end;
                merges.push(part);
            }
            at = end;
        }
    }
    if carry_out && !merges.is_empty() {
        // Also where there was no log: it says to earlier versions that they cannot read this.
        Tape::<RowBlock>::open(dir, run)?;
        for part in merges {
            merge(&tapes, run, &ids[part])?;
        }
    }
    Ok(old)
}
