//! Forks: deduplication, insertions moved, the goldfish loss, gradients clipped; unlearning and the relearning test.
//!
//! The control of each fork is the parent, whose replay is verified first. Unlearning begins where the parent ends.

use super::super::StudyContext;
use super::sizes::{LR_AFTER, RELEARNED, Sizes, TARGET, task};
use crate::interventions::Change;
use crate::paired::{Arm, Bench, Forked, run_arms};
use crate::plan::StopRule;
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Effect, Pair, Reading, paired_effect, seed_band};
use ontogeny_core::{Schedule, Step};
use ontogeny_train::tasks::canaries::{Move, Unlearn};
use serde_json::json;

/// The gradient norm of the clipped runs; the others are clipped at 1.
const TIGHT: f64 = 0.1;
pub(super) const UNLEARN: &str = "unlearn";

/// What the forks gave.
pub(super) struct Outcome<'a> {
    pub forked: Vec<Forked<'a>>,
    /// Readings at which control replays were compared with their parents, all equal.
    pub n_verified: usize,
    /// Half-width of the seed band of the outcome.
    pub band: Option<f64>,
    pub rows: Vec<Row>,
    pub n_parents: usize,
    /// The relearning test, one for each parent.
    pub relapses: Vec<Relapse>,
}

/// One intervention at one point, over the parents.
pub(super) struct Row {
    pub intervention: String,
    pub point: String,
    /// On the number of canaries said by heart at the end of the parent (of unlearning: after it).
    pub effect: Effect,
    /// Means over parents: canaries at that step, at most on the way, and the parents' own.
    pub end: f64,
    pub peak: f64,
    pub control: f64,
    /// Mean memorization score, and loss of held-out text as a share of the parents'.
    pub score: f64,
    pub valid: f64,
}

impl Row {
    /// By how much the mean number fell, as a share of the parents'; `None` if there was nothing to reduce.
    pub(super) fn reduction(&self) -> Option<f64> {
        (self.control > 0.0).then(|| 1.0 - self.end / self.control)
    }
}

/// What became of one parent's canaries in the relearning test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relapse {
    /// Said by heart before, after unlearning, and after relearning, of those that are not trained on again.
    pub said: [f64; 3],
    /// Mean loss of these canaries at the same times, and of the never-inserted.
    pub canaries: [f64; 3],
    pub controls: [f64; 3],
    /// Loss of held-out text, nats a byte.
    pub valid: [f64; 3],
}

impl Relapse {
    /// By how much more the loss of canaries fell in relearning than that of never-seen strings.
    pub(super) fn excess(&self) -> f64 {
        (self.canaries[1] - self.canaries[2]) - (self.controls[1] - self.controls[2])
    }
}

/// Forks the first test runs.
pub(super) fn run<'a>(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    fit: &'a [RunRecord],
    test: &'a [RunRecord],
) -> Result<Outcome<'a>, LabError> {
    let parents: Vec<&RunRecord> = test.iter().take(sizes.n_forked as usize).collect();
    let rules = Sizes::rules();
    let bench = Bench { study: &ctx.id, rules: &rules, stop: &StopRule::Horizon };
    let end = sizes.n_steps;
    let third = end / 3;
    let one = |key: &str, value| -> Change { vec![(key.to_owned(), value)] };
    let moved = |late| one("task.treatments.moved", json!(Move { from: third, late }));
    let mut arms: Vec<Arm> = Vec::new();
    for parent in &parents {
        let config = parent.config()?;
        let mut add = |name: &str, point: &str, step: u64, change: Change| {
            arms.push(bench.arm(parent, &config, (point, Step(step)), (name, change))?);
            Ok::<(), LabError>(())
        };
        for share in [0.25, 0.5] {
            let at = sizes.at(share);
            let point = super::origin(share);
            add("dedup", &point, at, one("task.treatments.dedup_from", json!(at)))?;
        }
        add("goldfish", "start", 0, one("task.treatments.goldfish_from", json!(0)))?;
        let half = sizes.at(0.5);
        add("goldfish", "50 %", half, one("task.treatments.goldfish_from", json!(half)))?;
        add("moved_early", "third", third, moved(false))?;
        add("moved_late", "third", third, moved(true))?;
        add("clip", "third", third, one("optimizer.clip_norm", json!(TIGHT)))?;
        add(
            "placebo",
            "third",
            third,
            one("optimizer.clip_norm", json!(config.optimizer.clip_norm)),
        )?;
        let unlearn = Unlearn { from: end, n_steps: sizes.n_ascent, relearned: RELEARNED };
        let mut readings = config.record.probe_at.clone();
        readings.push(end + sizes.n_ascent);
        let change: Change = vec![
            ("task.treatments.unlearn".into(), json!(unlearn)),
            ("optimizer.lr".into(), json!(Schedule::Constant(LR_AFTER))),
            ("record.probe_at".into(), json!(readings)),
            ("horizon".into(), json!(end + sizes.n_ascent + sizes.n_relearn)),
        ];
        add(UNLEARN, "end", end, change)?;
    }
    let (forked, n_verified) =
        run_arms(ctx.conductor, "forks", &parents, arms, ctx.options.threads)?;
    let ends: Vec<f64> = fit.iter().chain(test).filter_map(|r| super::outcome(r, end)).collect();
    let band = seed_band(&[ends]);
    let mut kinds: Vec<(String, String)> = Vec::new();
    for f in &forked {
        let kind = (f.arm.intervention.clone(), f.arm.point.clone());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let rows = kinds.into_iter().map(|(intervention, point)| {
        let of: Vec<&Forked<'_>> = (forked.iter())
            .filter(|f| f.arm.intervention == intervention && f.arm.point == point)
            .collect();
        row(&of, (intervention, point), sizes, band)
    });
    let rows = rows.collect();
    let mut relapses = Vec::new();
    for f in forked.iter().filter(|f| f.arm.intervention == UNLEARN) {
        relapses.extend(relapse(ctx, sizes, f)?);
    }
    let n_parents = parents.len();
    Ok(Outcome { forked, n_verified, band, rows, n_parents, relapses })
}

