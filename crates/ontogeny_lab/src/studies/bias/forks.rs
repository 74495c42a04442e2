//! Five treatments in a window of 5 % of a run, at six times, on runs that lean on the shortcut.
//!
//! Every arm makes as many updates as its control by the step at which it is judged: those of the whole run and those
//! of one window. An early arm spends its window early and goes on as before; the post hoc arm spends it after the end.
//! The control goes on without treatment. Outside its window an arm meets the batches of its parent.

use super::super::StudyContext;
use super::outcome;
use super::sizes::{Sizes, WINDOWS};
use crate::interventions::{Change, intervention, within};
use crate::paired::{Arm, Bench, Forked, run_arms};
use crate::plan::StopRule;
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Effect, Pair, Reading, paired_effect, seed_band};
use ontogeny_core::Step;

/// The treatments, in the order of the report.
pub(super) const TREATMENTS: [&str; 5] =
    ["balanced_groups", "group_dro", "errors_up", "shortcut_dropout", "last_layer"];
/// The arm without treatment, and the one that is balanced from its first to its last update.
const NONE: &str = "none";
const ALWAYS: &str = "balanced_groups_always";

/// Reliance on the shortcut from which on a run is worth forking.
const LEANS: f64 = 0.1;

pub(super) const ACC_CO: &str = "audit.conflict.accuracy";
pub(super) const FLIP: &str = "audit.flip.shortcut";
pub(super) const ACC: &str = "audit.accuracy";

/// What the forks gave.
pub(super) struct Outcome<'a> {
    pub forked: Vec<Forked<'a>>,
    /// Readings at which control replays were compared with their parents, all equal.
    pub n_verified: usize,
    /// Spread over seeds at a fixed configuration, of accuracy where attribute and answer disagree and of flips.
    pub band: Option<f64>,
    pub flip_band: Option<f64>,
    /// One row per treatment and window.
    pub cells: Vec<Cell>,
    /// Of always balanced training.
    pub always: Option<Effect>,
    /// Per treatment: the effect of windows in the first quarter less that of the post hoc window, over parents.
    pub early_less_late: Vec<(&'static str, Effect)>,
    /// Per fork of the last layer: how well conflicting examples could be read linearly, and what was gained at once.
    pub readout: Vec<(f64, f64)>,
    pub n_parents: usize,
}

/// One treatment in one window.
pub(super) struct Cell {
    pub treatment: &'static str,
    pub share: f64,
    /// On accuracy where attribute and answer disagree: when judged, and after more biased training.
    pub effect: Effect,
    pub after: Effect,
    /// Lost between the two, over parents.
    pub relapse: Effect,
    /// On flips and on accuracy over all, when judged.
    pub flip: Effect,
    pub all: Effect,
}

/// Forks the first test runs that lean on the shortcut.
pub(super) fn run<'a>(
    ctx: &StudyContext<'_>,
    sizes: &Sizes,
    test: &'a [RunRecord],
    again: &[RunRecord],
) -> Result<Outcome<'a>, LabError> {
    let leans = |r: &&RunRecord| outcome(r, FLIP, sizes.horizon).is_some_and(|v| v >= LEANS);
    let parents: Vec<&RunRecord> = test.iter().filter(leans).take(sizes.n_forked).collect();
    let bench = Bench { study: &ctx.id, rules: &[], stop: &StopRule::Horizon };
    let mut arms: Vec<Arm> = Vec::new();
    for parent in &parents {
        let config = parent.config()?;
        let mut add = |name: &str, share: f64, change: Change| -> Result<(), LabError> {
            let step = sizes.at(share);
            let change = change.into_iter().chain(longer(sizes, step)).collect();
            let point = format!("{:.0}pc", 100.0 * share);
            arms.push(bench.arm(parent, &config, (&point, Step(step)), (name, change))?);
            Ok(())
        };
        add(NONE, 1.0, Vec::new())?;
        for name in TREATMENTS {
            let Some(change) = intervention(name).and_then(|i| (i.set)(&config)) else { continue };
            for share in WINDOWS {
                let from = sizes.at(share);
                add(name, share, within(change.clone(), from, from + sizes.window()))?;
            }
            if name == TREATMENTS[0] {
                add(ALWAYS, 0.0, within(change, 0, sizes.judged()))?;
            }
        }
    }
    let (forked, n_verified) =
        run_arms(ctx.conductor, "forks", &parents, arms, ctx.options.threads)?;
    let band_of = |series: &str| {
        let cells = again.iter().filter_map(|other| {
            let first = test.iter().find(|r| r.manifest.cell == other.manifest.cell)?;
            let both = [first, other].map(|r| outcome(r, series, sizes.horizon));
            both.into_iter().collect::<Option<Vec<f64>>>()
        });
        seed_band(&cells.collect::<Vec<_>>())
    };
    let (band, flip_band) = (band_of(ACC_CO), band_of(FLIP));
    let judge = Judge { sizes, forked: &forked, parents: &parents };
    let mut cells = Vec::new();
    let mut early_less_late = Vec::new();
    for treatment in TREATMENTS {
        for share in WINDOWS {
            let of = |series: &str, at: u64, band| {
                let pair = |p: &&RunRecord| judge.pair(p, (treatment, share), series, at);
                paired_effect(&parents.iter().filter_map(pair).collect::<Vec<_>>(), band, 0.95)
            };
            let (now, later) = (sizes.judged(), sizes.relapsed());
            let lost = |p: &&RunRecord| {
                let difference = |at| judge.difference(p, (treatment, share), ACC_CO, at);
                Some(value_pair(difference(now)?, difference(later)?))
            };
            let relapse: Vec<Pair> = parents.iter().filter_map(lost).collect();
            cells.push(Cell {
                treatment,
                share,
                effect: of(ACC_CO, now, band),
                after: of(ACC_CO, later, band),
                relapse: paired_effect(&relapse, None, 0.95),
                flip: of(FLIP, now, flip_band),
                all: of(ACC, now, None),
            });
        }
        let contrast = |p: &&RunRecord| {
            let at = |share| judge.difference(p, (treatment, share), ACC_CO, sizes.judged());
            let early: Option<Vec<f64>> =
                WINDOWS.iter().filter(|s| **s <= 0.25).map(|s| at(*s)).collect();
            let early = early?;
            Some(value_pair(early.iter().sum::<f64>() / early.len() as f64, at(1.0)?))
        };
        let pairs: Vec<Pair> = parents.iter().filter_map(contrast).collect();
        early_less_late.push((treatment, paired_effect(&pairs, None, 0.95)));
    }
    let always: Vec<Pair> = (parents.iter())
        .filter_map(|p| judge.pair(p, (ALWAYS, 0.0), ACC_CO, sizes.judged()))
        .collect();
    let always = (!always.is_empty()).then(|| paired_effect(&always, band, 0.95));
    let readout = judge.readout();
    let n_parents = parents.len();
    Ok(Outcome {
        forked,
        n_verified,
        band,
        flip_band,
        cells,
        always,
        early_less_late,
        readout,
        n_parents,
    })
}

