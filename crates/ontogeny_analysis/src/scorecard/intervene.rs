//! Level 2, intervene: effects, invariance, specificity, dose-response.

use super::records::{Record, Records};
use super::{Computed, ForkInfo, Provenance};
use crate::distribution::{Cdf, median as centre, spread};
use crate::effects::{NO_EFFECT, OBSERVATIONAL};
use crate::math::special::normal_quantile;
use crate::math::{mad, mean, median};
use crate::scores::{PitRange, Skill, coverage, skill};
use crate::stats::{
    bootstrap_interval, clopper_pearson, cluster_bootstrap, clusters_of, deming, holm,
    ks_two_sample, spearman,
};
use ontogeny_core::Observed;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Signs of effects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SignAccuracy {
    /// Right.
    pub right: usize,
    /// Right or wrong.
    pub n: usize,
    /// Dropped as ties: `|D|` within one standard error, or within two where no effect was predicted.
    pub ties: usize,
    /// One-sided 90 % Clopper-Pearson lower bound.
    pub lower: f64,
}

/// Skill on effects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectSkill {
    /// Against "no effect".
    pub no_effect: Computed<Skill>,
    /// Against the effect implied by a regression on unforked runs.
    pub observational: Computed<Skill>,
}

/// Whether the theory's errors are the same under intervention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Invariance {
    /// `1 - |median shift|/2 - |ln MAD ratio|/2` of standardized residuals, in [0, 1].
    pub raw: f64,
    /// The same with each difference less one standard error (1.25 of the median, 1.17/√n of `ln` MAD):
    /// with a few dozen forks a perfectly invariant theory has a raw value near .75 by chance alone.
    pub value: f64,
    /// Smallest Holm-adjusted p-value of two-sample Kolmogorov-Smirnov tests, one per kind against the
    /// unforked runs: a law that is wrong about one kind in three must not hide behind the others.
    pub ks_p: f64,
    /// Coverage of the 90 % interval on forks, minus on unforked runs.
    pub cov90_change: f64,
}

/// One kind of intervention over its doses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DoseCurve {
    /// The kind.
    pub kind: String,
    /// Distinct doses.
    pub n_doses: usize,
    /// Size of the rank correlation of dose and effect.
    pub spearman: f64,
    /// Whether every observed effect lies in the simultaneous 90 % band of the prediction.
    pub inside_band: bool,
}

/// The numbers of level 2.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InterveneBlock {
    /// Forks that are not placebos.
    pub n: usize,
    /// Kinds among them.
    pub n_kinds: usize,
    /// Kinds never seen in fitting.
    pub n_new_kinds: usize,
    /// Kinds tried in both directions.
    pub n_opposite_pairs: usize,
    /// Placebos.
    pub n_placebos: usize,
    /// Placebos within two standard errors of 0.
    pub placebos_silent: usize,
    /// 10. Signs.
    pub sign: SignAccuracy,
    /// 10. Skill against two nulls.
    pub effect_skill: EffectSkill,
    /// 10. Slope of observed on predicted (Deming) with its bootstrap interval; ideal 1.
    pub slope: Computed<(f64, f64, f64)>,
    /// 11. Invariance.
    pub invariance: Computed<Invariance>,
    /// 11. Largest `|refit - fit| / SE` over structural constants.
    pub refit_drift: Computed<f64>,
    /// 12. Share of declared off-target effects inside their bounds.
    pub off_target: Computed<f64>,
    /// 13. Kinds with at least 4 doses.
    pub doses: Vec<DoseCurve>,
}

struct Fork<'a> {
    record: Record<'a>,
    info: &'a ForkInfo,
    observed: f64,
    predicted: Option<f64>,
}

