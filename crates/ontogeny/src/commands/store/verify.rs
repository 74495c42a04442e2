//! `ontogeny store verify`: is everything as it was written?

use super::{inside, owner, run_of};
use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::progress::Counter;
use crate::text::count;
use serde_json::{Value, json};
use std::io::Write;

/// Read everything once and check it against its checksums: rows, checkpoints with all their chunks, zooms, events,
/// studies, the ledger
///
/// Names every damaged file and the run it belongs to; other runs are not affected. Ends with code 3 if there is any.
/// Unfinished ends of logs are no damage: the next writer of the run cuts them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny store verify
  ontogeny store verify --json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let bar = Counter::new("runs", "{pos}/{len} runs [{wide_bar}] {eta}", face.json);
    let found = store.verify_with(super::n_threads(), &|n, total| bar.set(n, total, ""));
    bar.clear();
    let found = found?;
    let n = found.problems.len();
    if face.json {
        let problems: Vec<Value> = (found.problems.iter())
            .map(|e| {
                json!({
                    "run": run_of(&store, e), "path": e.path().map(|p| inside(&store, p)),
                    "what": format!("failed to {e}"),
                })
            })
            .collect();
        let torn: Vec<Value> = (found.torn_tails.iter())
            .map(|t| json!({ "path": inside(&store, &t.path), "at_byte": t.at_byte, "n_bytes": t.n_bytes }))
            .collect();
        let answer = json!({
            "is_whole": found.is_whole(), "n_runs": found.n_runs, "n_chunks": found.n_chunks,
            "n_studies": found.n_studies, "n_ledger_entries": found.n_ledger_entries,
            "problems": problems, "torn_tails": torn,
        });
        write_json(out, &answer)?;
    } else {
        for e in &found.problems {
            writeln!(out, "{}: failed to {e}", owner(&store, e))?;
        }
        for t in &found.torn_tails {
            let path = inside(&store, &t.path);
            writeln!(
                out,
                "unfinished, no damage: {} bytes at byte {} of {path}",
                t.n_bytes, t.at_byte
            )?;
        }
        writeln!(
            out,
            "{}: {}, {}, {}, {} of the ledger",
            if n == 0 {
                "everything is as it was written".to_owned()
            } else {
                format!("{} found", count(n, "damage"))
            },
            count(found.n_runs, "run"),
            count(found.n_chunks, "chunk"),
            if found.n_studies == 1 {
                "1 study".to_owned()
            } else {
                format!("{} studies", found.n_studies)
            },
            if found.n_ledger_entries == 1 {
                "1 entry".to_owned()
            } else {
                format!("{} entries", found.n_ledger_entries)
            },
        )?;
    }
    if n == 0 {
        return Ok(());
    }
    out.flush()?;
    let what = format!("{} in the store", count(n, "damage"));
    Err(Failure::data(what)
        .help("restore these files from a copy; `ontogeny store repair` says what can be put in order")
        .into())
}
