//! Event-time forecasters on simulated studies whose law is known.

use super::{Hazard, PooledHurdle};
use crate::detectors::detect;
use crate::forecasters::landmark::landmarks;
use crate::forecasters::{Climatology, Cutoff, CutoffRule, Fitted, Query, Theory, TrainingRun};
use crate::math::{logistic, mean};
use crate::scores::{auc, integrated_brier};
use crate::survival::Lifetime;
use ontogeny_core::random::Philox;
use ontogeny_core::{Direction, Prefix, RunId, Series, Step, Target, ThresholdRule};
use std::collections::BTreeMap;

const CUTOFF: Step = Step(100);
const HORIZON: Step = Step(10_000);

/// What decides the event time of a simulated run with signals `a` and `b`, both standard normal.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    /// A constant hazard in `ln t` of `.35 exp(1.2 a)`.
    Hazard,
    /// `a > .7` means never; else `ln T` is normal about `6.5 + .6 b`.
    Whether,
    /// The same with never at odds of `exp(3 (a - .7))`: a threshold that is not sharp.
    Tendency,
    /// One run in three never; else `ln T` is uniform: the signals know nothing.
    Nothing,
    /// Always, or never.
    All(bool),
}

const ALL: [&dyn Theory; 2] = [&PooledHurdle, &Hazard];

fn rule() -> ThresholdRule {
    ThresholdRule {
        event: "T".into(),
        series: "accuracy".into(),
        direction: Direction::Rising,
        level: 0.5,
        persistence: 1,
    }
}

fn question() -> Query {
    Query {
        target: Target::EventTime { event: "T".into(), horizon: HORIZON },
        cutoff: Cutoff { name: "100".into(), rule: CutoffRule::Fixed { step: CUTOFF } },
        rule: Some(rule()),
        plans: Vec::new(),
    }
}

fn run(seed: u64, law: Law) -> TrainingRun {
    run_with(seed, law, Philox::new(seed, "pooled").at(0).normal(0))
}

fn run_with(seed: u64, law: Law, a: f64) -> TrainingRun {
    let d = Philox::new(seed, "pooled").at(0);
    let (b, luck) = (d.normal(1), d.uniform(2).max(1e-12));
    let (from, to) = (CUTOFF.ln(), HORIZON.ln());
    let ln_t = match law {
        Law::Hazard => from - luck.ln() / (0.35 * (1.2 * a).exp()),
        Law::Whether if a > 0.7 => f64::INFINITY,
        Law::Tendency if d.uniform(5) < logistic(3.0 * (a - 0.7)) => f64::INFINITY,
        Law::Whether | Law::Tendency => {
            (6.5 + 0.6 * b + 0.3 * d.normal(3)).clamp(from + 0.1, to - 0.1)
        }
        Law::Nothing if d.uniform(4) < 1.0 / 3.0 => f64::INFINITY,
        Law::Nothing | Law::All(true) => from + luck * (to - from),
        Law::All(false) => f64::INFINITY,
    };
    let steps: Vec<u64> = (0..=200).map(|i| (0.04605 * f64::from(i)).exp() as u64).collect();
    let make = |name: &str, f: &dyn Fn(u64) -> f64| {
        Series::from_pairs(name, "1", steps.iter().map(|s| (*s, f(*s))))
    };
    let noise = |k: u64, s: u64| 0.01 * Philox::new(seed, "noise").at(k).normal(s);
    let series = vec![
        make("accuracy", &|s| f64::from(u8::from((s.max(1) as f64).ln() >= ln_t)) + noise(0, s)),
        // A norm, logged as it is.
        make("norm", &|s| (a + noise(1, s)).exp()),
        make("other", &|s| logistic(b + noise(2, s))),
        make("constant", &|_| 7.0),
        make("broken", &|s| if seed.is_multiple_of(2) { f64::NAN } else { s as f64 }),
    ];
    let id = RunId::new(format!("run-{seed}")).unwrap();
    let events = detect(&rule(), &id, &series[0]).into_iter().collect();
    let features = BTreeMap::from([
        ("same".to_owned(), 1.0),
        ("missing".to_owned(), if seed.is_multiple_of(3) { f64::NAN } else { (seed % 5) as f64 }),
    ]);
    TrainingRun { run: id, cell: format!("cell-{}", seed / 2), features, series, events }
}

fn runs(first: u64, n: u64, law: Law) -> Vec<TrainingRun> {
    (first..first + n).map(|seed| run(seed, law)).collect()
}

fn fit(theory: &dyn Theory, law: Law, first: u64, n: u64) -> Box<dyn Fitted> {
    theory.fit(&runs(first, n, law), &question()).unwrap()
}

/// P(event by the horizon), whether it came, and the score, of fresh runs.
fn ask(f: &dyn Fitted, fresh: &[TrainingRun]) -> Vec<(f64, bool, f64)> {
    let q = question();
    landmarks(fresh, &q)
        .iter()
        .map(|m| {
            let p = f.predict(&m.prefix, &m.run.features).unwrap();
            let t = m.answer.time().unwrap();
            let score = integrated_brier(&p, CUTOFF, HORIZON, t).unwrap();
            (1.0 - p.never_prob, matches!(t, Lifetime::Event { .. }), score)
        })
        .collect()
}

fn mean_score(said: &[(f64, bool, f64)]) -> f64 {
    mean(&said.iter().map(|s| s.2).collect::<Vec<_>>()).unwrap()
}

