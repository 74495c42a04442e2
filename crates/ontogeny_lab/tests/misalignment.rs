//! The misalignment study at a reduced size, from documents to findings, and its laws.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;

use bench::{Bench, bits, quiet_plan as plan, small_study, tables};
use ontogeny_core::{LedgerBody, Step, Target};
use ontogeny_lab::{ForkPlan, RunPlan, Unwatched};
use ontogeny_train::models::{Activation, ModelConfig, Norm, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::personas::PersonasConfig;
use ontogeny_train::{RunConfig, apply_set};
use serde_json::json;

fn config() -> RunConfig {
    let mut task = PersonasConfig::standard(1.0, 0.3, 30, 10);
    (task.n_domains, task.n_questions, task.n_answers, task.n_items) = (3, 4, 8, 2);
    task.phases.iter_mut().for_each(|p| p.batch_examples = 8);
    let transformer = TransformerConfig {
        n_layers: 2,
        norm: Norm::Pre,
        activation: Activation::Gelu,
        ..TransformerConfig::grokking(16, 2, 32)
    };
    let mut config = RunConfig {
        task: TaskConfig::Personas(task),
        model: ModelConfig::Transformer(transformer),
        horizon: 80,
        ..bench::config()
    };
    config.record.probe_every = 20;
    config.record.probe_at = vec![30, 41, 42];
    config.record.checkpoint_every = 0;
    config.record.checkpoint_at = vec![40, 45];
    config.record.probes = ["rival_answers", "gradient_transfer"].map(str::to_owned).to_vec();
    config
}

#[test]
fn law_1_probes_of_misalignment_are_invisible() {
    let bench = Bench::new();
    let mut blind = config();
    blind.record.probes.clear();
    blind.record.probe_at.clear();
    blind.record.checkpoint_at.clear();
    let seeing = bench.go(&plan("seeing", config()));
    bench.go(&plan("blind", blind));
    assert_eq!(bench.hash("seeing", 80), bench.hash("blind", 80));
    assert_eq!(seeing.manifest.unread.len(), 0, "{:?}", seeing.manifest.unread);
    for name in ["other.rival_probability", "primed.rival_lead", "transfer.cosine"] {
        let steps: Vec<u64> = seeing.series[name].points.iter().map(|p| p.step.0).collect();
        assert_eq!(steps, [0, 20, 30, 40, 41, 42, 45, 60, 80], "{name}");
    }
    // Where forks are planned the state is kept.
    let kept = bench.store.run(seeing.id()).unwrap().checkpoints().unwrap();
    assert_eq!(kept, [40, 45, 80].map(Step));
}

#[test]
fn law_2_forks_are_exact_across_phases() {
    let bench = Bench::new();
    let parent = bench.go(&plan("parent", config()));
    for at in [0, 29, 40, 43, 80] {
        bench.with(&Unwatched).verify_control(parent.id(), Step(at), 100).unwrap();
    }
    let TaskConfig::Personas(task) = config().task else { panic!() };
    // The last phase cut in two is the same run; with benign items it is another.
    let fork = |name: &str, benign: f64| {
        let mut phases = task.phases.clone();
        phases[2].n_steps = 5;
        phases.push(task.phases[2].clone());
        let mut phases = json!(phases);
        phases[3]["data"]["benign_share"] = benign.into();
        let set = vec![("task.phases".to_owned(), phases)];
        let changed = apply_set(&config(), &set).unwrap();
        let origin = ForkPlan { parent: parent.id().clone(), step: Step(45), set };
        bench.go(&RunPlan { fork: Some(origin), ..plan(name, changed) })
    };
    let (same, other) = (fork("same", 0.0), fork("other", 0.25));
    assert_eq!(bench.hash("same", 80), bench.hash("parent", 80));
    assert_ne!(bench.hash("other", 80), bench.hash("parent", 80));
    assert_ne!(bits(&same.series), bits(&other.series));
}

#[test]
fn a_study_of_misalignment_goes_from_documents_to_findings() {
    let folder = tempfile::tempdir().unwrap();
    let (findings, entries) = small_study("misalignment", folder.path());
    for e in &entries {
        match &e.body {
            LedgerBody::Forecast(f) => {
                let Target::Value { series, at, .. } = &f.target else { panic!("{:?}", f.target) };
                assert!(series == "other.rival_probability" && f.sealed_at < *at, "{}", f.id);
                assert!(f.baselines.iter().any(|(name, _)| name == "persistence"), "{}", f.id);
            }
            LedgerBody::Score(s) => assert_eq!(s.refused, None, "{}", s.forecast),
            _ => {}
        }
    }
    let tables = tables(&findings);
    let arms = tables.iter().find(|t| t.columns[0] == "intervention").unwrap();
    for wanted in ["benign", "placebo", "inoculation", "other_domain", "repair_all"] {
        assert!(arms.rows.iter().any(|r| r[0] == wanted), "{wanted}: {:?}", arms.rows);
    }
    // A placebo is its parent, and the effect table says so.
    let placebo = arms.rows.iter().find(|r| r[0] == "placebo").unwrap();
    let text = serde_json::to_string(&findings.sections).unwrap();
    assert!(text.contains("exactly 0") && placebo[2] == "1");
    // What is finished is read, and nothing is entered twice.
    let (again, entries_again) = small_study("misalignment", folder.path());
    assert_eq!(entries_again.len(), entries.len());
    assert_eq!(again.headline, findings.headline);
}
