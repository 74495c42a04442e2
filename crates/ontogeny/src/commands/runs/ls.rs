//! `ontogeny runs ls`: a table of runs.

use crate::commands::report;
use crate::describe;
use crate::face::{Face, write_json};
use crate::text::{Table, count};
use ontogeny_core::StudyId;
use serde_json::{Value, json};
use std::io::Write;

/// List runs: study, role, cell, seed, how far, status, events
///
/// A damaged run is reported on stderr and skipped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ontogeny runs ls\n  ontogeny runs ls --study skills-smoke-s0 --json"
)]
pub(crate) struct Args {
    /// Only runs of this study
    #[arg(long, value_name = "ID")]
    study: Option<String>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let study = args.study.as_deref().map(|name| report::known(&store, name)).transpose()?;
    let mut runs = describe::readable_runs(&store, face.json)?;
    runs.retain(|m| study.is_none() || m.study == study);

    let mut table =
        Table::new(["run", "study", "role", "cell", "seed", "step", "status", "events"]);
    let mut rows: Vec<Value> = Vec::new();
    for m in &runs {
        let events = match store.run(&m.run).and_then(|r| r.events()) {
            Ok(events) => events,
            Err(e) => {
                describe::skipped(m.run.as_str(), &e, face.json);
                continue;
            }
        };
        if face.json {
            rows.push(json!({
                "run": m.run, "study": m.study, "role": m.role, "cell": m.cell, "seeds": m.seeds,
                "step": m.step, "horizon": describe::horizon(m), "status": m.status,
                "fork": m.fork, "events": events,
            }));
            continue;
        }
        table.row([
            m.run.to_string(),
            m.study.as_ref().map_or("-", StudyId::as_str).to_owned(),
            m.role.clone(),
            if m.cell.is_empty() { "-".to_owned() } else { m.cell.clone() },
            describe::seeds(m.seeds),
            describe::progress(m),
            describe::status(m),
            describe::events(&events),
        ]);
    }
    if face.json {
        write_json(out, &rows)?;
    } else if table.is_empty() {
        writeln!(out, "no runs yet; `ontogeny studies` lists what can be run")?;
    } else {
        table.write(out, "")?;
        writeln!(out, "\n{}", count(runs.len(), "run"))?;
    }
    Ok(())
}
