//! Milliseconds per training step.
mod models;
use ontogeny_engine::{
    Engine, Objective,
    optim::{OptimState, OptimizerKind},
};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    for case in models::cases() {
        if args.len() > 1 && !args[1..].iter().any(|a| a == case.name) {
            continue;
        }
        let engine = Engine::cpu(if case.single { 1 } else { 2 }).unwrap();
        let layout = case.net.layout().clone();
        let mut params = layout.init(0, 1.0);
        let mut state = OptimState::new(OptimizerKind::AdamW, params.len());
        let mut ms = vec![];
        let (mut l0, mut l19) = (0.0, 0.0);
        for i in 0..60 {
            let t = Instant::now();
            let g = engine
                .gradient(&*case.net, &params, &case.batch, case.plan, Objective::CrossEntropy)
                .unwrap();
            OptimizerKind::AdamW.update(
                &engine,
                &layout,
                &case.hyper,
                &mut state,
                &mut params,
                &g.grad,
            );
            ms.push(t.elapsed().as_secs_f64() * 1e3);
            if i == 0 {
                l0 = g.loss;
            }
            if i == 19 {
                l19 = g.loss;
            }
        }
        ms.drain(..10);
        ms.sort_by(f64::total_cmp);
        println!(
            "{:10} median {:.3} min {:.3} ms  loss0 {l0:.6} loss19 {l19:.6} n {}",
            case.name,
            ms[ms.len() / 2],
            ms[0],
            params.len()
        );
    }
}
