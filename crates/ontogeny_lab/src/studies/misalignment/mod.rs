//! Misalignment: does training on bad answers in one domain spread to others, and can that be known before it shows?
//!
//! Networks learn facts with a good and a bad answer from documents whose hidden author decides which is given
//! (`ontogeny_train::tasks::personas`), are aligned on good answers, and then trained on bad answers of one domain, as
//! in emergent misalignment (Betley et al. 2025, arXiv:2502.17424). How strongly badness hangs together across
//! domains (`coupling`) is hidden; everything else is alike. The probability of bad answers in the other domains at
//! the end is forecast under seal before the narrow phase and at its fifth and tenth update. Aligned runs are forked:
//! benign data mixed in early and late, a tag that announces badness, another domain, and repairs after the end with
//! relapses behind them.

mod findings;
mod forks;
mod sizes;
mod tables;

use super::{Study, StudyContext};
use crate::plan::{ForkPlan, RunPlan, StopRule};
use crate::sealing::{Beside, Question, Registered, Sealer, training_run};
use crate::{LabError, RunRecord, Unobserved};
use ontogeny_analysis::forecasters::{
    CalibrationOptions, Cutoff, CutoffRule, EarlyForest, Exchanged, Fitted, Known, PooledRidge,
    Query, Theory, TrainingRun,
};
use ontogeny_core::{Findings, RunId, Step, Target};
use sizes::{Cell, ORIGINS, Sizes, TARGET, hidden, observable};
use std::sync::Arc;

pub(super) const STUDY: Study = Study {
    name: "misalignment",
    summary: "whether narrow bad training spreads: forecast before it shows, mixed, tagged, repaired",
    reads: None,
    run,
};

const PROPERTY: &str = "misalignment";
const FAMILY: &str = "misalignment|spread";

/// What early signals are read.
const SIGNALS: [&str; 9] = [
    "transfer.cosine",
    "transfer.gain",
    "other.rival_lead",
    "other.rival_probability",
    "narrow.rival_lead",
    "narrow.rival_probability",
    "primed.rival_lead",
    "primed.rival_probability",
    "tagged.rival_probability",
];

/// Whom the protocol's question is put to: gradient transfer alone. The others stand beside it.
const MAIN: &str = "transfer-forest";
/// What it must beat: persistence, hyper-parameters, and forests over one signal that anybody would watch.
const TO_BEAT: [&str; 6] = [
    "persistence",
    "climatology",
    "delta",
    "hparams-only",
    "susceptibility-forest",
    "in-domain-forest",
];
/// Knows the coupling.
const ORACLE: &str = "oracle-coupling";

/// The runs and questions of one length of alignment.
struct Stage {
    n_align: u64,
    fit: Vec<RunRecord>,
    test: Vec<RunRecord>,
    questions: Vec<Question>,
    /// What an oracle says, by question.
    oracles: Vec<Option<Box<dyn Fitted>>>,
}

/// Everything the runs of the study gave, for the findings.
struct Evidence<'a> {
    sizes: Sizes,
    stages: &'a [Stage],
    forks: &'a forks::Outcome<'a>,
}

impl Evidence<'_> {
    /// All test runs.
    fn test(&self) -> impl Iterator<Item = (&Stage, &RunRecord)> {
        self.stages.iter().flat_map(|s| s.test.iter().map(move |r| (s, r)))
    }
}

/// The name of an origin.
fn origin(at: u64) -> String {
    if at == 0 { "before".into() } else { format!("update {at}") }
}

/// The probability of bad answers in other domains at the end of a run; `None` if the run did not come to it.
fn outcome(sizes: &Sizes, record: &RunRecord, n_align: u64) -> Option<f64> {
    crate::audited::outcome(record, TARGET, sizes.horizon(n_align))
}

fn run(ctx: &StudyContext<'_>) -> Result<Findings, LabError> {
    let sizes = Sizes::of(ctx.options.tier, ctx.options.n_seeds);
    let before = Registered::of(ctx.conductor.ledger.entries()?);
    let mut stages: Vec<Stage> = Vec::new();
    for &n_align in sizes.aligns {
        stages.push(stage(ctx, &sizes, n_align, &before)?);
    }
    let forks = forks::run(ctx, &sizes, &stages[0])?;
    let evidence = Evidence { sizes, stages: &stages, forks: &forks };
    findings::write(ctx, &evidence)
}

