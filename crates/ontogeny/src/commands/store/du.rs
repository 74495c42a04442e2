//! `ontogeny store du`: what takes how much space.

use crate::face::{Face, write_json};
use crate::progress::Counter;
use crate::text::{Table, size};
use serde_json::{Value, json};
use std::io::Write;

/// Add up what takes space: by run and kind, studies, ledger, garbage
///
/// Objects hold the bytes of checkpoints. "alone" are those that only this run needs, its zooms included; shared ones
/// count for each run that needs them, and once in the sum. Reads every object in use, to know what it is stored
/// against.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny store du
  ontogeny store du --json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let bar = Counter::new("objects", "{pos}/{len} objects [{wide_bar}] {eta}", face.json);
    let usage = store.usage_with(super::n_threads(), &|n, total| bar.set(n, total, ""));
    bar.clear();
    let usage = usage?;
    if face.json {
        let runs: Vec<Value> = (usage.runs.iter())
            .map(|r| {
                json!({
                    "run": r.run, "metrics": r.metrics, "tensors": r.tensors, "lists": r.lists, "zooms": r.zooms,
                    "other": r.other, "objects_alone": r.objects_alone, "objects_shared": r.objects_shared,
                    "n_checkpoints": r.n_checkpoints,
                })
            })
            .collect();
        let unreadable: Vec<Value> = (usage.obstacles.iter())
            .map(|o| json!({ "owner": o.owner, "what": format!("failed to {}", o.error) }))
            .collect();
        let answer = json!({
            "runs": runs, "studies": usage.studies, "ledger": usage.ledger, "index": usage.index, "objects": usage.objects,
            "garbage": usage.garbage, "unfinished": usage.unfinished, "total": usage.total(),
            "unreadable": unreadable,
        });
        return Ok(write_json(out, &answer)?);
    }
    let mut table = Table::new([
        "run",
        "checkpoints",
        "metrics",
        "tensors",
        "lists",
        "zooms",
        "other",
        "objects alone",
        "shared",
    ]);
    for r in &usage.runs {
        let sizes =
            [r.metrics, r.tensors, r.lists, r.zooms, r.other, r.objects_alone, r.objects_shared];
        let sizes = sizes.into_iter().map(size);
        table.row([r.run.clone(), r.n_checkpoints.to_string()].into_iter().chain(sizes));
    }
    if !table.is_empty() {
        table.write(out, "")?;
        writeln!(out)?;
    }
    writeln!(out, "objects   {}", size(usage.objects))?;
    writeln!(out, "studies   {}", size(usage.studies))?;
    writeln!(out, "ledger    {}", size(usage.ledger))?;
    if usage.index > 0 {
        writeln!(out, "index     {}", size(usage.index))?;
    }
    let hint = if usage.garbage > 0 { "  (`ontogeny store gc` looks closer)" } else { "" };
    writeln!(out, "garbage   {}{hint}", size(usage.garbage))?;
    if usage.unfinished > 0 {
        writeln!(out, "unfinished {}", size(usage.unfinished))?;
    }
    writeln!(out, "all       {}", size(usage.total()))?;
    for o in &usage.obstacles {
        writeln!(out, "note: {} needs what cannot be read: failed to {}", o.owner, o.error)?;
    }
    Ok(())
}
