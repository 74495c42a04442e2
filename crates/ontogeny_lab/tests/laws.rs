//! The laws of the lab, on a small run that is really trained and really kept.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ontogeny_core::{
    Direction, FixedClock, RunId, RunStatus, Schedule, Seeds, Step, StopReason, ThresholdRule,
};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_lab::{
    Conductor, ForkPlan, LabError, Progress, RunPlan, RunRecord, StopRule, Unobserved, Unwatched,
    Watch, state_at,
};
use ontogeny_store::{Ledger, Store};
use ontogeny_train::models::{ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig, apply_set, parse_set};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

const PROBES: [&str; 5] =
    ["set_loss", "embedding_spectrum", "key_frequencies", "progress_measures", "weight_norms"];

fn config() -> RunConfig {
    RunConfig {
        task: TaskConfig::Modular(ModularConfig::addition(11, 0.6)),
        model: ModelConfig::Transformer(TransformerConfig::grokking(16, 2, 32)),
        init_scale: 1.0,
        objective: Objective::CrossEntropy,
        optimizer: OptimizerConfig::adamw(3e-3, 1.0),
        horizon: 200,
        lanes: LanePlan { lanes: 2, chunk_examples: 32 },
        record: RecordPlan {
            probe_every: 5,
            checkpoint_every: 40,
            probes: PROBES.iter().map(ToString::to_string).collect(),
            hash_every: 0,
        },
    }
}

fn plan(name: &str, config: RunConfig) -> RunPlan {
    let rule = ThresholdRule {
        event: "T_mem".into(),
        series: "train.accuracy".into(),
        direction: Direction::Rising,
        level: 0.9,
        persistence: 3,
    };
    RunPlan {
        id: RunId::new(name).unwrap(),
        study: None,
        role: "test".into(),
        cell: "only".into(),
        config,
        seeds: Seeds::all(4),
        fork: None,
        rules: vec![rule],
        stop: StopRule::Horizon,
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    ledger: Ledger,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(dir.path()).unwrap();
        let ledger = store.ledger();
        Self { _dir: dir, store, ledger }
    }

    fn with<'a>(&'a self, watch: &'a dyn Watch) -> Conductor<'a> {
        Conductor { store: &self.store, ledger: &self.ledger, clock: &FixedClock(0.0), watch }
    }

    fn go(&self, plan: &RunPlan) -> RunRecord {
        self.with(&Unwatched).conduct(plan, &mut Unobserved).unwrap()
    }

    fn hash(&self, run: &str, step: u64) -> String {
        state_at(&self.store, &RunId::new(run).unwrap(), Step(step)).unwrap().hash()
    }
}

/// Asks to stop after so many readings.
#[derive(Debug)]
struct StopAfter(AtomicU64);

impl Watch for StopAfter {
    fn run_progress(&self, _: &Progress<'_>) {
        let _ =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n.saturating_sub(1)));
    }

    fn should_stop(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// Readings as bits, because NaN equals itself here.
fn bits(record: &RunRecord) -> BTreeMap<String, Vec<(u64, u64)>> {
    let of = |s: &ontogeny_core::Series| {
        s.points.iter().map(|p| (p.step.0, p.value.to_bits())).collect()
    };
    record.series.iter().map(|(name, s)| (name.clone(), of(s))).collect()
}

#[test]
fn law_1_probes_are_invisible() {
    let bench = Bench::new();
    let mut blind = config();
    blind.record =
        RecordPlan { probe_every: 200, checkpoint_every: 0, probes: vec![], hash_every: 0 };
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
    assert_eq!(bits(&record), bits(&expected));
    assert_eq!(record.events, expected.events);
    assert_eq!(parts.hash("run", 200), whole.hash("run", 200));
    // What the store gives back is what was returned.
    let again = parts.go(&plan);
    assert_eq!(bits(&again), bits(&expected));
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
