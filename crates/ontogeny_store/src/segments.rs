//! Which segments a folder has: single ones, and files that hold several neighbours merged.
//!
//! `seg-000007.parquet` is segment 7 as it was sealed, `seg-000001-000008.parquet` the rows of segments 1 to 8 in one file.
//! What lies in the range of another file is superseded: it counts no more, and is left only by a crash in between.

use crate::{Damage, StoreError, disk};
use serde::{Deserialize, Serialize};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file with one segment or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// Whether it was written anew from others.
    pub(crate) is_merged: bool,
}

impl SegmentId {
    pub(crate) fn sealed(number: u32) -> Self {
        Self { first: number, last: number, is_merged: false }
    }

    pub(crate) fn merged(first: u32, last: u32) -> Self {
        Self { first, last, is_merged: true }
    }

    fn stem(self) -> String {
        if self.is_merged {
            format!("seg-{:06}-{:06}", self.first, self.last)
        } else {
            format!("seg-{:06}", self.first)
        }
    }

    /// Where its Parquet file is.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.stem() + ".parquet")
    }

    fn of_stem(stem: &str) -> Option<Self> {
        let numbers = stem.strip_prefix("seg-")?;
        let Some((first, last)) = numbers.split_once('-') else {
            return numbers.parse().ok().map(Self::sealed);
        };
        let id = Self::merged(first.parse().ok()?, last.parse().ok()?);
        (id.first <= id.last).then_some(id)
    }

    /// Whether all of `other` is in it as well.
    pub(crate) fn covers(self, other: Self) -> bool {
        self != other
            && self.is_merged
            && self.first <= other.first
            && other.last <= self.last
            // Of two files with one range that were both merged there is but one.
            && !(other.is_merged && (self.first, self.last) == (other.first, other.last))
    }
}

/// One segment in a file that may hold several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) rows: u64,
    /// Rows of segments before it that are of later steps are void.
    pub(crate) cut: Option<u64>,
}

/// The number of the segment that a row of a file is of, and its number there.
pub(crate) fn locate(first: u32, sources: &[Source], row: u64) -> (u32, u64) {
    // The last of them has what is left, whatever the file says.
    let sources = sources.split_last().map_or(sources, |(_, before)| before);
    let (mut segment, mut row) = (first, row);
    for source in sources {
        if row < source.rows {
            break;
        }
        row -= source.rows;
        segment += 1;
    }
    (segment, row)
}

/// Where the rows of some segments are in a file that holds them and others.
#[derive(Debug)]
pub(crate) struct Within {
    /// Their numbers in the order of arrival.
    pub(crate) rows: Range<u64>,
    /// Rows of segments before them that are of later steps are void.
    pub(crate) cut: Option<u64>,
    /// What was merged into them before; none if they are one alone.
    pub(crate) sources: Vec<Source>,
}

/// Finds `id` in `file`, which covers it and was made of `sources`.
pub(crate) fn within(file: SegmentId, sources: &[Source], id: SegmentId) -> Within {
    let from = ((id.first - file.first) as usize).min(sources.len());
    let to = ((id.last - file.first) as usize + 1).min(sources.len());
    let n_rows = |sources: &[Source]| sources.iter().fold(0_u64, |n, s| n.saturating_add(s.rows));
    let start = n_rows(&sources[..from]);
    let own = &sources[from..to];
    Within {
        rows: start..start.saturating_add(n_rows(own)),
        cut: own.iter().filter_map(|s| s.cut).min(),
        sources: if id.is_merged { own.to_vec() } else { Vec::new() },
    }
}

/// Files of segments in a folder.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// Those that count, in order and without a gap.
    pub(crate) ids: Vec<SegmentId>,
    /// The first number that is missing before a later one.
    pub(crate) missing: Option<u32>,
    /// What a merged file supersedes.
    pub(crate) superseded: Vec<SegmentId>,
}

impl Listed {
    /// The number of the last segment, 0 if there is none.
    pub(crate) fn last(&self) -> u32 {
        self.ids.last().map_or(0, |id| id.last)
    }

    fn of(mut found: Vec<SegmentId>) -> Self {
        found.sort_by_key(|id| (id.first, std::cmp::Reverse((id.last, id.is_merged))));
        let mut listed = Self::default();
        for id in found {
            if listed.ids.last().is_some_and(|last| last.covers(id)) {
                listed.superseded.push(id);
                continue;
            }
            if id.first != listed.last() + 1 {
                listed.missing.get_or_insert(listed.last() + 1);
            }
            listed.ids.push(id);
        }
        listed
    }
}

