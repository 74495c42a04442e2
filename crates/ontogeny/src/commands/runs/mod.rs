//! `ontogeny runs`: what the store holds.

mod ls;
mod show;

use crate::face::Face;
use std::io::Write;

/// List the runs of the store, or show one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Show(show::Args),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Ls(args) => ls::run(args, face, out),
        Command::Show(args) => show::run(args, face, out),
    }
}
