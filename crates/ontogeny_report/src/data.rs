//! The numbers behind a figure as CSV, for the download under it and for the read-out on it.

use ontogeny_core::{Figure, FigureBody, Line, Panel};

use crate::escape;
use crate::extent::Extent;
use crate::number::exact;
use crate::scale::Scale;
use crate::thin::{Spot, pieces};

/// Rows beyond which lines are thinned to what can be seen; all values stay in `findings.json`.
const MAX_ROWS: usize = 12_000;

/// A figure's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) csv: String,
    /// Whether lines were thinned.
    pub(crate) is_thinned: bool,
}

/// The numbers of a figure, one mark per row.
pub(crate) fn data(figure: &Figure) -> Data {
    let mut csv = String::new();
    let mut is_thinned = false;
    match &figure.body {
        FigureBody::Panels { x_log, panels, .. } => {
            csv.push_str("panel,kind,name,x,y,high\n");
            is_thinned = panels_rows(&mut csv, panels, *x_log);
        }
        FigureBody::Heatmap(map) => {
            csv.push_str("x,y,value\n");
            let n_cells = map.x.len() * map.y.len();
            is_thinned = n_cells > MAX_ROWS * 2;
            let every = n_cells.div_ceil(MAX_ROWS * 2).max(1);
            for (y, row) in map.y.iter().zip(&map.values) {
                for (x, value) in map.x.iter().zip(row).step_by(every) {
                    push(&mut csv, &[exact(*x), exact(*y), exact(*value)]);
                }
            }
        }
        FigureBody::Fans { fans, .. } => {
            csv.push_str(
                "group,label,cutoff,q05,q10,q25,q50,q75,q90,q95,never_prob,outcome,horizon\n",
            );
            for fan in fans {
                let mut cells =
                    vec![escape::csv(&fan.group), escape::csv(&fan.label), exact(fan.cutoff)];
                cells.extend(
                    (0..7).map(|i| fan.quantiles.get(i).copied().map_or(String::new(), exact)),
                );
                cells.push(exact(fan.never_prob));
                cells.push(fan.outcome.map_or(String::new(), exact));
                cells.push(exact(fan.horizon));
                push(&mut csv, &cells);
            }
        }
        FigureBody::Effects { rows, .. } => {
            csv.push_str(
                "label,value,low,high,predicted,predicted_low,predicted_high,pairs,note\n",
            );
            for row in rows {
                let mut cells = vec![escape::csv(&row.label), exact(row.value)];
                let (low, high) = row.interval.unzip();
                cells.extend([low, high].map(|v| v.map_or(String::new(), exact)));
                let (mid, low, high) =
                    row.predicted.map_or((None, None, None), |p| (Some(p.0), Some(p.1), Some(p.2)));
                cells.extend([mid, low, high].map(|v| v.map_or(String::new(), exact)));
                cells.push(row.pairs.iter().map(|pair| exact(*pair)).collect::<Vec<_>>().join(" "));
                cells.push(escape::csv(&row.note));
                push(&mut csv, &cells);
            }
        }
        FigureBody::Scatter { groups, .. } => {
            csv.push_str("panel,kind,name,x,y,high\n");
            for group in groups {
                for (x, y) in &group.points {
                    push(
                        &mut csv,
                        &[
                            "0".into(),
                            "point".into(),
                            escape::csv(&group.name),
                            exact(*x),
                            exact(*y),
                            String::new(),
                        ],
                    );
                }
            }
        }
    }
    Data { csv, is_thinned }
}

fn panels_rows(csv: &mut String, panels: &[Panel], x_log: bool) -> bool {
    let n_lines = panels.iter().map(|panel| panel.lines.len()).sum::<usize>().max(1);
    let n_rows: usize =
        panels.iter().flat_map(|panel| &panel.lines).map(|line| line.points.len()).sum();
    let is_thinned = n_rows > MAX_ROWS;
    let n_columns = (MAX_ROWS / (4 * n_lines)).clamp(24, 800) as f64;
    let x_extent =
        Extent::of(panels.iter().flat_map(|p| &p.lines).flat_map(|l| &l.points).map(|p| p.0));
    let scale = Scale::for_x(&x_extent, x_log, 0.0, n_columns).filter(|_| is_thinned);
    for (idx, panel) in panels.iter().enumerate() {
        let panel_name = idx.to_string();
        for line in &panel.lines {
            let name = escape::csv(&line.name);
            for (x, y) in
                scale.as_ref().map_or_else(|| line.points.clone(), |scale| thinned(line, scale))
            {
                push(
                    csv,
                    &[
                        panel_name.clone(),
                        "line".into(),
                        name.clone(),
                        exact(x),
                        exact(y),
                        String::new(),
                    ],
                );
            }
        }
        for band in &panel.bands {
            let name = escape::csv(&band.name);
            let every = band.points.len().div_ceil(1000).max(1);
            for (x, low, high) in band.points.iter().step_by(every) {
                push(
                    csv,
                    &[
                        panel_name.clone(),
                        "band".into(),
                        name.clone(),
                        exact(*x),
                        exact(*low),
                        exact(*high),
                    ],
                );
            }
        }
        for marker in &panel.markers {
            let name = escape::csv(&marker.name);
            push(
                csv,
                &[
                    panel_name.clone(),
                    "marker".into(),
                    name,
                    exact(marker.x),
                    String::new(),
                    String::new(),
                ],
            );
        }
    }
    is_thinned
}

fn thinned(line: &Line, scale: &Scale) -> Vec<(f64, f64)> {
    let spots = line.points.iter().enumerate().map(|(idx, &(x, y))| {
        let x = scale.place(x)?;
        y.is_finite().then_some(Spot { x, y, idx })
    });
    pieces(spots, 1.0).into_iter().flatten().map(|spot| line.points[spot.idx]).collect()
}

fn push(csv: &mut String, cells: &[String]) {
    csv.push_str(&cells.join(","));
    csv.push('\n');
}
