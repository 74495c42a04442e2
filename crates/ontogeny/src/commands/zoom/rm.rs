//! `ontogeny zoom rm`: takes a zoom away again.

use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use ontogeny_core::ZoomId;
use serde_json::json;
use std::io::Write;

/// Remove a zoom; the run stays as it was recorded
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,

    /// The zoom; `ontogeny zoom ls RUN` lists them
    id: String,
}

pub(super) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let run = names::run_id(&args.run)?;
    let id = ZoomId::new(args.id.as_str()).ok_or_else(|| {
        Failure::usage(format!("`{}` cannot be the name of a zoom", args.id))
            .help(format!("`ontogeny zoom ls {run}` lists them"))
    })?;
    store.remove_zoom(&run, &id)?;
    if face.json {
        return Ok(write_json(out, &json!({ "run": run, "removed": id }))?);
    }
    writeln!(out, "zoom {id} of {run} is gone; the run is as it was recorded")?;
    Ok(())
}
