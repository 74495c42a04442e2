//! Gradients against what they must be.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use ontogeny_engine::{Batch, Engine, EngineError, Inputs, LanePlan, Network, Objective, UNREAD};
use support::{
    FnNet, conv_net, decoder, distance, features, grokking, grokking_gathered, images, relu_mlp,
    tanh_mlp, tokens, wide,
};

const PLAN: LanePlan = LanePlan { lanes: 2, chunk_examples: 3 };

/// The `f64` gradient equals central differences of the `f64` loss, and the `f32` gradient equals it too.
#[track_caller]
fn check(net: &FnNet, batch: &Batch, objective: Objective) {
    let engine = Engine::cpu(1).unwrap();
    let params = net.init(3);
    let at = wide(&params);
    let exact = engine.gradient_f64(net, &at, batch, PLAN, objective).unwrap();
    let h = 1e-5;
    let differences: Vec<f64> = (0..at.len())
        .map(|i| {
            let loss = |step: f64| {
                let mut moved = at.clone();
                moved[i] += step;
                engine.gradient_f64(net, &moved, batch, PLAN, objective).unwrap().loss
            };
            (loss(h) - loss(-h)) / (2.0 * h)
        })
        .collect();
    // Truncation h² and rounding 1e-16 / h are both near 1e-10 of losses near 1.
    assert!(distance(&exact.grad, &differences) < 1e-7, "{}", distance(&exact.grad, &differences));
    let single = engine.gradient(net, &params, batch, PLAN, objective).unwrap();
    assert!((single.loss - exact.loss).abs() < 1e-6 * exact.loss.abs()); // f32 forward pass
    assert!(distance(&wide(&single.grad), &exact.grad) < 2e-6); // f32 sums of some hundred terms
    assert_eq!(single.n_correct, exact.n_correct);
}

#[test]
fn an_mlp_has_the_gradient_of_central_differences() {
    check(&tanh_mlp(), &features(8, 5, 3), Objective::CrossEntropy);
    check(&tanh_mlp(), &features(7, 5, 3), Objective::Mse);
    check(&relu_mlp(), &features(7, 20, 4), Objective::CrossEntropy);
}

#[test]
fn a_transformer_has_the_gradient_of_central_differences() {
    check(&grokking(), &tokens(7, 3, 11, 11, false), Objective::CrossEntropy);
    check(&decoder(), &tokens(4, 6, 13, 13, true), Objective::CrossEntropy);
    check(&decoder(), &tokens(3, 20, 13, 13, true), Objective::Mse); // past the short loops
    check(&decoder(), &tokens(2, 70, 13, 13, true), Objective::CrossEntropy); // two query blocks
}

#[test]
fn a_conv_net_has_the_gradient_of_central_differences() {
    check(&conv_net(), &images(4, 2, 6, 3), Objective::CrossEntropy);
}

#[test]
fn gathering_keys_equals_computing_every_position() {
    let mut batch = tokens(10, 3, 11, 11, false);
    let ontogeny_engine::Inputs::Tokens { ids, .. } = &mut batch.inputs else { unreachable!() };
    for last in ids.iter_mut().skip(2).step_by(3) {
        *last = 11;
    }
    check(&grokking_gathered(), &batch, Objective::CrossEntropy);
    let engine = Engine::cpu(1).unwrap();
    let (all, gathered) = (grokking(), grokking_gathered());
    let at = wide(&all.init(1));
    let g = |net: &dyn Network| {
        engine.gradient_f64(net, &at, &batch, PLAN, Objective::CrossEntropy).unwrap()
    };
    let (all, gathered) = (g(&all), g(&gathered));
    assert!((all.loss - gathered.loss).abs() < 1e-12);
    assert!(distance(&gathered.grad, &all.grad) < 1e-12);
}

#[test]
fn readouts_without_a_target_count_for_nothing() {
    let engine = Engine::cpu(1).unwrap();
    let net = tanh_mlp();
    let params = wide(&net.init(3));
    let all = features(8, 5, 3);
    let mut masked = all.clone();
    for i in [0, 3, 7] {
        masked.targets[i] = UNREAD;
    }
    let left: Vec<usize> = (0..8).filter(|i| masked.targets[*i] != UNREAD).collect();
    let Inputs::Features { values, width } = &all.inputs else { unreachable!() };
    let fewer = Batch {
        inputs: Inputs::Features {
            values: left.iter().flat_map(|i| values[i * width..(i + 1) * width].to_vec()).collect(),
            width: *width,
        },
        targets: left.iter().map(|&i| all.targets[i]).collect(),
    };
    for objective in [Objective::CrossEntropy, Objective::Mse] {
        let a = engine.gradient_f64(&net, &params, &masked, PLAN, objective).unwrap();
        let b = engine.gradient_f64(&net, &params, &fewer, PLAN, objective).unwrap();
        assert!((a.loss - b.loss).abs() < 1e-14 && distance(&a.grad, &b.grad) < 1e-14);
        assert_eq!((a.n_correct, a.n_readouts), (b.n_correct, 5));
    }
    check(&net, &masked, Objective::CrossEntropy);
    let mut positions = tokens(4, 6, 13, 13, true);
    positions.targets.iter_mut().step_by(2).for_each(|t| *t = UNREAD);
    check(&decoder(), &positions, Objective::CrossEntropy);
    masked.targets.fill(UNREAD);
    let none = engine.gradient_f64(&net, &params, &masked, PLAN, Objective::CrossEntropy);
    assert!(matches!(none, Err(EngineError::NoTargets)));
}
