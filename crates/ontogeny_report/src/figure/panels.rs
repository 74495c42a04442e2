//! Panels: lines, seed bands and events over one x axis, panel above panel.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ontogeny_core::{Band, Line, Marker, Panel};

use super::names::{self, direct_room, legend_entries, name_line_ends};
use super::{Sheet, TEXT, axis, legend, markers};
use crate::escape::xml;
use crate::extent::{Extent, is_drawable, values};
use crate::font::width;
use crate::ink;
use crate::path::append_path;
use crate::scale::Scale;
use crate::svg::{Svg, TextStyle};
use crate::thin::{Spot, pieces, split, thinned, trend};

/// Height of a row of text above a panel.
const LABEL_ROW: f64 = 22.0;
/// Width of the columns over which a dense line is averaged.
const TREND_COLUMN: f64 = 5.0;

/// What is known about the whole figure before the first mark.
pub(crate) struct Plan {
    /// Colour of each name.
    pub(crate) slots: BTreeMap<String, usize>,
    pub(crate) x: Scale,
    pub(crate) x_log: bool,
    pub(crate) left: f64,
    pub(crate) right: f64,
    /// Whether names stand at line ends instead of in a legend.
    pub(crate) direct: bool,
}

/// Draws the panels from top to bottom.
pub(crate) fn draw(sheet: &mut Sheet, x_label: &str, x_log: bool, panels: &[Panel]) {
    let names = names::names(panels);
    let slots: BTreeMap<String, usize> =
        names.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
    let x_extent = x_extent(panels);
    describe(sheet, panels, &names, x_label, &x_extent);
    if panels.is_empty() || x_extent.is_empty(x_log) {
        let size = (sheet.width - 8.0, 120.0);
        let reason = if panels.is_empty() {
            "the figure has no panels".to_owned()
        } else {
            x_extent.reason(x_log)
        };
        sheet.no_data((4.0, sheet.y), size, &reason);
        sheet.y += size.1;
        return;
    }
    let height = height(sheet.is_narrow(), panels.len());
    let direct_room = direct_room(sheet, panels, height);
    if direct_room.is_none() {
        legend::draw(sheet, &legend_entries(panels, &slots), 4.0);
    }
    let tick_room =
        panels.iter().filter_map(|panel| y_scale(panel, 0.0, -height)).map(|y| axis::y_room(&y));
    let left = tick_room.fold(16.0, f64::max) + 12.0;
    let right = sheet.width - direct_room.unwrap_or(14.0);
    let Some(x) = Scale::for_x(&x_extent, x_log, left + 2.0, right - 2.0) else { return };
    let plan = Plan { slots, x, x_log, left, right, direct: direct_room.is_some() };

    let mut seen: Vec<&Marker> = Vec::new();
    for (i, panel) in panels.iter().enumerate() {
        let is_new =
            |marker: &&Marker| !seen.iter().any(|old| old.x == marker.x && old.name == marker.name);
        let new: Vec<&Marker> = panel.markers.iter().filter(is_new).collect();
        let all: Vec<&Marker> = panel.markers.iter().collect();
        let label = TextStyle::new(ink::INK, TEXT).bold().within(sheet.width - 8.0);
        let taken = width(&panel.y_label, label.weight, label.size).min(label.max_width) + 12.0;
        // The name of the panel shares the lowest row with the names of markers, unless one stands over it.
        let shares = new.iter().all(|marker| plan.x.place(marker.x).is_none_or(|x| x > taken));
        let placed_new =
            markers::place(&new, &plan.x, plan.left, plan.right, if shares { taken } else { 0.0 });
        let lanes = markers::n_lanes(&placed_new) as f64 * markers::LANE;
        let above = if shares { lanes.max(LABEL_ROW) } else { LABEL_ROW + lanes + 2.0 };
        let top = sheet.y + above;
        let bottom = top + height;
        let label_y = if shares { top - 8.0 } else { sheet.y + 13.0 };
        sheet.svg.text((4.0, label_y), &panel.y_label, label);
        let old: Vec<&Marker> = all.into_iter().filter(|marker| !is_new(marker)).collect();
        let placed_old = markers::place(&old, &plan.x, plan.left, plan.right, 0.0);
        let room = plan.right - plan.left;
        markers::draw(&mut sheet.svg, &placed_old, top, bottom, false, room);
        markers::draw(&mut sheet.svg, &placed_new, top, bottom, true, room);
        let unnamed = placed_new.iter().filter(|m| m.lane.is_none() && !m.name.is_empty()).count();
        if unnamed > 0 {
            sheet.notes.push(format!("{unnamed} more named lines have no room for their names."));
        }
        seen.extend(new);
        draw_panel(sheet, &plan, (i, panel), x_label, (top, bottom));
        let is_last = i + 1 == panels.len();
        axis::draw_x(&mut sheet.svg, &plan.x, bottom, is_last.then_some(x_label));
        sheet.y = bottom + if is_last { axis::X_AXIS_ROOM } else { 14.0 };
    }
}