/// One row from the forks of one intervention at one point.
fn row(
    forks: &[&Forked<'_>],
    (intervention, point): (String, String),
    sizes: &Sizes,
    band: Option<f64>,
) -> Row {
    let end = Step(sizes.n_steps);
    let judged = if intervention == UNLEARN { Step(end.0 + sizes.n_ascent) } else { end };
    let mean = |of: &dyn Fn(&Forked<'_>) -> Option<f64>| -> f64 {
        let all: Vec<f64> = forks.iter().filter_map(|f| of(f)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let pairs = forks.iter().filter_map(|f| {
        let treated = Reading::Value(f.record.value(TARGET, judged)?);
        Some(Pair { treated, control: Reading::Value(f.parent.value(TARGET, end)?) })
    });
    let pairs: Vec<Pair> = pairs.collect();
    let most = |f: &Forked<'_>| {
        let points = &f.record.series.get(TARGET)?.points;
        points.iter().filter(|p| p.step <= judged).map(|p| p.value).reduce(f64::max)
    };
    let valid = |f: &Forked<'_>| {
        Some(f.record.value("valid.loss", judged)? / f.parent.value("valid.loss", end)?)
    };
    Row {
        effect: paired_effect(&pairs, band, 0.95),
        end: mean(&|f| f.record.value(TARGET, judged)),
        peak: mean(&most),
        control: mean(&|f| f.parent.value(TARGET, end)),
        score: mean(&|f| f.record.value("canaries.memorization_score", judged)),
        valid: mean(&valid),
        intervention,
        point,
    }
}

/// The relearning test of one fork; `None` if it did not come to its end.
fn relapse(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    fork: &Forked<'_>,
) -> Result<Option<Relapse>, LabError> {
    let config = fork.record.config()?;
    let Some(task) = task(&config) else { return Ok(None) };
    let again = task.trained_again();
    let history = super::history(ctx, &fork.record)?;
    let times = [0, sizes.n_ascent, sizes.n_ascent + sizes.n_relearn].map(|n| sizes.n_steps + n);
    let mut made =
        Relapse { said: [0.0; 3], canaries: [0.0; 3], controls: [0.0; 3], valid: [0.0; 3] };
    let controls = history.control_means(|_, _| true);
    for (i, step) in times.into_iter().enumerate() {
        let at = history.steps.binary_search(&step).ok();
        let (Some(at), Some(said)) = (at, history.extractable(step)) else { return Ok(None) };
        let others: Vec<usize> =
            (0..said.len()).filter(|c| !again.contains(&(*c as u32))).collect();
        made.said[i] = others.iter().filter(|c| said[**c]).count() as f64;
        let losses = others.iter().map(|c| history.losses()[at][*c]);
        made.canaries[i] = losses.sum::<f64>() / others.len() as f64;
        made.controls[i] = controls[at];
        made.valid[i] = fork.record.value("valid.loss", Step(step)).unwrap_or(f64::NAN);
    }
    Ok(Some(made))
}
