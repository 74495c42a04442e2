//! Suites with a known law: the signal is found where there is one, and nothing where there is none.

use super::*;
use ontogeny_core::random::Philox;
use ontogeny_core::{RunId, Series};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `n` runs of 8 families that approach `final = 1 + skill of the run` from above. What a run shows early is its
/// final value plus noise of this size; with `walk`, every run is a random walk.
fn suite(n: u64, noise: f64, walk: bool) -> Suite {
    let runs = (0..n).map(|i| {
        let d = Philox::new(7, "suite").at(i);
        let last = 1.0 + 0.3 * d.normal(0);
        let early = noise * d.normal(1);
        let mut at = 1.0;
        let points = (0..=50).map(|t| {
            let x = t as f64 / 50.0;
            at += 0.1 * d.normal(100 + t);
            let curve = last + (2.0 + early) * (-6.0 * x).exp() + 0.002 * d.normal(10 + t);
            (t * 20, if walk { at } else { curve })
        });
        let attributes = BTreeMap::from([
            ("family".to_owned(), format!("f{}", i % 8)),
            ("lr".to_owned(), format!("{}", 0.1 * (1 + i % 3) as f64)),
        ]);
        let series = vec![Series::from_pairs("loss", "1", points)];
        SuiteRun { id: RunId::new(format!("r{i}")).unwrap(), attributes, series }
    });
    Suite { runs: runs.collect() }
}

fn protocol(text: &str) -> Protocol {
    let base = serde_json::json!({
        "name": "test", "title": "?",
        "target": [{ "series": "loss", "better": "lower" }],
        "hide": ["family"], "features": ["lr"],
        "visible": { "axis": "fraction", "cuts": [0.2, 0.6] },
        "forecasters": ["pooled-ridge", "pooled-forest-level", "pooled-forest-change", "auto"],
    });
    let mut all = base.as_object().unwrap().clone();
    let more: serde_json::Value = serde_json::from_str(text).unwrap();
    all.extend(more.as_object().unwrap().clone());
    serde_json::from_value(all.into()).unwrap()
}

fn at<'a>(lines: &'a [Line], cut: f64, name: &str) -> &'a Line {
    lines.iter().find(|l| l.cut == cut && l.forecaster == name).unwrap()
}

#[test]
fn learners_find_the_signal_and_keep_their_intervals() {
    let p = protocol("{}");
    let lines = summarize_replay(&replay(&suite(160, 0.5, false), &p, &|_| {}).unwrap(), &p);
    for name in ["pooled-ridge", "pooled-forest-change", "auto"] {
        let l = at(&lines, 0.2, name);
        assert_eq!((l.n, l.n_asked), (160, 160), "{name}");
        let s = l.skill.as_ref().unwrap();
        assert!(s.lo > 0.0, "{name} {s:?}");
        let [_, _, c90] = l.coverage.unwrap();
        assert!((0.84..=0.97).contains(&c90), "{name} covers {c90}");
        assert!(l.pairs.unwrap() > 0.8, "{name}");
    }
    // Later cuts are easier, and by then the last value says it.
    assert!(at(&lines, 0.6, "auto").score < at(&lines, 0.2, "auto").score);
    assert!(at(&lines, 0.6, "delta").median_error.unwrap() < 0.1);
    // The baselines always stand beside.
    assert!(lines.iter().filter(|l| l.is_baseline).count() >= 8);
}

#[test]
fn law_4_no_peeking_what_comes_after_the_cut_changes_no_forecast() {
    let p = protocol("{}");
    let honest = suite(40, 0.5, false);
    let mut changed = honest.clone();
    // Every point of one run after the first cut, but the last: only its truth may change, not its forecasts.
    for point in &mut changed.runs[3].series[0].points {
        if point.step.0 > 200 {
            point.value = 99.0;
        }
    }
    let of = |s: &Suite| {
        let all = replay(s, &p, &|_| {}).unwrap().records;
        let mine = all.into_iter().filter(|r| r.run == "r3" && r.cut == 0.2);
        mine.map(|r| (r.forecaster, r.predictive)).collect::<Vec<_>>()
    };
    assert_eq!(of(&honest), of(&changed));
}

