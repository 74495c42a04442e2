//! A matrix on the host: what leaves the engine.

/// A row-major matrix of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// `[rows, cols]`, row after row.
    pub values: Vec<f32>,
}

impl Table {
    /// A table of the given values.
    ///
    /// # Panics
    /// If there are not `rows * cols` values.
    pub fn new(rows: usize, cols: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), rows * cols, "a table of {rows} rows by {cols} columns");
        Self { rows, cols, values }
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.cols..][..self.cols]
    }

    /// Appends the rows of `more`; an empty table takes the width of what comes first.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn append(&mut self, more: Self) {
        if self.rows == 0 {
            *self = more;
            return;
        }
        assert_eq!(self.cols, more.cols, "rows of one table have one width");
        self.rows += more.rows;
        self.values.extend(more.values);
    }
}
