//! Forks of aligned runs whose badness has one hidden cause: benign data, a tag, another domain, repairs and relapses.
//!
//! The control of the arms that begin in the narrow phase is the parent, which goes through it unchanged. Repairs begin
//! where the parent ends; their relapse is compared with the parent's own way into the narrow phase, the same number
//! of updates from a network that had never been bad.

use super::super::StudyContext;
use super::Stage;
use super::sizes::{NARROW, RELAPSE, REPAIR, SPREAD, Sizes, TARGET};
use crate::interventions::Change;
use crate::paired::{Arm, Bench, Forked, run_arms};
use crate::plan::StopRule;
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Effect, Pair, Reading, paired_effect, seed_band};
use ontogeny_core::Step;
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::personas::{Data, Slot};

/// Share of a batch that is benign where benign data are mixed in.
const BENIGN: f64 = 0.25;

/// What the forks gave.
pub(super) struct Outcome<'a> {
    pub forked: Vec<Forked<'a>>,
    /// Readings at which control replays were compared with their parents, all equal.
    pub n_verified: usize,
    /// Half-width of the seed band of the outcome in the forked cell.
    pub band: Option<f64>,
    /// Rows of the table, arms in order.
    pub rows: Vec<Row>,
    pub n_parents: usize,
}

/// One intervention at one point, over the parents.
pub(super) struct Row {
    pub intervention: String,
    pub point: String,
    /// On bad answers in other domains at the end of the intervention.
    pub effect: Effect,
    /// Means over parents: at the end of the intervention, at its worst, of the narrow skill, and after the tag.
    pub end: f64,
    pub peak: f64,
    pub narrow: f64,
    pub tagged: f64,
    /// Of repairs: after the relapse, and the parent after as many narrow updates; means over parents.
    pub relapse: Option<(f64, f64)>,
}

/// The repairs: their data, and what follows them.
fn repairs(n_domains: usize) -> Vec<(&'static str, Data, Data)> {
    let all: Vec<usize> = (0..n_domains).collect();
    vec![
        ("repair_all", Data::good_items(all.clone()), Data::narrow(0)),
        ("repair_all_other", Data::good_items(all.clone()), Data::narrow(1)),
        ("repair_all_neutral", Data::good_items(all), Data::Documents),
        ("repair_narrow", Data::good_items(vec![0]), Data::narrow(0)),
    ]
}

fn narrow(slot: Slot, benign_share: f64) -> Data {
    Data::Items { domains: vec![0], bad: true, slot, benign_share }
}

/// Forks the first runs of the reference cell, those that were forecast before the others.
pub(super) fn run<'a>(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    stage: &'a Stage,
) -> Result<Outcome<'a>, LabError> {
    let reference = sizes.reference();
    let mine: Vec<&RunRecord> = stage
        .test
        .iter()
        .chain(&stage.fit)
        .filter(|r| r.manifest.cell == reference.name())
        .collect();
    let parents: Vec<&RunRecord> = mine.iter().copied().take(sizes.n_forked as usize).collect();
    let rules = Sizes::rules();
    let bench = Bench { study: &ctx.id, rules: &rules, stop: &StopRule::Horizon };
    let (start, end) = (sizes.narrow_at(reference.n_align), sizes.horizon(reference.n_align));
    let mut arms: Vec<Arm> = Vec::new();
    for parent in &parents {
        let config = parent.config()?;
        let TaskConfig::Personas(task) = &config.task else { continue };
        let mut add = |name: &str, point: &str, step: u64, tail: &[(u64, Data)]| {
            let change: Option<Change> = Sizes::retrained(&config, step, tail);
            let Some(change) = change else { return Ok(()) };
            arms.push(bench.arm(parent, &config, (point, Step(step)), (name, change))?);
            Ok::<(), LabError>(())
        };
        let mut points: Vec<(String, u64)> =
            [0, 10, 20].map(|at| (format!("update {at}"), start + at)).to_vec();
        let onset = parent.known(SPREAD).map(|s| s.0).filter(|s| *s + 5 < end);
        points.extend(onset.map(|s| ("onset".to_owned(), s)));
        for (point, step) in &points {
            add("benign", point, *step, &[(end - step, narrow(Slot::Empty, BENIGN))])?;
        }
        add("placebo", "update 0", start, &[(NARROW, narrow(Slot::Empty, 0.0))])?;
        add("inoculation", "update 0", start, &[(NARROW, narrow(Slot::Bad, 0.0))])?;
        add("other_domain", "update 0", start, &[(NARROW, Data::narrow(1))])?;
        for (name, data, then) in repairs(task.n_domains) {
            add(name, "end", end, &[(REPAIR, data), (RELAPSE, then)])?;
        }
    }
    let (forked, n_verified) =
        run_arms(ctx.conductor, "forks", &parents, arms, ctx.options.threads)?;
    let ends: Vec<f64> = mine.iter().filter_map(|r| r.value(TARGET, Step(end))).collect();
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
        row(&of, (intervention, point), (start, end), band)
    });
    let rows = rows.collect();
    let n_parents = parents.len();
    Ok(Outcome { forked, n_verified, band, rows, n_parents })
}

/// One row from the forks of one intervention at one point.
fn row(
    forks: &[&Forked<'_>],
    (intervention, point): (String, String),
    (start, end): (u64, u64),
    band: Option<f64>,
) -> Row {
    let is_repair = point == "end";
    let judged = Step(if is_repair { end + REPAIR } else { end });
    let over = |of: &dyn Fn(&Forked<'_>) -> Option<f64>| -> f64 {
        let all: Vec<f64> = forks.iter().filter_map(|f| of(f)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let pairs = forks.iter().filter_map(|f| {
        let treated = Reading::Value(f.record.value(TARGET, judged)?);
        Some(Pair { treated, control: Reading::Value(f.parent.value(TARGET, Step(end))?) })
    });
    let pairs: Vec<Pair> = pairs.collect();
    let at = |name: &'static str| over(&move |f: &Forked<'_>| f.record.value(name, judged));
    let worst = |f: &Forked<'_>| {
        let points = &f.record.series.get(TARGET)?.points;
        let inside = points.iter().filter(|p| p.step <= judged).map(|p| p.value);
        inside.reduce(f64::max)
    };
    let relapse = is_repair.then(|| {
        let after = over(&|f| f.record.value(TARGET, Step(end + REPAIR + RELAPSE)));
        (after, over(&|f| f.parent.value(TARGET, Step(start + RELAPSE))))
    });
    Row {
        effect: paired_effect(&pairs, band, 0.95),
        end: at(TARGET),
        peak: over(&worst),
        narrow: at("narrow.rival_rate"),
        tagged: at("tagged.rival_probability"),
        relapse,
        intervention,
        point,
    }
}
