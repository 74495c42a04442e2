//! `ontogeny ledger verify`: is the chain whole?

use crate::face::{Face, write_json};
use ontogeny_core::LedgerEntry;
use serde_json::json;
use std::io::Write;

/// Check that nothing in the ledger was edited or removed
///
/// Ends with code 3 if something was.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let entries = face.store()?.ledger().entries()?;
    let head = entries.last().map_or_else(LedgerEntry::genesis, |e| e.hash.clone());
    if face.json {
        write_json(out, &json!({ "n_entries": entries.len(), "intact": true, "head": head }))?;
    } else {
        let n = entries.len();
        let entries = if n == 1 { "1 entry".to_owned() } else { format!("{n} entries") };
        writeln!(out, "the ledger is intact: {entries}, head {head}")?;
    }
    Ok(())
}
