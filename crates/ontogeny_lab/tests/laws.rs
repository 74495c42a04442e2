//! The laws of the lab, on a small run that is really trained and really kept.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;

use bench::{Bench, StopAfter, bits, config, plan};
use ontogeny_core::{RunStatus, Schedule, Step, StopReason};
use ontogeny_lab::{ForkPlan, LabError, RunPlan, RunRecord, Unobserved, Unwatched, state_at};
use ontogeny_train::{RecordPlan, apply_set, parse_set};
use std::sync::atomic::AtomicU64;

#[test]
fn law_1_probes_are_invisible() {
    let bench = Bench::new();
    let mut blind = config();
    blind.record = RecordPlan::every(200, 0, &[]);
    let seeing = bench.go(&plan("seeing", config()));
    bench.go(&plan("blind", blind));
    assert_eq!(bench.hash("seeing", 200), bench.hash("blind", 200));
    assert!(seeing.series.len() > 20, "{:?}", seeing.series.keys());
}

#[test]
fn law_2_forks_are_exact_a_control_reproduces_its_parent() {
    let bench = Bench::new();
    let parent = bench.go(&plan("parent", config()));
    // Between checkpoints, at one, and before the first: replayed from the nearest one before, or the start.
    for at in [3, 40, 97] {
        let conductor = bench.with(&Unwatched);
        assert!(conductor.verify_control(parent.id(), Step(at), 100).unwrap() >= 20);
        let fork = ForkPlan { parent: parent.id().clone(), step: Step(at), set: vec![] };
        let control = RunPlan { fork: Some(fork), ..plan(&format!("control-{at}"), config()) };
        let control = bench.go(&control);
        assert_eq!(bench.hash("parent", 200), bench.hash(control.id().as_str(), 200));
        let (mine, theirs) =
            (&control.series["state.fingerprint"], &parent.series["state.fingerprint"]);
        let shared = mine.points.iter().filter(|p| p.step.0.is_multiple_of(5));
        for p in shared {
            assert_eq!(theirs.at_or_before(p.step).unwrap(), *p);
        }
    }
    let last = state_at(&bench.store, parent.id(), Step(201)).unwrap_err();
    assert_eq!(last.to_string(), "run parent has no step 201: it ended at step 200");
}

#[test]
fn law_2_forks_are_exact_a_control_that_differs_is_refused() {
    let bench = Bench::new();
    let parent = bench.go(&plan("parent", config()));
    // The same readings under a manifest that says something else: the replay cannot match.
    let mut manifest = parent.manifest.clone();
    manifest.config["optimizer"]["weight_decay"] = 0.5.into();
    bench.store.resume_run(parent.id()).unwrap().set_manifest(&manifest).unwrap();
    let error = bench.with(&Unwatched).verify_control(parent.id(), Step(45), 100).unwrap_err();
    assert!(matches!(error, LabError::ReplayDiffers { .. }), "{error}");
}

#[test]
fn law_2_forks_are_exact_resume_equals_never_having_stopped() {
    let (whole, parts) = (Bench::new(), Bench::new());
    let plan = plan("run", config());
    let expected = whole.go(&plan);
    for stop in [1, 3, 11, 20] {
        let watch = StopAfter(AtomicU64::new(stop));
        let result = parts.with(&watch).conduct(&plan, &mut Unobserved);
        assert!(matches!(result, Err(LabError::Stopped)), "{result:?}");
    }
    let record = parts.go(&plan);
    assert_eq!(bits(&record.series), bits(&expected.series));
    assert_eq!(record.events, expected.events);
    assert_eq!(parts.hash("run", 200), whole.hash("run", 200));
    // What the store gives back is what was returned.
    let again = parts.go(&plan);
    assert_eq!(bits(&again.series), bits(&expected.series));
    assert_eq!(again.events, expected.events);
}

#[test]
fn a_run_of_the_same_name_with_another_configuration_is_not_overwritten() {
    let bench = Bench::new();
    bench.go(&plan("run", config()));
    let set = [parse_set("optimizer.weight_decay=0").unwrap()];
    let other = plan("run", apply_set(&config(), &set).unwrap());
    let error = bench.with(&Unwatched).conduct(&other, &mut Unobserved).unwrap_err();
    assert!(error.to_string().contains("another configuration"), "{error}");
}

#[test]
fn a_run_that_diverges_is_recorded_and_the_grid_goes_on() {
    let bench = Bench::new();
    let mut wild = config();
    wild.init_scale = 100.0;
    wild.optimizer.lr = Schedule::Constant(10.0);
    wild.optimizer.weight_decay = Schedule::Constant(100.0);
    let plans = [plan("wild", wild), plan("calm", config())];
    let conductor = bench.with(&Unwatched);
    let records = conductor.conduct_all("both", &plans, 2, &|_| Box::new(Unobserved)).unwrap();
    let done = |r: &RunRecord| r.manifest.status.clone();
    assert!(
        matches!(done(&records[0]), RunStatus::Done { reason: StopReason::Diverged { .. } }),
        "{:?}",
        done(&records[0])
    );
    assert_eq!(done(&records[1]), RunStatus::Done { reason: StopReason::Horizon });
}
