//! Rows of a segment in the order of name, step and arrival, some pages at a time: so that what is done with all rows
//! takes the memory of some.

use crate::rows::RowBlock;
use crate::table::{Column, Input, PAGE_ROWS, Table};
use crate::{Damage, StoreError, disk};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use std::path::Path;

/// Some rows, column by column. Numbers are as Parquet has them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) steps: Vec<i64>,
    pub(crate) examples: Vec<i64>,
    pub(crate) flop: Vec<f64>,
    pub(crate) lr_time: Vec<f64>,
    pub(crate) wall_secs: Vec<f64>,
    pub(crate) names: Vec<ByteArray>,
    pub(crate) units: Vec<ByteArray>,
    pub(crate) values: Vec<f64>,
    /// Number in the order of arrival.
    pub(crate) rows: Vec<i64>,
    pub(crate) sessions: Vec<i64>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn step(&self, i: usize) -> u64 {
        self.steps[i].cast_unsigned()
    }

    /// Appends rows of another one, which arrived after `offset` others.
    pub(crate) fn extend(&mut self, other: &Self, range: std::ops::Range<usize>, offset: i64) {
        self.steps.extend_from_slice(&other.steps[range.clone()]);
        self.examples.extend_from_slice(&other.examples[range.clone()]);
        self.flop.extend_from_slice(&other.flop[range.clone()]);
        self.lr_time.extend_from_slice(&other.lr_time[range.clone()]);
        self.wall_secs.extend_from_slice(&other.wall_secs[range.clone()]);
        self.names.extend_from_slice(&other.names[range.clone()]);
        self.units.extend_from_slice(&other.units[range.clone()]);
        self.values.extend_from_slice(&other.values[range.clone()]);
        self.rows.extend(other.rows[range.clone()].iter().map(|row| row + offset));
        self.sessions.extend_from_slice(&other.sessions[range]);
    }

    /// A number that is that of the same rows in any order and in any batches: their sum, each by its cells.
    pub(crate) fn digest(&self, range: std::ops::Range<usize>, offset: i64) -> u64 {
        let mut name: Option<(&ByteArray, &ByteArray, u64)> = None;
        let mut sum = 0_u64;
        for i in range {
            let (own, unit) = (&self.names[i], &self.units[i]);
            let of_name = match name {
                Some((n, u, hash)) if n == own && u == unit => hash,
                _ => {
                    let hash = crc32c::crc32c_append(crc32c::crc32c(own.data()), unit.data());
                    u64::from(hash)
                }
            };
            name = Some((own, unit, of_name));
            let clocks = [self.flop[i], self.lr_time[i], self.wall_secs[i], self.values[i]];
            let ints = [self.steps[i], self.examples[i], self.rows[i] + offset, self.sessions[i]];
            let cells = clocks.map(f64::to_bits).into_iter().chain(ints.map(i64::cast_unsigned));
            let mix = |hash: u64, cell: u64| {
                (hash ^ cell).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
            };
            sum = sum.wrapping_add(cells.fold(of_name, mix));
        }
        sum
    }

    /// The columns of a segment, in the order of its schema.
    pub(crate) fn into_columns(self, run: &ByteArray) -> Vec<Column> {
        vec![
            Column::Text(vec![run.clone(); self.steps.len()]),
            Column::Int(self.steps),
            Column::Int(self.examples),
            Column::Double(self.flop),
            Column::Double(self.lr_time),
            Column::Double(self.wall_secs),
            Column::Text(self.names),
            Column::Text(self.units),
            Column::Double(self.values),
            Column::Int(self.rows),
            Column::Int(self.sessions),
        ]
    }

    /// Columns are of one length.
    fn check(&self, table: &Table) -> Result<(), StoreError> {
        table
            .same_len(&[
                ("step", self.steps.len()),
                ("n_examples", self.examples.len()),
                ("flop", self.flop.len()),
                ("lr_time", self.lr_time.len()),
                ("wall_secs", self.wall_secs.len()),
                ("name", self.names.len()),
                ("unit", self.units.len()),
                ("value", self.values.len()),
                ("row", self.rows.len()),
                ("session", self.sessions.len()),
            ])
            .map(drop)
    }
}

/// Where sorted rows come from.
pub(crate) enum SortedRows {
    /// A segment that is sorted, on disk.
    Stream(Box<Stream>),
    /// One that is not, in memory, with its order and how far it was read.
    Block(Box<RowBlock>, Vec<u32>, usize),
}

/// A sorted segment that is being read.
pub(crate) struct Stream {
    table: Table,
    group: usize,
    columns: Option<Columns>,
}

/// Columns of one group of rows.
struct Columns {
    ints: [ColumnReaderImpl<Int64Type>; 4],
    doubles: [ColumnReaderImpl<DoubleType>; 4],
    texts: [ColumnReaderImpl<ByteArrayType>; 2],
}

