//! `ontogeny store gc`: removes what no checkpoint needs.

use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::progress::Counter;
use crate::text::{count, size};
use ontogeny_core::RunId;
use ontogeny_store::Obstacle;
use serde_json::{Value, json};
use std::io::Write;

/// Find objects that no checkpoint needs, and remove them with --yes
///
/// Needed is what a list of a checkpoint names, in any run, zoom or unfinished folder, and what that is stored against.
/// Runs may be written at the same time. If a list or a needed object cannot be read, nobody knows what it needs, and
/// nothing is removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny store gc
  ontogeny store gc --yes
  ontogeny store gc --ignore-damaged skills.a.s0 --yes")]
pub(crate) struct Args {
    /// Remove what was found
    #[arg(long)]
    yes: bool,

    /// Go on although lists or objects of this run cannot be read: what only they need is lost. May be repeated
    #[arg(long, value_name = "RUN")]
    ignore_damaged: Vec<String>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let ignored: Vec<RunId> =
        args.ignore_damaged.iter().map(|r| names::run_id(r)).collect::<Result<_, _>>()?;
    let bar = Counter::new("objects", "{pos}/{len} objects [{wide_bar}] {eta}", face.json);
    let seen = |n, total| bar.set(n, total, "");
    let found = store.collect_garbage_with(&ignored, args.yes, super::n_threads(), &seen);
    bar.clear();
    let found = found?;
    let n_bytes = found.object_bytes + found.unfinished_bytes;
    if face.json {
        let list = |obstacles: &[Obstacle]| -> Vec<Value> {
            let one = |o: &Obstacle| json!({ "owner": o.owner, "what": format!("failed to {}", o.error) });
            obstacles.iter().map(one).collect()
        };
        let answer = json!({
            "is_removed": found.is_removed, "n_needed": found.n_needed, "n_objects": found.n_objects,
            "object_bytes": found.object_bytes, "n_unfinished": found.n_unfinished,
            "unfinished_bytes": found.unfinished_bytes, "obstacles": list(&found.obstacles),
            "ignored": list(&found.ignored),
        });
        write_json(out, &answer)?;
    } else {
        for o in &found.ignored {
            writeln!(out, "ignored: {}: failed to {}", o.owner, o.error)?;
        }
        for o in &found.obstacles {
            writeln!(out, "in the way: {}: failed to {}", o.owner, o.error)?;
        }
        let unfinished = match found.n_unfinished {
            0 => String::new(),
            n => format!(" and {n} unfinished"),
        };
        let what = format!("{}{unfinished}, {}", count(found.n_objects, "object"), size(n_bytes));
        let needed = count(found.n_needed, "object");
        if found.n_objects + found.n_unfinished == 0 {
            writeln!(out, "no garbage: {needed} needed")?;
        } else if found.is_removed {
            writeln!(out, "removed {what}; {needed} needed")?;
        } else {
            writeln!(out, "garbage: {what}; {needed} needed")?;
            if found.obstacles.is_empty() {
                writeln!(out, "nothing was removed; --yes removes it")?;
            }
        }
    }
    if found.obstacles.is_empty() {
        return Ok(());
    }
    out.flush()?;
    let n = count(found.obstacles.len(), "file");
    Err(Failure::data(format!("nothing is removed: nobody knows what {n} need"))
        .help("restore them from a copy, or give up what they need with --ignore-damaged RUN")
        .into())
}
