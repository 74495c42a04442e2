//! Fans: forecasts as nested intervals, each with the step it was made at and what came of it.

use ontogeny_core::Fan;

use super::{SMALL, Sheet, TEXT, axis};
use crate::extent::{Extent, is_drawable};
use crate::font::{Weight, width};
use crate::ink;
use crate::number::human;
use crate::scale::Scale;
use crate::svg::{Anchor, TextStyle};

/// Width of the column "beyond the horizon".
const NEVER: f64 = 74.0;

/// How all fans of a figure are laid out.
struct Plan {
    x: Scale,
    left: f64,
    right: f64,
    row: f64,
    /// Whether the target is an event time, so that cutoff and horizon lie on its axis.
    is_time: bool,
    has_never: bool,
    /// Whether the name stands above its row instead of beside it.
    stacked: bool,
}

/// Draws one row per forecast, grouped by who forecasts.
pub(crate) fn draw(sheet: &mut Sheet, x_label: &str, x_log: bool, fans: &[Fan]) {
    let mut groups: Vec<&str> = Vec::new();
    for fan in fans {
        if !groups.contains(&fan.group.as_str()) {
            groups.push(&fan.group);
        }
    }
    sheet.description.push(format!(
        "Forecasts of {x_label}: {} fans by {}.",
        fans.len(),
        groups.join(", ")
    ));
    let is_time = is_time(fans);
    let extent = extent(fans, is_time);
    if extent.is_empty(x_log) {
        let reason = match fans.len() {
            0 => "no forecast was sealed".to_owned(),
            n => format!("{n} forecasts, none predictable and no outcome"),
        };
        sheet.no_data((4.0, sheet.y), (sheet.width - 8.0, 120.0), &reason);
        sheet.y += 120.0;
        return;
    }
    let has_never = is_time && fans.iter().any(|fan| fan.never_prob > 0.0 || fan.outcome.is_none());
    let stacked = sheet.is_narrow();
    let widest =
        fans.iter().map(|fan| width(&fan.label, Weight::Regular, TEXT)).fold(0.0, f64::max);
    let widest_cutoff =
        fans.iter().map(|fan| width(&cutoff_text(fan), Weight::Regular, SMALL)).fold(0.0, f64::max);
    let left = if stacked {
        14.0
    } else {
        (widest + widest_cutoff + 26.0).clamp(60.0, sheet.width * 0.34)
    };
    let right = sheet.width - if has_never { NEVER + 22.0 } else { 18.0 };
    let Some(x) = Scale::for_x(&extent, x_log, left + 6.0, right - 6.0) else { return };
    let row = if stacked {
        38.0
    } else if fans.len() > 40 {
        19.0
    } else {
        24.0
    };
    let plan = Plan { x, left, right, row, is_time, has_never, stacked };
    draw_key(sheet, &plan, fans);
    let top = sheet.y;
    let heads =
        if groups.len() > 1 || !groups.iter().all(|name| name.is_empty()) { 28.0 } else { 6.0 };
    let bottom = top + groups.len() as f64 * heads + fans.len() as f64 * row + 6.0;
    axis::draw_x_grid(&mut sheet.svg, &plan.x, top, bottom);
    if plan.has_never {
        let corner = (plan.right + 12.0, top);
        sheet.svg.rect(corner, (NEVER, bottom - top), ink::SHADE);
        let style = TextStyle::new(ink::MUTED, SMALL).anchored(Anchor::Middle).within(NEVER + 24.0);
        sheet.svg.text((plan.right + 12.0 + NEVER / 2.0, bottom + 17.0), "P(never)", style);
    }
    let mut y = top;
    for (slot, group) in groups.iter().enumerate() {
        if heads > 10.0 {
            sheet.svg.path(&ink::symbol(slot, 9.0, y + 14.0, 4.5), &ink::fill(slot));
            let name = if group.is_empty() { "forecast" } else { group };
            let style = TextStyle::new("", TEXT).bold().within(sheet.width - 30.0).over_marks();
            sheet.svg.text((20.0, y + 18.0), name, TextStyle { paint: &ink::text(slot), ..style });
        }
        y += heads;
        for fan in fans.iter().filter(|fan| fan.group == **group) {
            draw_fan(sheet, &plan, fan, slot, y);
            y += row;
        }
    }
    axis::draw_x(&mut sheet.svg, &plan.x, bottom, Some(x_label));
    sheet.y = bottom + axis::X_AXIS_ROOM;
    let n_odd =
        fans.iter().filter(|fan| !fan.quantiles.is_empty() && quantiles(fan).is_none()).count();
    if n_odd > 0 {
        sheet.notes.push(format!("{n_odd} forecasts hold quantiles that cannot be drawn."));
    }
}

