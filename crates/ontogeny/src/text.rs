//! Text that people read: numbers, durations, tables. No colour.

use serde_json::Value;
use std::io::{self, Write};

/// A number with five significant digits; what is not finite is named.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    // Rounding to five digits may carry into the next power of ten, so it comes first.
    let rounded = format!("{value:.4e}");
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..9).contains(&exponent) {
        let places = (4 - exponent).max(0) as usize;
        trim_zeros(&format!("{value:.places$}")).to_owned()
    } else {
        format!("{}e{exponent}", trim_zeros(mantissa))
    }
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A signed difference.
pub(crate) fn difference(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// Bytes as people say them, in powers of a thousand.
pub(crate) fn size(n_bytes: u64) -> String {
    let mut value = n_bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        // What would be written as 1000 belongs to the next unit.
        if value < 999.5 {
            let places = usize::from(unit != "B" && value < 99.95);
            return format!("{value:.places$} {unit}");
        }
        value /= 1e3;
    }
    format!("{value:.1} TB")
}

/// Seconds as people say them.
pub(crate) fn duration(secs: f64) -> String {
    let whole = secs.max(0.0).round() as u64;
    match whole {
        0 => format!("{:.0} ms", secs.max(0.0) * 1e3),
        1..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A moment in universal time, `2026-01-31 12:05:09Z`, from seconds since the Unix epoch.
pub(crate) fn moment(unix_secs: f64) -> String {
    let secs = unix_secs.max(0.0) as u64;
    // Civil date from days (Hinnant, "chrono-compatible low-level date algorithms").
    let days = secs / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}Z")
}

/// `1 run`, `2 runs`, `2 series`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 || noun.ends_with('s') { "" } else { "s" })
}

/// A JSON value as it is written after `key=`.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Flattens JSON objects to `a.b.c` keys in order; everything else is a leaf.
pub(crate) fn flatten(json: &Value) -> Vec<(String, Value)> {
    fn walk(json: &Value, prefix: &str, out: &mut Vec<(String, Value)>) {
        match json {
            Value::Object(map) if !map.is_empty() => {
                for (k, v) in map {
                    let key = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
                    walk(v, &key, out);
                }
            }
            leaf => out.push((prefix.to_owned(), leaf.clone())),
        }
    }
    let mut out = Vec::new();
    walk(json, "", &mut out);
    out
}

/// Columns of text, aligned: text to the left, numbers to the right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, as long as the headings.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there is nothing but headings.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes it, each line after `indent`.
    pub(crate) fn write(&self, out: &mut dyn Write, indent: &str) -> io::Result<()> {
        let width = |i: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(i)).chain(self.columns.get(i));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let to_the_right: Vec<bool> = (0..self.columns.len()).map(|i| self.is_numeric(i)).collect();
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            let mut line = indent.to_owned();
            for (i, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[i].saturating_sub(cell.chars().count()));
                let gap = if i == 0 { "" } else { "  " };
                let (before, after) = if to_the_right[i] { (&*pad, "") } else { ("", &*pad) };
                line.extend([gap, before, cell, after]);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// A column is numeric if it has a number and nothing but numbers and blanks.
    fn is_numeric(&self, i: usize) -> bool {
        let blank = |c: &str| matches!(c, "" | "-");
        let is_number = |c: &str| blank(c) || c.parse::<f64>().is_ok();
        let cells = || self.rows.iter().filter_map(|r| r.get(i)).map(String::as_str);
        cells().all(is_number) && !cells().all(blank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_the_nearest_unit() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_960, "10.0 kB"),
            (123_456, "123 kB"),
            (999_600, "1.0 MB"),
            (5_000_000_000_000, "5.0 TB"),
        ] {
            assert_eq!(size(n), text);
        }
    }

    #[test]
    fn numbers_keep_five_digits_and_no_more() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-0.5, "-0.5"),
            (0.123_456_7, "0.12346"),
            (0.999_999_9, "1"),
            (99_999.96, "100000"),
            (12_345_678.0, "12345678"),
            (1.5e12, "1.5e12"),
            (0.000_012_3, "1.23e-5"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!((difference(0.5), difference(-0.5)), ("+0.5".into(), "-0.5".into()));
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(
            [0.0123, 59.4, 61.0, 7325.0].map(duration),
            ["12 ms", "59 s", "1 min 01 s", "2 h 02 min"]
        );
        assert_eq!(moment(0.0), "1970-01-01 00:00:00Z");
        assert_eq!(moment(951_782_400.0), "2000-02-29 00:00:00Z");
        assert_eq!(moment(1_767_225_599.9), "2025-12-31 23:59:59Z");
    }

    #[test]
    fn tables_align_text_left_and_numbers_right() {
        let mut t = Table::new(["run", "step", "note"]);
        t.row(["a", "5", "x"]);
        t.row(["long-name", "1000", ""]);
        let mut out = Vec::new();
        t.write(&mut out, "  ").unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
          run        step  note
          a             5  x
          long-name  1000
        ");
    }

    #[test]
    fn flattening_names_every_leaf() {
        let json = serde_json::json!({ "b": { "c": [1, 2], "d": null }, "a": "x" });
        let flat: Vec<String> =
            flatten(&json).iter().map(|(k, v)| format!("{k}={}", value(v))).collect();
        assert_eq!(flat, ["a=x", "b.c=[1,2]", "b.d=null"]);
    }
}
