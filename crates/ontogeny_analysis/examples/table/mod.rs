//! A table of text read from CSV or CSV.gz, for the examples and tests of this crate.
#![allow(dead_code, reason = "each program uses its part")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Rows of text under named columns.
pub(crate) struct Table {
    columns: Vec<String>,
    /// The rows.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads `path`; a name that ends in `.gz` is unpacked.
    pub(crate) fn read(path: &Path) -> Self {
        let mut file = File::open(path).unwrap_or_else(|e| panic!("open {}: {e}", path.display()));
        let mut text = Vec::new();
        if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::GzDecoder::new(file).read_to_end(&mut text).expect("gzip");
        } else {
            file.read_to_end(&mut text).expect("readable");
        }
        let mut reader = csv::Reader::from_reader(&text[..]);
        let columns = reader.headers().expect("header").iter().map(str::to_owned).collect();
        let rows = reader.records().map(|r| r.expect("row").iter().map(str::to_owned).collect());
        Self { columns, rows: rows.collect() }
    }

    /// Position of a column.
    pub(crate) fn at(&self, column: &str) -> usize {
        self.columns.iter().position(|c| c == column).unwrap_or_else(|| panic!("column {column}"))
    }

    /// A cell as text.
    pub(crate) fn text<'a>(&self, row: &'a [String], column: &str) -> &'a str {
        &row[self.at(column)]
    }

    /// A cell as a number, NaN if it is none.
    pub(crate) fn number(&self, row: &[String], column: &str) -> f64 {
        self.text(row, column).parse().unwrap_or(f64::NAN)
    }

    /// Columns whose name begins so, without the beginning.
    pub(crate) fn named(&self, prefix: &str) -> Vec<String> {
        self.columns.iter().filter_map(|c| c.strip_prefix(prefix)).map(str::to_owned).collect()
    }
}

/// The folder of public trajectories: the first argument, `ONTOGENY_DATA`, or `../shared/data` beside the repository.
pub(crate) fn folder() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a program of its own reads its environment")]
    let named = std::env::args_os().nth(1).or_else(|| std::env::var_os("ONTOGENY_DATA"));
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    named.map_or_else(beside, PathBuf::from).join("trajectories")
}
