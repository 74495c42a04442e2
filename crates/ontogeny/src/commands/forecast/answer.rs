//! A forecast as a person and as a program read it.

use crate::text::{Table, count, number};
use ontogeny_analysis::forecasters::{NotFitted, Verdict};
use ontogeny_core::{LEVELS, Observed, Predictive, Target};
use ontogeny_lab::{Answered, RunRecord};
use serde_json::{Value, json};
use std::io::Write;

/// The quantile at a level that is written down.
pub(super) fn quantile(p: &Predictive, level: f64) -> Option<f64> {
    let i = LEVELS.iter().position(|l| (l - level).abs() < 1e-9)?;
    p.quantiles.get(i).copied()
}

/// From the axis of the target to what a person reads: steps, or the unit of the series.
pub(super) fn plain(target: &Target, v: f64) -> f64 {
    match target {
        Target::EventTime { .. } | Target::Value { log: true, .. } => v.exp(),
        _ => v,
    }
}

/// As many decimals as tell the quartiles apart to a tenth of their distance; steps have none.
fn shown(target: &Target, p: &Predictive, v: f64) -> String {
    if matches!(target, Target::EventTime { .. }) {
        return format!("{:.0}", v.exp());
    }
    if matches!(target, Target::Value { log: true, .. }) {
        return significant(v.exp());
    }
    let width = quantile(p, 0.75).zip(quantile(p, 0.25));
    let width = width.map_or(0.0, |(hi, lo)| plain(target, hi) - plain(target, lo));
    let plain = plain(target, v);
    if width.is_normal() && plain.abs() < 1e6 && width < 1e6 && width > 1e-9 {
        let decimals = (1.0 - width.log10().floor()).max(0.0) as usize;
        return format!("{plain:.decimals$}");
    }
    number(plain)
}

/// Three significant digits: on a logarithm intervals span powers of ten.
fn significant(v: f64) -> String {
    if !v.is_normal() || !(1e-4..1e6).contains(&v.abs()) {
        return format!("{v:.2e}");
    }
    let decimals = (2.0 - v.abs().log10().floor()).max(0.0) as usize;
    format!("{v:.decimals$}")
}

/// Median, central 50, 80 and 90 % intervals.
fn cells(target: &Target, p: &Predictive) -> Vec<String> {
    let q = |level| quantile(p, level).map_or("–".to_owned(), |v| shown(target, p, v));
    let between = |lo, hi| format!("{} to {}", q(lo), q(hi));
    let mut row = vec![q(0.5), between(0.25, 0.75), between(0.1, 0.9), between(0.05, 0.95)];
    if matches!(target, Target::EventTime { .. }) {
        row.push(format!("{:.2}", p.never_prob));
    }
    row
}

fn asked(target: &Target) -> String {
    match target {
        Target::Value { series, at, .. } => format!("{series} at step {at}"),
        Target::EventTime { event, horizon } => format!("step of {event}, by step {horizon}"),
        Target::ForkEffect { outcome, .. } => outcome.clone(),
    }
}

pub(super) fn write(
    run: &RunRecord,
    a: &Answered,
    is_sealed: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let f = &a.forecast;
    writeln!(out, "{}: {}, read up to step {}", f.run, asked(&f.target), f.cutoff)?;
    let mut columns = vec!["forecaster", "median", "50 %", "80 %", "90 %"];
    if matches!(f.target, Target::EventTime { .. }) {
        columns.push("P(never)");
    }
    let n = columns.len();
    let mut table = Table::new(columns);
    match &f.predictive {
        Some(p) => {
            table.row([f.theory.name.clone()].into_iter().chain(cells(&f.target, p)));
        }
        None => table.row(
            [f.theory.name.clone(), "not predictable".into()]
                .into_iter()
                .chain(vec![String::new(); n - 2]),
        ),
    }
    for (name, p) in f.baselines.iter().filter(|b| b.0 != f.theory.name) {
        table.row([format!("  {name}")].into_iter().chain(cells(&f.target, p)));
    }
    table.write(out, "  ")?;
    for line in about(run, a) {
        writeln!(out, "  {line}")?;
    }
    if is_sealed {
        writeln!(out, "  sealed as {}", f.id)?;
    }
    Ok(())
}

/// What the numbers rest on, in sentences.
fn about(run: &RunRecord, a: &Answered) -> Vec<String> {
    let mut lines = Vec::new();
    let f = &a.forecast;
    if let Some(remark) = &a.remark {
        lines.push(format!("{} {remark}", f.theory.name));
    }
    match (&a.verdict, a.n_others) {
        (Some(Verdict::Predictable { skill, against, n_runs }), _) => lines.push(format!(
            "left out part by part, {n_runs} other runs were forecast with skill {skill:+.2} over {against}; \
             intervals are calibrated on them"
        )),
        (Some(Verdict::NotPredictable { reason }), _) => lines.push(reason.clone()),
        (Some(Verdict::Unjudged { .. }) | None, 0) => {
            lines.push("no other run to learn from: nothing but its own past vouches for it".to_owned());
        }
        (Some(Verdict::Unjudged { .. }) | None, n) => lines.push(format!(
            "beside {}, too few or not asked to judge it: nothing vouches for the intervals",
            count(n, "other run")
        )),
    }
    let (few, others): (Vec<_>, Vec<_>) =
        a.missing.iter().partition(|m| matches!(m, NotFitted::TooFewRuns { .. }));
    if !few.is_empty() {
        let names: Vec<&str> = few.iter().map(|m| m.theory()).collect();
        lines.push(format!("too few other runs for {}", names.join(", ")));
    }
    lines.extend(others.iter().map(|m| format!("no answer: {m}")));
    if let Some(known) = a.known {
        lines.push(format!("what happened: {}", happened(&f.target, known)));
    } else if f.sealed_at > f.cutoff {
        lines.push(format!("the run stands at step {}", run.manifest.step));
    }
    lines
}

/// An outcome in words.
pub(crate) fn happened(target: &Target, observed: Observed) -> String {
    match observed {
        Observed::Event { lo, hi } => format!("between steps {lo} and {hi}"),
        Observed::Never { horizon } => format!("not by step {horizon}"),
        Observed::Value { value } => number(plain(target, value)),
    }
}

pub(super) fn to_json(run: &RunRecord, a: &Answered, is_sealed: bool) -> Value {
    let verdict = match &a.verdict {
        None => json!("not judged"),
        Some(Verdict::Unjudged { n_runs }) => json!({ "kind": "unjudged", "n_runs": n_runs }),
        Some(Verdict::NotPredictable { reason }) => {
            json!({ "kind": "not_predictable", "reason": reason })
        }
        Some(Verdict::Predictable { skill, against, n_runs }) => json!({
            "kind": "predictable", "skill": skill, "against": against, "n_runs": n_runs,
        }),
    };
    json!({
        "run": run.id(), "forecast": a.forecast, "levels": LEVELS, "sealed": is_sealed,
        "verdict": verdict, "remark": a.remark, "n_others": a.n_others, "known": a.known,
        "missing_baselines": a.missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "curve": a.curve.iter().map(|(s, p)| json!({ "step": s, "predictive": p })).collect::<Vec<_>>(),
    })
}
