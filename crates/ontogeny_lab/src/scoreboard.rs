//! How the sealed forecasts of a study did, theory by theory, always beside every baseline (law 6).

use crate::draw::median;
use crate::sealing::{Question, Registered};
use ontogeny_analysis::distribution::Cdf;
use ontogeny_analysis::forecasters::Verdict;
use ontogeny_analysis::scores::{coverage, pit, skill, support_of};
use ontogeny_core::{Fan, Forecast, Observed, Score, StudyId, Table, Target};
use std::collections::{BTreeMap, BTreeSet};

/// A scored record with its forecast and outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored<'a> {
    pub forecast: &'a Forecast,
    pub observed: Observed,
    pub score: &'a Score,
}

/// All judged records of a study.
pub(crate) fn scored<'a>(index: &'a Registered, study: &StudyId) -> Vec<Scored<'a>> {
    let mine = format!("{study}/");
    let of = |f: &'a Forecast| {
        Some(Scored {
            forecast: f,
            observed: index.outcomes.get(&f.id)?.observed,
            score: index.scores.get(&f.id)?,
        })
    };
    index.forecasts.values().filter(|f| f.id.starts_with(&mine)).filter_map(of).collect()
}

/// The best baseline, the skill against it and its interval.
pub(crate) type Best = (String, f64, f64, f64);

/// Summary of one theory on one family at one cutoff.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub theory: String,
    pub cutoff: String,
    pub n: usize,
    pub n_silent: usize,
    pub n_refused: usize,
    /// Mean score, and mean score of each baseline on the same records.
    pub score: f64,
    pub baselines: BTreeMap<String, f64>,
    /// Best baseline with the skill against it and its 95 % interval.
    pub best: Option<Best>,
    pub cov80: Option<f64>,
    pub lead: f64,
}

