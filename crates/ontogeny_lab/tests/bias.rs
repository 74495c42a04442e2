//! The bias study at a reduced size, from drawing configurations to findings, and its laws.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;

use bench::{Bench, bits, quiet_plan as plan, small_study, tables};
use ontogeny_core::{LedgerBody, Schedule, Step, Target};
use ontogeny_lab::interventions::{intervention, within};
use ontogeny_lab::{ForkPlan, RunPlan, Unwatched};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::two_block::TwoBlockConfig;
use ontogeny_train::{OptimizerName, RunConfig, apply_set};

const PROBES: [&str; 8] = [
    "set_loss",
    "group_gap",
    "bias_amplification",
    "zhao_bias",
    "counterfactual_flip",
    "counterfactual_shift",
    "group_gradients",
    "linear_readout",
];

fn config() -> RunConfig {
    let task = TwoBlockConfig {
        majority: 0.6,
        rho: 0.7,
        k: 2,
        core_gain: 1.5,
        shortcut_gain: 2.0,
        label_noise: 0.05,
        n_train: 1024,
        batch_examples: 64,
        n_probe: 256,
        n_audit: 256,
        treatment: None,
    };
    let mut config = RunConfig {
        task: TaskConfig::TwoBlock(task),
        model: ModelConfig::Mlp(MlpConfig { widths: vec![16; 2], activation: Activation::Relu }),
        ..bench::config()
    };
    config.optimizer.name = OptimizerName::Sgd;
    config.optimizer.lr = Schedule::Constant(0.05);
    config.optimizer.weight_decay = Schedule::Constant(1e-3);
    config.record.probe_every = 200;
    config.record.probe_at = vec![1, 2, 3, 5, 8, 13, 20, 40, 100, 150];
    config.record.probes = PROBES.map(str::to_owned).to_vec();
    config
}

#[test]
fn law_1_probes_of_bias_are_invisible() {
    let bench = Bench::new();
    let mut blind = config();
    blind.record.probes.clear();
    blind.record.probe_at.clear();
    let seeing = bench.go(&plan("seeing", config()));
    bench.go(&plan("blind", blind));
    assert_eq!(bench.hash("seeing", 200), bench.hash("blind", 200));
    assert_eq!(seeing.manifest.unread.len(), 0, "{:?}", seeing.manifest.unread);
    let flips = &seeing.series["probe.flip.shortcut"].points;
    let steps: Vec<u64> = flips.iter().map(|p| p.step.0).collect();
    assert_eq!(steps, [0, 1, 2, 3, 5, 8, 13, 20, 40, 100, 150, 200]);
    // The audit split decides outcomes and informs nobody before.
    assert!(seeing.series.contains_key("audit.flip.shortcut"));
    assert!(!seeing.prefix(Step(200)).names().any(|n| n.starts_with("audit.")));
}

#[test]
fn law_2_forks_are_exact_with_momentum_and_after_a_treatment() {
    let bench = Bench::new();
    let parent = bench.go(&plan("parent", config()));
    for at in [0, 7, 100, 200] {
        bench.with(&Unwatched).verify_control(parent.id(), Step(at), 100).unwrap();
    }
    for name in ["balanced_groups", "group_dro", "errors_up", "shortcut_dropout", "last_layer"] {
        let change = (intervention(name).unwrap().set)(&config()).unwrap();
        let set = within(change, 20, 60);
        let fork = |id: &str| {
            let changed = apply_set(&config(), &set).unwrap();
            let origin = ForkPlan { parent: parent.id().clone(), step: Step(20), set: set.clone() };
            bench.go(&RunPlan { fork: Some(origin), ..plan(id, changed) })
        };
        let treated = fork(name);
        // A fork of the fork, from the middle of its window, is the fork.
        bench.with(&Unwatched).verify_control(treated.id(), Step(41), 100).unwrap();
        assert_ne!(bench.hash(name, 200), bench.hash("parent", 200), "{name}");
        let again = fork(&format!("{name}-again"));
        assert_eq!(bits(&again.series), bits(&treated.series), "{name}");
    }
}

#[test]
fn a_study_of_bias_goes_from_configurations_to_findings() {
    check_the_study(false);
}

#[test]
#[ignore = "slow: fits every forest twice"]
fn slow_a_finished_study_of_bias_is_read_again_and_enters_nothing_twice() {
    check_the_study(true);
}

fn check_the_study(again: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (findings, entries) = small_study("bias", folder.path());
    let forecasts: Vec<_> = (entries.iter())
        .filter_map(|e| if let LedgerBody::Forecast(f) = &e.body { Some(f) } else { None })
        .collect();
    assert!(forecasts.len() >= 8 * 3 * 3, "{}", forecasts.len());
    for f in &forecasts {
        let Target::Value { series, at, .. } = &f.target else { panic!("{:?}", f.target) };
        assert!(series.starts_with("audit.") && f.sealed_at < *at, "{}", f.id);
        assert!(f.baselines.iter().any(|(name, _)| name == "config-forest"), "{}", f.id);
        assert!(f.theory.fitted_on.iter().all(|r| r.as_str().contains(".fit.")));
    }
    for e in &entries {
        if let LedgerBody::Score(s) = &e.body {
            assert_eq!(s.refused, None, "{}", s.forecast);
        }
    }
    let tables = tables(&findings);
    for who in ["B0 climatology", "B1 persistence", "B2 extrapolation", "B3 config-forest"] {
        assert!(tables[0].rows.iter().any(|r| r[1] == who), "{who}: {:?}", tables[0].rows);
    }
    for who in ["B4 oracle-config", "B5 proxy-run", "B7 other seed"] {
        assert!(tables[0].rows.iter().any(|r| r[1].starts_with(who)), "{who}");
    }
    if !again {
        return;
    }
    // What is finished is read, and nothing is entered twice.
    let (again, entries_again) = small_study("bias", folder.path());
    assert_eq!(entries_again.len(), entries.len());
    assert_eq!(again.headline, findings.headline);
    let text = |f: &ontogeny_core::Findings| serde_json::to_string(&f.sections).unwrap();
    assert_eq!(text(&again), text(&findings));
}
