//! Loss laws that know the learning rate to the end: fitted to finished runs, they forecast one with another schedule.
//!
//! The schedule is a planned series ([`Query::plans`]), known before training. The law (annealing, Tissue et al. 2024,
//! arXiv:2408.11029; multi-power, Luo et al. 2025, arXiv:2503.12811) is chosen by what each, fitted without the last
//! two fifths of the longest fit run, says of the last tenth of it. Spread: what the chosen law, fitted without one of the
//! fit runs, misses of the end of that run, and what the laws disagree here. Deterministic.

use super::features::{STEPS, unsqueeze};
use super::landmark::{landmarks, normal_about_zero};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::gaussian;
use crate::math::mean;
use crate::scaling::schedule::{
    SCHEDULE_LAWS, Schedule, ScheduleFit, ScheduleLaw, ScheduledCurve, fit_schedule,
};
use ontogeny_core::{Predictive, Prefix, Series, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "schedule-law",
    version: 1,
    n_params: 7,
    scope: "losses of runs whose learning rate is planned",
    source: "annealing law arXiv:2408.11029, multi-power law arXiv:2503.12811",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(ByPlan) };

/// The schedule-aware forecaster.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByPlan;

/// Steps of a run as a series places them: `place` units are the whole run.
fn updates(features: &BTreeMap<String, f64>, end: f64) -> Option<impl Fn(u64) -> u64> {
    let n = features.get(STEPS).map(|v| unsqueeze(*v)).filter(|n| *n >= 1.0)?;
    Some(move |place: u64| (place as f64 / end * (n + 1.0)).round().max(1.0) as u64 - 1)
}

fn schedule(plan: &Series, steps: &impl Fn(u64) -> u64) -> Option<Schedule> {
    let mut readings: Vec<(u64, f64)> =
        plan.points.iter().map(|p| (steps(p.step.0), p.value)).collect();
    readings.dedup_by_key(|r| r.0);
    Schedule::from_readings(&readings).ok()
}

fn curve(run: &TrainingRun, series: &str, plan: &str, end: f64) -> Option<ScheduledCurve> {
    let steps = updates(&run.features, end)?;
    let schedule = schedule(run.series(plan)?, &steps)?;
    let mut points: Vec<(u64, f64)> = (run.series(series)?.points.iter())
        .filter(|p| p.value > 0.0 && p.value.is_finite())
        .map(|p| (steps(p.step.0), p.value))
        .collect();
    points.dedup_by_key(|p| p.0);
    let (steps, losses) = points.into_iter().unzip();
    Some(ScheduledCurve { schedule, steps, losses })
}

/// Mean absolute ln error on the last tenth of the longest curve, fitted without its last two fifths.
fn inner_error(law: &'static dyn ScheduleLaw, curves: &[ScheduledCurve]) -> Option<f64> {
    let at = (0..curves.len()).max_by_key(|&i| curves[i].steps.len())?;
    let mut visible = curves.to_vec();
    let n = visible[at].steps.len();
    visible[at].steps.truncate(n * 3 / 5);
    visible[at].losses.truncate(n * 3 / 5);
    let fitted = fit_schedule(law, &visible).ok()?;
    let (whole, from) = (&curves[at], n * 9 / 10);
    let said = fitted.losses(&whole.schedule, &whole.steps[from..]);
    let errors: Vec<f64> =
        said.iter().zip(&whole.losses[from..]).map(|(p, l)| (l / p).ln().abs()).collect();
    mean(&errors).filter(|e| e.is_finite())
}

/// ln errors at the ends of the curves, each forecast by the law fitted to the others.
fn left_out(law: &'static dyn ScheduleLaw, curves: &[ScheduledCurve]) -> Vec<f64> {
    let one = |i: usize| {
        let mut others = curves.to_vec();
        let held = others.remove(i);
        let fitted = fit_schedule(law, &others).ok()?;
        let (step, loss) = (*held.steps.last()?, *held.losses.last()?);
        let said = fitted.losses(&held.schedule, &[step]);
        said.first().map(|p| (loss / p).ln()).filter(|e| e.is_finite())
    };
    (0..curves.len()).filter_map(one).collect()
}

#[derive(Debug)]
struct FittedPlan {
    /// The chosen law first.
    fits: Vec<ScheduleFit>,
    plan: String,
    end: f64,
    log: bool,
    sd: f64,
    identity: Identity,
}

impl Theory for ByPlan {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, at, log } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let none = || NotFitted::NoSeries { theory: SPEC.name, series: "of a planned rate".into() };
        let plan = query.plans.first().ok_or_else(none)?;
        let end = at.0 as f64;
        let curves: Vec<ScheduledCurve> = (landmarks(runs, query).iter())
            .filter_map(|m| curve(m.run, series, plan, end))
            .collect();
        if curves.len() < 2 {
            let found = curves.len();
            return Err(NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found });
        }
        let mut ranked: Vec<(f64, &'static dyn ScheduleLaw)> = (SCHEDULE_LAWS.iter())
            .map(|law| (inner_error(*law, &curves).unwrap_or(f64::INFINITY), *law))
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let fits: Vec<ScheduleFit> =
            ranked.iter().filter_map(|r| fit_schedule(r.1, &curves).ok()).collect();
        let first = fits.first().ok_or(NotFitted::NoSolution { theory: SPEC.name })?;
        let mut errors = left_out(first.law, &curves);
        errors.extend(ranked.first().map(|r| r.0).filter(|e| e.is_finite()));
        let sd = normal_about_zero(&errors).ok_or(NotFitted::NoSolution { theory: SPEC.name })?;
        let mut params: Vec<f64> = fits.iter().flat_map(|f| f.theta).collect();
        params.push(sd);
        let n_params = first.law.n_theta() as u32;
        let identity = Identity::new(TheorySpec { n_params, ..SPEC }, params, runs);
        Ok(Box::new(FittedPlan { fits, plan: plan.clone(), end, log: *log, sd, identity }))
    }
}

impl Fitted for FittedPlan {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let steps = updates(features, self.end)?;
        let schedule = schedule(prefix.plan(&self.plan)?, &steps)?;
        let last = steps(self.end as u64);
        let said: Vec<f64> = (self.fits.iter())
            .filter_map(|f| f.losses(&schedule, &[last]).first().copied())
            .filter(|l| *l > 0.0 && l.is_finite())
            .map(f64::ln)
            .collect();
        let (first, others) = said.split_first()?;
        let apart = others.iter().map(|o| (o - first).abs()).fold(0.0, f64::max);
        let sd = self.sd.hypot(0.5 * apart);
        Some(if self.log { gaussian(*first, sd) } else { gaussian(first.exp(), sd * first.exp()) })
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }

    fn remark(&self, _: &Prefix) -> Option<String> {
        Some(format!("chose the {} law", self.fits.first()?.law.spec().0))
    }
}
