//! The scorecard's own acceptance tests (docs/protocol.md section 8.5).

use super::studies::{Character, Law, PROPERTY, Study, THEORY};
use super::{Programme, Scorecard, ScorecardError, scorecard, subjects};
use ontogeny_core::LedgerBody;

fn card(study: &Study) -> Scorecard {
    scorecard(&study.entries, &study.provenance, THEORY, PROPERTY).unwrap()
}

fn failed(card: &Scorecard, level: usize) -> Vec<&str> {
    card.levels[level - 1].failed()
}

#[test]
fn an_oracle_passes_level_1() {
    let passed = (0..20)
        .filter(|s| card(&Study::observe(*s, 9, 5, Character::Oracle)).levels[0].passes)
        .count();
    // Its calibration test alone refuses one honest forecaster in a hundred.
    assert!(passed >= 19, "{passed}");
}

#[test]
fn a_clone_of_climatology_never_passes() {
    let passed = (0..1000)
        .filter(|s| {
            let c = card(&Study::observe(*s, 5, 4, Character::Clone));
            // The power of the gate must not come from n, cells or seeds.
            assert!(!failed(&c, 1).iter().any(|f| f.contains(">= 20") || f.contains("cells")));
            c.levels[0].passes
        })
        .count();
    assert!(passed <= 10, "{passed}");
}

#[test]
fn an_overconfident_forecaster_fails_calibration() {
    for s in 0..10 {
        let c = card(&Study::observe(s, 9, 5, Character::Overconfident));
        assert!(!c.levels[0].passes && failed(&c, 1).contains(&"calibration"), "{c}");
    }
}

/// Law 4: who read beyond the cutoff has another prefix hash; nothing of it is scored.
#[test]
fn law_4_no_peeking_a_leaky_forecaster_is_refused() {
    let c = card(&Study::observe(1, 9, 5, Character::Leaky));
    assert!(c.predict.value().is_none() && c.refused.len() == 45 && !c.levels[0].passes);
    assert!(c.refused.iter().all(|r| r.reason.contains("does not match")));
    assert!(c.to_string().contains("post hoc, not scored"));
}

#[test]
fn one_post_hoc_record_among_honest_ones_fails_registration() {
    let mut study = Study::observe(1, 9, 5, Character::Oracle);
    let mut entries = Vec::new();
    for (i, e) in study.entries.iter().enumerate() {
        let mut body = e.body.clone();
        if let (0, LedgerBody::Forecast(f)) = (i, &mut body) {
            f.theory.fitted_on.push(f.run.clone());
        }
        entries.push(ontogeny_core::LedgerEntry::seal(entries.last(), 0.0, body));
    }
    study.entries = entries;
    let c = card(&study);
    assert_eq!((c.refused.len(), failed(&c, 1)), (1, vec!["registration = 1"]));
}

#[test]
fn a_confounded_law_predicts_and_does_not_intervene() {
    for s in 0..5 {
        let mut study = Study::observe(s, 9, 5, Character::Oracle);
        study.intervene(s, Law::Confounded);
        let c = card(&study);
        assert!(c.levels[0].passes && !c.levels[1].passes, "{c}");
        assert!(c.label.starts_with("Level 1"), "{c}");
        assert!(c.label.contains("law-like only in the observed regime"), "{c}");
    }
}

#[test]
fn the_structural_law_passes_level_2() {
    let passed = (0..20)
        .filter(|s| {
            let mut study = Study::observe(*s, 9, 5, Character::Oracle);
            study.intervene(*s, Law::Structural);
            card(&study).levels[1].passes
        })
        .count();
    assert!(passed >= 18, "{passed}");
}

/// Law 5: a failure that is taken out breaks the chain, and there is no scorecard.
#[test]
fn law_5_failures_stay_deleting_a_record_stops_the_press() {
    let mut study = Study::observe(3, 9, 5, Character::Oracle);
    study.claim(1, 3, false);
    let n = study.entries.len();
    study.claim(1, 3, true);
    assert!(scorecard(&study.entries, &study.provenance, THEORY, PROPERTY).is_ok());
    study.entries.remove(n - 1);
    let refused = scorecard(&study.entries, &study.provenance, THEORY, PROPERTY);
    assert!(matches!(refused, Err(ScorecardError::BrokenChain(_))));
}

#[test]
fn a_parameter_added_after_a_failure_degenerates_the_programme() {
    let mut study = Study::default();
    for _ in 0..12 {
        study.claim(1, 2, true);
    }
    assert_eq!(card(&study).programme.programme, Programme::Progressive);
    study.claim(1, 2, false);
    assert_eq!(card(&study).programme.programme, Programme::Progressive, "failing is not a sin");
    study.note("patch: exclude runs with final LayerNorm");
    assert_eq!(card(&study).programme.programme, Programme::Degenerating);
    // The same without a note, by a new version with one parameter more.
    let mut silent = Study::default();
    for passes in [true, true, true, true, true, false] {
        silent.claim(1, 2, passes);
    }
    silent.claim(2, 3, false);
    let c = card(&silent);
    assert_eq!((c.programme.programme, c.programme.n_patches), (Programme::Degenerating, 1));
    // A severe novel prediction that passes redeems it.
    for _ in 0..6 {
        silent.claim(2, 3, true);
    }
    assert_eq!(card(&silent).programme.programme, Programme::Progressive);
}

#[test]
fn the_same_records_print_the_same_bytes() {
    let mut study = Study::observe(4, 9, 5, Character::Oracle);
    study.intervene(4, Law::Structural);
    let (a, b) = (card(&study), card(&study));
    assert_eq!(a.to_string(), b.to_string());
    assert_eq!(serde_json::to_string(&a).unwrap(), serde_json::to_string(&b).unwrap());
    assert_eq!(subjects(&study.entries), [(THEORY.to_owned(), PROPERTY.to_owned())]);
}

#[test]
fn law_6_baselines_always_stand_beside_or_the_gate_stays_shut() {
    let mut study = Study::observe(5, 9, 5, Character::Oracle);
    let mut entries: Vec<ontogeny_core::LedgerEntry> = Vec::new();
    for e in &study.entries {
        let mut body = e.body.clone();
        if let LedgerBody::Forecast(f) = &mut body {
            f.baselines.retain(|b| b.0 != "delta");
        }
        entries.push(ontogeny_core::LedgerEntry::seal(entries.last(), 0.0, body));
    }
    study.entries = entries;
    assert_eq!(failed(&card(&study), 1), ["required baselines beside"]);
}

#[test]
fn every_component_is_printed_with_its_number_or_its_reason() {
    let mut study = Study::observe(6, 9, 5, Character::Oracle);
    let text = card(&study).to_string();
    for n in 1..=16 {
        assert!(text.lines().any(|l| l.starts_with(&format!(" {n:>2} "))), "{n}\n{text}");
    }
    assert!(text.contains("11 invariance: not computed: no sealed forecast of a fork effect"));
    study.intervene(6, Law::Structural);
    assert!(!card(&study).to_string().contains("11 invariance: not computed"));
}
