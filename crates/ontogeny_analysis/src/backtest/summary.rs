//! One line for every cut and forecaster: how far off, how well calibrated, how good at choosing.

use super::protocol::{Better, Protocol, matches};
use super::replay::{Record, Replay};
use crate::distribution::{Cdf, Support, median as middle};
use crate::forecasters::BASELINES;
use crate::math::{mean, median};
use crate::scores::{self, DCalibration, PitRange, Skill, skill};
use crate::stats::spearman;
use crate::survival::Lifetime;
use serde::Serialize;
use std::collections::BTreeMap;

/// How one forecaster did at one cut.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The cut.
    pub cut: f64,
    /// The forecaster.
    pub forecaster: String,
    /// Whether it is one of the baselines.
    pub is_baseline: bool,
    /// Units that it forecast, and units that were asked.
    pub n: usize,
    /// Units asked.
    pub n_asked: usize,
    /// Median of |median forecast - outcome| in the unit of the group; for events of ln T.
    pub median_error: Option<f64>,
    /// Mean of the same.
    pub mean_error: Option<f64>,
    /// Mean score, lower is better.
    pub score: Option<f64>,
    /// The best of the baselines that answered nearly all units that this forecaster did, on the units that all of them
    /// answered.
    pub against: Option<String>,
    /// Skill against it; the unit of resampling is the fold.
    pub skill: Option<Skill>,
    /// Coverage of the central 50, 80 and 90 % intervals (values only).
    pub coverage: Option<[f64; 3]>,
    /// Median width of the 90 % interval, in the unit of the group (values only).
    pub width90: Option<f64>,
    /// Share of pairs within a group that the median forecasts put in the right order.
    pub pairs: Option<f64>,
    /// Median over groups of how much worse the run that looked best was than the best, in the unit of the group.
    pub regret: Option<f64>,
    /// Mean over groups of Spearman's rank correlation between median forecasts and outcomes (values only).
    pub rho: Option<f64>,
    /// Events: area under the curve of P(event by the horizon) for whether it came; runs that ended earlier without
    /// it are in no pair.
    pub auc: Option<f64>,
    /// Events: mean Brier score of the same probability on the same runs.
    pub brier: Option<f64>,
    /// Events: Harrell's C of the expected `ln T`, "never" counting as the horizon.
    pub concordance: Option<f64>,
    /// Events: how the times fell over the tenths of their forecasts.
    pub d_calibration: Option<DCalibration>,
}

/// Share of a forecaster's answers that a baseline must answer as well to stand beside it.
const MOST: f64 = 0.95;

/// Summarizes a replay, cut by cut in the order of the protocol, baselines first.
pub fn summarize_replay(replay: &Replay, protocol: &Protocol) -> Vec<Line> {
    let mut names: Vec<&str> = BASELINES.iter().map(|b| b.spec.name).collect();
    for r in &replay.records {
        if !names.contains(&r.forecaster.as_str()) {
            names.push(&r.forecaster);
        }
    }
    let mut lines = Vec::new();
    for cut in protocol.cuts() {
        let here: Vec<&Record> = replay.records.iter().filter(|r| r.cut == cut).collect();
        let mut by: BTreeMap<&str, Said<'_>> = BTreeMap::new();
        for r in here {
            by.entry(&r.forecaster).or_default().insert(key(r), r);
        }
        for name in &names {
            if let Some(own) = by.get(name) {
                lines.push(line(cut, name, own, &by, protocol));
            }
        }
    }
    lines
}

/// Mean over (series, group) of five records or more of the rank correlation of medians and outcomes.
fn rho(records: &[&Record]) -> Option<f64> {
    let mut groups: BTreeMap<(&str, &str), Vec<(f64, f64)>> = BTreeMap::new();
    for r in records {
        let pair = r.predictive.as_ref().map(middle).zip(r.truth);
        groups.entry((&r.series, &r.group)).or_default().extend(pair);
    }
    let large = groups.into_values().filter(|g| g.len() >= 5);
    let ranked = large.filter_map(|g| {
        let (said, found): (Vec<f64>, Vec<f64>) = g.into_iter().unzip();
        spearman(&said, &found)
    });
    mean(&ranked.collect::<Vec<_>>())
}

