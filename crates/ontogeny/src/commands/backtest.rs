//! `ontogeny backtest`: what would the forecasters have said of runs that are finished?

use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::text::{Table, count};
use indicatif::{ProgressBar, ProgressStyle};
use ontogeny_analysis::backtest::{
    Axis, BacktestError, Line, Protocol, Replay, Suite, SuiteRun, replay, summarize_replay,
};
use ontogeny_core::{RunId, nearest};
use ontogeny_import::{Collected, CollectedRun, Options, TableShape, find, format_named, import};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Replay finished runs: forecast each from its beginning, score it beside every baseline
///
/// A protocol, a small TOML file, says which runs inform one another, what is out of sight while a run is
/// forecast, how much of it may be seen, and what is asked. Forecasters are handed the visible part and nothing
/// else. The suite is a folder or file that `ontogeny import` reads; it is not written to the store.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Columns: `error` is the median (and mean) of |forecast median - outcome|, `score` the mean CRPS, all in the distance
between the quartiles of the group's outcomes (or the unit of the series); for events `error` is of ln T and
`score` the integrated Brier score. Skill is against the best baseline on the same units, with a 95 % interval
over folds; coverage is of the central 50, 80 and 90 % intervals, `width` that of the last.

Examples:
  ontogeny backtest trajectories/algoperf --protocol protocols/algoperf.toml
  ontogeny backtest suite/ --protocol mine.toml --json > result.json")]
pub(crate) struct Args {
    /// The suite: a tidy folder, or logs in any format that can be imported
    suite: PathBuf,

    /// The protocol
    #[arg(long, value_name = "FILE")]
    protocol: PathBuf,

    /// Print the table as Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,

    /// Write every single forecast with its outcome into this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let protocol = read_protocol(&args.protocol)?;
    let suite = read_suite(&args.suite, &protocol)?;
    let bar = bar(face.json);
    let found = replay(&suite, &protocol, &|n| {
        bar.set_length(n as u64);
        bar.inc(1);
    });
    bar.finish_and_clear();
    let found = found.map_err(|e| explained(&e, &args.suite))?;
    if let Some(path) = &args.records {
        write_records(path, &found)?;
    }
    let lines = summarize_replay(&found, &protocol);
    if face.json {
        let result = json!({
            "protocol": protocol, "suite": args.suite, "lines": lines, "notes": found.notes,
        });
        return Ok(write_json(out, &result)?);
    }
    if args.markdown {
        return Ok(out.write_all(markdown(&protocol, &lines, &found.notes).as_bytes())?);
    }
    writeln!(out, "{}: {}", protocol.name, protocol.title)?;
    for cut in protocol.cuts() {
        writeln!(out, "\nvisible: {}", visible(&protocol, cut))?;
        let mut table = Table::new(HEAD);
        for l in lines.iter().filter(|l| l.cut == cut && l.n > 0) {
            table.row(cells(l));
        }
        table.write(out, "  ")?;
        let silent: Vec<&str> = lines
            .iter()
            .filter(|l| l.cut == cut && l.n == 0)
            .map(|l| l.forecaster.as_str())
            .collect();
        if !silent.is_empty() {
            writeln!(out, "  silent: {}", silent.join(", "))?;
        }
    }
    if !found.notes.is_empty() {
        writeln!(out, "\n{}", count(found.notes.len(), "note"))?;
        for note in &found.notes {
            writeln!(out, "  {note}")?;
        }
    }
    Ok(())
}

const HEAD: [&str; 11] = [
    "forecaster",
    "n",
    "error",
    "score",
    "skill",
    "95 % interval",
    "over",
    "cov 50/80/90",
    "width",
    "pairs, regret",
    "rho",
];

fn cells(l: &Line) -> [String; 11] {
    let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
    let (skill, interval) = l.skill.as_ref().map_or(("–".to_owned(), "–".to_owned()), |s| {
        (format!("{:+.3}", s.value), format!("[{:+.3}, {:+.3}]", s.lo, s.hi))
    });
    let covered = l.coverage.map_or("–".to_owned(), |c| {
        c.map(|c| format!("{c:.2}").trim_start_matches('0').to_owned()).join("/")
    });
    let choice = match (l.pairs, l.regret, l.auc) {
        (_, _, Some(auc)) => {
            format!("AUC {auc:.3}, Brier {}, C {}", number(l.brier), number(l.concordance))
        }
        (Some(p), Some(r), _) => format!("{p:.3}, {r:.3}"),
        (Some(p), None, _) => format!("{p:.3}"),
        _ => "–".to_owned(),
    };
    let mark = if l.is_baseline { " (baseline)" } else { "" };
    let n = if l.n == l.n_asked { l.n.to_string() } else { format!("{} of {}", l.n, l.n_asked) };
    [
        format!("{}{mark}", l.forecaster),
        n,
        match (l.median_error, l.mean_error) {
            (Some(a), Some(b)) => format!("{a:.3} ({b:.3})"),
            _ => "–".to_owned(),
        },
        number(l.score),
        skill,
        interval,
        l.against.clone().unwrap_or_default(),
        covered,
        number(l.width90),
        choice,
        number(l.rho),
    ]
}

