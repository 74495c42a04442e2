//! B5, a proxy run: a smaller network trained to its end with the compute of the prefix says how the large one will end.
//!
//! The forecast is the proxy's final value, with a normal error whose size is that of the fit runs. A baseline that needs
//! no early signal at all: whoever forecasts from a prefix must beat what its compute could have bought otherwise.

use super::landmark::{landmarks, normal_about_zero};
use super::{Fitted, Identity, Known, NotFitted, Query, Theory, TheorySpec, TrainingRun};
use crate::distribution::gaussian;
use ontogeny_core::{Predictive, Prefix, RunId, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "proxy-run",
    version: 1,
    n_params: 1,
    scope: "values of runs with a proxy of the same configuration",
    source: "baseline B5: a smaller run with the compute of the prefix",
};

/// Baseline B5.
#[derive(Debug, Clone)]
pub struct ProxyRun {
    /// What proxies ended at, by the run that they stand for.
    pub known: Known,
    /// The number among them that answers the question.
    pub key: String,
}

#[derive(Debug)]
struct FittedProxy {
    theory: ProxyRun,
    sd: f64,
    identity: Identity,
}

impl ProxyRun {
    fn value(&self, run: &RunId) -> Option<f64> {
        self.known.get(run)?.get(&self.key).copied().filter(|v| v.is_finite())
    }
}

impl Theory for ProxyRun {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        if !matches!(query.target, Target::Value { .. }) {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        }
        let errors: Vec<f64> = (landmarks(runs, query).iter())
            .filter_map(|m| Some(m.answer.value()? - self.value(&m.run.run)?))
            .collect();
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 2, found: errors.len() };
        let sd = normal_about_zero(&errors).filter(|_| errors.len() > 1).ok_or(few)?;
        let identity = Identity::new(SPEC, vec![sd], runs);
        Ok(Box::new(FittedProxy { theory: self.clone(), sd, identity }))
    }
}

impl Fitted for FittedProxy {
    fn predict(&self, prefix: &Prefix, _: &BTreeMap<String, f64>) -> Option<Predictive> {
        Some(gaussian(self.theory.value(prefix.run())?, self.sd))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::median;
    use crate::forecasters::{Cutoff, CutoffRule};
    use ontogeny_core::{Series, Step};
    use std::sync::Arc;

    #[test]
    fn the_proxy_speaks_and_fit_runs_say_how_well() {
        let id = |i: u64| RunId::new(format!("r{i}")).unwrap();
        let proxy = |i: u64| i as f64 + if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let known = (0..20).map(|i| (id(i), BTreeMap::from([("end".to_owned(), proxy(i))])));
        let theory = ProxyRun { known: Arc::new(known.collect()), key: "end".into() };
        let run = |i: u64| TrainingRun {
            run: id(i),
            cell: format!("c{i}"),
            features: BTreeMap::new(),
            series: vec![Series::from_pairs("x", "1", [(1, 0.0), (10, i as f64)])],
            events: Vec::new(),
        };
        let query = Query {
            target: Target::Value { series: "x".into(), at: Step(10), log: false },
            cutoff: Cutoff { name: "1".into(), rule: CutoffRule::Fixed { step: Step(1) } },
            rule: None,
            plans: Vec::new(),
        };
        let fit: Vec<TrainingRun> = (0..18).map(run).collect();
        let fitted = theory.fit(&fit, &query).unwrap();
        let of = |i: u64| {
            let prefix = Prefix::cut(id(i), Step(1), &run(i).series);
            fitted.predict(&prefix, &BTreeMap::new())
        };
        assert!((median(&of(18).unwrap()) - 19.0).abs() < 1e-12);
        assert_eq!(of(30), None, "no proxy, no forecast");
    }
}
