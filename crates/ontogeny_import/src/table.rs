//! Comma-separated values, row by row, whatever lengths a file pretends.

use crate::source::{MAX_PIECE, Source};
use crate::{ImportError, Problem};
use csv_core::ReadRecordResult;

/// Fields of a row.
const MAX_FIELDS: usize = 100_000;

/// Reads rows from a source.
pub(crate) struct Rows {
    parser: csv_core::Reader,
    /// The unquoted text of the row's fields, one after another.
    text: Vec<u8>,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    /// Rows that were read, the header among them.
    n_read: u64,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    text: &'a [u8],
    ends: &'a [usize],
    /// Number of the row in the file, from 1.
    pub(crate) number: u64,
    /// Its first byte.
    pub(crate) offset: u64,
}

impl<'a> Row<'a> {
    /// Fields of the row.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a field; empty if there is none.
    #[inline]
    pub(crate) fn bytes(&self, i: usize) -> &'a [u8] {
        let Some(&end) = self.ends.get(i) else { return &[] };
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..end]
    }

    /// The text of a field; `None` if it is none.
    pub(crate) fn str(&self, i: usize) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(i)).ok()
    }
}

impl Rows {
    /// `separator` is a comma or a tab.
    pub(crate) fn new(separator: u8) -> Self {
        let parser = csv_core::ReaderBuilder::new().delimiter(separator).build();
        let (text, ends) = (vec![0; 1 << 12], vec![0; 64]);
        Self { parser, text, ends, n_read: 0 }
    }

    /// The next row; `None` after the last. Empty lines are no rows.
    pub(crate) fn next(&mut self, source: &mut Source) -> Result<Option<Row<'_>>, ImportError> {
        let (mut n_text, mut n_ends) = (0, 0);
        // A byte order mark is not part of the first name.
        if self.n_read == 0 && source.peek(3)? == b"\xef\xbb\xbf" {
            source.consume(3);
        }
        // So that the offset is that of the row and not of the end of the line before it.
        while let Some(b'\n' | b'\r') = source.peek(1)?.first() {
            source.consume(1);
        }
        let (offset, n_rows) = (source.offset(), self.n_read + 1);
        loop {
            source.peek(1)?;
            let (result, n_in, n_out, n_new) = self.parser.read_record(
                source.window(),
                &mut self.text[n_text..],
                &mut self.ends[n_ends..],
            );
            // The parser counts the ends of fields from the beginning of the row.
            source.consume(n_in);
            n_text += n_out;
            n_ends += n_new;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    let limit = MAX_PIECE as u64;
                    if self.text.len() >= MAX_PIECE {
                        let problem = Problem::Length { claimed: source.offset() - offset, limit };
                        return Err(source.error(n_rows, problem));
                    }
                    self.text.resize(self.text.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    if self.ends.len() >= MAX_FIELDS {
                        let problem = Problem::TooMany { what: "columns", limit: MAX_FIELDS };
                        return Err(source.error(n_rows, problem));
                    }
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        self.n_read = n_rows;
        Ok(Some(Row {
            text: &self.text[..n_text],
            ends: &self.ends[..n_ends],
            number: n_rows,
            offset,
        }))
    }
}

/// The separator of a table, as its first line has it.
pub(crate) fn separator(head: &[u8]) -> u8 {
    let line = head.split(|&b| b == b'\n').next().unwrap_or(head);
    if line.contains(&b'\t') && !line.contains(&b',') { b'\t' } else { b',' }
}

/// A number as tables have them: decimal, or one of the words for what is none.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    text.parse().ok()
}

/// A step: a whole number, also if it is written as `100.0` or `1e3`; negative ones are given as they are.
#[inline]
pub(crate) fn step(bytes: &[u8]) -> Option<i64> {
    if let Some(step) = digits(bytes) {
        return Some(step);
    }
    let value = number(bytes)?;
    whole(value)
}

/// Only digits, and few enough of them: nearly every step there is.
#[inline]
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 18 {
        return None;
    }
    bytes.iter().try_fold(0_i64, |n, b| {
        let digit = b.wrapping_sub(b'0');
        (digit < 10).then(|| n * 10 + i64::from(digit))
    })
}

/// The whole number that a float is, if it is one that floats can tell from its neighbours.
pub(crate) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Input;

    fn rows(text: &str) -> Vec<(u64, u64, Vec<String>)> {
        let mut source = Input::from_bytes("t.csv", text.to_owned()).open("csv").unwrap();
        let mut rows = Rows::new(b',');
        let mut all = Vec::new();
        while let Some(row) = rows.next(&mut source).unwrap() {
            let fields = (0..row.len()).map(|i| row.str(i).unwrap().to_owned()).collect();
            all.push((row.number, row.offset, fields));
        }
        all
    }

    #[test]
    fn rows_know_their_number_and_place() {
        let all = rows("\u{feff}a,b\r\n1,\"x\ny\"\n\n2,\"q\"\"q\"");
        let text = |i: usize| all[i].2.join("|");
        assert_eq!(all.len(), 3);
        assert_eq!((text(0), text(1), text(2)), ("a|b".into(), "1|x\ny".into(), "2|q\"q".into()));
        assert_eq!((all[1].0, all[1].1, all[2].1), (2, 8, 17));
    }

    #[test]
    fn long_rows_grow_the_buffers() {
        let cell = "x".repeat(10_000);
        let line = vec![cell.as_str(); 200].join(",");
        let all = rows(&format!("{line}\n{line}\n"));
        assert_eq!(all.len(), 2);
        assert!(all[1].2.len() == 200 && all[1].2.iter().all(|f| *f == cell));
    }

    #[test]
    fn steps_are_whole() {
        for (text, expected) in [
            ("12", Some(12)),
            ("1e3", Some(1000)),
            ("100.0", Some(100)),
            ("-1", Some(-1)),
            ("1.5", None),
            ("", None),
            ("nan", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(step(text.as_bytes()), expected, "{text}");
        }
    }
}
