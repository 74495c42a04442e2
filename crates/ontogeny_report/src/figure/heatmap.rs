//! Heatmap: a matrix as colour, with columns and rows where they were measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ontogeny_core::{Heatmap, Marker};

use super::viridis::colour;
use super::{SMALL, Sheet, TEXT, axis, markers};
use crate::extent::{Extent, is_drawable, values};
use crate::font::{Weight, width as width_of};
use crate::ink;
use crate::number::{self, human};
use crate::scale::Scale;
use crate::svg::{Anchor, TextStyle};

/// Distinct colours; more cannot be told apart, and equal neighbours become one shape.
const LEVELS: f64 = 96.0;
/// Cells finer than this are drawn as their mean.
const FINEST: f64 = 1.5;

/// Draws the matrix, its colour bar and its markers.
pub(crate) fn draw(sheet: &mut Sheet, map: &Heatmap) {
    let cells =
        map.values.iter().take(map.y.len()).flat_map(|row| row.iter().take(map.x.len())).copied();
    let value_extent = Extent::of(cells);
    let (x_extent, y_extent) =
        (Extent::of(map.x.iter().copied()), Extent::of(map.y.iter().copied()));
    sheet.description.push(format!(
        "Heatmap of {} over {} ({} columns) and {} ({} rows).",
        map.value_label,
        map.x_label,
        map.x.len(),
        map.y_label,
        map.y.len()
    ));
    let label = TextStyle::new(ink::INK, TEXT).bold().within(sheet.width * 0.55);
    sheet.svg.text((4.0, sheet.y + 13.0), &map.y_label, label);
    let height = if sheet.is_narrow() { 220.0 } else { 300.0 };
    if value_extent.is_empty(false) || x_extent.is_empty(false) || y_extent.is_empty(false) {
        let top = sheet.y + 22.0;
        sheet.no_data((4.0, top), (sheet.width - 8.0, 120.0), &value_extent.reason(false));
        sheet.y = top + 120.0;
        return;
    }
    let is_x_log = is_log_spaced(&map.x);
    let is_colour_log = is_log_valued(map, &value_extent);
    draw_colour_bar(sheet, map, &value_extent, is_colour_log);

    let right = sheet.width - 14.0;
    let rows = edges(&map.y, false);
    let row_extent = Extent::of(rows.iter().flat_map(|&(_, a, b)| [a, b]));
    let y_room = Scale::for_x(&row_extent, false, 0.0, -height).map_or(16.0, |y| axis::y_room(&y));
    let left = y_room.max(16.0) + 12.0;
    let columns = edges(&map.x, is_x_log);
    let column_extent = Extent::of(columns.iter().flat_map(|&(_, a, b)| [a, b]));
    let Some(x) = Scale::for_x(&column_extent, is_x_log, left, right) else { return };
    let found: Vec<&Marker> = map.markers.iter().collect();
    let placed = markers::place(&found, &x, left, right, 0.0);
    let lanes = markers::n_lanes(&placed) as f64 * markers::LANE;
    let top = sheet.y + 26.0 + lanes;
    let bottom = top + height;
    let Some(y) = Scale::for_x(&row_extent, false, bottom, top) else { return };

    draw_hatch(sheet, (left, top), (right - left, height));
    let cells = Cells { map, columns: &columns, rows: &rows, x: &x, y: &y };
    let n_merged = cells.draw(sheet, &value_extent, is_colour_log);
    for tick in axis::y_ticks(&y).into_iter().filter(|tick| !tick.label.is_empty()) {
        let style = TextStyle::new(ink::MUTED, SMALL).anchored(Anchor::End);
        sheet.svg.text((left - 7.0, tick.at + 4.0), &tick.label, style);
        sheet.svg.line((left - 4.0, tick.at), (left, tick.at), ink::AXIS);
    }
    markers::draw(&mut sheet.svg, &placed, top, bottom, true, right - left);
    for marker in &placed {
        let paint = "stroke=\"#ffffff\" stroke-width=\"1.2\" stroke-dasharray=\"3 3\"";
        sheet.svg.line((marker.x, top), (marker.x, bottom), paint);
    }
    sheet.svg.group(&format!(
        "class=\"plot cells\" data-name=\"{}\" data-row=\"{}\" data-x=\"{}\" data-y=\"{}\"",
        crate::escape::xml(&map.x_label),
        crate::escape::xml(&map.y_label),
        x.attribute(),
        y.attribute()
    ));
    sheet.svg.rect(
        (left, top),
        (right - left, height),
        "class=\"hit\" fill=\"#000\" fill-opacity=\"0\"",
    );
    sheet.svg.end();
    axis::draw_x(&mut sheet.svg, &x, bottom, Some(&map.x_label));
    sheet.y = bottom + axis::X_AXIS_ROOM;
    let n_missing = map.x.len() * map.y.len() - value_extent.n;
    if n_missing > 0 {
        sheet.notes.push(format!("Hatched: not measured or not finite ({}).", values(n_missing)));
    }
    if n_merged > 0 {
        sheet.notes.push("Cells finer than the drawing are shown as their mean.".to_owned());
    }
}

