//! Axes: grid lines, ticks, labels that keep their distance.

use super::{SMALL, TEXT};
use crate::font::{Weight, width};
use crate::ink;
use crate::scale::{Scale, Tick};
use crate::svg::{Anchor, Svg, TextStyle};

/// Room under a plot for tick labels and the label of the x axis.
pub(crate) const X_AXIS_ROOM: f64 = 40.0;

/// Ticks of an x axis, with labels dropped where they would touch.
pub(crate) fn x_ticks(scale: &Scale) -> Vec<Tick> {
    let wanted = ((scale.to - scale.from) / 85.0).clamp(2.0, 12.0) as usize;
    let mut ticks = scale.ticks(wanted);
    let mut free_from = f64::NEG_INFINITY;
    for tick in &mut ticks {
        if tick.label.is_empty() {
            continue;
        }
        let half = width(&tick.label, Weight::Regular, SMALL) / 2.0;
        if tick.at - half < free_from {
            tick.label.clear();
        } else {
            free_from = tick.at + half + 8.0;
        }
    }
    ticks
}

/// Draws the line and the ticks of an x axis at height `y`; labels and name only if `label` is given.
pub(crate) fn draw_x(svg: &mut Svg, scale: &Scale, y: f64, label: Option<&str>) {
    let left = scale.zero_at.unwrap_or(scale.from);
    if scale.zero_at.is_some() {
        // The axis is interrupted: between zero and the first decade there is no distance.
        let gap = f64::midpoint(left, scale.from);
        svg.line((left - 4.0, y), (gap - 3.0, y), ink::AXIS);
        svg.line((gap + 3.0, y), (scale.to, y), ink::AXIS);
        svg.line((gap - 5.0, y + 4.0), (gap - 1.0, y - 4.0), ink::AXIS);
        svg.line((gap + 1.0, y + 4.0), (gap + 5.0, y - 4.0), ink::AXIS);
    } else {
        svg.line((left, y), (scale.to, y), ink::AXIS);
    }
    for tick in x_ticks(scale) {
        let length = if tick.label.is_empty() { 3.0 } else { 5.0 };
        svg.line((tick.at, y), (tick.at, y + length), ink::AXIS);
        if label.is_some() {
            let style = TextStyle::new(ink::MUTED, SMALL).anchored(Anchor::Middle);
            svg.text((tick.at, y + 17.0), &tick.label, style);
        }
    }
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        let room = scale.to - left;
        let style = TextStyle::new(ink::INK, TEXT).anchored(Anchor::End).within(room);
        svg.text((scale.to, y + 34.0), &format!("{label} →"), style);
    }
}

/// Ticks of a y axis.
pub(crate) fn y_ticks(scale: &Scale) -> Vec<Tick> {
    let wanted = ((scale.from - scale.to).abs() / 42.0).clamp(2.0, 8.0) as usize;
    let mut ticks = scale.ticks(wanted);
    let mut free_below = f64::INFINITY;
    for tick in &mut ticks {
        if tick.label.is_empty() {
            continue;
        }
        if tick.at > free_below {
            tick.label.clear();
        } else {
            free_below = tick.at - 13.0;
        }
    }
    ticks
}

/// Width of the widest tick label.
pub(crate) fn y_room(scale: &Scale) -> f64 {
    let widths = y_ticks(scale).into_iter().map(|tick| width(&tick.label, Weight::Regular, SMALL));
    widths.fold(0.0, f64::max)
}

/// Draws grid lines from `left` to `right` with their labels at the left.
pub(crate) fn draw_y(svg: &mut Svg, scale: &Scale, left: f64, right: f64) {
    for tick in y_ticks(scale).into_iter().filter(|tick| !tick.label.is_empty()) {
        svg.line((left, tick.at), (right, tick.at), ink::GRID);
        let style = TextStyle::new(ink::MUTED, SMALL).anchored(Anchor::End);
        svg.text((left - 7.0, tick.at + 4.0), &tick.label, style);
    }
}

/// Faint vertical lines at the labelled ticks of an x axis.
pub(crate) fn draw_x_grid(svg: &mut Svg, scale: &Scale, top: f64, bottom: f64) {
    for tick in x_ticks(scale).into_iter().filter(|tick| !tick.label.is_empty()) {
        svg.line((tick.at, top), (tick.at, bottom), ink::GRID);
    }
}
