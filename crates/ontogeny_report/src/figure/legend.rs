//! Legends: a row of samples above the plot, for names that have no room at their lines.

use super::{Sheet, TEXT};
use crate::font::{Weight, width};
use crate::ink;
use crate::svg::TextStyle;

/// What a legend shows beside a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// A line with its symbol.
    Line { slot: usize, dashed: bool, symbol: bool },
    /// An area.
    Band { slot: usize },
    /// A symbol alone.
    Symbol { slot: usize },
}

/// Draws entries left to right, in as many rows as needed, and moves the sheet below them.
pub(crate) fn draw(sheet: &mut Sheet, entries: &[(String, Sample)], left: f64) {
    if entries.is_empty() {
        return;
    }
    let room = sheet.width - left;
    let (mut x, mut y) = (left, sheet.y + 12.0);
    for (name, sample) in entries {
        let sample_width = if matches!(sample, Sample::Symbol { .. }) { 16.0 } else { 30.0 };
        let text_width = width(name, Weight::Regular, TEXT).min(room - sample_width);
        if x > left && x + sample_width + text_width > sheet.width {
            (x, y) = (left, y + 18.0);
        }
        match *sample {
            Sample::Line { slot, dashed, symbol } => {
                let paint =
                    format!("{} stroke-width=\"2\"{}", ink::stroke(slot), ink::dash(dashed, slot));
                sheet.svg.line((x, y - 4.0), (x + 24.0, y - 4.0), &paint);
                if symbol {
                    sheet.svg.path(&ink::symbol(slot, x + 12.0, y - 4.0, 4.0), &ink::dot(slot));
                }
            }
            Sample::Band { slot } => {
                let paint = format!("{} fill-opacity=\"0.25\"", ink::fill(slot));
                sheet.svg.rect((x, y - 9.0), (24.0, 10.0), &paint);
            }
            Sample::Symbol { slot } => {
                sheet.svg.path(&ink::symbol(slot, x + 6.0, y - 4.0, 4.5), &ink::dot(slot));
            }
        }
        sheet.svg.text(
            (x + sample_width, y),
            name,
            TextStyle::new(ink::INK, TEXT).within(text_width + 1.0),
        );
        x += sample_width + text_width + 18.0;
    }
    sheet.y = y + 10.0;
}
