//! `ontogeny interventions`: what a fork can change by name.

use crate::face::{Face, write_json};
use crate::text::Table;
use ontogeny_lab::interventions::interventions;
use serde_json::{Value, json};
use std::io::Write;

/// List the named interventions
///
/// Whatever a configuration key can say needs no name: `ontogeny fork RUN@STEP --set key=value`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    if face.json {
        let list: Vec<Value> = interventions()
            .iter()
            .map(|i| json!({ "name": i.name, "summary": i.summary, "source": i.source }))
            .collect();
        write_json(out, &list)?;
        return Ok(());
    }
    let mut table = Table::new(["intervention", "what it does", "source"]);
    for i in interventions() {
        table.row([i.name, i.summary, i.source]);
    }
    table.write(out, "")?;
    writeln!(out, "\nmake one with: ontogeny fork RUN@STEP --intervention NAME")?;
    Ok(())
}
