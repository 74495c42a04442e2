//! The index of a sealed segment of rows: where each series lies in it, and what it looks like from afar.
//!
//! `seg-N.idx` is made from `seg-N.parquet` alone and can be made again. All of it is checked by the line of
//! `seg-N.b3`; each part that is read alone has a CRC32C where it is referred to. So a series costs what is read of
//! it, however much else the segment holds. The layout is in `docs/store-format.md`.

use crate::pyramid::{BIN_BYTES, Bin, Growing};
use crate::rows::RowBlock;
use crate::segments::Source;
use crate::table::{self, Input, Table};
use crate::wire::{self, Cursor};
use crate::{Damage, StoreError, disk};
use bytes::Bytes;
use ontogeny_core::{Point, Step};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::file::reader::ChunkReader;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const MARKER: [u8; 4] = *b"ONTI";
/// Version of indices of merged segments; that of others is 1.
const FORMAT_VERSION: u32 = 2;
const HEADER_BYTES: usize = 128;
const SPAN_BYTES: usize = 16;
const SOURCE_BYTES: usize = 20;
/// Size from which a leaf of the directory is full.
const LEAF_BYTES: usize = 16 << 10;
/// Columns whose pages are referred to.
const COLUMNS: [&str; 4] = ["step", "value", "row", "session"];
const BYTES_PER_PAGE: usize = 16 + COLUMNS.len() * 16;

/// A row of a segment, in its order: by name, step and arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SortedRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) step: Step,
    pub(crate) value: f64,
}

/// A row of a segment with where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traced {
    pub(crate) point: Point,
    /// Its number in the order of arrival.
    pub(crate) row: u64,
    pub(crate) session: u32,
}

/// A stretch of the file.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    offset: u64,
    n_bytes: u32,
    crc: u32,
}

impl Span {
    /// Appends `part` to `out` and tells where it is.
    fn append(out: &mut Vec<u8>, part: &[u8]) -> Self {
        let (offset, n_bytes, crc) = (out.len() as u64, part.len() as u32, crc32c::crc32c(part));
        out.extend_from_slice(part);
        Self { offset, n_bytes, crc }
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.n_bytes.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { offset: cursor.u64()?, n_bytes: cursor.u32()?, crc: cursor.u32()? })
    }
}

/// What is known of the segment as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// BLAKE3 of the segment.
    segment: [u8; 32],
    /// Of its names and units: segments of one run mostly have the same.
    pub(crate) names_hash: [u8; 16],
    pub(crate) n_rows: u64,
    pub(crate) last_step: Step,
    /// Rows of earlier segments after this step are void.
    pub(crate) cut: Option<Step>,
    pub(crate) last_session: u32,
    n_names: u32,
    pages: Span,
    root: Span,
    /// Of a merged segment.
    sources: Option<Span>,
}

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + SPAN_BYTES);
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&(1 + u32::from(self.sources.is_some())).to_le_bytes());
        out.extend_from_slice(&self.segment);
        out.extend_from_slice(&self.names_hash);
        for n in [self.n_rows, self.last_step.0, self.cut.map_or(0, |s| s.0)] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for n in [u32::from(self.cut.is_some()), self.last_session, self.n_names] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        self.pages.put(&mut out);
        self.root.put(&mut out);
        if let Some(sources) = self.sources {
            sources.put(&mut out);
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The version first: of a later one nothing else is known.
    fn take(bytes: &[u8]) -> Option<Result<Self, u32>> {
        let mut cursor = Cursor(bytes);
        if cursor.bytes(4)? != MARKER {
            return None;
        }
        let version = cursor.u32()?;
        if version > FORMAT_VERSION {
            return Some(Err(version));
        }
        let n_bytes = HEADER_BYTES + if version > 1 { SPAN_BYTES } else { 0 };
        let (covered, crc) = bytes.get(..n_bytes)?.split_last_chunk::<4>()?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let segment = cursor.bytes(32)?.try_into().ok()?;
        let names_hash = cursor.bytes(16)?.try_into().ok()?;
        let (n_rows, last_step, cut) = (cursor.u64()?, cursor.step()?, cursor.step()?);
        let cut = (cursor.u32()? > 0).then_some(cut);
        let (last_session, n_names) = (cursor.u32()?, cursor.u32()?);
        let (pages, root) = (Span::take(&mut cursor)?, Span::take(&mut cursor)?);
        let sources = if version > 1 { Some(Span::take(&mut cursor)?) } else { None };
        Some(Ok(Self {
            segment,
            names_hash,
            n_rows,
            last_step,
            cut,
            last_session,
            n_names,
            pages,
            root,
            sources,
        }))
    }
}