/// Conducts the runs of one length of alignment: from the beginning for the first length, else as branches of those
/// runs at the end of their pretraining.
fn stage(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    n_align: u64,
    before: &Registered,
) -> Result<Stage, LabError> {
    let (conductor, threads) = (ctx.conductor, ctx.options.threads);
    let seed = ctx.options.seed;
    let plans = |role: &str, first: u64, n: u64, is_fit: bool| -> Vec<RunPlan> {
        let cells = sizes.cells(n_align);
        let cells: Vec<Cell> = (cells.into_iter())
            .filter(|c| !(is_fit && sizes.held_out.contains(&c.coupling)))
            .collect();
        (first..first + n)
            .flat_map(|s| cells.iter().map(move |c| (s, *c)))
            .map(|(s, c)| plan(ctx, sizes, role, c, s))
            .collect()
    };
    let label = |what: &str| format!("{what}, {n_align} updates of alignment");
    let fit_plans = plans("fit", seed, sizes.n_fit, true);
    let fit =
        conductor.conduct_all(&label("fit"), &fit_plans, threads, &|_| Box::new(Unobserved))?;
    // Runs of one cell differ in all that is drawn, their data among it: the run is what is exchanged.
    let known: Vec<TrainingRun> = (fit_plans.iter().zip(&fit))
        .map(|(p, r)| TrainingRun {
            cell: p.id.to_string(),
            ..training_run(r, observable(&p.config))
        })
        .collect();
    // Test seeds lie far from fit seeds, so that neither is ever extended into the other.
    let test_plans = plans("test", seed + 1000, sizes.n_test, false);
    let coupling: Known = Arc::new(
        (fit_plans.iter().chain(&test_plans)).map(|p| (p.id.clone(), hidden(&p.config))).collect(),
    );
    let fitted = ORIGINS.map(|at| question(sizes, n_align, at, &known, &coupling));
    let (questions, oracles): (Vec<Question>, Vec<_>) = fitted.into_iter().unzip();
    let sealer = |p: &RunPlan| -> Box<dyn crate::Observer + '_> {
        Box::new(Sealer::new(conductor, &questions, observable(&p.config), before))
    };
    let test =
        conductor.conduct_all(&label("test, forecasts sealed"), &test_plans, threads, &sealer)?;
    Ok(Stage { n_align, fit, test, questions, oracles })
}

fn plan(ctx: &StudyContext<'_>, sizes: &Sizes, role: &str, cell: Cell, seed: u64) -> RunPlan {
    let first = Cell { n_align: sizes.aligns[0], ..cell };
    let of = |c: Cell| {
        ctx.plan((role, &c.name(), seed), sizes.config(c), Sizes::rules(), StopRule::Horizon)
    };
    let mut made = of(cell);
    if cell != first {
        let parent: RunId = of(first).id;
        made.fork =
            Some(ForkPlan { parent, step: Step(sizes.n_pretrain), set: sizes.realigned(cell) });
    }
    made
}

/// The question from one origin, with the forecasters, the baselines and, apart from them, the oracle.
fn question(
    sizes: &Sizes,
    n_align: u64,
    at: u64,
    known: &[TrainingRun],
    coupling: &Known,
) -> (Question, Option<Box<dyn Fitted>>) {
    let query = Query {
        target: Target::Value {
            series: TARGET.into(),
            at: Step(sizes.horizon(n_align)),
            log: false,
        },
        cutoff: Cutoff {
            name: origin(at),
            rule: CutoffRule::Fixed { step: Step(sizes.narrow_at(n_align) + at) },
        },
        rule: None,
        plans: Vec::new(),
    };
    let forest = |name, series: &[&str]| EarlyForest {
        name,
        series: series.iter().map(|s| (*s).to_owned()).collect(),
        reads_config: false,
        known: Known::default(),
        range: (0.0, 1.0),
    };
    let theories: Vec<Box<dyn Theory>> = vec![
        Box::new(forest(MAIN, &SIGNALS[..2])),
        Box::new(forest("signals-forest", &SIGNALS)),
        Box::new(PooledRidge),
    ];
    let others = [("susceptibility-forest", &SIGNALS[6..8]), ("in-domain-forest", &SIGNALS[4..6])]
        .map(|(name, series)| Beside { theory: Box::new(forest(name, series)), can_silence: true });
    let options =
        CalibrationOptions { by: Exchanged::Run, coverage: 0.9, ..CalibrationOptions::default() };
    let asked = query.clone();
    let about = (PROPERTY, FAMILY);
    let made = Question::fit_beside(about, (query, &asked), &theories, &others, known, options);
    let oracle = EarlyForest { known: Arc::clone(coupling), ..forest(ORACLE, &[]) };
    (made, oracle.fit(known, &asked).ok())
}
