//! The subcommands, one file each.

mod backtest;
mod checkpoints;
mod compare;
mod export;
mod forecast;
mod fork;
mod import;
mod interventions;
mod ledger;
mod lineage;
mod probes;
mod report;
mod run;
mod runs;
mod scaling;
mod scorecard;
mod series;
mod store;
mod studies;
mod zoom;

use crate::args::Cli;
use crate::face::Face;
use clap::Subcommand;
use std::io::Write;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Studies(studies::Args),
    Probes(probes::Args),
    Interventions(interventions::Args),
    Runs(runs::Args),
    Series(series::Args),
    Import(import::Args),
    Export(export::Args),
    Checkpoints(checkpoints::Args),
    Store(store::Args),
    Forecast(forecast::Args),
    Fork(fork::Args),
    Zoom(zoom::Args),
    Lineage(lineage::Args),
    Compare(compare::Args),
    Ledger(ledger::Args),
    Scaling(scaling::Args),
    Scorecard(scorecard::Args),
    Report(report::Args),
    Backtest(backtest::Args),
}

/// Does it. Answers go to `out`.
pub(crate) fn run(cli: Cli, out: &mut dyn Write) -> anyhow::Result<()> {
    let face = Face::new(cli.store, cli.cache, cli.json);
    match &cli.command {
        Command::Run(args) => run::run(args, &face, out),
        Command::Studies(args) => studies::run(args, &face, out),
        Command::Probes(args) => probes::run(args, &face, out),
        Command::Interventions(args) => interventions::run(args, &face, out),
        Command::Runs(args) => runs::run(args, &face, out),
        Command::Series(args) => series::run(args, &face, out),
        Command::Import(args) => import::run(args, &face, out),
        Command::Export(args) => export::run(args, &face, out),
        Command::Checkpoints(args) => checkpoints::run(args, &face, out),
        Command::Store(args) => store::run(args, &face, out),
        Command::Forecast(args) => forecast::run(args, &face, out),
        Command::Fork(args) => fork::run(args, &face, out),
        Command::Zoom(args) => zoom::run(args, &face, out),
        Command::Lineage(args) => lineage::run(args, &face, out),
        Command::Compare(args) => compare::run(args, &face, out),
        Command::Ledger(args) => ledger::run(args, &face, out),
        Command::Scaling(args) => scaling::run(args, &face, out),
        Command::Scorecard(args) => scorecard::run(args, &face, out),
        Command::Report(args) => report::run(args, &face, out),
        Command::Backtest(args) => backtest::run(args, &face, out),
    }
}
