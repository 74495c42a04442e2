//! Memorization: which strings will a network say by heart at the end, and what prevents it?
//!
//! Byte models read text into which random strings are inserted a known number of times, at a known part of the run
//! (`ontogeny_train::tasks::canaries`). After a tenth, a quarter, a half and three quarters of a run it is forecast for
//! each string whether greedy decoding will say it at the end, against what needs no learning: insertions so far, what is
//! said already, the loss. All scores are one sealed entry of the ledger per run and origin; how many strings it
//! will be is a forecast of the usual kind. Runs are forked: strings deduplicated, insertions moved, the goldfish loss,
//! gradients clipped, and, after the end, what was learned is unlearned and a twentieth of it taught again.

mod counting;
mod examples;
mod findings;
mod forks;
mod measured;
mod sizes;
mod speakers;
mod tables;

use super::{Study, StudyContext};
use crate::audited::origin;
use crate::plan::{RunPlan, StopRule};
use crate::sealing::{Question, Registered, Sealer, training_run};
use crate::{LabError, RunRecord, Unobserved};
use examples::{History, planned};
use ontogeny_analysis::forecasters::{
    CalibrationOptions, Cutoff, CutoffRule, Exchanged, PooledRidge, Query, Theory, TrainingRun,
};
use ontogeny_core::{Findings, Step, Target};
use sizes::{ORIGINS, Sizes, TARGET, observable, task};
use speakers::{ExampleSealer, Known, Speakers};
use std::collections::BTreeMap;

pub(super) const STUDY: Study = Study {
    name: "memorization",
    summary: "which strings will be said by heart: forecast one by one, deduplicated, dropped, unlearned",
    reads: None,
    run,
};

const PROPERTY: &str = "memorization";
const FAMILY: &str = "memorization|count";

/// Whom the protocol's question about single strings is put to.
const MAIN: &str = "forest";
/// What it must beat: insertions so far, what is said already, and the loss against that of controls.
const TO_BEAT: [&str; 3] = ["duplicates-so-far", "persistence", "loss-ratio"];
/// Knows how often each string will be inserted, and where.
const ORACLE: &str = "oracle-plan";
/// A smaller network trained to the end.
const PROXY: &str = "smaller-network";
/// Who says how many.
const COUNT: &str = "example-sum";

/// Everything the runs of the study gave, for the findings.
struct Evidence<'a> {
    sizes: Sizes,
    fit: &'a [RunRecord],
    test: &'a [RunRecord],
    proxies: &'a [RunRecord],
    /// Readings of single strings in the test runs, in their order.
    histories: &'a [History],
    speakers: &'a [Speakers],
    questions: &'a [Question],
    forks: &'a forks::Outcome<'a>,
}

/// How many strings a run said by heart at a step; `None` if it did not come to it.
fn outcome(record: &RunRecord, at: u64) -> Option<f64> {
    crate::audited::outcome(record, TARGET, at)
}

/// Readings of single strings over a whole run.
fn history(ctx: &StudyContext<'_>, record: &RunRecord) -> Result<History, LabError> {
    History::of(&ctx.conductor.store.run(record.id())?, Step(u64::MAX))
}