/// What may be seen at a cut, in words.
fn visible(protocol: &Protocol, cut: f64) -> String {
    let v = &protocol.visible;
    match v.axis {
        Axis::Fraction => format!("{:.0} % of the run", 100.0 * cut),
        Axis::Step => format!("up to step {cut}"),
        Axis::Runs if v.by.is_empty() => {
            "other runs, and of this one what was known before".to_owned()
        }
        Axis::Runs => format!("runs with {} up to {cut:.2e}", v.by.join(" x ")),
    }
}

fn markdown(protocol: &Protocol, lines: &[Line], notes: &[String]) -> String {
    let mut text = format!("## {}\n\n{}\n", protocol.name, protocol.title);
    for cut in protocol.cuts() {
        // Writing to a string cannot fail.
        let seen = visible(protocol, cut);
        let _ = writeln!(text, "\nVisible: {seen}.\n\n| {} |", HEAD.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(HEAD.len()));
        for l in lines.iter().filter(|l| l.cut == cut && l.n > 0) {
            let _ = writeln!(text, "| {} |", cells(l).join(" | "));
        }
    }
    if !notes.is_empty() {
        let _ = writeln!(text, "\nLeft out: {}.", notes.join("; "));
    }
    text
}

fn bar(json: bool) -> ProgressBar {
    let hidden = json && !std::io::IsTerminal::is_terminal(&std::io::stderr());
    if hidden {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} fits, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn read_protocol(path: &Path) -> anyhow::Result<Protocol> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::usage(format!("read the protocol {}: {e}", path.display()))
            .help("a protocol is a TOML file; the repository has some under protocols/")
    })?;
    toml::from_str(&text).map_err(|e| {
        let what = format!("read the protocol {}: {e}", path.display());
        let all =
            ["name", "title", "target", "group", "hide", "features", "visible", "forecasters"];
        let unknown = e.message().split('`').nth(1).and_then(|k| nearest(k, all));
        let help = unknown.map_or_else(
            || "see docs/backtests.md for the keys of a protocol".to_owned(),
            |k| format!("did you mean {k}?"),
        );
        Failure::usage(what.trim_end().to_owned()).help(help).into()
    })
}

fn read_suite(path: &Path, protocol: &Protocol) -> anyhow::Result<Suite> {
    let mut path = path.to_path_buf();
    let mut options = Options::default();
    if let Some(table) = &protocol.table {
        if path.is_dir() && !table.file.is_empty() {
            path.push(&table.file);
        }
        options.format = Some(format_named("table")?);
        options.table = Some(TableShape {
            run: table.run.clone(),
            step: table.step.clone(),
            metric: table.metric.clone(),
            value: table.value.clone(),
            series: table.series.clone(),
        });
    }
    let mut suite = Suite::default();
    for unit in find(&[path], &options)?.units {
        let mut collected = Collected::default();
        import(&unit, &options, &mut collected)?;
        collected.settle();
        suite.runs.extend(collected.runs.into_iter().filter_map(|r| suite_run(&unit.name, r)));
    }
    Ok(suite)
}

/// A run as the backtest sees it; how the source says it ended is not among what was known before.
fn suite_run(unit: &str, run: CollectedRun) -> Option<SuiteRun> {
    let name = if run.meta.name.is_empty() { unit } else { &run.meta.name };
    let text = |v: Value| match v {
        Value::String(s) => s,
        other => other.to_string(),
    };
    let attributes = run.meta.config.into_iter().map(|(k, v)| (k, text(v))).collect();
    Some(SuiteRun { id: RunId::made_of(name)?, attributes, series: run.series })
}

fn explained(e: &BacktestError, suite: &Path) -> Failure {
    Failure::usage(format!("backtest {}: {e}", suite.display()))
        .help("`ontogeny import --dry-run` lists the runs and series of a suite")
}

fn write_records(path: &Path, found: &Replay) -> anyhow::Result<()> {
    let failed = |e: std::io::Error| Failure::usage(format!("write {}: {e}", path.display()));
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(failed)?);
    for record in &found.records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n").map_err(failed)?;
    }
    Ok(file.flush().map_err(failed)?)
}
