//! A curriculum designed by successive halving, against published ramps and random search at the same compute.
//!
//! Arms begin together; at each rung those with the highest upper quantile of the forecast of their final certified
//! accuracy go on, as forks without a change of the states at which they stopped. What was pruned is paid for. Every
//! competitor may spend what the search has spent: whole runs, and with what is left the beginning of one more, which
//! counts and cannot win. All are chosen between by the probe split of one seed. The winner is sealed as a recipe before
//! it is trained on fresh seeds, beside the best of each kind of competitor, and audited once.

use super::super::StudyContext;
use super::budget::{Spent, affordable};
use super::curriculum::{Curriculum, Rise, tuning};
use super::sizes::{RUNGS, Sizes, attacked};
use super::{CERTIFIED, CLEAN, MAIN, forest, outcome, plan, query, seeds_from};
use crate::designing::{Tried, answer, seal_designs, settle_designs};
use crate::plan::{ForkPlan, RunPlan, StopRule};
use crate::record::prefix_of;
use crate::sealing::{Features, Registered};
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::distribution::{Cdf, Support};
use ontogeny_analysis::forecasters::{Fitted, Theory, TrainingRun};
use ontogeny_core::random::Philox;
use ontogeny_core::{DesignProblem, Series, Step};
use std::collections::{BTreeMap, BTreeSet};

/// The quantile of a forecast by which arms are promoted.
pub(super) const UPPER: f64 = 0.8;
/// Who competes, the search first; the ramps before random search.
pub(super) const SEARCH: &str = "search";
const RAMPS: [(&str, Rise); 2] = [("linear", Rise::Linear), ("smoothed", Rise::Smoothed)];
const RANDOM: &str = "random";

/// One curriculum that was tried.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    pub who: &'static str,
    pub name: String,
    pub curriculum: Curriculum,
    /// Updates that were made.
    pub reached: u64,
    /// Upper quantiles of the forecast of its certified accuracy at the rungs that it reached.
    pub forecasts: Vec<f64>,
    /// Certified and clean accuracy on the probe split at the end of the run; none of a run that did not come to it.
    pub end: Option<(f64, f64)>,
}

/// A curriculum on the fresh seeds.
#[derive(Debug)]
pub(super) struct Finalist {
    pub trial: Trial,
    pub runs: Vec<RunRecord>,
}

/// What the search gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Arms and candidates of every competitor.
    pub trials: Vec<Trial>,
    pub spent: Vec<Spent>,
    /// Who promoted: forecasts, or without them the certified accuracy of the moment.
    pub promoted_by: &'static str,
    /// The winner of the search, of the published ramps, and of random search, on fresh seeds; empty if nobody came to an
    /// end.
    pub finalists: Vec<Finalist>,
}

/// Searches, competes, and tries the winner on fresh seeds.
pub(super) fn run(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    known: &[TrainingRun],
    before: &Registered,
) -> Result<Outcome, LabError> {
    let (mut trials, records, promoted_by) = halve(ctx, sizes, known)?;
    let of = |who: &str, records: &[RunRecord]| {
        Spent::of(who, &records.iter().collect::<Vec<_>>(), sizes.horizon)
    };
    let mut spent = vec![of(SEARCH, &records)];
    let budget = spent[0].flop;
    for (who, rise) in RAMPS {
        let (tried, records) = compete(ctx, sizes, (who, budget), |i| tuning(rise, i))?;
        trials.extend(tried);
        spent.push(of(who, &records));
    }
    let stream = Philox::new(ctx.options.seed, "robustness.random_search");
    let (tried, records) =
        compete(ctx, sizes, (RANDOM, budget), |i| Curriculum::drawn(stream.at(i)))?;
    trials.extend(tried);
    spent.push(of(RANDOM, &records));
    let finalists = finals(ctx, sizes, &trials, known, before)?;
    Ok(Outcome { trials, spent, promoted_by, finalists })
}

/// The seed on which everybody searches.
fn seed(ctx: &StudyContext<'_>) -> u64 {
    seeds_from(ctx, 2000, 1).start
}

fn features(sizes: &Sizes, curriculum: Curriculum) -> Features {
    super::observable(&super::Arm { id: 0, curriculum, eps: sizes.eps, lr: sizes.lr })
}