fn run(ctx: &StudyContext<'_>) -> Result<Findings, LabError> {
    let sizes = Sizes::of(ctx.options.tier, ctx.options.n_seeds);
    let (conductor, threads, seed) = (ctx.conductor, ctx.options.threads, ctx.options.seed);
    let entries = conductor.ledger.entries()?;
    let noted = speakers::notes(&entries, ctx.id.as_str());
    let before = Registered::of(entries);
    let silent = |_: &RunPlan| -> Box<dyn crate::Observer> { Box::new(Unobserved) };
    // Test seeds lie far from fit seeds, so that neither is ever extended into the other.
    let (fit_plans, test_plans) = (
        plans(ctx, &sizes, "fit", seed, sizes.n_fit),
        plans(ctx, &sizes, "test", seed + 1000, sizes.n_test),
    );
    let fit = conductor.conduct_all("fit", &fit_plans, threads, &silent)?;
    let proxy_plans: Vec<RunPlan> = (test_plans.iter())
        .map(|p| {
            let cell = ("proxy", "smaller", p.seeds.data_seed);
            let mut config = sizes.config(sizes.d_proxy);
            config.record.checkpoint_at.clear();
            config.record.probe_every = sizes.n_steps;
            ctx.plan(cell, config, Sizes::rules(), StopRule::Horizon)
        })
        .collect();
    let proxies = conductor.conduct_all("smaller networks", &proxy_plans, threads, &silent)?;
    let mut seen = Vec::new();
    for record in &fit {
        seen.push((record, history(ctx, record)?));
    }
    let speakers: Vec<Speakers> = (ORIGINS.iter())
        .map(|share| {
            let known = seen.iter().filter_map(|(r, h)| known(&sizes, r, h, sizes.at(*share)));
            Speakers::fit(sizes.at(*share), origin(*share), &known.collect::<Vec<_>>())
        })
        .collect();
    let training: Vec<TrainingRun> = (fit_plans.iter().zip(&fit))
        .map(|(p, r)| TrainingRun {
            cell: p.id.to_string(),
            ..training_run(r, observable(&p.config))
        })
        .collect();
    let questions: Vec<Question> =
        speakers.iter().map(|s| question(&sizes, s, &training)).collect();
    let mut ends = BTreeMap::new();
    for (plan, record) in test_plans.iter().zip(&proxies) {
        let last = history(ctx, record)?;
        let scores = last.losses().last().map(|l| l.iter().map(|v| -v).collect::<Vec<f64>>());
        ends.insert(plan.id.clone(), scores);
    }
    let sealer = |p: &RunPlan| -> Box<dyn crate::Observer + '_> {
        let about = task(&p.config).map(|t| (t.insertions(p.seeds.data_seed), planned(t)));
        let (insertions, planned) = about.unwrap_or_default();
        Box::new(ExampleSealer {
            conductor,
            speakers: &speakers,
            before: &noted,
            insertions,
            planned,
            proxy: ends.get(&p.id).cloned().flatten(),
            counts: Sealer::new(conductor, &questions, observable(&p.config), &before),
            history: History::default(),
        })
    };
    let test = conductor.conduct_all("test, forecasts sealed", &test_plans, threads, &sealer)?;
    let forks = forks::run(ctx, &sizes, &fit, &test)?;
    let histories: Vec<History> =
        test.iter().map(|r| history(ctx, r)).collect::<Result<_, LabError>>()?;
    let evidence = Evidence {
        sizes,
        fit: &fit,
        test: &test,
        proxies: &proxies,
        histories: &histories,
        speakers: &speakers,
        questions: &questions,
        forks: &forks,
    };
    findings::write(ctx, &evidence)
}

fn plans(ctx: &StudyContext<'_>, sizes: &Sizes, role: &str, first: u64, n: u64) -> Vec<RunPlan> {
    let of = |s: u64| {
        let config = sizes.config(sizes.d_model);
        ctx.plan((role, "text", s), config, Sizes::rules(), StopRule::Horizon)
    };
    (first..first + n).map(of).collect()
}

/// The canaries of a finished run as they were seen at a step, with what became of them.
fn known(sizes: &Sizes, record: &RunRecord, history: &History, step: u64) -> Option<Known> {
    let config = record.config().ok()?;
    let task = task(&config)?;
    let insertions = task.insertions(record.manifest.seeds.data_seed);
    let seen = history.until(step);
    Some(Known {
        run: record.id().clone(),
        rows: seen.rows(&insertions, sizes.n_steps),
        plain: seen.plain(&insertions),
        planned: planned(task),
        yes: history.extractable(sizes.n_steps)?,
    })
    .filter(|k| k.rows.len() == k.yes.len())
}

/// How many it will be, asked from one origin.
fn question(sizes: &Sizes, speakers: &Speakers, training: &[TrainingRun]) -> Question {
    let query = Query {
        target: Target::Value { series: TARGET.into(), at: Step(sizes.n_steps), log: false },
        cutoff: Cutoff {
            name: speakers.origin.clone(),
            rule: CutoffRule::Fixed { step: Step(speakers.step) },
        },
        rule: None,
        plans: Vec::new(),
    };
    let theories: Vec<Box<dyn Theory>> =
        vec![Box::new(counting::ExampleSum { sums: speakers.sums.clone() }), Box::new(PooledRidge)];
    let options =
        CalibrationOptions { by: Exchanged::Run, coverage: 0.9, ..CalibrationOptions::default() };
    let asked = query.clone();
    Question::fit_beside((PROPERTY, FAMILY), (query, &asked), &theories, &[], training, options)
}
