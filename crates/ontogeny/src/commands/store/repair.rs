//! `ontogeny store repair`: puts in order what can be proven to be out of order.

use super::{inside, owner, run_of};
use crate::face::{Face, write_json};
use crate::text::count;
use ontogeny_store::{Left, Repair, Store};
use serde_json::{Value, json};
use std::io::Write;

/// Say what is out of order, and put in order with --yes what can be proven
///
/// Unfinished files of dead writers go, ends of logs that were never acknowledged are cut, and damaged lists of
/// checkpoints and events are moved to the folder `damaged` of their run. Everything else is named and left: only a
/// copy can mend it. Runs that are being written are left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny store repair
  ontogeny store repair --yes")]
pub(crate) struct Args {
    /// Do what is said
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let found = store.repair(args.yes)?;
    if face.json {
        let repairs: Vec<Value> = found.repairs.iter().map(|r| repair_json(&store, r)).collect();
        let left: Vec<Value> = found.left.iter().map(|l| left_json(&store, l)).collect();
        return Ok(write_json(
            out,
            &json!({ "is_done": args.yes, "repairs": repairs, "left": left }),
        )?);
    }
    for repair in &found.repairs {
        let (do_it, did) = match repair {
            Repair::Remove { .. } => ("remove", "removed"),
            Repair::Cut(_) => ("cut", "cut"),
            Repair::Index { .. } => ("make", "made"),
            Repair::SetAside { .. } => ("set aside", "set aside"),
        };
        let verb = if args.yes { did } else { do_it };
        match repair {
            Repair::Remove { path } => writeln!(out, "{verb} unfinished {}", inside(&store, path))?,
            Repair::Cut(t) => {
                let path = inside(&store, &t.path);
                writeln!(
                    out,
                    "{verb} {} unacknowledged bytes at byte {} of {path}",
                    t.n_bytes, t.at_byte
                )?;
            }
            Repair::Index { path } => {
                writeln!(out, "{verb} the index {} anew", inside(&store, path))?;
            }
            Repair::SetAside { path, to, why } => {
                let (path, to) = (inside(&store, path), inside(&store, to));
                writeln!(out, "{verb} {path} as {to}: failed to {why}")?;
            }
        }
    }
    for left in &found.left {
        match left {
            Left::Damage(e) => writeln!(out, "left: {}: failed to {e}", owner(&store, e))?,
            Left::InUse(path) => {
                writeln!(out, "left: somebody is writing {}", inside(&store, path))?;
            }
            Left::Unproven(path) => {
                writeln!(
                    out,
                    "left: unfinished, its writer may be alive: {}",
                    inside(&store, path)
                )?;
            }
        }
    }
    let n = count(found.repairs.len(), "thing");
    match (found.repairs.is_empty(), args.yes) {
        (true, _) => writeln!(out, "there is nothing that can be put in order")?,
        (false, true) => writeln!(out, "{n} put in order")?,
        (false, false) => writeln!(out, "{n} can be put in order; --yes does it")?,
    }
    Ok(())
}

fn repair_json(store: &Store, repair: &Repair) -> Value {
    match repair {
        Repair::Remove { path } => json!({ "action": "remove", "path": inside(store, path) }),
        Repair::Cut(t) => json!({
            "action": "cut", "path": inside(store, &t.path), "at_byte": t.at_byte, "n_bytes": t.n_bytes,
        }),
        Repair::Index { path } => json!({ "action": "index", "path": inside(store, path) }),
        Repair::SetAside { path, to, why } => json!({
            "action": "set_aside", "path": inside(store, path), "to": inside(store, to),
            "what": format!("failed to {why}"),
        }),
    }
}

fn left_json(store: &Store, left: &Left) -> Value {
    match left {
        Left::Damage(e) => json!({
            "why": "damage", "run": run_of(store, e), "path": e.path().map(|p| inside(store, p)),
            "what": format!("failed to {e}"),
        }),
        Left::InUse(path) => json!({ "why": "in_use", "path": inside(store, path) }),
        Left::Unproven(path) => json!({ "why": "unproven", "path": inside(store, path) }),
    }
}
