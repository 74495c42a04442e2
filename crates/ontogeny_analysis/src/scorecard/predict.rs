//! Level 1, predict: registration, use-novelty, skill, lead, calibration, evidence, scope, robustness.

use super::records::{Record, Records};
use super::{Computed, Provenance, REQUIRED_BASELINES};
use crate::math::{mean, median};
use crate::scores::{
    CalibrationSummary, EProcess, PitRange, Skill, coverage, likelihood, skill, summarize, winkler,
};
use crate::stats::holm;
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Target};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Skill at one cutoff of the registered grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CutoffSkill {
    /// Family, target and cutoff.
    pub name: String,
    /// Median lead, doublings.
    pub lead: f64,
    /// Skill against the best baseline there.
    pub skill: Skill,
    /// Holm-adjusted p-value within the declared family.
    pub holm_p: f64,
}

/// Skill at one level of one configuration axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisSkill {
    /// The axis.
    pub axis: String,
    /// The level.
    pub level: String,
    /// Whether no fit run had it.
    pub held_out: bool,
    /// Skill there.
    pub skill: Skill,
}

/// The numbers of level 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictBlock {
    /// Scored records with a prediction.
    pub n: usize,
    /// Records answered "not predictable"; they score as the best baseline.
    pub n_silent: usize,
    /// Cells and seeds among all.
    pub n_cells: usize,
    /// Distinct seeds.
    pub n_seeds: usize,
    /// 1. Share of resolved records that were sealed before the fact.
    pub registration: f64,
    /// 2. Share whose run, parent and cell were not used in building the theory.
    pub use_novelty: f64,
    /// 2. Share whose cell has an axis value no fit run had.
    pub transport: f64,
    /// 3. Skill against the best baseline.
    pub skill: Skill,
    /// The baseline with the lowest mean score.
    pub best_baseline: String,
    /// Mean score of the theory.
    pub mean_score: f64,
    /// Mean score of every baseline that stands beside all records.
    pub baseline_scores: BTreeMap<String, f64>,
    /// Required baselines that are missing beside some record.
    pub missing_baselines: Vec<String>,
    /// 2. Skill on the transport subset.
    pub transport_skill: Computed<Skill>,
    /// 4. Median lead, doublings.
    pub lead50: Computed<f64>,
    /// 4. Largest lead on the grid with skill there and at all later cutoffs; 0 if none.
    pub lead_use: f64,
    /// 3. Skill by cutoff.
    pub cutoffs: Vec<CutoffSkill>,
    /// 5. Calibration.
    pub calibration: Computed<CalibrationSummary>,
    /// 5. Median 90 % Winkler score over climatology's.
    pub sharpness: Computed<f64>,
    /// 5. Smallest coverage of the 90 % interval in a cell with 3 records.
    pub worst_cell_cov90: Computed<f64>,
    /// 8. `log10 E` against each baseline, in registration order, one factor per outcome.
    pub log10_e: BTreeMap<String, f64>,
    /// 8. The smallest of them.
    pub log10_e_min: Computed<f64>,
    /// 9. Skill by axis level.
    pub axes: Vec<AxisSkill>,
    /// 9. Share of held-out (axis, level) with skill.
    pub scope: Computed<f64>,
    /// 16. Whether the verdict "skill" survives other settings; the first that breaks it.
    pub fragile: Computed<Option<String>>,
}

