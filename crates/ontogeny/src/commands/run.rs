//! `ontogeny run`: conducts a study from wherever it stands and draws what it found.

use crate::commands::report::draw;
use crate::face::{CLOCK, Face, write_json};
use crate::names;
use crate::progress::Follower;
use crate::text::duration;
use anyhow::Context;
use clap::builder::RangedU64ValueParser;
use ontogeny_lab::Conductor;
use ontogeny_lab::studies::{StudyOptions, Tier, conduct_study, study};
use serde_json::json;
use std::io::Write;

/// Conduct a study: train, observe, forecast, intervene, and draw a report
///
/// Everything is kept in the store. A study that was interrupted goes on where it was, one that is finished
/// is read and drawn again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny run skills
  ontogeny run grokking --tier study --threads 8
  ontogeny run skills --seed 10 --seeds 3 --json > findings.json
  ontogeny run robustness --tier paper --data mnist")]
pub(crate) struct Args {
    /// Name of the study; `ontogeny studies` lists them
    study: String,

    /// How much is spent: smoke (minutes), study (within an hour), paper (a night on a big machine)
    #[arg(long, default_value = "smoke")]
    tier: String,

    /// First seed; runs use this one and those after it
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,

    /// Seeds per configuration; the tier decides if absent
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..=10_000))]
    seeds: Option<u64>,

    /// Runs trained at once [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,

    /// Folder of data to read in place of drawn ones, for a study that can
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let study = study(&args.study)?;
    let options = StudyOptions {
        tier: tier(&args.tier)?,
        seed: args.seed,
        n_seeds: args.seeds,
        threads: args.threads.unwrap_or_else(threads),
        data: args.data.clone(),
    };
    let store = face.store_or_new()?;
    let follower = Follower::listen(&store, face.json)?;
    let ledger = store.ledger();
    let conductor = Conductor { store: &store, ledger: &ledger, clock: &CLOCK, watch: &follower };
    let conducted = conduct_study(study, conductor, options);
    follower.clear();
    let (id, findings) =
        conducted.with_context(|| format!("study {} is not finished", study.name))?;
    let report = draw(&store, &id, &findings)?;
    if face.json {
        let answer = json!({
            "study": study.name, "id": id, "findings": findings, "report": report,
            "elapsed_secs": follower.secs(),
        });
        write_json(out, &answer)?;
        return Ok(());
    }
    writeln!(out, "{}", findings.title)?;
    for sentence in &findings.headline {
        writeln!(out, "- {sentence}")?;
    }
    writeln!(out, "\nstudy   {id}\ntook    {}", duration(follower.secs()))?;
    writeln!(out, "report  {}", report.display())?;
    Ok(())
}

fn tier(name: &str) -> anyhow::Result<Tier> {
    let names = Tier::NAMES.iter().map(|(n, _)| *n);
    let found = Tier::NAMES.iter().find(|(n, _)| *n == name).map(|(_, tier)| *tier);
    let all: Vec<&str> = names.clone().collect();
    Ok(found.ok_or_else(|| {
        names::unknown("tier", name, names).help(format!("the tiers are {}", all.join(", ")))
    })?)
}

/// One run per processor.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
