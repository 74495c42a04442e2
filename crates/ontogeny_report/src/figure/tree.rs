//! The lineage of runs: one row per run over the steps, forks leaving their parent at their step.

use ontogeny_core::TreeNode;

use super::legend::{self, Sample};
use super::{SMALL, Sheet, TEXT, axis};
use crate::extent::Extent;
use crate::font::{Weight, width};
use crate::ink;
use crate::number::human;
use crate::scale::Scale;
use crate::svg::TextStyle;

/// Nesting beyond which forks are no further indented.
const MAX_INDENT: usize = 6;
/// Runs beyond which the rest is counted instead of drawn.
const MAX_ROWS: usize = 400;
/// Nesting beyond which forks are not followed.
const MAX_DEPTH: usize = 64;

/// A run with its row.
struct Row<'a> {
    node: &'a TreeNode,
    depth: usize,
    parent: Option<usize>,
}

/// Draws the trees below each other over one axis of steps.
pub(crate) fn tree_svg(name: &str, roots: &[TreeNode], page_width: f64) -> String {
    let mut sheet = Sheet::new(name, page_width);
    let mut rows = Vec::new();
    for root in roots {
        collect(root, 0, None, &mut rows);
    }
    if rows.is_empty() {
        sheet.no_data((4.0, 4.0), (page_width - 8.0, 90.0), "no runs were recorded");
        sheet.y = 94.0;
        return sheet.finish("Lineage of runs");
    }
    draw(&mut sheet, &rows);
    sheet.finish("Lineage of runs and forks")
}

fn collect<'a>(node: &'a TreeNode, depth: usize, parent: Option<usize>, rows: &mut Vec<Row<'a>>) {
    let idx = rows.len();
    rows.push(Row { node, depth, parent });
    if depth < MAX_DEPTH {
        for child in &node.children {
            collect(child, depth + 1, Some(idx), rows);
        }
    }
}