pub(crate) fn block(
    records: &Records,
    provenance: &Provenance,
    seed: u64,
) -> Computed<PredictBlock> {
    let all = records.observational();
    if all.is_empty() {
        return Computed::not("no scored forecast of an event or a value");
    }
    let n_resolved = all.len() + records.refused.len();
    let (baseline_scores, missing_baselines) = baselines(&all);
    let Some(best_baseline) = nth_best(&baseline_scores, 0) else {
        return Computed::not("no baseline stands beside every record");
    };
    let Some(main) = skill_against(&all, &best_baseline, seed) else {
        return Computed::not("the best baseline has no score");
    };
    let novel = |r: &Record| {
        let parent = provenance.runs.get(&r.forecast.run).and_then(|i| i.parent.as_ref());
        !parent.is_some_and(|p| r.fitted_on.contains(p))
            && !provenance.tuned_cells.contains(&r.forecast.cell)
    };
    let abroad: Vec<Record> =
        all.iter().filter(|r| !new_levels(r, provenance).is_empty()).cloned().collect();
    let share = |k: usize| k as f64 / all.len() as f64;
    let cutoffs = by_cutoff(&all, seed);
    let leads: Vec<f64> = all.iter().filter_map(lead).collect();
    let answered: Vec<Record> = all.iter().filter(|r| r.score.is_some()).cloned().collect();
    let pits: Vec<PitRange> = answered.iter().filter_map(|r| r.pit).collect();
    let calibration = summarize(&pits);
    let log10_e = evidence(&answered, baseline_scores.keys());
    let axes = by_axis(&all, &best_baseline, provenance, seed);
    let held: Vec<&AxisSkill> = axes.iter().filter(|a| a.held_out).collect();
    let with_skill = held.iter().filter(|a| a.skill.lo > 0.0).count();
    let distinct = |f: &dyn Fn(&Record) -> Option<String>| {
        all.iter().filter_map(f).collect::<BTreeSet<String>>().len()
    };
    let mean_score = mean(&all.iter().map(|r| own(r, &best_baseline)).collect::<Vec<_>>());
    Computed::Value(PredictBlock {
        n: answered.len(),
        n_silent: all.len() - answered.len(),
        n_cells: distinct(&|r| Some(r.forecast.cell.clone())),
        n_seeds: distinct(&|r| Some(provenance.runs.get(&r.forecast.run)?.seed.to_string())),
        registration: all.len() as f64 / n_resolved as f64,
        use_novelty: share(all.iter().filter(|r| novel(r)).count()),
        transport: share(abroad.len()),
        skill: main,
        mean_score: mean_score.unwrap_or(f64::NAN),
        transport_skill: Computed::from_option(
            skill_against(&abroad, &best_baseline, seed),
            "no record has an axis value that no fit run had",
        ),
        lead50: Computed::from_option(median(&leads), "no record has a lead"),
        lead_use: lead_use(&cutoffs),
        cutoffs,
        calibration: Computed::from_option(calibration, "no prediction to calibrate"),
        sharpness: sharpness(&answered),
        worst_cell_cov90: worst_cell(&answered),
        log10_e_min: Computed::from_option(
            log10_e.values().copied().reduce(f64::min).filter(|_| !answered.is_empty()),
            "no prediction to bet on",
        ),
        log10_e,
        scope: if held.is_empty() {
            Computed::not("no held-out axis level with 3 records")
        } else {
            Computed::Value(with_skill as f64 / held.len() as f64)
        },
        fragile: fragile(&all, &baseline_scores, provenance, seed),
        axes,
        best_baseline,
        baseline_scores,
        missing_baselines,
    })
}

/// Mean scores of the baselines that stand beside every record, and the required ones that do not.
fn baselines(all: &[Record]) -> (BTreeMap<String, f64>, Vec<String>) {
    let names: BTreeSet<&str> = all.iter().flat_map(|r| r.baselines.keys().copied()).collect();
    let scores: BTreeMap<String, f64> = names
        .into_iter()
        .filter_map(|n| {
            let s: Option<Vec<f64>> = all.iter().map(|r| r.baselines.get(n).copied()).collect();
            Some((n.to_owned(), mean(&s?)?))
        })
        .collect();
    let missing = REQUIRED_BASELINES.iter().filter(|b| !scores.contains_key(**b));
    let missing = missing.map(|b| (*b).to_owned()).collect();
    (scores, missing)
}

fn nth_best(scores: &BTreeMap<String, f64>, n: usize) -> Option<String> {
    let mut order: Vec<(&String, f64)> = scores.iter().map(|(k, v)| (k, *v)).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
    order.get(n).map(|o| o.0.clone())
}

/// The theory's score, or the baseline's where it was silent.
fn own(r: &Record, baseline: &str) -> f64 {
    r.score.or_else(|| r.baselines.get(baseline).copied()).unwrap_or(f64::NAN)
}