/// A series in a segment.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) unit: String,
    first_row: u64,
    n_rows: u64,
    /// All of its steps.
    pub(crate) bin: Bin,
    levels: Vec<LevelPlace>,
}

#[derive(Debug, Clone, Copy)]
struct LevelPlace {
    k: u32,
    bins: Span,
}

impl Entry {
    /// The finest level that is kept of it.
    pub(crate) fn finest(&self) -> Option<u32> {
        self.levels.first().map(|l| l.k)
    }

    fn put(&self, out: &mut Vec<u8>) {
        wire::put_name(out, &self.name, &self.unit);
        out.extend_from_slice(&self.first_row.to_le_bytes());
        out.extend_from_slice(&self.n_rows.to_le_bytes());
        self.bin.put(out);
        out.extend_from_slice(&(self.levels.len() as u32).to_le_bytes());
        for level in &self.levels {
            out.extend_from_slice(&level.k.to_le_bytes());
            level.bins.put(out);
        }
    }

    fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        if cursor.u8()? != wire::NAME {
            return None;
        }
        let (name, unit) = wire::take_name(cursor)?;
        let (first_row, n_rows, bin) = (cursor.u64()?, cursor.u64()?, Bin::take(cursor)?);
        let mut levels = Vec::new();
        for _ in 0..cursor.u32()? {
            levels.push(LevelPlace { k: cursor.u32()?, bins: Span::take(cursor)? });
        }
        Some(Self { name, unit, first_row, n_rows, bin, levels })
    }
}

/// Makes the index of a segment, whose rows `block` holds and `order` sorts.
///
/// # Errors
/// If the segment is not one whose pages can be read one by one.
pub(crate) fn build(
    path: &Path,
    parquet: &Bytes,
    block: &RowBlock,
    order: &[u32],
) -> Result<Vec<u8>, StoreError> {
    let mut builder = Builder::default();
    for row in block.sorted(order) {
        builder.push(row);
    }
    builder.last_session = crate::tape::Block::last_session(block);
    builder.finish(path, &Input::Bytes(parquet.clone()), blake3::hash(parquet), &[])
}

/// An index as it grows: rows come sorted by name, step and arrival.
pub(crate) struct Builder {
    out: Vec<u8>,
    directory: Directory,
    names_hash: blake3::Hasher,
    first_steps: Vec<Step>,
    n_rows: u64,
    last_step: Step,
    pub(crate) last_session: u32,
    series: Option<GrowingSeries>,
}

struct GrowingSeries {
    name: String,
    unit: String,
    first_row: u64,
    readings: Growing,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            out: vec![0; HEADER_BYTES + SPAN_BYTES],
            directory: Directory::default(),
            names_hash: blake3::Hasher::new(),
            first_steps: Vec::new(),
            n_rows: 0,
            last_step: Step(0),
            last_session: 0,
            series: None,
        }
    }
}

