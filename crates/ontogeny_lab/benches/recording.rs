//! What recording costs a training: the grokking study's network, bare, with all of the study's probes at every
//! 10th step, with a checkpoint at every 10th step, and with both.
//!
//! `cargo bench -p ontogeny_lab --bench recording -- [ROUNDS]`: the four in turns, medians over the rounds.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use ontogeny_core::{FixedClock, RunId, Seeds};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_lab::{Conductor, RunPlan, StopRule, Unobserved, Unwatched};
use ontogeny_store::Store;
use ontogeny_train::models::{ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PROBES: [&str; 6] = [
    "set_loss",
    "embedding_spectrum",
    "key_frequencies",
    "progress_measures",
    "weight_norms",
    "slingshots",
];
const STEPS: u64 = 300;

fn plan(probes: &[&str], checkpoint_every: u64) -> RunPlan {
    let record = RecordPlan::every(10, checkpoint_every, probes);
    RunPlan {
        id: RunId::new("r").expect("a valid name"),
        study: None,
        role: "bench".into(),
        cell: "only".into(),
        config: RunConfig {
            task: TaskConfig::Modular(ModularConfig::addition(53, 0.4)),
            model: ModelConfig::Transformer(TransformerConfig::grokking(64, 4, 256)),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig::adamw(1e-3, 1.0),
            horizon: STEPS,
            lanes: LanePlan { lanes: 1, chunk_examples: 1124 },
            record,
        },
        seeds: Seeds::all(4),
        fork: None,
        rules: Vec::new(),
        stop: StopRule::Horizon,
    }
}

/// Milliseconds per step.
fn train(plan: &RunPlan) -> f64 {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open_or_create(dir.path()).expect("a store");
    let ledger = store.ledger();
    let conductor =
        Conductor { store: &store, ledger: &ledger, clock: &FixedClock(0.0), watch: &Unwatched };
    let start = Instant::now();
    conductor.conduct(plan, &mut Unobserved).expect("a run");
    1e3 * start.elapsed().as_secs_f64() / STEPS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(5);
    let cases = [
        ("bare", plan(&[], 0)),
        ("probes", plan(&PROBES, 0)),
        ("checkpoints", plan(&[], 10)),
        ("both", plan(&PROBES, 10)),
    ];
    let mut ms = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((_, plan), ms) in cases.iter().zip(&mut ms) {
            ms.push(train(plan));
        }
    }
    for ((name, _), of) in cases.iter().zip(&ms) {
        let ratios = of.iter().zip(&ms[0]).map(|(a, b)| a / b).collect();
        println!(
            "{name}: {:.3} ms a step, {:+.1} % of bare",
            median(of.clone()),
            100.0 * (median(ratios) - 1.0)
        );
    }
}
