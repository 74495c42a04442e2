//! Effects: a forest plot of paired differences, with what was predicted beside what was measured.

use ontogeny_core::EffectRow;

use super::{SMALL, Sheet, TEXT, axis};
use crate::extent::{Extent, is_drawable};
use crate::font::{Weight, width, wrap};
use crate::ink;
use crate::number::human;
use crate::scale::Scale;
use crate::svg::{Anchor, TextStyle};

/// Colour of measured effects and of predictions.
const MEASURED: usize = 0;
const PREDICTED: usize = 1;

/// Draws one row per intervention around a line at no effect.
pub(crate) fn draw(sheet: &mut Sheet, x_label: &str, seed_band: Option<f64>, rows: &[EffectRow]) {
    sheet.description.push(format!("Effects on {x_label}."));
    sheet
        .description
        .extend(rows.iter().map(|row| format!("{}.", tooltip(row).replace('\n', ", "))));
    let seed_band = seed_band.map(f64::abs).filter(|band| is_drawable(*band));
    let mut extent = Extent::default();
    for row in rows {
        extent.add_all(row.pairs.iter().copied());
        extent.add_all(Some(row.value).filter(|value| is_drawable(*value)));
        extent.add_all(row.interval.into_iter().flat_map(|(lo, hi)| [lo, hi]));
        extent.add_all(row.predicted.into_iter().flat_map(|(mid, lo, hi)| [mid, lo, hi]));
    }
    if extent.is_empty(false) {
        let reason = if rows.is_empty() {
            "no intervention was made".to_owned()
        } else {
            extent.reason(false)
        };
        sheet.no_data((4.0, sheet.y), (sheet.width - 8.0, 120.0), &reason);
        sheet.y += 120.0;
        return;
    }
    extent.add(0.0);
    extent.add_all(seed_band.into_iter().flat_map(|band| [-band, band]));
    let stacked = sheet.is_narrow();
    let label_room =
        rows.iter().map(|row| width(&row.label, Weight::Regular, TEXT)).fold(0.0, f64::max);
    let left = if stacked { 14.0 } else { (label_room + 22.0).clamp(110.0, sheet.width * 0.3) };
    let right = if stacked { sheet.width - 14.0 } else { sheet.width * 0.745 };
    let air = (extent.hi - extent.lo) * 0.04;
    extent.add(extent.lo - air);
    extent.add(extent.hi + air);
    let Some(x) = Scale::for_x(&extent, false, left, right) else { return };

    draw_key(sheet, rows, seed_band);
    let top = sheet.y;
    let note_room = if stacked { sheet.width - 20.0 } else { sheet.width - right - 22.0 };
    let heights: Vec<f64> = rows.iter().map(|row| row_height(row, stacked, note_room)).collect();
    let bottom = top + heights.iter().sum::<f64>() + 6.0;
    if let Some((a, b)) = seed_band.and_then(|band| Some((x.place(-band)?, x.place(band)?))) {
        sheet.svg.rect((a, top), (b - a, bottom - top), ink::SHADE);
    }
    axis::draw_x_grid(&mut sheet.svg, &x, top, bottom);
    if let Some(zero) = x.place(0.0) {
        sheet.svg.line((zero, top), (zero, bottom), ink::REFERENCE);
    }
    let mut y = top + 3.0;
    for (row, height) in rows.iter().zip(heights) {
        sheet.svg.tip(&tooltip(row));
        sheet.svg.rect(
            (0.0, y),
            (sheet.width, height),
            "class=\"row\" fill=\"#000\" fill-opacity=\"0\"",
        );
        let n_notes = wrap(&row.note, Weight::Regular, SMALL, note_room, 2).len() as f64;
        let mid = if stacked { y + 32.0 + 14.0 * n_notes } else { y + 17.0 };
        let label_at = if stacked { (4.0, y + 14.0) } else { (4.0, mid + 4.0) };
        let room = if stacked { sheet.width * 0.56 } else { left - 16.0 };
        sheet.svg.text(label_at, &row.label, TextStyle::new(ink::INK, TEXT).within(room));
        draw_marks(sheet, &x, row, mid);
        let value = TextStyle::new(ink::INK, SMALL).within(note_room);
        if stacked {
            let value = value.anchored(Anchor::End).within(sheet.width * 0.42);
            sheet.svg.text((sheet.width - 4.0, y + 14.0), &value_text(row), value);
        } else {
            sheet.svg.text((right + 18.0, mid + 4.0), &value_text(row), value);
        }
        let (note_x, note_y) = if stacked { (4.0, y + 28.0) } else { (right + 18.0, mid + 19.0) };
        for (i, line) in wrap(&row.note, Weight::Regular, SMALL, note_room, 2).iter().enumerate() {
            let at = (note_x, note_y + 14.0 * i as f64);
            sheet.svg.text(at, line, TextStyle::new(ink::MUTED, SMALL));
        }
        sheet.svg.end();
        y += height;
    }
    axis::draw_x(&mut sheet.svg, &x, bottom, Some(x_label));
    sheet.y = bottom + axis::X_AXIS_ROOM;
    if extent.n_not_finite > 0 {
        sheet
            .notes
            .push(format!("{} not finite, left out.", crate::extent::values(extent.n_not_finite)));
    }
}

fn row_height(row: &EffectRow, stacked: bool, note_room: f64) -> f64 {
    let note_lines = wrap(&row.note, Weight::Regular, SMALL, note_room, 2).len() as f64;
    if stacked { 54.0 + 14.0 * note_lines } else { 38.0 + 14.0 * (note_lines - 1.0).max(0.0) }
}

