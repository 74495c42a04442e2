//! `ontogeny ledger score`: judges every forecast that has an outcome again, from what the store holds.

use super::{Filter, forecasts};
use crate::commands::forecast::happened;
use crate::face::{CLOCK, Face, write_json};
use crate::text::{Table, count, number};
use ontogeny_analysis::scorecard::REQUIRED_BASELINES;
use ontogeny_analysis::scores::judge;
use ontogeny_core::{Forecast, LedgerBody, LedgerEntry, Outcome, Score, Target};
use ontogeny_lab::settle;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Enter what has happened to sealed forecasts, and score all of them again, beside all baselines
///
/// Forecasts of `ontogeny forecast --seal` whose runs have got where they were asked about get their outcome and
/// their score in the ledger; studies enter their own. Then every forecast with an outcome is scored again from the
/// stored runs: the prefix is cut and hashed again, so one that read beyond its cutoff is refused. Scores are means
/// over the same forecasts for theory and baselines; lower is better.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ontogeny ledger score\n  ontogeny ledger score --study skills-smoke-s0"
)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let settled = settle(&store, &CLOCK, |f| args.filter.keeps(&f.id, Some(&f.run)))?;
    let entries = store.ledger().entries()?;
    let claims = forecasts(&entries);
    let recorded = scores(&entries);
    let known = ontogeny_lab::provenance(&store, &entries)?;
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    let mut changed: Vec<String> = Vec::new();
    for outcome in outcomes(&entries) {
        let Some(f) = claims.get(outcome.forecast.as_str()) else { continue };
        if !args.filter.keeps(&f.id, Some(&f.run)) {
            continue;
        }
        let prefix_hash = known.prefix_hashes.get(&f.id).map(String::as_str);
        let score = judge(f, outcome, prefix_hash);
        if recorded.get(f.id.as_str()).is_some_and(|s| !is_same(s, &score)) {
            changed.push(f.id.clone());
        }
        groups.entry(Key::of(f)).or_default().add(f, &score);
    }
    let n_open = claims
        .values()
        .filter(|f| args.filter.keeps(&f.id, Some(&f.run)))
        .filter(|f| !outcomes(&entries).any(|o| o.forecast == f.id))
        .count();
    if face.json {
        let groups: Vec<Value> = groups.iter().map(|(k, g)| g.to_json(k)).collect();
        return Ok(write_json(
            out,
            &json!({
                "scores": groups, "n_without_outcome": n_open, "differ_from_recorded": changed,
                "entered": settled.scores.iter().map(|s| &s.forecast).collect::<Vec<_>>(),
                "waiting": settled.waiting.iter().map(|(id, at, goal)| json!({
                    "forecast": id, "run_at": at, "until": goal,
                })).collect::<Vec<_>>(),
            }),
        )?);
    }
    for score in &settled.scores {
        let outcome = outcomes(&entries).find(|o| o.forecast == score.forecast);
        let target = claims.get(score.forecast.as_str()).map(|f| &f.target);
        if let Some((o, target)) = outcome.zip(target) {
            writeln!(out, "{}: {}", score.forecast, happened(target, o.observed))?;
        }
    }
    if !settled.scores.is_empty() {
        writeln!(out, "{} entered\n", count(settled.scores.len(), "outcome"))?;
    }
    write(&groups, out)?;
    for (id, at, goal) in &settled.waiting {
        match at {
            Some(at) => writeln!(out, "\nwaiting: {id}: its run stands at step {at} of {goal}")?,
            None => writeln!(out, "\nwaiting: {id}: its run is not in the store")?,
        }
    }
    if n_open > 0 {
        writeln!(out, "\n{n_open} without an outcome yet")?;
    }
    for id in changed {
        writeln!(out, "\ndiffers from the score in the ledger: {id}")?;
    }
    Ok(())
}

fn outcomes(entries: &[LedgerEntry]) -> impl Iterator<Item = &Outcome> {
    entries.iter().filter_map(|e| match &e.body {
        LedgerBody::Outcome(o) => Some(o),
        _ => None,
    })
}

fn scores<'a>(entries: &'a [LedgerEntry]) -> BTreeMap<&'a str, &'a Score> {
    let score = |e: &'a LedgerEntry| match &e.body {
        LedgerBody::Score(s) => Some((s.forecast.as_str(), s)),
        _ => None,
    };
    entries.iter().filter_map(score).collect()
}

