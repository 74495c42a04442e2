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

    /// Becomes the rows of two tables, each at its named place; every place must be named once.
    pub(crate) fn interleave(&mut self, parts: [(&Self, &[u32]); 2]) {
        let [(a, _), (b, _)] = parts;
        assert_eq!(a.cols, b.cols, "rows of one table have one width");
        (self.rows, self.cols) = (a.rows + b.rows, a.cols);
        // Every row is written over.
        self.values.resize(self.rows * self.cols, 0.0);
        for (part, places) in parts {
            assert_eq!(part.rows, places.len(), "a place for every row");
            for (row, &at) in part.values.chunks_exact(part.cols).zip(places) {
                self.values[at as usize * part.cols..][..part.cols].copy_from_slice(row);
            }
        }
    }

    /// These rows alone, in this order.
    pub(crate) fn of_rows(&self, rows: &[u32]) -> Self {
        let values = rows.iter().flat_map(|&i| self.row(i as usize)).copied().collect();
        Self { rows: rows.len(), cols: self.cols, values }
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
