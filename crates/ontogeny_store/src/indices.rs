//! Whether segments and their indices are as they were written, and making an index anew.

use crate::index::{self, Index, SortedRow};
use crate::rows::RowBlock;
use crate::segments::{self, SegmentId};
use crate::sorted_rows::{self, SortedRows};
use crate::table::{Input, Table};
use crate::tape::{self, Block, read_segment};
use crate::{Damage, StoreError, disk};
use ontogeny_core::{RunId, Step};
use std::path::{Path, PathBuf};

/// Reads everything once, and checks it. Segments that are sorted take little memory.
pub(crate) fn problems<B: Block>(dir: &Path, run: &RunId) -> Vec<StoreError> {
    let parts = match tape::parts::<B>(dir, run) {
        Ok(parts) => parts,
        Err(e) => return vec![e],
    };
    let problems = parts.sealed.into_iter().filter_map(|id| {
        let problem = problem_of::<B>(dir, run, id).err()?;
        // A writer may have merged it meanwhile, and read it for that.
        let is_gone = disk::size_bytes(&id.path(dir)).is_none();
        let is_moved = is_gone && matches!(segments::successor(dir, id), Ok(Some(_)));
        (!is_moved).then_some(problem)
    });
    problems.collect()
}

fn problem_of<B: Block>(dir: &Path, run: &RunId, id: SegmentId) -> Result<(), StoreError> {
    check::<B>(dir, run, id)?;
    problem_of_index::<B>(&id.path(dir))
}

/// Checks a segment.
fn check<B: Block>(dir: &Path, run: &RunId, id: SegmentId) -> Result<(), StoreError> {
    let path = id.path(dir);
    disk::check_sealed(&path)?.ok_or_else(|| segments::missing(dir, id.first))?;
    let table = sorted_rows::open_table(&path)?;
    let (_, _, sources) = tape::read_meta::<B>(&table, &path, run)?;
    if !table.has("row") {
        return read_segment::<B>(dir, run, id).map(drop);
    }
    let n_rows = table.n_rows();
    let is_sum = sources.is_empty()
        || sources.iter().try_fold(0_u64, |sum, s| sum.checked_add(s.rows)) == Some(n_rows);
    let is_whole = if id.is_merged {
        sources.len() as u64 == u64::from(id.last - id.first) + 1
    } else {
        sources.is_empty()
    };
    if !is_sum || !is_whole || n_rows > u64::from(u32::MAX) {
        return Err(table.damaged(Damage::Column { column: "row" }));
    }
    sorted_rows::check(table, n_rows).map(drop)
}

/// Checks the index of a segment, which was found whole.
fn problem_of_index<B: Block>(segment: &Path) -> Result<(), StoreError> {
    let path = index::path_of(segment);
    if disk::size_bytes(&path).is_none() {
        let table = sorted_rows::open_table(segment)?;
        if B::VERSION > 1 && table.has("row") {
            return Err(StoreError::damaged(&path, Damage::MissingIndex));
        }
        return Ok(());
    }
    Index::open(segment)?;
    let found = disk::read_if_there(&path)?.unwrap_or_default();
    if disk::is_vouched_for(segment, blake3::hash(&found))? {
        Ok(())
    } else {
        Err(StoreError::damaged(&path, Damage::Index))
    }
}

/// Makes the indices that are missing or damaged while their segments are whole, if `carry_out` is set, and gives their
/// paths, and what is wrong with segments. The caller holds the lock of the run.
pub(crate) fn mend(
    dir: &Path,
    run: &RunId,
    carry_out: bool,
) -> Result<(Vec<PathBuf>, Vec<StoreError>), StoreError> {
    let (mut made, mut damaged) = (Vec::new(), Vec::new());
    for id in segments::list(dir)?.ids {
        let segment = id.path(dir);
        if let Err(e) = check::<RowBlock>(dir, run, id) {
            damaged.push(e);
            continue;
        }
        if problem_of_index::<RowBlock>(&segment).is_ok() {
            continue;
        }
        let path = index::path_of(&segment);
        let table = sorted_rows::open_table(&segment)?;
        if table.has("row") {
            if carry_out {
                make(dir, run, id, table)?;
            }
        } else if carry_out {
            // What is not sorted has no index, so this one is not ours.
            segments::remove_file(&path)?;
        }
        made.push(path);
    }
    Ok((made, damaged))
}

/// Makes the index of a sorted segment anew.
fn make(dir: &Path, run: &RunId, id: SegmentId, table: Table) -> Result<(), StoreError> {
    let segment = id.path(dir);
    let Some(hash) = disk::check_sealed(&segment)? else { return Ok(()) };
    let (_, _, sources) = tape::read_meta::<RowBlock>(&table, &segment, run)?;
    let mut index = index::Builder::default();
    let mut rows = SortedRows::stream(table);
    while let Some(batch) = rows.next()? {
        for i in 0..batch.len() {
            let bad = |column| StoreError::damaged(&segment, Damage::Column { column });
            let name = batch.names[i].as_utf8().map_err(|_ignored| bad("name"))?;
            let unit = batch.units[i].as_utf8().map_err(|_ignored| bad("unit"))?;
            let (step, value) = (Step(batch.step(i)), batch.values[i]);
            index.push(SortedRow { name, unit, step, value });
            let session = batch.sessions[i].cast_unsigned() as u32;
            index.last_session = index.last_session.max(session);
        }
    }
    let index = index.finish(&segment, &Input::open(&segment)?, hash, &sources)?;
    disk::replace_beside(&segment, hash, &index::path_of(&segment), &index)
}