fn is_same(a: &Score, b: &Score) -> bool {
    let bits = |x: Option<f64>| x.map(f64::to_bits);
    bits(a.score) == bits(b.score) && a.refused == b.refused
}

/// Forecasts that are scored together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    property: String,
    cutoff: String,
    theory: String,
}

impl Key {
    fn of(f: &Forecast) -> Self {
        let theory = format!("{} v{}", f.theory.name, f.theory.version);
        Self { property: f.property.clone(), cutoff: f.cutoff_name.clone(), theory }
    }
}

/// What became of them.
#[derive(Debug, Default)]
struct Group {
    n_scored: usize,
    n_silent: usize,
    n_refused: usize,
    n_withheld: usize,
    total: f64,
    /// Per baseline: sum, and number of forecasts that it stands beside.
    baselines: BTreeMap<String, (f64, usize)>,
    reasons: BTreeSet<String>,
    /// Whether they are about the effect of a fork, of which some baselines cannot speak.
    is_effect: bool,
}

impl Group {
    fn add(&mut self, f: &Forecast, score: &Score) {
        self.is_effect = matches!(f.target, Target::ForkEffect { .. });
        if let Some(why) = &score.refused {
            self.n_refused += 1;
            self.reasons.insert(why.clone());
            return;
        }
        let Some(own) = score.score else {
            self.n_silent += 1;
            return;
        };
        if score.baselines.is_empty() {
            self.n_withheld += 1;
            return;
        }
        self.n_scored += 1;
        self.total += own;
        for (name, s) in &score.baselines {
            let sum = self.baselines.entry(name.clone()).or_default();
            *sum = (sum.0 + s, sum.1 + 1);
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.n_scored > 0).then(|| self.total / self.n_scored as f64)
    }

    /// The mean of a baseline, if it stands beside every forecast that the theory was scored on.
    fn baseline(&self, name: &str) -> Option<f64> {
        let (sum, n) = self.baselines.get(name)?;
        (*n == self.n_scored).then(|| sum / *n as f64)
    }

    /// Required baselines that do not stand beside the scores.
    fn missing(&self) -> Vec<&'static str> {
        let applies = self.n_scored > 0 && !self.is_effect;
        let missing = |name: &&str| applies && self.baseline(name).is_none();
        REQUIRED_BASELINES.into_iter().filter(missing).collect()
    }

    fn to_json(&self, key: &Key) -> Value {
        let baselines: BTreeMap<&String, Option<f64>> =
            self.baselines.keys().map(|name| (name, self.baseline(name))).collect();
        json!({
            "property": key.property, "cutoff": key.cutoff, "theory": key.theory,
            "n_scored": self.n_scored, "n_not_predictable": self.n_silent,
            "n_refused": self.n_refused, "n_withheld": self.n_withheld, "refused_because": self.reasons,
            "mean_score": self.mean(), "baselines": baselines, "missing_baselines": self.missing(),
        })
    }
}