fn draw_marks(sheet: &mut Sheet, x: &Scale, row: &EffectRow, mid: f64) {
    let pairs = format!("{} fill-opacity=\"0.5\"", ink::fill(6));
    for at in row.pairs.iter().filter_map(|&pair| x.place(pair)) {
        sheet.svg.circle((at, mid - 7.0), 2.8, &pairs);
    }
    if let Some((lo, hi)) = row.interval.and_then(|(lo, hi)| Some((x.place(lo)?, x.place(hi)?))) {
        let paint =
            format!("{} stroke-width=\"2.4\" stroke-linecap=\"round\"", ink::stroke(MEASURED));
        sheet.svg.line((lo, mid), (hi, mid), &paint);
    }
    if let Some(at) = x.place(row.value) {
        sheet.svg.path(&ink::symbol(0, at, mid, 5.0), &ink::dot(MEASURED));
    }
    if let Some((value, lo, hi)) = row.predicted {
        let y = mid + 10.0;
        if let (Some(lo), Some(hi)) = (x.place(lo), x.place(hi)) {
            let paint = format!(
                "{} stroke-width=\"1.6\" stroke-dasharray=\"4 2.5\"",
                ink::stroke(PREDICTED)
            );
            sheet.svg.line((lo, y), (hi, y), &paint);
            let cap = format!("{} stroke-width=\"1.6\"", ink::stroke(PREDICTED));
            sheet.svg.line((lo, y - 3.0), (lo, y + 3.0), &cap);
            sheet.svg.line((hi, y - 3.0), (hi, y + 3.0), &cap);
        }
        if let Some(at) = x.place(value) {
            let rim = format!(
                "class=\"ho s{PREDICTED}\" fill=\"#ffffff\" stroke=\"{}\" stroke-width=\"1.6\"",
                ink::MARKS[PREDICTED]
            );
            sheet.svg.path(&ink::symbol(3, at, y, 3.6), &rim);
        }
    }
}

fn draw_key(sheet: &mut Sheet, rows: &[EffectRow], seed_band: Option<f64>) {
    let style = TextStyle::new(ink::MUTED, SMALL);
    let mut x = 4.0;
    let mut put =
        |sheet: &mut Sheet, sample: f64, text: &str, mark: &dyn Fn(&mut Sheet, f64, f64)| {
            let wide = sample + width(text, Weight::Regular, SMALL) + 16.0;
            if x > 4.0 && x + wide > sheet.width {
                x = 4.0;
                sheet.y += 17.0;
            }
            let y = sheet.y + 12.0;
            mark(sheet, x, y - 4.0);
            sheet.svg.text((x + sample, y), text, style);
            x += wide;
        };
    if rows.iter().any(|row| is_drawable(row.value)) {
        put(sheet, 32.0, "effect and interval", &|sheet, x, y| {
            let paint =
                format!("{} stroke-width=\"2.4\" stroke-linecap=\"round\"", ink::stroke(MEASURED));
            sheet.svg.line((x, y), (x + 26.0, y), &paint);
            sheet.svg.path(&ink::symbol(0, x + 13.0, y, 5.0), &ink::dot(MEASURED));
        });
    }
    if rows.iter().any(|row| !row.pairs.is_empty()) {
        put(sheet, 12.0, "single pairs", &|sheet, x, y| {
            sheet.svg.circle((x + 4.0, y), 2.8, &format!("{} fill-opacity=\"0.5\"", ink::fill(6)));
        });
    }
    if rows.iter().any(|row| row.predicted.is_some()) {
        put(sheet, 32.0, "predicted beforehand", &|sheet, x, y| {
            let paint = format!(
                "{} stroke-width=\"1.6\" stroke-dasharray=\"4 2.5\"",
                ink::stroke(PREDICTED)
            );
            sheet.svg.line((x, y), (x + 26.0, y), &paint);
            let rim = format!(
                "class=\"ho s{PREDICTED}\" fill=\"#ffffff\" stroke=\"{}\" stroke-width=\"1.6\"",
                ink::MARKS[PREDICTED]
            );
            sheet.svg.path(&ink::symbol(3, x + 13.0, y, 3.6), &rim);
        });
    }
    if let Some(band) = seed_band {
        put(sheet, 26.0, &format!("seed band ±{}: a draw", human(band)), &|sheet, x, y| {
            sheet.svg.rect((x, y - 5.0), (20.0, 10.0), ink::SHADE);
        });
    }
    sheet.y += 26.0;
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", human(value)) } else { human(value) }
}

fn value_text(row: &EffectRow) -> String {
    if !is_drawable(row.value) {
        return "not measured".to_owned();
    }
    match row.interval {
        Some((lo, hi)) => format!("{} [{}, {}]", signed(row.value), signed(lo), signed(hi)),
        None => signed(row.value),
    }
}

fn tooltip(row: &EffectRow) -> String {
    let mut lines = vec![row.label.clone(), value_text(row)];
    if !row.pairs.is_empty() {
        let pairs: Vec<String> = row.pairs.iter().take(12).map(|&pair| signed(pair)).collect();
        lines.push(format!("pairs {}", pairs.join(", ")));
    }
    if let Some((value, lo, hi)) = row.predicted {
        lines.push(format!("predicted {} [{}, {}]", signed(value), signed(lo), signed(hi)));
    }
    lines.push(row.note.clone());
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}
