//! From runs to figures: what several studies draw alike.

use crate::RunRecord;
use ontogeny_core::{
    Band, Event, Heatmap, Line, Marker, Panel, RunId, RunManifest, RunStatus, Series, StopReason,
    TreeNode,
};
use ontogeny_store::Store;
use std::collections::BTreeMap;

/// Points drawn per line at most; a figure is some hundreds of pixels wide.
const MAX_POINTS: usize = 400;

/// A line of the series called `series`, thinned to what a screen shows; first and last points stay.
pub(crate) fn line(record: &RunRecord, series: &str, name: &str) -> Line {
    let points = record.series.get(series).map(points).unwrap_or_default();
    Line { name: name.to_owned(), points, ..Line::default() }
}

fn points(series: &Series) -> Vec<(f64, f64)> {
    let p = &series.points;
    let stride = p.len().div_ceil(MAX_POINTS).max(1);
    let last = p.len().saturating_sub(1);
    (p.iter().enumerate())
        .filter(|(i, _)| i % stride == 0 || *i == last)
        .map(|(_, p)| (p.step.0.max(1) as f64, p.value))
        .collect()
}

/// The middle line and the band between the extremes of a series over runs, at the steps that all of them
/// have; the line carries `name`.
pub(crate) fn spread(records: &[&RunRecord], series: &str, name: &str) -> (Line, Band) {
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for s in records.iter().filter_map(|r| r.series.get(series)) {
        for p in s.points.iter().filter(|p| p.value.is_finite()) {
            at.entry(p.step.0).or_default().push(p.value);
        }
    }
    let full: Vec<(u64, Vec<f64>)> =
        at.into_iter().filter(|(_, v)| v.len() == records.len()).collect();
    let stride = full.len().div_ceil(MAX_POINTS).max(1);
    let (mut line, mut band) = (Vec::new(), Vec::new());
    for (step, mut values) in full.into_iter().step_by(stride) {
        values.sort_by(f64::total_cmp);
        let x = step.max(1) as f64;
        line.push((x, middle(&values)));
        band.push((x, values[0], values[values.len() - 1]));
    }
    (
        Line { name: name.to_owned(), points: line, ..Line::default() },
        Band { name: name.to_owned(), points: band },
    )
}

/// Median of sorted values; NaN of none.
pub(crate) fn middle(sorted: &[f64]) -> f64 {
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (n, h) if n % 2 == 1 => sorted[h],
        (_, h) => f64::midpoint(sorted[h - 1], sorted[h]),
    }
}

/// Median of values in any order; NaN of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut v: Vec<f64> = values.into_iter().collect();
    v.sort_by(f64::total_cmp);
    middle(&v)
}

/// The events of a run that were seen, as vertical lines.
pub(crate) fn markers(events: &[Event]) -> Vec<Marker> {
    let seen =
        |e: &Event| Some(Marker { x: e.when.seen_at()?.0.max(1) as f64, name: e.name.clone() });
    events.iter().filter_map(seen).collect()
}

/// A panel with a label.
pub(crate) fn panel(y_label: &str, y_log: bool, lines: Vec<Line>, markers: Vec<Marker>) -> Panel {
    Panel { y_label: y_label.to_owned(), y_log, lines, markers, ..Panel::default() }
}

/// A vector-valued reading of a run over time, one row per element; thinned like a line.
///
/// `None` if the store holds no such readings.
pub(crate) fn heatmap(store: &Store, run: &RunId, name: &str, events: &[Event]) -> Option<Heatmap> {
    let reader = store.run(run).ok()?;
    let readings = reader.tensor(name).ok()?;
    let width = readings.first()?.shape.iter().product::<usize>();
    let stride = readings.len().div_ceil(MAX_POINTS / 2).max(1);
    let kept: Vec<_> = readings.iter().step_by(stride).collect();
    let columns: Vec<Vec<f64>> = kept.iter().map(|r| r.values.to_f64()).collect();
    Some(Heatmap {
        x: kept.iter().map(|r| r.step.0 as f64).collect(),
        y: (1..=width).map(|k| k as f64).collect(),
        values: (0..width)
            .map(|k| columns.iter().map(|c| c.get(k).copied().unwrap_or(f64::NAN)).collect())
            .collect(),
        markers: markers(events),
        ..Heatmap::default()
    })
}

/// The lineage of runs: forks under their parents.
pub(crate) fn tree(records: &[&RunRecord]) -> Vec<TreeNode> {
    let ids: Vec<&RunId> = records.iter().map(|r| r.id()).collect();
    let is_root =
        |r: &RunRecord| r.manifest.fork.as_ref().is_none_or(|f| !ids.contains(&&f.parent));
    records.iter().filter(|r| is_root(r)).map(|r| node(r, records)).collect()
}

fn node(record: &RunRecord, all: &[&RunRecord]) -> TreeNode {
    let m = &record.manifest;
    let is_child =
        |r: &&&RunRecord| r.manifest.fork.as_ref().is_some_and(|f| &f.parent == record.id());
    let events = record.events.iter().filter_map(|e| Some((e.when.seen_at()?.0, e.name.clone())));
    // The study's name is the same for all of them.
    let label = record.id().as_str().split_once('.').map_or(record.id().as_str(), |(_, rest)| rest);
    TreeNode {
        label: label.to_owned(),
        note: ending(m),
        span: (m.fork.as_ref().map_or(0, |f| f.step.0), m.step.0),
        events: events.collect(),
        children: all.iter().filter(is_child).map(|r| node(r, all)).collect(),
    }
}

/// How a run ended, in a few words.
pub(crate) fn ending(m: &RunManifest) -> String {
    match &m.status {
        RunStatus::Open => "open".into(),
        RunStatus::Done { reason: StopReason::Horizon } => format!("horizon {}", m.step),
        RunStatus::Done { reason: StopReason::Settled { .. } } => format!("settled at {}", m.step),
        RunStatus::Done { reason: StopReason::Diverged { step, what } } => {
            format!("diverged at {step}: {what}")
        }
    }
}
