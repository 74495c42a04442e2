//! Times of later skills from the times of earlier ones and the task probabilities.
//!
//! Each theory here says where `ln T_k` lies, given the skills learned so far and `ln P(k)`. The spread is
//! learned from finished runs: their errors on later skills, as `sd² = s0² + s1² x²` in the distance
//! `x = |ln P_k - ln P_last|`; without runs, from the learned skills themselves with `s1` = .2 per unit of
//! `ln P`. Source: Michaud et al. 2023 (arXiv:2303.13506); Nam et al. 2024 (arXiv:2404.17563);
//! docs/protocol.md section 3B.

mod local_slope;
mod pooled_slope;
mod remaining;
mod strength;
mod unit_slope;

pub use local_slope::LocalSlope;
pub use pooled_slope::PooledSlope;
pub use remaining::RemainingSkills;
pub use strength::Strength;
pub use unit_slope::UnitSlope;

pub(crate) use local_slope::ENTRY as LOCAL_SLOPE;
pub(crate) use pooled_slope::ENTRY as POOLED_SLOPE;
pub(crate) use remaining::ENTRY as REMAINING;
pub(crate) use strength::ENTRY as STRENGTH;
pub(crate) use unit_slope::ENTRY as UNIT_SLOPE;

use super::landmark::horizon;
use super::{Fitted, Identity, NotFitted, Query, TheorySpec, TrainingRun};
use crate::detectors::detect;
use crate::distribution::log_normal_with_cure;
use crate::math::special::student_quantile;
use crate::survival::Lifetime;
use ontogeny_core::{Direction, Predictive, Prefix, Step, Target, TheoryRef, ThresholdRule};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// How skills are named in series, events and features.
#[derive(Debug, Clone, PartialEq)]
pub struct SkillNames {
    /// Series of skill `k`: `<loss_prefix><k><loss_suffix>`.
    pub loss_prefix: String,
    /// End of the series name.
    pub loss_suffix: String,
    /// Event of skill `k`: `<event_prefix><k>`.
    pub event_prefix: String,
    /// Feature with `ln P(k)`: `<ln_p_prefix><k>`.
    pub ln_p_prefix: String,
    /// Loss at which a skill counts as learned.
    pub level: f64,
    /// Probes for which it must stay there.
    pub persistence: usize,
}

impl Default for SkillNames {
    fn default() -> Self {
        Self {
            loss_prefix: "skill.".into(),
            loss_suffix: ".loss".into(),
            event_prefix: "T_skill.".into(),
            ln_p_prefix: "ln_p.".into(),
            level: 0.5 * std::f64::consts::LN_2,
            persistence: 3,
        }
    }
}

/// A skill that was learned: (`ln P`, `ln T`).
pub(crate) type Learned = (f64, f64);

impl SkillNames {
    /// Whether the question is about the time of a skill.
    fn is_skill(&self, query: &Query) -> bool {
        matches!(&query.target, Target::EventTime { event, .. } if event.starts_with(&self.event_prefix))
    }

    /// `ln P(k)` of every skill, in the order of the feature names.
    pub(crate) fn ln_p<'a>(
        &'a self,
        features: &'a BTreeMap<String, f64>,
    ) -> impl Iterator<Item = (&'a str, f64)> {
        features.iter().filter_map(|(name, v)| {
            Some((name.strip_prefix(self.ln_p_prefix.as_str())?, *v)).filter(|_| v.is_finite())
        })
    }

    /// The skills learned within a prefix, in order of time.
    pub(crate) fn learned(
        &self,
        prefix: &Prefix,
        features: &BTreeMap<String, f64>,
    ) -> Vec<Learned> {
        let mut found: Vec<Learned> = self
            .ln_p(features)
            .filter_map(|(k, ln_p)| Some((ln_p, self.time_in(prefix, k)?)))
            .collect();
        found.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.0.total_cmp(&a.0)));
        found
    }

    /// `ln T` of one skill within a prefix.
    pub(crate) fn time_in(&self, prefix: &Prefix, k: &str) -> Option<f64> {
        let name = format!("{}{k}{}", self.loss_prefix, self.loss_suffix);
        let rule = ThresholdRule {
            event: format!("{}{k}", self.event_prefix),
            series: name.clone(),
            direction: Direction::Falling,
            level: self.level,
            persistence: self.persistence,
        };
        let event = detect(&rule, prefix.run(), prefix.series(&name)?)?;
        Lifetime::from_censoring(event.when).mid()
    }

    /// Every skill time of a finished run: (`ln P`, lifetime).
    pub(crate) fn times_of(&self, run: &TrainingRun) -> Vec<(f64, Lifetime)> {
        self.ln_p(&run.features)
            .filter_map(|(k, ln_p)| {
                let when = run.event(&format!("{}{k}", self.event_prefix))?.when;
                Some((ln_p, Lifetime::from_censoring(when)))
            })
            .collect()
    }
}

