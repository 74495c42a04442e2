//! Looking closer at a run: what zooms add, and what they may never touch.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;

use bench::{Bench, bits, config, plan};
use ontogeny_core::{Curve, RunId, Schedule, Step, ZoomId};
use ontogeny_lab::{
    Divergence, ForkPlan, LabError, RunPlan, RunRecord, Sign, Unwatched, Watch, ZoomPlan, Zoomed,
    refined_events, state_at,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn zoom(run: &str, from: u64, to: u64, every: u64) -> ZoomPlan {
    ZoomPlan {
        run: RunId::new(run).unwrap(),
        from: Step(from),
        to: Step(to),
        every,
        probes: None,
        checkpoints: false,
    }
}

fn made(bench: &Bench, plan: &ZoomPlan) -> Zoomed {
    bench.with(&Unwatched).zoom(plan).unwrap()
}

/// Every file below a folder, with its bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn record(bench: &Bench, run: &str) -> RunRecord {
    RunRecord::read(&bench.store.run(&RunId::new(run).unwrap()).unwrap()).unwrap()
}

#[test]
fn law_1_probes_are_invisible_a_zoom_touches_nothing_that_was_recorded() {
    let bench = Bench::new();
    bench.go(&plan("run", config()));
    let before = files(bench.store.path());
    let (sealed, hash) = (record(&bench, "run"), bench.hash("run", 63));

    let first = made(&bench, &ZoomPlan { checkpoints: true, ..zoom("run", 42, 63, 1) });
    assert!(!first.was_there);
    let m = &first.manifest;
    // From the checkpoint at 40 to the first reading at 63 or after it, with one every five steps.
    assert_eq!((m.origin, m.equal_at, m.n_hashes_equal), (Step(40), Step(65), 6));
    assert!(m.n_readings_equal > 25 && m.n_readings > 22 * 20, "{m:?}");
    let after = files(bench.store.path());
    for (path, bytes) in &before {
        assert_eq!(Some(bytes), after.get(path), "{path}");
    }
    assert!(after.len() > before.len());

    // Those who forecast and judge read what they read before, to the bit.
    let again = record(&bench, "run");
    assert_eq!(bits(&again.series), bits(&sealed.series));
    assert_eq!(again.prefix(Step(60)).hash(), sealed.prefix(Step(60)).hash());
    // From a checkpoint of the zoom, the state is the same.
    assert_eq!(bench.hash("run", 63), hash);

    let same = made(&bench, &ZoomPlan { checkpoints: true, ..zoom("run", 42, 63, 1) });
    assert!(same.was_there);
    assert_eq!(same.manifest, first.manifest);
    assert!(bench.store.verify().unwrap().is_whole());

    bench.store.remove_zoom(&m.run, &m.id).unwrap();
    let mut left = files(bench.store.path());
    left.retain(|path, _| before.contains_key(path) || !path.contains("objects"));
    assert_eq!(left, before);
    assert_eq!(bench.hash("run", 63), hash);
    let gone = bench.store.remove_zoom(&m.run, &m.id).unwrap_err().to_string();
    assert!(gone.starts_with("find zoom 42-63-by-1-checkpoints of run run"), "{gone}");
}

#[test]
fn a_zoom_reads_what_a_run_with_denser_probes_has_read() {
    let bench = Bench::new();
    bench.go(&plan("run", config()));
    let mut dense = config();
    (dense.record.probe_every, dense.record.hash_every) = (1, 1);
    bench.go(&plan("dense", dense));
    made(&bench, &zoom("run", 0, 12, 1));
    made(&bench, &zoom("run", 95, 131, 2));
    made(&bench, &zoom("run", 99, 103, 1));

    let id = RunId::new("run").unwrap();
    let (reader, expected) = (bench.store.run(&id).unwrap(), record(&bench, "dense"));
    let merged = bits(reader.all_series().unwrap());
    let expected = bits(&expected.series);
    let mut n = 0;
    for (name, points) in merged.iter().filter(|(name, _)| !name.starts_with("cost.")) {
        let theirs: BTreeMap<u64, u64> = expected[name].iter().copied().collect();
        for (step, bits) in points {
            assert_eq!(theirs.get(step), Some(bits), "{name} at {step}");
            n += 1;
        }
        assert!(points.windows(2).all(|w| w[0].0 < w[1].0), "{name}");
    }
    assert!(n > 1000, "{n}");
    // Vectors too.
    let dense = bench.store.run(&RunId::new("dense").unwrap()).unwrap();
    let name = reader.tensor_names().unwrap().swap_remove(0);
    let readings = reader.tensor(&name).unwrap();
    assert!(readings.len() > reader.recorded_tensor(&name).unwrap().len() + 20);
    for r in readings {
        assert!(dense.tensor(&name).unwrap().contains(r), "{name} at {}", r.step);
    }
    // The first zoom keeps what both have.
    let from = reader.zoomed("test.loss").unwrap();
    let of = |step| from.get(&Step(step)).map(ZoomId::as_str);
    assert_eq!(of(97), Some("95-131-by-2"));
    assert_eq!(of(98), None);
    assert_eq!(of(99), Some("95-131-by-2"));
    assert_eq!(of(102), Some("99-103-by-1"));
    assert_eq!(of(100), None, "recorded");
}

