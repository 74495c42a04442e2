//! When segments are merged, and the thread that does it beside a writer.
//!
//! A series costs what the segments cost that it is in, so they must stay few. Neighbours of about one size are merged
//! once there are eight of them, as in a log-structured merge tree: a run of n rows has at most seven segments for each
//! power of eight, and a row is written again about log8(n) times.

use crate::index::Index;
use crate::merge::merge;
use crate::rows::RowBlock;
use crate::segments::{self, SegmentId};
use crate::tape;
use crate::{StoreError, mounts};
use ontogeny_core::{RunId, Step};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// So many segments of one size are merged.
const FAN_IN: usize = 8;
/// So many are merged at once, at most: of each some pages are in memory.
const MAX_AT_ONCE: usize = 32;
/// Rows of a segment, at most: its index counts them in 32 bits.
const MAX_ROWS: u64 = 1 << 31;

/// What decides whether a segment is merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rows: u64,
    pub(crate) last_step: Step,
    /// Rows of earlier segments after this step are void.
    pub(crate) cut: Option<Step>,
}

/// Stretches of segments none of which voids rows of another: what is merged is void as a whole or not at all, so that
/// what a bin holds does not change.
pub(crate) fn stretches(sizes: &[Size]) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut last_step = Step(0);
    for (i, size) in sizes.iter().enumerate() {
        match stretches.last_mut() {
            Some(stretch) if size.cut.is_none_or(|cut| cut >= last_step) => {
                stretch.end = i + 1;
                last_step = last_step.max(size.last_step);
            }
            _ => {
                stretches.push(i..i + 1);
                last_step = size.last_step;
            }
        }
    }
    stretches
}

/// The next segments to be merged; `None` if they are few enough.
pub(crate) fn due(sizes: &[Size]) -> Option<Range<usize>> {
    for stretch in stretches(sizes).into_iter().rev() {
        let mut end = stretch.end;
        let mut level = 0;
        // A small segment before a large one counts as one of that size: from right to left sizes do not decrease.
        for i in stretch.clone().rev() {
            let own = sizes[i].rows.max(1).ilog(FAN_IN as u64);
            if own > level {
                (level, end) = (own, i + 1);
            }
            let begins = i == stretch.start || sizes[i - 1].rows.max(1).ilog(FAN_IN as u64) > level;
            if begins && end - i >= FAN_IN {
                return Some(bounded(sizes, i..end)).filter(|r| r.len() >= FAN_IN);
            }
        }
    }
    None
}

/// The beginning of a stretch that can be merged at once.
pub(crate) fn bounded(sizes: &[Size], range: Range<usize>) -> Range<usize> {
    let mut rows = 0_u64;
    let fits = |i: &usize| {
        rows = rows.saturating_add(sizes[*i].rows);
        rows < MAX_ROWS
    };
    let n = range.clone().take(MAX_AT_ONCE).take_while(fits).count();
    range.start..range.start + n
}

/// What is known of a segment without reading it; `None` if it has no index.
fn size(dir: &Path, id: SegmentId) -> Result<Option<Size>, StoreError> {
    let index = Index::open(&id.path(dir))?;
    Ok(index.map(|i| Size {
        rows: i.header.n_rows,
        last_step: i.header.last_step,
        cut: i.header.cut,
    }))
}

/// Segments of a tape and their sizes. Where there is no index, the segment is read.
pub(crate) fn sizes(dir: &Path, run: &RunId) -> Result<Vec<(SegmentId, Size)>, StoreError> {
    let mut sizes = Vec::new();
    for id in segments::list(dir)?.ids {
        let known = size(dir, id).ok().flatten();
        let known = known.map_or_else(
            || {
                let found = tape::read_segment::<RowBlock>(dir, run, id)?;
                let last_step = tape::Block::last_step(&found.block).unwrap_or(Step(0));
                let rows = tape::Block::len(&found.block) as u64;
                Ok::<_, StoreError>(Size { rows, last_step, cut: found.cut })
            },
            Ok,
        )?;
        sizes.push((id, known));
    }
    Ok(sizes)
}

/// Merges what is due. What has no index stands in the way, and is left to `store migrate`.
fn merge_due(dir: &Path, run: &RunId) -> Result<(), StoreError> {
    loop {
        let ids = segments::list(dir)?.ids;
        if ids.len() < FAN_IN {
            return Ok(());
        }
        let mut sizes = Vec::with_capacity(ids.len());
        for &id in &ids {
            // A border on both sides: nothing is merged with it.
            let alone = Size { rows: MAX_ROWS, last_step: Step(u64::MAX), cut: Some(Step(0)) };
            sizes.push(size(dir, id)?.unwrap_or(alone));
        }
        let Some(range) = due(&sizes) else { return Ok(()) };
        merge(dir, run, &ids[range])?;
    }
}

