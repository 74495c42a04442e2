//! Metric rows: their records in the log, and their columns in a segment.
//!
//! A record tagged 2 holds the rows of one step: step u64, n_examples u64, flop f64, lr_time f64, wall_secs
//! f64, count u32, then for each row the number of its name u32 and its value f64. A record tagged 4 holds the
//! number u32 of the session that writes what follows. Parquet has signed integers only in the form every reader
//! knows, so step and n_examples are stored as their two's complement.
//!
//! A segment is sorted by name, step and arrival, so that a series alone is read from a few pages of it. The order of
//! arrival is kept as a column and comes back when the whole is read.

use crate::sorted_rows::Batch;
use crate::tape::{Block, Sealed, Tape};
use crate::wire::{self, Cursor, Named};
use crate::{Damage, StoreError, index, table};
use bytes::Bytes;
use ontogeny_core::{Clocks, Step};
use parquet::data_type::ByteArray;
use std::collections::BTreeMap;
use std::path::Path;

const ROWS: u8 = 2;
const SESSION: u8 = 4;
/// Rows of a group of a segment, which other tools take or leave as one.
pub(crate) const GROUP_ROWS: usize = 16 * table::PAGE_ROWS;

pub(crate) const SCHEMA: &str = "message metrics {
    required binary run (UTF8);
    required int64 step;
    required int64 n_examples;
    required double flop;
    required double lr_time;
    required double wall_secs;
    required binary name (UTF8);
    required binary unit (UTF8);
    required double value;
    required int64 row;
    required int64 session;
}";

/// Metric rows in the order in which they were appended, column by column.
#[derive(Debug, Default)]
pub(crate) struct RowBlock {
    names: Vec<Named>,
    pub(crate) steps: Vec<Step>,
    pub(crate) clocks: Vec<Clocks>,
    pub(crate) numbers: Vec<u32>,
    pub(crate) values: Vec<f64>,
    /// Which opening of the run's writer appended it, from 1; 0 where that was not kept.
    pub(crate) sessions: Vec<u32>,
    /// Session of the records that are read next.
    session: u32,
}

/// Writes the rows of one step; `rows` holds 12 bytes for each.
fn put_rows(out: &mut Vec<u8>, step: Step, clocks: Clocks, rows: &[u8]) {
    out.push(ROWS);
    out.extend_from_slice(&step.0.to_le_bytes());
    wire::put_clocks(out, clocks);
    out.extend_from_slice(&((rows.len() / 12) as u32).to_le_bytes());
    out.extend_from_slice(rows);
}

impl Tape<RowBlock> {
    /// Appends readings `(name, unit, value)` of one step: all of them, or none if a unit is not that of before.
    pub(crate) fn append_readings(
        &mut self,
        scratch: &mut Vec<u8>,
        step: Step,
        clocks: Clocks,
        readings: &[(&str, &str, f64)],
    ) -> Result<(), StoreError> {
        if readings.is_empty() {
            return Ok(());
        }
        scratch.clear();
        for (name, unit, value) in readings {
            let number = self.number(name, unit)?;
            scratch.extend_from_slice(&number.to_le_bytes());
            scratch.extend_from_slice(&value.to_le_bytes());
        }
        self.append(readings.len(), |out| put_rows(out, step, clocks, scratch))
    }
}

impl RowBlock {
    fn same_clocks(&self, i: usize, j: usize) -> bool {
        let bits = |c: Clocks| {
            (c.n_examples, c.flop.to_bits(), c.lr_time.to_bits(), c.wall_secs.to_bits())
        };
        self.steps[i] == self.steps[j]
            && self.sessions[i] == self.sessions[j]
            && bits(self.clocks[i]) == bits(self.clocks[j])
    }

    fn take_rows(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let (step, clocks) = (cursor.step()?, cursor.clocks()?);
        for _ in 0..cursor.u32()? {
            let number = cursor.u32()?;
            self.names.get(number as usize)?;
            self.values.push(cursor.f64()?);
            self.steps.push(step);
            self.clocks.push(clocks);
            self.numbers.push(number);
            self.sessions.push(self.session);
        }
        Some(())
    }

    /// Numbers of the rows, sorted by name, step and arrival.
    pub(crate) fn order(&self) -> Vec<u32> {
        let mut by_name: Vec<usize> = (0..self.names.len()).collect();
        by_name.sort_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        let mut rank = vec![0; self.names.len()];
        for (i, &number) in by_name.iter().enumerate() {
            rank[number] = i;
        }
        let mut ends = vec![0; self.names.len()];
        for &number in &self.numbers {
            ends[rank[number as usize]] += 1;
        }
        let mut end = 0;
        for n in &mut ends {
            (end, *n) = (end + *n, end);
        }
        // From here on `ends` are the places where the next row of a name goes.
        let mut order = vec![0; self.len()];
        for (i, &number) in self.numbers.iter().enumerate() {
            let place = &mut ends[rank[number as usize]];
            order[*place] = i as u32;
            *place += 1;
        }
        let mut from = 0;
        for to in ends {
            let of_name = &mut order[from..to];
            if !of_name.is_sorted_by_key(|&i| self.steps[i as usize]) {
                of_name.sort_by_key(|&i| self.steps[i as usize]);
            }
            from = to;
        }
        order
    }

