//! Robustness: what will be provable of a network at the end of its training, and by which curriculum is it most?
//!
//! Networks are trained on images with interval bounds over boxes whose radius epsilon rises (see
//! `ontogeny_train::objective`). From the first 10, 20 and 30 % of a run two properties of its end are forecast under
//! seal: certified and clean accuracy. Arms (curriculum, radius, learning rate, figures) are drawn, and told apart into
//! those that are fitted and those that are forecast, before any run. What forecasters read comes from the probe split,
//! what they are judged by from the audit split, which no prefix holds: certificates there are proofs in `f64` about
//! what `f32` computes. Runs of one reference curriculum are forked: the ramp slowed, the natural loss taken away, other
//! bounds. Then curricula are searched by successive halving, promoted by forecasts, against published ramps and random
//! search at the same compute; the winner is sealed as a design and trained again on fresh seeds.

mod audit;
mod budget;
mod curriculum;
mod figures;
mod findings;
mod forks;
mod search;
mod sizes;
mod tables;

use super::{Study, StudyContext};
use crate::audited::{Asked, audited, origin, outcome, query};
use crate::plan::{RunPlan, StopRule};
use crate::sealing::{Beside, Features, Question, Registered, Sealer};
use crate::{LabError, RunRecord, Unobserved};
use curriculum::Curriculum;
use ontogeny_analysis::forecasters::{
    CalibrationOptions, EarlyForest, Exchanged, Known, PooledRidge, ProxyRun, Theory, TrainingRun,
};
use ontogeny_core::{Findings, RunId};
use ontogeny_train::RunConfig;
use sizes::{Arm, ORIGINS, Sizes, observable};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const STUDY: Study = Study {
    name: "robustness",
    summary: "what will be provable of a network: forecast early, forked, designed at equal compute",
    reads: Some(sizes::READS),
    run,
};

const CERTIFIED: Asked = Asked {
    property: "certified accuracy",
    short: "certified",
    audit: "audit.certified",
    probe: "probe.certified",
    range: (0.0, 1.0),
};
const CLEAN: Asked = Asked {
    property: "clean accuracy",
    short: "clean",
    audit: "audit.accuracy",
    probe: "probe.accuracy",
    range: (0.0, 1.0),
};
const ASKED: [Asked; 2] = [CERTIFIED, CLEAN];
/// Accuracy under attack, where runs are attacked.
const PGD: &str = "audit.attacked.accuracy";

/// What early signals are read; a network has as many of the numbered ones as layers.
const SIGNALS: [&str; 22] = [
    "probe.loss",
    "probe.accuracy",
    "probe.margin",
    "probe.certified",
    "probe.certified.margin",
    "probe.certified.ibp.quarter",
    "probe.certified.ibp.half",
    "probe.certified.ibp.full",
    "probe.certified.crown.quarter",
    "probe.certified.crown.half",
    "probe.certified.crown.full",
    "probe.radius.0",
    "probe.radius.1",
    "probe.radius.2",
    "probe.radius.3",
    "probe.relu.unstable.0",
    "probe.relu.unstable.1",
    "probe.relu.unstable.2",
    "probe.relu.off.0",
    "probe.relu.off.1",
    "goal_conflict.cosine",
    "goal_conflict.length_ratio",
];

/// Who the protocol's questions are put to; the others stand beside it. A certified run is steered by its curriculum,
/// which is known: signals beside it are what a person would use.
const MAIN: &str = "early-forest-config";
const SIGNALS_ONLY: &str = "early-forest";
/// Baselines that need nothing but the run: B0, B1 (plain, and with the typical remaining change), B2, B3 (same learner,
/// and linear). Who beats the best of them predicts.
const FREE: [&str; 6] =
    ["climatology", "persistence", "delta", "extrapolation", "config-forest", "hparams-only"];
/// B5, which spends as much compute as the prefix once more.
const PROXY: &str = "proxy-run";
/// Clean accuracy at or below which training has collapsed, for ten classes.
const COLLAPSED: f64 = 0.15;

/// Everything the runs of the study gave, for the findings.
struct Evidence<'a> {
    sizes: &'a Sizes,
    fit: &'a [RunRecord],
    test: &'a [RunRecord],
    features: &'a BTreeMap<RunId, Features>,
    questions: &'a [Question],
    parents: &'a [RunRecord],
    forks: &'a forks::Outcome<'a>,
    fronts: &'a [Front],
    search: &'a search::Outcome,
}

/// The runs of one radius, by the weight of the natural loss at their end.
struct Front {
    eps: f64,
    points: Vec<(f64, Vec<RunRecord>)>,
}

