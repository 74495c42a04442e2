//! `ontogeny scaling plot`: the fit and the frontier as SVG and PNG.

use super::Recipe;
use super::points::Source;
use super::predict::with_best_size;
use crate::face::{Face, write_json};
use anyhow::Context;
use ontogeny_analysis::scaling::{Average, Bootstrap, Member, Point, Scale, budgets, predict};
use ontogeny_core::{Band, Figure, FigureBody, Line, Panel};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Draw predicted against measured losses, and the frontier beyond the largest budget
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ontogeny scaling plot runs.csv --out figures/scaling")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    recipe: Recipe,

    /// Beginning of the names of the files: PREFIX-fit.svg, PREFIX-frontier.png, ...
    #[arg(long, value_name = "PREFIX", default_value = "scaling")]
    out: PathBuf,

    /// Draw the frontier to so many times the largest compute
    #[arg(long, value_name = "FACTOR", default_value_t = 100.0)]
    beyond: f64,
}

pub(super) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let points = args.source.read()?;
    let average = args.recipe.average(&points)?;
    let boots = average.bootstrap(&args.recipe.bootstrap_options());
    let figures = [
        ("fit", fitted(&average, &points)),
        ("frontier", frontier(&average, &boots, &points, args)?),
    ];
    let mut written = Vec::new();
    for (name, figure) in figures {
        let svg = ontogeny_report::figure_svg(&figure);
        let png = ontogeny_report::png_from_svg(&svg, 2.0)?;
        for (extension, bytes) in [("svg", svg.as_bytes()), ("png", &png[..])] {
            let mut path = args.out.clone().into_os_string();
            path.push(format!("-{name}.{extension}"));
            let path = PathBuf::from(path);
            fs::write(&path, bytes)
                .with_context(|| format!("failed to write {}", path.display()))?;
            written.push(path.display().to_string());
        }
    }
    if face.json {
        write_json(out, &json!({ "figures": written }))?;
    } else {
        written.iter().try_for_each(|path| writeln!(out, "{path}"))?;
    }
    Ok(())
}

/// Measured against fitted loss under the heaviest law.
fn fitted(average: &Average, points: &[Point]) -> Figure {
    let group = |m: &Member| {
        let at = points.iter().filter_map(|p| Some((m.fit.loss(&p.at).ok()?, p.loss)));
        Line { name: m.name(), points: at.collect(), ..Line::default() }
    };
    // The marks of several laws would hide each other.
    let groups = average.members.iter().take(1).map(group).collect();
    Figure {
        name: "fit".to_owned(),
        caption: "Measured against fitted loss; the form that predicted the largest budgets best."
            .to_owned(),
        body: FigureBody::Scatter {
            x_label: "fitted loss".to_owned(),
            y_label: "measured loss".to_owned(),
            log: true,
            diagonal: true,
            groups,
        },
    }
}

/// The best measured loss of each budget, and the predicted loss at the best size.
fn frontier(
    average: &Average,
    boots: &[(&Member, Bootstrap)],
    points: &[Point],
    args: &Args,
) -> anyhow::Result<Figure> {
    let best = budgets(points, 1.5).into_iter().filter_map(|group| {
        let losses = group.into_iter().map(|i| (points[i].at.flops, points[i].loss));
        losses.min_by(|a, b| a.1.total_cmp(&b.1))
    });
    let best: Vec<(f64, f64)> = best.filter(|b| b.0.is_finite()).collect();
    let (low, high) =
        best.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), b| (l.min(b.0), h.max(b.0)));
    let (mut line, mut band) = (Vec::new(), Vec::new());
    let n = 40;
    for i in 0..=n {
        let flops = low * (args.beyond.max(1.0) * high / low).powf(f64::from(i) / f64::from(n));
        let at = with_best_size(average, points, Scale::of_flops(flops))?;
        let p = predict(average, boots, &at, &[0.9], args.recipe.seed)?;
        line.push((flops, p.loss));
        band.extend(p.intervals.iter().map(|(_, low, high)| (flops, *low, *high)));
    }
    let predicted = "predicted at the best size, 90 %";
    let panel = Panel {
        y_label: "loss".to_owned(),
        y_log: true,
        lines: vec![
            Line { name: "best run of each budget".to_owned(), points: best, ..Line::default() },
            Line { name: predicted.to_owned(), points: line, dashed: true, ..Line::default() },
        ],
        bands: vec![Band { name: predicted.to_owned(), points: band }],
        ..Panel::default()
    };
    Ok(Figure {
        name: "frontier".to_owned(),
        caption: "Loss at the best size of each compute budget, measured and predicted.".to_owned(),
        body: FigureBody::Panels {
            x_label: "compute (FLOP)".to_owned(),
            x_log: true,
            panels: vec![panel],
        },
    })
}
