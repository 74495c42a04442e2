//! Vector-valued readings: their records in the log, and their columns in a segment.
//!
//! A record tagged 3 holds one reading: step u64, number of the name u32, type u8 (0 for f32, 1 for f64), number
//! of dimensions u32, dimensions u64, then the values in row-major order. In Parquet the values of f32 readings
//! are the list column `values`, those of f64 readings the list column `values_f64`; the other one is empty.

use crate::rows::Numbering;
use crate::tape::{Block, Sealed, Tape};
use crate::wire::{self, Cursor, Named};
use crate::{StoreError, table};
use ontogeny_core::Step;
use parquet::data_type::ByteArray;
use std::path::Path;
use table::Column;

const TENSOR: u8 = 3;

const SCHEMA: &str = "message tensors {
    required binary run (UTF8);
    required int64 step;
    required binary name (UTF8);
    required binary unit (UTF8);
    required group shape (LIST) { repeated group list { required int64 element; } }
    required group values (LIST) { repeated group list { required float element; } }
    required group values_f64 (LIST) { repeated group list { required double element; } }
}";

/// The values of a vector-valued reading, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorValues {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl TensorValues {
    /// The values in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F32(v) => v.iter().copied().map(f64::from).collect(),
            Self::F64(v) => v.clone(),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One vector-valued reading.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorReading {
    /// When.
    pub step: Step,
    /// Unit of the values.
    pub unit: String,
    /// Lengths of the axes; their product is the number of values.
    pub shape: Vec<usize>,
    /// The values.
    pub values: TensorValues,
}

/// One reading, with its name as a number.
#[derive(Debug)]
pub(crate) struct TensorRow {
    pub(crate) step: Step,
    pub(crate) number: u32,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: TensorValues,
}

/// Vector-valued readings in the order in which they were appended.
#[derive(Debug, Default)]
pub(crate) struct TensorBlock {
    names: Vec<Named>,
    pub(crate) rows: Vec<TensorRow>,
}

/// Borrowed values of either precision.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ValuesRef<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl ValuesRef<'_> {
    fn len(self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }
}

impl Tape<TensorBlock> {
    /// Appends a vector-valued reading.
    ///
    /// # Panics
    /// If the shape does not hold as many values as are given.
    pub(crate) fn append_values(
        &mut self,
        step: Step,
        name: &str,
        unit: &str,
        shape: &[usize],
        values: ValuesRef<'_>,
    ) -> Result<(), StoreError> {
        let n = values.len();
        assert!(
            n_values(shape) == Some(n),
            "reading {name} at step {step}: {n} values do not fit shape {shape:?}"
        );
        let number = self.number(name, unit)?;
        self.append(1, |out| put_tensor(out, step, number, shape, values))
    }
}

/// Writes one reading.
fn put_tensor(out: &mut Vec<u8>, step: Step, number: u32, shape: &[usize], values: ValuesRef<'_>) {
    out.push(TENSOR);
    out.extend_from_slice(&step.0.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.push(u8::from(matches!(values, ValuesRef::F64(_))));
    out.extend_from_slice(&(shape.len() as u32).to_le_bytes());
    for &d in shape {
        out.extend_from_slice(&(d as u64).to_le_bytes());
    }
    match values {
        ValuesRef::F32(v) => v.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        ValuesRef::F64(v) => v.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
    }
}

/// The number of values of a shape, if it can be counted.
pub(crate) fn n_values(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))
}

fn floats<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| from(b)).collect()
}

impl TensorBlock {
    fn take_tensor(&self, cursor: &mut Cursor<'_>) -> Option<TensorRow> {
        let (step, number, dtype) = (cursor.step()?, cursor.u32()?, cursor.u8()?);
        self.names.get(number as usize)?;
        let n_dims = cursor.u32()?;
        let mut shape = Vec::new();
        for _ in 0..n_dims {
            shape.push(cursor.u64()? as usize);
        }
        let n = n_values(&shape)?;
        let values = match dtype {
            0 => TensorValues::F32(floats(cursor.bytes(n.checked_mul(4)?)?, f32::from_le_bytes)),
            1 => TensorValues::F64(floats(cursor.bytes(n.checked_mul(8)?)?, f64::from_le_bytes)),
            _ => return None,
        };
        Some(TensorRow { step, number, shape, values })
    }
}

