//! `ontogeny zoom RUN`: makes a zoom, and says what it shows of the events.

use crate::describe;
use crate::face::{CLOCK, Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::progress::Follower;
use crate::text::{Table, count};
use anyhow::Context;
use clap::builder::RangedU64ValueParser;
use ontogeny_core::{Censoring, RunId, Step};
use ontogeny_lab::{Conductor, Refined, ZoomPlan, Zoomed, refined_events};
use ontogeny_store::Store;
use serde_json::{Value, json};
use std::io::Write;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    #[arg(required = true)]
    run: Option<String>,

    /// First and last step to read
    #[arg(long, value_name = "A..B", required_unless_present = "around")]
    steps: Option<String>,

    /// Read around an event of the run, as far on both sides as its interval is long
    #[arg(long, value_name = "EVENT", conflicts_with = "steps")]
    around: Option<String>,

    /// With --around: steps to read before and after the interval of the event
    #[arg(long, value_name = "N", requires = "around")]
    margin: Option<u64>,

    /// Steps between two readings
    #[arg(long, value_name = "N", default_value = "1", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    every: u64,

    /// Read with this probe; may be repeated [default: the probes of the run]
    #[arg(long, value_name = "NAME")]
    probe: Vec<String>,

    /// Keep the state at every step that is read
    #[arg(long)]
    with_checkpoints: bool,
}

pub(super) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let id = names::run_id(args.run.as_deref().unwrap_or_default())?;
    let plan = args.plan(&store, &id)?;
    let follower = Follower::listen(&store, face.json)?;
    let ledger = store.ledger();
    let conductor = Conductor { store: &store, ledger: &ledger, clock: &CLOCK, watch: &follower };
    let made = conductor.zoom(&plan);
    follower.clear();
    let zoomed = made.with_context(|| format!("cannot zoom into {id}"))?;
    let refined = refined_events(&store.run(&id)?)?;
    if face.json {
        let events: Vec<Value> = refined.iter().map(event_json).collect();
        let answer =
            json!({ "zoom": zoomed.manifest, "was_there": zoomed.was_there, "events": events });
        return Ok(write_json(out, &answer)?);
    }
    write(&zoomed, &refined, out)
}

fn event_json(r: &Refined) -> Value {
    json!({
        "event": r.recorded.name, "series": r.recorded.series, "recorded": r.recorded.when,
        "narrowed": r.narrowed.map(|(lo, hi)| json!({ "lo": lo, "hi": hi })),
        "merged": r.merged.when,
    })
}

impl Args {
    fn plan(&self, store: &Store, run: &RunId) -> anyhow::Result<ZoomPlan> {
        let probes = (!self.probe.is_empty()).then(|| self.probe.clone());
        let plan = match (&self.around, &self.steps) {
            (Some(name), _) => {
                let events = store.run(run)?.events()?;
                let event = events.iter().find(|e| e.name == *name).ok_or_else(|| {
                    names::unknown("event", name, events.iter().map(|e| e.name.as_str()))
                        .help(format!("`ontogeny runs show {run}` lists its events"))
                })?;
                ZoomPlan::around(store, run, event, self.margin)
                    .with_context(|| format!("cannot zoom into {run}"))?
            }
            (None, steps) => {
                let (from, to) = range(steps.as_deref().unwrap_or_default())?;
                ZoomPlan { run: run.clone(), from, to, every: 1, probes: None, checkpoints: false }
            }
        };
        Ok(ZoomPlan { every: self.every, probes, checkpoints: self.with_checkpoints, ..plan })
    }
}

/// `A..B`, both read.
fn range(text: &str) -> Result<(Step, Step), Failure> {
    let parts = text.split_once("..").map(|(a, b)| (a, b.trim_start_matches('=')));
    let steps = parts.and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    match steps {
        Some((from, to)) if from <= to => Ok((Step(from), Step(to))),
        Some((from, to)) => {
            Err(Failure::usage(format!("the stretch from {from} to {to} runs backwards")))
        }
        None => Err(Failure::usage(format!("`{text}` is no stretch of steps"))
            .help("write the first and the last step as A..B, e.g. --steps 380..440")),
    }
}

fn write(zoomed: &Zoomed, refined: &[Refined], out: &mut dyn Write) -> anyhow::Result<()> {
    let m = &zoomed.manifest;
    let every = if m.every == 1 { "every step".into() } else { format!("every {} steps", m.every) };
    let there = if zoomed.was_there { " is there already" } else { "" };
    writeln!(out, "zoom {} of {}{there}: steps {} to {}, {every}", m.id, m.run, m.from, m.to)?;
    let hashes = count(m.n_hashes_equal as usize, "recorded hash").replace("hashs", "hashes");
    writeln!(
        out,
        "  executed again from step {} to {}: {hashes} of the state and {} other recorded numbers came out the same",
        m.origin, m.equal_at, m.n_readings_equal
    )?;
    let added = count(m.n_readings as usize, "reading");
    writeln!(out, "  {added} added beside the run; nothing recorded was touched")?;
    if !m.began_here.is_empty() {
        let names = m.began_here.join(", ");
        writeln!(out, "  {names}: remembers earlier readings, and began to at step {}", m.from)?;
    }
    for (probe, reason) in &m.unread {
        writeln!(out, "  {probe}: could not be read: {reason}")?;
    }
    let inside = |r: &&Refined| {
        let seen = r.recorded.when.seen_at();
        seen.is_some_and(|s| s >= m.from && s <= m.to) || r.recorded.when != r.merged.when
    };
    let shown: Vec<&Refined> = refined.iter().filter(inside).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["event", "recorded", "with zooms"]);
    let mut remarks = Vec::new();
    for r in shown {
        let narrowed = r.narrowed.map(|(lo, hi)| Censoring::Interval { lo, hi });
        let best = narrowed.unwrap_or(r.merged.when);
        table.row([
            r.recorded.name.clone(),
            describe::interval(r.recorded.when),
            describe::interval(best),
        ]);
        if best != r.merged.when {
            remarks.push(format!(
                "{}: {} on all readings alike says {}",
                r.recorded.name,
                r.merged.detector,
                describe::interval(r.merged.when)
            ));
        }
    }
    writeln!(out)?;
    table.write(out, "")?;
    for remark in remarks {
        writeln!(out, "note: {remark}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_its_first_and_last_step() {
        for text in ["380..440", "380..=440", " 380 .. 440 "] {
            assert_eq!(range(text).unwrap(), (Step(380), Step(440)));
        }
        for bad in ["", "380", "380..", "..440", "a..b", "-1..4", "9..8"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