fn run(ctx: &StudyContext<'_>) -> Result<Findings, LabError> {
    let sizes = Sizes::of(ctx)?;
    let (conductor, threads, seed) = (ctx.conductor, ctx.options.threads, ctx.options.seed);
    let before = Registered::of(conductor.ledger.entries()?);
    let silent = |_: &RunPlan| -> Box<dyn crate::Observer> { Box::new(Unobserved) };
    let (fit_arms, test_arms) = sizes.grid(seed);
    let plans = |role: &str, arms: &[Arm]| -> Vec<RunPlan> {
        arms.iter().map(|a| plan_of(ctx, role, a, sizes.config(a))).collect()
    };
    let (fit_plans, test_plans) = (plans("fit", &fit_arms), plans("test", &test_arms));
    let features: BTreeMap<RunId, Features> = [(&fit_plans, &fit_arms), (&test_plans, &test_arms)]
        .into_iter()
        .flat_map(|(plans, arms)| plans.iter().zip(arms))
        .map(|(p, a)| (p.id.clone(), observable(a)))
        .collect();
    let fit = conductor.conduct_all("fit", &fit_plans, threads, &silent)?;
    let both = [(&fit_plans, &fit_arms), (&test_plans, &test_arms)];
    let proxies = proxies(ctx, &sizes, &both)?;
    let known = |records: &[RunRecord]| -> Vec<TrainingRun> {
        let own = |r: &RunRecord| features.get(r.id()).cloned().unwrap_or_default();
        records.iter().map(|r| audited(r, &ASKED, own(r), sizes.horizon)).collect()
    };
    let fitted_on = known(&fit);
    let questions: Vec<Question> = (ASKED.iter())
        .flat_map(|asked| ORIGINS.map(|share| (asked, share)))
        .map(|(asked, share)| question(&sizes, asked, share, &fitted_on, &proxies))
        .collect();
    let sealer = |p: &RunPlan| -> Box<dyn crate::Observer + '_> {
        let own = features.get(&p.id).cloned().unwrap_or_default();
        Box::new(Sealer::new(conductor, &questions, own, &before))
    };
    let test = conductor.conduct_all("test, forecasts sealed", &test_plans, threads, &sealer)?;
    let parents = parents(ctx, &sizes)?;
    let forks = forks::run(ctx, &sizes, &parents)?;
    let fronts = fronts(ctx, &sizes, &parents)?;
    // The search knows every run of the grid: what it designs is judged on seeds that no forecaster has seen.
    let all: Vec<TrainingRun> = fitted_on.into_iter().chain(known(&test)).collect();
    let search = search::run(ctx, &sizes, &all, &before)?;
    let evidence = Evidence {
        sizes: &sizes,
        fit: &fit,
        test: &test,
        features: &features,
        questions: &questions,
        parents: &parents,
        forks: &forks,
        fronts: &fronts,
        search: &search,
    };
    findings::write(ctx, &evidence)
}

/// A run of an arm of the grid: the figures of an arm differ from those of every other.
fn plan_of(ctx: &StudyContext<'_>, role: &str, arm: &Arm, config: RunConfig) -> RunPlan {
    plan(ctx, role, &arm.name(), config, 1_000_000 * ctx.options.seed + arm.id)
}

fn plan(ctx: &StudyContext<'_>, role: &str, cell: &str, config: RunConfig, seed: u64) -> RunPlan {
    ctx.plan((role, cell, seed), config, Vec::new(), StopRule::Horizon)
}

/// Runs of the reference curriculum, attacked, with their state kept where they are forked.
fn parents(ctx: &StudyContext<'_>, sizes: &Sizes) -> Result<Vec<RunRecord>, LabError> {
    let mut config = sizes::attacked(sizes.config_of(Sizes::reference()));
    config.record.checkpoint_at = sizes::FORKS.map(|share| sizes.at(share)).to_vec();
    let plans: Vec<RunPlan> = (seeds_from(ctx, 1000, sizes.n_parents))
        .map(|seed| plan(ctx, "parent", "reference", config.clone(), seed))
        .collect();
    let threads = ctx.options.threads;
    ctx.conductor.conduct_all("reference curriculum", &plans, threads, &|_| Box::new(Unobserved))
}

/// Seeds that no arm of the grid has.
fn seeds_from(ctx: &StudyContext<'_>, first: u64, n: u64) -> std::ops::Range<u64> {
    let first = 1_000_000 * ctx.options.seed + first;
    first..first + n
}