/// Where a theory puts `ln T` of a skill.
pub(crate) trait Centre: Debug + Send + Sync + 'static {
    /// `ln T` at `ln_p`, from the skills learned so far (at least one, in order of time).
    fn centre(&self, learned: &[Learned], ln_p: f64) -> Option<f64>;

    /// Fitted numbers besides the spread.
    fn params(&self) -> Vec<f64>;
}

/// The spread of a skill forecast.
#[derive(Debug, Clone, Copy)]
struct Spread {
    s0: f64,
    s1: f64,
    n: usize,
    never: f64,
}

#[derive(Debug)]
pub(crate) struct FittedSkill<C> {
    centre: C,
    names: SkillNames,
    skill: String,
    horizon: Step,
    spread: Option<Spread>,
    identity: Identity,
}

/// Errors on later skills of finished runs: (distance, error), and counts of (never learned, all).
fn errors_of<C: Centre>(
    centre: &C,
    names: &SkillNames,
    runs: &[TrainingRun],
    query: &Query,
) -> (Vec<(f64, f64)>, f64, f64) {
    let (mut errors, mut never, mut all) = (Vec::new(), 0.5, 1.0);
    for run in runs {
        let Some(t0) = query.cutoff.step(&run.events) else { continue };
        let prefix = Prefix::cut(run.run.clone(), t0, &run.series);
        let learned = names.learned(&prefix, &run.features);
        let Some(last) = learned.last() else { continue };
        for (ln_p, t) in names.times_of(run) {
            let Some(c) = centre.centre(&learned, ln_p) else { continue };
            match t {
                Lifetime::Event { lo, hi } if hi > t0.ln() => {
                    all += 1.0;
                    errors.push(((ln_p - last.0).abs(), 0.5 * (lo + hi) - c));
                }
                Lifetime::Censored { at } if c < at => {
                    all += 1.0;
                    never += 1.0;
                }
                _ => {}
            }
        }
    }
    (errors, never, all)
}

/// Non-negative least squares of squared errors on 1 and x², weighted against the largest.
fn spread_of(errors: &[(f64, f64)], never: f64) -> Option<Spread> {
    if errors.len() < 4 {
        return None;
    }
    let mut best = (f64::INFINITY, 0.0, 0.0);
    let rms = (errors.iter().map(|e| e.1 * e.1).sum::<f64>() / errors.len() as f64).sqrt();
    for i in 0..=20 {
        for j in 0..=20 {
            let (s0, s1) = (rms * f64::from(i) / 10.0 + 0.02, rms * f64::from(j) / 10.0);
            let cost: f64 = errors
                .iter()
                .map(|(x, e)| {
                    let v = s0 * s0 + (s1 * x).powi(2);
                    v.ln() + e * e / v
                })
                .sum();
            if cost < best.0 {
                best = (cost, s0, s1);
            }
        }
    }
    Some(Spread { s0: best.1, s1: best.2, n: errors.len(), never })
}

/// Learns the spread of `centre` and asks it for one skill.
pub(crate) fn fit_skill<C: Centre>(
    spec: TheorySpec,
    centre: C,
    names: &SkillNames,
    runs: &[TrainingRun],
    query: &Query,
) -> Result<Box<dyn Fitted>, NotFitted> {
    let wrong = NotFitted::WrongTarget { theory: spec.name };
    let (Target::EventTime { event, .. }, Some(horizon)) = (&query.target, horizon(query)) else {
        return Err(wrong);
    };
    let skill = event.strip_prefix(names.event_prefix.as_str()).ok_or(wrong)?.to_owned();
    let (errors, never, all) = errors_of(&centre, names, runs, query);
    let spread = spread_of(&errors, never / all);
    let mut params = centre.params();
    params.extend(spread.iter().flat_map(|s| [s.s0, s.s1, s.never]));
    let identity = Identity::new(spec, params, runs);
    Ok(Box::new(FittedSkill { centre, names: names.clone(), skill, horizon, spread, identity }))
}

impl<C: Centre> Fitted for FittedSkill<C> {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let ln_p = *features.get(&format!("{}{}", self.names.ln_p_prefix, self.skill))?;
        let learned = self.names.learned(prefix, features);
        let last = learned.last()?;
        let centre = self.centre.centre(&learned, ln_p).filter(|c| c.is_finite())?;
        let (from, to) = (prefix.cutoff().ln(), self.horizon.ln());
        if from >= to {
            return None;
        }
        let spread = self.spread.unwrap_or_else(|| {
            // Alone: how far each learned skill lies from what the others say.
            let misses: Vec<f64> = (0..learned.len())
                .filter_map(|i| {
                    let mut others = learned.clone();
                    let (p, t) = others.remove(i);
                    Some(t - self.centre.centre(&others, p)?)
                })
                .collect();
            let n = misses.len().max(1);
            let s0 = (misses.iter().map(|e| e * e).sum::<f64>() / n as f64).sqrt().max(0.1);
            Spread { s0, s1: 0.2, n, never: 0.02 }
        });
        let widen = student_quantile(0.95, spread.n.max(2) as f64) / 1.644_853_626_951_472_7;
        let sd = widen * spread.s0.hypot(spread.s1 * (ln_p - last.0));
        Some(log_normal_with_cure(centre, sd, spread.never, from, to))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::median;
    use crate::forecasters::{Cutoff, CutoffRule, THEORIES};
    use ontogeny_core::random::Philox;
    use ontogeny_core::{Event, RunId, Series};