fn skill_against(records: &[Record], baseline: &str, seed: u64) -> Option<Skill> {
    let scores: Vec<f64> = records.iter().map(|r| own(r, baseline)).collect();
    let base: Option<Vec<f64>> =
        records.iter().map(|r| r.baselines.get(baseline).copied()).collect();
    // One or two cells cannot be resampled: there the run is the unit.
    let n_cells = records.iter().map(|r| &r.forecast.cell).collect::<BTreeSet<_>>().len();
    let unit = |r: &Record| {
        if n_cells < 3 { r.forecast.run.to_string() } else { r.forecast.cell.clone() }
    };
    let cells: Vec<String> = records.iter().map(unit).collect();
    skill(&scores, &base?, &cells, seed)
}

/// `log2(T*/t0)`: a run without the event has at least the lead of its horizon.
fn lead(r: &Record) -> Option<f64> {
    let t0 = r.forecast.cutoff.ln();
    let t = match (&r.forecast.target, Lifetime::from_observed(r.observed)) {
        (Target::EventTime { .. }, Some(Lifetime::Event { hi, .. })) => hi,
        (Target::EventTime { horizon, .. }, _) => horizon.ln(),
        (Target::Value { at, .. }, _) => at.ln(),
        (Target::ForkEffect { .. }, _) => return None,
    };
    Some((t - t0) / std::f64::consts::LN_2)
}

fn by_cutoff(all: &[Record], seed: u64) -> Vec<CutoffSkill> {
    let mut groups: BTreeMap<(String, String), Vec<Record>> = BTreeMap::new();
    for r in all {
        let what = match &r.forecast.target {
            Target::EventTime { event, .. } => event.as_str(),
            Target::Value { series, .. } => series.as_str(),
            Target::ForkEffect { outcome, .. } => outcome.as_str(),
        };
        let key = (r.forecast.family.clone(), format!("{what} at {}", r.forecast.cutoff_name));
        groups.entry(key).or_default().push(r.clone());
    }
    let mut skills: Vec<(String, CutoffSkill)> = groups
        .into_iter()
        .filter_map(|((family, name), g)| {
            let best = nth_best(&baselines(&g).0, 0)?;
            let skill = skill_against(&g, &best, seed)?;
            let lead = median(&g.iter().filter_map(lead).collect::<Vec<_>>())?;
            Some((family, CutoffSkill { name, lead, holm_p: skill.p, skill }))
        })
        .collect();
    let families: BTreeSet<String> = skills.iter().map(|s| s.0.clone()).collect();
    for family in families {
        let members: Vec<usize> = (0..skills.len()).filter(|i| skills[*i].0 == family).collect();
        let p: Vec<f64> = members.iter().map(|i| skills[*i].1.skill.p).collect();
        for (i, p) in members.into_iter().zip(holm(&p)) {
            skills[i].1.holm_p = p;
        }
    }
    let mut cutoffs: Vec<CutoffSkill> = skills.into_iter().map(|s| s.1).collect();
    cutoffs.sort_by(|a, b| a.lead.total_cmp(&b.lead).then(a.name.cmp(&b.name)));
    cutoffs
}

fn lead_use(cutoffs: &[CutoffSkill]) -> f64 {
    cutoffs.iter().take_while(|c| c.skill.lo > 0.0).last().map_or(0.0, |c| c.lead)
}

/// Axis levels of a record's run that none of its fit runs had; none if the fit runs are unknown.
fn new_levels(r: &Record, provenance: &Provenance) -> Vec<(String, String)> {
    let Some(info) = provenance.runs.get(&r.forecast.run) else { return Vec::new() };
    let fitted: Vec<_> = r.fitted_on.iter().filter_map(|run| provenance.runs.get(*run)).collect();
    if fitted.is_empty() {
        return Vec::new();
    }
    let seen =
        |axis: &String, level: &String| fitted.iter().any(|f| f.axes.get(axis) == Some(level));
    info.axes.iter().filter(|(a, l)| !seen(a, l)).map(|(a, l)| (a.clone(), l.clone())).collect()
}

fn by_axis(all: &[Record], best: &str, provenance: &Provenance, seed: u64) -> Vec<AxisSkill> {
    let mut groups: BTreeMap<(String, String), (bool, Vec<Record>)> = BTreeMap::new();
    for r in all {
        let Some(info) = provenance.runs.get(&r.forecast.run) else { continue };
        let new = new_levels(r, provenance);
        for (axis, level) in &info.axes {
            let key = (axis.clone(), level.clone());
            let held = new.contains(&key);
            let group = groups.entry(key).or_insert((true, Vec::new()));
            group.0 &= held;
            group.1.push(r.clone());
        }
    }
    groups
        .into_iter()
        .filter(|(_, (_, g))| g.len() >= 3)
        .filter_map(|((axis, level), (held_out, g))| {
            Some(AxisSkill { axis, level, held_out, skill: skill_against(&g, best, seed)? })
        })
        .collect()
}