pub(crate) fn block<'a>(
    records: &Records<'a>,
    provenance: &'a Provenance,
    seed: u64,
) -> Computed<InterveneBlock> {
    let all: Vec<Fork> = records
        .forks()
        .into_iter()
        .filter_map(|record| {
            let info = provenance.forks.get(&record.forecast.id)?;
            let Observed::Value { value } = record.observed else { return None };
            let predicted = record.forecast.predictive.as_ref().map(centre);
            Some(Fork { record, info, observed: value, predicted })
        })
        .collect();
    let (placebos, real): (Vec<Fork>, Vec<Fork>) = all.into_iter().partition(|f| f.info.placebo);
    if real.is_empty() {
        return Computed::not("no sealed forecast of a fork effect with known outcome");
    }
    let kinds: BTreeSet<&str> = real.iter().map(|f| f.info.kind.as_str()).collect();
    let of_kind = |k: &str| real.iter().filter(move |f| f.info.kind == k).collect::<Vec<_>>();
    let new_kinds = kinds.iter().filter(|k| of_kind(k).iter().all(|f| !f.info.seen_in_fit));
    let pairs = kinds.iter().filter(|k| {
        let d: Vec<f64> = of_kind(k).iter().map(|f| f.info.dose).collect();
        d.iter().any(|d| *d > 0.0) && d.iter().any(|d| *d < 0.0)
    });
    let silent = placebos
        .iter()
        .filter(|f| f.observed == 0.0 || f.observed.abs() < 2.0 * f.info.std_error)
        .count();
    let off: Vec<f64> = real
        .iter()
        .flat_map(|f| &f.info.off_target)
        .map(|o| f64::from(u8::from(o.effect.abs() <= o.bound)))
        .collect();
    let drift = provenance
        .refits
        .iter()
        .map(|r| (r.interventional - r.observational).abs() / r.std_error)
        .reduce(f64::max);
    let against = |null: &str| {
        let base: Option<Vec<f64>> =
            real.iter().map(|f| f.record.baselines.get(null).copied()).collect();
        let skill = base.and_then(|b| {
            let own: Vec<f64> =
                real.iter().zip(&b).map(|(f, b)| f.record.score.unwrap_or(*b)).collect();
            skill(&own, &b, &cells(&real), seed)
        });
        Computed::from_option(skill, &format!("the null {null} does not stand beside every fork"))
    };
    Computed::Value(InterveneBlock {
        n: real.len(),
        n_kinds: kinds.len(),
        n_new_kinds: new_kinds.count(),
        n_opposite_pairs: pairs.count(),
        n_placebos: placebos.len(),
        placebos_silent: silent,
        sign: signs(&real),
        effect_skill: EffectSkill {
            no_effect: against(NO_EFFECT),
            observational: against(OBSERVATIONAL),
        },
        slope: Computed::from_option(slope(&real, seed), "predictions do not vary"),
        invariance: invariance(&records.observational(), &real),
        refit_drift: Computed::from_option(drift, "no constants were fitted again on forks"),
        off_target: Computed::from_option(mean(&off), "no off-target property was declared"),
        doses: kinds.iter().filter_map(|k| dose_curve(k, &of_kind(k))).collect(),
    })
}

fn cells(forks: &[Fork]) -> Vec<String> {
    forks.iter().map(|f| f.record.forecast.cell.clone()).collect()
}

fn signs(real: &[Fork]) -> SignAccuracy {
    let (mut right, mut n, mut ties) = (0, 0, 0);
    for f in real {
        let Some(p) = f.predicted else { continue };
        let (d, se) = (f.observed, f.info.std_error);
        if d.abs() <= se || (p.abs() <= se && d.abs() <= 2.0 * se) {
            ties += 1;
            continue;
        }
        n += 1;
        right += usize::from(p * d > 0.0);
    }
    SignAccuracy { right, n, ties, lower: clopper_pearson(right as u64, n as u64, 0.8).0 }
}

