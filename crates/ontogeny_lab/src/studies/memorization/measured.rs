//! What the test runs say about memorization itself: dose and response, exposure and its law, the effect of an insertion,
//! forgetting.

use super::super::StudyContext;
use super::Evidence;
use super::sizes::task;
use crate::conductor::engine;
use crate::values::mean_interval;
use crate::{LabError, RunRecord, state_at};
use ontogeny_analysis::examples::{
    Cohort, Forgetting, Profile, effect_of_insertion, forgetting, profile,
};
use ontogeny_analysis::stats::{KsTest, ks_one_sample, spearman};
use ontogeny_core::{Step, Table};
use ontogeny_train::Trainer;
use ontogeny_train::tasks::canaries::{Placement, SECRET};
use std::collections::BTreeMap;
use std::f64::consts::LN_2;

/// Insertions from which on a canary's curve is drawn in profiles: rarer ones show little.
const OFTEN: u32 = 16;
/// Fresh strings of the exact rank.
const SAMPLE: usize = 10_000;

/// Means over the canaries of one kind in all test runs.
pub(super) struct Dose {
    pub name: String,
    pub n: usize,
    pub said: f64,
    /// Share that was said at some reading.
    pub ever: f64,
    pub score: f64,
    /// Loss advantage over controls, nats.
    pub advantage: f64,
    pub exposure: f64,
}

/// Everything that is measured.
pub(super) struct Measured {
    pub by_count: Vec<Dose>,
    pub by_placement: Vec<Dose>,
    pub by_repeats: Vec<(u32, f64)>,
    /// Rank correlation of the count with the mean share said, and with the mean score.
    pub monotone: [Option<f64>; 2],
    /// Exposures of never-inserted strings by the fit, and the test against their law.
    pub control_exposures: Vec<f64>,
    pub law: Option<KsTest>,
    /// The same by rank among fresh strings, and how the two exposures of canaries compare.
    pub exact: Exact,
    /// Mean effect of a pretended insertion of controls, with its interval over runs.
    pub tau_controls: Option<(f64, f64, f64)>,
    pub profile: Profile,
    /// Loss advantage against updates since the last insertion, and the curve.
    pub forgetting: (Vec<(f64, f64)>, Option<Forgetting>),
}

/// Exposure by rank among ten thousand fresh strings.
#[derive(Default)]
pub(super) struct Exact {
    pub n_runs: usize,
    /// (by the fit, by the rank) of canaries.
    pub canaries: Vec<(f64, f64)>,
    pub controls: Vec<f64>,
    pub law: Option<KsTest>,
}

/// Exposures of never-inserted strings are exponential with mean 1/ln 2.
fn law(bits: f64) -> f64 {
    1.0 - (-bits * LN_2).exp()
}

fn last_vector(
    ctx: &StudyContext<'_>,
    record: &RunRecord,
    name: &str,
) -> Result<Vec<f64>, LabError> {
    let reader = ctx.conductor.store.run(record.id())?;
    let last = reader.recorded_tensor(name)?.last().map(|r| r.values.to_f64());
    Ok(last.unwrap_or_default())
}

