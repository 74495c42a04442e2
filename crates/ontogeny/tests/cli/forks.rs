//! Forks from the command line.

use crate::support::Sandbox;
use insta::assert_snapshot;

#[test]
fn a_control_is_its_parent_to_the_last_bit() {
    let sandbox = Sandbox::with_runs();
    // Step 30 has no checkpoint: it is replayed from the one at 20.
    let json = sandbox.run("fork tiny.s0@30 --json").json();
    assert_eq!(json["run"], "tiny.s0.at30.control");
    assert_eq!(json["set"], serde_json::json!([]));
    assert!(json["n_verified_readings"].as_u64().unwrap() >= 4);
    for row in json["comparison"]["values"].as_array().unwrap() {
        let both = &row["values"];
        assert_eq!(both["tiny.s0"], both["tiny.s0.at30.control"], "{row}");
    }
    let text = sandbox.run("fork tiny.s0@30").ok();
    assert!(text.contains("control verified"), "{text}");
    let equal = text.lines().last().unwrap();
    let (n, all) = equal.split_once(" of ").unwrap();
    assert_eq!(all, format!("{n} series are equal to the last bit"));
    // What came before the fork belongs to both.
    let start = text.lines().find(|l| l.starts_with("T_start")).unwrap();
    assert_eq!(start.split_whitespace().collect::<Vec<_>>(), ["T_start", "0", "0", "0"]);
}

#[test]
fn a_fork_makes_its_one_change_and_is_compared_with_its_parent() {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run("fork tiny.s0@20 --set optimizer.lr=0.01").ok();
    for part in [
        "fork tiny.s0.at20.lr-0.01 of tiny.s0 at step 20\ncontrol verified",
        "optimizer.lr",
        "B - A is a paired difference: tiny.s0.at20.lr-0.01 is a fork of tiny.s0 at step 20",
        "values at step 60",
        "B - A\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The parent's rules watch the fork too.
    let events = sandbox.run("runs show tiny.s0.at20.lr-0.01 --json").json()["events"].clone();
    assert_eq!(events.as_array().unwrap().len(), 2);
    let json = sandbox.run("compare tiny.s0 tiny.s0.at20.lr-0.01 --json").json();
    let keys: Vec<&str> = (json["configuration"].as_array().unwrap().iter())
        .map(|d| d["key"].as_str().unwrap())
        .collect();
    assert!(keys.iter().all(|k| k.starts_with("optimizer.lr")), "{keys:?}");
}

#[test]
fn a_fork_can_go_beyond_its_parent() {
    let sandbox = Sandbox::with_runs();
    sandbox.run("fork tiny.s0@60 --intervention wd_x2 --steps 20 --name longer").ok();
    let json = sandbox.run("runs show longer --json").json();
    assert_eq!(json["manifest"]["step"], 80);
    assert_eq!(json["manifest"]["config"]["optimizer"]["weight_decay"], 0.2);
    assert_eq!(json["manifest"]["role"], "fork");
}

#[test]
fn a_fork_of_a_fork_knows_both() {
    let sandbox = Sandbox::with_runs();
    sandbox.run("fork tiny.s0@20 --set optimizer.lr=0.01 --name f").ok();
    sandbox.run("fork f@40 --intervention wd_off --name g").ok();
    let text = sandbox.run("compare f g").ok();
    assert!(text.contains("g is a fork of f at step 40"), "{text}");
    let text = sandbox.run("fork f@10").fails_with(2);
    assert!(text.contains("f is itself a fork that began at step 20"), "{text}");
}

#[test]
fn a_dry_run_shows_the_change_and_does_nothing() {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run("fork tiny.s0@30 --set optimizer.weight_decay=0 --dry-run").ok();
    assert_snapshot!(text, @r"
    fork tiny.s0.at30.weight_decay-0 of tiny.s0 at step 30
      optimizer.weight_decay: 0.1 -> 0.0
      30 updates to make, 10 to replay before
    ");
    let json = sandbox.run("fork tiny.s0@30 --intervention wd_half --dry-run --json").json();
    assert_eq!(json["changed"][0]["to"], 0.05);
    assert_eq!(json["exists"], false);
    assert_eq!(sandbox.run("runs ls --json").json().as_array().unwrap().len(), 2);
}

#[track_caller]
fn refuses(arguments: &str, parts: &[&str]) {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run(arguments).fails_with(2);
    for part in parts {
        assert!(text.contains(part), "{arguments}: {text}");
    }
    assert_eq!(sandbox.run("runs ls --json").json().as_array().unwrap().len(), 2);
}

#[test]
fn a_step_that_does_not_exist_is_refused_with_those_that_do() {
    assert_snapshot!(Sandbox::with_runs().run("fork tiny.s0@61").fails_with(2), @r"
    error: cannot fork tiny.s0@61
      caused by: run tiny.s0 has no step 61: it ended at step 60
      help: choose a step from 0 to 60
    ");
    refuses("fork tiny.s0", &["does not say which step", "RUN@STEP"]);
    refuses("fork tiny.s0@soon", &["no number after the @"]);
    refuses("fork tiny.s0@60", &["would end at step 60, where it begins", "--steps"]);
    refuses("fork tiny.s5@20", &["there is none of that name, did you mean `tiny.s0`?"]);
}

#[test]
fn bad_keys_and_values_are_refused_with_the_reason() {
    assert_snapshot!(Sandbox::with_runs().run("fork tiny.s0@20 --set optimizer.beta2=1.5").fails_with(2), @r"
    error: cannot fork tiny.s0@20
      caused by: configuration key optimizer.beta2 is 1.5, but must lie in [0, 0.999999] (a decay of 1 never forgets)
    ");
    refuses(
        "fork tiny.s0@20 --set optimizer.wieght_decay=0",
        &["no configuration key optimizer.wieght_decay; did you mean optimizer.weight_decay?"],
    );
    refuses(
        "fork tiny.s0@20 --set optimizer.lr=fast",
        &["optimizer.lr cannot take the value \"fast\""],
    );
    refuses(
        "fork tiny.s0@20 --set optimizer.lr=-1",
        &["optimizer.lr", "value -1 lies outside [0, 10]"],
    );
    refuses("fork tiny.s0@20 --set optimizer.lr", &["expected key=value", "e.g. --set"]);
    refuses("fork tiny.s0@20 --set horizon=10", &["would end at step 10"]);
    refuses(
        "fork tiny.s0@20 --intervention wd_of",
        &["no intervention called wd_of; did you mean wd_off?"],
    );
    refuses("fork tiny.s0@20 --intervention swap_augment", &["does not apply to this run"]);
    refuses("fork tiny.s0@20 --set record.probes=[\"los\"]", &["find a probe named"]);
}

#[test]
fn a_name_that_is_taken_by_another_run_is_refused() {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run("fork tiny.s0@20 --set optimizer.lr=0.01 --name tiny.s1").fails_with(2);
    assert!(text.contains("run tiny.s1 is in the store with another"), "{text}");
}