/// Merges segments of a tape of rows by a thread of its own.
#[derive(Debug)]
pub(crate) struct Merger {
    dir: PathBuf,
    run: RunId,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    /// Something could not be read or written. Nothing is lost by leaving it, and the next writer tries again.
    is_off: bool,
}

impl Merger {
    pub(crate) fn new(dir: &Path, run: &RunId) -> Self {
        let is_off = mounts::of(dir).is_some();
        Self { dir: dir.to_path_buf(), run: run.clone(), thread: None, is_off }
    }

    /// Something was sealed: merges what is due, unless that is under way.
    pub(crate) fn look(&mut self, last_segment: u32) {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait();
        }
        if self.is_off || self.thread.is_some() || (last_segment as usize) < FAN_IN {
            return;
        }
        let (dir, run) = (self.dir.clone(), self.run.clone());
        let work = move || merge_due(&dir, &run);
        let started = std::thread::Builder::new().name("merging".to_owned()).spawn(work);
        // Without a thread segments stay as they are, which is no harm.
        self.thread = started.ok();
    }

    /// Waits for what is under way.
    pub(crate) fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.is_off |= !matches!(thread.join(), Ok(Ok(())));
        }
    }

    /// Merges all that is due.
    pub(crate) fn finish(&mut self, last_segment: u32) {
        self.wait();
        if !self.is_off && last_segment as usize >= FAN_IN {
            self.is_off = merge_due(&self.dir, &self.run).is_err();
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod policy {
    use super::*;
    use proptest::prelude::*;

    fn of_rows(rows: u64) -> Size {
        Size { rows, last_step: Step(0), cut: None }
    }

    /// Merges on paper: rows that were written again, and the most segments at any time.
    fn simulate(rows: impl IntoIterator<Item = u64>) -> (u64, usize, usize) {
        let (mut sizes, mut again, mut most) = (Vec::new(), 0, 0);
        for rows in rows {
            sizes.push(of_rows(rows));
            while let Some(range) = due(&sizes) {
                assert!(range.len() >= FAN_IN);
                let rows = sizes[range.clone()].iter().map(|s| s.rows).sum();
                again += rows;
                sizes.splice(range, [of_rows(rows)]);
            }
            most = most.max(sizes.len());
        }
        (again, most, sizes.len())
    }

    #[test]
    fn equal_segments_are_written_again_once_for_each_power_of_eight() {
        assert_eq!(simulate([1 << 20; 7]), (0, 7, 7));
        assert_eq!(simulate([1 << 20; 8]), (8 << 20, 7, 1));
        assert_eq!(simulate([1 << 20; 512]), ((512 * 3) << 20, 21, 1));
        let (again, most, _) = simulate(std::iter::repeat_n(1000, 4096));
        assert!(again <= 4096 * 1000 * 5, "{again}");
        assert!(most <= 35, "{most}");
    }

    #[test]
    fn what_voids_rows_of_another_is_not_merged_with_it() {
        let size =
            |last, cut: Option<u64>| Size { rows: 1, last_step: Step(last), cut: cut.map(Step) };
        let sizes =
            [size(5, None), size(9, None), size(12, Some(9)), size(8, Some(4)), size(9, None)];
        assert_eq!(stretches(&sizes), [0..3, 3..5]);
        let many: Vec<_> = (0..16).map(|i| size(i, (i == 10).then_some(3))).collect();
        assert_eq!(due(&many), Some(0..10));
        assert_eq!(due(&many[3..]), None);
    }

    proptest! {
        #[test]
        fn segments_stay_few_and_rows_are_seldom_written_again(rows in proptest::collection::vec(1..3_000_000_u64, 1..600), small in 1..30_u64) {
            // Large ones and tiny ones in any order.
            let rows: Vec<u64> = rows.iter().map(|r| if r % 3 == 0 { r % small + 1 } else { *r }).collect();
            let n: u64 = rows.iter().sum();
            let levels = n.ilog(8) as usize + 1;
            let (again, most, _) = simulate(rows);
            prop_assert!(most <= (FAN_IN - 1) * levels, "{most} segments of {n} rows");
            prop_assert!(again <= n * levels as u64 * FAN_IN as u64, "{again} of {n}");
        }
    }
}