impl Block for TensorBlock {
    const KIND: &'static str = "tensors";
    const VERSION: u32 = 1;

    fn names(&self) -> &[Named] {
        &self.names
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn take_records(&mut self, payload: &[u8]) -> Option<()> {
        let mut cursor = Cursor(payload);
        while !cursor.is_empty() {
            match cursor.u8()? {
                wire::NAME => self.names.push(wire::take_name(&mut cursor)?),
                TENSOR => self.rows.push(self.take_tensor(&mut cursor)?),
                _ => return None,
            }
        }
        Some(())
    }

    fn put_records(&self, out: &mut Vec<u8>) {
        for (name, unit) in &self.names {
            wire::put_name(out, name, unit);
        }
        for row in &self.rows {
            let values = match &row.values {
                TensorValues::F32(v) => ValuesRef::F32(v),
                TensorValues::F64(v) => ValuesRef::F64(v),
            };
            put_tensor(out, row.step, row.number, &row.shape, values);
        }
    }

    fn cut(&mut self, last: Step) {
        self.rows.retain(|r| r.step <= last);
    }

    fn only(&mut self, rows: std::ops::Range<usize>) {
        self.rows.truncate(rows.end);
        self.rows.drain(..rows.start.min(self.rows.len()));
    }

    fn last_step(&self) -> Option<Step> {
        self.rows.iter().map(|r| r.step).max()
    }

    fn sealed(
        &self,
        path: &Path,
        run: &str,
        meta: &[(&str, String)],
    ) -> Result<Sealed, StoreError> {
        let text = |f: fn(&Named) -> &str| {
            let texts: Vec<ByteArray> = self.names.iter().map(|n| f(n).into()).collect();
            Column::Text(self.rows.iter().map(|r| texts[r.number as usize].clone()).collect())
        };
        let shape = |r: &TensorRow| r.shape.iter().map(|&d| (d as u64).cast_signed()).collect();
        let single = |r: &TensorRow| match &r.values {
            TensorValues::F32(v) => v.clone(),
            TensorValues::F64(_) => Vec::new(),
        };
        let double = |r: &TensorRow| match &r.values {
            TensorValues::F64(v) => v.clone(),
            TensorValues::F32(_) => Vec::new(),
        };
        let columns = [
            Column::Text(vec![ByteArray::from(run); self.len()]),
            Column::Int(self.rows.iter().map(|r| r.step.0.cast_signed()).collect()),
            text(|n| &n.0),
            text(|n| &n.1),
            Column::Ints(self.rows.iter().map(shape).collect()),
            Column::Floats(self.rows.iter().map(single).collect()),
            Column::Doubles(self.rows.iter().map(double).collect()),
        ];
        let parquet = table::encode(path, SCHEMA, meta, &columns)?.into();
        Ok(Sealed { parquet, index: None })
    }

    fn from_table(table: &table::Table) -> Result<Self, StoreError> {
        let steps = table.ints("step")?;
        let (names, units) = (table.texts("name")?, table.texts("unit")?);
        let shapes = table.int_lists("shape")?;
        let (single, double) = (table.float_lists("values")?, table.double_lists("values_f64")?);
        table.same_len(&[
            ("step", steps.len()),
            ("name", names.len()),
            ("unit", units.len()),
            ("shape", shapes.len()),
            ("values", single.len()),
            ("values_f64", double.len()),
        ])?;
        let mut numbering = Numbering::default();
        let mut rows = Vec::new();
        for (i, ((shape, single), double)) in shapes.into_iter().zip(single).zip(double).enumerate()
        {
            let (name, unit) = (table.text("name", &names[i])?, table.text("unit", &units[i])?);
            let values = if double.is_empty() {
                TensorValues::F32(single)
            } else {
                TensorValues::F64(double)
            };
            rows.push(TensorRow {
                step: Step(steps[i].cast_unsigned()),
                number: numbering.number(name, unit),
                shape: shape.into_iter().map(|d| d.cast_unsigned() as usize).collect(),
                values,
            });
        }
        Ok(Self { names: numbering.names, rows })
    }
}