#[test]
fn random_walks_are_not_predictable() {
    // A walk's last value says all there is to know: nobody may claim to beat the baselines.
    let p = protocol(r#"{"forecasters": ["pooled-ridge", "pooled-forest-level"]}"#);
    let lines = summarize_replay(&replay(&suite(96, 0.0, true), &p, &|_| {}).unwrap(), &p);
    for l in lines.iter().filter(|l| !l.is_baseline) {
        let s = l.skill.as_ref().unwrap();
        assert!(s.value < 0.1, "{} at {}: {s:?}", l.forecaster, l.cut);
    }
}

#[test]
fn what_is_hidden_together_can_be_dealt_into_fewer_parts() {
    let jobs = AtomicUsize::new(0);
    let p = protocol(r#"{"folds": 3, "forecasters": ["climatology"]}"#);
    let found = replay(&suite(80, 0.5, false), &p, &|n| jobs.store(n, Ordering::Relaxed)).unwrap();
    // Three parts at two cuts; every run is still asked once at each by each of six baselines.
    assert_eq!((jobs.into_inner(), found.records.len()), (3 * 2, 80 * 2 * 6));
    let folds: std::collections::BTreeSet<&str> =
        found.records.iter().map(|r| r.fold.as_str()).collect();
    assert_eq!(folds.len(), 8);
}

#[test]
fn says_what_does_not_fit() {
    let s = suite(20, 0.5, false);
    let says = |text: &str| replay(&s, &protocol(text), &|_| {}).unwrap_err().to_string();
    assert_eq!(
        says(r#"{"forecasters": ["pooled-rigde"]}"#),
        "find the forecaster pooled-rigde; did you mean pooled-ridge?"
    );
    assert_eq!(
        says(r#"{"target": [{"series": "acc"}]}"#),
        "find acc in the suite: no run has such a series; there is e.g. loss"
    );
    assert_eq!(
        says(r#"{"hide": ["famly"]}"#),
        "find the attribute famly in the suite: no run has it"
    );
    assert_eq!(
        says(r#"{"target": [{"series": "loss", "where": {"family": ["g1", "g2"]}}]}"#),
        "find runs with family = g1 or g2: no run of the suite has these"
    );
    assert_eq!(
        says(r#"{"features": ["lr", "json.*"]}"#),
        "find the attribute json in the suite: no run has it"
    );
    assert_eq!(
        says(r#"{"visible": {"axis": "fraction", "cuts": [1.5]}}"#),
        "cut at 1.5: a cut must lie between 0 and 1"
    );
    assert_eq!(
        says(r#"{"least_runs": 50}"#),
        "forecast something: no group has 50 runs with the series and the attributes asked for"
    );
}

#[test]
fn every_job_ticks_and_the_order_does_not_matter() {
    let p = protocol("{}");
    let s = suite(24, 0.5, false);
    let count = AtomicUsize::new(0);
    let first = replay(&s, &p, &|n| {
        assert_eq!(n, 16);
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.load(Ordering::Relaxed), 16);
    assert_eq!(first, replay(&s, &p, &|_| {}));
}

#[test]
fn events_are_judged_by_whether_and_by_when() {
    // Losses fall through .5 at a step that the rate of the run decides; what shows early is the rate but for luck.
    // A fifth of the runs end at step 300, where nobody knows.
    let runs = (0..80_u64).map(|i| {
        let d = Philox::new(11, "events").at(i);
        let rate = 0.002 * d.normal(0).exp();
        let late = rate * (0.5 * d.normal(1)).exp();
        let end = if i % 5 == 0 { 30 } else { 100 };
        let points = (0..=end).map(|t: u64| {
            let done = 10.0 * (rate * t.min(10) as f64 + late * t.saturating_sub(10) as f64);
            (t * 10, (-done).exp() + 0.002 * d.normal(10 + t))
        });
        SuiteRun {
            id: RunId::new(format!("r{i}")).unwrap(),
            attributes: BTreeMap::from([("family".to_owned(), format!("f{}", i % 10))]),
            series: vec![Series::from_pairs("loss", "1", points)],
        }
    });
    let s = Suite { runs: runs.collect() };
    let p = protocol(
        r#"{"target": [{"series": "loss", "event": {"direction": "falling", "level": 0.5}}],
            "features": [], "visible": {"axis": "step", "cuts": [100], "end": 1000},
            "forecasters": ["hazard", "pooled-hurdle"]}"#,
    );
    let found = replay(&s, &p, &|_| {}).unwrap();
    let known = |r: &&Record| r.forecaster == "hazard" && r.waited.unwrap().came().is_some();
    let asked = found.records.iter().filter(|r| r.forecaster == "hazard").count();
    assert!(found.records.iter().filter(known).count() < asked);
    let lines = summarize_replay(&found, &p);
    let base = at(&lines, 100.0, "climatology");
    for name in ["hazard", "pooled-hurdle"] {
        let l = at(&lines, 100.0, name);
        assert!(l.skill.as_ref().unwrap().lo > 0.0, "{name} {l:?}");
        assert!(l.auc.unwrap() > 0.85 && l.concordance.unwrap() > 0.75, "{name} {l:?}");
        assert!(l.brier.unwrap() < 0.7 * base.brier.unwrap(), "{name} {l:?} {base:?}");
        assert!(l.d_calibration.unwrap().p > 0.01, "{name} {l:?}");
    }
}
