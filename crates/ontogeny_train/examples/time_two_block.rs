//! Prints runs per minute of the bias study's training loop: two runs at once, one thread each. Nothing is evaluated or
//! recorded. The counterpart in PyTorch is `benches/peers/bias_runs.py`.
#![expect(clippy::print_stdout, reason = "an example shows what it measures")]

use ontogeny_core::{Schedule, Seeds};
use ontogeny_engine::{Engine, LanePlan, Objective};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::two_block::TwoBlockConfig;
use ontogeny_train::{OptimizerConfig, OptimizerName, RecordPlan, RunConfig, TrainError, Trainer};
use std::sync::Arc;
use std::time::Instant;

const UPDATES: usize = 2000;
const RUNS: usize = 3;

fn config(width: usize) -> RunConfig {
    let task = TwoBlockConfig {
        majority: 0.6,
        rho: 0.7,
        k: 3,
        core_gain: 1.5,
        shortcut_gain: 2.0,
        label_noise: 0.05,
        n_train: 4096,
        batch_examples: 128,
        n_probe: 64,
        n_audit: 64,
        treatment: None,
    };
    RunConfig {
        task: TaskConfig::TwoBlock(task),
        model: ModelConfig::Mlp(MlpConfig { widths: vec![width; 2], activation: Activation::Relu }),
        init_scale: 1.0,
        objective: Objective::CrossEntropy.into(),
        optimizer: OptimizerConfig {
            name: OptimizerName::Sgd,
            lr: Schedule::Constant(0.02),
            ..OptimizerConfig::adamw(0.02, 1e-4)
        },
        horizon: UPDATES as u64,
        lanes: LanePlan { lanes: 1, chunk_examples: 128 },
        record: RecordPlan::every(UPDATES as u64, 0, &[]),
    }
}

/// Seconds of some runs, one after another.
fn runs(width: usize, first: u64) -> Result<Vec<f64>, TrainError> {
    let engine = Arc::new(
        Engine::cpu(1)
            .map_err(|source| TrainError::Engine { step: ontogeny_core::Step(0), source })?,
    );
    let one = |seed| {
        let began = Instant::now();
        let mut t = Trainer::new(config(width), Seeds::all(seed), Arc::clone(&engine))?;
        for _ in 0..UPDATES {
            t.update()?;
        }
        Ok(began.elapsed().as_secs_f64())
    };
    (first..first + RUNS as u64).map(one).collect()
}

fn main() -> Result<(), TrainError> {
    for width in [16, 32, 64, 128] {
        let began = Instant::now();
        let mut each = std::thread::scope(|scope| {
            let other = scope.spawn(|| runs(width, 100));
            let mut mine = runs(width, 0)?;
            if let Ok(theirs) = other.join() {
                mine.extend(theirs?);
            }
            Ok::<_, TrainError>(mine)
        })?;
        let wall = began.elapsed().as_secs_f64();
        each.sort_by(f64::total_cmp);
        let (median, n) = (each[each.len() / 2], each.len() as f64);
        println!("width {width:3}: {median:.2} s a run, {:.0} runs a minute", 60.0 * n / wall);
    }
    Ok(())
}
