//! The ledger and its scores.

use crate::support::{Sandbox, claim, conduct, plan};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_runs();
    let store = sandbox.store();
    claim(&store, &conduct(&store, &plan(0)));
    sandbox
}

#[test]
fn an_intact_ledger_is_verified() {
    let sandbox = sandbox();
    let text = sandbox.run("ledger verify").ok();
    assert!(text.starts_with("the ledger is intact: 6 entries, head "), "{text}");
    let json = sandbox.run("ledger verify --json").json();
    assert_eq!((json["n_entries"].as_u64(), json["intact"].as_bool()), (Some(6), Some(true)));
    assert_eq!(json["head"].as_str().unwrap().len(), 64);
    let empty = Sandbox::with_runs().run("ledger verify").ok();
    assert!(empty.starts_with("the ledger is intact: 0 entries"), "{empty}");
}

#[test]
fn entries_are_listed_with_their_claims_and_filtered() {
    let sandbox = sandbox();
    let text = sandbox.run("ledger ls").ok();
    assert_eq!(text.lines().count(), 7, "{text}");
    for part in [
        "2023-11-14 22:13:20Z",
        "read to 20, sealed at 30",
        "not by 60",
        "refused: the prefix hash does not match",
        "hparams-only",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (filter, n) in
        [("--study tiny", 6), ("--study other", 0), ("--run tiny.s0", 6), ("--run tiny.s1", 0)]
    {
        let json = sandbox.run(&format!("ledger ls {filter} --json")).json();
        assert_eq!(json.as_array().unwrap().len(), n, "{filter}");
    }
}

#[test]
fn law_4_no_peeking_who_read_ahead_is_refused_when_scored_again() {
    let sandbox = sandbox();
    let json = sandbox.run("ledger score --json").json();
    let of = |theory: &str| {
        let all = json["scores"].as_array().unwrap();
        all.iter().find(|s| s["theory"] == theory).unwrap().clone()
    };
    let (honest, peeking) = (of("honest v1"), of("peeking v1"));
    assert_eq!((honest["n_scored"].as_u64(), honest["n_refused"].as_u64()), (Some(1), Some(0)));
    assert_eq!((peeking["n_scored"].as_u64(), peeking["n_refused"].as_u64()), (Some(0), Some(1)));
    assert!(peeking["mean_score"].is_null());
    assert_eq!(json["differ_from_recorded"].as_array().unwrap().len(), 0);
}

#[test]
fn law_6_baselines_always_stand_beside_a_score() {
    let sandbox = sandbox();
    let text = sandbox.run("ledger score").ok();
    let head = text.lines().next().unwrap();
    for baseline in ["climatology", "persistence", "delta", "hparams-only", "extrapolation"] {
        assert!(head.contains(baseline), "{text}");
    }
    let json = sandbox.run("ledger score --json").json();
    assert_eq!(json["scores"][0]["baselines"].as_object().unwrap().len(), 5);
    assert!(json["scores"][0]["baselines"]["persistence"].is_f64());
}

#[test]
fn a_forecast_about_a_run_that_is_gone_is_refused() {
    let sandbox = sandbox();
    std::fs::remove_dir_all(sandbox.path("ontogeny-store/runs/tiny.s0")).unwrap();
    let text = sandbox.run("ledger score").ok();
    assert!(text.contains("the prefix hash was not verified"), "{text}");
    let json = sandbox.run("ledger score --json").json();
    assert_eq!(json["differ_from_recorded"].as_array().unwrap().len(), 2);
}

#[test]
fn scorecards_are_printed_per_theory() {
    let sandbox = sandbox();
    let text = sandbox.run("scorecard").ok();
    assert!(text.contains("honest") && text.contains("peeking"), "{text}");
    let one = sandbox.run("scorecard --theory honest").ok();
    assert!(one.contains("honest") && !one.contains("peeking"), "{one}");
    let json = sandbox.run("scorecard --theory honest --json").json();
    assert_eq!(json[0]["property"], "learning time");
    let unknown = sandbox.run("scorecard --theory honset").fails_with(2);
    assert!(unknown.contains("did you mean honest?"), "{unknown}");
}
