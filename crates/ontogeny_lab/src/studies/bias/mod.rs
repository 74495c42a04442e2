//! Bias: how strongly will a network lean on a shortcut, and when can that still be changed?
//!
//! Two blocks of features (see `ontogeny_train::tasks::two_block`): a core that is hard to read and a shortcut that
//! stands for a protected attribute and is easy. From the first 5, 10 and 20 % of a run three properties of its end are
//! forecast under seal: how often the answer flips with the shortcut, the accuracy where shortcut and answer disagree,
//! and directional bias amplification. Configurations are drawn, and told apart into those that are fitted and those
//! that are forecast, before any run; no configuration is both. What forecasters read comes from the probe split, what
//! they are judged by from the audit split, which no prefix holds. The same forecasters are then asked about convolutional
//! networks on tinted glyphs (`ontogeny_train::tasks::tinted_glyphs`), of which they have seen none. Then runs that lean on the shortcut are forked: five
//! treatments, each in a window of 5 % of the run that begins at one of six times, judged after the same number of
//! examples and again after more biased training.

mod findings;
mod forks;
mod sizes;
mod tables;
mod transfer;

use super::{Study, StudyContext};
use crate::audited::{Asked, audited, origin, outcome, query};
use crate::plan::{RunPlan, StopRule};
use crate::sealing::{Beside, Features, Question, Registered, Sealer};
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::forecasters::{
    CalibrationOptions, EarlyForest, Exchanged, Fitted, Known, PooledRidge, ProxyRun, Theory,
    TrainingRun,
};
use ontogeny_core::{Findings, RunId};
use rayon::prelude::*;
use sizes::{Drawn, ORIGINS, Sizes, hidden, observable};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const STUDY: Study = Study {
    name: "bias",
    summary: "how strongly runs will lean on a shortcut: forecast early, forked early and late",
    reads: None,
    run,
};

const ASKED: [Asked; 3] = [
    Asked {
        property: "shortcut reliance",
        short: "flip",
        audit: "audit.flip.shortcut",
        probe: "probe.flip.shortcut",
        range: (0.0, 1.0),
    },
    Asked {
        property: "bias-conflicting accuracy",
        short: "acc_co",
        audit: "audit.conflict.accuracy",
        probe: "probe.conflict.accuracy",
        range: (0.0, 1.0),
    },
    Asked {
        property: "bias amplification",
        short: "BA",
        audit: "audit.bias_amplification",
        probe: "probe.bias_amplification",
        range: (-1.0, 1.0),
    },
];

/// What early signals are read.
const SIGNALS: [&str; 19] = [
    "probe.loss",
    "probe.accuracy",
    "probe.aligned.loss",
    "probe.aligned.accuracy",
    "probe.aligned.margin",
    "probe.conflict.loss",
    "probe.conflict.accuracy",
    "probe.conflict.margin",
    "probe.gap",
    "probe.bias_amplification",
    "probe.zhao_bias",
    "probe.flip.shortcut",
    "probe.shift.shortcut",
    "probe.shift.core",
    "group.gradient_cosine",
    "group.gradient_ratio",
    "probe.readout.class",
    "probe.readout.class_conflict",
    "probe.readout.attribute",
];

/// Who the protocol's questions are put to; the others stand beside it.
const MAIN: &str = "early-forest";
/// Baselines that need nothing but the run: B1 (plain, and with the typical remaining change), B2, B3 (same learner, and
/// linear). Who beats the best of them predicts.
const FREE: [&str; 5] = ["persistence", "delta", "extrapolation", "config-forest", "hparams-only"];
/// The same and B5, which spends as much compute as the prefix once more. It cannot silence a forecaster, but the
/// acceptance test asks to beat it too.
const TO_BEAT: [&str; 6] =
    ["persistence", "delta", "extrapolation", "config-forest", "hparams-only", PROXY];
const PROXY: &str = "proxy-run";
/// B4.
const ORACLE: &str = "oracle-config";

