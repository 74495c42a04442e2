//! Rows of a table, whether it is CSV or Parquet.

use super::columns;
use crate::recorder::{At, Recorder};
use crate::table::{self, Rows, separator};
use crate::{ImportError, Input, Problem};

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    /// Nothing.
    Empty,
    /// Text, not yet known to be UTF-8.
    Bytes(&'a [u8]),
    /// A whole number.
    Int(i64),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
}

impl Cell<'_> {
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Bytes(bytes) => table::number(bytes),
            Self::Int(n) => Some(n as f64),
            Self::Number(v) => Some(v),
            Self::Empty | Self::Bool(_) => None,
        }
    }

    pub(super) fn step(self) -> Option<i64> {
        match self {
            Self::Bytes(bytes) => table::step(bytes),
            Self::Int(n) => Some(n),
            Self::Number(v) => table::whole(v),
            Self::Empty | Self::Bool(_) => None,
        }
    }

    /// Adds the cell as text.
    pub(super) fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => {}
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Int(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Self::Number(v) => out.extend_from_slice(v.to_string().as_bytes()),
            Self::Bool(b) => out.extend_from_slice(b.to_string().as_bytes()),
        }
    }

    /// The cell as text that is short enough for a message.
    pub(super) fn shown(self) -> String {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        bytes.truncate(40);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Takes the rows of a table.
pub(super) trait Take {
    /// The header.
    fn header(
        &mut self,
        names: &[String],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError>;

    /// A row with as many cells as the header has names.
    fn row(
        &mut self,
        cells: &[Cell<'_>],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError>;
}

/// Reads a table, whatever it is.
pub(super) fn scan(
    input: &Input,
    out: &mut Recorder<'_>,
    take: &mut impl Take,
) -> Result<(), ImportError> {
    let mut is_parquet = false;
    out.scan(input, |source, out| {
        if source.peek(4)?.starts_with(columns::MAGIC) {
            is_parquet = true;
            return Ok(());
        }
        let separator = separator(source.peek(1 << 16)?);
        let mut rows = Rows::new(separator);
        let Some(header) = rows.next(source)? else {
            return Err(source.error(1, Problem::Expected { what: "a header" }));
        };
        let at = At { record: 1, offset: header.offset };
        let names: Option<Vec<String>> =
            (0..header.len()).map(|i| header.str(i).map(|n| n.trim().to_owned())).collect();
        let names = names.ok_or_else(|| out.error(input, at, Problem::NotText))?;
        take.header(&names, at, input, out)?;
        let n = names.len();
        // One buffer for the cells of all rows would have to outlive the row; this is a stack for few columns.
        while let Some(row) = rows.next(source)? {
            let at = At { record: row.number, offset: row.offset };
            if row.len() != n {
                out.problem(input, at, Problem::Fields { expected: n, found: row.len() })?;
                continue;
            }
            let cell = |i| match row.bytes(i) {
                [] => Cell::Empty,
                bytes => Cell::Bytes(bytes),
            };
            let mut few = [Cell::Empty; 16];
            if let Some(few) = few.get_mut(..n) {
                few.iter_mut().enumerate().for_each(|(i, c)| *c = cell(i));
                take.row(few, at, input, out)?;
            } else {
                let many: Vec<Cell<'_>> = (0..n).map(cell).collect();
                take.row(&many, at, input, out)?;
            }
        }
        Ok(())
    })?;
    if is_parquet {
        let read = columns::scan(input, out, take);
        read.or_else(|e| out.give_up(e))?;
    }
    Ok(())
}