fn skill(theory: &dyn Theory, law: Law, world: u64) -> f64 {
    let (first, fresh) = (10_000 * world, runs(10_000 * world + 5000, 200, law));
    let own = ask(fit(theory, law, first, 60).as_ref(), &fresh);
    let base = ask(fit(&Climatology, law, first, 60).as_ref(), &fresh);
    1.0 - mean_score(&own) / mean_score(&base)
}

#[test]
fn the_hazard_recovers_planted_coefficients() {
    let f = fit(&Hazard, Law::Hazard, 0, 1000);
    // ln of the summed hazard of runs whose norm is exp(a): ln(.35 · ln 100) + 1.2 a.
    let ln_hazard = |a: f64| {
        let of = |seed: u64| {
            let r = run_with(seed, Law::Hazard, a);
            let prefix = Prefix::cut(r.run.clone(), CUTOFF, &r.series);
            (-f.predict(&prefix, &r.features).unwrap().never_prob.ln()).ln()
        };
        mean(&(5000..5040).map(of).collect::<Vec<_>>()).unwrap()
    };
    let (low, mid, high) = (ln_hazard(-0.8), ln_hazard(0.0), ln_hazard(0.8));
    let planted = (0.35 * 100.0_f64.ln()).ln();
    // About 750 events: standard errors near .05 for the slope and .04 for the constant.
    assert!((mid - planted).abs() < 0.15, "{mid} {planted}");
    assert!(((high - low) / 1.6 - 1.2).abs() < 0.2, "{low} {mid} {high}");
}

#[test]
fn a_planted_signal_tells_whether() {
    for theory in ALL {
        let said = ask(fit(theory, Law::Whether, 0, 80).as_ref(), &runs(5000, 300, Law::Whether));
        let area = auc(&said.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>()).unwrap();
        assert!(area > 0.9, "{} {area}", theory.spec().name);
    }
    let skills: Vec<f64> = (0..4).map(|w| skill(&PooledHurdle, Law::Whether, w)).collect();
    assert!(mean(&skills).unwrap() > 0.4, "{skills:?}");
    let skills: Vec<f64> = (0..4).map(|w| skill(&Hazard, Law::Hazard, w)).collect();
    assert!(mean(&skills).unwrap() > 0.1, "{skills:?}");
}

#[test]
fn signals_that_know_nothing_bring_no_skill_and_cost_little() {
    for theory in ALL {
        let skills: Vec<f64> = (0..12).map(|w| skill(theory, Law::Nothing, 100 + w)).collect();
        let m = mean(&skills).unwrap();
        assert!((-0.06..=0.02).contains(&m), "{} {m} {skills:?}", theory.spec().name);
    }
}

#[test]
fn probabilities_of_the_event_mean_what_they_say() {
    for (theory, law) in [
        (&PooledHurdle as &dyn Theory, Law::Hazard),
        (&Hazard, Law::Hazard),
        (&PooledHurdle, Law::Tendency),
        (&PooledHurdle, Law::Nothing),
        (&Hazard, Law::Nothing),
    ] {
        let mut said: Vec<(f64, bool, f64)> = Vec::new();
        for world in 0..8 {
            let f = fit(theory, law, 10_000 * world, 100);
            said.extend(ask(f.as_ref(), &runs(10_000 * world + 5000, 100, law)));
        }
        for (lo, hi) in [(0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.01)] {
            let here: Vec<_> = said.iter().filter(|s| s.0 >= lo && s.0 < hi).collect();
            if here.len() < 40 {
                continue;
            }
            let n = here.len() as f64;
            let p = here.iter().map(|s| s.0).sum::<f64>() / n;
            let found = here.iter().filter(|s| s.1).count() as f64 / n;
            // Three binomial standard errors, and .05 for what 100 runs leave unknown in every world.
            let tolerance = 3.0 * (p * (1.0 - p) / n).sqrt() + 0.05;
            assert!((p - found).abs() < tolerance, "{} {law:?}: {p} {found}", theory.spec().name);
        }
    }
}

#[test]
fn where_all_or_none_had_the_event_they_say_so() {
    for theory in ALL {
        for happens in [true, false] {
            let law = Law::All(happens);
            for (p, _, _) in ask(fit(theory, law, 0, 40).as_ref(), &runs(5000, 20, law)) {
                let sure = if happens { p } else { 1.0 - p };
                assert!(sure > 0.85 && sure < 1.0, "{} {happens} {p}", theory.spec().name);
            }
        }
    }
}

#[test]
fn runs_that_nobody_watched_to_the_end_do_not_count_as_never() {
    // Every second run is lost at step 300; the others all had the event by the horizon.
    let mut lost = runs(0, 60, Law::All(true));
    for r in lost.iter_mut().step_by(2) {
        for s in &mut r.series {
            s.points.retain(|p| p.step <= Step(300));
        }
        r.events = detect(&rule(), &r.run, &r.series[0]).into_iter().collect();
    }
    let fresh = runs(5000, 20, Law::All(true));
    for theory in ALL {
        let f = theory.fit(&lost, &question()).unwrap();
        for (p, _, _) in ask(f.as_ref(), &fresh) {
            // Counted as never they would leave less than .7.
            assert!(p > 0.73, "{} {p}", theory.spec().name);
        }
    }
}
