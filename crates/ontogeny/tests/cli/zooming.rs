//! Looking closer, and the tree of runs.

use crate::support::{Sandbox, claim, conduct, plan};
use insta::assert_snapshot;
use ontogeny_core::{Curve, Schedule};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below a folder, with its bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn law_1_a_zoom_is_kept_beside_the_run_and_can_be_taken_back() {
    let sandbox = Sandbox::with_runs();
    let store = sandbox.path("ontogeny-store");
    let before = files(&store);
    let text = sandbox.run("zoom tiny.s0 --steps 23..34 --every 2").ok();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "zoom 23-34-by-2 of tiny.s0: steps 23 to 34, every 2 steps");
    // Hashes at 20, 30 and 40; at 40 nothing but the hash.
    assert!(
        lines[1].starts_with("  executed again from step 20 to 40: 3 recorded hashes of the state"),
        "{text}"
    );
    let after = files(&store);
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));

    let again = sandbox.run("zoom tiny.s0 --steps 23..34 --every 2").ok();
    assert!(again.starts_with("zoom 23-34-by-2 of tiny.s0 is there already"), "{again}");
    let listed = sandbox.run("zoom ls tiny.s0 --json").json();
    assert_eq!(listed[0]["id"], "23-34-by-2");
    assert_eq!(sandbox.run("zoom ls tiny.s1").ok().lines().count(), 1);

    let shown = sandbox.run("series tiny.s0 skills.loss --from 20 --to 34").ok();
    let table: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
    let steps: Vec<&str> = table[1..].iter().map(|row| row[0]).collect();
    assert_eq!(steps, ["20", "23", "25", "27", "29", "30", "31", "33", "34"]);
    let from: Vec<bool> = table[1..].iter().map(|row| row.last() == Some(&"23-34-by-2")).collect();
    assert_eq!(from, [false, true, true, true, true, false, true, true, true]);
    let plain = sandbox.run("series tiny.s0 skills.loss --recorded --json").json();
    assert_eq!(plain["series"][0]["points"].as_array().unwrap().len(), 7);
    let dense = sandbox.run("series tiny.s0 skills.loss --json").json();
    assert_eq!(dense["series"][0]["zoomed"].as_array().unwrap().len(), 7);
    assert_eq!(dense["series"][0]["points"].as_array().unwrap().len(), 14);
    // What is exported comes with it.
    sandbox.run("export tiny.s0 --to all").ok();
    sandbox.run("export tiny.s0 --to recorded --recorded").ok();
    let size = |to: &str| files(&sandbox.path(to)).values().map(Vec::len).sum::<usize>();
    assert!(size("all") > size("recorded"));

    let gone = sandbox.run("zoom rm tiny.s0 23-34-by-2").ok();
    assert_eq!(gone, "zoom 23-34-by-2 of tiny.s0 is gone; the run is as it was recorded\n");
    assert_eq!(files(&store), before);
    let text = sandbox.run("zoom rm tiny.s0 23-34-by-3").fails_with(2);
    assert!(text.contains("failed to find zoom 23-34-by-3 of run tiny.s0"), "{text}");
}

#[test]
fn law_4_no_peeking_what_was_sealed_is_scored_the_same_after_a_zoom() {
    let sandbox = Sandbox::with_runs();
    let store = sandbox.store();
    claim(&store, &conduct(&store, &plan(0)));
    let cards = || sandbox.run("scorecard").ok();
    let compared = || sandbox.run("compare tiny.s0 tiny.s1").ok();
    let forecast =
        || sandbox.run("forecast tiny.s0 --series skills.loss --at 60 --from 30 --json").stdout;
    let before = (cards(), compared(), forecast());
    sandbox
        .run(
            "zoom tiny.s0 --steps 0..60 --probe set_loss --probe skill_losses --probe weight_norms",
        )
        .ok();
    assert_eq!((cards(), compared(), forecast()), before);
    sandbox.run("ledger verify").ok();
}

#[test]
fn an_event_is_looked_at_from_before_it_formed() {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run("zoom tiny.s0 --around T_start --margin 5").ok();
    let row = text.lines().find(|l| l.starts_with("T_start")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>().join(" "), "T_start in (0, 0] in (0, 0]");
    let json = sandbox.run("zoom tiny.s0 --around T_start --margin 5 --json").json();
    assert_eq!((json["was_there"].clone(), json["zoom"]["to"].clone()), (true.into(), 5.into()));
    // One that never came cannot be looked at, one that is unknown has a neighbour.
    let never = sandbox.run("zoom tiny.s0 --around T_learn").fails_with(2);
    assert!(never.contains("event T_learn was not seen by step 60"), "{never}");
    let unknown = sandbox.run("zoom tiny.s0 --around T_lern").fails_with(2);
    assert!(unknown.contains("no event called T_lern; did you mean T_learn?"), "{unknown}");
}

#[track_caller]
fn refuses(arguments: &str, parts: &[&str]) {
    let sandbox = Sandbox::with_runs();
    let text = sandbox.run(arguments).fails_with(2);
    for part in parts {
        assert!(text.contains(part), "{arguments}: {text}");
    }
    assert_eq!(sandbox.run("zoom ls tiny.s0 --json").json().as_array().unwrap().len(), 0);
}

#[test]
fn a_stretch_that_does_not_exist_is_refused() {
    refuses("zoom tiny.s0 --steps 50..70", &["the last recorded hash", "is at step 60"]);
    refuses("zoom tiny.s0 --steps 20", &["`20` is no stretch of steps", "--steps 380..440"]);
    refuses("zoom tiny.s0 --steps 30..20", &["runs backwards"]);
    refuses("zoom tiny.s0", &["--steps <A..B>"]);
    refuses("zoom tiny.s0 --steps 1..2 --every 0", &["--every"]);
    refuses("zoom tiny.s0 --steps 1..2 --probe set_los", &["did you mean", "set_loss"]);
    refuses("zoom tiny.s5 --steps 1..2", &["did you mean `tiny.s0`?"]);
}

