//! One pass of observe, predict, score with real forecasters on simulated runs: the way the parts fit.

use crate::detectors::{detect, variants};
use crate::forecasters::worlds::{HORIZON, Signals, question, runs};
use crate::forecasters::{
    BASELINES, CalibrationOptions, Exchanged, Fitted, calibrate, find, fit_baselines, rivals,
    stand_beside, standard,
};
use crate::scorecard::{Alternative, Provenance, RunInfo, scorecard};
use crate::scores::judge;
use ontogeny_core::{
    Censoring, Forecast, LedgerBody, LedgerEntry, Observed, Outcome, Prefix, ScoringRule, Step,
};
use std::collections::BTreeMap;

fn observed(when: Censoring) -> Observed {
    match when {
        Censoring::Interval { lo, hi } => Observed::Event { lo, hi },
        Censoring::Right { horizon } => Observed::Never { horizon },
    }
}

#[test]
fn a_sealed_forecast_becomes_a_line_on_a_scorecard() {
    let query = question();
    let fit_on = runs(100, 24, Signals::Informative);
    let (beside, _) = fit_baselines(&fit_on, &query);
    let theory = (find("mirror-accuracy").unwrap().build)();
    let options = CalibrationOptions::default();
    let rivals = rivals(BASELINES, &fit_on, &query, Exchanged::Run);
    let fitted = calibrate(theory.as_ref(), &rivals, &fit_on, &query, options).unwrap();

    let mut entries: Vec<LedgerEntry> = Vec::new();
    let mut provenance = Provenance::default();
    let mut changed: BTreeMap<String, Alternative> = BTreeMap::new();
    for run in runs(7000, 30, Signals::Informative) {
        let cutoff = query.cutoff.step(&run.events).unwrap();
        let prefix = Prefix::cut(run.run.clone(), cutoff, &run.series);
        let predictive = fitted.predict(&prefix, &run.features);
        let event = run.event("T_grok").unwrap();
        let forecast = Forecast {
            id: format!("test/{}/mirror-accuracy/T_grok@{cutoff}", run.run),
            property: "grok time".into(),
            theory: fitted.theory_ref(),
            run: run.run.clone(),
            cell: run.cell.clone(),
            target: query.target.clone(),
            cutoff,
            cutoff_name: query.cutoff.name.clone(),
            prefix_hash: prefix.hash().into(),
            sealed_at: cutoff,
            predictive,
            baselines: stand_beside(&beside, &prefix, &run.features),
            rule: ScoringRule::IntegratedBrier,
            acceptance: None,
            family: "grok time".into(),
        };
        // The store cuts the prefix again; the variants of the event go beside it.
        let again = Prefix::cut(run.run.clone(), cutoff, &run.series);
        provenance.prefix_hashes.insert(forecast.id.clone(), again.hash().into());
        let series = run.series("test_mirror_out.accuracy").unwrap();
        for v in variants(&standard::grokked(), &run.run, series) {
            let a = changed.entry(v.change.clone()).or_insert_with(|| Alternative {
                name: v.change.clone(),
                outcomes: BTreeMap::new(),
            });
            a.outcomes.insert(forecast.id.clone(), observed(v.event.when));
        }
        assert_eq!(detect(&standard::grokked(), &run.run, series).as_ref(), Some(event));
        let axes = BTreeMap::from([("wd".to_owned(), run.cell.clone())]);
        let seed = entries.len() as u64;
        provenance.runs.insert(run.run.clone(), RunInfo { seed, axes, parent: None });
        let outcome = Outcome {
            forecast: forecast.id.clone(),
            observed: observed(event.when),
            known_at: HORIZON.max(Step(10_001)),
        };
        let score = judge(&forecast, &outcome, Some(again.hash()));
        assert!(score.refused.is_none() && score.baselines.len() == BASELINES.len());
        for body in [
            LedgerBody::Forecast(Box::new(forecast)),
            LedgerBody::Outcome(outcome),
            LedgerBody::Score(score),
        ] {
            entries.push(LedgerEntry::seal(entries.last(), 0.0, body));
        }
    }
    provenance.alternatives = changed.into_values().collect();
    let card = scorecard(&entries, &provenance, "mirror-accuracy", "grok time").unwrap();
    // Three weight decays are too few cells; everything else that level 1 asks is there.
    assert_eq!(card.levels[0].failed(), ["cells >= 5"], "{card}");
    assert!(card.label.starts_with("Level 0; level 1 lacks: cells >= 5"));
}