fn write(groups: &BTreeMap<Key, Group>, out: &mut dyn Write) -> anyhow::Result<()> {
    if groups.is_empty() {
        writeln!(out, "no forecast has an outcome yet")?;
        return Ok(());
    }
    // The required ones come first and always, whether or not they are there.
    let others: BTreeSet<&str> =
        groups.values().flat_map(|g| g.baselines.keys()).map(String::as_str).collect();
    let others = others.into_iter().filter(|name| !REQUIRED_BASELINES.contains(name));
    let names: Vec<&str> = REQUIRED_BASELINES.into_iter().chain(others).collect();
    let columns = ["property", "cutoff", "theory", "scored", "silent", "refused", "score"];
    let mut table = Table::new(columns.into_iter().chain(names.iter().copied()));
    for (key, g) in groups {
        let counts = [g.n_scored, g.n_silent, g.n_refused].map(|n| n.to_string());
        let first = [key.property.clone(), key.cutoff.clone(), key.theory.clone()];
        let mean = match g.mean() {
            Some(mean) => number(mean),
            None if g.n_withheld > 0 => "withheld".to_owned(),
            None => "-".to_owned(),
        };
        let missing = g.missing();
        let beside = names.iter().map(|name| match g.baseline(name) {
            Some(mean) => number(mean),
            None if missing.contains(name) => "missing".to_owned(),
            None => "-".to_owned(),
        });
        table.row(first.into_iter().chain(counts).chain([mean]).chain(beside));
    }
    table.write(out, "")?;
    writeln!(
        out,
        "\nscores are means, lower is better; silent: the theory says \"not predictable\""
    )?;
    if groups.values().any(|g| !g.missing().is_empty()) {
        writeln!(
            out,
            "missing: a required baseline that could not be fitted; no level is passed without it"
        )?;
    }
    if groups.values().any(|g| g.n_withheld > 0) {
        writeln!(out, "withheld: no baseline at all stands beside the score")?;
    }
    for (key, g) in groups {
        for why in &g.reasons {
            writeln!(out, "refused ({}, {}): {why}", key.theory, key.cutoff)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::{RunId, ScoringRule, Step, TheoryRef};

    fn forecast(target: Target) -> Forecast {
        let theory = TheoryRef {
            name: "t".into(),
            version: 1,
            hash: String::new(),
            n_params: 1,
            fitted_on: Vec::new(),
            own_fit: None,
        };
        Forecast {
            id: "s/r/t/T@100".into(),
            property: "T".into(),
            theory,
            run: RunId::new("r").unwrap(),
            cell: "c".into(),
            target,
            cutoff: Step(100),
            cutoff_name: "c".into(),
            prefix_hash: "h".into(),
            sealed_at: Step(110),
            predictive: None,
            baselines: Vec::new(),
            rule: ScoringRule::IntegratedBrier,
            acceptance: None,
            family: "f".into(),
        }
    }

    fn score(names: &[&str]) -> Score {
        Score {
            forecast: "s/r/t/T@100".into(),
            score: Some(0.1),
            baselines: names.iter().map(|n| ((*n).to_owned(), 0.2)).collect(),
            pit: None,
            refused: None,
        }
    }

    fn table(groups: &BTreeMap<Key, Group>) -> String {
        let mut out = Vec::new();
        write(groups, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn law_6_a_score_without_any_baseline_is_withheld_and_a_missing_one_is_named() {
        let f = forecast(Target::EventTime { event: "T".into(), horizon: Step(1000) });
        let mut g = Group::default();
        g.add(&f, &score(&[]));
        assert_eq!((g.n_withheld, g.mean()), (1, None));
        let text = table(&BTreeMap::from([(Key::of(&f), g)]));
        assert!(text.contains("withheld") && !text.contains("0.1"), "{text}");

        let mut g = Group::default();
        g.add(&f, &score(&["climatology", "persistence", "delta"]));
        assert_eq!((g.mean(), g.missing()), (Some(0.1), vec!["hparams-only"]));
        let text = table(&BTreeMap::from([(Key::of(&f), g)]));
        for name in REQUIRED_BASELINES {
            assert!(text.contains(name), "{text}");
        }
        assert!(text.contains("missing: a required baseline"), "{text}");
    }

    #[test]
    fn law_6_a_baseline_that_stands_beside_some_scores_only_has_no_mean() {
        let f = forecast(Target::EventTime { event: "T".into(), horizon: Step(1000) });
        let mut g = Group::default();
        g.add(&f, &score(&REQUIRED_BASELINES));
        assert_eq!((g.baseline("delta"), g.missing().len()), (Some(0.2), 0));
        g.add(&f, &score(&["climatology", "persistence", "hparams-only"]));
        assert_eq!((g.baseline("delta"), g.missing()), (None, vec!["delta"]));
    }

    #[test]
    fn refusals_and_silence_are_counted_and_never_scored() {
        let f = forecast(Target::EventTime { event: "T".into(), horizon: Step(1000) });
        let mut g = Group::default();
        g.add(&f, &Score { refused: Some("peeked".into()), ..score(&REQUIRED_BASELINES) });
        g.add(&f, &Score { score: None, ..score(&REQUIRED_BASELINES) });
        assert_eq!((g.n_refused, g.n_silent, g.n_scored, g.mean()), (1, 1, 0, None));
        assert!(g.reasons.contains("peeked"));
    }
}