/// The reference curriculum with other last weights of the natural loss, on the seeds of the parents, which stand for
/// its own.
fn fronts(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    parents: &[RunRecord],
) -> Result<Vec<Front>, LabError> {
    let reference = Sizes::reference();
    let mut fronts = Vec::new();
    for &eps in &sizes.fronts {
        let mut points = Vec::new();
        for kappa_end in [0.0, 0.25, 0.5, 0.75] {
            if (eps, kappa_end) == (sizes.eps, reference.kappa_end) {
                points.push((kappa_end, parents.to_vec()));
                continue;
            }
            let curriculum = Curriculum { kappa_end, ..reference };
            let config = sizes.config(&Arm { id: 0, curriculum, eps, lr: sizes.lr });
            let cell = format!("eps{eps}-kappa{kappa_end}");
            let plans: Vec<RunPlan> = (seeds_from(ctx, 1000, sizes.n_parents))
                .map(|s| plan(ctx, "front", &cell, sizes::attacked(config.clone()), s))
                .collect();
            let (stage, threads) =
                (format!("front at eps {eps}, kappa {kappa_end}"), ctx.options.threads);
            let runs =
                ctx.conductor.conduct_all(&stage, &plans, threads, &|_| Box::new(Unobserved))?;
            points.push((kappa_end, runs));
        }
        fronts.push(Front { eps, points });
    }
    Ok(fronts)
}

/// Runs the proxies of all arms: what each ended at, by the run that it stands for.
fn proxies(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    parts: &[(&Vec<RunPlan>, &Vec<Arm>)],
) -> Result<Known, LabError> {
    let mut plans: Vec<RunPlan> = Vec::new();
    // What each run stands for: the owner and its origins.
    let mut owners: Vec<(RunId, Vec<f64>)> = Vec::new();
    for (of, arm) in parts.iter().flat_map(|(plans, arms)| plans.iter().zip(*arms)) {
        for (config, share) in sizes.proxies(arm).into_iter().zip(ORIGINS) {
            let role = format!("proxy{}", config.horizon);
            let made = plan_of(ctx, &role, arm, config);
            // Origins whose proxies are as long share one.
            if let Some(i) = plans.iter().position(|p| p.id == made.id) {
                owners[i].1.push(share);
            } else {
                owners.push((of.id.clone(), vec![share]));
                plans.push(made);
            }
        }
    }
    let threads = ctx.options.threads;
    let records =
        ctx.conductor.conduct_all("proxies", &plans, threads, &|_| Box::new(Unobserved))?;
    let mut known: BTreeMap<RunId, BTreeMap<String, f64>> = BTreeMap::new();
    for ((record, plan), (owner, shares)) in records.iter().zip(&plans).zip(owners) {
        let ends = known.entry(owner).or_default();
        for (share, asked) in shares.iter().flat_map(|s| ASKED.iter().map(move |a| (*s, a))) {
            let end = outcome(record, asked.audit, plan.config.horizon);
            ends.extend(end.map(|v| (asked.proxy_key(share), v)));
        }
    }
    Ok(Arc::new(known))
}

fn forest(name: &'static str, reads: bool, reads_config: bool) -> EarlyForest {
    EarlyForest {
        name,
        series: if reads { SIGNALS.map(str::to_owned).to_vec() } else { Vec::new() },
        reads_config,
        known: Known::default(),
        range: (0.0, 1.0),
    }
}

/// One property from one origin, with the forecasters and the baselines.
fn question(
    sizes: &Sizes,
    asked: &Asked,
    share: f64,
    known: &[TrainingRun],
    proxies: &Known,
) -> Question {
    let query = |series: &str| query(series, sizes.horizon, (share, sizes.at(share)));
    let theories: Vec<Box<dyn Theory>> = vec![
        Box::new(forest(MAIN, true, true)),
        Box::new(forest(SIGNALS_ONLY, true, false)),
        Box::new(PooledRidge),
    ];
    let proxy = ProxyRun { known: Arc::clone(proxies), key: asked.proxy_key(share) };
    let others = [
        Beside { theory: Box::new(forest("config-forest", false, true)), can_silence: true },
        Beside { theory: Box::new(proxy), can_silence: false },
    ];
    let options =
        CalibrationOptions { by: Exchanged::Cell, coverage: 0.9, ..CalibrationOptions::default() };
    let family = format!("robustness|{}", asked.short);
    Question::fit_beside(
        (asked.property, &family),
        (query(asked.audit), &query(asked.probe)),
        &theories,
        &others,
        known,
        options,
    )
}