fn draw_panel(
    sheet: &mut Sheet,
    plan: &Plan,
    (idx, panel): (usize, &Panel),
    x_label: &str,
    (top, bottom): (f64, f64),
) {
    let Some(y) = y_scale(panel, bottom, top) else {
        let reason = y_extent(panel).reason(panel.y_log);
        sheet.no_data((plan.left, top), (plan.right - plan.left, bottom - top), &reason);
        return;
    };
    axis::draw_y(&mut sheet.svg, &y, plan.left, plan.right);
    let clip = format!("{}-c{idx}", sheet.id);
    let (clip_x, clip_w) = (plan.left - 5.0, plan.right - plan.left + 10.0);
    sheet.svg.raw(&format!("<clipPath id=\"{clip}\">"));
    sheet.svg.rect((clip_x, top - 3.0), (clip_w, bottom - top + 6.0), "");
    sheet.svg.raw("</clipPath>\n");
    sheet.svg.group(&format!(
        "class=\"plot\" clip-path=\"url(#{clip})\" data-panel=\"{idx}\" data-name=\"{}\" data-x=\"{}\" data-y=\"{}\"",
        xml(x_label),
        plan.x.attribute(),
        y.attribute()
    ));
    let size = (plan.right - plan.left, bottom - top);
    sheet.svg.rect((plan.left, top), size, "class=\"hit\" fill=\"#000\" fill-opacity=\"0\"");
    for band in &panel.bands {
        draw_band(sheet, plan, &y, band);
    }
    let (faint, strong): (Vec<&Line>, Vec<&Line>) = panel.lines.iter().partition(|line| line.faint);
    // The means of dense lines lie above every pale area.
    let mut means = Svg::default();
    for line in faint.iter().chain(&strong) {
        draw_line(sheet, plan, &y, line, panel.lines.len(), &mut means);
    }
    sheet.svg.raw(&means.into_string());
    sheet.svg.end();
    if plan.direct {
        name_line_ends(sheet, plan, &y, panel, top, bottom);
    }
    count_what_is_missing(sheet, plan, panel);
}

fn draw_line(
    sheet: &mut Sheet,
    plan: &Plan,
    y: &Scale,
    line: &Line,
    n_lines: usize,
    means: &mut Svg,
) {
    // One nameless line among none with names is the subject of the figure, not its background.
    let is_subject = plan.slots.is_empty() && !line.faint;
    let slot = plan.slots.get(&line.name).copied().or(is_subject.then_some(0));
    let spots = line.points.iter().enumerate().map(|(idx, &(px, py))| {
        let (x, y) = (plan.x.place(px)?, y.place(py)?);
        Some(Spot { x, y, idx })
    });
    // Faint background lines are read as a crowd; two units per column show it and halve the file.
    let column = if line.faint && n_lines > 12 { 2.0 } else { 1.0 };
    let whole = split(spots);
    let pieces: Vec<Vec<Spot>> = whole.iter().map(|piece| thinned(piece, column)).collect();
    let trend = if line.faint { None } else { trend(&whole, TREND_COLUMN, 4.0) };
    let colour = slot.map_or_else(ink::plain_stroke, ink::stroke);
    let dash = ink::dash(line.dashed, slot.unwrap_or(0));
    let round = "stroke-linejoin=\"round\" stroke-linecap=\"round\"";
    let (w, opacity) =
        if line.faint || trend.is_some() { (1.0, pale(n_lines)) } else { (2.0, 1.0) };
    let mut path = String::new();
    let mut dots = String::new();
    for piece in &pieces {
        if let [only] = piece.as_slice() {
            dots.push_str(&ink::symbol(0, only.x, only.y, if line.faint { 1.5 } else { 2.5 }));
        } else {
            append_path(&mut path, piece.iter().map(|spot| (spot.x, spot.y)));
        }
    }
    sheet.svg.path(
        &path,
        &format!("{colour} stroke-width=\"{w}\" stroke-opacity=\"{opacity}\" {round}{dash}"),
    );
    let fill = slot.map_or_else(|| ink::MUTED.to_owned(), ink::fill);
    sheet.svg.path(&dots, &fill);
    if let Some(trend) = &trend {
        let mut path = String::new();
        for piece in trend {
            append_path(&mut path, piece.iter().map(|spot| (spot.x, spot.y)));
        }
        let rim = "class=\"sp\" stroke=\"#ffffff\" fill=\"none\" stroke-width=\"4\"";
        means.path(&path, &format!("{rim} {round}"));
        means.path(&path, &format!("{colour} stroke-width=\"2\" {round}{dash}"));
        let note = "Dense lines: every value is in the pale area, the strong line is the mean of neighbours.";
        if !sheet.notes.iter().any(|known| known == note) {
            sheet.notes.push(note.to_owned());
        }
    }
    let pieces = trend.unwrap_or(pieces);
    if let Some(slot) = slot.filter(|_| !plan.direct && !line.faint) {
        let mut symbols = String::new();
        let mut next = plan.left + 20.0 + 23.0 * (slot % 5) as f64;
        for spot in pieces.iter().flatten() {
            if spot.x >= next {
                symbols.push_str(&ink::symbol(slot, spot.x, spot.y, 3.6));
                next = spot.x + 110.0;
            }
        }
        sheet.svg.path(&symbols, &ink::dot(slot));
    }
}

