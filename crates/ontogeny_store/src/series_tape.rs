//! The rows of a run or a zoom, read as far as they are asked for.
//!
//! A [`SeriesTape`] is what a run consisted of at one moment: the indices of its segments, and the rows of its log.
//! Segments without an index, or whose index is damaged, are read whole when something of them is asked for. A segment
//! that was merged with others since then is found again in the file that has its rows, and gives what it gave.

use crate::StoreError;
use crate::index::{Index, Traced};
use crate::pyramid::keep_last;
use crate::rows::RowBlock;
use crate::segments::{self, SegmentId, Source};
use crate::single::Part;
use crate::tape::{self, Block, TornTail, read_segment};
use ontogeny_core::{Point, RunId, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A tape as it was at one moment.
#[derive(Debug)]
pub(crate) struct SeriesTape {
    dir: PathBuf,
    run: RunId,
    segments: Vec<Segment>,
    live: Loaded,
    torn: Option<TornTail>,
}

/// A sealed part of it.
#[derive(Debug)]
pub(crate) struct Segment {
    id: SegmentId,
    /// What was merged into it; none if it is one alone.
    sources: Vec<Source>,
    /// `None` if there is no index, or none that can be used.
    index: Option<Index>,
    /// Rows after this step are void: a later segment or the log says so.
    pub(crate) last: Step,
    whole: OnceLock<Loaded>,
}

/// Rows in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    block: RowBlock,
    /// Numbers of the rows by name; only made where many names are asked for.
    by_name: OnceLock<BTreeMap<String, Vec<u32>>>,
}

/// One reading of a series, whether or not it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When and what.
    pub point: Point,
    /// The segment that holds it, from 1; `None` if it is not sealed yet.
    pub segment: Option<u32>,
    /// How many rows of the segment, or of what is not sealed, arrived before it.
    pub row: u64,
    /// Which opening of the run's writer appended it, from 1 (openings that left nothing are not counted). 0 if it
    /// was sealed by a version that did not keep this.
    pub session: u32,
    /// Whether an earlier reading of the series is of a later step.
    pub is_late: bool,
    /// Whether it is what readers see: not replaced by a later reading of its step, nor void because the run went
    /// back to before it.
    pub counts: bool,
}

impl SeriesTape {
    /// Reads the log and the headers of the indices.
    pub(crate) fn open(dir: PathBuf, run: &RunId) -> Result<Self, StoreError> {
        let parts = tape::parts::<RowBlock>(&dir, run)?;
        let (live, live_cut) = parts.live.unwrap_or_default();
        let mut last = live_cut.unwrap_or(Step(u64::MAX));
        let mut segments = Vec::new();
        for &id in parts.sealed.iter().rev() {
            // A damaged index is as good as none: the segment has all of it, and `verify` tells.
            let index = Index::open(&id.path(&dir)).ok().flatten();
            let known = index.and_then(|i| Some((i.sources().ok()?, i)));
            let (segment, cut) = if let Some((sources, index)) = known {
                let cut = index.header.cut;
                (Segment { id, sources, index: Some(index), last, whole: OnceLock::new() }, cut)
            } else {
                let tape::Segment { block, cut, sources } = read_segment(&dir, run, id)?;
                let whole = OnceLock::from(Loaded::new(block));
                (Segment { id, sources, index: None, last, whole }, cut)
            };
            segments.push(segment);
            last = last.min(cut.unwrap_or(last));
        }
        segments.reverse();
        Ok(Self { dir, run: run.clone(), segments, live: Loaded::new(live), torn: parts.torn })
    }

    /// All rows of a series of a segment, also void ones, from the file with which it was merged; `None` if there is no
    /// such file.
    fn moved(&self, segment: &Segment, name: &str) -> Option<(String, Vec<Traced>)> {
        let new = segments::successor(&self.dir, segment.id).ok()??;
        let index = Index::open(&new.path(&self.dir)).ok()??;
        let rows = segments::within(new, &index.sources().ok()?, segment.id).rows;
        let Some(entry) = index.find(name).ok()? else { return Some(Default::default()) };
        let mut traced = index.traced(&entry).ok()?;
        traced.retain(|t| rows.contains(&t.row));
        for t in &mut traced {
            t.row -= rows.start;
        }
        Some((entry.unit, traced))
    }

