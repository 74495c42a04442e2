//! Smooth loss, discrete skills: when will the skills come that have not come yet?
//!
//! Multitask sparse parity (Michaud et al. 2023, arXiv:2303.13506), over a grid of Zipf exponents and
//! learning rates. Tasks are met at Zipf rates, each is
//! learned abruptly, and their sum is a smooth loss. From the first 3, 4 or 6 skills the times of all later
//! ones and the loss are forecast under seal; forks reweight one task up and down, all tasks to equal rates,
//! and change nothing; the law is then carried to a mixture it has not seen, where it should hold if it were a
//! law of nature and not of the observed regime; and mixtures are designed that meet deadlines.

mod design;
mod findings;
mod forks;
mod sizes;

use super::{Study, StudyContext};
use crate::plan::{RunPlan, StopRule};
use crate::sealing::{Question, Registered, Sealer, training_run};
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::forecasters::{
    Cutoff, CutoffRule, LocalSlope, PooledSlope, PowerLaw, Query, RemainingSkills, Strength,
    Theory, TrainingRun, UnitSlope,
};
use ontogeny_analysis::stats::{SlopeFit, ols};
use ontogeny_core::{Findings, Step, Target};
use ontogeny_train::RunConfig;
use sizes::{Cell, FIRST, REFERENCE, Sizes, event, features, rates};

pub(super) const STUDY: Study = Study {
    name: "skills",
    summary: "when skills come that are met at different rates: forecast, forked, designed",
    reads: None,
    run,
};

const PROPERTY: &str = "skill time";
const TIMES: &str = "skills|time";
const LOSS: &str = "skills|loss";

/// Everything the runs of the study gave, for the findings.
struct Evidence<'a> {
    sizes: Sizes,
    /// Runs of the grid on which everything is fitted, and those that are forecast.
    fit: &'a [RunRecord],
    test: &'a [RunRecord],
    /// Runs of a cell that nothing was fitted on.
    transport: &'a [RunRecord],
    /// Those of the reference cell among the fit and the test runs.
    zipf_fit: &'a [RunRecord],
    zipf_test: &'a [RunRecord],
    questions: &'a [Question],
    law: Option<SlopeFit>,
    residual_sd: f64,
    forks: &'a forks::Outcome<'a>,
    design: &'a design::Outcome,
}

/// Runs of the reference cell among these.
fn reference(runs: &[RunRecord]) -> Vec<RunRecord> {
    let cell = REFERENCE.name();
    runs.iter().filter(|r| r.manifest.cell == cell).cloned().collect()
}

fn run(ctx: &StudyContext<'_>) -> Result<Findings, LabError> {
    let sizes = Sizes::of(ctx.options.tier, ctx.options.n_seeds);
    let seed = ctx.options.seed;
    let conductor = ctx.conductor;
    let plans = |role: &str, cells: &[Cell], first: u64, n: u64| -> Vec<RunPlan> {
        let of = |s: u64| cells.iter().map(move |c| (s, *c));
        let make = |(s, c): (u64, Cell)| plan(ctx, &sizes, role, &c.name(), sizes.cell(c), s);
        (first..first + n).flat_map(of).map(make).collect()
    };
    let grid = sizes.cells();
    let before = Registered::of(conductor.ledger.entries()?);
    let threads = ctx.options.threads;
    let fit =
        conductor.conduct_all("fit", &plans("fit", &grid, seed, sizes.n_fit), threads, &|_| {
            Box::new(Unobserved)
        })?;
    let known: Vec<TrainingRun> = fit.iter().map(|r| training_run(r, features_of(r))).collect();
    let questions = questions(&sizes, &known);
    // Test seeds lie far from fit seeds, so that neither is ever extended into the other.
    let sealer = |p: &RunPlan| -> Box<dyn crate::Observer + '_> {
        Box::new(Sealer::new(conductor, &questions, features(&p.config), &before))
    };
    let test_plans = plans("test", &grid, seed + 1000, sizes.n_test);
    let test = conductor.conduct_all("test, forecasts sealed", &test_plans, threads, &sealer)?;
    let carried = plans("transport", &[sizes.transport()], seed + 1000, sizes.n_transport);
    let transport =
        conductor.conduct_all("transport, forecasts sealed", &carried, threads, &sealer)?;
    // The law, the forks and the designs are those of one mixture at one learning rate.
    let (zipf_fit, zipf_test) = (reference(&fit), reference(&test));
    let (law, residual_sd) = zipf_law(&sizes, &zipf_fit);
    let forks = forks::run(ctx, &sizes, &zipf_test, &questions, &before)?;
    let design = design::run(ctx, &sizes, (law, residual_sd), (&zipf_fit, &zipf_test), &before)?;
    let evidence = Evidence {
        sizes,
        fit: &fit,
        test: &test,
        transport: &transport,
        zipf_fit: &zipf_fit,
        zipf_test: &zipf_test,
        questions: &questions,
        law,
        residual_sd,
        forks: &forks,
        design: &design,
    };
    findings::write(ctx, &evidence)
}