impl Builder {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: SortedRow<'_>) {
        if self.n_rows.is_multiple_of(table::PAGE_ROWS as u64) {
            self.first_steps.push(row.step);
        }
        self.last_step = self.last_step.max(row.step);
        if self.series.as_ref().is_none_or(|s| s.name != row.name) {
            let (name, unit) = (row.name.to_owned(), row.unit.to_owned());
            let (first_row, readings) = (self.n_rows, Growing::default());
            let done = self.series.replace(GrowingSeries { name, unit, first_row, readings });
            self.add(done);
        }
        if let Some(series) = &mut self.series {
            series.readings.push(Point { step: row.step, value: row.value });
        }
        self.n_rows += 1;
    }

    fn add(&mut self, series: Option<GrowingSeries>) {
        let Some(GrowingSeries { name, unit, first_row, readings }) = series else { return };
        let n_rows = self.n_rows - first_row;
        let (Some(bin), levels) = readings.finish() else { return };
        let levels = levels.into_iter().map(|level| {
            let mut bins = Vec::with_capacity(BIN_BYTES * level.bins.len());
            level.bins.iter().for_each(|b| b.put(&mut bins));
            LevelPlace { k: level.k, bins: Span::append(&mut self.out, &bins) }
        });
        let levels = levels.collect();
        let mut named = Vec::new();
        wire::put_name(&mut named, &name, &unit);
        self.names_hash.update(&named);
        let entry = Entry { name, unit, first_row, n_rows, bin, levels };
        self.directory.add(&mut self.out, &entry);
    }

    /// The index of the segment at `path`, which `parquet` reads and whose hash is known. `sources` are the segments that
    /// were merged into it, if it is not one alone.
    ///
    /// # Errors
    /// If the segment is not one whose pages can be read one by one.
    pub(crate) fn finish(
        mut self,
        path: &Path,
        parquet: &Input,
        segment: blake3::Hash,
        sources: &[Source],
    ) -> Result<Vec<u8>, StoreError> {
        let done = self.series.take();
        self.add(done);
        self.directory.close_leaf(&mut self.out);
        let table = Table::open_with_pages(path, parquet.again(path)?)?;
        let pages = page_table(path, &table, parquet, &self.first_steps)?;
        let step = |key| table.meta(key).and_then(|v| v.parse().ok()).map(Step);
        let mut names_hash = [0; 16];
        names_hash.copy_from_slice(&self.names_hash.finalize().as_bytes()[..16]);
        let sources = (!sources.is_empty()).then(|| put_sources(sources));
        let header = Header {
            segment: *segment.as_bytes(),
            names_hash,
            n_rows: self.n_rows,
            last_step: self.last_step,
            cut: step("ontogeny.cut"),
            last_session: self.last_session,
            n_names: self.directory.n_names,
            root: Span::append(&mut self.out, &self.directory.root),
            pages: Span::append(&mut self.out, &pages),
            sources: sources.map(|sources| Span::append(&mut self.out, &sources)),
        };
        let header = header.bytes();
        self.out[..header.len()].copy_from_slice(&header);
        Ok(self.out)
    }
}

fn put_sources(sources: &[Source]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SOURCE_BYTES * sources.len());
    for source in sources {
        out.extend_from_slice(&source.rows.to_le_bytes());
        out.extend_from_slice(&u32::from(source.cut.is_some()).to_le_bytes());
        out.extend_from_slice(&source.cut.unwrap_or(0).to_le_bytes());
    }
    out
}

fn take_sources(bytes: &[u8]) -> Option<Vec<Source>> {
    let (mut cursor, mut sources) = (Cursor(bytes), Vec::new());
    while !cursor.is_empty() {
        let (rows, has_cut, cut) = (cursor.u64()?, cursor.u32()?, cursor.u64()?);
        sources.push(Source { rows, cut: (has_cut > 0).then_some(cut) });
    }
    Some(sources)
}

/// Where the pages are, what they are checked by, and the step of their first row.
fn page_table(
    path: &Path,
    table: &Table,
    parquet: &Input,
    first_steps: &[Step],
) -> Result<Vec<u8>, StoreError> {
    let odd = |column| StoreError::damaged(path, Damage::Column { column });
    let places = COLUMNS.map(|c| table.pages(c));
    let mut out = Vec::new();
    for (i, first_step) in first_steps.iter().enumerate() {
        let first_row = (i * table::PAGE_ROWS) as u64;
        out.extend_from_slice(&first_row.to_le_bytes());
        out.extend_from_slice(&first_step.0.to_le_bytes());
        for (column, places) in COLUMNS.into_iter().zip(&places) {
            let place = places.get(i).filter(|p| p.first_row == first_row);
            let place = place.ok_or_else(|| odd(column))?;
            let page = ChunkReader::get_bytes(parquet, place.offset, place.n_bytes as usize);
            let crc = crc32c::crc32c(&page.map_err(|_ignored| odd(column))?);
            Span { offset: place.offset, n_bytes: place.n_bytes, crc }.put(&mut out);
        }
    }
    Ok(out)
}