fn ids(dir: &Path) -> Result<Vec<SegmentId>, StoreError> {
    let names = disk::names(dir)?;
    Ok(names.iter().filter_map(|n| SegmentId::of_stem(n.strip_suffix(".parquet")?)).collect())
}

/// Lists a folder. While somebody merges, a listing may show neither the new file nor an old one: then it is taken again.
pub(crate) fn list(dir: &Path) -> Result<Listed, StoreError> {
    let mut listed = Listed::of(ids(dir)?);
    for _ in 0..8 {
        if listed.missing.is_none() {
            break;
        }
        listed = Listed::of(ids(dir)?);
    }
    Ok(listed)
}

pub(crate) fn missing(dir: &Path, number: u32) -> StoreError {
    let path = SegmentId::sealed(number).path(dir);
    StoreError::damaged(&path, Damage::MissingSegment { number })
}

/// The file that now holds a segment which was there before.
pub(crate) fn successor(dir: &Path, id: SegmentId) -> Result<Option<SegmentId>, StoreError> {
    Ok(list(dir)?.ids.into_iter().find(|new| new.covers(id)))
}

/// Files that a crash between merging and tidying up has left: what is superseded, and what was put beside a merged file
/// that did not get its name.
pub(crate) fn leftovers(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let names = disk::names(dir)?;
    let superseded = list(dir)?.superseded;
    let is_left = |name: &String| {
        let (stem, ending) = name.split_once('.')?;
        let id = SegmentId::of_stem(stem)?;
        let is_orphan = id.is_merged
            && ending != "parquet"
            && names.binary_search(&format!("{stem}.parquet")).is_err();
        Some(superseded.contains(&id) || is_orphan)
    };
    let left = names.iter().filter(|n| is_left(n) == Some(true));
    Ok(left.map(|n| dir.join(n)).collect())
}

/// Removes the files of segments that are superseded, Parquet first: without it nobody asks for the others.
pub(crate) fn remove(dir: &Path, ids: &[SegmentId]) -> Result<(), StoreError> {
    for ending in ["parquet", "idx", "b3"] {
        for id in ids {
            remove_file(&id.path(dir).with_extension(ending))?;
        }
    }
    Ok(())
}

pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match crate::faults::point(path).and_then(|()| fs::remove_file(path)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|e| StoreError::io("remove", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stems: &[&str], counts: &[&str], missing: Option<u32>, superseded: usize) {
        let listed = Listed::of(stems.iter().filter_map(|s| SegmentId::of_stem(s)).collect());
        let found: Vec<String> = listed.ids.iter().map(|id| id.stem()).collect();
        assert_eq!(found, counts);
        assert_eq!((listed.missing, listed.superseded.len()), (missing, superseded));
    }

    #[test]
    fn what_is_merged_supersedes_what_it_was_made_of() {
        check(&["seg-000001", "seg-000002"], &["seg-000001", "seg-000002"], None, 0);
        check(&["seg-000002"], &["seg-000002"], Some(1), 0);
        check(
            &["seg-000001", "seg-000002", "seg-000001-000002", "seg-000003"],
            &["seg-000001-000002", "seg-000003"],
            None,
            2,
        );
        check(
            &["seg-000001-000002", "seg-000004"],
            &["seg-000001-000002", "seg-000004"],
            Some(3),
            0,
        );
        check(
            &["seg-000001-000008", "seg-000001-000002", "seg-000007"],
            &["seg-000001-000008"],
            None,
            2,
        );
        check(&["seg-000001-000001", "seg-000001"], &["seg-000001-000001"], None, 1);
        check(&["seg-000003-000002", "seg-x", "seg-1-2-3"], &[], None, 0);
    }

    #[test]
    fn a_row_is_found_in_the_segment_that_it_came_from() {
        let sources = [3, 0, 2].map(|rows| Source { rows, cut: None });
        let found: Vec<_> = (0..5).map(|row| locate(4, &sources, row)).collect();
        assert_eq!(found, [(4, 0), (4, 1), (4, 2), (6, 0), (6, 1)]);
    }
}
