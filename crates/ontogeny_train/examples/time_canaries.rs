//! Trains byte models on text with canaries and prints, for each size, the time of an update and how many canaries the
//! network says by heart at the end, by number of insertions.
#![expect(clippy::print_stdout, reason = "an example shows what it measures")]

use ontogeny_core::Seeds;
use ontogeny_engine::{Batch, Engine, LanePlan, Objective, Outputs, UNREAD};
use ontogeny_train::models::{Activation, ModelConfig, Norm, Positions, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::canaries::{CanariesConfig, SECRET};
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig, Trainer};
use std::sync::Arc;
use std::time::Instant;

fn config(d: usize, batch: usize, steps: u64, per_cell: usize, lr: f64, chunk: usize) -> RunConfig {
    let task =
        CanariesConfig { batch_examples: batch, ..CanariesConfig::standard(steps, per_cell) };
    RunConfig {
        task: TaskConfig::Canaries(task),
        model: ModelConfig::Transformer(TransformerConfig {
            n_layers: 2,
            d_model: d,
            n_heads: 4,
            d_mlp: 4 * d,
            activation: Activation::Gelu,
            norm: Norm::Pre,
            attention_biases: true,
            mlp_biases: true,
            positions: Positions::Learned,
            tied_embeddings: false,
            init_std: 0.0,
            compute_all_positions: false,
        }),
        init_scale: 1.0,
        objective: Objective::CrossEntropy.into(),
        optimizer: OptimizerConfig { clip_norm: Some(1.0), ..OptimizerConfig::adamw(lr, 0.01) },
        horizon: steps,
        lanes: LanePlan { lanes: 1, chunk_examples: chunk },
        record: RecordPlan::every(10, 0, &[]),
    }
}

/// Mean loss of what is asked, and which examples are right throughout.
fn said(out: &Outputs, batch: &Batch) -> (f64, Vec<bool>) {
    let (mut loss, mut right) = (0.0, Vec::new());
    let rows = out.logits.values.chunks(out.logits.cols).zip(&batch.targets);
    for (row, &t) in rows.filter(|(_, t)| **t != UNREAD) {
        let top = row.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
        let sum: f64 = row.iter().map(|v| f64::from(v - top).exp()).sum();
        loss += sum.ln() - f64::from(row[t as usize] - top);
        right.push(row[t as usize] == top);
    }
    (loss / right.len() as f64, right)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |default: f64| args.next().map_or(Ok(default), |s| s.parse::<f64>());
    let (d, batch, steps) = (next(64.0)? as usize, next(32.0)? as usize, next(300.0)? as u64);
    let (per_cell, lr, chunk) = (next(4.0)? as usize, next(2e-3)?, next(8.0)? as usize);
    let c = config(d, batch, steps, per_cell, lr, chunk);
    let TaskConfig::Canaries(task) = c.task.clone() else { return Ok(()) };
    let start = Instant::now();
    let mut t = Trainer::new(c, Seeds::all(1), Arc::new(Engine::cpu(1)?))?;
    println!("{} parameters, made in {:?}", t.state().params.len(), start.elapsed());
    let mut secs = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        t.update()?;
        secs.push(start.elapsed().as_secs_f64());
    }
    secs.sort_by(f64::total_cmp);
    println!("{:.2} ms an update (median)", 1e3 * secs[secs.len() / 2]);
    for i in 0..4 {
        let start = Instant::now();
        let out = t.evaluate(i, &[])?;
        let took = start.elapsed();
        let set = &t.task().eval_sets()[i];
        let (loss, right) = said(&out, &set.batch);
        println!("{}: {loss:.3} nats a byte, evaluated in {took:?}", set.name);
        if set.name == "canaries" {
            let whole: Vec<bool> = right.chunks(SECRET).map(|c| c.iter().all(|r| *r)).collect();
            for (name, members) in &set.groups {
                let n = members.iter().filter(|m| whole[**m as usize]).count();
                println!("  {name}: {n} of {}", members.len());
            }
        }
    }
    println!("{} canaries", task.canaries().len());
    Ok(())
}
