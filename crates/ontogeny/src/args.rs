//! The command line: options that every subcommand has, and the subcommands.

use crate::commands::Command;
use crate::exit::{self, Exit};
use crate::failure;
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// An instrument for the science of training dynamics: observe, predict, intervene, design.
#[derive(Debug, Parser)]
#[command(name = "ontogeny", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// The folder that keeps runs, ledger and studies, or a URL (s3://...) to read them from [default: ./ontogeny-store]
    #[arg(long, global = true, value_name = "PATH", display_order = 900)]
    pub(crate) store: Option<PathBuf>,

    /// Where copies of what is read from a URL are kept [default: the user's folder for caches]
    #[arg(long, global = true, value_name = "PATH", display_order = 902)]
    pub(crate) cache: Option<PathBuf>,

    /// Print JSON instead of text, errors too
    #[arg(long, global = true, display_order = 901)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Parses the arguments of the process. `Err` is how the process ends when there is nothing to do: help was
/// printed, or the arguments are wrong and that was said.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let is_mistake = error.use_stderr();
    if is_mistake && std::env::args_os().any(|a| a == "--json") {
        let text = error.render().to_string();
        let (what, help) = text.split_once("\n\n").unwrap_or((&text, ""));
        let what = what.trim().trim_start_matches("error: ");
        failure::print(what, &[], Some(help.trim()), Exit::Usage, true);
    } else {
        // Help that cannot be printed is help that nobody reads.
        let _ = error.print();
    }
    Err(if is_mistake { Exit::Usage } else { Exit::Ok }.into())
}