/// The matrix with the place of each cell.
struct Cells<'a> {
    map: &'a Heatmap,
    /// (index, from, to) in values, ascending.
    columns: &'a [(usize, f64, f64)],
    rows: &'a [(usize, f64, f64)],
    x: &'a Scale,
    y: &'a Scale,
}

impl Cells<'_> {
    /// Draws all cells as one path per colour; returns the number of cells that were averaged.
    fn draw(&self, sheet: &mut Sheet, extent: &Extent, log: bool) -> usize {
        let columns = bins(self.columns, self.x);
        let rows = bins(self.rows, self.y);
        let mut paths: BTreeMap<u32, String> = BTreeMap::new();
        let mut n_merged = 0;
        for row in &rows {
            let mut run: Option<(u32, f64, f64)> = None;
            for column in &columns {
                let level =
                    self.mean(row, column, &mut n_merged).and_then(|v| share(v, extent, log));
                let level = level.map(|share| (share * LEVELS).round() as u32);
                run = match (run, level) {
                    (Some((old, from, _)), Some(new)) if old == new => Some((old, from, column.to)),
                    (old, new) => {
                        push_run(&mut paths, old, row);
                        new.map(|level| (level, column.from, column.to))
                    }
                };
            }
            push_run(&mut paths, run, row);
        }
        for (level, path) in paths {
            let fill = colour(f64::from(level) / LEVELS);
            sheet.svg.path(&path, &format!("fill=\"{fill}\" shape-rendering=\"crispEdges\""));
        }
        n_merged
    }

    fn mean(&self, row: &Bin, column: &Bin, n_merged: &mut usize) -> Option<f64> {
        let (mut sum, mut n) = (0.0, 0usize);
        for &r in &row.members {
            for &c in &column.members {
                let value = self.map.values.get(r).and_then(|row| row.get(c)).copied();
                if let Some(value) = value.filter(|&v| is_drawable(v)) {
                    sum += value;
                    n += 1;
                }
            }
        }
        *n_merged += if n > 1 { n } else { 0 };
        (n > 0).then(|| sum / n as f64)
    }
}

/// Neighbouring rows or columns that share a strip of the paper.
#[derive(Debug)]
struct Bin {
    from: f64,
    to: f64,
    members: Vec<usize>,
}

fn bins(edges: &[(usize, f64, f64)], scale: &Scale) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    for &(idx, from, to) in edges {
        let (Some(a), Some(b)) = (scale.place(from), scale.place(to)) else { continue };
        let (from, to) = (a.min(b).round(), a.max(b).round());
        match bins.last_mut() {
            Some(last) if last.to - last.from < FINEST => {
                last.from = last.from.min(from);
                last.to = last.to.max(to);
                last.members.push(idx);
            }
            _ => bins.push(Bin { from, to: to.max(from), members: vec![idx] }),
        }
    }
    bins
}

fn push_run(paths: &mut BTreeMap<u32, String>, run: Option<(u32, f64, f64)>, row: &Bin) {
    if let Some((level, from, to)) = run {
        let path = paths.entry(level).or_default();
        let (w, h) = (to - from, row.to - row.from);
        // A little overlap hides the seams that some printers leave between neighbours.
        let (w, h) = (w + 0.4, h + 0.4);
        let _ = write!(path, "M{from} {}h{w:.1}v{h:.1}h-{w:.1}z", row.from); // a String takes it
    }
}

/// Edges half-way to the neighbours, in ascending order of position: (index, from, to).
fn edges(positions: &[f64], log: bool) -> Vec<(usize, f64, f64)> {
    let forth = |v: f64| if log { v.ln() } else { v };
    let back = |v: f64| if log { v.exp() } else { v };
    let is_placed = |v: f64| is_drawable(v) && (!log || v > 0.0);
    let mut order: Vec<usize> = (0..positions.len()).filter(|&i| is_placed(positions[i])).collect();
    order.sort_by(|&a, &b| positions[a].total_cmp(&positions[b]));
    let at: Vec<f64> = order.iter().map(|&i| forth(positions[i])).collect();
    let half = |i: usize, j: usize| (at[j] - at[i]) / 2.0;
    let n = at.len();
    (0..n)
        .map(|k| {
            let (before, after) = match (k > 0, k + 1 < n) {
                (true, true) => (half(k - 1, k), half(k, k + 1)),
                (true, false) => (half(k - 1, k), half(k - 1, k)),
                (false, true) => (half(k, k + 1), half(k, k + 1)),
                (false, false) => (0.5, 0.5),
            };
            (order[k], back(at[k] - before), back(at[k] + after))
        })
        .collect()
}

/// Whether positions are more evenly spaced on a logarithmic axis, over two decades at least.
fn is_log_spaced(positions: &[f64]) -> bool {
    let mut sorted: Vec<f64> = positions.iter().copied().filter(|&v| is_drawable(v)).collect();
    sorted.sort_by(f64::total_cmp);
    let spans =
        sorted.len() >= 4 && sorted[0] > 0.0 && sorted[sorted.len() - 1] / sorted[0] >= 100.0;
    spans
        && unevenness(&sorted.iter().map(|v| v.ln()).collect::<Vec<_>>())
            < 0.7 * unevenness(&sorted)
}

