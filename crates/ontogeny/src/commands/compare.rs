//! `ontogeny compare`: runs side by side.

use crate::comparison::Comparison;
use crate::face::{Face, write_json};
use crate::lineage;
use crate::names;
use ontogeny_lab::RunRecord;
use std::io::Write;

/// Compare runs: configuration, events, final values, paired differences
///
/// Differences are paired where the runs share data: a fork and its parent, two forks of one state, or equal
/// tasks with equal data seeds. Values are taken at the last step that all runs have. What came before a fork
/// belongs to the fork too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ontogeny compare skills.a.s0 skills.a.s1")]
pub(crate) struct Args {
    /// The runs; the first is the one that the others are compared with
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<String>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let mut records: Vec<RunRecord> = Vec::new();
    for name in &args.runs {
        records.push(lineage::whole(&store, &names::run_id(name)?)?);
    }
    let comparison = Comparison::new(&records);
    if face.json { Ok(write_json(out, &comparison.to_json())?) } else { comparison.write(out) }
}