fn draw_fan(sheet: &mut Sheet, plan: &Plan, fan: &Fan, slot: usize, top: f64) {
    sheet.svg.tip(&tooltip(fan));
    sheet.svg.rect(
        (0.0, top),
        (sheet.width, plan.row),
        "class=\"row\" fill=\"#000\" fill-opacity=\"0\"",
    );
    let mid = if plan.stacked { top + 27.0 } else { top + plan.row / 2.0 };
    let text_y = if plan.stacked { top + 13.0 } else { mid + 4.0 };
    let cutoff = cutoff_text(fan);
    let cutoff_width = width(&cutoff, Weight::Regular, SMALL);
    let name_room = if plan.stacked { sheet.width * 0.6 } else { plan.left - cutoff_width - 22.0 };
    let name = TextStyle::new(ink::INK, TEXT).within(name_room.max(30.0));
    sheet.svg.text((4.0, text_y), &fan.label, name);
    let cutoff_x = if plan.stacked { sheet.width - 6.0 } else { plan.left - 8.0 };
    sheet.svg.text(
        (cutoff_x, text_y),
        &cutoff,
        TextStyle::new(ink::MUTED, SMALL).anchored(Anchor::End),
    );

    let cutoff_at = if plan.is_time { plan.x.place_within(fan.cutoff) } else { None };
    let end =
        if plan.is_time { plan.x.place_within(fan.horizon) } else { None }.unwrap_or(plan.right);
    let start = cutoff_at.unwrap_or(plan.left);
    if !fan.quantiles.is_empty() {
        sheet.svg.line((start, mid), (end, mid), if plan.is_time { ink::AXIS } else { ink::GRID });
    }
    if let Some(at) = cutoff_at {
        sheet.svg.line(
            (at, mid - 7.0),
            (at, mid + 7.0),
            &format!("{} stroke-width=\"2\"", ink::stroke(6)),
        );
    }
    if plan.is_time && end < plan.right - 8.0 && !fan.quantiles.is_empty() {
        sheet.svg.line((end, mid - 4.0), (end, mid + 4.0), ink::AXIS);
    }
    if fan.quantiles.is_empty() {
        let style = TextStyle::new(ink::MUTED, SMALL).over_marks();
        sheet.svg.text((start + 9.0, mid + 4.0), "not predictable", style);
    } else if let Some(q) = quantiles(fan) {
        for (low, high, thick, opacity) in
            [(0, 6, 3.0, 0.35), (1, 5, 7.0, 0.45), (2, 4, 11.0, 0.95)]
        {
            if let (Some(a), Some(b)) = (plan.x.place_within(q[low]), plan.x.place_within(q[high]))
            {
                let (a, b) = (a.min(b), (b.max(a)).max(a.min(b) + 1.5));
                let paint = format!("{} fill-opacity=\"{opacity}\" rx=\"1.5\"", ink::fill(slot));
                sheet.svg.rect((a, mid - thick / 2.0), (b - a, thick), &paint);
            }
        }
        if let Some(at) = plan.x.place_within(q[3]) {
            let paint = "class=\"sp\" stroke=\"#ffffff\" stroke-width=\"2\"";
            sheet.svg.line((at, mid - 5.5), (at, mid + 5.5), paint);
        }
    }
    if plan.has_never {
        draw_never(sheet, plan, fan, slot, mid);
    }
    if let Some(at) = fan.outcome.and_then(|outcome| plan.x.place_within(outcome)) {
        sheet.svg.circle((at, mid), 4.6, ink::STRONG);
    }
    sheet.svg.end();
}

fn draw_never(sheet: &mut Sheet, plan: &Plan, fan: &Fan, slot: usize, mid: f64) {
    let left = plan.right + 16.0;
    let room = NEVER - 38.0;
    if fan.never_prob.is_finite() && !fan.quantiles.is_empty() {
        let prob = fan.never_prob.clamp(0.0, 1.0);
        let paint = format!("{} fill-opacity=\"0.8\"", ink::fill(slot));
        sheet.svg.rect((left, mid - 4.0), (prob * room, 8.0), &paint);
        let style = TextStyle::new(ink::MUTED, SMALL);
        sheet.svg.text((left + prob * room + 4.0, mid + 4.0), &percent(prob), style);
    }
    if fan.outcome.is_none() {
        sheet.svg.circle((plan.right + 4.0, mid), 4.4, ink::HOLLOW);
    }
}

