//! Data-mixing laws: from the shares of the domains a run is trained on to its loss on one of them.
//!
//! The shares are the features that have a `:` in their names (`mix:github`), if they sum to 1 in (nearly) every fit run.
//! The domain whose loss it is shares its last part with the series (`loss:github`). The law is chosen by
//! cross-validation ([`crate::scaling::mixture::choose_mixture`]), whose error is the spread. Deterministic.

use super::features::unsqueeze;
use super::landmark::landmarks;
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::gaussian;
use crate::scaling::mixture::{Chosen, choose_mixture};
use ontogeny_core::{Predictive, Prefix, Target, TheoryRef};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: TheorySpec = TheorySpec {
    name: "mixture-law",
    version: 1,
    n_params: 0,
    scope: "losses of runs that differ in the shares of their training domains",
    source: "chosen among four laws; RegMix arXiv:2407.01492, data mixing laws arXiv:2403.16952",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(MixtureShares) };

/// The data-mixing forecaster.
#[derive(Debug, Clone, Copy, Default)]
pub struct MixtureShares;

#[derive(Debug)]
struct FittedMixture {
    names: Vec<String>,
    chosen: Chosen,
    sd: f64,
    log: bool,
    identity: Identity,
}

fn shares(names: &[String], features: &BTreeMap<String, f64>) -> Vec<f64> {
    names.iter().map(|n| features.get(n).map_or(0.0, |v| unsqueeze(*v))).collect()
}

impl Theory for MixtureShares {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, log, .. } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let names: BTreeSet<&String> =
            runs.iter().flat_map(|r| r.features.keys()).filter(|n| n.contains(':')).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let none = || {
            let feature = "a:*, shares that sum to 1".to_owned();
            NotFitted::NoFeature { theory: SPEC.name, feature }
        };
        if names.is_empty() {
            return Err(none());
        }
        let marks = landmarks(runs, query);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for m in &marks {
            let row = shares(&names, &m.run.features);
            let total: f64 = row.iter().sum();
            let loss = m.answer.value().map(|v| if *log { v.exp() } else { v });
            // Published shares are rounded.
            if let Some(loss) = loss.filter(|l| *l > 0.0 && (total - 1.0).abs() < 0.05) {
                x.push(row);
                y.push(loss);
            }
        }
        if x.is_empty() || x.len() * 20 < marks.len() * 19 {
            return Err(none());
        }
        let last = |name: &str| name.rsplit(':').next().map(str::to_owned);
        let own = names.iter().position(|n| series.contains(':') && last(n) == last(series));
        let chosen = choose_mixture(&x, &y, own, 0)
            .map_err(|e| NotFitted::NoLaw { theory: SPEC.name, why: e.to_string() })?;
        let sd =
            chosen.errors.iter().copied().filter(|e| e.is_finite()).fold(f64::INFINITY, f64::min);
        if !sd.is_finite() {
            return Err(NotFitted::NoSolution { theory: SPEC.name });
        }
        let params = x.iter().take(20).map(|m| chosen.fit.loss(m)).chain([sd]).collect();
        let spec = TheorySpec { n_params: names.len() as u32 + 1, ..SPEC };
        let identity = Identity::new(spec, params, runs);
        Ok(Box::new(FittedMixture { names, chosen, sd, log: *log, identity }))
    }
}

impl Fitted for FittedMixture {
    fn predict(&self, _: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let loss = self.chosen.fit.loss(&shares(&self.names, features));
        let said = Some(loss).filter(|l| *l > 0.0 && l.is_finite())?;
        let sd = self.sd.max(1e-9);
        Some(if self.log { gaussian(said.ln(), sd) } else { gaussian(said, sd * said) })
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }

    fn remark(&self, _: &Prefix) -> Option<String> {
        Some(format!("chose {}", self.chosen.law.spec().0))
    }
}
