//! Laws that every forecaster keeps, checked over the registries.

use super::worlds::{HORIZON, Signals, question, run, runs};
use super::{
    BASELINES, CalibrationOptions, Cutoff, CutoffRule, Exchanged, Fitted, NotFitted, Query,
    THEORIES, Theory, TheorySpec, TrainingRun, Verdict, calibrate, find, fit_baselines,
    leave_one_out, rivals,
};
use crate::distribution::{Cdf, Support, median, rescale};
use crate::effects::predicted_effect;
use crate::math::mean;
use crate::scores::{PitRange, coverage, pit};
use ontogeny_core::random::Philox;
use ontogeny_core::{
    Censoring, Observed, Predictive, Prefix, RunId, Series, Step, Target, TheoryRef,
};
use std::collections::BTreeMap;

fn well_formed(p: &Predictive, cutoff: Step) -> bool {
    let support = Support::between(cutoff, HORIZON).unwrap();
    Cdf::new(p, support).is_some()
        && p.quantiles.iter().all(|q| *q >= cutoff.ln() - 1e-9 && *q <= HORIZON.ln() + 1e-9)
}

#[test]
fn the_registries_hold_what_the_folder_holds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/forecasters");
    let is_entry = |l: &&str| {
        l.starts_with("pub(crate) const ") && l.contains("ENTRY") && l.contains(": TheoryEntry")
    };
    let in_folder: usize = [folder.clone(), folder.join("skills"), folder.join("pooled")]
        .iter()
        .flat_map(|d| std::fs::read_dir(d).unwrap())
        .filter_map(|f| std::fs::read_to_string(f.unwrap().path()).ok())
        .map(|text| text.lines().filter(is_entry).count())
        .sum();
    let mut names: Vec<&str> = BASELINES.iter().chain(THEORIES).map(|t| t.spec.name).collect();
    assert_eq!(names.len(), in_folder);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), in_folder);
}