impl Stream {
    fn open_group(&self) -> Result<Columns, StoreError> {
        let ints = |name| self.table.column::<Int64Type>(self.group, name);
        let doubles = |name| self.table.column::<DoubleType>(self.group, name);
        let texts = |name| self.table.column::<ByteArrayType>(self.group, name);
        Ok(Columns {
            ints: [ints("step")?, ints("n_examples")?, ints("row")?, ints("session")?],
            doubles: [
                doubles("flop")?,
                doubles("lr_time")?,
                doubles("wall_secs")?,
                doubles("value")?,
            ],
            texts: [texts("name")?, texts("unit")?],
        })
    }

    fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        while self.group < self.table.n_groups() {
            if self.columns.is_none() {
                self.columns = Some(self.open_group()?);
            }
            let Some(Columns { ints, doubles, texts }) = &mut self.columns else { break };
            let table = &self.table;
            let mut int = |i: usize| table.next(&mut ints[i], PAGE_ROWS);
            let (steps, examples, rows, sessions) = (int(0)?, int(1)?, int(2)?, int(3)?);
            let mut double = |i: usize| table.next(&mut doubles[i], PAGE_ROWS);
            let (flop, lr_time, wall_secs, values) =
                (double(0)?, double(1)?, double(2)?, double(3)?);
            let mut text = |i: usize| table.next(&mut texts[i], PAGE_ROWS);
            let (names, units) = (text(0)?, text(1)?);
            let batch = Batch {
                steps,
                examples,
                flop,
                lr_time,
                wall_secs,
                names,
                units,
                values,
                rows,
                sessions,
            };
            batch.check(table)?;
            if batch.len() > 0 {
                return Ok(Some(batch));
            }
            self.columns = None;
            self.group += 1;
        }
        Ok(None)
    }
}

impl SortedRows {
    /// Reads a segment that is sorted, whose checksum the caller has checked.
    pub(crate) fn stream(table: Table) -> Self {
        Self::Stream(Box::new(Stream { table, group: 0, columns: None }))
    }

    pub(crate) fn block(block: RowBlock) -> Self {
        let order = block.order();
        Self::Block(Box::new(block), order, 0)
    }

    /// The next rows; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        match self {
            Self::Stream(stream) => stream.next(),
            Self::Block(block, order, at) => {
                let to = order.len().min(*at + PAGE_ROWS);
                let batch = block.batch(&order[*at..to]);
                *at = to;
                Ok((batch.len() > 0).then_some(batch))
            }
        }
    }
}

/// The table of a segment on disk, or wherever it is, without reading its rows.
pub(crate) fn open_table(path: &Path) -> Result<Table, StoreError> {
    let input = if crate::mounts::of(path).is_some() {
        Input::Bytes(disk::read(path)?.into())
    } else {
        Input::open(path)?
    };
    Table::of(path, input)
}

/// Reads all rows of a sorted segment once, to see that they are sorted and that each number of arrival is there once.
/// Gives their [`Batch::digest`].
pub(crate) fn check(table: Table, n_rows: u64) -> Result<u64, StoreError> {
    let damaged = |table: &Table, column| table.damaged(Damage::Column { column });
    let mut seen = vec![0_u64; n_rows.div_ceil(64) as usize];
    let (mut n, mut digest) = (0_u64, 0_u64);
    let mut stream = Stream { table, group: 0, columns: None };
    let mut last: Option<(ByteArray, ByteArray, u64, i64)> = None;
    while let Some(batch) = stream.next()? {
        for i in 0..batch.len() {
            let row = batch.rows[i].cast_unsigned();
            let word = seen.get_mut((row / 64) as usize).filter(|_| row < n_rows);
            let word = word.ok_or_else(|| damaged(&stream.table, "row"))?;
            if *word & (1 << (row % 64)) != 0 {
                return Err(damaged(&stream.table, "row"));
            }
            *word |= 1 << (row % 64);
            let is_same =
                last.as_ref().is_some_and(|l| l.0 == batch.names[i] && l.1 == batch.units[i]);
            let key = (batch.step(i), batch.rows[i]);
            let is_sorted = match &last {
                None => true,
                Some(l) if is_same => (l.2, l.3) < key,
                Some(l) => {
                    (l.0.data(), l.1.data()) < (batch.names[i].data(), batch.units[i].data())
                }
            };
            if !is_sorted {
                return Err(damaged(&stream.table, "name"));
            }
            if is_same {
                if let Some(l) = &mut last {
                    (l.2, l.3) = key;
                }
            } else {
                stream.table.text("name", &batch.names[i])?;
                stream.table.text("unit", &batch.units[i])?;
                last = Some((batch.names[i].clone(), batch.units[i].clone(), key.0, key.1));
            }
        }
        n += batch.len() as u64;
        digest = digest.wrapping_add(batch.digest(0..batch.len(), 0));
    }
    if n == n_rows { Ok(digest) } else { Err(damaged(&stream.table, "row")) }
}