/// A fork goes on until relapse is read, and is read at the end of its window, at the end of the run and where it is
/// judged.
fn longer(sizes: &Sizes, from: u64) -> Change {
    let (now, later) = (sizes.judged(), sizes.relapsed());
    let mut at = vec![from + sizes.window(), sizes.horizon, now, now.midpoint(later), later];
    at.retain(|s| *s > from);
    at.sort_unstable();
    at.dedup();
    vec![
        ("horizon".to_owned(), later.into()),
        ("record.probe_every".to_owned(), later.into()),
        ("record.checkpoint_every".to_owned(), 0.into()),
        ("record.probe_at".to_owned(), at.into()),
    ]
}

fn value_pair(treated: f64, control: f64) -> Pair {
    Pair { treated: Reading::Value(treated), control: Reading::Value(control) }
}

/// Looks arms up.
struct Judge<'a, 'f> {
    sizes: &'f Sizes,
    forked: &'f [Forked<'a>],
    parents: &'f [&'a RunRecord],
}

impl Judge<'_, '_> {
    fn arm(&self, parent: &RunRecord, (name, share): (&str, f64)) -> Option<&RunRecord> {
        let step = Step(self.sizes.at(share));
        let is_it = |f: &&Forked<'_>| {
            f.arm.intervention == name
                && f.arm
                    .plan
                    .fork
                    .as_ref()
                    .is_some_and(|p| &p.parent == parent.id() && p.step == step)
        };
        self.forked.iter().find(is_it).map(|f| &f.record)
    }

    /// An arm and the control of its parent at one step.
    fn pair(&self, parent: &RunRecord, arm: (&str, f64), series: &str, at: u64) -> Option<Pair> {
        let treated = outcome(self.arm(parent, arm)?, series, at)?;
        Some(value_pair(treated, outcome(self.arm(parent, (NONE, 1.0))?, series, at)?))
    }

    fn difference(&self, p: &RunRecord, arm: (&str, f64), series: &str, at: u64) -> Option<f64> {
        let treated = outcome(self.arm(p, arm)?, series, at)?;
        Some(treated - outcome(self.arm(p, (NONE, 1.0))?, series, at)?)
    }

    /// Of every window of the last layer: how well conflicting examples were read linearly at its beginning, and how
    /// much the accuracy on them had risen at its end.
    fn readout(&self) -> Vec<(f64, f64)> {
        let mut all = Vec::new();
        for parent in self.parents {
            for share in WINDOWS {
                let (from, arm) = (self.sizes.at(share), ("last_layer", share));
                let Some(fork) = self.arm(parent, arm) else { continue };
                let at = Step(from);
                let then = parent.value("probe.readout.class_conflict", at);
                let (before, after) =
                    (parent.value(ACC_CO, at), outcome(fork, ACC_CO, from + self.sizes.window()));
                if let (Some(r), Some(b), Some(a)) = (then, before, after) {
                    all.push((r, a - b));
                }
            }
        }
        all
    }
}
