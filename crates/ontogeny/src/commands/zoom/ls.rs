//! `ontogeny zoom ls`: the zooms into a run.

use crate::describe;
use crate::face::{Face, write_json};
use crate::names;
use crate::text::{Table, count, moment};
use std::io::Write;

/// List the zooms into a run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
}

pub(super) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let id = names::run_id(&args.run)?;
    let listing = store.zooms(&id)?;
    for (name, error) in &listing.damaged {
        describe::skipped_zoom(&id, name, error, face.json);
    }
    if face.json {
        return Ok(write_json(out, &listing.zooms)?);
    }
    if listing.zooms.is_empty() {
        writeln!(out, "no zooms into {id}; `ontogeny zoom {id} --steps A..B` makes one")?;
        return Ok(());
    }
    let mut table =
        Table::new(["zoom", "steps", "every", "readings", "checkpoints", "probes", "made"]);
    for z in &listing.zooms {
        table.row([
            z.id.to_string(),
            format!("{} to {}", z.from, z.to),
            z.every.to_string(),
            z.n_readings.to_string(),
            if z.has_checkpoints { "yes" } else { "no" }.to_owned(),
            z.probes.join(", "),
            moment(z.created_unix_secs),
        ]);
    }
    table.write(out, "")?;
    writeln!(out, "\n{}", count(listing.zooms.len(), "zoom"))?;
    Ok(())
}