/// What one forecaster said, unit by unit.
type Said<'a> = BTreeMap<Key<'a>, &'a Record>;

type Key<'a> = (&'a str, &'a str, &'a str);

fn key(r: &Record) -> Key<'_> {
    (&r.series, &r.group, &r.run)
}

fn line(
    cut: f64,
    name: &str,
    own: &Said<'_>,
    all: &BTreeMap<&str, Said<'_>>,
    protocol: &Protocol,
) -> Line {
    let spoken: Vec<&Record> = own.values().copied().filter(|r| r.score.is_some()).collect();
    let errors: Vec<f64> = spoken
        .iter()
        .filter_map(|r| Some((middle(r.predictive.as_ref()?) - r.truth?).abs() / r.scale))
        .collect();
    let scores: Vec<f64> = spoken.iter().filter_map(|r| r.score).collect();
    let is_baseline = BASELINES.iter().any(|b| b.spec.name == name);
    // A baseline stands against the others.
    let rivals = BASELINES.iter().map(|b| b.spec.name).filter(|b| *b != name);
    let mut beside: Vec<(&str, &Said<'_>)> =
        rivals.filter_map(|b| Some((b, all.get(b)?))).collect();
    let answers =
        |them: &Said<'_>, r: &Record| them.get(&key(r)).is_some_and(|t| t.score.is_some());
    // Those that answer nearly all that was answered here, on what all of them answer.
    beside.retain(|b| {
        let n = spoken.iter().filter(|r| answers(b.1, r)).count();
        n > 0 && n as f64 >= MOST * spoken.len() as f64
    });
    let common: Vec<&Record> =
        spoken.iter().copied().filter(|r| beside.iter().all(|b| answers(b.1, r))).collect();
    let of = |them: &Said<'_>| -> Vec<f64> {
        common.iter().filter_map(|r| them.get(&key(r))?.score).collect()
    };
    let best = (beside.iter())
        .filter_map(|b| Some((mean(&of(b.1))?, b)))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, b)| b);
    let folds: Vec<String> = common.iter().map(|r| format!("{} {}", r.group, r.fold)).collect();
    let own_common: Vec<f64> = common.iter().filter_map(|r| r.score).collect();
    let against = best.map(|b| b.0.to_owned());
    let gained = best.and_then(|b| skill(&own_common, &of(b.1), &folds, 1));
    let came: Vec<(f64, bool)> = (spoken.iter())
        .filter_map(|r| Some((1.0 - r.predictive.as_ref()?.never_prob, r.waited?.came()?)))
        .collect();
    let is_event = protocol.targets.iter().any(|t| t.event.is_some());
    Line {
        cut,
        forecaster: name.to_owned(),
        is_baseline,
        n: spoken.len(),
        n_asked: own.len(),
        median_error: median(&errors),
        mean_error: mean(&errors),
        score: mean(&scores),
        against,
        skill: gained,
        coverage: (!is_event && !spoken.is_empty()).then(|| coverage(&spoken)),
        width90: (!is_event).then(|| widths(&spoken)).flatten(),
        pairs: if is_event { None } else { pairs(&spoken) },
        regret: if is_event { None } else { regret(&spoken, protocol) },
        rho: if is_event { None } else { rho(&spoken) },
        auc: scores::auc(&came),
        brier: mean(&came.iter().map(|(p, y)| scores::brier(*p, *y)).collect::<Vec<_>>()),
        concordance: scores::harrell_c(&expected(&spoken)),
        d_calibration: scores::d_calibration(&pits(&spoken)),
    }
}

fn interval(r: &Record, q: f64) -> Option<(f64, f64)> {
    let cdf = Cdf::new(r.predictive.as_ref()?, Support::Line)?;
    cdf.quantile(0.5 - 0.5 * q).zip(cdf.quantile(0.5 + 0.5 * q))
}

