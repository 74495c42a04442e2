//! Whether segments and their indices are as they were written, and making an index anew.

use crate::index::{self, Index};
use crate::rows::RowBlock;
use crate::table::Table;
use crate::tape::{self, Block, read_segment, segment_path, segments};
use crate::{Damage, StoreError, disk};
use bytes::Bytes;
use ontogeny_core::RunId;
use std::path::{Path, PathBuf};

/// Reads everything once, and checks it. The segments are not all in memory at once.
pub(crate) fn problems<B: Block>(dir: &Path, run: &RunId) -> Vec<StoreError> {
    let parts = match tape::parts::<B>(dir, run) {
        Ok(parts) => parts,
        Err(e) => return vec![e],
    };
    let mut problems = Vec::new();
    for number in 1..=parts.n_sealed {
        match read_segment::<B>(dir, run, number) {
            Err(e) => problems.push(e),
            Ok(_) => problems.extend(problem_of_index::<B>(&segment_path(dir, number)).err()),
        }
    }
    problems
}

/// Checks the index of a segment, which was found whole.
fn problem_of_index<B: Block>(segment: &Path) -> Result<(), StoreError> {
    let path = index::path_of(segment);
    let Some(found) = disk::read_if_there(&path)? else {
        if needs_index::<B>(segment)? {
            return Err(StoreError::damaged(&path, Damage::MissingIndex));
        }
        return Ok(());
    };
    Index::open(segment)?;
    if disk::is_vouched_for(segment, blake3::hash(&found))? {
        Ok(())
    } else {
        Err(StoreError::damaged(&path, Damage::Index))
    }
}

/// Whether a segment was written with an index: by its version.
fn needs_index<B: Block>(segment: &Path) -> Result<bool, StoreError> {
    if B::VERSION < 2 {
        return Ok(false);
    }
    let Some(bytes) = disk::read_if_there(segment)? else { return Ok(false) };
    let table = Table::open(segment, bytes)?;
    let version = table.meta("ontogeny.format_version").and_then(|v| v.parse::<u32>().ok());
    Ok(version.is_some_and(|v| v >= 2))
}

/// Makes the indices that are missing or damaged while their segments are whole, if `carry_out` is set, and gives their
/// paths, and what is wrong with segments. The caller holds the lock of the run.
pub(crate) fn mend(
    dir: &Path,
    run: &RunId,
    carry_out: bool,
) -> Result<(Vec<PathBuf>, Vec<StoreError>), StoreError> {
    let (mut made, mut damaged) = (Vec::new(), Vec::new());
    for number in segments(dir)? {
        let segment = segment_path(dir, number);
        let block = match read_segment::<RowBlock>(dir, run, number) {
            Ok((block, _)) => block,
            Err(e) => {
                damaged.push(e);
                continue;
            }
        };
        if problem_of_index::<RowBlock>(&segment).is_ok() {
            continue;
        }
        let Some(bytes) = disk::read_sealed(&segment)? else { continue };
        let parquet = Bytes::from(bytes);
        let index = index::build(&segment, &parquet, &block, &block.order())?;
        let path = index::path_of(&segment);
        if carry_out {
            disk::replace_beside(&segment, &parquet, &path, &index)?;
        }
        made.push(path);
    }
    Ok((made, damaged))
}
