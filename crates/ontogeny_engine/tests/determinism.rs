//! The same bits for any number of threads, alone or in company.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use ontogeny_engine::{
    Batch, Engine, Gradient, LanePlan, Network, Objective,
    optim::{Grokfast, Hyper, OptimState, OptimizerKind},
};
use support::{
    FnNet, conv_net, decoder, distance, features, grokking, grokking_gathered, images, relu_mlp,
    tokens, wide,
};

/// FNV-1a over the weights after 40 AdamW steps.
fn hash_after_training(engine: &Engine, net: &FnNet, batch: &Batch, plan: LanePlan) -> u64 {
    let (layout, ce) = (net.layout().clone(), Objective::CrossEntropy);
    let mut params = net.init(2);
    let mut state = OptimState::new(OptimizerKind::AdamW, params.len());
    let (mut filter, mut g) = (Grokfast::default(), Gradient::default());
    let hyper = Hyper { lr: 3e-3, weight_decay: 0.1, ..Hyper::default() };
    for _ in 0..40 {
        engine.gradient_into(net, &params, batch, plan, ce, &mut g).unwrap();
        filter.filter(&mut g.grad, 2.0, 0.98);
        OptimizerKind::AdamW.update(engine, &layout, &hyper, &mut state, &mut params, &g.grad);
    }
    params.iter().fold(0xcbf2_9ce4_8422_2325, |h: u64, p| {
        (h ^ u64::from(p.to_bits())).wrapping_mul(0x100_0000_01b3)
    })
}

fn models() -> Vec<(FnNet, Batch, LanePlan)> {
    let plan = |lanes, chunk_examples| LanePlan { lanes, chunk_examples };
    vec![
        (grokking(), tokens(50, 3, 11, 11, false), plan(4, 7)),
        (decoder(), tokens(9, 20, 13, 13, true), plan(3, 2)),
        (conv_net(), images(20, 2, 6, 3), plan(5, 3)),
        (relu_mlp(), features(64, 20, 4), plan(2, 16)),
    ]
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (net, batch, plan) in models() {
        let hash =
            |threads| hash_after_training(&Engine::cpu(threads).unwrap(), &net, &batch, plan);
        let one = hash(1);
        for threads in [2, 3, 5] {
            assert_eq!(hash(threads), one, "{threads} threads");
        }
    }
}

#[test]
fn lanes_change_nothing_but_the_order_of_additions() {
    let engine = Engine::cpu(2).unwrap();
    for (net, batch, plan) in models() {
        let params = net.init(2);
        let whole = LanePlan { lanes: 1, chunk_examples: batch.n_examples() };
        let g =
            |plan| engine.gradient(&net, &params, &batch, plan, Objective::CrossEntropy).unwrap();
        let (cut, whole) = (g(plan), g(whole));
        assert!((cut.loss - whole.loss).abs() < 1e-6);
        assert!(distance(&wide(&cut.grad), &wide(&whole.grad)) < 1e-6); // f32
        assert_eq!(cut.n_correct, whole.n_correct);
        let outputs = |plan| engine.outputs(&net, &params, &batch, plan, &[]).unwrap().logits;
        let (cut, whole) =
            (outputs(plan), outputs(LanePlan { lanes: 1, chunk_examples: batch.n_examples() }));
        assert!(distance(&wide(&cut.values), &wide(&whole.values)) < 1e-6);
    }
}

#[test]
fn runs_side_by_side_do_not_disturb_each_other() {
    let models = models();
    let alone: Vec<u64> = models
        .iter()
        .map(|(net, batch, plan)| hash_after_training(&Engine::cpu(1).unwrap(), net, batch, *plan))
        .collect();
    // Engines of several threads, and one engine under several callers, all at once, over and over.
    let shared = Engine::cpu(3).unwrap();
    std::thread::scope(|scope| {
        for round in 0..8 {
            for ((net, batch, plan), alone) in models.iter().zip(&alone) {
                let shared = &shared;
                scope.spawn(move || {
                    for _ in 0..3 {
                        let own = Engine::cpu(1 + round % 3).unwrap();
                        let engine = if round % 2 == 0 { shared } else { &own };
                        assert_eq!(hash_after_training(engine, net, batch, *plan), *alone);
                    }
                });
            }
        }
    });
}

#[test]
fn looking_at_activations_changes_no_gradient() {
    let engine = Engine::cpu(2).unwrap();
    let (net, batch, plan) = models().remove(0);
    let params = net.init(2);
    let g = || engine.gradient(&net, &params, &batch, plan, Objective::CrossEntropy).unwrap();
    let before = g();
    let out = engine.outputs(&net, &params, &batch, plan, &["pattern", "resid", "none"]).unwrap();
    assert_eq!((out.taps["pattern"].rows, out.taps["pattern"].cols), (50 * 4 * 3, 3));
    assert_eq!((out.taps["resid"].rows, out.taps["resid"].cols), (150, 16));
    assert!(!out.taps.contains_key("none"));
    for (i, row) in out.taps["pattern"].values.chunks(3).enumerate() {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[i % 3 + 1..].iter().all(|p| *p == 0.0), "no query sees a later key");
    }
    assert_eq!(g(), before);
}

#[test]
fn the_gathered_model_trains_to_the_same_bits_too() {
    let (net, batch) = (grokking_gathered(), tokens(60, 3, 11, 11, false));
    let plan = LanePlan { lanes: 3, chunk_examples: 11 };
    let hash = |t| hash_after_training(&Engine::cpu(t).unwrap(), &net, &batch, plan);
    assert_eq!(hash(1), hash(2));
}