/// Coefficient of variation of the distances between neighbours.
fn unevenness(sorted: &[f64]) -> f64 {
    let gaps: Vec<f64> = sorted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    variance.sqrt() / mean
}

/// Whether colour should follow the logarithm: all values positive, three decades, most of them small.
fn is_log_valued(map: &Heatmap, extent: &Extent) -> bool {
    if extent.n_not_positive > 0 || extent.hi / extent.lo_positive < 1e3 {
        return false;
    }
    let mut all: Vec<f64> =
        map.values.iter().flatten().copied().filter(|&v| is_drawable(v)).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).is_some_and(|median| *median < 0.02 * extent.hi)
}

fn share(value: f64, extent: &Extent, log: bool) -> Option<f64> {
    let (lo, hi, value) = if log {
        (extent.lo_positive.ln(), extent.hi.ln(), value.ln())
    } else {
        (extent.lo, extent.hi, value)
    };
    let share = if hi > lo { (value - lo) / (hi - lo) } else { 0.5 };
    is_drawable(share).then_some(share.clamp(0.0, 1.0))
}

fn draw_colour_bar(sheet: &mut Sheet, map: &Heatmap, extent: &Extent, log: bool) {
    let width = if sheet.is_narrow() { 110.0 } else { 180.0 };
    let left = sheet.width - 14.0 - width;
    let y = sheet.y + 4.0;
    let n = 48;
    for i in 0..n {
        let from = (left + width * f64::from(i) / f64::from(n)).round();
        let to = (left + width * f64::from(i + 1) / f64::from(n)).round();
        let fill = colour((f64::from(i) + 0.5) / f64::from(n));
        sheet.svg.rect(
            (from, y),
            (to - from, 9.0),
            &format!("fill=\"{fill}\" shape-rendering=\"crispEdges\""),
        );
    }
    let small = TextStyle::new(ink::MUTED, SMALL);
    let lo = if log { extent.lo_positive } else { extent.lo };
    let put = |sheet: &mut Sheet, at: f64, label: &str, anchor: Anchor| {
        sheet.svg.line((at, y + 9.0), (at, y + 13.0), ink::AXIS);
        sheet.svg.text((at, y + 24.0), label, small.anchored(anchor));
    };
    if extent.hi > lo {
        // The ends are what the colours mean; a middle value only if it has room.
        let (low, high) = (number::short(lo), number::short(extent.hi));
        let middle = if log { (lo * extent.hi).sqrt() } else { f64::midpoint(lo, extent.hi) };
        let middle = number::short(middle);
        let taken = [&low, &high, &middle]
            .map(|label| width_of(label, Weight::Regular, SMALL))
            .iter()
            .sum::<f64>();
        put(sheet, left, &low, Anchor::Start);
        put(sheet, left + width, &high, Anchor::End);
        if taken + 24.0 < width {
            put(sheet, left + width / 2.0, &middle, Anchor::Middle);
        }
    } else {
        put(sheet, left + width / 2.0, &format!("all {}", human(lo)), Anchor::Middle);
    }
    let style = TextStyle::new(ink::INK, TEXT).anchored(Anchor::End).within(left - 30.0);
    let at =
        if sheet.is_narrow() { (sheet.width - 14.0, y + 40.0) } else { (left - 10.0, y + 9.0) };
    sheet.svg.text(at, &map.value_label, style);
    sheet.y += if sheet.is_narrow() { 32.0 } else { 12.0 };
}

fn draw_hatch(sheet: &mut Sheet, corner: (f64, f64), size: (f64, f64)) {
    sheet.svg.rect(corner, size, ink::SHADE);
    let mut path = String::new();
    let mut offset = 8.0;
    while offset < size.0 + size.1 {
        let (x1, y1) = if offset < size.1 { (0.0, offset) } else { (offset - size.1, size.1) };
        let (x2, y2) = if offset < size.0 { (offset, 0.0) } else { (size.0, offset - size.0) };
        let (x1, y1, x2, y2) = (corner.0 + x1, corner.1 + y1, corner.0 + x2, corner.1 + y2);
        let _ = write!(path, "M{x1:.0} {y1:.0}L{x2:.0} {y2:.0}"); // writing to a String cannot fail
        offset += 8.0;
    }
    sheet.svg.path(&path, ink::HATCH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_lie_half_way_and_positions_may_come_in_any_order() {
        assert_eq!(edges(&[4.0, 0.0, 2.0], false), [(1, -1.0, 1.0), (2, 1.0, 3.0), (0, 3.0, 5.0)]);
        assert_eq!(edges(&[7.0], false), [(0, 6.5, 7.5)]);
    }

    #[test]
    fn spacing_decides_the_axis() {
        assert!(is_log_spaced(&[1.0, 10.0, 100.0, 1000.0]));
        assert!(!is_log_spaced(&(1..500).map(f64::from).collect::<Vec<_>>()));
        assert!(!is_log_spaced(&[0.0, 10.0, 100.0, 1000.0]));
    }
}