/// A store whose run says that its weight decay changed at step 33, which it did not.
fn tampered() -> Sandbox {
    let sandbox = Sandbox::with_runs();
    let path = sandbox.path("ontogeny-store/runs/tiny.s0/manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let turn = Schedule::Curve(Curve::Steps { pieces: vec![(0, 0.1), (33, 0.2)] });
    manifest["config"]["optimizer"]["weight_decay"] = serde_json::to_value(turn).unwrap();
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    sandbox
}

#[test]
fn law_2_what_is_not_the_run_is_refused_and_located() {
    let sandbox = tampered();
    let before = files(&sandbox.path("ontogeny-store"));
    // Progress comes before it.
    let said = |arguments: &str| {
        let text = sandbox.run(arguments).fails_with(3);
        text[text.find("error:").unwrap()..].to_owned()
    };
    assert_snapshot!(said("fork tiny.s0@38 --set optimizer.lr=0.01"), @r"
    error: fork tiny.s0.at38.lr-0.01 is not finished
      caused by: a replay of run tiny.s0 from step 20 is not the run: at step 35 the loss of the update that made it differs, the last equal hash is at step 30
      help: nothing was written and no effect can be reported: version and instruction set are those of the run: its configuration or its files were changed, or it was made by another build; at the checkpoint of step 40 differ params/layers.0.w (192 of 192), params/layers.0.b (16 of 16), params/layers.1.w (32 of 32), params/layers.1.b (2 of 2), optim.m/layers.0.w (192 of 192), optim.m/layers.0.b (16 of 16), 10 more
    ");
    let text = said("zoom tiny.s0 --steps 31..36");
    assert!(
        text.starts_with("error: cannot zoom into tiny.s0\n  caused by: a replay of run"),
        "{text}"
    );
    assert!(text.contains("the last equal hash is at step 30"), "{text}");
    assert_eq!(files(&sandbox.path("ontogeny-store")), before);
    // Before the turn it is the run.
    sandbox.run("zoom tiny.s0 --steps 22..29").ok();
}

#[test]
fn a_damaged_zoom_is_named_and_can_be_removed() {
    let sandbox = Sandbox::with_runs();
    sandbox.run("zoom tiny.s0 --steps 22..29").ok();
    let manifest = sandbox.path("ontogeny-store/runs/tiny.s0/zooms/22-29-by-1/manifest.json");
    fs::write(manifest, "{").unwrap();
    let text = sandbox.run("series tiny.s0 skills.loss").fails_with(3);
    assert!(text.contains("help: the run itself is not affected; `ontogeny zoom rm"), "{text}");
    sandbox.run("series tiny.s0 skills.loss --recorded").ok();
    sandbox.run("compare tiny.s0 tiny.s1").ok();
    sandbox.run("runs show tiny.s0").ok();
    sandbox.run("export tiny.s0 --to out --recorded").ok();
    let listed = sandbox.run("zoom ls tiny.s0");
    assert!(
        listed.stderr.contains("zoom 22-29-by-1 of run tiny.s0 is damaged"),
        "{}",
        listed.stderr
    );
    sandbox.run("zoom rm tiny.s0 22-29-by-1").ok();
    sandbox.run("series tiny.s0 skills.loss").ok();
}

#[test]
fn the_lineage_is_drawn_with_steps_changes_and_verified_controls() {
    let sandbox = Sandbox::with_runs();
    sandbox.run("fork tiny.s0@20 --set optimizer.lr=0.01 --name f").ok();
    sandbox.run("fork f@40 --intervention wd_off --name g").ok();
    sandbox.run("fork tiny.s0@30 --name c").ok();
    sandbox.run("zoom tiny.s0 --steps 22..29").ok();
    assert_snapshot!(sandbox.run("lineage").ok(), @r"
    tiny.s0  to step 60; fit; T_start 0; 1 zoom
    ├─ @20 f  to step 60; optimizer.lr=0.01
    │  └─ @40 g  to step 60; optimizer.weight_decay=0.0
    └─ @30 c  to step 60; no change; verified: its parent bit for bit at 4 readings
    1 run without forks
    ");
    assert!(sandbox.run("lineage g").ok().contains("g *  to step 60"));
    let json = sandbox.run("lineage f --figure tree.svg --json").json();
    let forks = &json["trees"][0]["forks"];
    assert_eq!(forks[0]["run"], "f");
    assert_eq!(forks[0]["forks"][0]["fork"]["step"], 40);
    assert_eq!(forks[1]["control"]["is_equal"], true);
    let svg = fs::read_to_string(sandbox.path("tree.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("control, verified"), "{svg}");
    sandbox.run("lineage --figure tree.png").ok();
    assert!(fs::read(sandbox.path("tree.png")).unwrap().starts_with(b"\x89PNG"));
    let text = sandbox.run("lineage --figure tree.gif").fails_with(2);
    assert!(text.contains("neither .svg nor .png"), "{text}");
    // Without its parent a fork is the first of its tree.
    fs::remove_dir_all(sandbox.path("ontogeny-store/runs/tiny.s0")).unwrap();
    let text = sandbox.run("lineage").ok();
    assert!(
        text.contains(
            "@20 f  to step 60; optimizer.lr=0.01; its parent tiny.s0 is not in the store"
        ),
        "{text}"
    );
}