fn baseline<'a>(r: &Record<'a>, name: &str) -> Option<&'a Predictive> {
    r.forecast.baselines.iter().find(|b| b.0 == name).map(|b| &b.1)
}

fn sharpness(answered: &[Record]) -> Computed<f64> {
    let width = |p: &Predictive, r: &Record| winkler(p, r.support, r.observed);
    let own: Option<Vec<f64>> =
        answered.iter().map(|r| width(r.forecast.predictive.as_ref()?, r)).collect();
    let base: Option<Vec<f64>> =
        answered.iter().map(|r| width(baseline(r, "climatology")?, r)).collect();
    let ratio =
        own.zip(base).and_then(|(a, b)| Some(median(&a)? / median(&b)?)).filter(|r| r.is_finite());
    Computed::from_option(ratio, "climatology does not stand beside every record")
}

fn worst_cell(answered: &[Record]) -> Computed<f64> {
    let mut cells: BTreeMap<&str, Vec<PitRange>> = BTreeMap::new();
    for r in answered {
        cells.entry(&r.forecast.cell).or_default().extend(r.pit);
    }
    let worst =
        cells.values().filter(|p| p.len() >= 3).filter_map(|p| coverage(p, 0.9)).reduce(f64::min);
    Computed::from_option(worst, "no cell with 3 records")
}

/// Likelihood ratios in registration order, one per outcome (its first forecast).
pub(crate) fn bets<'a>(answered: &[Record<'a>], name: &str) -> Vec<(f64, f64)> {
    let mut order: Vec<&Record<'a>> = answered.iter().collect();
    order.sort_by_key(|r| r.seq);
    let mut taken = BTreeSet::new();
    order
        .into_iter()
        .filter_map(|r| {
            let (p, b) = (r.forecast.predictive.as_ref()?, baseline(r, name)?);
            // The cell of a value is set by the baseline beforehand, not by the outcome.
            let resolution = 0.05 * crate::distribution::spread(b).max(1e-9);
            let of = |p| likelihood(p, r.support, r.observed, resolution);
            let pair = (of(p)?, of(b)?);
            taken.insert(r.outcome_key()).then_some(pair)
        })
        .collect()
}

fn evidence<'n>(
    answered: &[Record],
    names: impl Iterator<Item = &'n String>,
) -> BTreeMap<String, f64> {
    names
        .map(|name| {
            let mut e = EProcess::default();
            for (p, b) in bets(answered, name) {
                e.push(p, b);
            }
            (name.clone(), e.log10())
        })
        .collect()
}

/// The verdict whose robustness is asked: skill above 0. Calibration is not part of it: probabilities were
/// given for the registered event, and another threshold is another event, a little earlier or later.
fn verdict(records: &[Record], baseline: &str, seed: u64) -> bool {
    skill_against(records, baseline, seed).is_some_and(|s| s.lo > 0.0)
}

fn fragile(
    all: &[Record],
    scores: &BTreeMap<String, f64>,
    provenance: &Provenance,
    seed: u64,
) -> Computed<Option<String>> {
    let has_events = all.iter().any(|r| matches!(r.forecast.target, Target::EventTime { .. }));
    if has_events && provenance.alternatives.is_empty() {
        return Computed::not("no outcomes under other event thresholds were given");
    }
    let Some(best) = nth_best(scores, 0) else { return Computed::not("no baseline") };
    let plain = verdict(all, &best, seed);
    if let Some(second) = nth_best(scores, 1).filter(|b| verdict(all, b, seed) != plain) {
        return Computed::Value(Some(format!("baseline {second}")));
    }
    for a in &provenance.alternatives {
        let other: Vec<Record> = all.iter().map(|r| r.under(a)).collect();
        let best = nth_best(&baselines(&other).0, 0);
        if best.is_none_or(|b| verdict(&other, &b, seed) != plain) {
            return Computed::Value(Some(a.name.clone()));
        }
    }
    Computed::Value(None)
}
