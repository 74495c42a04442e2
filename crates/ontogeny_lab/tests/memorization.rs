//! The memorization study at a reduced size, from text to findings, and its laws.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;

use bench::{Bench, bits, small_study, tables};
use ontogeny_core::{LedgerBody, Seeds, Step, Target};
use ontogeny_lab::{ForkPlan, RunPlan, Unwatched};
use ontogeny_train::models::{Activation, ModelConfig, Norm, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::canaries::CanariesConfig;
use ontogeny_train::{RunConfig, apply_set, parse_set};

fn config() -> RunConfig {
    let task = CanariesConfig {
        n_bytes: 20_000,
        batch_examples: 8,
        counts: vec![1, 8],
        n_controls: 32,
        ..CanariesConfig::standard(60, 1)
    };
    let transformer = TransformerConfig {
        n_layers: 2,
        norm: Norm::Pre,
        activation: Activation::Gelu,
        ..TransformerConfig::grokking(16, 2, 32)
    };
    let mut config = RunConfig {
        task: TaskConfig::Canaries(task),
        model: ModelConfig::Transformer(transformer),
        horizon: 60,
        ..bench::config()
    };
    config.record.probe_every = 20;
    config.record.probe_at = vec![25];
    config.record.checkpoint_every = 0;
    config.record.checkpoint_at = vec![30];
    config.record.probes = ["extraction", "exposure"].map(str::to_owned).to_vec();
    config
}

fn plan(name: &str, config: RunConfig) -> RunPlan {
    RunPlan { rules: Vec::new(), seeds: Seeds::all(6), ..bench::plan(name, config) }
}

#[test]
fn law_1_probes_of_memorization_are_invisible() {
    let bench = Bench::new();
    let mut blind = config();
    blind.record.probes.clear();
    blind.record.probe_at.clear();
    blind.record.checkpoint_at.clear();
    let seeing = bench.go(&plan("seeing", config()));
    bench.go(&plan("blind", blind));
    assert_eq!(bench.hash("seeing", 60), bench.hash("blind", 60));
    assert_eq!(seeing.manifest.unread.len(), 0, "{:?}", seeing.manifest.unread);
    for name in ["valid.loss", "canaries.extractable", "controls.tested.exposure"] {
        let steps: Vec<u64> = seeing.series[name].points.iter().map(|p| p.step.0).collect();
        assert_eq!(steps, [0, 20, 25, 30, 40, 60], "{name}");
    }
    // What is read of single strings is a vector a reading, not a series a string.
    let reader = bench.store.run(seeing.id()).unwrap();
    let losses = reader.recorded_tensor("canaries.losses").unwrap();
    assert_eq!((losses.len(), losses[0].shape.as_slice()), (6, &[8][..]));
    assert!(seeing.series.len() < 60, "{}", seeing.series.len());
    // Before training every digit is a guess among 128 bytes.
    let first: f64 = losses[0].values.to_f64().iter().sum::<f64>() / (8.0 * 12.0);
    assert!((first - 128.0_f64.ln()).abs() < 0.5, "{first}");
}

#[test]
fn law_2_forks_are_exact_under_every_treatment() {
    let bench = Bench::new();
    let parent = bench.go(&plan("parent", config()));
    for at in [0, 29, 30, 60] {
        bench.with(&Unwatched).verify_control(parent.id(), Step(at), 100).unwrap();
    }
    let fork = |name: &str, set: &str| {
        let set = vec![parse_set(set).unwrap()];
        let changed = apply_set(&config(), &set).unwrap();
        let origin = ForkPlan { parent: parent.id().clone(), step: Step(30), set };
        bench.go(&RunPlan { fork: Some(origin), ..plan(name, changed) })
    };
    // What begins beyond the end of the run changes nothing.
    let same = fork("same", "task.treatments.goldfish_from=60");
    assert_eq!(bench.hash("same", 60), bench.hash("parent", 60));
    for (name, set) in [
        ("dedup", "task.treatments.dedup_from=30"),
        ("goldfish", "task.treatments.goldfish_from=30"),
        ("early", r#"task.treatments.moved={"from":30,"late":false}"#),
        ("unlearn", r#"task.treatments.unlearn={"from":30,"n_steps":5,"relearned":0.2}"#),
    ] {
        let other = fork(name, set);
        assert_ne!(bench.hash(name, 60), bench.hash("parent", 60), "{name}");
        assert_ne!(bits(&same.series), bits(&other.series), "{name}");
        bench.with(&Unwatched).verify_control(other.id(), Step(40), 100).unwrap();
    }
    // Climbing raises the loss of the canaries, which nothing else does so fast.
    let before = parent.value("canaries.sequence_loss", Step(30)).unwrap();
    let set = r#"task.treatments.unlearn={"from":30,"n_steps":30,"relearned":0}"#;
    let climbed = fork("climbed", set);
    let after = climbed.value("canaries.sequence_loss", Step(60)).unwrap();
    assert!(after > before + 10.0, "{before} {after}");
}

#[test]
fn a_study_of_memorization_goes_from_text_to_findings() {
    let folder = tempfile::tempdir().unwrap();
    let (findings, entries) = small_study("memorization", folder.path());
    let mut n_notes = 0;
    for e in &entries {
        match &e.body {
            LedgerBody::Forecast(f) => {
                let Target::Value { series, at, .. } = &f.target else { panic!("{:?}", f.target) };
                assert!(series == "canaries.extractable" && f.sealed_at < *at, "{}", f.id);
                assert!(f.baselines.iter().any(|(name, _)| name == "persistence"), "{}", f.id);
            }
            LedgerBody::Score(s) => assert_eq!(s.refused, None, "{}", s.forecast),
            LedgerBody::Note { about, text } => {
                // Everything that was said of single strings, by everybody, before the end.
                assert!(about.starts_with("per-example forecast memorization-"), "{about}");
                let note: serde_json::Value = serde_json::from_str(text).unwrap();
                assert!(note["sealed_at"].as_u64() < note["horizon"].as_u64(), "{about}");
                for who in ["forest", "duplicates-so-far", "persistence", "loss-ratio"] {
                    assert_eq!(note["said"][who].as_array().unwrap().len(), 112, "{who}");
                }
                n_notes += 1;
            }
            _ => {}
        }
    }
    assert_eq!(n_notes, 4, "one for each origin of the test run");
    let tables = tables(&findings);
    let arms = tables.iter().find(|t| t.columns[0] == "intervention").unwrap();
    for wanted in ["dedup", "goldfish", "moved_early", "moved_late", "clip", "placebo", "unlearn"] {
        assert!(arms.rows.iter().any(|r| r[0] == wanted), "{wanted}: {:?}", arms.rows);
    }
    // A placebo is its parent, and the effect table says so.
    let text = serde_json::to_string(&findings.sections).unwrap();
    assert!(text.contains("exactly 0"));
    let strings = tables.iter().find(|t| t.columns.contains(&"AUPRC".to_owned())).unwrap();
    assert!(strings.rows.iter().any(|r| r[1] == "smaller-network"), "{:?}", strings.rows);
    assert!(!findings.facts.iter().any(|f| f.0.contains("refused")), "{:?}", findings.facts);
    // What is finished is read, and nothing is entered twice.
    let (again, entries_again) = small_study("memorization", folder.path());
    assert_eq!(entries_again.len(), entries.len());
    // As text, for what was not measured is no number and equals nothing.
    assert_eq!(serde_json::to_string(&again.sections).unwrap(), text);
    assert_eq!(again.headline, findings.headline);
}
