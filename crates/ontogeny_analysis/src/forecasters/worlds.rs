//! Simulated runs with a known law, for the tests of the forecasters.

use super::standard::{grokked, memorized};
use super::{Cutoff, Query, TrainingRun};
use crate::detectors::detect;
use crate::math::logistic;
use ontogeny_core::random::Philox;
use ontogeny_core::{RunId, Series, Step, Target};
use std::collections::BTreeMap;

/// What the signals of a simulated run know of its event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signals {
    /// The norm decays to a fixed level, the spectrum sharpens on a fixed line, mirror accuracy is early.
    Informative,
    /// Random walks.
    RandomWalk,
}

pub(crate) const HORIZON: Step = Step(10_000);

/// A grokking run: memorization near step 200, `ln T` = cell effect + seed effect, weight decay 0 never.
pub(crate) fn run(seed: u64, ln_wd: f64, signals: Signals) -> TrainingRun {
    let d = Philox::new(seed, "world").at(0);
    let luck = d.normal(0);
    let t_mem = 180.0 + 40.0 * d.uniform(1);
    let ln_delay = 7.8 - ln_wd + 0.45 * luck + 0.05 * d.normal(2);
    let t_grok = if ln_wd.is_finite() { t_mem + ln_delay.exp() } else { f64::INFINITY };
    let steps: Vec<u64> = (0..60).map(|i| i * 10).chain((0..188).map(|i| 600 + i * 50)).collect();
    let make = |name: &str, f: &dyn Fn(f64, u64) -> f64| {
        Series::from_pairs(name, "1", steps.iter().map(|s| (*s, f(*s as f64, *s))))
    };
    let walk = |stream: &str| {
        let w = Philox::new(seed, stream).at(1);
        let mut at = 0.3 * w.normal(1 << 40);
        let steps: Vec<f64> = (0..steps.len() as u64)
            .map(|i| {
                at += 0.1 * w.normal(i);
                at
            })
            .collect();
        steps
    };
    let accuracy = |at: f64, width: f64| move |t: f64, _: u64| logistic((t - at) / width);
    let mut series = vec![
        make("train.accuracy", &accuracy(t_mem - 50.0, 10.0)),
        make("test_mirror_out.accuracy", &|t, _| {
            if t_grok.is_finite() { logistic((t - t_grok) / (0.05 * t_grok) + 2.94) } else { 0.01 }
        }),
    ];
    let named = |name: &str, values: Vec<f64>| {
        Series::from_pairs(name, "1", steps.iter().copied().zip(values))
    };
    match signals {
        Signals::Informative => {
            // ln V falls on a line of slope 2 eta lambda kappa to 1000 at T.
            let v = |t: f64, _: u64| {
                if t_grok.is_finite() {
                    1000.0 * (0.55 * (1.0 + 0.1 * luck) * (1.0 - t / t_grok)).exp()
                } else {
                    1700.0
                }
            };
            series.push(make("weights.sq_norm", &v));
            let gini = |t: f64, i: u64| {
                let noise = 0.02 * Philox::new(seed, "gini").at(i).normal(0);
                let rise = if t_grok.is_finite() { (t.max(50.0) / t_grok).ln() } else { -2.5 };
                logistic(-1.0 + 0.55 * rise + noise)
            };
            series.push(make("embedding.gini", &gini));
            let mirror = |_: f64, i: u64| {
                logistic(-1.5 * luck + 0.1 * Philox::new(seed, "mirror").at(i).normal(0))
            };
            series.push(make("test_mirror_in.accuracy", &mirror));
        }
        Signals::RandomWalk => {
            let exp = |v: Vec<f64>| v.into_iter().map(|x| 1500.0 * x.exp()).collect();
            let squash = |v: Vec<f64>| v.into_iter().map(|x| logistic(x - 1.0)).collect();
            series.push(named("weights.sq_norm", exp(walk("norm"))));
            series.push(named("embedding.gini", squash(walk("gini"))));
            series.push(named("test_mirror_in.accuracy", squash(walk("mirror"))));
        }
    }
    let id = RunId::new(format!("run-{seed}")).unwrap();
    let events = [memorized(), grokked()]
        .iter()
        .filter_map(|r| detect(r, &id, series.iter().find(|s| s.name == r.series)?))
        .collect();
    let features =
        BTreeMap::from([("ln_lr".to_owned(), 1e-3_f64.ln()), ("ln_wd".to_owned(), ln_wd)]);
    TrainingRun { run: id, cell: format!("wd{:.2}", ln_wd.exp()), features, series, events }
}

/// When will `T_grok` be, asked at twice `T_mem`?
pub(crate) fn question() -> Query {
    Query {
        target: Target::EventTime { event: "T_grok".into(), horizon: HORIZON },
        cutoff: Cutoff::after("T_mem", 2.0),
        rule: Some(grokked()),
        plans: Vec::new(),
    }
}

/// `n` runs over three weight decays.
pub(crate) fn runs(first_seed: u64, n: u64, signals: Signals) -> Vec<TrainingRun> {
    let wd = [0.5_f64.ln(), 0.0, 2.0_f64.ln()];
    (0..n).map(|i| run(first_seed + i, wd[(i % 3) as usize], signals)).collect()
}