/// Deming's slope with error ratio `mean SE² / mean predictive variance`, and a bootstrap interval.
fn slope(real: &[Fork], seed: u64) -> Option<(f64, f64, f64)> {
    let known: Vec<(f64, f64, f64, f64)> = real
        .iter()
        .filter_map(|f| {
            let sd = spread(f.record.forecast.predictive.as_ref()?);
            Some((f.predicted?, f.observed, f.info.std_error.powi(2), sd * sd))
        })
        .collect();
    let of = |idx: &[usize]| {
        let pick = |g: fn(&(f64, f64, f64, f64)) -> f64| -> Vec<f64> {
            idx.iter().map(|i| g(&known[*i])).collect()
        };
        let (noise, doubt) = (mean(&pick(|k| k.2))?, mean(&pick(|k| k.3))?);
        deming(&pick(|k| k.0), &pick(|k| k.1), (noise / doubt.max(1e-18)).max(1e-3))
    };
    let every: Vec<usize> = (0..known.len()).collect();
    let names: Vec<String> = real
        .iter()
        .filter(|f| f.predicted.is_some())
        .map(|f| f.record.forecast.cell.clone())
        .collect();
    let resampled = cluster_bootstrap(&clusters_of(&names), 2000, seed, of);
    let (lo, hi) = bootstrap_interval(&resampled, 0.95)?;
    Some((of(&every)?, lo, hi))
}

fn invariance(observational: &[Record], forks: &[Fork]) -> Computed<Invariance> {
    let z = |pits: &[PitRange]| -> Vec<f64> {
        pits.iter().map(|p| normal_quantile(p.mean().clamp(1e-3, 1.0 - 1e-3))).collect()
    };
    let obs: Vec<PitRange> = observational.iter().filter_map(|r| r.pit).collect();
    let int: Vec<PitRange> = forks.iter().filter_map(|f| f.record.pit).collect();
    let (zo, zi) = (z(&obs), z(&int));
    let kinds: BTreeSet<&str> = forks.iter().map(|f| f.info.kind.as_str()).collect();
    let by_kind: Vec<f64> = kinds
        .into_iter()
        .filter_map(|k| {
            let of = forks.iter().filter(|f| f.info.kind == k).filter_map(|f| f.record.pit);
            Some(ks_two_sample(&zo, &z(&of.collect::<Vec<_>>()))?.p)
        })
        .collect();
    let all = (|| {
        let shift = (median(&zi)? - median(&zo)?).abs();
        let (mi, mo) = (mad(&zi)?.max(1e-3), mad(&zo)?.max(1e-3));
        let ratio = (mi / mo).ln().abs();
        let (ni, no) = (zi.len() as f64, zo.len() as f64);
        let shift_se = 1.2533 * 1.4826 * (mi * mi / ni + mo * mo / no).sqrt();
        let ratio_se = 1.1664 * (1.0 / ni + 1.0 / no).sqrt();
        let of = |s: f64, r: f64| (1.0 - 0.5 * s - 0.5 * r).clamp(0.0, 1.0);
        Some(Invariance {
            raw: of(shift, ratio),
            value: of((shift - shift_se).max(0.0), (ratio - ratio_se).max(0.0)),
            ks_p: holm(&by_kind).into_iter().reduce(f64::min)?,
            cov90_change: coverage(&int, 0.9)? - coverage(&obs, 0.9)?,
        })
    })();
    Computed::from_option(all, "needs predictions of unforked and of forked runs")
}

fn dose_curve(kind: &str, forks: &[&Fork]) -> Option<DoseCurve> {
    let mut by_dose: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for f in forks {
        by_dose.entry((f.info.dose * 1e6).round() as i64).or_default().push(f.observed);
    }
    if by_dose.len() < 4 {
        return None;
    }
    let doses: Vec<f64> = by_dose.keys().map(|d| *d as f64).collect();
    let effects: Vec<f64> = by_dose.values().map(|v| mean(v).unwrap_or(0.0)).collect();
    // Bonferroni over the forks of this kind, as far out as the quantiles reach.
    let tail = (0.05 / forks.len() as f64).max(0.001);
    let inside = forks.iter().all(|f| {
        let p = f.record.forecast.predictive.as_ref();
        p.and_then(|p| Cdf::new(p, f.record.support)).is_some_and(|c| {
            let at = c.given_it_happens(f.observed);
            at >= tail && at <= 1.0 - tail
        })
    });
    Some(DoseCurve {
        kind: kind.into(),
        n_doses: by_dose.len(),
        spearman: spearman(&doses, &effects)?.abs(),
        inside_band: inside,
    })
}