    /// Eight skills with ln T = a + slope ln P + curve z² + noise, z from the most frequent; three are seen.
    fn run(seed: u64, slope: f64, curve: f64, noise: f64) -> TrainingRun {
        let d = Philox::new(seed, "skills").at(0);
        let id = RunId::new(format!("r{seed}")).unwrap();
        let (mut features, mut series, mut events) = (BTreeMap::new(), vec![], vec![]);
        for k in 0..8_u64 {
            let z = -1.6 * ((k + 1) as f64).ln();
            let ln_t = 5.5 + 0.1 * d.normal(100) + slope * z + curve * z * z + noise * d.normal(k);
            let t = ln_t.exp() as u64;
            features.insert(format!("ln_p.{k}"), z - 0.7);
            let s = Series::from_pairs(
                format!("skill.{k}.loss"),
                "nats",
                (0..2000).map(|i| (i * 20, if i * 20 < t { 0.69 } else { 0.05 })),
            );
            let rule = crate::forecasters::standard::skill_learned(&k.to_string());
            events.push(detect(&rule, &id, &s).unwrap());
            series.push(s);
        }
        TrainingRun { run: id, cell: "c".into(), features, series, events }
    }

    fn query(skill: u64) -> Query {
        Query {
            target: Target::EventTime { event: format!("T_skill.{skill}"), horizon: Step(40_000) },
            cutoff: Cutoff {
                name: "3 skills".into(),
                rule: CutoffRule::AfterNth { prefix: "T_skill.".into(), n: 3 },
            },
            rule: None,
            plans: Vec::new(),
        }
    }

    fn ask(theory: &str, runs: &[TrainingRun], target: &TrainingRun, skill: u64) -> Predictive {
        let entry = THEORIES.iter().find(|t| t.spec.name == theory).unwrap();
        let q = query(skill);
        // The third skill is confirmed two probes after it is first seen.
        let t0 = Step(q.cutoff.step(&target.events).unwrap().0 + 40);
        let prefix = Prefix::cut(target.run.clone(), t0, &target.series);
        (entry.build)().fit(runs, &q).unwrap().predict(&prefix, &target.features).unwrap()
    }

    fn truth(run: &TrainingRun, skill: u64) -> f64 {
        let e: &Event = run.event(&format!("T_skill.{skill}")).unwrap();
        e.when.seen_at().unwrap().ln()
    }

    #[test]
    fn each_law_is_right_where_it_holds() {
        // Gradient flow: T ∝ 1/P. All theories agree with the truth, without any other run.
        let r = run(1, -1.0, 0.0, 0.0);
        for theory in ["skill-local-slope", "skill-unit-slope", "skill-strength"] {
            let p = ask(theory, &[], &r, 7);
            assert!((median(&p) - truth(&r, 7)).abs() < 0.15, "{theory} {}", median(&p));
        }
        // A slope of -.8: the unit slope over-predicts the last skill, the local slope does not.
        let r = run(2, -0.8, 0.0, 0.0);
        assert!(median(&ask("skill-unit-slope", &[], &r, 7)) > truth(&r, 7) + 0.2);
        assert!((median(&ask("skill-local-slope", &[], &r, 7)) - truth(&r, 7)).abs() < 0.2);
    }

    #[test]
    fn the_pooled_slope_learns_the_curve_from_other_runs() {
        let runs: Vec<TrainingRun> = (10..18).map(|s| run(s, -0.75, 0.05, 0.05)).collect();
        let r = run(30, -0.75, 0.05, 0.05);
        let p = ask("skill-pooled-slope", &runs, &r, 7);
        assert!((median(&p) - truth(&r, 7)).abs() < 0.25, "{} {}", median(&p), truth(&r, 7));
        assert!(crate::distribution::spread(&p) < 0.3);
    }

    #[test]
    fn doubt_grows_with_distance() {
        let runs: Vec<TrainingRun> = (10..18).map(|s| run(s, -0.8, 0.02, 0.1)).collect();
        let r = run(31, -0.8, 0.02, 0.1);
        let sd = |k| crate::distribution::spread(&ask("skill-local-slope", &runs, &r, k));
        assert!(sd(7) > sd(3));
    }
}
