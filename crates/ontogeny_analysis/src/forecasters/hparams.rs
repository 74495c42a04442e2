//! B3, hyper-parameters only: what the configuration says before training starts.
//!
//! Event times: log-normal AFT with cure fraction. Values: ridge regression. A theory that does not beat this
//! one has not shown that early signals matter.

use super::landmark::{Answer, answer, horizon};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::gaussian;
use crate::math::linear::Ridge;
use crate::math::mean;
use crate::survival::{AftModel, AftOptions, AftRow, fit_aft};
use ontogeny_core::{Predictive, Prefix, Step, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "hparams-only",
    version: 1,
    n_params: 3,
    scope: "event times and values of runs that differ in numeric hyper-parameters",
    source: "baseline B3: log-normal AFT with cure fraction on hyper-parameters",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(HparamsOnly) };

/// Baseline B3.
#[derive(Debug, Clone, Copy, Default)]
pub struct HparamsOnly;

/// Which hyper-parameters vary among the runs, and how a missing or non-finite one is coded: the mean, with
/// an indicator beside it. A hyper-parameter that repeats an earlier one (correlation of at least .99 over the
/// runs, in the order of names) is left out: it could only be overfitted.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Encoding {
    columns: Vec<(String, f64, bool)>,
}

impl Encoding {
    pub(crate) fn learn(runs: &[&TrainingRun]) -> Self {
        let names: std::collections::BTreeSet<&String> =
            runs.iter().flat_map(|r| r.features.keys()).collect();
        let columns = names.into_iter().filter_map(|name| {
            let all: Vec<Option<f64>> = runs
                .iter()
                .map(|r| r.features.get(name).copied().filter(|v| v.is_finite()))
                .collect();
            let there: Vec<f64> = all.iter().flatten().copied().collect();
            let gaps = there.len() < all.len();
            let varies = there.iter().any(|v| *v != there[0]);
            (varies || gaps && !there.is_empty())
                .then(|| (name.clone(), mean(&there).unwrap_or(0.0), gaps, all))
        });
        let mut kept: Vec<(String, f64, bool)> = Vec::new();
        let mut values: Vec<Vec<Option<f64>>> = Vec::new();
        for (name, fill, gaps, all) in columns {
            if !values.iter().any(|earlier| repeats(earlier, &all)) {
                kept.push((name, fill, gaps));
                values.push(all);
            }
        }
        Self { columns: kept }
    }

    pub(crate) fn encode(&self, features: &BTreeMap<String, f64>) -> Vec<f64> {
        let mut x = Vec::new();
        for (name, fill, gaps) in &self.columns {
            let v = features.get(name).copied().filter(|v| v.is_finite());
            x.push(v.unwrap_or(*fill));
            if *gaps {
                x.push(f64::from(u8::from(v.is_none())));
            }
        }
        x
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.iter().map(|c| 1 + usize::from(c.2)).sum()
    }
}

/// Whether two columns without gaps say the same, up to a scale and an offset.
fn repeats(a: &[Option<f64>], b: &[Option<f64>]) -> bool {
    let all = |v: &[Option<f64>]| v.iter().copied().collect::<Option<Vec<f64>>>();
    let (Some(a), Some(b)) = (all(a), all(b)) else { return false };
    let (Some(ma), Some(mb)) = (mean(&a), mean(&b)) else { return false };
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(&b).map(|(x, y)| f(x - ma, y - mb)).sum()
    };
    let (xy, xx, yy) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    xx > 0.0 && yy > 0.0 && xy.abs() >= 0.99 * (xx * yy).sqrt()
}

#[derive(Debug)]
enum Model {
    Time(AftModel, Step),
    Value(Ridge),
}

#[derive(Debug)]
struct FittedHparams {
    encoding: Encoding,
    model: Model,
    identity: Identity,
}

impl Theory for HparamsOnly {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let known: Vec<(&TrainingRun, Answer)> =
            runs.iter().filter_map(|r| Some((r, answer(r, &query.target)?))).collect();
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 3, found: known.len() };
        if known.len() < 3 {
            return Err(few);
        }
        let encoding = Encoding::learn(&known.iter().map(|k| k.0).collect::<Vec<_>>());
        let none = NotFitted::NoSolution { theory: SPEC.name };
        let (model, params) = if let Some(h) = horizon(query) {
            let rows: Vec<AftRow> = known
                .iter()
                .filter_map(|(r, a)| Some(AftRow { x: encoding.encode(&r.features), t: a.time()? }))
                .collect();
            let m = fit_aft(&rows, AftOptions::default()).ok_or(none)?;
            let params = m.parameters();
            (Model::Time(m, h), params)
        } else {
            let x: Vec<Vec<f64>> =
                known.iter().map(|(r, _)| with_constant(&encoding, &r.features)).collect();
            let y: Vec<f64> = known.iter().filter_map(|(_, a)| a.value()).collect();
            let mut ridge = vec![0.1; encoding.len() + 1];
            ridge[0] = 0.0;
            let m = Ridge::fit(&x, &y, &ridge).ok_or(none)?;
            let params = m.coef.iter().copied().chain([m.residual_sd]).collect();
            (Model::Value(m), params)
        };
        let spec = TheorySpec { n_params: params.len() as u32, ..SPEC };
        let identity = Identity::new(spec, params, runs);
        Ok(Box::new(FittedHparams { encoding, model, identity }))
    }
}

fn with_constant(encoding: &Encoding, features: &BTreeMap<String, f64>) -> Vec<f64> {
    std::iter::once(1.0).chain(encoding.encode(features)).collect()
}

impl Fitted for FittedHparams {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        match &self.model {
            Model::Time(m, h) => {
                let x = self.encoding.encode(features);
                (prefix.cutoff() < *h).then(|| m.predict(&x, prefix.cutoff().ln(), h.ln()))
            }
            Model::Value(m) => {
                let x = with_constant(&self.encoding, features);
                Some(gaussian(m.predict(&x), m.predictive_sd(&x).max(1e-9)))
            }
        }
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