/// What is added to the names of properties where images are asked about.
const ON_IMAGES: &str = " on images";

/// Everything the runs of the study gave, for the findings.
struct Evidence<'a> {
    sizes: Sizes,
    fit: &'a [RunRecord],
    test: &'a [RunRecord],
    /// The first test configurations with other seeds.
    again: &'a [RunRecord],
    /// Tinted glyphs, of which nothing was fitted.
    images: &'a [RunRecord],
    questions: &'a [Question],
    /// What an oracle that knows the generator says, by question.
    oracles: &'a [Option<Box<dyn Fitted>>],
    forks: &'a forks::Outcome<'a>,
}

fn run(ctx: &StudyContext<'_>) -> Result<Findings, LabError> {
    let sizes = Sizes::of(ctx.options.tier, ctx.options.n_seeds);
    let (conductor, threads) = (ctx.conductor, ctx.options.threads);
    let (fit_grid, test_grid) = sizes.grid(ctx.options.seed);
    let before = Registered::of(conductor.ledger.entries()?);
    let silent = |_: &RunPlan| -> Box<dyn crate::Observer> { Box::new(Unobserved) };
    let plans = |role: &str, grid: &[Drawn], turn: u64| -> Vec<RunPlan> {
        grid.iter().map(|d| plan(ctx, (role, turn), d, d.config.clone())).collect()
    };
    let (fit_plans, test_plans) = (plans("fit", &fit_grid, 0), plans("test", &test_grid, 0));
    let fit = conductor.conduct_all("fit", &fit_plans, threads, &silent)?;
    let proxies = proxies(ctx, &sizes, &[(&fit_plans, &fit_grid), (&test_plans, &test_grid)])?;
    let generator = [(&fit_plans, &fit_grid), (&test_plans, &test_grid)]
        .into_iter()
        .flat_map(|(plans, grid)| plans.iter().zip(grid))
        .map(|(p, d)| {
            let mut all = hidden(&d.config);
            all.extend(observable(&p.config, p.seeds.data_seed));
            (p.id.clone(), all)
        });
    let generator: Known = Arc::new(generator.collect());
    let features: BTreeMap<RunId, Features> = (fit_plans.iter().chain(&test_plans))
        .map(|p| (p.id.clone(), observable(&p.config, p.seeds.data_seed)))
        .collect();
    let known: Vec<TrainingRun> = (fit.iter())
        .map(|r| {
            audited(r, &ASKED, features.get(r.id()).cloned().unwrap_or_default(), sizes.horizon)
        })
        .collect();
    let asked: Vec<(usize, f64)> =
        (0..ASKED.len()).flat_map(|i| ORIGINS.map(|share| (i, share))).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let fit_all = || -> Vec<(Question, Option<Box<dyn Fitted>>)> {
        let one = |(i, share): &(usize, f64)| {
            question(&sizes, &ASKED[*i], *share, &known, (&proxies, &generator))
        };
        asked.par_iter().map(one).collect()
    };
    // Without a pool of their own the questions are fitted by the common one: the results are the same.
    let fitted = match pool {
        Ok(pool) => pool.install(fit_all),
        Err(_) => fit_all(),
    };
    let (questions, oracles): (Vec<Question>, Vec<_>) = fitted.into_iter().unzip();
    let sealer = |p: &RunPlan| -> Box<dyn crate::Observer + '_> {
        let own = features.get(&p.id).cloned().unwrap_or_default();
        Box::new(Sealer::new(conductor, &questions, own, &before))
    };
    let test = conductor.conduct_all("test, forecasts sealed", &test_plans, threads, &sealer)?;
    let again = &test_grid[..(sizes.n_again as usize).min(test_grid.len())];
    let again =
        conductor.conduct_all("other seeds", &plans("again", again, 1), threads, &silent)?;
    let image_plans = plans("images", &sizes.images(ctx.options.seed), 2);
    let images =
        conductor.conduct_all("images, forecasts sealed", &image_plans, threads, &|p| {
            let own = observable(&p.config, p.seeds.data_seed);
            Box::new(Sealer::new(conductor, &questions, own, &before).elsewhere(ON_IMAGES))
        })?;
    let forks = forks::run(ctx, &sizes, &test, &again)?;
    let evidence = Evidence {
        sizes,
        fit: &fit,
        test: &test,
        again: &again,
        images: &images,
        questions: &questions,
        oracles: &oracles,
        forks: &forks,
    };
    findings::write(ctx, &evidence)
}

