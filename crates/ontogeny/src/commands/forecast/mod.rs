//! `ontogeny forecast`: what will become of a run, said before it gets there.

mod answer;
mod others;
mod picture;

pub(crate) use answer::happened;

use crate::face::{CLOCK, Face, record, write_json};
use crate::failure::Failure;
use crate::names;
use crate::text::count;
use anyhow::Context;
use indicatif::ProgressBar;
use ontogeny_analysis::forecasters::{BASELINES, THEORIES, TheoryEntry, find};
use ontogeny_core::{LedgerBody, RunId, Step, Target, ThresholdRule};
use ontogeny_lab::{Answered, Asked, RunRecord, forecast};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Forecast runs of the store, with intervals; `--seal` enters the forecasts into the ledger
///
/// The value of a series at a step, or the step at which a level is reached and held. What the run has shown so far
/// is read, and other runs that have been there: by default those of the same study. Eight of them or more choose
/// among all forecasters and calibrate the intervals; a run with fewer beside it speaks for itself. Where nothing
/// beats the baselines the answer is "not predictable". A sealed forecast cannot be changed; import the run again
/// when it has gone on, and `ontogeny ledger score` enters what happened.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny forecast logs.lr3e-4 --series eval/loss --at 20000
  ontogeny forecast logs.lr3e-4 logs.lr1e-3 --series eval/loss --at 20000 --seal
  ontogeny forecast grok.a --event 'test_accuracy>=0.95' --at 100000
  ontogeny forecast logs.lr3e-4 --series eval/loss --at 20000 --from 5000 --figure loss.png")]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,

    /// The series whose value is forecast
    #[arg(long, value_name = "NAME", required_unless_present = "event", conflicts_with = "event")]
    series: Option<String>,

    /// The event whose step is forecast: SERIES>=LEVEL or SERIES<=LEVEL, held for 3 readings (or `... for N`)
    #[arg(long, value_name = "RULE")]
    event: Option<String>,

    /// The step at which the value is forecast, or the last at which the event is looked for; where the others
    /// ended if absent
    #[arg(long, value_name = "STEP")]
    at: Option<u64>,

    /// The last step that may be read; the run's last if absent
    #[arg(long, value_name = "STEP")]
    from: Option<u64>,

    /// Forecast and score the logarithm of the value
    #[arg(long, conflicts_with = "event")]
    log: bool,

    /// Learn from this run, which has been there (repeatable); instead of those of the same study
    #[arg(long = "with", value_name = "RUN")]
    with: Vec<String>,

    /// Learn from the runs of this study
    #[arg(long, value_name = "ID", conflicts_with = "with")]
    with_study: Option<String>,

    /// Learn from no other run
    #[arg(long, conflicts_with_all = ["with", "with_study"])]
    alone: bool,

    /// Who forecasts; chosen if absent
    #[arg(long, value_name = "NAME")]
    theory: Option<String>,

    /// Enter the forecasts into the ledger, where they cannot be changed
    #[arg(long)]
    seal: bool,

    /// Draw the series, the forecast and what became of it: FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", conflicts_with = "event")]
    figure: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let theory = args.theory.as_deref().map(theory).transpose()?;
    let rule = args.event.as_deref().map(rule).transpose()?;
    if args.figure.is_some() && args.runs.len() > 1 {
        return Err(Failure::usage("--figure draws one run; name one").into());
    }
    let mut sealed: Vec<String> = Vec::new();
    if args.seal {
        let entries = store.ledger().entries()?;
        sealed.extend(entries.iter().filter_map(|e| Some(e.body.subject()?.0.to_owned())));
    }
    let mut answers: Vec<(RunRecord, Answered)> = Vec::new();
    for name in &args.runs {
        let run = record(&store, &names::run_id(name)?)?;
        let others = others::read(&store, &run, args, face.json)?;
        let asked = question(&run, &others, rule.as_ref(), theory, args)?;
        let spinner = waiting(face.json, run.id(), others.len());
        let answered = forecast(&run, &others, &asked);
        spinner.finish_and_clear();
        let answered = answered?;
        if args.seal {
            check_sealable(&answered, &sealed)?;
        }
        answers.push((run, answered));
    }
    if let Some(path) = &args.figure {
        answers.iter().try_for_each(|(run, a)| picture::write(path, run, a))?;
    }
    // All of them or none, after everything that can be refused.
    let bodies = answers.iter().map(|(_, a)| LedgerBody::Forecast(Box::new(a.forecast.clone())));
    if args.seal {
        store.ledger().append_all(bodies, &CLOCK)?;
    }
    if face.json {
        let all: Vec<_> = answers.iter().map(|(r, a)| answer::to_json(r, a, args.seal)).collect();
        return Ok(write_json(out, &json!({ "forecasts": all, "figure": args.figure }))?);
    }
    for (i, (run, answered)) in answers.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        answer::write(run, answered, args.seal, out)?;
    }
    if let Some(path) = &args.figure {
        writeln!(out, "\ndrawn in {}", path.display())?;
    }
    Ok(())
}

