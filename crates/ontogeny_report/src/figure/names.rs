//! Names of lines: at their ends where there is room, else in a legend.

use std::collections::BTreeMap;

use ontogeny_core::Panel;

use super::legend::Sample;
use super::panels::Plan;
use super::{Sheet, TEXT};
use crate::font::{Weight, width};
use crate::ink;
use crate::scale::Scale;
use crate::svg::TextStyle;

/// Distance of two names at line ends.
const NAME_GAP: f64 = 14.0;

/// Names of all lines and bands, in order of appearance.
pub(crate) fn names(panels: &[Panel]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in panels.iter().flat_map(panel_names) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Names in one panel, in order of appearance.
pub(crate) fn panel_names(panel: &Panel) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let all =
        panel.lines.iter().map(|line| &line.name).chain(panel.bands.iter().map(|band| &band.name));
    for name in all.filter(|name| !name.is_empty()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// Room for names at line ends, or `None` if a legend serves better.
pub(crate) fn direct_room(sheet: &Sheet, panels: &[Panel], height: f64) -> Option<f64> {
    let names: Vec<Vec<&str>> = panels.iter().map(panel_names).collect();
    let widest =
        names.iter().flatten().map(|name| width(name, Weight::SemiBold, TEXT)).fold(0.0, f64::max);
    let most = names.iter().map(Vec::len).max().unwrap_or(0);
    let fits = most > 0 && widest <= sheet.width * 0.2 && most as f64 * NAME_GAP <= height * 0.75;
    (fits && (!sheet.is_narrow() || widest <= 64.0)).then_some(widest + 18.0)
}

/// Legend entries for all names.
pub(crate) fn legend_entries(
    panels: &[Panel],
    slots: &BTreeMap<String, usize>,
) -> Vec<(String, Sample)> {
    let sample = |name: &str, slot: usize| {
        let mut own = panels.iter().flat_map(|p| &p.lines).filter(|line| line.name == name);
        let first = own.clone().find(|line| !line.faint).or_else(|| own.next());
        first.map_or(Sample::Band { slot }, |line| Sample::Line {
            slot,
            dashed: line.dashed,
            symbol: !line.faint,
        })
    };
    names(panels)
        .into_iter()
        .filter_map(|name| slots.get(&name).map(|&slot| (name.clone(), sample(&name, slot))))
        .collect()
}

/// Writes each name at the end of its line, moved apart where they would touch.
pub(crate) fn name_line_ends(
    sheet: &mut Sheet,
    plan: &Plan,
    y: &Scale,
    panel: &Panel,
    top: f64,
    bottom: f64,
) {
    let mut ends: Vec<(f64, f64, &str, usize)> = Vec::new();
    for name in panel_names(panel) {
        let own = panel.lines.iter().filter(|line| line.name == name);
        let line = own.clone().find(|line| !line.faint).or_else(|| own.clone().next());
        let from_line = line.and_then(|line| {
            let place = |&(px, py): &(f64, f64)| Some((plan.x.place(px)?, y.place(py)?));
            line.points.iter().rev().find_map(place)
        });
        let from_band = || {
            let band = panel.bands.iter().find(|band| band.name == name)?;
            let place = |p: &(f64, f64, f64)| {
                Some((plan.x.place(p.0)?, f64::midpoint(y.place(p.1)?, y.place(p.2)?)))
            };
            band.points.iter().rev().find_map(place)
        };
        if let (Some((x, y)), Some(&slot)) = (from_line.or_else(from_band), plan.slots.get(name)) {
            ends.push((x, y.clamp(top, bottom), name, slot));
        }
    }
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let spread =
        spread(&ends.iter().map(|end| end.1).collect::<Vec<_>>(), NAME_GAP, top + 2.0, bottom);
    for ((x, y, name, slot), at) in ends.into_iter().zip(spread) {
        let start = plan.right + 12.0;
        if x < plan.right - 8.0 || (at - y).abs() > 3.0 {
            let paint = format!("{} stroke-width=\"1\" stroke-opacity=\"0.55\"", ink::stroke(slot));
            let from = (x.max(plan.left) + 3.0, y);
            if x < plan.right - 8.0 {
                let dotted = format!("{paint} stroke-dasharray=\"1 3\"");
                sheet.svg.line(from, (plan.right + 2.0, y), &dotted);
            }
            sheet.svg.line((plan.right + 2.0, y), (start - 2.0, at), &paint);
        }
        let style = TextStyle::new("", TEXT).bold().within(sheet.width - start);
        sheet.svg.text((start, at + 4.0), name, TextStyle { paint: &ink::text(slot), ..style });
    }
}

/// Moves sorted positions apart to at least `gap`, staying within the limits where possible.
fn spread(positions: &[f64], gap: f64, lo: f64, hi: f64) -> Vec<f64> {
    let mut out = positions.to_vec();
    for _ in 0..40 {
        let mut is_settled = true;
        for i in 1..out.len() {
            let short = gap - (out[i] - out[i - 1]);
            if short > 0.01 {
                out[i - 1] -= short / 2.0;
                out[i] += short / 2.0;
                is_settled = false;
            }
        }
        if let Some(first) = out.first_mut().filter(|first| **first < lo) {
            *first = lo;
            is_settled = false;
        }
        if let Some(last) = out.last_mut().filter(|last| **last > hi) {
            *last = hi;
            is_settled = false;
        }
        if is_settled {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_apart_and_stay_inside() {
        let out = spread(&[10.0, 11.0, 12.0, 99.0], 14.0, 5.0, 100.0);
        assert!(out.windows(2).all(|pair| pair[1] - pair[0] > 13.5), "{out:?}");
        assert!(out[0] >= 4.5 && out[3] <= 100.5, "{out:?}");
    }
}
