//! Forecasts of runs that others trained: made, sealed, settled.

use crate::support::Sandbox;
use insta::assert_snapshot;
use std::fmt::Write as _;
use std::fs;

/// Loss `floor + a (t + 50)^-1/2` with ripples, at every 50th step until `last`.
fn log(floor: f64, a: f64, last: u64) -> String {
    let mut csv = "step,loss,lr\n".to_owned();
    for t in (0..=last).step_by(50) {
        let x = t as f64;
        let loss = floor + a / (x + 50.0).sqrt() + 0.002 * (0.013 * x + a).sin();
        writeln!(csv, "{t},{loss},{}", 1e-3 * (1.0 - x / 4000.0)).unwrap();
    }
    csv
}

/// Twelve finished runs, one that begins late and one that goes on, imported as the study `mine`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.path("logs")).unwrap();
    for i in 0..12 {
        let (floor, a) = (1.0 + 0.05 * f64::from(i % 4), 10.0 + 8.0 * f64::from(i % 5));
        fs::write(sandbox.path(&format!("logs/r{i:02}.csv")), log(floor, a, 2000)).unwrap();
    }
    fs::write(sandbox.path("logs/live.csv"), log(1.1, 25.0, 600)).unwrap();
    // One that begins after the others are asked about: nobody can learn from it.
    let late: Vec<String> = log(1.0, 20.0, 2000)
        .lines()
        .enumerate()
        .filter(|(i, _)| *i == 0 || *i > 14)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    fs::write(sandbox.path("logs/late.csv"), late.concat()).unwrap();
    sandbox.run("import logs --study mine").ok();
    sandbox
}

#[test]
fn a_run_that_goes_on_is_forecast_sealed_and_settled() {
    let sandbox = sandbox();
    let ask = "forecast logs.live --series loss --at 2000";
    let json = sandbox.run(&format!("{ask} --json")).json();
    let said = &json["forecasts"][0];
    assert_eq!(said["n_others"], 12);
    assert_eq!(said["forecast"]["cutoff"], 600);
    let names: Vec<&str> = said["forecast"]["baselines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b[0].as_str().unwrap())
        .collect();
    assert!(["climatology", "persistence", "delta"].iter().all(|b| names.contains(b)), "{names:?}");

    let sealed = sandbox.run(&format!("{ask} --seal")).ok();
    assert!(sealed.contains("sealed as mine/logs.live/auto/loss[2000]@600"), "{sealed}");
    assert_snapshot!(sandbox.run(&format!("{ask} --seal")).fails_with(2), @r"
    error: mine/logs.live/auto/loss[2000]@600 is sealed already
      help: a claim is made once; `ontogeny ledger ls` shows it
    ");
    let waits = sandbox.run("ledger score").ok();
    assert!(waits.contains("its run stands at step 600 of 2000"), "{waits}");

    // Training went on elsewhere, with another series in the log.
    let mut grown = String::new();
    for (i, line) in log(1.1, 25.0, 2000).lines().enumerate() {
        let late = [",late", ",", ",0.5"][usize::from(i > 0) + usize::from(i > 20)];
        writeln!(grown, "{line}{late}").unwrap();
    }
    fs::write(sandbox.path("logs/live.csv"), grown).unwrap();
    sandbox.run("import logs --study mine --replace").ok();
    let scored = sandbox.run("ledger score --json").json();
    assert_eq!(scored["entered"][0], "mine/logs.live/auto/loss[2000]@600");
    assert_eq!(
        (&scored["scores"][0]["n_scored"], &scored["scores"][0]["n_refused"]),
        (&1.into(), &0.into())
    );
    let again = sandbox.run("ledger score --json").json();
    assert_eq!(
        (&again["entered"], &again["differ_from_recorded"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    assert!(sandbox.run("ledger verify").ok().contains("is intact"));
    assert!(sandbox.run("scorecard --theory auto").ok().contains("loss"));

    // What is known cannot be sealed, but can be asked.
    assert_snapshot!(sandbox.run(&format!("{ask} --from 500 --seal")).fails_with(2), @r"
    error: logs.live: what is forecast has happened already, at step 2000 or before
      help: without --seal it is forecast all the same, beside what happened
    ");
    assert!(sandbox.run(&format!("{ask} --from 500")).ok().contains("what happened: 1."));
}

#[test]
fn readings_changed_after_sealing_refuse_the_forecast() {
    let sandbox = sandbox();
    sandbox.run("forecast logs.live --series loss --at 2000 --theory delta --seal").ok();
    let changed = log(1.1, 25.0, 2000).replacen("0.001", "0.002", 1);
    fs::write(sandbox.path("logs/live.csv"), changed).unwrap();
    sandbox.run("import logs --study mine --replace").ok();
    let scored = sandbox.run("ledger score").ok();
    assert!(
        scored.contains("refused") && scored.contains("prefix hash does not match"),
        "{scored}"
    );
}

#[test]
fn an_event_is_forecast_by_its_rule() {
    let sandbox = sandbox();
    let ask = "forecast logs.live --event loss<=1.7 --at 2000 --seal";
    let text = sandbox.run(ask).ok();
    assert!(
        text.contains("step of loss<=1.7, by step 2000") && text.contains("P(never)"),
        "{text}"
    );
    fs::write(sandbox.path("logs/live.csv"), log(1.1, 25.0, 2000)).unwrap();
    sandbox.run("import logs --study mine --replace").ok();
    let scored = sandbox.run("ledger score").ok();
    assert!(scored.contains("between steps") && scored.contains("1 outcome entered"), "{scored}");
}

#[test]
fn a_forecast_can_be_drawn() {
    let sandbox = sandbox();
    let text = sandbox
        .run("forecast logs.live --series loss --at 2000 --theory delta --figure f.svg")
        .ok();
    assert!(text.contains("drawn in f.svg"), "{text}");
    let svg = fs::read_to_string(sandbox.path("f.svg")).unwrap();
    assert!(svg.contains("read up to here") && svg.contains("forecast"));
    assert_snapshot!(
        sandbox.run("forecast logs.live --series loss --at 2000 --theory delta --figure f.jpg").fails_with(2),
        @r"
    error: f.jpg is neither .svg nor .png
      help: name the figure FILE.svg or FILE.png
    "
    );
}

#[test]
fn what_cannot_be_asked_is_said() {
    let sandbox = sandbox();
    let says = |arguments: &str| sandbox.run(arguments).fails_with(2);
    assert_snapshot!(says("forecast logs.live --series los --at 2000"), @r"
    error: no series of logs.live called los; did you mean loss?
      help: `ontogeny series logs.live` lists them
    ");
    assert_snapshot!(says("forecast logs.live --series loss --at 600"), @r"
    error: logs.live is read up to step 600, so step 600 is not its future
      help: choose a later step with --at, or an earlier one to read to with --from
    ");
    assert_snapshot!(says("forecast logs.live --series loss --alone"), @r"
    error: logs.live: no other run says where it will end
      help: say with --at for which step it is to be forecast
    ");
    assert_snapshot!(says("forecast logs.live --event loss=1 --at 2000"), @r"
    error: `loss=1` is not an event
      help: write SERIES>=LEVEL or SERIES<=LEVEL, e.g. 'test_accuracy>=0.95' or 'loss<=2 for 5'
    ");
    assert!(says("forecast logs.live --series loss --theory delt").contains("did you mean delta?"));
    assert!(
        says("forecast logs.live --series loss --theory eta-lambda")
            .contains("no run has the feature ln_lr")
    );
    assert!(says("forecast logs.live --series loss --with nobody").contains("nobody"));
}
