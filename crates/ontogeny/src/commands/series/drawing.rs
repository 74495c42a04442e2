//! Drawing series of one run or many, from bins of about a column, however long they are.

use crate::failure::Failure;
use anyhow::Context;
use ontogeny_core::{Band, Figure, FigureBody, Line, Panel, RunId, Step};
use ontogeny_store::{Overview, RunReader, Store};
use std::ops::RangeInclusive;
use std::path::Path;

/// Bins of a series: between one and two to a column of the figure.
const MAX_BINS: u64 = 1200;
/// With more runs than these, lines are a crowd: pale, without names and bands.
const NAMED_RUNS: usize = 6;

/// What is drawn.
pub(super) struct Drawing<'a> {
    pub(super) runs: Vec<RunId>,
    pub(super) names: &'a [String],
    pub(super) steps: RangeInclusive<Step>,
    /// Whether readings of zooms are left out.
    pub(super) recorded: bool,
}

impl Drawing<'_> {
    /// Writes the figure and says how many readings are in it.
    pub(super) fn write(&self, store: &Store, path: &Path) -> anyhow::Result<u64> {
        let mut panels: Vec<Panel> = Vec::new();
        panels.resize_with(self.names.len(), Panel::default);
        let mut n_readings = 0;
        for run in &self.runs {
            let reader = store.run(run)?;
            for (name, panel) in self.names.iter().zip(&mut panels) {
                let Some(overview) = self.overview(&reader, name)? else {
                    return Err(super::unknown(&reader, name, self.recorded)?.into());
                };
                n_readings += overview.bins.iter().map(|b| b.n).sum::<u64>();
                panel.y_label = format!("{name} ({})", overview.unit);
                self.add(panel, run, &overview);
            }
        }
        let body = FigureBody::Panels { x_label: "step".to_owned(), x_log: false, panels };
        let (name, caption) = ("series".to_owned(), String::new());
        let svg = ontogeny_report::figure_svg(&Figure { name, caption, body });
        let bytes = match path.extension().and_then(|e| e.to_str()) {
            Some("svg") => svg.into_bytes(),
            Some("png") => ontogeny_report::png_from_svg(&svg, 2.0)?,
            _ => {
                let what = format!("cannot tell what kind of figure {} is", path.display());
                return Err(Failure::usage(what)
                    .help("name the figure FILE.svg or FILE.png")
                    .into());
            }
        };
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(n_readings)
    }

    fn overview(&self, reader: &RunReader, name: &str) -> anyhow::Result<Option<Overview>> {
        let steps = self.steps.clone();
        let found = if self.recorded {
            reader.recorded_overview(name, steps, MAX_BINS)
        } else {
            reader.overview(name, steps, MAX_BINS)
        };
        Ok(found?)
    }

    /// Few runs: a band from the lowest to the highest reading of each bin, and a line of the means. Many: a line through
    /// first, lowest, highest and last of each.
    fn add(&self, panel: &mut Panel, run: &RunId, overview: &Overview) {
        let is_crowd = self.runs.len() > NAMED_RUNS;
        let x = |step: Step| step.0 as f64;
        let name = if is_crowd { String::new() } else { run.to_string() };
        let is_whole = overview.bins.iter().all(|b| b.n == 1);
        if is_crowd || is_whole {
            let points = overview.points().into_iter().map(|p| (x(p.step), p.value)).collect();
            panel.lines.push(Line { name, points, dashed: false, faint: is_crowd });
            return;
        }
        let middle = |b: &ontogeny_store::Bin| f64::midpoint(x(b.first.step), x(b.last.step));
        let edges = overview.bins.iter().filter_map(|b| {
            let (min, max) = b.min.zip(b.max)?;
            Some((middle(b), min.value, max.value))
        });
        panel.bands.push(Band { name: name.clone(), points: edges.collect() });
        let means = overview.bins.iter().map(|b| (middle(b), b.mean().unwrap_or(f64::NAN)));
        panel.lines.push(Line { name, points: means.collect(), dashed: false, faint: false });
    }
}
