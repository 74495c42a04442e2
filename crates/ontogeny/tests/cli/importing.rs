//! Runs that others recorded: in, looked at, out again.

use crate::support::Sandbox;
use insta::assert_snapshot;
use std::fs;

const CSV: &str = "step,loss,acc\n0,2.5,0.1\n10,1.25,0.5\n10,1.5,0.6\n";

fn sandbox(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::empty();
    for (name, text) in files {
        let path = sandbox.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    sandbox
}

#[test]
fn an_imported_run_can_be_listed_shown_and_read() {
    let sandbox = sandbox(&[("logs/a.csv", CSV), ("logs/notes.md", "hello")]);
    assert_snapshot!(sandbox.run("import logs").ok(), @r"
    source  format  runs  series  readings  repeated  late  not finite  left out  fate
    logs/a  csv        1       2         6         2     0           0         0  imported
    1 file in no known format: logs/notes.md

    1 run imported; `ontogeny runs ls` lists them
    ");
    assert_snapshot!(sandbox.run("runs ls").ok(), @r"
    run     study  role      cell  seed  step  status   events
    logs.a  -      imported  -        0    10  settled

    1 run
    ");
    let shown = sandbox.run("runs show logs.a").ok();
    for part in ["imported.format = csv", "imported.name = logs/a", "loss"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // The last of several readings at a step counts.
    let csv = sandbox.run("series logs.a loss --csv").ok();
    assert_eq!(csv, "run_id,step,metric,value\nlogs.a,0,loss,2.5\nlogs.a,10,loss,1.5\n");
}

#[test]
fn the_same_bytes_are_imported_once() {
    let sandbox = sandbox(&[("a.csv", CSV)]);
    sandbox.run("import a.csv").ok();
    let again = sandbox.run("import a.csv").ok();
    assert!(
        again.contains("already imported") && again.contains("0 runs imported, 1 already there"),
        "{again}"
    );
    // Under another path it is still the same.
    fs::copy(sandbox.path("a.csv"), sandbox.path("b.csv")).unwrap();
    assert!(sandbox.run("import b.csv").ok().contains("already imported"));
    fs::write(sandbox.path("a.csv"), format!("{CSV}20,1,1\n")).unwrap();
    assert_snapshot!(sandbox.run("import a.csv").fails_with(2), @r"
    error: run a is in the store already, with other content
      help: --replace puts the new one in its place; or name another store with --store
    ");
    sandbox.run("import a.csv --replace").ok();
    assert_eq!(sandbox.run("runs ls --json").json()[0]["step"], 20);
}

#[test]
fn damage_leaves_nothing_behind_unless_told_to_go_on() {
    let sandbox = sandbox(&[("logs/a.csv", CSV), ("logs/b.csv", "step,x\n0,1\n1,oops\n2,3\n")]);
    assert_snapshot!(sandbox.run("import logs").fails_with(3), @r"
    error: failed to read csv: record 3 at byte 11: expected a number in `x`, found `oops`: logs/b.csv
      help: --keep-going passes over what is damaged and keeps the rest
    ");
    assert_eq!(sandbox.run("runs ls --json").json(), serde_json::json!([]));
    let json = sandbox.run("import logs --keep-going --json").json();
    assert_eq!(json["units"][1]["n_problems"], 1);
    assert_eq!(json["units"][1]["n_readings"], 2);
    assert_eq!(sandbox.run("runs ls --json").json().as_array().unwrap().len(), 2);
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = sandbox(&[("a.csv", CSV)]);
    let text = sandbox.run("import a.csv --dry-run").ok();
    assert!(text.contains("nothing was written"), "{text}");
    assert!(!sandbox.path("ontogeny-store").exists());
}

#[test]
fn mistakes_of_the_user_are_told() {
    let sandbox = sandbox(&[("a.csv", CSV), ("x.bin", "\0\0")]);
    for (arguments, code) in [
        ("import nowhere", 2),
        ("import a.csv --format excel", 2),
        ("import a.csv --pattern (", 2),
        ("import a.csv --step-from step", 2),
        ("import a.csv --study a/b", 2),
        ("import x.bin", 3),
        ("export nobody --to out", 4),
    ] {
        let text = sandbox.run(arguments).fails_with(code);
        assert!(text.starts_with("error: "), "{arguments}: {text}");
    }
}

#[test]
fn what_is_exported_can_be_imported_again() {
    let sandbox = sandbox(&[("a.csv", CSV)]);
    sandbox.run("import a.csv --study s").ok();
    let before = sandbox.run("series a --json").json();
    for format in ["csv", "parquet", "tfevents"] {
        let text =
            sandbox.run(&format!("export --study s --to out-{format} --format {format}")).ok();
        assert_eq!(text, format!("wrote 4 readings of 1 run to out-{format}\n"));
        sandbox.run(&format!("import out-{format} --store again-{format}")).ok();
        let run = format!("out-{format}.a");
        let after = sandbox.run(&format!("series {run} --json --store again-{format}")).json();
        for i in 0..2 {
            assert_eq!(after["series"][i]["points"], before["series"][i]["points"], "{format}");
        }
    }
}
