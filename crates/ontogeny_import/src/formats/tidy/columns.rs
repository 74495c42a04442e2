//! Parquet, a few thousand rows at a time.

use super::rows::{Cell, Take};
use crate::input::Seekable;
use crate::recorder::{At, Recorder};
use crate::{ImportError, Input, Problem};
use parquet::basic::Type;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The beginning of a file.
pub(crate) const MAGIC: &[u8] = b"PAR1";
/// Rows that are held at a time.
const BATCH: usize = 4096;
/// Unpacked bytes of a column in one row group that are allowed.
const MAX_CHUNK: i64 = 2 << 30;

/// Values of one column in a batch of rows.
enum Batch {
    Int(Vec<i64>),
    Number(Vec<f64>),
    Text(Vec<ByteArray>),
    Bool(Vec<bool>),
}

/// One column being read.
struct Column {
    reader: ColumnReader,
    /// Definition level of a value that is there.
    full: i16,
    values: Batch,
    levels: Vec<i16>,
    /// Where the next value of the batch is.
    next: usize,
}

/// The columns of a file, as its footer names them; `None` if there is no such footer.
pub(crate) fn names(input: &Input) -> Option<Vec<String>> {
    fn of<R: ChunkReader + 'static>(chunks: R) -> Option<Vec<String>> {
        let file = guarded(|| SerializedFileReader::new(chunks)).ok()?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        Some(schema.columns().iter().map(|c| c.name().to_owned()).collect())
    }
    match input.seekable().ok()? {
        Seekable::Disk(file) => of(file),
        Seekable::Memory(bytes) => of(bytes),
    }
}

/// Reads all rows of a file.
pub(super) fn scan(
    input: &Input,
    out: &mut Recorder<'_>,
    take: &mut impl Take,
) -> Result<(), ImportError> {
    match input.seekable()? {
        Seekable::Disk(file) => scan_in(file, input, out, take),
        Seekable::Memory(bytes) => scan_in(bytes, input, out, take),
    }
}

/// Checks that a column chunk lies in the file and unpacks to something that can be meant.
fn check(chunk: &ColumnChunkMetaData, n_bytes: u64) -> Result<(), Problem> {
    let offsets = [Some(chunk.data_page_offset()), chunk.dictionary_page_offset()];
    let start = offsets.into_iter().flatten().min().unwrap_or(0);
    let size = u64::try_from(chunk.compressed_size());
    let (Ok(start), Ok(size)) = (u64::try_from(start), size) else {
        return Err(Problem::ParquetBroken);
    };
    let left = n_bytes.saturating_sub(start);
    if size > left {
        return Err(Problem::Length { claimed: size, limit: left });
    }
    let unpacked = chunk.uncompressed_size();
    if !(0..=MAX_CHUNK).contains(&unpacked) {
        let (claimed, limit) = (unpacked.max(0).unsigned_abs(), MAX_CHUNK.unsigned_abs());
        return Err(Problem::Length { claimed, limit });
    }
    Ok(())
}

/// Calls into the Parquet library, which is not proof against every contradiction in a file.
fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, Problem> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Problem::Parquet { source }),
        Err(_) => Err(Problem::ParquetBroken),
    }
}