    /// A series of a segment that cannot be read by its own index any more.
    pub(crate) fn part_without_index(
        &self,
        segment: &Segment,
        name: &str,
    ) -> Result<Option<Part<'_>>, StoreError> {
        if let Some((unit, traced)) = self.moved(segment, name) {
            let points = traced.into_iter().map(|t| t.point);
            let mut points: Vec<Point> = points.filter(|p| p.step <= segment.last).collect();
            keep_last(&mut points, |p| p.step);
            return Ok((!points.is_empty()).then_some(Part::Read { unit, points }));
        }
        // The segment tells what is wrong with it; if nothing is, it has the rows.
        Ok(self.whole(segment)?.part(name, segment.last))
    }

    pub(crate) fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// All rows, block by block, without those that are void.
    pub(crate) fn each_block(&self, mut take: impl FnMut(&RowBlock)) -> Result<(), StoreError> {
        for s in &self.segments {
            let mut block = read_segment::<RowBlock>(&self.dir, &self.run, s.id)?.block;
            if s.last < Step(u64::MAX) {
                block.cut(s.last);
            }
            take(&block);
        }
        take(&self.live.block);
        Ok(())
    }

    /// All rows of a segment, also void ones.
    pub(crate) fn whole<'a>(&self, segment: &'a Segment) -> Result<&'a Loaded, StoreError> {
        if segment.whole.get().is_none() {
            let block = read_segment(&self.dir, &self.run, segment.id)?.block;
            let _ = segment.whole.set(Loaded::new(block));
        }
        Ok(segment.whole.wait())
    }

    /// Names of the series that have a reading, sorted.
    pub(crate) fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        let (mut names, mut known) = (BTreeSet::new(), BTreeSet::new());
        for segment in &self.segments {
            // Segments mostly have the same names, all of which count unless the run went back.
            let hash = segment.index.as_ref().map(|i| i.header.names_hash);
            if segment.last == Step(u64::MAX) && hash.is_some_and(|h| !known.insert(h)) {
                continue;
            }
            if let Some(entries) = segment.index.as_ref().and_then(|i| i.entries().ok()) {
                let are_there = entries.into_iter().filter(|e| e.bin.first.step <= segment.last);
                names.extend(are_there.map(|e| e.name));
            } else {
                names.extend(self.whole(segment)?.names(segment.last));
            }
        }
        names.extend(self.live.names(Step(u64::MAX)));
        Ok(names)
    }

    /// Where a series is, in the order in which its readings arrived.
    pub(crate) fn parts(&self, name: &str) -> Result<Vec<Part<'_>>, StoreError> {
        let mut parts = Vec::new();
        for segment in &self.segments {
            let found = segment.index.as_ref().map(|index| (index, index.find(name)));
            match found {
                Some((index, Ok(Some(entry)))) => {
                    if entry.bin.first.step <= segment.last {
                        parts.push(Part::Sealed { tape: self, segment, index, entry });
                    }
                }
                Some((_, Ok(None))) => {}
                Some((_, Err(_))) => parts.extend(self.part_without_index(segment, name)?),
                None => parts.extend(self.whole(segment)?.part(name, segment.last)),
            }
        }
        parts.extend(self.live.part(name, Step(u64::MAX)));
        Ok(parts)
    }

    /// Adds where each series is.
    pub(crate) fn add_parts<'a>(
        &'a self,
        all: &mut BTreeMap<String, Vec<Part<'a>>>,
    ) -> Result<(), StoreError> {
        for segment in &self.segments {
            let entries = segment.index.as_ref().and_then(|i| Some((i, i.entries().ok()?)));
            if let Some((index, entries)) = entries {
                for entry in entries.into_iter().filter(|e| e.bin.first.step <= segment.last) {
                    let parts = all.entry(entry.name.clone()).or_default();
                    parts.push(Part::Sealed { tape: self, segment, index, entry });
                }
            } else {
                self.whole(segment)?.add_parts(all, segment.last);
            }
        }
        self.live.add_parts(all, Step(u64::MAX));
        Ok(())
    }

    /// Every reading of a series in the order in which they arrived, also those that do not count any more.
    pub(crate) fn readings(&self, name: &str) -> Result<Vec<Reading>, StoreError> {
        let mut readings = Vec::new();
        for segment in &self.segments {
            let traced = segment.index.as_ref().map(|index| {
                let entry = index.find(name)?;
                entry.map_or_else(|| Ok(Vec::new()), |e| index.traced(&e))
            });
            let traced = match traced {
                Some(Ok(traced)) => traced,
                Some(Err(_)) => match self.moved(segment, name) {
                    Some((_, traced)) => traced,
                    None => self.whole(segment)?.traced(name),
                },
                None => self.whole(segment)?.traced(name),
            };
            add_readings(&mut readings, traced, segment.last, |row| {
                let (number, row) = segments::locate(segment.id.first, &segment.sources, row);
                (Some(number), row)
            });
        }
        add_readings(&mut readings, self.live.traced(name), Step(u64::MAX), |row| (None, row));
        let mut counted = BTreeSet::new();
        for r in readings.iter_mut().rev().filter(|r| r.counts) {
            r.counts = counted.insert(r.point.step);
        }
        let mut latest = None;
        for r in &mut readings {
            r.is_late = latest.is_some_and(|l| r.point.step < l);
            latest = latest.max(Some(r.point.step));
        }
        Ok(readings)
    }
}