    /// Brings the rows, which were sorted, into the order of arrival. `None` if `rows` is no such order.
    fn arranged(self, rows: &[i64]) -> Option<Self> {
        let n = self.len();
        let mut at = vec![u32::MAX; n];
        for (i, &row) in rows.iter().enumerate() {
            let place = at.get_mut(usize::try_from(row).ok()?)?;
            if *place != u32::MAX {
                return None;
            }
            *place = u32::try_from(i).ok()?;
        }
        Some(Self {
            steps: pick(&at, &self.steps),
            clocks: pick(&at, &self.clocks),
            numbers: pick(&at, &self.numbers),
            values: pick(&at, &self.values),
            sessions: pick(&at, &self.sessions),
            ..self
        })
    }

    /// The rows of these numbers as a segment has them.
    pub(crate) fn batch(&self, order: &[u32]) -> Batch {
        let at = || order.iter().map(|&i| i as usize);
        let name = |i: usize| &self.names[self.numbers[i] as usize];
        let clock = |f: fn(&Clocks) -> f64| at().map(|i| f(&self.clocks[i])).collect();
        let mut batch = Batch {
            steps: at().map(|i| self.steps[i].0.cast_signed()).collect(),
            examples: at().map(|i| self.clocks[i].n_examples.cast_signed()).collect(),
            flop: clock(|c| c.flop),
            lr_time: clock(|c| c.lr_time),
            wall_secs: clock(|c| c.wall_secs),
            values: pick(order, &self.values),
            rows: order.iter().map(|&i| i.into()).collect(),
            sessions: at().map(|i| self.sessions[i].into()).collect(),
            ..Batch::default()
        };
        let mut last: Option<(u32, ByteArray, ByteArray)> = None;
        for i in at() {
            let number = self.numbers[i];
            if last.as_ref().is_none_or(|l| l.0 != number) {
                last = Some((number, name(i).0.as_str().into(), name(i).1.as_str().into()));
            }
            if let Some((_, name, unit)) = &last {
                batch.names.push(name.clone());
                batch.units.push(unit.clone());
            }
        }
        batch
    }

    /// The rows of an index: names, and step and value by name.
    pub(crate) fn sorted(&self, order: &[u32]) -> impl Iterator<Item = index::SortedRow<'_>> {
        order.iter().map(|&i| {
            let i = i as usize;
            let (name, unit) = &self.names[self.numbers[i] as usize];
            index::SortedRow { name, unit, step: self.steps[i], value: self.values[i] }
        })
    }
}

impl Block for RowBlock {
    const KIND: &'static str = "metrics";
    const VERSION: u32 = 3;

