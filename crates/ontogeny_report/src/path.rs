//! Polylines as path data.

use std::fmt::Write as _;

/// Appends a polyline in relative tenths of a unit, which is about half the bytes of absolute coordinates.
pub(crate) fn append_path(path: &mut String, points: impl Iterator<Item = (f64, f64)>) {
    let mut last: Option<(i64, i64)> = None;
    for (x, y) in points {
        let here = ((x * 10.0).round() as i64, (y * 10.0).round() as i64);
        let (command, dx, dy) = match last {
            None => ('M', here.0, here.1),
            Some(last) => ('l', here.0 - last.0, here.1 - last.1),
        };
        if last.is_none() || (dx, dy) != (0, 0) {
            path.push(command);
            push_tenths(path, dx, false);
            push_tenths(path, dy, true);
        }
        last = Some(here);
    }
}

fn push_tenths(path: &mut String, tenths: i64, separate: bool) {
    if separate && tenths >= 0 {
        path.push(' ');
    }
    let (sign, size) = (if tenths < 0 { "-" } else { "" }, tenths.abs());
    let _ = if size % 10 == 0 {
        write!(path, "{sign}{}", size / 10)
    } else {
        write!(path, "{sign}{}.{}", size / 10, size % 10)
    }; // writing to a String cannot fail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_exact() {
        let mut path = String::new();
        append_path(&mut path, [(1.0, 2.0), (1.55, 1.0), (3.0, 1.0)].into_iter());
        assert_eq!(path, "M1 2l0.6-1l1.4 0");
    }
}
