//! `ontogeny ledger`: what was claimed, what happened, how good the claims were.

mod ls;
mod score;
mod verify;

use crate::face::Face;
use ontogeny_core::{Forecast, LedgerBody, LedgerEntry, RunId};
use std::collections::BTreeMap;
use std::io::Write;

/// Show, verify or score the ledger of sealed forecasts
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Verify(verify::Args),
    Score(score::Args),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Ls(args) => ls::run(args, face, out),
        Command::Verify(args) => verify::run(args, face, out),
        Command::Score(args) => score::run(args, face, out),
    }
}

/// The forecasts of a ledger by name.
fn forecasts<'a>(entries: &'a [LedgerEntry]) -> BTreeMap<&'a str, &'a Forecast> {
    let forecast = |e: &'a LedgerEntry| match &e.body {
        LedgerBody::Forecast(f) => Some((f.id.as_str(), &**f)),
        _ => None,
    };
    entries.iter().filter_map(forecast).collect()
}

/// Whether a forecast belongs to a study: its name begins with that of the study.
pub(crate) fn is_of_study(forecast: &str, study: &str) -> bool {
    forecast.split_once('/').is_some_and(|(s, _)| s == study)
}

/// Which entries are wanted.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only entries of this study
    #[arg(long, value_name = "ID")]
    study: Option<String>,

    /// Only entries about this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

impl Filter {
    fn keeps(&self, forecast: &str, run: Option<&RunId>) -> bool {
        self.study.as_deref().is_none_or(|s| is_of_study(forecast, s))
            && self.run.as_deref().is_none_or(|r| run.is_some_and(|run| run.as_str() == r))
    }

    fn keeps_note(&self, about: &str) -> bool {
        self.run.is_none() && self.study.as_deref().is_none_or(|s| s == about)
    }
}