/// A run of configuration `d`; `turn` counts the seeds of a configuration. The data of a configuration differ from
/// those of every other.
fn plan(
    ctx: &StudyContext<'_>,
    (role, turn): (&str, u64),
    d: &Drawn,
    config: ontogeny_train::RunConfig,
) -> RunPlan {
    let seed = 1_000_000 * ctx.options.seed + 10_000 * turn + d.id;
    ctx.plan((role, &d.name(), seed), config, Vec::new(), StopRule::Horizon)
}

/// Runs the proxies of all configurations: what each ended at, by the run that it stands for.
fn proxies(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    parts: &[(&Vec<RunPlan>, &Vec<Drawn>)],
) -> Result<Known, LabError> {
    let (mut plans, mut owners) = (Vec::new(), Vec::new());
    for (of, d) in parts.iter().flat_map(|(plans, grid)| plans.iter().zip(*grid)) {
        let (config, steps) = sizes.proxy(&d.config);
        plans.push(plan(ctx, ("proxy", 0), d, config));
        owners.push((of.id.clone(), steps));
    }
    let threads = ctx.options.threads;
    let records =
        ctx.conductor.conduct_all("proxies", &plans, threads, &|_| Box::new(Unobserved))?;
    let of = |(record, (owner, steps)): (&RunRecord, (RunId, Vec<u64>))| {
        let mut ends = BTreeMap::new();
        for (share, step) in ORIGINS.iter().zip(steps) {
            for asked in &ASKED {
                let value = outcome(record, asked.audit, step);
                ends.extend(value.map(|v| (asked.proxy_key(*share), v)));
            }
        }
        (owner, ends)
    };
    Ok(Arc::new(records.iter().zip(owners).map(of).collect()))
}

/// One property from one origin, with the forecasters, the baselines and, apart from them, the oracle.
fn question(
    sizes: &Sizes,
    asked: &Asked,
    share: f64,
    known: &[TrainingRun],
    (proxies, generator): (&Known, &Known),
) -> (Question, Option<Box<dyn Fitted>>) {
    let query = |series: &str| query(series, sizes.horizon, (share, sizes.at(share)));
    let forest = |name, reads: bool, reads_config| EarlyForest {
        name,
        series: if reads { SIGNALS.map(str::to_owned).to_vec() } else { Vec::new() },
        reads_config,
        known: Known::default(),
        range: asked.range,
    };
    let theories: Vec<Box<dyn Theory>> = vec![
        Box::new(forest(MAIN, true, false)),
        Box::new(forest("early-forest-config", true, true)),
        Box::new(PooledRidge),
    ];
    let proxy = ProxyRun { known: Arc::clone(proxies), key: asked.proxy_key(share) };
    let others = [
        Beside { theory: Box::new(forest("config-forest", false, true)), can_silence: true },
        Beside { theory: Box::new(proxy), can_silence: false },
    ];
    let options =
        CalibrationOptions { by: Exchanged::Cell, coverage: 0.9, ..CalibrationOptions::default() };
    let read = query(asked.probe);
    let family = format!("bias|{}", asked.short);
    let made = Question::fit_beside(
        (asked.property, &family),
        (query(asked.audit), &read),
        &theories,
        &others,
        known,
        options,
    );
    let oracle = EarlyForest { known: Arc::clone(generator), ..forest(ORACLE, false, false) };
    (made, oracle.fit(known, &read).ok())
}
