//! `ontogeny store migrate`: brings what earlier versions wrote to the present form.

use super::{inside, run_of};
use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::progress::Counter;
use crate::text::count;
use ontogeny_store::Left;
use serde_json::{Value, json};
use std::io::Write;

/// Bring rows that earlier versions wrote to the form of this one, with --yes
///
/// Nothing has to be migrated, every version is read; what is migrated is found faster. Readings stay the same, to the
/// bit. What is new is on disk and was read back before what is old goes. Earlier versions of Ontogeny cannot read it.
/// Runs that are being written are left alone. Checkpoints stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny store migrate
  ontogeny store migrate --yes")]
pub(crate) struct Args {
    /// Do it
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let bar = Counter::new("runs", "{pos}/{len} runs [{wide_bar}] {eta}", face.json);
    let found = store.migrate(args.yes, &|n, total| bar.set(n, total, ""));
    bar.clear();
    let found = found?;
    let mut n_damaged = 0;
    let mut left: Vec<Value> = Vec::new();
    let mut said = Vec::new();
    for l in &found.left {
        match l {
            Left::Damage(e) => {
                n_damaged += 1;
                left.push(json!({ "run": run_of(&store, e), "what": format!("failed to {e}") }));
                said.push(format!("left: failed to {e}"));
            }
            Left::InUse(path) | Left::Unproven(path) => {
                let path = inside(&store, path);
                said.push(format!("left: it is being written: {path}"));
                left.push(json!({ "path": path, "what": "it is being written" }));
            }
        }
    }
    if face.json {
        let files: Vec<Value> = (found.files.iter())
            .map(|f| json!({ "migration": f.migration, "path": inside(&store, &f.path) }))
            .collect();
        write_json(out, &json!({ "is_migrated": args.yes, "files": files, "left": left }))?;
    } else {
        for f in &found.files {
            writeln!(out, "{}: {}", inside(&store, &f.path), f.what)?;
        }
        for line in &said {
            writeln!(out, "{line}")?;
        }
        let n = count(found.files.len(), "file");
        match (found.files.is_empty(), args.yes) {
            (true, _) => writeln!(out, "everything is in the present form")?,
            (false, true) => writeln!(out, "{n} migrated")?,
            (false, false) => writeln!(out, "{n} can be migrated; --yes does it")?,
        }
    }
    if n_damaged == 0 {
        return Ok(());
    }
    out.flush()?;
    Err(Failure::data(format!("{} could not be migrated", count(n_damaged, "run")))
        .help("`ontogeny store verify` says what is wrong with them")
        .into())
}
