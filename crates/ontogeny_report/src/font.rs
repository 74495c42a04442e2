//! The two embedded faces, and how wide a text is in them.
//!
//! Layout measures with the same font the PNG is drawn with; a browser's own font differs by a few percent,
//! which the margins allow for.

use std::borrow::Cow;
use std::sync::OnceLock;

use ttf_parser::Face;

/// Inter Regular, subset; see `fonts/README.md`.
pub(crate) const REGULAR: &[u8] = include_bytes!("../fonts/Inter-Regular.otf");
/// Inter SemiBold, subset; see `fonts/README.md`.
pub(crate) const SEMI_BOLD: &[u8] = include_bytes!("../fonts/Inter-SemiBold.otf");

/// Weight of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    SemiBold,
}

/// Width of `text` in units of the figure, with a little room for a wider font in the reader's browser.
pub(crate) fn width(text: &str, weight: Weight, size: f64) -> f64 {
    let face = face(weight);
    let units: f64 = text.chars().map(|c| advance(face, c)).sum();
    units * size * 1.03
}

/// `text`, or its beginning and an ellipsis if it is wider than `max`.
pub(crate) fn fit(text: &str, weight: Weight, size: f64, max: f64) -> Cow<'_, str> {
    if width(text, weight, size) <= max {
        return Cow::Borrowed(text);
    }
    let room = max - width("…", weight, size);
    let mut used = 0.0;
    let mut kept = String::new();
    for c in text.chars() {
        used += advance(face(weight), c) * size * 1.03;
        if used > room {
            break;
        }
        kept.push(c);
    }
    let kept = kept.trim_end();
    Cow::Owned(format!("{kept}…"))
}

/// Breaks `text` into at most `max_lines` lines of at most `max` width; the last one ends in an ellipsis if
/// more was to come.
pub(crate) fn wrap(
    text: &str,
    weight: Weight,
    size: f64,
    max: f64,
    max_lines: usize,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || width(&longer, weight, size) <= max {
            line = longer;
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > max_lines && max_lines > 0 {
        let rest = lines.split_off(max_lines - 1).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| fit(line, weight, size, max).into_owned()).collect()
}

fn face(weight: Weight) -> Option<&'static Face<'static>> {
    static FACES: OnceLock<[Option<Face<'static>>; 2]> = OnceLock::new();
    let faces =
        FACES.get_or_init(|| [Face::parse(REGULAR, 0).ok(), Face::parse(SEMI_BOLD, 0).ok()]);
    faces[usize::from(weight == Weight::SemiBold)].as_ref()
}

/// Advance of one character in em; characters outside the subset count as 0.62 em, ideographs as 1 em.
fn advance(face: Option<&Face<'_>>, c: char) -> f64 {
    let known = face.and_then(|face| {
        let glyph = face.glyph_index(c)?;
        Some(f64::from(face.glyph_hor_advance(glyph)?) / f64::from(face.units_per_em()))
    });
    known.unwrap_or(if c >= '\u{2e80}' { 1.0 } else { 0.62 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_faces_are_readable() {
        assert!(face(Weight::Regular).is_some() && face(Weight::SemiBold).is_some());
        assert!(width("MMMM", Weight::Regular, 12.0) > 2.0 * width("iiii", Weight::Regular, 12.0));
    }

    #[test]
    fn a_long_text_is_cut_to_its_room() {
        let cut = fit("a very long name of a run that goes on", Weight::Regular, 12.0, 80.0);
        assert!(cut.ends_with('…') && width(&cut, Weight::Regular, 12.0) <= 80.0);
        assert_eq!(fit("short", Weight::Regular, 12.0, 80.0), "short");
    }

    #[test]
    fn wrapping_keeps_every_word_it_has_room_for() {
        let lines = wrap("one two three four five six", Weight::Regular, 12.0, 60.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("one") && lines[1].ends_with('…'));
    }
}
