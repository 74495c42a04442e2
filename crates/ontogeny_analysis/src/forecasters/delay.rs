//! Laws of the delay: `T = T_anchor + delay`, where a theory says the delay up to a constant.
//!
//! `ln delay = base(run) - ln κ + σ ε`, κ and σ learned from fit runs by a one-constant AFT with cure
//! fraction, so censored runs count. Used by [`super::NormPassage`] and [`super::EtaLambda`].

use super::landmark::{Landmark, horizon, landmarks};
use super::{Fitted, Identity, NotFitted, Query, TheorySpec, TrainingRun};
use crate::detectors::detect;
use crate::distribution::from_survival;
use crate::survival::{AftModel, AftOptions, AftRow, Lifetime, fit_aft};
use ontogeny_core::{Predictive, Prefix, Step, TheoryRef, ThresholdRule};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What a law says of a run before its constant is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Base {
    /// `ln` of the delay times the constant.
    Ln(f64),
    /// The law says it never happens.
    Never,
}

/// The part of a delay law that is not its constant.
pub(crate) trait DelayLaw: Debug + Send + Sync + 'static {
    /// The unscaled delay of a run; `None` where the law is undefined.
    fn base(&self, prefix: &Prefix, features: &BTreeMap<String, f64>, anchor: Step)
    -> Option<Base>;

    /// Fitted numbers besides constant and spread.
    fn params(&self) -> Vec<f64>;
}

/// A hyper-parameter by its logarithm: the feature `ln_x`, or the logarithm of a feature `x`.
///
/// Zero gives negative infinity; `None` if neither is there.
pub(crate) fn ln_feature(features: &BTreeMap<String, f64>, ln_name: &str) -> Option<f64> {
    let plain = ln_name.strip_prefix("ln_").unwrap_or(ln_name);
    let ln = features.get(ln_name).copied().or_else(|| features.get(plain).map(|v| v.ln()));
    ln.filter(|v| !v.is_nan())
}

/// The step at which the anchor event is seen within a prefix.
pub(crate) fn anchor_in(prefix: &Prefix, rule: &ThresholdRule) -> Option<Step> {
    detect(rule, prefix.run(), prefix.series(&rule.series)?)?.when.seen_at()
}

#[derive(Debug)]
pub(crate) struct FittedDelay<L> {
    law: L,
    anchor: ThresholdRule,
    errors: AftModel,
    n_runs: usize,
    horizon: Step,
    identity: Identity,
}

/// Learns the constant of `law` from fit runs.
pub(crate) fn fit_delay<L: DelayLaw>(
    spec: TheorySpec,
    law: L,
    anchor: &ThresholdRule,
    runs: &[TrainingRun],
    query: &Query,
) -> Result<Box<dyn Fitted>, NotFitted> {
    let horizon = horizon(query).ok_or(NotFitted::WrongTarget { theory: spec.name })?;
    let marks = landmarks(runs, query);
    let rows: Vec<AftRow> = marks.iter().filter_map(|m| row(&law, anchor, m)).collect();
    let found = rows.iter().filter(|r| r.t.mid().is_some()).count();
    if found < 2 {
        return Err(NotFitted::TooFewRuns { theory: spec.name, needed: 2, found });
    }
    let options = AftOptions { cure_sd: 0.0, ..AftOptions::default() };
    let errors = fit_aft(&rows, options).ok_or(NotFitted::NoSolution { theory: spec.name })?;
    let params = law.params().into_iter().chain(errors.parameters()).collect();
    let identity = Identity::new(spec, params, runs);
    let n_runs = marks.len();
    Ok(Box::new(FittedDelay { law, anchor: anchor.clone(), errors, n_runs, horizon, identity }))
}

fn row<L: DelayLaw>(law: &L, anchor: &ThresholdRule, m: &Landmark) -> Option<AftRow> {
    let start = anchor_in(&m.prefix, anchor)?;
    let Base::Ln(base) = law.base(&m.prefix, &m.run.features, start)? else { return None };
    let since = |u: f64| (u.exp() - start.0 as f64).max(1.0).ln() - base;
    let t = match m.answer.time()? {
        Lifetime::Event { lo, hi } => Lifetime::Event { lo: since(lo), hi: since(hi) },
        Lifetime::Censored { at } => Lifetime::Censored { at: since(at) },
    };
    Some(AftRow { x: vec![], t })
}

impl<L: DelayLaw> Fitted for FittedDelay<L> {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let (from, to) = (prefix.cutoff().ln(), self.horizon.ln());
        if from >= to {
            return None;
        }
        let start = anchor_in(prefix, &self.anchor)?;
        match self.law.base(prefix, features, start)? {
            Base::Never => {
                // As sure as the number of fit runs allows: half a pseudo-run says otherwise.
                let doubt = 0.5 / (self.n_runs as f64 + 1.0);
                let s = |u: f64| 1.0 - doubt * (u - from) / (to - from);
                Some(from_survival(s, from, to))
            }
            Base::Ln(base) => {
                let since = |u: f64| (u.exp() - start.0 as f64).max(1e-9).ln() - base;
                Some(from_survival(|u| self.errors.survival(&[], since(u)), from, to))
            }
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