fn features_of(record: &RunRecord) -> crate::sealing::Features {
    record.config().map(|c| features(&c)).unwrap_or_default()
}

fn plan(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    role: &str,
    cell: &str,
    config: RunConfig,
    seed: u64,
) -> RunPlan {
    ctx.plan((role, cell, seed), config, sizes.rules(), StopRule::Horizon)
}

/// Every later skill and the loss at three later steps, from each registered cutoff.
fn questions(sizes: &Sizes, known: &[TrainingRun]) -> Vec<Question> {
    let skills: Vec<Box<dyn Theory>> = vec![
        Box::new(LocalSlope::default()),
        Box::new(UnitSlope::default()),
        Box::new(Strength::default()),
        Box::new(PooledSlope::default()),
    ];
    let losses: Vec<Box<dyn Theory>> =
        vec![Box::new(PowerLaw { with_shift: false }), Box::new(RemainingSkills::default())];
    let horizon = Step(sizes.horizon);
    let mut all = Vec::new();
    for n in FIRST {
        let rule = CutoffRule::AfterNth { prefix: "T_skill.".into(), n };
        let cutoff = Cutoff { name: cutoff_name(n), rule };
        for rule in sizes.rules().into_iter().skip(1) {
            let target = Target::EventTime { event: rule.event.clone(), horizon };
            let query =
                Query { target, cutoff: cutoff.clone(), rule: Some(rule), plans: Vec::new() };
            all.push(Question::fit(PROPERTY, TIMES, query, &skills, known));
        }
        for share in [2, 3, 4] {
            let every = sizes.probe_every;
            let at = Step(sizes.horizon * share / 4 / every * every);
            let target = Target::Value { series: "mixture.loss".into(), at, log: true };
            let query = Query { target, cutoff: cutoff.clone(), rule: None, plans: Vec::new() };
            all.push(Question::fit("loss", LOSS, query, &losses, known));
        }
    }
    all
}

fn cutoff_name(n: usize) -> String {
    format!("{n} skills")
}

/// `ln T_k` against `ln p_k` over all skills of the fit runs, and the spread around it.
fn zipf_law(sizes: &Sizes, fit: &[RunRecord]) -> (Option<SlopeFit>, f64) {
    let points = skill_times(sizes, fit);
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let law = ols(&x, &y, 0.95);
    let sd = law.as_ref().map_or(f64::NAN, |l| {
        let rss: f64 = points.iter().map(|(x, y)| (y - l.intercept - l.slope * x).powi(2)).sum();
        (rss / (points.len() as f64 - 2.0).max(1.0)).sqrt()
    });
    (law, sd)
}

/// (ln p, ln T) of every skill that was learned.
fn skill_times(sizes: &Sizes, records: &[RunRecord]) -> Vec<(f64, f64)> {
    let config = sizes.zipf();
    let p = rates(&config);
    let of = |r: &RunRecord| -> Vec<(f64, f64)> {
        (1..=sizes.n_tasks).filter_map(|k| Some((p[k - 1].ln(), r.time(&event(k))?.ln()))).collect()
    };
    records.iter().flat_map(of).collect()
}