    fn names(&self) -> &[Named] {
        &self.names
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn take_records(&mut self, payload: &[u8]) -> Option<()> {
        let mut cursor = Cursor(payload);
        while !cursor.is_empty() {
            match cursor.u8()? {
                wire::NAME => self.names.push(wire::take_name(&mut cursor)?),
                ROWS => self.take_rows(&mut cursor)?,
                SESSION => self.session = cursor.u32()?,
                _ => return None,
            }
        }
        Some(())
    }

    fn put_records(&self, out: &mut Vec<u8>) {
        for (name, unit) in &self.names {
            wire::put_name(out, name, unit);
        }
        let (mut from, mut session) = (0, 0);
        while from < self.len() {
            if self.sessions[from] != session {
                session = self.sessions[from];
                Self::put_session(out, session);
            }
            let to = (from..self.len()).find(|&i| !self.same_clocks(from, i)).unwrap_or(self.len());
            let rows: Vec<u8> = (from..to)
                .flat_map(|i| {
                    let value = self.values[i].to_le_bytes();
                    self.numbers[i].to_le_bytes().into_iter().chain(value)
                })
                .collect();
            put_rows(out, self.steps[from], self.clocks[from], &rows);
            from = to;
        }
    }

    fn cut(&mut self, last: Step) {
        let keep: Vec<bool> = self.steps.iter().map(|&s| s <= last).collect();
        let mut k = keep.iter();
        self.clocks.retain(|_| k.next() == Some(&true));
        k = keep.iter();
        self.numbers.retain(|_| k.next() == Some(&true));
        k = keep.iter();
        self.values.retain(|_| k.next() == Some(&true));
        k = keep.iter();
        self.sessions.retain(|_| k.next() == Some(&true));
        self.steps.retain(|&s| s <= last);
    }

    fn last_step(&self) -> Option<Step> {
        self.steps.iter().copied().max()
    }

    fn only(&mut self, rows: std::ops::Range<usize>) {
        let (from, to) = (rows.start.min(self.len()), rows.end.min(self.len()));
        only(&mut self.steps, from, to);
        only(&mut self.clocks, from, to);
        only(&mut self.numbers, from, to);
        only(&mut self.values, from, to);
        only(&mut self.sessions, from, to);
    }

    fn put_session(out: &mut Vec<u8>, session: u32) {
        out.push(SESSION);
        out.extend_from_slice(&session.to_le_bytes());
    }

    fn last_session(&self) -> u32 {
        self.sessions.iter().copied().max().unwrap_or(0)
    }

    fn sealed(
        &self,
        path: &Path,
        run: &str,
        meta: &[(&str, String)],
    ) -> Result<Sealed, StoreError> {
        let order = self.order();
        let run = ByteArray::from(run);
        let group = |g: usize| {
            let rows = &order[g * GROUP_ROWS..order.len().min((g + 1) * GROUP_ROWS)];
            self.batch(rows).into_columns(&run)
        };
        let n_groups = order.len().div_ceil(GROUP_ROWS);
        let parquet = Bytes::from(table::encode_groups(path, SCHEMA, meta, n_groups, group)?);
        let index = index::build(path, &parquet, self, &order)?;
        Ok(Sealed { parquet, index: Some(index) })
    }

    fn from_table(table: &table::Table) -> Result<Self, StoreError> {
        let (steps, examples) = (table.ints("step")?, table.ints("n_examples")?);
        let (flop, lr_time) = (table.doubles("flop")?, table.doubles("lr_time")?);
        let (wall, values) = (table.doubles("wall_secs")?, table.doubles("value")?);
        let (names, units) = (table.texts("name")?, table.texts("unit")?);
        let n = table.same_len(&[
            ("step", steps.len()),
            ("n_examples", examples.len()),
            ("flop", flop.len()),
            ("lr_time", lr_time.len()),
            ("wall_secs", wall.len()),
            ("name", names.len()),
            ("unit", units.len()),
            ("value", values.len()),
        ])?;
        let is_sorted = table.has("row");
        let sessions = if is_sorted {
            table.ints("session")?.into_iter().map(|s| s.cast_unsigned() as u32).collect()
        } else {
            vec![0; n]
        };
        table.same_len(&[("value", n), ("session", sessions.len())])?;
        let mut numbering = Numbering::default();
        let mut last = 0;
        let numbers = (0..n)
            .map(|i| {
                if i > 0 && names[i] == names[i - 1] && units[i] == units[i - 1] {
                    return Ok(last);
                }
                if let Some(number) = numbering.guess(names[i].data(), units[i].data()) {
                    last = number;
                    return Ok(number);
                }
                let (name, unit) = (table.text("name", &names[i])?, table.text("unit", &units[i])?);
                last = numbering.number(name, unit);
                Ok(last)
            })
            .collect::<Result<_, StoreError>>()?;
        let clocks = (0..n)
            .map(|i| Clocks {
                n_examples: examples[i].cast_unsigned(),
                flop: flop[i],
                lr_time: lr_time[i],
                wall_secs: wall[i],
            })
            .collect();
        let steps = steps.into_iter().map(|s| Step(s.cast_unsigned())).collect();
        let names = numbering.names;
        let block = Self { names, steps, clocks, numbers, values, sessions, session: 0 };
        if !is_sorted {
            return Ok(block);
        }
        let rows = table.ints("row")?;
        table.same_len(&[("value", n), ("row", rows.len())])?;
        block.arranged(&rows).ok_or_else(|| table.damaged(Damage::Column { column: "row" }))
    }
}

/// Keeps a stretch of a column.
fn only<T>(column: &mut Vec<T>, from: usize, to: usize) {
    column.truncate(to);
    column.drain(..from);
}

fn pick<T: Copy>(at: &[u32], column: &[T]) -> Vec<T> {
    at.iter().map(|&i| column[i as usize]).collect()
}

/// Gives numbers to names in the order in which they first appear.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    pub(crate) names: Vec<Named>,
    numbers: BTreeMap<String, BTreeMap<String, u32>>,
    /// The number after the last one: readings come in the same order at every step.
    next: usize,
}

impl Numbering {
    /// The number of a name, if it is the one that comes next.
    pub(crate) fn guess(&mut self, name: &[u8], unit: &[u8]) -> Option<u32> {
        let i = if self.next < self.names.len() { self.next } else { 0 };
        let (n, u) = self.names.get(i)?;
        (n.as_bytes() == name && u.as_bytes() == unit).then(|| {
            self.next = i + 1;
            i as u32
        })
    }

    pub(crate) fn number(&mut self, name: &str, unit: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name).and_then(|units| units.get(unit)) {
            self.next = number as usize + 1;
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push((name.to_owned(), unit.to_owned()));
        self.numbers.entry(name.to_owned()).or_default().insert(unit.to_owned(), number);
        number
    }
}
