//! Grokking modular addition: when does the generalizing circuit form, and who can say so beforehand?
//!
//! A grid over weight decay, data fraction and seeds (Power et al. 2022, arXiv:2201.02177; Nanda et al. 2023,
//! arXiv:2301.05217). Theories are fitted on the fit runs; on the test runs they seal forecasts of `T_grok` at
//! 1, 2, 4 and 8 times `T_mem`, while the run is live and before anybody knows. Forks at memorization and at
//! half the delay turn weight decay off, up and down, add mirrors, amplify slow gradients, and do nothing.
//! Random labels are the control that must never trigger anything. The design task asks for a grok time.

mod design;
mod findings;
mod forks;
mod sizes;

use super::{Study, StudyContext};
use crate::plan::{RunPlan, StopRule};
use crate::sealing::{Question, Registered, Sealer, training_run};
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::forecasters::{
    Cutoff, EtaLambda, GiniPassage, NormPassage, Query, SignalsAft, Theory, TrainingRun,
    mirror_accuracy,
};
use ontogeny_core::{Findings, Step, Target};
use ontogeny_train::RunConfig;
use sizes::{CUTOFFS, Sizes, features};

pub(super) const STUDY: Study = Study {
    name: "grokking",
    summary: "when a network that memorized will generalize: forecast, forked, designed",
    reads: None,
    run,
};

const PROPERTY: &str = "grok time";
const FAMILY: &str = "grokking|T_grok";

/// Everything the runs of the study gave, for the findings.
struct Evidence<'a> {
    sizes: Sizes,
    fit: &'a [RunRecord],
    test: &'a [RunRecord],
    transport: &'a [RunRecord],
    control: &'a [RunRecord],
    questions: &'a [Question],
    forks: &'a forks::Outcome<'a>,
    design: &'a design::Outcome,
}

fn run(ctx: &StudyContext<'_>) -> Result<Findings, LabError> {
    let sizes = Sizes::of(ctx.options.tier, ctx.options.n_seeds);
    let (conductor, threads) = (ctx.conductor, ctx.options.threads);
    let before = Registered::of(conductor.ledger.entries()?);
    let seed = ctx.options.seed;
    let grid = |role: &str, first: u64, n: u64| -> Vec<RunPlan> {
        let of = |s: u64| sizes.cells().into_iter().map(move |c| (s, c));
        let make =
            |(s, c): (u64, sizes::Cell)| plan(ctx, &sizes, role, &c.name(), sizes.config(c), s);
        (first..first + n).flat_map(of).map(make).collect()
    };
    let fit = conductor
        .conduct_all("fit", &grid("fit", seed, sizes.n_fit), threads, &|_| Box::new(Unobserved))?;
    let known: Vec<TrainingRun> = fit.iter().map(|r| training_run(r, features_of(r))).collect();
    let questions = questions(&sizes, &known);
    let sealer = |p: &RunPlan| -> Box<dyn crate::Observer + '_> {
        Box::new(Sealer::new(conductor, &questions, features(&p.config), &before))
    };
    let test = conductor.conduct_all(
        "test, forecasts sealed",
        &grid("test", seed + 1000, sizes.n_test),
        threads,
        &sealer,
    )?;
    let carried: Vec<RunPlan> = (seed + 1000..seed + 1000 + sizes.n_transport)
        .map(|s| {
            plan(
                ctx,
                &sizes,
                "transport",
                &sizes.transport().name(),
                sizes.config(sizes.transport()),
                s,
            )
        })
        .collect();
    let transport =
        conductor.conduct_all("transport, forecasts sealed", &carried, threads, &sealer)?;
    let controls: Vec<RunPlan> = (seed..seed + sizes.n_control)
        .map(|s| plan(ctx, &sizes, "control", "random-labels", sizes.random_labels(), s))
        .collect();
    let control =
        conductor.conduct_all("random labels", &controls, threads, &|_| Box::new(Unobserved))?;
    let forks = forks::run(ctx, &sizes, &fit, &test, &questions, &before)?;
    let design = design::run(ctx, &sizes, (&fit, &test), &before)?;
    let evidence = Evidence {
        sizes,
        fit: &fit,
        test: &test,
        transport: &transport,
        control: &control,
        questions: &questions,
        forks: &forks,
        design: &design,
    };
    findings::write(ctx, &evidence)
}

fn features_of(record: &RunRecord) -> crate::sealing::Features {
    record.config().map(|c| features(&c)).unwrap_or_default()
}

/// Runs end early once they have grokked and settled: what happens later is not asked.
fn stop() -> StopRule {
    StopRule::After { events: vec!["T_mem".into(), "T_50".into(), "T_grok".into()], extra: 200 }
}

fn plan(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    role: &str,
    cell: &str,
    config: RunConfig,
    seed: u64,
) -> RunPlan {
    ctx.plan((role, cell, seed), config, sizes.rules(), stop())
}

/// `T_grok` at every cutoff, asked of every theory.
fn questions(sizes: &Sizes, known: &[TrainingRun]) -> Vec<Question> {
    let theories: Vec<Box<dyn Theory>> = vec![
        Box::new(NormPassage::default()),
        Box::new(GiniPassage::default()),
        Box::new(SignalsAft::default()),
        Box::new(mirror_accuracy("test_mirror_in.accuracy")),
        Box::new(EtaLambda::default()),
    ];
    let target = Target::EventTime { event: "T_grok".into(), horizon: Step(sizes.horizon) };
    let rule = sizes.rules().into_iter().find(|r| r.event == "T_grok");
    let ask = |multiple: &f64| {
        let query = Query {
            target: target.clone(),
            cutoff: Cutoff::after("T_mem", *multiple),
            rule: rule.clone(),
            plans: Vec::new(),
        };
        Question::fit(PROPERTY, FAMILY, query, &theories, known)
    };
    CUTOFFS.iter().map(ask).collect()
}