fn coverage(spoken: &[&Record]) -> [f64; 3] {
    [0.5, 0.8, 0.9].map(|q| {
        let inside = |r: &&&Record| {
            interval(r, q).zip(r.truth).is_some_and(|((lo, hi), y)| y >= lo && y <= hi)
        };
        spoken.iter().filter(inside).count() as f64 / spoken.len() as f64
    })
}

fn widths(spoken: &[&Record]) -> Option<f64> {
    let width = |r: &&Record| interval(r, 0.9).map(|(lo, hi)| (hi - lo) / r.scale);
    median(&spoken.iter().filter_map(width).collect::<Vec<_>>())
}

/// Runs of one series and group, which can be compared.
fn arenas<'a>(spoken: &[&'a Record]) -> Vec<Vec<&'a Record>> {
    let mut by: BTreeMap<(&str, &str), Vec<&Record>> = BTreeMap::new();
    for r in spoken {
        by.entry((&r.series, &r.group)).or_default().push(r);
    }
    by.into_values().collect()
}

fn pairs(spoken: &[&Record]) -> Option<f64> {
    let (mut right, mut n) = (0.0, 0.0);
    for arena in arenas(spoken) {
        let said: Vec<(f64, f64)> = (arena.iter())
            .filter_map(|r| Some((middle(r.predictive.as_ref()?), r.truth?)))
            .collect();
        for (i, a) in said.iter().enumerate() {
            for b in said[..i].iter().filter(|b| b.1 != a.1) {
                n += 1.0;
                // One forecast for both decides nothing: half a point.
                right += match (a.0 - b.0) * (a.1 - b.1) {
                    d if d > 0.0 => 1.0,
                    d if d < 0.0 => 0.0,
                    _ => 0.5,
                };
            }
        }
    }
    (n > 0.0).then(|| right / n)
}

fn regret(spoken: &[&Record], protocol: &Protocol) -> Option<f64> {
    let mut all = Vec::new();
    for arena in arenas(spoken) {
        let series = &arena[0].series;
        // Scores of different series cannot be compared, so there is nothing to choose among pooled ones.
        let better = protocol.targets.iter().find(|t| matches(&t.series, series))?.better?;
        let sign = if better == Better::Lower { -1.0 } else { 1.0 };
        let said: Vec<(f64, f64)> = (arena.iter())
            .filter_map(|r| Some((sign * middle(r.predictive.as_ref()?), sign * r.truth?)))
            .collect();
        // Of equal forecasts the worst run counts: a forecaster that cannot tell must not look lucky.
        let chosen = said.iter().max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)))?;
        let best = said.iter().map(|s| s.1).fold(f64::NEG_INFINITY, f64::max);
        all.push((best - chosen.1) / arena[0].scale);
    }
    median(&all)
}

/// Expected `ln T` up to the horizon, beside what is known.
fn expected(spoken: &[&Record]) -> Vec<(f64, Lifetime)> {
    let of = |r: &&Record| {
        let (p, waited) = (r.predictive.as_ref()?, r.waited?);
        let happens = 1.0 - p.never_prob;
        Some((happens * mean(&p.quantiles)? + p.never_prob * waited.to, waited.lifetime()))
    };
    spoken.iter().filter_map(of).collect()
}

/// Where event times fell in their forecasts; a run that was not watched to the horizon counts from where it ended.
fn pits(spoken: &[&Record]) -> Vec<PitRange> {
    let of = |r: &&Record| {
        let w = r.waited?;
        let cdf = Cdf::new(r.predictive.as_ref()?, Support::Window { from: w.from, to: w.to })?;
        Some(match w.hi {
            Some(hi) => PitRange { lo: cdf.at(w.lo), hi: cdf.at(hi) },
            None => PitRange { lo: cdf.at(w.lo), hi: 1.0 },
        })
    };
    spoken.iter().filter_map(of).collect()
}