fn draw(sheet: &mut Sheet, all: &[Row<'_>]) {
    let rows = &all[..all.len().min(MAX_ROWS)];
    let mut kinds: Vec<&str> = Vec::new();
    for (_, kind) in rows.iter().flat_map(|row| &row.node.events) {
        if !kinds.contains(&kind.as_str()) {
            kinds.push(kind);
        }
    }
    let lines = rows.iter().map(|row| describe(row.node));
    sheet.description.push(format!(
        "{} runs. {}",
        all.len(),
        lines.take(40).collect::<Vec<_>>().join(" ")
    ));
    let samples: Vec<(String, Sample)> = kinds
        .iter()
        .enumerate()
        .map(|(slot, kind)| ((*kind).to_owned(), Sample::Symbol { slot }))
        .collect();
    legend::draw(sheet, &samples, 4.0);

    let stacked = sheet.is_narrow();
    let indent = |row: &Row<'_>| 12.0 * row.depth.min(MAX_INDENT) as f64;
    let widest = rows.iter().map(|row| {
        let label = width(&row.node.label, Weight::SemiBold, TEXT);
        label.max(width(&row.node.note, Weight::Regular, SMALL)) + indent(row)
    });
    let left = if stacked {
        12.0
    } else {
        (widest.fold(0.0, f64::max) + 24.0).clamp(120.0, sheet.width * 0.4)
    };
    let right = sheet.width - 16.0;
    let has_notes = rows.iter().any(|row| !row.node.note.is_empty());
    let height = match (stacked, has_notes) {
        (true, true) => 52.0,
        (true, false) => 38.0,
        (false, true) => 36.0,
        (false, false) => 26.0,
    };
    let mut extent = Extent::default();
    for row in rows {
        extent.add_all([row.node.span.0 as f64, row.node.span.1 as f64]);
        extent.add_all(row.node.events.iter().map(|event| event.0 as f64));
    }
    let Some(x) = Scale::for_x(&extent, false, left, right) else { return };
    let top = sheet.y + 4.0;
    let bottom = top + height * rows.len() as f64 + 4.0;
    axis::draw_x_grid(&mut sheet.svg, &x, top, bottom);
    let mid =
        |idx: usize| top + height * idx as f64 + if stacked { height - 12.0 } else { height / 2.0 };

    for (idx, row) in rows.iter().enumerate() {
        let node = row.node;
        let y = mid(idx);
        let (Some(from), Some(to)) = (x.place(node.span.0 as f64), x.place(node.span.1 as f64))
        else {
            continue;
        };
        if let Some(parent) = row.parent {
            // The branch leaves the parent's line and bends into its own.
            let up = mid(parent);
            let bend = 9.0_f64.min((to - from).abs().max(2.0)).min(y - up);
            let path = format!(
                "M{from:.1} {up:.1}V{:.1}Q{from:.1} {y:.1} {:.1} {y:.1}",
                y - bend,
                from + bend
            );
            sheet
                .svg
                .path(&path, r##"class="br" fill="none" stroke="#9aa3ad" stroke-width="1.5""##);
        }
    }
    for (idx, row) in rows.iter().enumerate() {
        let node = row.node;
        let y = mid(idx);
        let (Some(from), Some(to)) = (x.place(node.span.0 as f64), x.place(node.span.1 as f64))
        else {
            continue;
        };
        sheet.svg.tip(&describe(node));
        let band_top = top + height * idx as f64;
        sheet.svg.rect(
            (0.0, band_top),
            (sheet.width, height),
            "class=\"row\" fill=\"#000\" fill-opacity=\"0\"",
        );
        let bend = if row.parent.is_some() { 9.0_f64.min(to - from) } else { 0.0 };
        let (class, colour) =
            if row.parent.is_some() { ("fk", "#7d8791") } else { ("rt", "#3d454d") };
        let paint = format!(
            "class=\"{class}\" stroke=\"{colour}\" stroke-width=\"2.5\" stroke-linecap=\"round\""
        );
        sheet.svg.line((from + bend, y), (to.max(from + bend), y), &paint);
        sheet.svg.line((to, y - 4.5), (to, y + 4.5), &paint);
        if stacked {
            draw_names_above(sheet, node, from, band_top);
        } else {
            draw_names_beside(sheet, node, indent(row) + 4.0, y, left);
        }
        sheet.svg.end();
        for (step, kind) in &node.events {
            let slot = kinds.iter().position(|known| known == kind).unwrap_or(0);
            if let Some(at) = x.place(*step as f64) {
                sheet.svg.tip(&format!("{}: {kind} at {}", node.label, human(*step as f64)));
                sheet.svg.path(&ink::symbol(slot, at, y, 5.0), &ink::dot(slot));
                sheet.svg.end();
            }
        }
    }
    axis::draw_x(&mut sheet.svg, &x, bottom, Some("step"));
    sheet.y = bottom + axis::X_AXIS_ROOM;
    if all.len() > rows.len() {
        sheet.notes.push(format!("{} further runs are not drawn.", all.len() - rows.len()));
    }
}

/// Names in the column left of the lines.
fn draw_names_beside(sheet: &mut Sheet, node: &TreeNode, x: f64, y: f64, left: f64) {
    let label = TextStyle::new(ink::INK, TEXT).bold().within(left - x - 14.0);
    let note = TextStyle::new(ink::MUTED, SMALL).within(left - x - 14.0);
    if node.note.is_empty() {
        sheet.svg.text((x, y + 4.0), &node.label, label);
    } else {
        sheet.svg.text((x, y - 2.5), &node.label, label);
        sheet.svg.text((x, y + 11.5), &node.note, note);
    }
}

/// Names above the line, right of the branch where there is room, so that no branch runs through them.
fn draw_names_above(sheet: &mut Sheet, node: &TreeNode, from: f64, band_top: f64) {
    let label = TextStyle::new(ink::INK, TEXT).bold().within(sheet.width - 20.0);
    let note = TextStyle::new(ink::MUTED, SMALL).within(sheet.width - 20.0);
    let widest = width(&node.label, label.weight, TEXT).max(width(&node.note, note.weight, SMALL));
    let x = (from + 7.0).min(sheet.width - 6.0 - widest).max(4.0);
    sheet.svg.text((x, band_top + 14.0), &node.label, label.over_marks());
    sheet.svg.text((x, band_top + 28.0), &node.note, note.over_marks());
}

fn describe(node: &TreeNode) -> String {
    let span = format!("steps {} to {}", human(node.span.0 as f64), human(node.span.1 as f64));
    let note = if node.note.is_empty() { String::new() } else { format!("; {}", node.note) };
    format!("{}: {span}{note}.", node.label)
}
