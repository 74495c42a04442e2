//! `ontogeny scaling`: laws of the loss from a table of runs.

mod fit;
mod plot;
mod points;
mod predict;
mod replication;

use crate::face::Face;
use crate::failure::Failure;
use crate::names;
use ontogeny_analysis::scaling::{
    Average, BUDGET_FACTOR, BootstrapOptions, FitOptions, LAWS, Law, Point, Weighing, average,
    by_name,
};
use std::io::Write;

/// Fit scaling laws to a table of runs, predict with them, draw them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Fit(fit::Args),
    Predict(predict::Args),
    Plot(plot::Args),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Fit(args) => fit::run(args, face, out),
        Command::Predict(args) => predict::run(args, face, out),
        Command::Plot(args) => plot::run(args, face, out),
    }
}

/// How to fit, shared by the three.
#[derive(Debug, clap::Args)]
struct Recipe {
    /// Law to use; may be given several times [default: fit: chinchilla, or frontier with compute
    /// alone; predict and plot: every law that the columns allow, weighted by held-out budgets]
    #[arg(long = "law", value_name = "LAW")]
    laws: Vec<String>,

    /// Leave out so many points of highest loss [default: 0, or 5 for the public Chinchilla points]
    #[arg(long, value_name = "N")]
    drop_highest: Option<usize>,

    /// Resamples of the bootstrap
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    resamples: u32,

    /// Decides the resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Recipe {
    fn fit_options(&self, points: &[Point]) -> FitOptions {
        let usual =
            if replication::is_chinchilla(points) { FitOptions::BESIROGLU.drop_highest } else { 0 };
        FitOptions { drop_highest: self.drop_highest.unwrap_or(usual), ..FitOptions::default() }
    }

    fn bootstrap_options(&self) -> BootstrapOptions {
        let n_resamples = self.resamples as usize;
        BootstrapOptions { n_resamples, seed: self.seed, ..BootstrapOptions::default() }
    }

    /// The laws named, or those of `usual` that the points allow.
    fn laws(&self, points: &[Point], usual: &[&str]) -> Result<Vec<&'static dyn Law>, Failure> {
        let there_is = || LAWS.iter().map(|l| l.spec().name);
        let known = |name: &str| {
            by_name(name).ok_or_else(|| {
                let all: Vec<&str> = there_is().collect();
                names::unknown("law", name, there_is())
                    .help(format!("there are {}", all.join(", ")))
            })
        };
        if !self.laws.is_empty() {
            return self.laws.iter().map(|name| known(name)).collect();
        }
        let allows = |law: &&'static dyn Law| {
            law.spec().inputs.iter().all(|i| points.iter().all(|p| p.at.get(*i).is_finite()))
        };
        Ok(usual.iter().filter_map(|name| by_name(name)).filter(allows).collect())
    }

    /// The forms for predictions, weighted by the largest budgets predicted from those below.
    fn average(&self, points: &[Point]) -> anyhow::Result<Average> {
        let usual = ["chinchilla", "overtraining", "floor-nd", "valley", "kaplan-nd", "frontier"];
        let laws = self.laws(points, &usual)?;
        // Compute alone tells nothing that size and data do not tell better.
        let has_sizes = laws.iter().any(|l| l.spec().inputs.len() > 1);
        let is_wanted = |l: &&&'static dyn Law| {
            !self.laws.is_empty() || !has_sizes || l.spec().inputs.len() > 1
        };
        let laws: Vec<&'static dyn Law> = laws.iter().filter(is_wanted).copied().collect();
        let fit = self.fit_options(points);
        Ok(average(&laws, points, Weighing::HeldOut, &fit, BUDGET_FACTOR)?)
    }
}