/// Successive halving: arms, all pieces of their runs, and who promoted.
fn halve(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    known: &[TrainingRun],
) -> Result<(Vec<Trial>, Vec<RunRecord>, &'static str), LabError> {
    let stream = Philox::new(ctx.options.seed, "robustness.search");
    let mut trials: Vec<Trial> = (0..sizes.arms[0] as u64)
        .map(|i| Trial {
            who: SEARCH,
            name: format!("a{i:02}"),
            curriculum: Curriculum::drawn(stream.at(i)),
            reached: 0,
            forecasts: Vec::new(),
            end: None,
        })
        .collect();
    let mut running: Vec<usize> = (0..trials.len()).collect();
    let mut series: Vec<BTreeMap<String, Series>> = vec![BTreeMap::new(); trials.len()];
    let mut records: Vec<RunRecord> = Vec::new();
    let mut promoted_by = MAIN;
    for level in 0..=RUNGS.len() {
        let plans: Vec<RunPlan> =
            running.iter().map(|i| piece(ctx, sizes, &trials[*i], level)).collect();
        let (stage, threads) = (format!("search, rung {}", level + 1), ctx.options.threads);
        let made = ctx.conductor.conduct_all(&stage, &plans, threads, &|_| Box::new(Unobserved))?;
        for (i, record) in running.iter().zip(&made) {
            trials[*i].reached = record.manifest.step.0;
            join(&mut series[*i], record);
        }
        records.extend(made);
        let Some(share) = RUNGS.get(level) else { break };
        let at = sizes.at(*share);
        let fitted = forest(MAIN, true, true)
            .fit(known, &query(CERTIFIED.probe, sizes.horizon, (*share, sizes.at(*share))));
        let fitted = fitted.ok();
        if fitted.is_none() {
            promoted_by = "certified accuracy at the rung (too few runs to fit a forecaster)";
        }
        // A run that diverged stands at an earlier step.
        running.retain(|i| trials[*i].reached == at);
        for &i in &running {
            let prefix = prefix_of(&piece(ctx, sizes, &trials[i], level).id, &series[i], Step(at));
            let own = features(sizes, trials[i].curriculum);
            let said = fitted.as_ref().and_then(|f| upper(&**f, &prefix, &own));
            let now = prefix.last(CERTIFIED.probe);
            trials[i].forecasts.push(said.or(now).unwrap_or(0.0));
        }
        // Ties go to the arm that was drawn first.
        let promise = |i: usize| trials[i].forecasts.last().copied().unwrap_or(0.0);
        running.sort_by(|a, b| promise(*b).total_cmp(&promise(*a)).then(a.cmp(b)));
        running.truncate(sizes.arms[level + 1]);
        running.sort_unstable();
    }
    for i in running {
        trials[i].end = end(&series[i], sizes.horizon);
    }
    Ok((trials, records, promoted_by))
}

/// The run of an arm from the rung below `level` on: a fork without a change.
fn piece(ctx: &StudyContext<'_>, sizes: &Sizes, trial: &Trial, level: usize) -> RunPlan {
    let config = sizes.config_of(trial.curriculum);
    let of = |level: usize| {
        plan(ctx, &format!("rung{}", level + 1), &trial.name, config.clone(), seed(ctx))
    };
    let stop = RUNGS.get(level).map_or(StopRule::Horizon, |s| StopRule::At(Step(sizes.at(*s))));
    let fork = level.checked_sub(1).map(|below| ForkPlan {
        parent: of(below).id,
        step: Step(sizes.at(RUNGS[below])),
        set: Vec::new(),
    });
    RunPlan { fork, stop, ..of(level) }
}

/// Adds what a piece read after the pieces before it.
fn join(series: &mut BTreeMap<String, Series>, piece: &RunRecord) {
    for s in piece.series.values() {
        let all = series.entry(s.name.clone()).or_insert_with(|| Series::new(&s.name, &s.unit));
        let last = all.last().map(|p| p.step);
        all.points.extend(s.points.iter().filter(|p| last.is_none_or(|l| p.step > l)));
    }
}

fn upper(fitted: &dyn Fitted, prefix: &ontogeny_core::Prefix, own: &Features) -> Option<f64> {
    Cdf::new(&fitted.predict(prefix, own)?, Support::Line)?.quantile(UPPER)
}

fn end(series: &BTreeMap<String, Series>, horizon: u64) -> Option<(f64, f64)> {
    let at = |name: &str| {
        let p = series.get(name)?.at_or_before(Step(horizon))?;
        (p.step == Step(horizon) && p.value.is_finite()).then_some(p.value)
    };
    at(CERTIFIED.probe).zip(at(CLEAN.probe))
}

