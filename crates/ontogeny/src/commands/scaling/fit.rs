//! `ontogeny scaling fit`: parameters with intervals, and what is doubtful about them.

use super::points::Source;
use super::{Recipe, replication};
use crate::face::{Face, write_json};
use crate::text::{Table, number};
use ontogeny_analysis::scaling::{
    BUDGET_FACTOR, Bootstrap, Diagnostics, Fit, IsoFlopOptions, Law, Point, bootstrap, diagnose,
    fit, held_out_error, isoflop, leave_largest_out, profile_interval,
};
use serde_json::{Value, json};
use std::io::Write;

/// Fit a scaling law: parameters with intervals, exponents, diagnostics
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ontogeny scaling fit runs.csv
  ontogeny scaling fit isoflop.csv.gz --flops budget --where experiment=llama_3__exp_loss --law valley")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    recipe: Recipe,
}

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.9;

/// Everything that is said of one law.
struct Report {
    fit: Fit,
    boot: Bootstrap,
    diagnostics: Diagnostics,
    held_out: Option<f64>,
}

/// Name, value, bootstrap interval, and profile interval with open ends as `None`.
type Row = (&'static str, f64, Option<(f64, f64)>, [Option<f64>; 2]);

impl Report {
    fn new(law: &'static dyn Law, points: &[Point], recipe: &Recipe) -> anyhow::Result<Self> {
        let options = recipe.fit_options(points);
        let fit = fit(law, points, &options)?;
        let boot = bootstrap(&fit, None, &recipe.bootstrap_options());
        let diagnostics = diagnose(&fit, &boot);
        let validated = leave_largest_out(law, points, &options, BUDGET_FACTOR);
        let held_out = validated.ok().and_then(|e| held_out_error(&e));
        Ok(Self { fit, boot, diagnostics, held_out })
    }

    /// The parameters and derived quantities.
    fn rows(&self) -> Vec<Row> {
        let n_theta = self.fit.n_theta();
        let row = |(j, (name, value)): (usize, (&'static str, f64))| {
            let profile =
                if j < n_theta { profile_interval(&self.fit, j, CONFIDENCE) } else { None };
            let ends = profile.map_or([None; 2], |p| [p.low, p.high]);
            (name, value, self.boot.interval(&self.fit, name, CONFIDENCE), ends)
        };
        self.fit.quantities().into_iter().enumerate().map(row).collect()
    }

    fn notes(&self, points: &[Point]) -> Vec<String> {
        let d = &self.diagnostics;
        let mut notes = vec![format!(
            "residuals: median {} nats of ln(loss), root mean square {}",
            number(d.residual_median),
            number(d.residual_rms)
        )];
        if let Some(e) = self.held_out {
            notes.push(format!(
                "largest budgets left out: mean error {} nats of ln(loss)",
                number(e)
            ));
        }
        if d.reached < 0.2 {
            notes.push(format!(
                "only {:.0} % of the starts followed reached the optimum: it may not be the lowest",
                100.0 * d.reached
            ));
        }
        if !d.unidentified.is_empty() {
            notes.push(format!(
                "nearly unidentified: {}; their intervals span a factor of two or more, so compare predictions, not \
                these (condition {})",
                d.unidentified.join(", "), number(d.condition)
            ));
        }
        match d.lack_of_fit_p {
            Some(p) if p < 0.01 => notes.push(format!(
                "lack of fit: the residuals follow size, data or compute (p = {}); the form is wrong somewhere, and \
                extrapolations inherit it",
                number(p)
            )),
            Some(p) => notes.push(format!("no sign of lack of fit (p = {})", number(p))),
            None => notes.push("too few points to test the form".to_owned()),
        }
        notes.extend(replication::compare(&self.fit, points).map(|c| replication::sentence(&c)));
        notes
    }

    fn json(&self, points: &[Point]) -> Value {
        let spec = self.fit.law.spec();
        let rows = self.rows().into_iter().map(|(name, value, boot, profile)| {
            json!({ "name": name, "value": value, "bootstrap": boot, "profile": profile })
        });
        let d = &self.diagnostics;
        json!({
            "law": spec.name, "formula": spec.formula, "source": spec.source,
            "n_points": self.fit.points.len(), "left_out": self.fit.options.drop_highest,
            "objective": self.fit.objective, "n_starts": self.fit.n_starts,
            "confidence": CONFIDENCE, "parameters": rows.collect::<Vec<_>>(),
            "diagnostics": {
                "residual_median": d.residual_median, "residual_rms": d.residual_rms,
                "lack_of_fit_p": d.lack_of_fit_p, "condition": d.condition,
                "unidentified": d.unidentified, "reached_ratio": d.reached,
            },
            "held_out_error": self.held_out,
            "replication": replication::compare(&self.fit, points),
        })
    }
}

pub(super) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let points = args.source.read()?;
    let mut laws = args.recipe.laws(&points, &["chinchilla"])?;
    if laws.is_empty() {
        laws = args.recipe.laws(&points, &["frontier", "floor-n", "floor-d"])?;
        laws.truncate(1);
    }
    let mut answers = Vec::new();
    for law in laws {
        let report = Report::new(law, &points, &args.recipe)?;
        if face.json {
            answers.push(report.json(&points));
        } else {
            write(&report, &points, &args.source.name(), out)?;
        }
    }
    if face.json {
        write_json(out, &answers)?;
    } else {
        write_isoflop(&points, out)?;
    }
    Ok(())
}

fn write(report: &Report, points: &[Point], file: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let (fit, spec) = (&report.fit, report.fit.law.spec());
    writeln!(out, "{}: {} ({})", spec.name, spec.formula, spec.source)?;
    let dropped = fit.options.drop_highest;
    let left_out = if dropped == 0 {
        String::new()
    } else {
        format!(", the {dropped} of highest loss left out")
    };
    writeln!(
        out,
        "{} points of {file}{left_out}; sum of Huber losses {:.5e} from {} starts; {} resamples\n",
        fit.points.len(),
        fit.objective,
        fit.n_starts,
        report.boot.thetas.len()
    )?;
    let mut table = Table::new(["", "value", "90 % low", "high", "profile low", "high "]);
    let bound = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), number);
    for (name, value, boot, profile) in report.rows() {
        let (low, high) = boot.unzip();
        let cells = [bound(low), bound(high), bound(profile[0]), bound(profile[1])];
        table.row([name.to_owned(), number(value)].into_iter().chain(cells));
    }
    table.write(out, "  ")?;
    writeln!(out)?;
    for note in report.notes(points) {
        writeln!(out, "- {note}")?;
    }
    Ok(())
}

/// Approach 2 beside the parametric fit, where the points lie on budgets.
fn write_isoflop(points: &[Point], out: &mut dyn Write) -> anyhow::Result<()> {
    let Ok(found) = isoflop(points, &IsoFlopOptions::default()) else { return Ok(()) };
    let line = |exponent: f64, interval: Option<(f64, f64)>| match interval {
        Some((low, high)) => format!("{} [{}, {}]", number(exponent), number(low), number(high)),
        None => number(exponent),
    };
    writeln!(
        out,
        "- iso-FLOP parabolas (approach 2), {} budgets with a bottom: N_opt ~ C^{}, D_opt ~ C^{}",
        found.bottoms.len(),
        line(found.params.exponent, found.params.interval),
        line(found.tokens.exponent, found.tokens.interval)
    )?;
    Ok(())
}
