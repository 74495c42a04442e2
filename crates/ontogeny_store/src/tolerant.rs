//! Findings from JSON, with NaN where JSON could only say null.
//!
//! A null that must be a number is read as a marker value and replaced by NaN once the findings have their
//! types. The marker is the largest finite number, which no finding is.

use ontogeny_core::{Block, Figure, FigureBody, Findings, Line};
use serde_json::Value;

const MARKER: f64 = f64::MAX;
/// Fields that may be absent: there null is null.
const OPTIONAL: [&str; 5] = ["y_range", "seed_band", "outcome", "interval", "predicted"];

pub(crate) fn findings(json: &[u8]) -> Result<Findings, serde_json::Error> {
    // The direct way also gives the line and column of a mistake, which the detour through a value cannot.
    let first = match serde_json::from_slice(json) {
        Ok(findings) => return Ok(findings),
        Err(e) => e,
    };
    let mut value: Value = serde_json::from_slice(json)?;
    mark(&mut value);
    let Ok(mut findings) = serde_json::from_value::<Findings>(value) else { return Err(first) };
    findings
        .sections
        .iter_mut()
        .flat_map(|s| &mut s.blocks)
        .filter_map(|b| if let Block::Figure(Figure { body, .. }) = b { Some(body) } else { None })
        .for_each(restore);
    Ok(findings)
}

fn mark(value: &mut Value) {
    match value {
        Value::Null => *value = Value::from(MARKER),
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::Object(fields) => fields
            .iter_mut()
            .filter(|(key, v)| !(v.is_null() && OPTIONAL.contains(&key.as_str())))
            .for_each(|(_, v)| mark(v)),
        _ => {}
    }
}

fn restore(body: &mut FigureBody) {
    match body {
        FigureBody::Panels { panels, .. } => {
            for panel in panels {
                lines(&mut panel.lines);
                for (x, lo, hi) in panel.bands.iter_mut().flat_map(|b| &mut b.points) {
                    nan([x, lo, hi]);
                }
                nan(panel.markers.iter_mut().map(|m| &mut m.x));
                nan(panel.y_range.iter_mut().flat_map(|(lo, hi)| [lo, hi]));
            }
        }
        FigureBody::Heatmap(map) => {
            nan(map.x.iter_mut().chain(&mut map.y).chain(map.values.iter_mut().flatten()));
            nan(map.markers.iter_mut().map(|m| &mut m.x));
        }
        FigureBody::Fans { fans, .. } => {
            for fan in fans {
                nan([&mut fan.cutoff, &mut fan.never_prob, &mut fan.horizon]);
                nan(fan.quantiles.iter_mut().chain(&mut fan.outcome));
            }
        }
        FigureBody::Effects { seed_band, rows, .. } => {
            nan(seed_band);
            for row in rows {
                nan(row.pairs.iter_mut().chain([&mut row.value]));
                nan(row.interval.iter_mut().flat_map(|(lo, hi)| [lo, hi]));
                nan(row.predicted.iter_mut().flat_map(|(v, lo, hi)| [v, lo, hi]));
            }
        }
        FigureBody::Scatter { groups, .. } => lines(groups),
    }
}

fn lines(lines: &mut [Line]) {
    for (x, y) in lines.iter_mut().flat_map(|l| &mut l.points) {
        nan([x, y]);
    }
}

fn nan<'a>(values: impl IntoIterator<Item = &'a mut f64>) {
    values.into_iter().filter(|v| **v == MARKER).for_each(|v| *v = f64::NAN);
}