/// Whole runs of the curricula `next(0)`, `next(1)`, ... while the budget lasts, and the beginning of one more with the
/// rest.
fn compete(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    (who, budget): (&'static str, f64),
    next: impl Fn(u64) -> Curriculum,
) -> Result<(Vec<Trial>, Vec<RunRecord>), LabError> {
    let (mut trials, mut plans, mut left) = (Vec::new(), Vec::new(), budget);
    for i in 0.. {
        let curriculum = next(i);
        let config = sizes.config_of(curriculum);
        let cost = |n: u64| Sizes::flop(&config, n);
        let n = affordable(left, sizes.horizon, cost);
        if n == 0 {
            break;
        }
        left -= cost(n);
        let name = format!("{who}{i:02}");
        let mut run = plan(ctx, who, &name, config.clone(), seed(ctx));
        if n < sizes.horizon {
            run.stop = StopRule::At(Step(n));
        }
        plans.push(run);
        trials.push(Trial { who, name, curriculum, reached: 0, forecasts: Vec::new(), end: None });
        if n < sizes.horizon {
            break;
        }
    }
    let (stage, threads) = (format!("{who}, at the compute of the search"), ctx.options.threads);
    let records = ctx.conductor.conduct_all(&stage, &plans, threads, &|_| Box::new(Unobserved))?;
    for (trial, record) in trials.iter_mut().zip(&records) {
        trial.reached = record.manifest.step.0;
        trial.end = end(&record.series, sizes.horizon);
    }
    Ok((trials, records))
}

/// The best of those who came to an end: by certified accuracy, then by clean, then the one that came first.
fn best<'a>(trials: &'a [Trial], who: &[&str]) -> Option<&'a Trial> {
    let ended = trials.iter().filter(|t| who.contains(&t.who) && t.end.is_some());
    ended.rev().max_by(|a, b| a.end.partial_cmp(&b.end).unwrap_or(std::cmp::Ordering::Equal))
}

/// Seals the winner as a recipe, and trains it and its rivals on fresh seeds.
fn finals(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    trials: &[Trial],
    known: &[TrainingRun],
    before: &Registered,
) -> Result<Vec<Finalist>, LabError> {
    let ramps = RAMPS.map(|r| r.0);
    let chosen = [best(trials, &[SEARCH]), best(trials, &ramps), best(trials, &[RANDOM])];
    let [Some(winner), Some(ramp), Some(random)] = chosen else { return Ok(Vec::new()) };
    let fresh = seeds_from(ctx, 3000, sizes.n_fresh);
    let objective = winner.curriculum.objective(sizes.horizon, sizes.eps);
    let to_reach = ramp.end.map_or(0.0, |e| e.0);
    let ends = known.iter().filter_map(|r| {
        let series = r.series.iter().find(|s| s.name == CERTIFIED.probe)?;
        series.last().map(|p| p.value)
    });
    let (low, high) = ends.fold((f64::INFINITY, 0.0_f64), |(lo, hi), v| (lo.min(v), hi.max(v)));
    let problem = DesignProblem {
        id: format!("{}/design/curriculum", ctx.id),
        property: CERTIFIED.property.to_owned(),
        theory: MAIN.to_owned(),
        version: 1,
        wanted: format!(
            "at least the certified accuracy at eps {} of the best tuned published ramp ({}) on the seed of the search",
            sizes.eps,
            ramp.curriculum.name()
        ),
        target: (to_reach, 1.0),
        recipe: BTreeMap::from([
            ("objective.eps".to_owned(), serde_json::json!(objective.eps)),
            ("objective.kappa".to_owned(), serde_json::json!(objective.kappa)),
        ]),
        seeds: fresh.clone().collect(),
        budget: sizes.horizon as f64,
        fitted_range: (low.min(high), high),
    };
    seal_designs(ctx.conductor, before, std::slice::from_ref(&problem))?;
    let mut plans = Vec::new();
    let entered = [("designed", winner), ("published", ramp), ("drawn", random)];
    for (role, trial) in entered {
        let config = attacked(sizes.config_of(trial.curriculum));
        plans.extend(fresh.clone().map(|s| plan(ctx, role, "fresh", config.clone(), s)));
    }
    let threads = ctx.options.threads;
    let runs =
        ctx.conductor.conduct_all("fresh seeds", &plans, threads, &|_| Box::new(Unobserved))?;
    let n = sizes.n_fresh as usize;
    let tried = Tried { recipe: &runs[..n], default: &runs[n..2 * n], random: &runs[2 * n..] };
    let found = answer(&problem, tried, |r| outcome(r, CERTIFIED.audit, sizes.horizon));
    settle_designs(ctx.conductor, before, &[found])?;
    let of = |(i, trial): (usize, &Trial)| Finalist {
        trial: trial.clone(),
        runs: runs[i * n..(i + 1) * n].to_vec(),
    };
    Ok([winner, ramp, random].into_iter().enumerate().map(of).collect())
}

impl Outcome {
    /// Largest share by which the compute of a competitor differs from that of the search.
    pub(super) fn imbalance(&self) -> Option<f64> {
        let first = self.spent.first()?.flop;
        let shares = self.spent.iter().map(|s| (s.flop / first - 1.0).abs());
        shares.reduce(f64::max).filter(|v| v.is_finite())
    }

    /// Distinct curricula that were tried.
    pub(super) fn n_curricula(&self) -> usize {
        self.trials.iter().map(|t| t.curriculum.name()).collect::<BTreeSet<_>>().len()
    }
}