#[test]
fn a_probe_that_remembers_reads_as_if_the_run_had_been_read_there_next() {
    let bench = Bench::new();
    let mut with = config();
    with.record.probes.push("slingshots".into());
    bench.go(&plan("run", with));
    bench.go(&plan("without", config()));
    // The recorded readings come out the same, or the zoom would be refused.
    let all = made(&bench, &zoom("run", 83, 117, 1));
    assert_eq!(all.manifest.began_here, Vec::<String>::new());
    let id = RunId::new("run").unwrap();
    let series = |run: &RunId| {
        let reader = bench.store.run(run).unwrap();
        let series = reader.series("slingshots.loss_ratio").unwrap().unwrap();
        series.points.iter().map(|p| (p.step.0, p.value.to_bits())).collect::<BTreeMap<_, _>>()
    };
    let dense = series(&id);
    assert!((83..=117).all(|s| dense.contains_key(&s)), "{dense:?}");
    // How densely it is looked at does not matter for what is seen.
    bench.store.remove_zoom(&id, &all.manifest.id).unwrap();
    made(&bench, &zoom("run", 83, 117, 3));
    let sparse = series(&id);
    assert!(sparse.len() < dense.len());
    for (step, value) in sparse {
        assert_eq!(dense.get(&step), Some(&value), "{step}");
    }
    // A probe that the run did not have remembers from the first step of the zoom on.
    let probes = Some(vec!["slingshots".to_owned()]);
    let fresh = made(&bench, &ZoomPlan { probes, ..zoom("without", 83, 117, 1) });
    assert_eq!(fresh.manifest.began_here, ["slingshots"]);
    let begun = series(&RunId::new("without").unwrap());
    assert!(begun.keys().all(|&s| s > 83 && s <= 117), "{begun:?}");
}

#[test]
fn a_fork_and_a_run_that_was_interrupted_can_be_zoomed_into() {
    let bench = Bench::new();
    let run = plan("run", config());
    for stop in [2, 7, 9] {
        let watch = bench::StopAfter(stop.into());
        let stopped = bench.with(&watch).conduct(&run, &mut ontogeny_lab::Unobserved);
        assert!(matches!(stopped, Err(LabError::Stopped)));
    }
    bench.go(&run);
    let fork = ForkPlan { parent: run.id.clone(), step: Step(33), set: vec![] };
    let fork = RunPlan { fork: Some(fork), ..plan("fork", config()) };
    bench.go(&fork);
    for name in ["run", "fork"] {
        made(&bench, &zoom(name, 33, 61, 1));
    }
    let merged = |name: &str| {
        let reader = bench.store.run(&RunId::new(name).unwrap()).unwrap();
        let all = reader.all_series().unwrap()["train.loss"].clone();
        let points = all.points.into_iter().filter(|p| (33..=61).contains(&p.step.0));
        points.map(|p| (p.step.0, p.value.to_bits())).collect::<Vec<_>>()
    };
    assert_eq!(merged("run"), merged("fork"));
    assert_eq!(merged("run").len(), 29);
    let early = bench.with(&Unwatched).zoom(&zoom("fork", 30, 40, 1)).unwrap_err().to_string();
    assert_eq!(
        early,
        "run fork cannot be zoomed into from step 30 to 40: it began at step 33; zoom into its parent"
    );
}

