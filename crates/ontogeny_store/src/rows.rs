//! Metric rows: their records in the log, and their columns in a segment.
//!
//! A record tagged 2 holds the rows of one step: step u64, n_examples u64, flop f64, lr_time f64, wall_secs
//! f64, count u32, then for each row the number of its name u32 and its value f64. Parquet has signed integers
//! only in the form every reader knows, so step and n_examples are stored as their two's complement.

use crate::tape::{Block, Tape};
use crate::wire::{self, Cursor, Named};
use crate::{StoreError, table};
use ontogeny_core::{Clocks, Step};
use parquet::data_type::ByteArray;
use std::collections::BTreeMap;
use std::path::Path;
use table::Column;

const ROWS: u8 = 2;

const SCHEMA: &str = "message metrics {
    required binary run (UTF8);
    required int64 step;
    required int64 n_examples;
    required double flop;
    required double lr_time;
    required double wall_secs;
    required binary name (UTF8);
    required binary unit (UTF8);
    required double value;
}";

/// Metric rows in the order in which they were appended, column by column.
#[derive(Debug, Default)]
pub(crate) struct RowBlock {
    names: Vec<Named>,
    pub(crate) steps: Vec<Step>,
    pub(crate) clocks: Vec<Clocks>,
    pub(crate) numbers: Vec<u32>,
    pub(crate) values: Vec<f64>,
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
        self.steps[i] == self.steps[j] && bits(self.clocks[i]) == bits(self.clocks[j])
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
        }
        Some(())
    }
}

impl Block for RowBlock {
    const KIND: &'static str = "metrics";

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
                _ => return None,
            }
        }
        Some(())
    }

    fn put_records(&self, out: &mut Vec<u8>) {
        for (name, unit) in &self.names {
            wire::put_name(out, name, unit);
        }
        let mut from = 0;
        while from < self.len() {
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
        self.steps.retain(|&s| s <= last);
    }

    fn last_step(&self) -> Option<Step> {
        self.steps.iter().copied().max()
    }

    fn to_parquet(
        &self,
        path: &Path,
        run: &str,
        meta: &[(&str, String)],
    ) -> Result<Vec<u8>, StoreError> {
        let clock = |f: fn(&Clocks) -> f64| Column::Double(self.clocks.iter().map(f).collect());
        let names: Vec<ByteArray> = self.names.iter().map(|n| n.0.as_str().into()).collect();
        let units: Vec<ByteArray> = self.names.iter().map(|n| n.1.as_str().into()).collect();
        let spread = |texts: &[ByteArray]| {
            Column::Text(self.numbers.iter().map(|&n| texts[n as usize].clone()).collect())
        };
        let columns = [
            Column::Text(vec![ByteArray::from(run); self.len()]),
            Column::Int(self.steps.iter().map(|s| s.0.cast_signed()).collect()),
            Column::Int(self.clocks.iter().map(|c| c.n_examples.cast_signed()).collect()),
            clock(|c| c.flop),
            clock(|c| c.lr_time),
            clock(|c| c.wall_secs),
            spread(&names),
            spread(&units),
            Column::Double(self.values.clone()),
        ];
        table::encode(path, SCHEMA, meta, &columns)
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
        let mut numbering = Numbering::default();
        let numbers = (0..n)
            .map(|i| {
                if let Some(number) = numbering.guess(names[i].data(), units[i].data()) {
                    return Ok(number);
                }
                let (name, unit) = (table.text("name", &names[i])?, table.text("unit", &units[i])?);
                Ok(numbering.number(name, unit))
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
        Ok(Self { names: numbering.names, steps, clocks, numbers, values })
    }
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
