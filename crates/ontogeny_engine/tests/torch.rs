//! Losses, gradients and updates against PyTorch; the fixture is made by benches/peers/torch_reference.py.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use std::collections::BTreeMap;

use ontogeny_engine::{
    Batch, Engine, Init, Inputs, LanePlan, Layout, Network, Objective, ParamSpec,
    optim::{Hyper, OptimState, OptimizerKind},
};
use serde::Deserialize;
use support::{FnNet, conv_net, decoder, distance, grokking, relu_mlp, wide};

#[derive(Deserialize)]
struct Reference {
    models: BTreeMap<String, Model>,
    optimizers: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct Model {
    losses: Vec<f64>,
    mse: f64,
    n_correct: usize,
    grad: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("fixtures/torch.json")).unwrap()
}

/// The script's formula of weights and inputs.
fn chirp(n: usize, scale: f64) -> Vec<f32> {
    let at = |i: f64| (scale * (0.37 * i * i + i).sin()) as f32;
    (0..n).map(|i| at(i as f64)).collect()
}

fn tokens(n: usize, n_ctx: usize, vocab: u64) -> Inputs {
    let id = |i: u64| ((i * i * 7 + i * 3) % vocab) as u32;
    Inputs::Tokens { ids: (0..(n * n_ctx) as u64).map(id).collect(), n_ctx }
}

#[track_caller]
fn check(name: &str, net: &FnNet, inputs: Inputs, readouts: u64, classes: u64) {
    let Model { losses, mse, n_correct, grad } = reference().models.remove(name).unwrap();
    let target = |i: u64| ((i * i * 5 + 2 * i) % classes) as u32;
    let batch = Batch { inputs, targets: (0..readouts).map(target).collect() };
    let (engine, layout) = (Engine::cpu(2).unwrap(), net.layout().clone());
    let plan = LanePlan { lanes: 2, chunk_examples: 3 };
    let hyper = Hyper { lr: 1e-2, weight_decay: 0.5, beta2: 0.98, ..Hyper::default() };
    let mut params = chirp(layout.len(), 0.4);
    let mut state = OptimState::new(OptimizerKind::AdamW, layout.len());
    let error = engine.gradient(net, &params, &batch, plan, Objective::Mse).unwrap();
    assert!((error.loss / mse - 1.0).abs() < 1e-5);
    for (step, loss) in losses.iter().enumerate() {
        let g = engine.gradient(net, &params, &batch, plan, Objective::CrossEntropy).unwrap();
        // The reference is double precision, this is single.
        assert!((g.loss / loss - 1.0).abs() < 1e-5, "{name} step {step}: {} and {loss}", g.loss);
        if step == 0 {
            assert_eq!(g.n_correct, n_correct);
            assert!(distance(&wide(&g.grad), &grad) < 1e-5, "{name}");
        }
        OptimizerKind::AdamW.update(&engine, &layout, &hyper, &mut state, &mut params, &g.grad);
    }
}

#[test]
fn four_model_families_lose_and_learn_as_in_pytorch() {
    check("grokking", &grokking(), tokens(20, 3, 12), 20, 11);
    check("decoder", &decoder(), tokens(4, 20, 13), 80, 13);
    let pixels = Inputs::Images { values: chirp(576, 1.0), channels: 2, height: 6, width: 6 };
    check("conv", &conv_net(), pixels, 8, 3);
    check("mlp", &relu_mlp(), Inputs::Features { values: chirp(600, 1.0), width: 20 }, 30, 4);
}

#[test]
fn every_optimizer_updates_as_in_pytorch() {
    let expected = reference().optimizers;
    let engine = Engine::cpu(1).unwrap();
    let layout = Layout::new(vec![ParamSpec::new("p", &[8], Init::Zeros)]);
    let adam = Hyper { lr: 0.01, weight_decay: 0.3, beta2: 0.98, ..Hyper::default() };
    let plain = Hyper { lr: 0.1, weight_decay: 0.3, momentum: 0.8, ..Hyper::default() };
    for (name, kind, hyper) in [
        ("adamw", OptimizerKind::AdamW, adam),
        ("adam", OptimizerKind::Adam, adam),
        ("sgd", OptimizerKind::Sgd, plain),
        ("momentum", OptimizerKind::Momentum, plain),
    ] {
        let (mut p, mut state) = (chirp(8, 1.0), OptimState::new(kind, 8));
        for g in chirp(32, 0.5).chunks(8) {
            kind.update(&engine, &layout, &hyper, &mut state, &mut p, g);
        }
        // Both sides are single precision; the last bits depend on fused multiply-adds.
        assert!(distance(&wide(&p), &wide(&expected[name])) < 2e-7, "{name}: {p:?}");
        assert_eq!(state.t, 4);
    }
}