/// Opacity of one of `n_lines` background lines: the more there are, the paler is each.
fn pale(n_lines: usize) -> f64 {
    ((350.0 / n_lines.max(1) as f64).round() / 100.0).clamp(0.1, 0.4)
}

fn draw_band(sheet: &mut Sheet, plan: &Plan, y: &Scale, band: &Band) {
    let slot = plan.slots.get(&band.name).copied();
    let edge = |pick: fn(&(f64, f64, f64)) -> f64| {
        band.points.iter().enumerate().map(move |(idx, point)| {
            let is_whole = y.place(point.1).is_some() && y.place(point.2).is_some();
            let (x, y) = (plan.x.place(point.0)?, y.place(pick(point))?);
            is_whole.then_some(Spot { x, y, idx })
        })
    };
    let mut path = String::new();
    for (low, high) in pieces(edge(|p| p.1), 1.0).iter().zip(&pieces(edge(|p| p.2), 1.0)) {
        let around = low.iter().chain(high.iter().rev()).map(|spot| (spot.x, spot.y));
        append_path(&mut path, around);
        path.push('Z');
        if let ([low], [high]) = (low.as_slice(), high.as_slice()) {
            let _ = write!(path, "M{:.1} {:.1}h4V{:.1}h-4Z", low.x - 2.0, low.y, high.y); // a String takes it
        }
    }
    let fill = slot.map_or_else(|| ink::MUTED.to_owned(), ink::fill);
    sheet.svg.path(&path, &format!("{fill} fill-opacity=\"0.18\""));
}

fn x_extent(panels: &[Panel]) -> Extent {
    let mut extent = Extent::default();
    for panel in panels {
        extent.add_all(panel.lines.iter().flat_map(|line| &line.points).map(|p| p.0));
        extent.add_all(panel.bands.iter().flat_map(|band| &band.points).map(|p| p.0));
        extent.add_all(panel.markers.iter().map(|marker| marker.x).filter(|&x| is_drawable(x)));
    }
    extent
}

fn y_extent(panel: &Panel) -> Extent {
    let mut extent = Extent::of(panel.lines.iter().flat_map(|line| &line.points).map(|p| p.1));
    extent.add_all(panel.bands.iter().flat_map(|band| &band.points).flat_map(|p| [p.1, p.2]));
    extent
}

fn y_scale(panel: &Panel, from: f64, to: f64) -> Option<Scale> {
    let extent = y_extent(panel);
    if extent.is_empty(panel.y_log) {
        return None;
    }
    let fixed = panel.y_range.and_then(|(lo, hi)| Scale::fixed(lo, hi, panel.y_log, from, to));
    fixed.or_else(|| Scale::for_y(&extent, panel.y_log, from, to))
}

fn height(is_narrow: bool, n_panels: usize) -> f64 {
    match (is_narrow, n_panels) {
        (false, 1) => 300.0,
        (false, 2) => 200.0,
        (false, _) => 150.0,
        (true, 1) => 220.0,
        (true, _) => 140.0,
    }
}

fn count_what_is_missing(sheet: &mut Sheet, plan: &Plan, panel: &Panel) {
    let y = y_extent(panel);
    if y.n_not_finite > 0 {
        let note = format!("{}: {} not finite, left open.", panel.y_label, values(y.n_not_finite));
        sheet.notes.push(note);
    }
    if panel.y_log && y.n_not_positive > 0 {
        let note = format!(
            "{}: {} at or below zero have no place on the log axis.",
            panel.y_label,
            values(y.n_not_positive)
        );
        sheet.notes.push(note);
    }
    let n_lost =
        panel.lines.iter().flat_map(|l| &l.points).filter(|p| plan.x.place(p.0).is_none()).count();
    if n_lost > 0 {
        let kind =
            if plan.x_log { "at a negative or unknown position" } else { "at an unknown position" };
        sheet.notes.push(format!("{}: {} {kind} left out.", panel.y_label, values(n_lost)));
    }
}

fn describe(sheet: &mut Sheet, panels: &[Panel], names: &[String], x_label: &str, x: &Extent) {
    let labels: Vec<&str> = panels.iter().map(|panel| panel.y_label.as_str()).collect();
    sheet.description.push(format!("Lines over {x_label}; panels: {}.", labels.join("; ")));
    if !names.is_empty() {
        sheet.description.push(format!("Series: {}.", names.join(", ")));
    }
    if x.n > 0 {
        let (lo, hi) = (crate::number::human(x.lo), crate::number::human(x.hi));
        sheet.description.push(format!("{x_label} from {lo} to {hi}."));
    }
    let marks: Vec<String> = panels
        .iter()
        .flat_map(|panel| &panel.markers)
        .map(|marker| format!("{} at {}", marker.name, crate::number::human(marker.x)))
        .take(30)
        .collect();
    if !marks.is_empty() {
        sheet.description.push(format!("Marked: {}.", marks.join("; ")));
    }
}
