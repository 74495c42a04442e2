//! Prints the times of one update, evaluation and hash of the workhorse models, one thread.
#![expect(clippy::print_stdout, reason = "an example shows what it measures")]

use ontogeny_core::Seeds;
use ontogeny_engine::{Engine, LanePlan, Objective};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::tasks::sparse_parity::SparseParityConfig;
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig, Trainer};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chunk: usize = std::env::args().nth(1).map_or(Ok(256), |s| s.parse())?;
    let run = |task, model| RunConfig {
        task,
        model,
        init_scale: 1.0,
        objective: Objective::CrossEntropy.into(),
        optimizer: OptimizerConfig::adamw(1e-3, 1.0),
        horizon: 1000,
        lanes: LanePlan { lanes: 1, chunk_examples: chunk },
        record: RecordPlan::every(10, 0, &[]),
    };
    let modular = |p, f| TaskConfig::Modular(ModularConfig::addition(p, f));
    let grok = |d, m| ModelConfig::Transformer(TransformerConfig::grokking(d, 4, m));
    let mlp = ModelConfig::Mlp(MlpConfig { widths: vec![256], activation: Activation::Relu });
    let parity = TaskConfig::SparseParity(SparseParityConfig::zipf(0.6));
    for (name, config) in [
        ("grokking p=53", run(modular(53, 0.45), grok(64, 256))),
        ("grokking p=31", run(modular(31, 0.6), grok(48, 192))),
        ("skills", run(parity, mlp)),
    ] {
        let mut t = Trainer::new(config, Seeds::all(1), Arc::new(Engine::cpu(1)?))?;
        let mut secs: Vec<f64> = Vec::new();
        for _ in 0..200 {
            let start = Instant::now();
            t.update()?;
            secs.push(start.elapsed().as_secs_f64());
        }
        secs.sort_by(f64::total_cmp);
        let mut eval = f64::INFINITY;
        for _ in 0..50 {
            let start = Instant::now();
            t.evaluate(0, t.task().taps())?;
            eval = eval.min(start.elapsed().as_secs_f64());
        }
        let fastest = |hash: &dyn Fn() -> String| {
            let mut best = f64::INFINITY;
            for _ in 0..200 {
                let start = Instant::now();
                std::hint::black_box(hash());
                best = best.min(start.elapsed().as_secs_f64());
            }
            best * 1e3
        };
        let (params, state) = (fastest(&|| t.state().params_hash()), fastest(&|| t.state().hash()));
        println!(
            "{name}: {:.3} ms an update, {:.3} ms an evaluation, {params:.3} ms a hash of {} parameters, {state:.3} ms a \
             hash of the state",
            secs[5] * 1e3,
            eval * 1e3,
            t.state().params.len()
        );
    }
    Ok(())
}