/// A run whose manifest was changed so that its replay takes another turn at step 47.
fn tampered(hash_every: u64) -> Bench {
    let bench = Bench::new();
    let mut honest = config();
    honest.record.hash_every = hash_every;
    honest.optimizer.weight_decay = Schedule::Constant(1.0);
    let run = bench.go(&plan("run", honest));
    let mut manifest = run.manifest;
    let pieces = vec![(0, 1.0), (47, 0.5)];
    let turn = Schedule::Curve(Curve::Steps { pieces });
    manifest.config["optimizer"]["weight_decay"] = serde_json::to_value(turn).unwrap();
    bench.store.resume_run(&manifest.run).unwrap().set_manifest(&manifest).unwrap();
    bench
}

fn divergence(error: LabError) -> Divergence {
    match error {
        LabError::ReplayDiffers(d) => *d,
        other => panic!("{other}"),
    }
}

#[test]
fn law_2_forks_are_exact_a_replay_that_parts_from_its_run_is_located() {
    // The first update that differs is the one of step 47, which makes step 48.
    let id = RunId::new("run").unwrap();
    let bench = tampered(1);
    let found = divergence(state_at(&bench.store, &id, Step(60)).unwrap_err());
    assert_eq!((found.origin, found.equal_at, found.step), (Step(40), Some(Step(47)), Step(48)));
    assert_eq!(found.sign, Sign::State);
    assert_eq!(
        found.to_string(),
        "a replay of run run from step 40 is not the run: at step 48 the hash of the state \
         differs, so it is the update of step 47"
    );
    let (at, tensors) = found.located.tensors.clone().unwrap();
    assert_eq!((at, found.located.repeats), (Step(80), Some(true)));
    assert!(tensors.iter().any(|t| t.name.starts_with("params/")), "{tensors:?}");
    assert!(found.explanation().contains("its configuration or its files were changed"));

    // With a hash every five steps the loss tells it before the next hash does.
    let bench = tampered(0);
    let found = divergence(state_at(&bench.store, &id, Step(60)).unwrap_err());
    assert_eq!((found.sign, found.equal_at, found.step), (Sign::Loss, Some(Step(45)), Step(49)));
    // Before the turn everything is as it was.
    state_at(&bench.store, &id, Step(47)).unwrap();

    // And nothing is kept of a zoom or a fork across it.
    let before = files(bench.store.path());
    divergence(bench.with(&Unwatched).zoom(&zoom("run", 44, 50, 1)).unwrap_err());
    divergence(bench.with(&Unwatched).verify_control(&id, Step(46), 20).unwrap_err());
    assert_eq!(files(bench.store.path()), before);
}

#[test]
fn another_machine_is_named_as_the_cause() {
    let bench = tampered(0);
    let id = RunId::new("run").unwrap();
    let mut manifest = bench.store.run(&id).unwrap().manifest().clone();
    manifest.versions.engine = "cpu abacus".into();
    bench.store.resume_run(&id).unwrap().set_manifest(&manifest).unwrap();
    let why = divergence(state_at(&bench.store, &id, Step(60)).unwrap_err()).explanation();
    assert!(why.starts_with("the run was made with cpu abacus and this is cpu "), "{why}");
}

#[derive(Debug)]
struct StopNow;

impl Watch for StopNow {
    fn should_stop(&self) -> bool {
        true
    }
}

#[test]
fn a_zoom_that_is_stopped_leaves_nothing() {
    let bench = Bench::new();
    bench.go(&plan("run", config()));
    let before = files(bench.store.path());
    let stopped = bench.with(&StopNow).zoom(&zoom("run", 50, 60, 1)).unwrap_err();
    assert!(matches!(stopped, LabError::ReplayStopped { .. }), "{stopped}");
    let stopped = bench.with(&StopNow).verify_control(&RunId::new("run").unwrap(), Step(50), 5);
    assert!(matches!(stopped, Err(LabError::ReplayStopped { .. })));
    assert_eq!(files(bench.store.path()), before);
}

