//! `ontogeny studies`: what can be run.

use crate::face::{Face, write_json};
use crate::text::Table;
use ontogeny_lab::studies::{Tier, studies};
use serde_json::{Value, json};
use std::io::Write;

/// List the studies that can be run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let tiers: Vec<&str> = Tier::NAMES.iter().map(|(name, _)| *name).collect();
    if face.json {
        let list: Vec<Value> = studies()
            .iter()
            .map(|s| json!({ "name": s.name, "summary": s.summary, "tiers": tiers }))
            .collect();
        write_json(out, &list)?;
        return Ok(());
    }
    let mut table = Table::new(["study", "question"]);
    for s in studies() {
        table.row([s.name, s.summary]);
    }
    table.write(out, "")?;
    writeln!(out, "\nrun one with: ontogeny run STUDY [--tier {}]", tiers.join("|"))?;
    Ok(())
}