/// The directory as it grows: leaves of entries, and a root that says where they begin.
#[derive(Debug, Default)]
struct Directory {
    leaf: Vec<u8>,
    first_of_leaf: String,
    root: Vec<u8>,
    n_names: u32,
}

impl Directory {
    fn add(&mut self, out: &mut Vec<u8>, entry: &Entry) {
        if self.leaf.is_empty() {
            self.first_of_leaf.clone_from(&entry.name);
        }
        entry.put(&mut self.leaf);
        self.n_names += 1;
        if self.leaf.len() >= LEAF_BYTES {
            self.close_leaf(out);
        }
    }

    fn close_leaf(&mut self, out: &mut Vec<u8>) {
        if !self.leaf.is_empty() {
            let leaf = Span::append(out, &std::mem::take(&mut self.leaf));
            wire::put_name(&mut self.root, &self.first_of_leaf, "");
            leaf.put(&mut self.root);
        }
    }
}

/// The index of a segment, read as far as it is needed.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    segment: PathBuf,
    pub(crate) header: Header,
    /// First name and place of each leaf.
    root: OnceLock<Vec<(String, Span)>>,
    pages: OnceLock<Vec<PageRow>>,
}

/// The pages that hold a stretch of rows.
#[derive(Debug)]
struct PageRow {
    first_row: u64,
    first_step: Step,
    columns: [Span; COLUMNS.len()],
}

