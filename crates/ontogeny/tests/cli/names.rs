//! Names, keys and values that do not exist or are not allowed: exit code 2 and what was probably meant.

use crate::support::Sandbox;
use insta::assert_snapshot;

#[test]
fn an_unknown_study_suggests_the_nearest() {
    assert_snapshot!(Sandbox::empty().run("run skill").fails_with(2), @r"
    error: no study called skill; did you mean skills?
      help: `ontogeny studies` lists what there is
    ");
}

#[test]
fn an_unknown_tier_suggests_the_nearest() {
    assert_snapshot!(Sandbox::empty().run("run skills --tier smok").fails_with(2), @r"
    error: no tier called smok; did you mean smoke?
      help: the tiers are smoke, study, paper
    ");
}

#[test]
fn an_unknown_probe_suggests_the_nearest() {
    assert_snapshot!(Sandbox::empty().run("probes weight_norm").fails_with(2), @r#"
    error: failed to find a probe named "weight_norm"; did you mean "weight_norms"?
      help: `ontogeny probes` lists what there is
    "#);
}

#[test]
fn an_unknown_command_suggests_the_nearest() {
    let text = Sandbox::empty().run("studie").fails_with(2);
    assert!(text.contains("'studies'"), "{text}");
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    for arguments in ["run skills --seeds 0", "run skills --threads 0", "fork a@1 --steps 0"] {
        let text = Sandbox::empty().run(arguments).fails_with(2);
        assert!(text.contains("0 is not in 1.."), "{text}");
    }
}

#[test]
fn an_unknown_run_suggests_the_nearest() {
    assert_snapshot!(Sandbox::with_runs().run("runs show tiny.s3").fails_with(2), @r"
    error: failed to find run tiny.s3: there is none of that name, did you mean `tiny.s0`?: ontogeny-store/runs
      help: `ontogeny runs ls` lists what there is
    ");
}

#[test]
fn a_run_cannot_have_a_name_that_leaves_the_store() {
    assert_snapshot!(Sandbox::with_runs().run("runs show ../x").fails_with(2), @r"
    error: `../x` cannot be the name of a run
      help: names have 1 to 120 letters, digits, `-`, `_` and `.`; `ontogeny runs ls` lists them
    ");
}

#[test]
fn an_unknown_series_suggests_the_nearest() {
    assert_snapshot!(Sandbox::with_runs().run("series tiny.s0 batch.los").fails_with(2), @r"
    error: no series called batch.los; did you mean batch.loss?
      help: `ontogeny series tiny.s0` lists what there is
    ");
}

#[test]
fn an_unknown_study_of_the_store_is_named() {
    let sandbox = Sandbox::with_runs();
    for command in ["report tinny", "runs ls --study tinny", "scorecard --study tinny"] {
        let text = sandbox.run(command).fails_with(2);
        assert!(text.starts_with("error: no study called tinny"), "{text}");
    }
}

#[test]
fn mistakes_are_json_where_json_was_asked_for() {
    let sandbox = Sandbox::empty();
    for (arguments, what, code) in [
        ("run skill --json", "no study called skill; did you mean skills?", 2),
        ("--json studie", "unrecognized subcommand 'studie'", 2),
        ("runs ls --json", "failed to open the store", 4),
    ] {
        let text = sandbox.run(arguments).fails_with(code);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json["error"]["what"].as_str().unwrap().starts_with(what), "{text}");
        assert_eq!(json["error"]["exit_code"], code);
        assert!(json["error"]["help"].is_string());
    }
}