fn scan_in<R: ChunkReader + 'static>(
    chunks: R,
    input: &Input,
    out: &mut Recorder<'_>,
    take: &mut impl Take,
) -> Result<(), ImportError> {
    let mut at = At { record: 1, offset: 0 };
    let n_bytes = input.n_bytes()?;
    let file =
        guarded(|| SerializedFileReader::new(chunks)).map_err(|p| out.error(input, at, p))?;
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    let is_flat = |i: usize| {
        let c = schema.column(i);
        c.path().parts().len() == 1 && c.max_rep_level() == 0 && c.physical_type() != Type::INT96
    };
    let (flat, rest): (Vec<usize>, Vec<usize>) =
        (0..schema.num_columns()).partition(|&i| is_flat(i));
    let names: Vec<String> = flat.iter().map(|&i| schema.column(i).name().to_owned()).collect();
    for i in rest {
        let name = schema.column(i).path().string();
        out.note(format!("column `{name}` is nested and was passed over"));
    }
    take.header(&names, at, input, out)?;
    for g in 0..file.num_row_groups() {
        let meta = file.metadata().row_group(g);
        at.offset = meta.columns().first().map_or(0, |c| c.data_page_offset().max(0) as u64);
        for &i in &flat {
            check(meta.column(i), n_bytes).map_err(|p| out.error(input, at, p))?;
        }
        let group = guarded(|| file.get_row_group(g)).map_err(|p| out.error(input, at, p))?;
        let mut columns = Vec::new();
        for &i in &flat {
            let full = schema.column(i).max_def_level();
            let reader =
                guarded(|| group.get_column_reader(i)).map_err(|p| out.error(input, at, p))?;
            let column = Column::new(reader, full).map_err(|()| {
                let column = schema.column(i).name().to_owned();
                out.error(input, at, Problem::ColumnType { column })
            })?;
            columns.push(column);
        }
        loop {
            let mut n = None;
            for column in &mut columns {
                let read = guarded(|| column.fill()).map_err(|p| out.error(input, at, p))?;
                // Columns of one group that differ in length contradict each other.
                if *n.get_or_insert(read) != read {
                    return Err(out.error(input, at, Problem::ParquetBroken));
                }
            }
            let n = n.unwrap_or(0);
            if n == 0 {
                break;
            }
            let mut nexts = vec![0; columns.len()];
            for row in 0..n {
                at.record += 1;
                let cells: Vec<Cell<'_>> = columns
                    .iter()
                    .zip(&mut nexts)
                    .map(|(column, next)| column.cell(row, next))
                    .collect();
                take.row(&cells, at, input, out)?;
            }
        }
    }
    Ok(())
}

impl Column {
    fn new(reader: ColumnReader, full: i16) -> Result<Self, ()> {
        let values = match &reader {
            ColumnReader::Int32ColumnReader(_) | ColumnReader::Int64ColumnReader(_) => {
                Batch::Int(Vec::new())
            }
            ColumnReader::FloatColumnReader(_) | ColumnReader::DoubleColumnReader(_) => {
                Batch::Number(Vec::new())
            }
            ColumnReader::ByteArrayColumnReader(_) => Batch::Text(Vec::new()),
            ColumnReader::BoolColumnReader(_) => Batch::Bool(Vec::new()),
            _ => return Err(()),
        };
        Ok(Self { reader, full, values, levels: Vec::new(), next: 0 })
    }

    /// Reads the next rows and says how many they are.
    fn fill(&mut self) -> Result<usize, ParquetError> {
        self.levels.clear();
        self.next = 0;
        let def = (self.full > 0).then_some(&mut self.levels);
        macro_rules! read {
            ($reader:expr, $values:expr) => {{
                $values.clear();
                let mut raw = Vec::new();
                let (n, _, _) = $reader.read_records(BATCH, def, None, &mut raw)?;
                for value in raw {
                    $values.push(value.into());
                }
                n
            }};
        }
        let n = match (&mut self.reader, &mut self.values) {
            (ColumnReader::Int32ColumnReader(r), Batch::Int(v)) => {
                read!(r, v)
            }
            (ColumnReader::Int64ColumnReader(r), Batch::Int(v)) => read!(r, v),
            (ColumnReader::FloatColumnReader(r), Batch::Number(v)) => read!(r, v),
            (ColumnReader::DoubleColumnReader(r), Batch::Number(v)) => read!(r, v),
            (ColumnReader::ByteArrayColumnReader(r), Batch::Text(v)) => read!(r, v),
            (ColumnReader::BoolColumnReader(r), Batch::Bool(v)) => read!(r, v),
            _ => 0,
        };
        Ok(n)
    }

    /// The cell of a row; rows are asked for in order, `next` counts the values that were there.
    fn cell(&self, row: usize, next: &mut usize) -> Cell<'_> {
        if self.full > 0 && self.levels.get(row) != Some(&self.full) {
            return Cell::Empty;
        }
        let i = *next;
        *next += 1;
        let cell = match &self.values {
            Batch::Int(v) => v.get(i).map(|n| Cell::Int(*n)),
            Batch::Number(v) => v.get(i).map(|v| Cell::Number(*v)),
            Batch::Text(v) => v.get(i).map(|t| match t.data() {
                [] => Cell::Empty,
                bytes => Cell::Bytes(bytes),
            }),
            Batch::Bool(v) => v.get(i).map(|b| Cell::Bool(*b)),
        };
        cell.unwrap_or(Cell::Empty)
    }
}
