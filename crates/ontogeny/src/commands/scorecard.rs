//! `ontogeny scorecard`: what the theories have earned.

use super::ledger::is_of_study;
use crate::commands::report;
use crate::face::{Face, write_json};
use crate::names;
use ontogeny_analysis::scorecard::subjects;
use ontogeny_core::{LedgerEntry, StudyId};
use std::io::Write;

/// Print the scorecard of every theory on every property it has sealed forecasts of
///
/// Three levels are gates: predict, intervene, design. Nothing is printed from a ledger whose chain is broken.
/// Records of all studies in the store count; the options choose which theories are shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny scorecard
  ontogeny scorecard --study grokking-smoke-s0 --theory mirror-accuracy")]
pub(crate) struct Args {
    /// Only theories that sealed something in this study
    #[arg(long, value_name = "ID")]
    study: Option<String>,

    /// Only this theory
    #[arg(long, value_name = "NAME")]
    theory: Option<String>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let entries = store.ledger().entries()?;
    let study = args.study.as_deref().map(|name| report::known(&store, name)).transpose()?;
    if let Some(name) = &args.theory {
        let all = subjects(&entries);
        if !all.iter().any(|(theory, _)| theory == name) {
            let unknown = names::unknown("theory", name, all.iter().map(|(t, _)| t.as_str()));
            return Err(unknown.help("`ontogeny ledger ls` lists what was claimed").into());
        }
    }
    let cards = ontogeny_lab::scorecards(&store, &entries, |theory, property| {
        args.theory.as_deref().is_none_or(|t| t == theory)
            && study.as_ref().is_none_or(|s| has_sealed(&entries, s, theory, property))
    })?;
    if face.json {
        return Ok(write_json(out, &cards)?);
    }
    if cards.is_empty() {
        writeln!(out, "no theory has sealed a forecast yet")?;
    }
    for (i, card) in cards.iter().enumerate() {
        let gap = if i == 0 { "" } else { "\n" };
        writeln!(out, "{gap}{}", card.to_string().trim_end())?;
    }
    Ok(())
}

fn has_sealed(entries: &[LedgerEntry], study: &StudyId, theory: &str, property: &str) -> bool {
    let is_it = |(id, t, p): (&str, &str, &str)| {
        is_of_study(id, study.as_str()) && t == theory && p == property
    };
    entries.iter().filter_map(|e| e.body.subject()).any(is_it)
}