/// One line per (theory, cutoff), in order of first appearance of the cutoffs given.
pub(crate) fn lines(records: &[Scored<'_>], family: &str, cutoffs: &[String]) -> Vec<Line> {
    let mine: Vec<&Scored<'_>> = records.iter().filter(|r| r.forecast.family == family).collect();
    let theories: BTreeSet<&str> = mine.iter().map(|r| r.forecast.theory.name.as_str()).collect();
    let mut lines = Vec::new();
    for cutoff in cutoffs {
        for theory in &theories {
            let here: Vec<&Scored<'_>> = (mine.iter().copied())
                .filter(|r| r.forecast.theory.name == *theory && &r.forecast.cutoff_name == cutoff)
                .collect();
            if !here.is_empty() {
                lines.push(line(theory, cutoff, &here));
            }
        }
    }
    lines
}

fn line(theory: &str, cutoff: &str, here: &[&Scored<'_>]) -> Line {
    let counted: Vec<&&Scored<'_>> = here.iter().filter(|r| r.score.refused.is_none()).collect();
    let spoken: Vec<(&&&Scored<'_>, f64)> =
        counted.iter().filter_map(|r| Some((r, r.score.score?))).collect();
    let scores: Vec<f64> = spoken.iter().map(|(_, s)| *s).collect();
    // The unit of resampling is the run: its records are not independent of each other.
    let runs: Vec<String> = spoken.iter().map(|(r, _)| r.forecast.run.to_string()).collect();
    // Where the theory is silent throughout, the baselines stand alone.
    let beside: Vec<&Scored<'_>> = if spoken.is_empty() {
        counted.iter().map(|r| **r).collect()
    } else {
        spoken.iter().map(|(r, _)| ***r).collect()
    };
    let mut columns: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for r in &beside {
        for (name, s) in &r.score.baselines {
            columns.entry(name).or_default().push(*s);
        }
    }
    columns.retain(|_, v| v.len() == beside.len());
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let best = columns
        .iter()
        .filter(|_| !spoken.is_empty())
        .min_by(|a, b| mean(a.1).total_cmp(&mean(b.1)));
    let best = best.and_then(|(name, b)| {
        let s = skill(&scores, b, &runs, 1)?;
        Some(((*name).to_owned(), s.value, s.lo, s.hi))
    });
    let pits: Vec<_> = (spoken.iter())
        .filter_map(|(r, _)| {
            pit(r.forecast.predictive.as_ref()?, support_of(r.forecast)?, r.observed)
        })
        .collect();
    let lead = |r: &&&Scored<'_>| match (r.observed, &r.forecast.target) {
        (Observed::Event { hi, .. }, _) => {
            Some((hi.0 as f64 / r.forecast.cutoff.0.max(1) as f64).log2())
        }
        (_, Target::Value { at, .. }) => {
            Some((at.0 as f64 / r.forecast.cutoff.0.max(1) as f64).log2())
        }
        _ => None,
    };
    Line {
        theory: theory.to_owned(),
        cutoff: cutoff.to_owned(),
        n: spoken.len(),
        n_silent: counted.len() - spoken.len(),
        n_refused: here.len() - counted.len(),
        score: mean(&scores),
        baselines: columns.iter().map(|(n, v)| ((*n).to_owned(), mean(v))).collect(),
        best,
        cov80: coverage(&pits, 0.8),
        lead: median(spoken.iter().filter_map(|(r, _)| lead(r))),
    }
}

/// The table of scores, every baseline in its own column.
pub(crate) fn table(caption: &str, lines: &[Line]) -> Table {
    let names: BTreeSet<&String> = lines.iter().flat_map(|l| l.baselines.keys()).collect();
    let head = ["theory", "cutoff", "n", "lead (doublings)", "score"];
    let tail = ["skill vs best baseline", "95 % interval", "cov80"];
    let columns = head
        .into_iter()
        .map(str::to_owned)
        .chain(names.iter().map(|n| (*n).clone()))
        .chain(tail.map(str::to_owned));
    let number = |v: f64| if v.is_finite() { format!("{v:.3}") } else { "–".to_owned() };
    let row = |l: &Line| {
        let silent = match (l.n_silent, l.n_refused) {
            (0, 0) => l.n.to_string(),
            (s, 0) => format!("{} (+{s} silent)", l.n),
            (s, r) => format!("{} (+{s} silent, {r} post hoc)", l.n),
        };
        let start = [l.theory.clone(), l.cutoff.clone(), silent, number(l.lead), number(l.score)];
        let middle =
            names.iter().map(|n| l.baselines.get(*n).map_or("–".to_owned(), |v| number(*v)));
        let end = match &l.best {
            Some((name, s, lo, hi)) => {
                [format!("{s:+.2} vs {name}"), format!("[{lo:+.2}, {hi:+.2}]")]
            }
            None if l.n == 0 => ["not predictable".to_owned(), "–".to_owned()],
            None => ["–".to_owned(), "–".to_owned()],
        };
        let cov = l.cov80.map_or("–".to_owned(), |c| format!("{c:.2}"));
        start.into_iter().chain(middle).chain(end).chain([cov]).collect()
    };
    Table {
        caption: caption.to_owned(),
        columns: columns.collect(),
        rows: lines.iter().map(row).collect(),
    }
}

/// The records of one family as fans; event times in steps.
pub(crate) fn fans(
    records: &[Scored<'_>],
    family: &str,
    cutoff: &str,
    theories: &[&str],
    most: usize,
) -> Vec<Fan> {
    let mut fans: Vec<Fan> = (records.iter())
        .filter(|r| r.forecast.family == family && r.forecast.cutoff_name == cutoff)
        .filter(|r| theories.contains(&r.forecast.theory.name.as_str()))
        .filter_map(fan)
        .collect();
    fans.sort_by(|a, b| (&a.group, &a.label).cmp(&(&b.group, &b.label)));
    let mut n: BTreeMap<String, usize> = BTreeMap::new();
    fans.retain(|f| {
        let seen = n.entry(f.group.clone()).or_default();
        *seen += 1;
        *seen <= most
    });
    fans
}

fn fan(r: &Scored<'_>) -> Option<Fan> {
    let f = r.forecast;
    let Target::EventTime { event, horizon } = &f.target else { return None };
    let run = f.run.as_str().split_once('.').map_or(f.run.as_str(), |(_, rest)| rest);
    let mut fan = Fan {
        label: format!("{run} {event}"),
        group: f.theory.name.clone(),
        cutoff: f.cutoff.0 as f64,
        horizon: horizon.0 as f64,
        outcome: match r.observed {
            Observed::Event { hi, .. } => Some(hi.0 as f64),
            _ => None,
        },
        ..Fan::default()
    };
    if let Some(p) = &f.predictive {
        let given = ontogeny_core::Predictive { never_prob: 0.0, ..p.clone() };
        let cdf = Cdf::new(&given, support_of(f)?)?;
        let at = [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95];
        fan.quantiles = at.iter().filter_map(|q| cdf.quantile(*q)).map(f64::exp).collect();
        fan.never_prob = p.never_prob;
    }
    Some(fan)
}

/// What calibration on the fit runs decided, one row per theory, cutoff and verdict.
pub(crate) fn verdicts(questions: &[Question]) -> Table {
    let mut rows: BTreeMap<(String, String, String), (usize, String)> = BTreeMap::new();
    let mut add = |theory: &str, cutoff: &str, word: &str, example: String| {
        let key = (theory.to_owned(), cutoff.to_owned(), word.to_owned());
        rows.entry(key).or_insert((0, example)).0 += 1;
    };
    for q in questions {
        let cutoff = &q.query.cutoff.name;
        for (theory, verdict) in &q.verdicts {
            let (word, text) = match verdict {
                Verdict::Predictable { skill, against, n_runs } => (
                    "predictable",
                    format!(
                        "skill {skill:+.2} over {against} on {n_runs} fit runs left out one by one"
                    ),
                ),
                Verdict::NotPredictable { reason } => ("not predictable", reason.clone()),
                Verdict::Unjudged { n_runs } => {
                    ("not judged", format!("{n_runs} usable fit runs, 8 are needed"))
                }
            };
            add(theory, cutoff, word, text);
        }
        for missing in &q.missing {
            let text = missing.to_string();
            let (who, why) = text.split_once(": ").unwrap_or(("", &text));
            add(who.trim_start_matches("fit "), cutoff, "not fitted", why.to_owned());
        }
    }
    let row =
        |((theory, cutoff, word), (n, example)): ((String, String, String), (usize, String))| {
            vec![theory, cutoff, word, n.to_string(), example]
        };
    let columns = ["theory or baseline", "cutoff", "verdict", "targets", "for example"];
    Table {
        caption: "What the fit runs said about each theory before any test run (law 7).".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.into_iter().map(row).collect(),
    }
}
