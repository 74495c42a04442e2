//! `ontogeny probes`: what can be measured.

use crate::face::{Face, write_json};
use crate::text::Table;
use ontogeny_probes::{Output, ProbeEntry, probe, probes};
use serde_json::{Value, json};
use std::io::Write;

/// List the probes, or show the manual page of one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ontogeny probes\n  ontogeny probes weight_norms")]
pub(crate) struct Args {
    /// Name of a probe
    probe: Option<String>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let Some(name) = &args.probe else { return list(face, out) };
    let entry = probe(name)?;
    if face.json {
        write_json(out, &to_json(entry))?;
        return Ok(());
    }
    let s = &entry.spec;
    writeln!(out, "{}: {}", s.name, s.summary)?;
    writeln!(out, "  unit    {}\n  needs   {}\n  source  {}", s.unit, s.needs, s.source)?;
    writeln!(out, "\nwrites")?;
    let mut table = Table::new(["series", "unit", "what it is"]);
    for o in s.outputs {
        table.row([o.name, o.unit, o.summary]);
    }
    table.write(out, "  ")?;
    Ok(())
}

fn list(face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    if face.json {
        write_json(out, &probes().iter().map(to_json).collect::<Vec<_>>())?;
        return Ok(());
    }
    let mut table = Table::new(["probe", "unit", "summary"]);
    for entry in probes() {
        table.row([entry.spec.name, entry.spec.unit, entry.spec.summary]);
    }
    table.write(out, "")?;
    Ok(())
}

fn to_json(entry: &ProbeEntry) -> Value {
    let s = &entry.spec;
    let output = |o: &Output| json!({ "name": o.name, "unit": o.unit, "summary": o.summary });
    json!({
        "name": s.name, "unit": s.unit, "summary": s.summary, "needs": s.needs, "source": s.source,
        "outputs": s.outputs.iter().map(output).collect::<Vec<_>>(),
    })
}