/// With many other runs the choice among forecasters takes a while.
fn waiting(json: bool, run: &RunId, n_others: usize) -> ProgressBar {
    if json && !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(format!("{run}: learning from {}", count(n_others, "other run")));
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

fn theory(name: &str) -> Result<&'static TheoryEntry, Failure> {
    find(name).ok_or_else(|| {
        let all = BASELINES.iter().chain(THEORIES).map(|t| t.spec.name);
        let list: Vec<&str> = all.clone().collect();
        names::unknown("forecaster", name, all).help(format!("there are {}", list.join(", ")))
    })
}

fn rule(text: &str) -> Result<ThresholdRule, Failure> {
    ThresholdRule::parse(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not an event")).help(
            "write SERIES>=LEVEL or SERIES<=LEVEL, e.g. 'test_accuracy>=0.95' or 'loss<=2 for 5'",
        )
    })
}

/// What is asked of one run.
fn question(
    run: &RunRecord,
    others: &[RunRecord],
    rule: Option<&ThresholdRule>,
    theory: Option<&'static TheoryEntry>,
    args: &Args,
) -> anyhow::Result<Asked> {
    let id = run.id();
    let name = rule.map(|r| &r.series).or(args.series.as_ref()).context("clap asks for one")?;
    let Some(series) = run.series.get(name).filter(|s| !s.points.is_empty()) else {
        let there = run.series.keys().map(String::as_str);
        let unknown = names::unknown(&format!("series of {id}"), name, there);
        return Err(unknown.help(format!("`ontogeny series {id}` lists them")).into());
    };
    let last = series.last().map_or(run.manifest.step, |p| p.step);
    let cutoff = args.from.map_or(last, Step);
    let at = match args.at {
        Some(at) => Step(at),
        None => others::usual_end(others, name).ok_or_else(|| {
            Failure::usage(format!("{id}: no other run says where it will end"))
                .help("say with --at for which step it is to be forecast")
        })?,
    };
    if at <= cutoff {
        let what = format!("{id} is read up to step {cutoff}, so step {at} is not its future");
        return Err(Failure::usage(what)
            .help("choose a later step with --at, or an earlier one to read to with --from")
            .into());
    }
    if series.up_to(cutoff).is_empty() {
        let first = series.points[0].step;
        let what = format!("{id} has no reading of {name} up to step {cutoff}");
        return Err(Failure::usage(what).help(format!("the first is at step {first}")).into());
    }
    let target = match rule {
        Some(r) => Target::EventTime { event: r.event.clone(), horizon: at },
        None => Target::Value { series: name.clone(), at, log: args.log },
    };
    let curve = if args.figure.is_some() { picture::steps(cutoff, at) } else { Vec::new() };
    Ok(Asked { target, rule: rule.cloned(), cutoff, theory, curve })
}

/// Only what is not known yet, and has not been claimed, can be sealed.
fn check_sealable(answered: &Answered, sealed: &[String]) -> Result<(), Failure> {
    let f = &answered.forecast;
    if answered.known.is_some() {
        let what = format!(
            "{}: what is forecast has happened already, at step {} or before",
            f.run, f.sealed_at
        );
        return Err(Failure::usage(what)
            .help("without --seal it is forecast all the same, beside what happened"));
    }
    if sealed.contains(&f.id) {
        let what = format!("{} is sealed already", f.id);
        return Err(
            Failure::usage(what).help("a claim is made once; `ontogeny ledger ls` shows it")
        );
    }
    Ok(())
}