#[test]
fn every_theory_answers_or_says_why_not() {
    let fit_on = runs(100, 24, Signals::Informative);
    let target = run(7, 0.0, Signals::Informative);
    let q = question();
    let t0 = q.cutoff.step(&target.events).unwrap();
    let prefix = Prefix::cut(target.run.clone(), t0, &target.series);
    let mut spoke = Vec::new();
    for entry in BASELINES.iter().chain(THEORIES) {
        assert!(!entry.spec.source.is_empty() && !entry.spec.scope.is_empty());
        match (entry.build)().fit(&fit_on, &q) {
            Ok(f) => {
                let p = f.predict(&prefix, &target.features);
                let again = (entry.build)().fit(&fit_on, &q).unwrap();
                assert_eq!(p, again.predict(&prefix, &target.features), "{}", entry.spec.name);
                assert_eq!(f.theory_ref(), again.theory_ref());
                assert_eq!(f.theory_ref().fitted_on.len(), 24);
                assert!(p.is_none_or(|p| well_formed(&p, t0)), "{}", entry.spec.name);
                spoke.push(entry.spec.name);
            }
            Err(NotFitted::WrongTarget { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(
        spoke,
        [
            "climatology",
            "persistence",
            "delta",
            "extrapolation",
            "hparams-only",
            "nearest-run",
            "eta-lambda",
            "norm-passage",
            "gini-passage",
            "signals-aft",
            "mirror-accuracy",
            "pooled-forest-level",
            "hazard",
            "pooled-hurdle",
            "auto",
        ]
    );
}

#[test]
fn every_theory_survives_empty_and_broken_series() {
    let q = question();
    let mut broken = runs(100, 9, Signals::Informative);
    for (i, r) in broken.iter_mut().enumerate() {
        for s in &mut r.series {
            match i % 3 {
                0 => s.points.clear(),
                1 => s.points.iter_mut().for_each(|p| p.value = f64::NAN),
                _ => s.points.iter_mut().for_each(|p| p.value = f64::INFINITY),
            }
        }
    }
    let target = run(7, 0.0, Signals::Informative);
    let empty = Prefix::cut(target.run.clone(), Step(400), &[] as &[Series]);
    for entry in BASELINES.iter().chain(THEORIES) {
        for runs in [&[][..], &broken[..], &runs(100, 9, Signals::Informative)[..]] {
            if let Ok(f) = (entry.build)().fit(runs, &q) {
                let p = f.predict(&empty, &target.features);
                assert!(p.is_none_or(|p| well_formed(&p, Step(400))), "{}", entry.spec.name);
            }
        }
    }
}

/// Law 4: the forecast is a function of the prefix; another future gives the same answer.
#[test]
fn law_4_no_peeking_another_future_gives_the_same_forecast() {
    let fit_on = runs(100, 12, Signals::Informative);
    let target = run(7, 0.0, Signals::Informative);
    let q = question();
    let t0 = q.cutoff.step(&target.events).unwrap();
    let mut other = target.series.clone();
    for s in &mut other {
        for p in s.points.iter_mut().filter(|p| p.step > t0) {
            p.value = 0.123;
        }
    }
    let prefixes = [&target.series, &other].map(|s| Prefix::cut(target.run.clone(), t0, s));
    assert_eq!(prefixes[0].hash(), prefixes[1].hash());
    for entry in BASELINES.iter().chain(THEORIES) {
        if let Ok(f) = (entry.build)().fit(&fit_on, &q) {
            let [a, b] = [&prefixes[0], &prefixes[1]].map(|p| f.predict(p, &target.features));
            assert_eq!(a, b, "{}", entry.spec.name);
        }
    }
}

#[test]
fn law_6_baselines_always_stand_beside() {
    let (fitted, missing) = fit_baselines(&runs(100, 12, Signals::Informative), &question());
    assert!(missing.is_empty());
    let names: Vec<&str> = fitted.iter().map(|f| f.0.as_str()).collect();
    for name in ["persistence", "climatology", "delta", "hparams-only"] {
        assert!(names.contains(&name));
    }
}

#[test]
fn theories_find_the_law_that_is_there() {
    let fit_on = runs(100, 24, Signals::Informative);
    let q = question();
    let best = |entries: &[&'static str]| {
        entries
            .iter()
            .map(|n| {
                let l = leave_one_out((find(n).unwrap().build)().as_ref(), &fit_on, &q);
                let s: Vec<f64> = l.iter().map(|l| l.score.unwrap()).collect();
                (*n, mean(&s).unwrap())
            })
            .collect::<Vec<_>>()
    };
    let base = best(&["climatology", "persistence", "delta", "hparams-only", "nearest-run"]);
    let floor = base.iter().map(|b| b.1).fold(f64::INFINITY, f64::min);
    for (name, score) in best(&["gini-passage", "signals-aft", "mirror-accuracy"]) {
        assert!(score < 0.8 * floor, "{name} {score} {base:?}");
    }
    // Hyper-parameters explain what differs between cells, so they beat climatology.
    assert!(base[3].1 < base[0].1, "{base:?}");
}

#[test]
fn without_weight_decay_the_delay_laws_say_never() {
    let fit_on = runs(100, 12, Signals::Informative);
    let target = run(7, f64::NEG_INFINITY, Signals::Informative);
    let prefix = Prefix::cut(target.run.clone(), Step(400), &target.series);
    for name in ["eta-lambda", "norm-passage"] {
        let f = (find(name).unwrap().build)().fit(&fit_on, &question()).unwrap();
        assert!(f.predict(&prefix, &target.features).unwrap().never_prob > 0.9, "{name}");
        let live = run(8, 0.0, Signals::Informative);
        let prefix = Prefix::cut(live.run.clone(), Step(400), &live.series);
        let p = f.predict(&prefix, &live.features).unwrap();
        let truth = live.event("T_grok").unwrap().when.seen_at().unwrap().ln();
        assert!((median(&p) - truth).abs() < 1.2 && p.never_prob < 0.3, "{name}");
    }
}

#[test]
fn a_delay_law_forecasts_the_effect_of_halving_weight_decay() {
    let fit_on = runs(100, 18, Signals::Informative);
    let f = (find("eta-lambda").unwrap().build)().fit(&fit_on, &question()).unwrap();
    let parent = run(7, 0.0, Signals::Informative);
    let prefix = Prefix::cut(parent.run.clone(), Step(400), &parent.series);
    let effect = |ln_wd: f64| {
        let mut treated = parent.features.clone();
        treated.insert("ln_wd".into(), ln_wd);
        predicted_effect(f.as_ref(), &prefix, &parent.features, &treated, 0.9, 0.1)
    };
    // Twice the delay: ln 2 on ln T, a little less because T holds T_mem too and ends at the horizon.
    let halved = median(&effect(0.5_f64.ln()).unwrap());
    assert!((0.4..=std::f64::consts::LN_2).contains(&halved), "{halved}");
    assert!(effect(f64::NEG_INFINITY).is_none());
}

#[test]
fn value_targets_are_forecast_by_everyone_who_speaks_of_values() {
    // y = .2 + a t^-.5 with a between runs, seen until 1000, asked at 8000.
    let curve = |seed: u64| {
        let d = Philox::new(seed, "curve").at(0);
        let a = (3.0 + 0.2 * d.normal(0)).exp();
        let noisy = |i: u64| 1.0 + 0.01 * d.normal(i + 1);
        let s = Series::from_pairs(
            "test.loss",
            "nats",
            (1..400).map(|i| (i * 25, (0.2 + a * (25.0 * i as f64).powf(-0.5)) * noisy(i))),
        );
        TrainingRun {
            run: RunId::new(format!("c{seed}")).unwrap(),
            cell: "c".into(),
            features: BTreeMap::from([("ln_a_guess".to_owned(), a.ln() + 0.3 * d.normal(999))]),
            series: vec![s],
            events: vec![],
        }
    };
    let q = Query {
        target: Target::Value { series: "test.loss".into(), at: Step(8000), log: true },
        cutoff: Cutoff { name: "1000".into(), rule: CutoffRule::Fixed { step: Step(1000) } },
        rule: None,
        plans: Vec::new(),
    };
    let fit_on: Vec<TrainingRun> = (0..12).map(curve).collect();
    let score = |name: &str| {
        let l = leave_one_out((find(name).unwrap().build)().as_ref(), &fit_on, &q);
        mean(&l.iter().map(|l| l.score.unwrap()).collect::<Vec<_>>()).unwrap()
    };
    let rest = ["climatology", "persistence", "hparams-only", "nearest-run"].map(score);
    for name in ["pow3", "delta"] {
        assert!(rest.iter().all(|r| score(name) < *r), "{name} {} {rest:?}", score(name));
    }
    // A straight line in the logarithms does not know of the floor.
    assert!(score("pow3") < score("extrapolation"));
}

#[test]
fn law_7_not_predictable_is_the_answer_to_noise() {
    let q = question();
    let names = ["gini-passage", "signals-aft", "mirror-accuracy", "norm-passage"];
    let (mut fooled, mut asked) = (0, 0);
    for world in 0..25 {
        let fit_on = runs(10_000 + 100 * world, 15, Signals::RandomWalk);
        let beside = rivals(BASELINES, &fit_on, &q, Exchanged::Run);
        for name in names {
            let theory = (find(name).unwrap().build)();
            let Ok(c) =
                calibrate(theory.as_ref(), &beside, &fit_on, &q, CalibrationOptions::default())
            else {
                continue;
            };
            asked += 1;
            match c.verdict() {
                Verdict::Predictable { .. } => fooled += 1,
                v => assert!(matches!(v, Verdict::NotPredictable { .. }), "{v:?}"),
            }
        }
    }
    assert!(asked >= 80 && fooled * 20 <= asked, "{fooled} of {asked}");
}

#[test]
fn calibration_speaks_when_there_is_something_to_say() {
    let fit_on = runs(100, 24, Signals::Informative);
    let q = question();
    let theory = (find("mirror-accuracy").unwrap().build)();
    let beside = rivals(BASELINES, &fit_on, &q, Exchanged::Run);
    let ask = |runs: &[super::TrainingRun]| {
        calibrate(theory.as_ref(), &beside, runs, &q, CalibrationOptions::default()).unwrap()
    };
    let c = ask(&fit_on);
    assert!(matches!(c.verdict(), Verdict::Predictable { .. }), "{:?}", c.verdict());
    assert!((0.5..=2.0).contains(&c.width_factor()));
    assert_eq!(*ask(&fit_on[..6]).verdict(), Verdict::Unjudged { n_runs: 6 });
}

/// Mirror accuracy with a third of its spread.
#[derive(Debug)]
struct Boastful;

#[derive(Debug)]
struct FittedBoastful(Box<dyn Fitted>);

impl Theory for Boastful {
    fn spec(&self) -> TheorySpec {
        TheorySpec { name: "boastful", ..find("mirror-accuracy").unwrap().spec }
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let inner = (find("mirror-accuracy").unwrap().build)().fit(runs, query)?;
        Ok(Box::new(FittedBoastful(inner)))
    }
}

impl Fitted for FittedBoastful {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let p = self.0.predict(prefix, features)?;
        Some(rescale(&p, 1.0 / 3.0, Support::between(prefix.cutoff(), HORIZON)?))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.0.theory_ref()
    }
}

#[test]
fn calibration_widens_the_overconfident_until_they_cover() {
    let fit_on = runs(100, 24, Signals::Informative);
    let q = question();
    let c = calibrate(&Boastful, &[], &fit_on, &q, CalibrationOptions::default()).unwrap();
    assert!(c.width_factor() > 1.7, "{}", c.width_factor());
    let fresh = runs(5000, 60, Signals::Informative);
    let covered = |f: &dyn Fitted| {
        let pits: Vec<PitRange> = fresh
            .iter()
            .filter_map(|r| {
                let t0 = q.cutoff.step(&r.events)?;
                let prefix = Prefix::cut(r.run.clone(), t0, &r.series);
                let p = f.predict(&prefix, &r.features)?;
                let Censoring::Interval { lo, hi } = r.event("T_grok")?.when else { return None };
                pit(&p, Support::between(t0, HORIZON)?, Observed::Event { lo, hi })
            })
            .collect();
        coverage(&pits, 0.8).unwrap()
    };
    let raw = Boastful.fit(&fit_on, &q).unwrap();
    let (before, after) = (covered(raw.as_ref()), covered(&c));
    assert!(before < 0.6 && (0.68..=0.92).contains(&after), "{before} {after}");
}
