//! B4, nearest run: what the most similar configuration did.
//!
//! Distance is Euclidean over the hyper-parameters that vary, each divided by its standard deviation over fit
//! runs. All runs at the smallest distance speak with equal weight (at least three runs, ties included),
//! each as a normal whose width is how far such neighbours missed among the fit runs themselves.

use super::hparams::Encoding;
use super::landmark::{Answer, answer, horizon, normal_about_zero};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::distribution::{from_survival, gaussian};
use crate::math::special::normal_sf;
use crate::math::{mean, variance};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, Step, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "nearest-run",
    version: 1,
    n_params: 1,
    scope: "event times and values of runs that differ in numeric hyper-parameters",
    source: "baseline B4: nearest neighbour by configuration distance",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(NearestRun) };

/// Baseline B4.
#[derive(Debug, Clone, Copy, Default)]
pub struct NearestRun;

#[derive(Debug)]
struct FittedNearest {
    encoding: Encoding,
    scale: Vec<f64>,
    known: Vec<(Vec<f64>, Answer)>,
    sd: f64,
    horizon: Option<Step>,
    identity: Identity,
}

/// Indices of the nearest rows: the three nearest, and all that are as near as the third.
fn neighbours(known: &[(Vec<f64>, Answer)], x: &[f64], scale: &[f64], skip: usize) -> Vec<usize> {
    let far = |y: &[f64]| -> f64 {
        x.iter().zip(y).zip(scale).map(|((a, b), s)| ((a - b) / s).powi(2)).sum()
    };
    let mut d: Vec<(f64, usize)> =
        known.iter().enumerate().filter(|(i, _)| *i != skip).map(|(i, k)| (far(&k.0), i)).collect();
    d.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let limit = d.get(2).or(d.last()).map_or(0.0, |l| l.0 + 1e-9);
    d.into_iter().take_while(|(dist, _)| *dist <= limit).map(|(_, i)| i).collect()
}

/// The axis position of an answer; a censored run stands at its horizon.
fn position(a: Answer) -> f64 {
    match a {
        Answer::Time(Lifetime::Event { lo, hi }) => 0.5 * (lo + hi),
        Answer::Time(Lifetime::Censored { at }) => at,
        Answer::Value(v) => v,
    }
}

impl Theory for NearestRun {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let pairs: Vec<(&TrainingRun, Answer)> =
            runs.iter().filter_map(|r| Some((r, answer(r, &query.target)?))).collect();
        let few = NotFitted::TooFewRuns { theory: SPEC.name, needed: 4, found: pairs.len() };
        if pairs.len() < 4 {
            return Err(few);
        }
        let encoding = Encoding::learn(&pairs.iter().map(|k| k.0).collect::<Vec<_>>());
        let known: Vec<(Vec<f64>, Answer)> =
            pairs.iter().map(|(r, a)| (encoding.encode(&r.features), *a)).collect();
        let scale: Vec<f64> = (0..encoding.len())
            .map(|j| {
                let column: Vec<f64> = known.iter().map(|k| k.0[j]).collect();
                variance(&column).unwrap_or(0.0).sqrt().max(1e-9)
            })
            .collect();
        let errors: Vec<f64> = (0..known.len())
            .filter_map(|i| {
                let near: Vec<f64> = neighbours(&known, &known[i].0, &scale, i)
                    .into_iter()
                    .map(|j| position(known[j].1))
                    .collect();
                Some(position(known[i].1) - mean(&near)?)
            })
            .collect();
        let sd = normal_about_zero(&errors).ok_or(few)?.max(0.02);
        let params = known.iter().map(|k| position(k.1)).chain([sd]).collect();
        let identity = Identity::new(SPEC, params, runs);
        let horizon = horizon(query);
        Ok(Box::new(FittedNearest { encoding, scale, known, sd, horizon, identity }))
    }
}

impl Fitted for FittedNearest {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let x = self.encoding.encode(features);
        let near = neighbours(&self.known, &x, &self.scale, usize::MAX);
        let n = near.len() as f64;
        let Some(h) = self.horizon else {
            let at: Vec<f64> = near.iter().map(|i| position(self.known[*i].1)).collect();
            return Some(gaussian(mean(&at)?, self.sd));
        };
        let (from, to) = (prefix.cutoff().ln(), h.ln());
        let censored =
            |i: &&usize| matches!(self.known[**i].1, Answer::Time(Lifetime::Censored { .. }));
        let never = (near.iter().filter(censored).count() as f64 + 0.5) / (n + 1.0);
        let times: Vec<f64> =
            near.iter().filter(|i| !censored(i)).map(|i| position(self.known[*i].1)).collect();
        let survival = |u: f64| {
            let s: Vec<f64> = times.iter().map(|t| normal_sf((u - t) / self.sd)).collect();
            let even = ((to - u) / (to - from).max(1e-12)).clamp(0.0, 1.0);
            never + (1.0 - never) * mean(&s).unwrap_or(even)
        };
        (from < to).then(|| from_survival(survival, from, to))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
