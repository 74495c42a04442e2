//! `ontogeny zoom`: looking closer at a stretch of a run that is over.

mod ls;
mod make;
mod rm;

use crate::face::Face;
use std::io::Write;

/// Execute a stretch of a run again with denser readings, and keep them beside the run
///
/// The stretch begins with a checkpoint of the run. Every hash, loss and reading that was recorded on it must
/// come out the same, or nothing is kept. No recorded file is touched: `zoom rm` leaves the run as it was.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  ontogeny zoom skills.a.s0 --around T_skill.3
  ontogeny zoom skills.a.s0 --steps 380..440 --every 2 --probe weight_norms
  ontogeny zoom skills.a.s0 --steps 390..400 --with-checkpoints
  ontogeny zoom ls skills.a.s0
  ontogeny zoom rm skills.a.s0 390-400-by-1-checkpoints

The new readings stand among the recorded ones in `ontogeny series` and `export`. Forecasts, comparisons and
scores read what was recorded, and do not change."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    make: make::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Rm(rm::Args),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Some(Command::Ls(args)) => ls::run(args, face, out),
        Some(Command::Rm(args)) => rm::run(args, face, out),
        None => make::run(&args.make, face, out),
    }
}