#[test]
fn a_stretch_that_was_not_recorded_is_refused() {
    let bench = Bench::new();
    bench.go(&plan("run", config()));
    let refuse = |plan| bench.with(&Unwatched).zoom(&plan).unwrap_err().to_string();
    let beyond = refuse(zoom("run", 190, 201, 1));
    assert!(beyond.contains("the last recorded hash of its state"), "{beyond}");
    assert!(beyond.ends_with("is at step 200"), "{beyond}");
    assert!(refuse(zoom("run", 9, 8, 1)).ends_with("there is no step to read"));
    assert!(refuse(zoom("run", 8, 9, 0)).ends_with("there is no step to read"));
    let unknown = ZoomPlan { probes: Some(vec!["los".into()]), ..zoom("run", 8, 9, 1) };
    assert_eq!(refuse(unknown), "choose probes");
}

#[test]
fn law_8_a_damaged_zoom_hurts_no_run() {
    let bench = Bench::new();
    bench.go(&plan("run", config()));
    let id = made(&bench, &zoom("run", 50, 60, 1)).manifest.id;
    let run = RunId::new("run").unwrap();
    let dir = bench.store.run(&run).unwrap().path().join("zooms").join(id.as_str());
    let path = dir.join("metrics/seg-000001.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let reader = bench.store.run(&run).unwrap();
    assert!(reader.recorded().is_ok());
    let merged = reader.all_series().unwrap_err().to_string();
    assert!(merged.contains("checksum does not match") && merged.contains("zooms"), "{merged}");
    assert_eq!(bench.store.verify().unwrap().problems.len(), 1);
    record(&bench, "run");
    fs::write(dir.join("manifest.json"), "{").unwrap();
    assert_eq!(bench.store.zooms(&run).unwrap().damaged.len(), 1);
    record(&bench, "run");
    bench.store.remove_zoom(&run, &id).unwrap();
    assert!(bench.store.verify().unwrap().is_whole());
}

#[test]
fn how_often_the_state_is_hashed_changes_neither_the_run_nor_what_is_sealed() {
    let bench = Bench::new();
    let at = |name: &str, hash_every| {
        let mut config = config();
        config.record.hash_every = hash_every;
        bench.go(&plan(name, config))
    };
    let (usual, often, ends) = (at("usual", 0), at("often", 3), at("ends", 1000));
    let steps = |r: &RunRecord| -> Vec<u64> {
        r.series["state.hash"].points.iter().map(|p| p.step.0).collect()
    };
    assert_eq!(steps(&usual), [0, 50, 100, 150, 200]);
    assert_eq!(steps(&often), (0..200).step_by(3).chain([200]).collect::<Vec<_>>());
    assert_eq!(steps(&ends), [0, 200]);
    assert_eq!(bench.hash("usual", 200), bench.hash("often", 200));
    let science = |r: &RunRecord| {
        bits(&r.series).into_iter().filter(|(n, _)| n != "state.hash").collect::<BTreeMap<_, _>>()
    };
    assert_eq!(science(&usual), science(&often));
    // The hash of a prefix names its run; beside that nothing tells them apart.
    let rename = |r: &RunRecord| {
        let mut r = r.clone();
        r.manifest.run = RunId::new("same").unwrap();
        r.prefix(Step(100)).hash().to_owned()
    };
    assert_eq!(rename(&usual), rename(&often));
    // Where nothing else was recorded, the hashes of the parameters are compared.
    let compared = bench.with(&Unwatched).verify_control(ends.id(), Step(97), 50).unwrap();
    assert_eq!(compared, 10);
}

#[test]
fn an_event_is_narrowed_by_a_zoom_around_it() {
    let bench = Bench::new();
    let run = bench.go(&plan("run", config()));
    let event = run.event("T_mem").unwrap().clone();
    let plan = ZoomPlan::around(&bench.store, run.id(), &event, None).unwrap();
    assert!(plan.from < event.when.seen_at().unwrap() && plan.to > event.when.seen_at().unwrap());
    made(&bench, &plan);
    let reader = bench.store.run(run.id()).unwrap();
    let refined = refined_events(&reader).unwrap().swap_remove(0);
    assert_eq!(refined.recorded, event);
    let (lo, hi) = refined.narrowed.unwrap();
    assert_eq!(hi.0 - lo.0, 1, "{refined:?}");
    // What was recorded stays.
    assert_eq!(reader.events().unwrap(), run.events);
    let never = ontogeny_core::Event {
        when: ontogeny_core::Censoring::Right { horizon: Step(200) },
        ..event
    };
    let why = ZoomPlan::around(&bench.store, run.id(), &never, None).unwrap_err().to_string();
    assert!(why.contains("event T_mem was not seen"), "{why}");
}