/// Where the index of a segment is.
pub(crate) fn path_of(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

impl Index {
    /// Reads the header; `None` if the segment has no index.
    ///
    /// # Errors
    /// If it is damaged, or not that of the segment that is there.
    pub(crate) fn open(segment: &Path) -> Result<Option<Self>, StoreError> {
        let path = path_of(segment);
        let Some(mut file) = disk::Ranges::open(&path)? else { return Ok(None) };
        // Whatever follows a short header is longer than what a long one has more.
        let bytes = file.read(0, HEADER_BYTES + SPAN_BYTES)?;
        let header = bytes.and_then(|b| Header::take(&b)).ok_or_else(|| damaged(&path))?;
        let header = header.map_err(|found| {
            let (path, supported) = (path.clone(), FORMAT_VERSION);
            StoreError::Newer { path, found, supported }
        })?;
        let hash = blake3::Hash::from_bytes(header.segment);
        if !disk::is_vouched_for(segment, hash)? {
            return Err(damaged(&path));
        }
        let (root, pages) = (OnceLock::new(), OnceLock::new());
        Ok(Some(Self { path, segment: segment.to_path_buf(), header, root, pages }))
    }

    /// Reads parts of the index.
    fn parts(&self, spans: impl IntoIterator<Item = Span>) -> Result<Vec<Vec<u8>>, StoreError> {
        let gone = || damaged(&self.path);
        let mut file = disk::Ranges::open(&self.path)?.ok_or_else(gone)?;
        let read = |span: Span| {
            let bytes = file.read(span.offset, span.n_bytes as usize)?.ok_or_else(gone)?;
            if crc32c::crc32c(&bytes) == span.crc { Ok(bytes) } else { Err(gone()) }
        };
        spans.into_iter().map(read).collect()
    }

    fn part<T>(&self, span: Span, take: impl Fn(&[u8]) -> Option<T>) -> Result<T, StoreError> {
        let parts = self.parts([span])?;
        parts.first().and_then(|p| take(p)).ok_or_else(|| damaged(&self.path))
    }

    fn root(&self) -> Result<&[(String, Span)], StoreError> {
        if self.root.get().is_none() {
            let root = self.part(self.header.root, |bytes| {
                let (mut cursor, mut leaves) = (Cursor(bytes), Vec::new());
                while !cursor.is_empty() {
                    cursor.u8()?;
                    leaves.push((wire::take_name(&mut cursor)?.0, Span::take(&mut cursor)?));
                }
                Some(leaves)
            })?;
            let _ = self.root.set(root);
        }
        Ok(self.root.wait())
    }

    fn pages(&self) -> Result<&[PageRow], StoreError> {
        if self.pages.get().is_none() {
            let n_rows = self.header.n_rows;
            let pages = self.part(self.header.pages, |bytes| {
                let mut pages = Vec::with_capacity(bytes.len() / BYTES_PER_PAGE);
                for page in bytes.chunks(BYTES_PER_PAGE) {
                    let mut cursor = Cursor(page);
                    let (first_row, first_step) = (cursor.u64()?, cursor.step()?);
                    let mut columns = [Span::default(); COLUMNS.len()];
                    for column in &mut columns {
                        *column = Span::take(&mut cursor)?;
                    }
                    let is_next = first_row == (pages.len() * table::PAGE_ROWS) as u64;
                    pages.push((is_next && first_row < n_rows).then_some(PageRow {
                        first_row,
                        first_step,
                        columns,
                    })?);
                }
                Some(pages)
            })?;
            let _ = self.pages.set(pages);
        }
        Ok(self.pages.wait())
    }

    /// The segments that were merged into this one, in order; none if it is one alone.
    pub(crate) fn sources(&self) -> Result<Vec<Source>, StoreError> {
        self.header.sources.map_or_else(|| Ok(Vec::new()), |span| self.part(span, take_sources))
    }

    /// A series of the segment; `None` if it has none of that name.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        let root = self.root()?;
        let after = root.partition_point(|(first, _)| first.as_str() <= name);
        let Some(leaf) = after.checked_sub(1) else { return Ok(None) };
        let entries = self.part(root[leaf].1, take_leaf)?;
        Ok(entries.into_iter().find(|e| e.name == name))
    }

    /// All series of the segment, sorted by name.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for leaf in self.parts(self.root()?.iter().map(|l| l.1))? {
            entries.extend(take_leaf(&leaf).ok_or_else(|| damaged(&self.path))?);
        }
        Ok(entries)
    }

    /// Bins of level `k`, or of the nearest one that is kept, without empty ones.
    pub(crate) fn level(&self, entry: &Entry, k: u32) -> Result<Vec<Bin>, StoreError> {
        let kept = entry.levels.iter().find(|l| l.k >= k).or(entry.levels.last());
        let Some(kept) = kept else { return Ok(vec![entry.bin]) };
        self.part(kept.bins, |bytes| {
            let mut cursor = Cursor(bytes);
            let mut bins = Vec::with_capacity(bytes.len() / BIN_BYTES);
            while !cursor.is_empty() {
                bins.push(Bin::take(&mut cursor)?);
            }
            Some(bins)
        })
    }

    /// Rows of a series at `steps`, sorted by step and arrival.
    pub(crate) fn points(
        &self,
        entry: &Entry,
        steps: &RangeInclusive<Step>,
    ) -> Result<Vec<Point>, StoreError> {
        let mut points = Vec::new();
        self.each_page(entry, steps, 2, |rows, columns, n_rows| {
            let (step, value) = self.decoded(columns, n_rows)?;
            points.extend(
                step[rows.clone()]
                    .iter()
                    .zip(&value[rows])
                    .map(|(&step, &value)| Point { step: Step(step.cast_unsigned()), value }),
            );
            Ok(())
        })?;
        points.retain(|p| steps.contains(&p.step));
        Ok(points)
    }

    /// All rows of a series with where they come from, sorted by step and arrival.
    pub(crate) fn traced(&self, entry: &Entry) -> Result<Vec<Traced>, StoreError> {
        let mut traced = Vec::new();
        let all = Step(0)..=Step(u64::MAX);
        self.each_page(entry, &all, COLUMNS.len(), |rows, columns, n_rows| {
            let (step, value) = self.decoded(columns, n_rows)?;
            let ints = |i: usize| {
                let bytes = columns[i].clone();
                table::decode_page::<Int64Type>(&self.segment, bytes, COLUMNS[i], n_rows)
            };
            let (row, session) = (ints(2)?, ints(3)?);
            traced.extend(rows.map(|i| Traced {
                point: Point { step: Step(step[i].cast_unsigned()), value: value[i] },
                row: row[i].cast_unsigned(),
                session: session[i].cast_unsigned() as u32,
            }));
            Ok(())
        })?;
        Ok(traced)
    }

    fn decoded(
        &self,
        columns: &[Bytes],
        n_rows: usize,
    ) -> Result<(Vec<i64>, Vec<f64>), StoreError> {
        let path = &self.segment;
        let steps = table::decode_page::<Int64Type>(path, columns[0].clone(), COLUMNS[0], n_rows)?;
        let values =
            table::decode_page::<DoubleType>(path, columns[1].clone(), COLUMNS[1], n_rows)?;
        Ok((steps, values))
    }

    /// Reads the pages that have rows of a series at `steps`: which rows of the page are the series', its first
    /// columns, and its number of rows.
    fn each_page(
        &self,
        entry: &Entry,
        steps: &RangeInclusive<Step>,
        n_columns: usize,
        mut take: impl FnMut(std::ops::Range<usize>, &[Bytes], usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if steps.is_empty() {
            return Ok(());
        }
        let all = self.pages()?;
        let end = entry.first_row.saturating_add(entry.n_rows);
        // Pages after the first one of the series begin with a step of it, or are beyond it.
        let is_before = |p: &PageRow, step_is_before: bool| {
            p.first_row <= entry.first_row || p.first_row < end && step_is_before
        };
        let from = all.partition_point(|p| is_before(p, p.first_step < *steps.start()));
        let to = all.partition_point(|p| is_before(p, p.first_step <= *steps.end()));
        let chosen = &all[from.saturating_sub(1)..to];
        let columns: Vec<Vec<Bytes>> =
            (0..n_columns).map(|c| self.column(chosen, c)).collect::<Result<_, _>>()?;
        for (i, page) in chosen.iter().enumerate() {
            let rest = self.header.n_rows - page.first_row;
            let n_rows = rest.min(table::PAGE_ROWS as u64);
            let from = (entry.first_row.max(page.first_row) - page.first_row).min(n_rows);
            let to = end.min(page.first_row + n_rows).saturating_sub(page.first_row);
            let of_page: Vec<Bytes> = columns.iter().map(|c| c[i].clone()).collect();
            take(from as usize..to.max(from) as usize, &of_page, n_rows as usize)?;
        }
        Ok(())
    }

    /// Reads pages of one column, those that lie side by side at once.
    fn column(&self, pages: &[PageRow], column: usize) -> Result<Vec<Bytes>, StoreError> {
        let bad = || StoreError::damaged(&self.segment, Damage::Checksum);
        let mut file = disk::Ranges::open(&self.segment)?.ok_or_else(bad)?;
        let spans: Vec<Span> = pages.iter().map(|p| p.columns[column]).collect();
        let mut found = Vec::with_capacity(spans.len());
        for side_by_side in
            spans.chunk_by(|a, b| a.offset.checked_add(a.n_bytes.into()) == Some(b.offset))
        {
            let n_bytes: usize = side_by_side.iter().map(|s| s.n_bytes as usize).sum();
            let mut bytes =
                Bytes::from(file.read(side_by_side[0].offset, n_bytes)?.ok_or_else(bad)?);
            for span in side_by_side {
                let page = bytes.split_to(span.n_bytes as usize);
                if crc32c::crc32c(&page) != span.crc {
                    return Err(bad());
                }
                found.push(page);
            }
        }
        Ok(found)
    }
}

fn take_leaf(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (mut cursor, mut entries) = (Cursor(bytes), Vec::new());
    while !cursor.is_empty() {
        entries.push(Entry::take(&mut cursor)?);
    }
    Some(entries)
}

fn damaged(path: &Path) -> StoreError {
    StoreError::damaged(path, Damage::Index)
}
