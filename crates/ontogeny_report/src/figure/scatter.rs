//! Scatter: points in a plane, each group with its own symbol.

use ontogeny_core::Line;

use super::legend::{self, Sample};
use super::{Sheet, TEXT, axis};
use crate::extent::{Extent, values};
use crate::ink;
use crate::scale::Scale;
use crate::svg::TextStyle;

/// What is around the points.
pub(crate) struct Frame<'a> {
    pub(crate) x_label: &'a str,
    pub(crate) y_label: &'a str,
    pub(crate) log: bool,
    pub(crate) diagonal: bool,
}

/// Draws the groups in a plane that is square if the diagonal matters.
pub(crate) fn draw(sheet: &mut Sheet, frame: &Frame<'_>, groups: &[Line]) {
    let mut names: Vec<&str> = Vec::new();
    for group in groups.iter().filter(|group| !group.name.is_empty()) {
        if !names.contains(&group.name.as_str()) {
            names.push(&group.name);
        }
    }
    let slot = |group: &Line| names.iter().position(|name| *name == group.name);
    let n: usize = groups.iter().map(|group| group.points.len()).sum();
    sheet.description.push(format!("{n} points: {} against {}.", frame.y_label, frame.x_label));
    let points = || groups.iter().flat_map(|group| &group.points);
    let is_whole = |p: &&(f64, f64)| {
        let pair = Extent::of([p.0, p.1]);
        pair.n == 2 && (!frame.log || pair.n_not_positive == 0)
    };
    let mut x_extent = Extent::of(points().filter(is_whole).map(|p| p.0));
    let mut y_extent = Extent::of(points().filter(is_whole).map(|p| p.1));
    let n_lost = n - x_extent.n;
    if x_extent.n == 0 {
        let reason = Extent::of(points().flat_map(|p| [p.0, p.1])).reason(frame.log);
        sheet.no_data((4.0, sheet.y), (sheet.width - 8.0, 120.0), &reason);
        sheet.y += 120.0;
        return;
    }
    if frame.diagonal {
        let both = Extent::of(points().filter(is_whole).flat_map(|p| [p.0, p.1]));
        (x_extent, y_extent) = (both, both);
    }
    let entries: Vec<(String, Sample)> = names
        .iter()
        .enumerate()
        .map(|(slot, name)| ((*name).to_owned(), Sample::Symbol { slot }))
        .collect();
    legend::draw(sheet, &entries, 4.0);
    let label = TextStyle::new(ink::INK, TEXT).bold().within(sheet.width - 8.0);
    sheet.svg.text((4.0, sheet.y + 13.0), frame.y_label, label);
    let top = sheet.y + 22.0;
    let height = if sheet.is_narrow() { 300.0 } else { 400.0 };
    let bottom = top + height;
    let Some(y) = Scale::for_y(&y_extent, frame.log, bottom - 4.0, top) else { return };
    let left = axis::y_room(&y).max(16.0) + 12.0;
    let right =
        if frame.diagonal { (left + height).min(sheet.width - 14.0) } else { sheet.width - 14.0 };
    // Both axes get the same air, so that the diagonal goes from corner to corner.
    let Some(x) = Scale::for_y(&x_extent, frame.log, left + 4.0, right) else { return };
    axis::draw_y(&mut sheet.svg, &y, left, right);
    axis::draw_x_grid(&mut sheet.svg, &x, top, bottom);
    axis::draw_x(&mut sheet.svg, &x, bottom, Some(frame.x_label));
    if frame.diagonal {
        draw_diagonal(sheet, &x, &y);
    }
    let (name, x_text, y_text) = (crate::escape::xml(frame.x_label), x.attribute(), y.attribute());
    sheet
        .svg
        .group(&format!("class=\"plot\" data-panel=\"0\" data-name=\"{name}\" data-x=\"{x_text}\" data-y=\"{y_text}\""));
    sheet.svg.rect(
        (left, top),
        (right - left, height),
        "class=\"hit\" fill=\"#000\" fill-opacity=\"0\"",
    );
    let r = if n > 400 { 2.6 } else { 4.2 };
    for group in groups {
        let slot = slot(group);
        let paint = slot.map_or_else(|| ink::dot(0), ink::dot);
        let opacity = if group.faint {
            0.3
        } else if n > 100 {
            0.65
        } else {
            0.9
        };
        let mut path = String::new();
        for point in group.points.iter().filter(is_whole) {
            if let (Some(at), Some(up)) = (x.place(point.0), y.place(point.1)) {
                path.push_str(&ink::symbol(slot.unwrap_or(0), at, up, r));
            }
        }
        sheet.svg.path(&path, &format!("{paint} fill-opacity=\"{opacity}\""));
    }
    sheet.svg.end();
    sheet.y = bottom + axis::X_AXIS_ROOM;
    if n_lost > 0 {
        let reason = if frame.log { "not finite or not positive" } else { "not finite" };
        sheet.notes.push(format!("{} {reason}, left out.", values(n_lost)));
    }
}

fn draw_diagonal(sheet: &mut Sheet, x: &Scale, y: &Scale) {
    let (lo, hi) = (x.lo.max(y.lo), x.hi.min(y.hi));
    if let (Some(x1), Some(y1), Some(x2), Some(y2)) =
        (x.place(lo), y.place(lo), x.place(hi), y.place(hi))
    {
        sheet.svg.line((x1, y1), (x2, y2), &format!("{} stroke-dasharray=\"5 4\"", ink::REFERENCE));
        let style =
            TextStyle::new(ink::MUTED, super::SMALL).anchored(crate::svg::Anchor::End).over_marks();
        sheet.svg.text((x2 - 14.0, y2 + 10.0), "y = x", style);
    }
}
