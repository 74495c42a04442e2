//! scratch
use ontogeny_core::{Schedule, Seeds};
use ontogeny_engine::{Engine, LanePlan, Objective};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::sparse_parity::{SparseParityConfig, Mixture};
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig, Trainer};
use std::sync::Arc;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a: Vec<f64> = std::env::args().skip(1).map(|s| s.parse().unwrap()).collect();
    let (n, m, width, batch, lr, horizon, alpha) = (a[0] as usize, a[1] as usize, a[2] as usize, a[3] as usize, a[4], a[5] as u64, a[6]);
    let mut opt = OptimizerConfig::adamw(lr, 0.0);
    opt.lr = Schedule::Constant(lr); opt.beta2 = 0.999;
    let task = SparseParityConfig { n_tasks: n, n_bits: m, batch_examples: batch, mixture: Mixture::Zipf{alpha}, ..SparseParityConfig::zipf(0.6) };
    let config = RunConfig { task: TaskConfig::SparseParity(task), model: ModelConfig::Mlp(MlpConfig { widths: vec![width], activation: Activation::Relu }), init_scale: 1.0, objective: Objective::CrossEntropy, optimizer: opt, horizon, lanes: LanePlan { lanes: 1, chunk_examples: 512 }, record: RecordPlan { probe_every: 10, checkpoint_every: 0, probes: vec![] } };
    for seed in 1..3 {
        let mut t = Trainer::new(config.clone(), Seeds::all(seed), Arc::new(Engine::cpu(1)?))?;
        let mut times = vec![0u64; n];
        let start = std::time::Instant::now();
        for s in 0..horizon {
            if s % 20 == 0 {
                let o = t.evaluate(0, &[])?;
                for (k, (_, g)) in t.task().eval_sets()[0].groups.iter().enumerate() {
                    let mut l = 0.0;
                    for &i in g { let r = o.logits.row(i as usize); let y = t.task().eval_sets()[0].batch.targets[i as usize] as usize; l += (1.0 + f64::from(r[1-y]-r[y]).exp()).ln(); }
                    if l / (g.len() as f64) < 0.3466 && times[k] == 0 { times[k] = s; }
                }
                if times.iter().all(|&x| x > 0) { break; }
            }
            t.update()?;
        }
        println!("{:?} {:.1}s", times, start.elapsed().as_secs_f64());
    }
    Ok(())
}