pub(super) fn measure(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Measured, LabError> {
    let config = e.test[0].config()?;
    let Some(task) = task(&config) else { unreachable!("this study trains on canaries") };
    let canaries = task.canaries();
    let mut exposures = Vec::new();
    let mut control_exposures = Vec::new();
    for r in e.test {
        exposures.push(last_vector(ctx, r, "canaries.exposures")?);
        control_exposures.extend(last_vector(ctx, r, "controls.exposures")?);
    }
    let dose = |name: String, is: &dyn Fn(usize) -> bool| {
        let mut d =
            Dose { name, n: 0, said: 0.0, ever: 0.0, score: 0.0, advantage: 0.0, exposure: 0.0 };
        for (h, x) in e.histories.iter().zip(&exposures) {
            let (Some(last), Some(said)) =
                (h.losses().last(), h.steps.last().and_then(|s| h.extractable(*s)))
            else {
                continue;
            };
            let (scores, ever) = (h.scores(), h.ever());
            let control = h.control_means(|_, _| true).last().copied().unwrap_or(f64::NAN);
            for i in (0..canaries.len()).filter(|i| is(*i)) {
                d.n += 1;
                d.said += f64::from(u8::from(said[i]));
                d.ever += f64::from(u8::from(ever[i]));
                d.score += scores[i];
                d.advantage += control - last[i];
                d.exposure += x.get(i).copied().unwrap_or(f64::NAN);
            }
        }
        let n = d.n.max(1) as f64;
        for v in [&mut d.said, &mut d.ever, &mut d.score, &mut d.advantage, &mut d.exposure] {
            *v /= n;
        }
        d
    };
    let by_count: Vec<Dose> =
        (task.counts.iter()).map(|c| dose(c.to_string(), &|i| canaries[i].count == *c)).collect();
    let by_placement = (Placement::ALL.iter())
        .map(|p| dose(p.name().to_owned(), &|i| canaries[i].placement == *p))
        .collect();
    let counts: Vec<f64> = task.counts.iter().map(|c| f64::from(*c)).collect();
    let with = |of: &dyn Fn(&Dose) -> f64| {
        spearman(&counts, &by_count.iter().map(of).collect::<Vec<f64>>())
    };
    let monotone = [with(&|d| d.said), with(&|d| d.score)];
    let by_repeats = (task.counts.iter())
        .map(|c| {
            let name = format!("duplicates.c{c}.memorization_score");
            let all: Vec<f64> = e
                .test
                .iter()
                .filter_map(|r| r.series.get(&name)?.last().map(|p| p.value))
                .collect();
            (*c, all.iter().sum::<f64>() / all.len() as f64)
        })
        .collect();
    Ok(Measured {
        law: ks_one_sample(&control_exposures, law),
        control_exposures,
        exact: exact(ctx, e, &exposures)?,
        tau_controls: pretended(e),
        profile: effects(e),
        forgetting: forgotten(e),
        by_count,
        by_placement,
        by_repeats,
        monotone,
    })
}

/// A third of the way through a run every control of the second half is pretended to be inserted: what would be called
/// its effect at the end, against the first half. Means of runs, and the interval over runs.
fn pretended(e: &Evidence<'_>) -> Option<(f64, f64, f64)> {
    let of_run = |h: &super::History| {
        let controls = h.control_means(|i, n| i < n / 2);
        let (at, first) = (h.steps.len().checked_sub(1)?, e.sizes.n_steps / 3);
        let n = h.controls().last()?.len();
        let effects: Vec<f64> = (n / 2..n)
            .filter_map(|i| {
                let losses: Vec<f64> = h.controls().iter().map(|row| row[i]).collect();
                effect_of_insertion(&h.steps, Cohort { first, losses: &losses }, &controls, at)
            })
            .collect();
        Some(effects.iter().sum::<f64>() / effects.len() as f64)
    };
    let all: Vec<f64> = e.histories.iter().filter_map(of_run).collect();
    mean_interval(&all)
}

/// The memorization profile over frequent canaries of all test runs.
fn effects(e: &Evidence<'_>) -> Profile {
    let mut steps: Vec<u64> = Vec::new();
    let mut whole: BTreeMap<(u64, u64), (f64, u32)> = BTreeMap::new();
    for (record, h) in e.test.iter().zip(e.histories) {
        let Ok(config) = record.config() else { continue };
        let Some(task) = task(&config) else { continue };
        let insertions = task.insertions(record.manifest.seeds.data_seed);
        let curves: Vec<(u64, Vec<f64>)> = (task.canaries().iter().zip(&insertions).enumerate())
            .filter(|(_, (c, steps))| c.count >= OFTEN && !steps.is_empty())
            .map(|(i, (_, steps))| (steps[0], h.canary(i)))
            .collect();
        let cohorts: Vec<Cohort<'_>> =
            curves.iter().map(|(first, losses)| Cohort { first: *first, losses }).collect();
        let p = profile(&h.steps, &cohorts, &h.control_means(|_, _| true));
        for (g, row) in p.inserted.iter().zip(&p.effects) {
            for (t, v) in p.steps.iter().zip(row).filter(|(_, v)| v.is_finite()) {
                let cell = whole.entry((*g, *t)).or_insert((0.0, 0));
                *cell = (cell.0 + v, cell.1 + 1);
            }
        }
        steps = p.steps;
    }
    let mut inserted: Vec<u64> = whole.keys().map(|k| k.0).collect();
    inserted.dedup();
    let at = |g: &u64, t: &u64| whole.get(&(*g, *t)).map_or(f64::NAN, |c| c.0 / f64::from(c.1));
    let effects = inserted.iter().map(|g| steps.iter().map(|t| at(g, t)).collect()).collect();
    Profile { inserted, steps, effects }
}

/// The loss advantage of frequent canaries against the time since their last insertion: means over canaries and runs in
/// twelve bins, and the curve through them.
fn forgotten(e: &Evidence<'_>) -> (Vec<(f64, f64)>, Option<Forgetting>) {
    const BINS: usize = 12;
    let width = (e.sizes.n_steps as f64 / BINS as f64).max(1.0);
    let mut bins = vec![(0.0, 0.0, 0_u32); BINS];
    for (record, h) in e.test.iter().zip(e.histories) {
        let Ok(config) = record.config() else { continue };
        let Some(task) = task(&config) else { continue };
        let controls = h.control_means(|_, _| true);
        let insertions = task.insertions(record.manifest.seeds.data_seed);
        for (i, (c, steps)) in task.canaries().iter().zip(&insertions).enumerate() {
            let Some(last) = steps.last().filter(|_| c.count >= OFTEN) else { continue };
            for (at, step) in h.steps.iter().enumerate().filter(|(_, s)| *s > last) {
                let since = (step - last) as f64;
                let bin = &mut bins[((since / width) as usize).min(BINS - 1)];
                *bin = (bin.0 + since, bin.1 + controls[at] - h.losses()[at][i], bin.2 + 1);
            }
        }
    }
    let points: Vec<(f64, f64)> = (bins.iter().filter(|b| b.2 > 0))
        .map(|b| (b.0 / f64::from(b.2), b.1 / f64::from(b.2)))
        .collect();
    let curve = forgetting(&points);
    (points, curve)
}

/// Exposure by rank among fresh strings, in the first test runs.
fn exact(ctx: &StudyContext<'_>, e: &Evidence<'_>, fitted: &[Vec<f64>]) -> Result<Exact, LabError> {
    let mut made = Exact::default();
    for ((record, h), fitted) in e.test.iter().zip(e.histories).zip(fitted).take(e.sizes.n_exact) {
        let config = record.config()?;
        let Some(task) = task(&config) else { continue };
        if super::outcome(record, e.sizes.n_steps).is_none() {
            continue;
        }
        let train = |source| LabError::Train { run: record.id().clone(), source };
        let state = state_at(ctx.conductor.store, record.id(), Step(e.sizes.n_steps))?;
        let fresh = task.fresh(record.manifest.seeds.data_seed, SAMPLE);
        let trainer = Trainer::from_state(config.clone(), record.manifest.seeds, engine()?, state)
            .map_err(train)?;
        let mut losses = trainer.sequence_losses(&fresh, SECRET).map_err(train)?;
        losses.sort_by(f64::total_cmp);
        let bits = |loss: f64| {
            let before = losses.partition_point(|l| *l < loss);
            ((SAMPLE + 1) as f64 / (before + 1) as f64).log2()
        };
        let last = |rows: &[Vec<f64>]| rows.last().cloned().unwrap_or_default();
        let mine = last(h.losses()).into_iter().map(bits);
        made.canaries.extend(fitted.iter().copied().zip(mine));
        made.controls.extend(last(h.controls()).into_iter().map(bits));
        made.n_runs += 1;
    }
    made.law = ks_one_sample(&made.controls, law);
    Ok(made)
}

/// The table of doses.
pub(super) fn table(m: &Measured) -> Table {
    let row = |kind: &str, d: &Dose| {
        vec![
            kind.to_owned(),
            d.name.clone(),
            d.n.to_string(),
            format!("{:.3}", d.said),
            format!("{:.3}", d.ever),
            format!("{:.3}", d.score),
            format!("{:.2}", d.advantage),
            format!("{:.2}", d.exposure),
        ]
    };
    let counts = m.by_count.iter().map(|d| row("insertions", d));
    let columns = [
        "by",
        "value",
        "canaries",
        "said at the end",
        "said ever",
        "score",
        "advantage",
        "exposure",
    ];
    Table {
        caption: "Canaries of all test runs. Said: share that greedy decoding says whole; score: share of the digits before \
                  its first error; advantage: nats by which the loss of the digits is below that of never-inserted ones; \
                  exposure: mean in bits, by the skew-normal fit (never inserted: 1.44)."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: counts.chain(m.by_placement.iter().map(|d| row("placement", d))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_never_inserted_have_less_than_a_bit_and_the_mean_is_one_over_ln_2() {
        assert!((law(1.0) - 0.5).abs() < 1e-12 && (law(3.0) - 0.875).abs() < 1e-12);
        // The mean of a positive number is the area above its distribution function.
        let mean: f64 =
            (0..100_000).map(|i| (1.0 - law((f64::from(i) + 0.5) / 1000.0)) / 1000.0).sum();
        assert!((mean - 1.0 / LN_2).abs() < 1e-6, "{mean}");
    }
}
