//! A forecast drawn: what was read, where it may go, and what became of it.

use super::answer::{plain, quantile};
use crate::failure::Failure;
use anyhow::Context;
use ontogeny_core::{
    Band, Figure, FigureBody, Line, Marker, Panel, Predictive, Series, Step, Target,
};
use ontogeny_lab::{Answered, RunRecord};
use std::path::Path;

/// Steps between cutoff and target at which the curve is forecast.
const WAY: usize = 12;

/// Evenly in steps from the cutoff to the target, both left out.
pub(super) fn steps(cutoff: Step, at: Step) -> Vec<Step> {
    let span = at.0 - cutoff.0;
    let mut all: Vec<Step> = (1..WAY as u64)
        .map(|i| Step(cutoff.0 + span * i / WAY as u64))
        .filter(|s| *s > cutoff)
        .collect();
    all.dedup();
    all
}

pub(super) fn write(path: &Path, run: &RunRecord, a: &Answered) -> anyhow::Result<()> {
    let Target::Value { series, .. } = &a.forecast.target else { return Ok(()) };
    let Some(own) = run.series.get(series) else { return Ok(()) };
    let svg = ontogeny_report::figure_svg(&figure(own, a));
    let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let bytes = match kind.as_str() {
        "svg" => svg.into_bytes(),
        "png" => ontogeny_report::png_from_svg(&svg, 2.0)?,
        _ => {
            let what = format!("{} is neither .svg nor .png", path.display());
            return Err(Failure::usage(what).help("name the figure FILE.svg or FILE.png").into());
        }
    };
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn figure(own: &Series, a: &Answered) -> Figure {
    let f = &a.forecast;
    let target = &f.target;
    let points = |keep: &dyn Fn(Step) -> bool| -> Vec<(f64, f64)> {
        (own.points.iter()).filter(|p| keep(p.step)).map(|p| (p.step.0 as f64, p.value)).collect()
    };
    let end = match target {
        Target::Value { at, .. } => *at,
        _ => f.cutoff,
    };
    let seen = points(&|s| s <= f.cutoff);
    let became = points(&|s| s > f.cutoff && s <= end);
    let claims: Vec<(Step, &Predictive)> = (a.curve.iter())
        .filter_map(|(s, p)| Some((*s, p.as_ref()?)))
        .chain(f.predictive.as_ref().map(|p| (end, p)))
        .collect();
    let q = |p: &Predictive, level| plain(target, quantile(p, level).unwrap_or(f64::NAN));
    let start = seen.last().copied().into_iter();
    let band = |lo: f64, hi: f64, name: &str| Band {
        name: name.to_owned(),
        points: (start.clone().map(|(x, y)| (x, y, y)))
            .chain(claims.iter().map(|(s, p)| (s.0 as f64, q(p, lo), q(p, hi))))
            .collect(),
    };
    let median = start.clone().chain(claims.iter().map(|(s, p)| (s.0 as f64, q(p, 0.5)))).collect();
    let line =
        |name: &str, points, dashed, faint| Line { name: name.into(), points, dashed, faint };
    let mut lines = vec![line("read", seen, false, false)];
    let mut bands = Vec::new();
    if !claims.is_empty() {
        lines.push(line("forecast", median, true, false));
        bands = vec![band(0.05, 0.95, "forecast"), band(0.25, 0.75, "forecast")];
    }
    if !became.is_empty() {
        lines.push(line("what happened", became, false, true));
    }
    let all: Vec<f64> = (lines.iter().flat_map(|l| &l.points).map(|p| p.1))
        .chain(bands.iter().flat_map(|b| &b.points).flat_map(|p| [p.1, p.2]))
        .filter(|v| v.is_finite())
        .collect();
    let lo = all.iter().copied().fold(f64::INFINITY, f64::min);
    let hi = all.iter().copied().fold(0.0, f64::max);
    let y_log = lo > 0.0 && hi / lo > 8.0;
    let unit = match own.unit.as_str() {
        "1" | "unknown" => String::new(),
        unit => format!(", {unit}"),
    };
    let panel = Panel {
        y_label: format!("{}{unit}", own.name),
        y_log,
        lines,
        bands,
        markers: vec![Marker { x: f.cutoff.0 as f64, name: "read up to here".into() }],
        ..Panel::default()
    };
    let silent = if claims.is_empty() { " It is not predictable." } else { "" };
    Figure {
        name: "forecast".into(),
        caption: format!(
            "{}: {} at step {end} by {} from step {}, central 50 and 90 %.{silent}",
            f.run, own.name, f.theory.name, f.cutoff
        ),
        body: FigureBody::Panels { x_label: "step".into(), x_log: false, panels: vec![panel] },
    }
}
