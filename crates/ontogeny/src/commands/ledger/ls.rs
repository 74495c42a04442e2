//! `ontogeny ledger ls`: the entries, one line each.

use super::{Filter, forecasts};
use crate::face::{Face, write_json};
use crate::text::{Table, moment, number};
use ontogeny_core::{
    DesignOutcome, Forecast, LEVELS, LedgerBody, LedgerEntry, Observed, Predictive, Score, Target,
};
use std::io::Write;

/// List the entries of the ledger: claims, outcomes, scores, notes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A claim is written as its median, the interval between its 5 % and 95 % quantiles, and the probability
that it never happens. Scores are lower-is-better and stand beside those of their baselines.

Examples:
  ontogeny ledger ls --study skills-smoke-s0
  ontogeny ledger ls --run skills.a.s0 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let entries = face.store()?.ledger().entries()?;
    let claims = forecasts(&entries);
    let keeps = |e: &&LedgerEntry| {
        let about = |id: &str| args.filter.keeps(id, claims.get(id).map(|f| &f.run));
        match &e.body {
            LedgerBody::Forecast(f) => about(&f.id),
            LedgerBody::Outcome(o) => about(&o.forecast),
            LedgerBody::Score(s) => about(&s.forecast),
            LedgerBody::Design(d) => args.filter.keeps(&d.id, None),
            LedgerBody::DesignOutcome(o) => args.filter.keeps(&o.problem, None),
            LedgerBody::Note { about, .. } => args.filter.keeps_note(about),
        }
    };
    let kept: Vec<&LedgerEntry> = entries.iter().filter(keeps).collect();
    if face.json {
        write_json(out, &kept)?;
        return Ok(());
    }
    if kept.is_empty() {
        writeln!(out, "no entries")?;
        return Ok(());
    }
    let mut table = Table::new(["seq", "sealed", "kind", "about", "says"]);
    for e in kept {
        let (kind, about, says) = match &e.body {
            LedgerBody::Forecast(f) => ("forecast", &f.id, claimed(f)),
            LedgerBody::Outcome(o) => {
                let claim = claims.get(o.forecast.as_str()).copied();
                ("outcome", &o.forecast, observed(o.observed, claim))
            }
            LedgerBody::Score(s) => ("score", &s.forecast, scored(s)),
            LedgerBody::Design(d) => ("design", &d.id, format!("{}: {}", d.theory, d.wanted)),
            LedgerBody::DesignOutcome(o) => ("tried", &o.problem, tried(o)),
            LedgerBody::Note { about, text } => ("note", about, text.clone()),
        };
        table.row([&e.seq.to_string(), &moment(e.unix_secs), kind, about, &says]);
    }
    Ok(table.write(out, "")?)
}

/// A claim in a few words.
fn claimed(f: &Forecast) -> String {
    let Some(p) = &f.predictive else { return "not predictable".to_owned() };
    let axis = |x: f64| if is_log(f) { x.exp() } else { x };
    let at = |level| quantile(p, level).map_or_else(|| "?".to_owned(), |q| number(axis(q)));
    let never = if p.never_prob > 0.0 {
        format!(", never {:.0} %", 100.0 * p.never_prob)
    } else {
        String::new()
    };
    let read = format!("read to {}, sealed at {}", f.cutoff, f.sealed_at);
    format!("{} [{}, {}]{never}; {read}", at(0.5), at(0.05), at(0.95))
}

/// Whether the axis of a forecast is a logarithm.
fn is_log(f: &Forecast) -> bool {
    matches!(f.target, Target::EventTime { .. } | Target::Value { log: true, .. })
}

fn quantile(p: &Predictive, level: f64) -> Option<f64> {
    let i = LEVELS.iter().position(|l| *l == level)?;
    p.quantiles.get(i).copied()
}

fn observed(o: Observed, f: Option<&Forecast>) -> String {
    match o {
        Observed::Event { lo, hi } => format!("in ({lo}, {hi}]"),
        Observed::Never { horizon } => format!("not by {horizon}"),
        Observed::Value { value } if f.is_some_and(is_log) => number(value.exp()),
        Observed::Value { value } => number(value),
    }
}

/// The outcome of each seed, under the recipe and beside it.
fn tried(o: &DesignOutcome) -> String {
    let list = |v: &[Option<f64>]| {
        let each = v.iter().map(|y| y.map_or_else(|| "never".to_owned(), number));
        each.collect::<Vec<_>>().join(" ")
    };
    format!("{} (random: {}; default: {})", list(&o.recipe), list(&o.random), list(&o.default))
}

/// A score, never without those of its baselines (law 6).
fn scored(s: &Score) -> String {
    if let Some(why) = &s.refused {
        return format!("refused: {why}");
    }
    if s.baselines.is_empty() {
        return "withheld: no baseline stands beside it".to_owned();
    }
    let own = s.score.map_or_else(|| "not predictable".to_owned(), number);
    let baselines: Vec<String> =
        s.baselines.iter().map(|(name, score)| format!("{name} {}", number(*score))).collect();
    format!("{own} (baselines: {})", baselines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn law_6_baselines_always_stand_beside_a_score() {
        let baselines = vec![("persistence".to_owned(), 0.2), ("delta".to_owned(), 0.3)];
        let whole =
            Score { forecast: "f".into(), score: Some(0.1), baselines, pit: None, refused: None };
        assert_eq!(scored(&whole), "0.1 (baselines: persistence 0.2, delta 0.3)");
        let alone = Score { baselines: Vec::new(), ..whole.clone() };
        assert_eq!(scored(&alone), "withheld: no baseline stands beside it");
        let silent = Score { score: None, ..whole.clone() };
        assert!(scored(&silent).starts_with("not predictable (baselines"));
        let refused = Score { refused: Some("peeked".into()), ..whole };
        assert_eq!(scored(&refused), "refused: peeked");
    }
}
