//! Writing one segment that holds the rows of several neighbours, in the memory of a few pages of each.
//!
//! The new file is whole and on disk under its own name before the old ones go: until then it does not count, from then
//! on they do not. It is read back and compared with what went in before it gets its name.

use crate::index::{self, SortedRow};
use crate::rows::{GROUP_ROWS, RowBlock, SCHEMA};
use crate::segments::{self, SegmentId, Source};
use crate::sorted_rows::{self, Batch, SortedRows};
use crate::table::{Groups, Input, Table};
use crate::tape::{self, Block};
use crate::{Damage, StoreError, disk};
use ontogeny_core::{RunId, Step};
use parquet::data_type::ByteArray;
use std::cmp::Ordering;
use std::io::{self, Write};
use std::path::Path;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// What is read next of one of the segments.
struct Head {
    rows: SortedRows,
    batch: Batch,
    at: usize,
    /// Rows of the segments before it.
    offset: i64,
}

impl Head {
    /// Whether there is another row.
    fn fill(&mut self) -> Result<bool, StoreError> {
        if self.at < self.batch.len() {
            return Ok(true);
        }
        let next = self.rows.next()?;
        self.at = 0;
        let is_more = next.is_some();
        self.batch = next.unwrap_or_default();
        Ok(is_more)
    }

    fn name(&self) -> (&[u8], &[u8]) {
        (self.batch.names[self.at].data(), self.batch.units[self.at].data())
    }

    fn compare(&self, other: &Self) -> Ordering {
        let steps = || self.batch.step(self.at).cmp(&other.batch.step(other.at));
        self.name().cmp(&other.name()).then_with(steps)
    }

    /// Where the rows end that come before the next one of `other`. If `is_first`, those of the same step do.
    fn end(&self, other: Option<&Self>, is_first: bool) -> usize {
        let (name, unit) = (&self.batch.names[self.at], &self.batch.units[self.at]);
        let names = self.batch.names[self.at..].iter().zip(&self.batch.units[self.at..]);
        // Names are sorted, and those of a series mostly fill the batch.
        let is_one = self.batch.names.last() == Some(name) && self.batch.units.last() == Some(unit);
        let n = if is_one {
            self.batch.len() - self.at
        } else {
            names.take_while(|(n, u)| *n == name && *u == unit).count()
        };
        let Some(other) = other.filter(|o| o.name() == self.name()) else { return self.at + n };
        let bound = other.batch.step(other.at);
        let comes = |step: &i64| {
            let step = step.cast_unsigned();
            step < bound || is_first && step == bound
        };
        self.at + self.batch.steps[self.at..self.at + n].partition_point(comes)
    }
}

/// The segment as it is written: beside its place, and hashed on the way.
struct Out {
    staged: disk::Staged,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.hasher.update(&self.buffer);
            self.staged.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Merges neighbouring segments of a tape of rows, in their order, and removes them. The caller is the only one who
/// writes the tape.
///
/// # Errors
/// If one of them is not as it was written, or the new one cannot be written; then they stay.
pub(crate) fn merge(dir: &Path, run: &RunId, ids: &[SegmentId]) -> Result<SegmentId, StoreError> {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return Err(segments::missing(dir, 1));
    };
    let new = SegmentId::merged(first.first, last.last);
    let path = new.path(dir);
    let mut heads = Vec::with_capacity(ids.len());
    let mut sources: Vec<Source> = Vec::new();
    for &id in ids {
        let before: u64 = sources.iter().map(|s: &Source| s.rows).sum();
        let (rows, own) = open(dir, run, id)?;
        let offset = before.cast_signed();
        heads.push(Head { rows, batch: Batch::default(), at: 0, offset });
        sources.extend(own);
    }
    let cut = sources.iter().filter_map(|s| s.cut).min();
    let encoded = serde_json::to_string(&sources)
        .map_err(|e| StoreError::Encode { path: path.clone(), source: Box::new(e) })?;
    let mut meta = vec![
        ("ontogeny.format_version", RowBlock::VERSION.to_string()),
        ("ontogeny.run", run.to_string()),
        ("ontogeny.segment", new.last.to_string()),
        ("ontogeny.sources", encoded),
    ];
    meta.extend(cut.map(|step| ("ontogeny.cut", step.to_string())));
    let staged = disk::stage_empty(&path)?;
    let out = Out { staged, hasher: blake3::Hasher::new(), buffer: Vec::new() };
    let mut writing = Writing {
        run: ByteArray::from(run.as_str()),
        path: &path,
        groups: Groups::begin(&path, SCHEMA, &meta, out)?,
        group: Batch::default(),
        index: index::Builder::default(),
        digest: 0,
        n_rows: 0,
    };
    writing.take_all(&mut heads)?;
    drop(heads);
    writing.finish(&sources, dir)?;
    segments::remove(dir, ids)?;
    Ok(new)
}

