//! Named vertical lines whose names never lie on each other or across another line.

use ontogeny_core::Marker;

use super::SMALL;
use crate::font::{Weight, width};
use crate::ink;
use crate::scale::Scale;
use crate::svg::{Anchor, Svg, TextStyle};

/// Height of one row of names.
pub(crate) const LANE: f64 = 15.0;
/// Rows beyond which a name is left to the tooltip.
const MAX_LANES: usize = 9;

/// A marker with a place for its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) x: f64,
    pub(crate) value: f64,
    pub(crate) name: String,
    /// Row of the name above the plot, 0 the lowest; `None` if there is no room or no name.
    pub(crate) lane: Option<usize>,
    /// Whether the name stands left of its line.
    flipped: bool,
}

/// Gives each marker a row: the lowest in which its name touches no other name and no other marker's line.
///
/// Names stand right of their lines. Where the right edge is too near, the name and those it would cross stand
/// left of theirs, and higher than the names between them, so that a line never passes through a name.
/// `taken` is the width of a text that already stands in the lowest row.
pub(crate) fn place(
    markers: &[&Marker],
    scale: &Scale,
    left: f64,
    right: f64,
    taken: f64,
) -> Vec<Placed> {
    let mut placed: Vec<Placed> = markers
        .iter()
        .filter_map(|marker| {
            let x = scale.place(marker.x).filter(|&x| x >= left - 0.5 && x <= right + 0.5)?;
            Some(Placed {
                x,
                value: marker.x,
                name: marker.name.clone(),
                lane: None,
                flipped: false,
            })
        })
        .collect();
    placed.sort_by(|a, b| b.x.total_cmp(&a.x));
    let widths: Vec<f64> =
        placed.iter().map(|marker| text_width(&marker.name, right - left)).collect();
    for i in 0..placed.len() {
        let (from, to) = (placed[i].x, placed[i].x + 5.0 + widths[i]);
        let is_crossed = placed[..i].iter().any(|other| other.flipped && other.x <= to + 2.0);
        placed[i].flipped = (to > right + 4.0 || is_crossed) && from - 5.0 - widths[i] >= 0.0;
    }
    // Right of the line: from right to left. Left of the line: from left to right.
    let (flipped, straight): (Vec<usize>, Vec<usize>) =
        (0..placed.len()).partition(|&i| placed[i].flipped);
    let order: Vec<usize> = straight.into_iter().chain(flipped.into_iter().rev()).collect();
    let mut boxes: Vec<(usize, f64, f64)> =
        if taken > 0.0 { vec![(0, 0.0, taken)] } else { Vec::new() };
    for i in order {
        if placed[i].name.is_empty() {
            continue;
        }
        let (x, w) = (placed[i].x, widths[i] + 5.0);
        let (from, to) = if placed[i].flipped { (x - w, x) } else { (x, x + w) };
        let name_is_free = |lane: usize| {
            boxes.iter().all(|&(other, a, b)| other != lane || to + 6.0 < a || from - 6.0 > b)
        };
        let line_is_free = |lane: usize| {
            boxes.iter().all(|&(other, a, b)| other >= lane || x < a - 1.0 || x > b + 1.0)
        };
        let crosses_no_line = |lane: usize| {
            let is_apart = |other: &Placed| other.x < from - 1.0 || other.x > to + 1.0;
            placed.iter().all(|other| other.lane.is_none_or(|l| l <= lane) || is_apart(other))
        };
        let free = (0..MAX_LANES)
            .find(|&lane| name_is_free(lane) && line_is_free(lane) && crosses_no_line(lane));
        let lane = free.or_else(|| (0..MAX_LANES).find(|&lane| name_is_free(lane)));
        placed[i].lane = lane;
        if let Some(lane) = lane {
            boxes.push((lane, from, to));
        }
    }
    placed
}

/// Number of rows in use.
pub(crate) fn n_lanes(placed: &[Placed]) -> usize {
    placed.iter().filter_map(|marker| marker.lane).map(|lane| lane + 1).max().unwrap_or(0)
}

/// Draws the lines from `bottom` up to the row of each name, and the names.
pub(crate) fn draw(
    svg: &mut Svg,
    placed: &[Placed],
    top: f64,
    bottom: f64,
    with_names: bool,
    room: f64,
) {
    for marker in placed {
        let lane = marker.lane.filter(|_| with_names);
        let up_to = lane.map_or(top, |lane| top - LANE * lane as f64 - 12.0);
        svg.tip(&format!("{} at {}", marker.name, crate::number::human(marker.value)));
        svg.line((marker.x, up_to), (marker.x, bottom), ink::MARKER);
        if let Some(lane) = lane {
            let y = top - LANE * lane as f64 - 4.0;
            let (x, anchor) = if marker.flipped {
                (marker.x - 5.0, Anchor::End)
            } else {
                (marker.x + 5.0, Anchor::Start)
            };
            let width = text_width(&marker.name, room) + 1.0;
            svg.text(
                (x, y),
                &marker.name,
                TextStyle::new(ink::MUTED, SMALL).anchored(anchor).within(width),
            );
        }
        svg.end();
    }
}

fn text_width(name: &str, room: f64) -> f64 {
    width(name, Weight::Regular, SMALL).min(room * 0.45)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_close_markers_stand_in_different_rows() {
        let markers: Vec<Marker> = (0..6)
            .map(|i| Marker { x: f64::from(i) * 2.0, name: format!("marker number {i}") })
            .collect();
        let scale = Scale::fixed(0.0, 100.0, false, 0.0, 600.0).unwrap();
        let placed = place(&markers.iter().collect::<Vec<_>>(), &scale, 0.0, 600.0, 0.0);
        let mut lanes: Vec<usize> = placed.iter().filter_map(|m| m.lane).collect();
        lanes.sort_unstable();
        assert_eq!(lanes, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_name_at_the_right_edge_stands_left_of_its_line() {
        let marker = Marker { x: 100.0, name: "the end".to_owned() };
        let scale = Scale::fixed(0.0, 100.0, false, 0.0, 600.0).unwrap();
        let placed = place(&[&marker], &scale, 0.0, 600.0, 0.0);
        assert!(placed[0].flipped && placed[0].lane == Some(0));
    }

    #[test]
    fn every_name_near_the_right_edge_finds_a_row() {
        let markers: Vec<Marker> = (0..5)
            .map(|i| Marker { x: 90.0 + 2.0 * f64::from(i), name: format!("marker number {i}") })
            .collect();
        let scale = Scale::fixed(0.0, 100.0, false, 0.0, 300.0).unwrap();
        let placed = place(&markers.iter().collect::<Vec<_>>(), &scale, 0.0, 300.0, 0.0);
        let mut lanes: Vec<usize> = placed.iter().filter_map(|m| m.lane).collect();
        lanes.sort_unstable();
        assert_eq!(lanes, [0, 1, 2, 3, 4]);
    }
}
