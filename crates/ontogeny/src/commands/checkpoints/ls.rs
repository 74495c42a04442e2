//! `ontogeny checkpoints ls`: a table of checkpoints.

use crate::face::{Face, write_json};
use crate::names;
use crate::text::{Table, count, size};
use serde_json::{Value, json};
use std::io::Write;

/// Letters of a hash that are shown.
const SHORT: usize = 12;

/// List the checkpoints of a run: step, tensors, bytes as they are and as stored, hash
///
/// Stored bytes are those of all chunks that a checkpoint needs; chunks that several checkpoints share count for each
/// (`ontogeny checkpoints stat` counts them once). Equal states have equal hashes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny checkpoints ls skills.a.s0
  ontogeny checkpoints ls skills.a.s0 --json")]
pub(crate) struct Args {
    /// The run
    #[arg(value_name = "RUN")]
    run: String,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let reader = face.store()?.run(&names::run_id(&args.run)?)?;
    let mut table = Table::new(["step", "tensors", "raw", "stored", "state hash"]);
    let mut rows: Vec<Value> = Vec::new();
    for step in reader.checkpoints()? {
        let c = reader.checkpoint_summary(step)?;
        if face.json {
            let tensors = c.tensors.iter().map(|t| {
                json!({ "name": t.name, "dtype": t.dtype, "shape": t.shape, "raw_bytes": t.raw_bytes })
            });
            rows.push(json!({
                "step": c.step, "raw_bytes": c.raw_bytes, "stored_bytes": c.stored_bytes(),
                "n_chunks": c.n_chunks, "n_missing_chunks": c.n_chunks - c.chunks.len(),
                "state_hash": c.state_hash, "tensors": tensors.collect::<Vec<_>>(), "extra": c.extra,
            }));
            continue;
        }
        let missing = c.n_chunks - c.chunks.len();
        let stored = match missing {
            0 => size(c.stored_bytes()),
            n => format!("{} missing", count(n, "chunk")),
        };
        let hash = c.state_hash.get(..SHORT).unwrap_or(&c.state_hash).to_owned();
        let (step, n) = (c.step.to_string(), c.tensors.len().to_string());
        table.row([step, n, size(c.raw_bytes), stored, hash]);
    }
    if face.json {
        write_json(out, &rows)?;
    } else if table.is_empty() {
        writeln!(out, "run {} has no checkpoints", args.run)?;
    } else {
        table.write(out, "")?;
    }
    Ok(())
}