/// The sorted rows of a segment whose checksum fits, and what it was made of.
fn open(dir: &Path, run: &RunId, id: SegmentId) -> Result<(SortedRows, Vec<Source>), StoreError> {
    let path = id.path(dir);
    disk::check_sealed(&path)?.ok_or_else(|| segments::missing(dir, id.first))?;
    let table = sorted_rows::open_table(&path)?;
    let (_, cut, sources) = tape::read_meta::<RowBlock>(&table, &path, run)?;
    let n_rows = table.n_rows();
    let own = Source { rows: n_rows, cut: cut.map(|step| step.0) };
    let sources = if sources.is_empty() { vec![own] } else { sources };
    let sum = sources.iter().try_fold(0_u64, |sum, s| sum.checked_add(s.rows));
    if sum != Some(n_rows) || n_rows > u64::from(u32::MAX) {
        return Err(table.damaged(Damage::Column { column: "row" }));
    }
    let rows = if table.has("row") {
        SortedRows::stream(table)
    } else {
        SortedRows::block(tape::read_segment::<RowBlock>(dir, run, id)?.block)
    };
    Ok((rows, sources))
}

/// A merged segment as it grows.
struct Writing<'a> {
    run: ByteArray,
    path: &'a Path,
    groups: Groups<Out>,
    /// Rows that are not written yet.
    group: Batch,
    index: index::Builder,
    /// Of all rows, whatever their order.
    digest: u64,
    n_rows: u64,
}

impl Writing<'_> {
    /// Takes all rows in the order of name, unit, step and segment.
    fn take_all(&mut self, heads: &mut [Head]) -> Result<(), StoreError> {
        loop {
            let mut least: Option<usize> = None;
            let mut second: Option<usize> = None;
            for i in 0..heads.len() {
                if !heads[i].fill()? {
                    continue;
                }
                let is_less = |than: usize| heads[i].compare(&heads[than]) == Ordering::Less;
                match (least, second) {
                    (None, _) => least = Some(i),
                    (Some(l), _) if is_less(l) => (least, second) = (Some(i), Some(l)),
                    (Some(_), Some(s)) if !is_less(s) => {}
                    _ => second = Some(i),
                }
            }
            let Some(at) = least else { break };
            let head = &heads[at];
            let end = head.end(second.map(|s| &heads[s]), second.is_none_or(|s| at < s));
            let range = head.at..end;
            self.take(&head.batch, range, head.offset)?;
            heads[at].at = end;
        }
        self.put_group()
    }

    fn take(
        &mut self,
        batch: &Batch,
        range: std::ops::Range<usize>,
        offset: i64,
    ) -> Result<(), StoreError> {
        let text = |cell: &ByteArray, column| -> Result<String, StoreError> {
            let text = cell.as_utf8();
            let bad = || StoreError::damaged(self.path, Damage::Column { column });
            text.map(str::to_owned).map_err(|_ignored| bad())
        };
        let name = text(&batch.names[range.start], "name")?;
        let unit = text(&batch.units[range.start], "unit")?;
        self.digest = self.digest.wrapping_add(batch.digest(range.clone(), offset));
        self.n_rows += range.len() as u64;
        for i in range.clone() {
            let (step, value) = (Step(batch.step(i)), batch.values[i]);
            self.index.push(SortedRow { name: &name, unit: &unit, step, value });
            let session = batch.sessions[i].cast_unsigned() as u32;
            self.index.last_session = self.index.last_session.max(session);
        }
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from + GROUP_ROWS - self.group.len());
            self.group.extend(batch, from..to, offset);
            from = to;
            if self.group.len() == GROUP_ROWS {
                self.put_group()?;
            }
        }
        Ok(())
    }

    fn put_group(&mut self) -> Result<(), StoreError> {
        let group = std::mem::take(&mut self.group);
        if group.len() > 0 {
            self.groups.put(&group.into_columns(&self.run))?;
        }
        Ok(())
    }

    /// Reads back what was written, and gives it its name after what stands beside it.
    fn finish(self, sources: &[Source], dir: &Path) -> Result<(), StoreError> {
        let path = self.path;
        let mut out = self.groups.finish()?;
        out.flush().map_err(|e| StoreError::io("write", path, e))?;
        out.staged.sync()?;
        let hash = out.hasher.finalize();
        let input = Input::open(out.staged.tmp())?;
        let table = Table::of(path, input.again(path)?)?;
        if sorted_rows::check(table, self.n_rows)? != self.digest {
            return Err(StoreError::damaged(path, Damage::Checksum));
        }
        let index_path = index::path_of(path);
        let index = self.index.finish(path, &input, hash, sources)?;
        let sums = [disk::sum_line(path, hash), disk::sum_line(&index_path, blake3::hash(&index))];
        disk::replace(&disk::checksum_path(path), sums.concat().as_bytes())?;
        disk::replace(&index_path, &index)?;
        out.staged.name_it()?;
        disk::sync_dir(dir)
    }
}
