//! The same question asked of finished runs: their prefix at the cutoff, and their answer.

use super::{Query, TrainingRun};
use crate::distribution::{from_samples, gaussian};
use crate::math::special::student_quantile;
use crate::math::{mean, variance};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Series, Step, Target};

/// The answer of a finished run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    /// An event time, looked at until the horizon.
    Time(Lifetime),
    /// A value, on the axis of the target.
    Value(f64),
}

impl Answer {
    pub(crate) fn time(self) -> Option<Lifetime> {
        match self {
            Self::Time(t) => Some(t),
            Self::Value(_) => None,
        }
    }

    pub(crate) fn value(self) -> Option<f64> {
        match self {
            Self::Value(v) => Some(v),
            Self::Time(_) => None,
        }
    }
}

/// A finished run at its cutoff.
#[derive(Debug)]
pub(crate) struct Landmark<'a> {
    pub(crate) run: &'a TrainingRun,
    pub(crate) prefix: Prefix,
    pub(crate) answer: Answer,
}

/// The horizon of an event target.
pub(crate) fn horizon(query: &Query) -> Option<Step> {
    match query.target {
        Target::EventTime { horizon, .. } => Some(horizon),
        _ => None,
    }
}

/// What a run answered, whatever the cutoff.
pub(crate) fn answer(run: &TrainingRun, target: &Target) -> Option<Answer> {
    match target {
        Target::EventTime { event, horizon } => {
            let when = run.event(event)?.when;
            Some(Answer::Time(Lifetime::from_censoring(when).seen_until(*horizon)))
        }
        Target::Value { series, at, log } => {
            value_at(run.series(series)?, *at, *log).map(Answer::Value)
        }
        Target::ForkEffect { .. } => None,
    }
}

/// The value of a series at a step (its last finite reading in the ten percent before it), on the axis.
pub(crate) fn value_at(series: &Series, at: Step, log: bool) -> Option<f64> {
    let p = series.at_or_before(at)?;
    if p.step.0 * 10 < at.0 * 9 {
        return None;
    }
    on_axis(p.value, log)
}

/// A value on the axis of the target; `None` if it is not finite there.
pub(crate) fn on_axis(value: f64, log: bool) -> Option<f64> {
    let v = if log { value.ln() } else { value };
    v.is_finite().then_some(v)
}

/// Every run that reached its cutoff and, for event times, was still waiting then.
pub(crate) fn landmarks<'a>(runs: &'a [TrainingRun], query: &Query) -> Vec<Landmark<'a>> {
    runs.iter()
        .filter_map(|run| {
            let t0 = query.cutoff.step(&run.events)?;
            let mut answer = answer(run, &query.target)?;
            if let Answer::Time(t) = &mut answer {
                let from = t0.ln();
                match t {
                    Lifetime::Event { hi, .. } if *hi <= from => return None,
                    Lifetime::Censored { at } if *at <= from => return None,
                    Lifetime::Event { lo, .. } => *lo = lo.max(from),
                    Lifetime::Censored { .. } => {}
                }
            }
            let (planned, open): (Vec<&Series>, Vec<&Series>) =
                run.series.iter().partition(|s| query.plans.contains(&s.name));
            let prefix = Prefix::cut(run.run.clone(), t0, open).with_plans(planned);
            Some(Landmark { run, prefix, answer })
        })
        .collect()
}

/// Centre and scale of a normal prediction from a few errors: mean, `sd √(1 + 1/n)`, widened by Student's
/// 90 % quantile over the normal's. `None` below 2 errors.
pub(crate) fn normal_from(errors: &[f64]) -> Option<(f64, f64)> {
    let (m, v, n) = (mean(errors)?, variance(errors)?, errors.len() as f64);
    let widen = student_quantile(0.95, n - 1.0).min(3.3) / 1.644_853_626_951_472_7;
    Some((m, ((v * (1.0 + 1.0 / n)).sqrt() * widen).max(1e-9)))
}

/// A forecast from what happened to others: their values themselves where there are at least 20, a normal
/// around them where there are fewer.
pub(crate) fn like_others(values: &[f64]) -> Option<Predictive> {
    if values.len() >= 20 {
        return from_samples(values);
    }
    normal_from(values).map(|(m, s)| gaussian(m, s))
}

/// The same with the centre fixed at 0.
pub(crate) fn normal_about_zero(errors: &[f64]) -> Option<f64> {
    let n = errors.len() as f64;
    if errors.is_empty() {
        return None;
    }
    let widen = student_quantile(0.95, n).min(3.3) / 1.644_853_626_951_472_7;
    Some(((errors.iter().map(|e| e * e).sum::<f64>() / n).sqrt() * widen).max(1e-9))
}