impl Loaded {
    fn new(block: RowBlock) -> Self {
        Self { block, by_name: OnceLock::new() }
    }

    fn by_name(&self) -> &BTreeMap<String, Vec<u32>> {
        self.by_name.get_or_init(|| {
            let mut rows = vec![Vec::new(); self.block.names().len()];
            for (i, &number) in self.block.numbers.iter().enumerate() {
                rows[number as usize].push(i as u32);
            }
            let names = self.block.names().iter().map(|n| n.0.clone());
            names.zip(rows).filter(|(_, rows)| !rows.is_empty()).collect()
        })
    }

    fn point(&self, row: usize) -> Point {
        Point { step: self.block.steps[row], value: self.block.values[row] }
    }

    /// Names that have a reading not after `last`.
    fn names(&self, last: Step) -> Vec<String> {
        let is_there = |rows: &[u32]| rows.iter().any(|&i| self.block.steps[i as usize] <= last);
        let names = self.by_name().iter().filter(|(_, rows)| is_there(rows));
        names.map(|(name, _)| name.clone()).collect()
    }

    /// Rows of a series in the order of arrival.
    fn rows(&self, name: &str) -> Vec<usize> {
        if let Some(by_name) = self.by_name.get() {
            let rows = by_name.get(name).into_iter().flatten();
            return rows.map(|&i| i as usize).collect();
        }
        let Some(number) = self.block.names().iter().position(|n| n.0 == name) else {
            return Vec::new();
        };
        (0..self.block.len()).filter(|&i| self.block.numbers[i] as usize == number).collect()
    }

    /// Readings of a series not after `last`; `None` if there are none.
    pub(crate) fn part<'a>(&self, name: &str, last: Step) -> Option<Part<'a>> {
        let points = self.rows(name).into_iter().map(|i| self.point(i));
        let mut points: Vec<Point> = points.filter(|p| p.step <= last).collect();
        keep_last(&mut points, |p| p.step);
        let (_, unit) = self.block.names().iter().find(|n| n.0 == name)?;
        (!points.is_empty()).then(|| Part::Read { unit: unit.clone(), points })
    }

    fn add_parts(&self, all: &mut BTreeMap<String, Vec<Part<'_>>>, last: Step) {
        let units: BTreeMap<&str, &str> =
            self.block.names().iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
        for (name, rows) in self.by_name() {
            let points = rows.iter().map(|&i| self.point(i as usize));
            let mut points: Vec<Point> = points.filter(|p| p.step <= last).collect();
            keep_last(&mut points, |p| p.step);
            if let (Some(unit), false) = (units.get(name.as_str()), points.is_empty()) {
                let unit = (*unit).to_owned();
                all.entry(name.clone()).or_default().push(Part::Read { unit, points });
            }
        }
    }

    fn traced(&self, name: &str) -> Vec<Traced> {
        let traced = |i: usize| Traced {
            point: self.point(i),
            row: i as u64,
            session: self.block.sessions[i],
        };
        self.rows(name).into_iter().map(traced).collect()
    }
}

fn add_readings(
    all: &mut Vec<Reading>,
    mut rows: Vec<Traced>,
    last: Step,
    place: impl Fn(u64) -> (Option<u32>, u64),
) {
    rows.sort_by_key(|r| r.row);
    all.extend(rows.into_iter().map(|Traced { point, row, session }| {
        let (segment, row) = place(row);
        let counts = point.step <= last;
        Reading { point, segment, row, session, is_late: false, counts }
    }));
}