fn draw_key(sheet: &mut Sheet, plan: &Plan, fans: &[Fan]) {
    let y = sheet.y + 12.0;
    let style = TextStyle::new(ink::MUTED, SMALL);
    let mut x = 4.0;
    let mut put = |sheet: &mut Sheet, sample: f64, text: &str, mark: &dyn Fn(&mut Sheet, f64)| {
        let wide = sample + width(text, Weight::Regular, SMALL) + 16.0;
        if x + wide > sheet.width {
            x = 4.0;
            sheet.y += 17.0;
        }
        let dy = sheet.y + 12.0 - y;
        sheet.svg.group(&format!("transform=\"translate(0 {})\"", crate::svg::n(dy)));
        mark(sheet, x);
        sheet.svg.text((x + sample, y), text, style);
        sheet.svg.end();
        x += wide;
    };
    put(sheet, 54.0, "50, 80, 90 % and median", &|sheet, x| {
        for (inset, thick, opacity) in [(0.0, 3.0, 0.35), (7.0, 7.0, 0.45), (15.0, 11.0, 0.95)] {
            let paint = format!("{} fill-opacity=\"{opacity}\" rx=\"1.5\"", ink::fill(6));
            sheet.svg.rect((x + inset, y - 4.0 - thick / 2.0), (48.0 - 2.0 * inset, thick), &paint);
        }
        sheet.svg.line(
            (x + 22.0, y - 9.5),
            (x + 22.0, y + 1.5),
            "class=\"sp\" stroke=\"#ffffff\" stroke-width=\"2\"",
        );
    });
    if plan.is_time {
        put(sheet, 12.0, "forecast made here", &|sheet, x| {
            let paint = format!("{} stroke-width=\"2\"", ink::stroke(6));
            sheet.svg.line((x + 4.0, y - 11.0), (x + 4.0, y + 3.0), &paint);
        });
    }
    if plan.is_time {
        put(sheet, 26.0, "horizon", &|sheet, x| {
            sheet.svg.line((x, y - 4.0), (x + 18.0, y - 4.0), ink::AXIS);
            sheet.svg.line((x + 18.0, y - 8.0), (x + 18.0, y), ink::AXIS);
        });
    }
    if fans.iter().any(|fan| fan.outcome.is_some()) {
        put(sheet, 14.0, "outcome", &|sheet, x| {
            sheet.svg.circle((x + 5.0, y - 4.0), 4.6, ink::STRONG);
        });
    }
    if plan.has_never && fans.iter().any(|fan| fan.outcome.is_none()) {
        put(sheet, 14.0, "none by the horizon", &|sheet, x| {
            sheet.svg.circle((x + 5.0, y - 4.0), 4.4, ink::HOLLOW);
        });
    }
    sheet.y += 24.0;
}

/// Whether quantiles lie after the cutoffs, as event times do and values do not.
fn is_time(fans: &[Fan]) -> bool {
    let mut after = 0usize;
    let mut before = 0usize;
    for fan in fans {
        let median = quantiles(fan).map(|q| q[3]).or(fan.outcome);
        if let Some(median) = median.filter(|v| is_drawable(*v)) {
            let is_after = median >= fan.cutoff * 0.98 && median <= fan.horizon * 20.0;
            after += usize::from(is_after);
            before += usize::from(!is_after);
        }
    }
    after >= before
}

fn extent(fans: &[Fan], is_time: bool) -> Extent {
    let mut extent = Extent::default();
    for fan in fans {
        extent.add_all(quantiles(fan).into_iter().flatten());
        extent.add_all(fan.outcome);
    }
    if is_time {
        // The horizon bounds the axis: quantiles far beyond it would press everything else together.
        let horizons = Extent::of(fans.iter().map(|fan| fan.horizon));
        extent.add_all(fans.iter().map(|fan| fan.cutoff).filter(|v| is_drawable(*v)));
        if horizons.n > 0 {
            extent.add(horizons.hi);
            let outcomes = Extent::of(fans.iter().filter_map(|fan| fan.outcome));
            extent.hi = extent.hi.min((horizons.hi * 1.02).max(outcomes.hi));
        }
    }
    extent
}

/// The seven quantiles, in order, if they are all there.
fn quantiles(fan: &Fan) -> Option<[f64; 7]> {
    let mut q: [f64; 7] = fan.quantiles.as_slice().try_into().ok()?;
    if q.iter().any(|v| v.is_nan()) {
        return None;
    }
    q.sort_by(f64::total_cmp);
    // An infinite upper quantile says "maybe never"; it is drawn to the end of the axis.
    Some(q.map(|v| if v == f64::INFINITY && is_drawable(fan.horizon) { fan.horizon } else { v }))
}

fn cutoff_text(fan: &Fan) -> String {
    if is_drawable(fan.cutoff) {
        format!("read to {}", crate::number::tick(fan.cutoff, 0, true))
    } else {
        String::new()
    }
}

fn percent(prob: f64) -> String {
    match prob {
        p if p > 0.0 && p < 0.01 => "<1%".to_owned(),
        p if p < 1.0 && p > 0.99 => ">99%".to_owned(),
        p => format!("{:.0}%", p * 100.0),
    }
}

fn tooltip(fan: &Fan) -> String {
    let mut lines =
        vec![fan.label.clone(), fan.group.clone(), format!("read to {}", human(fan.cutoff))];
    if let Some(q) = quantiles(fan) {
        lines.push(format!("median {}", human(q[3])));
        for (level, low, high) in [(50, 2, 4), (80, 1, 5), (90, 0, 6)] {
            lines.push(format!("{level}%: {} to {}", human(q[low]), human(q[high])));
        }
    } else {
        lines.push("not predictable".to_owned());
    }
    if fan.never_prob > 0.0 {
        lines.push(format!("never: {}", percent(fan.never_prob.clamp(0.0, 1.0))));
    }
    lines.push(match fan.outcome {
        Some(outcome) => format!("outcome {}", human(outcome)),
        None => format!("no outcome by {}", human(fan.horizon)),
    });
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}
