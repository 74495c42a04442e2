//! Fused operations against the tensor library's own, composed; with the feature `composite`.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use ontogeny_engine::{Batch, Certified, Engine, LanePlan, Network, Objective};
use support::{
    FnNet, chain_conv, chain_mlp, conv_net, decoder, distance, features, grokking,
    grokking_gathered, images, in_unit_range, relu_mlp, tanh_mlp, tokens, wide,
};

const PLAN: LanePlan = LanePlan { lanes: 2, chunk_examples: 5 };

/// Loss, gradient and outputs are those of the composed operations.
#[track_caller]
fn check(net: &FnNet, batch: &Batch) {
    let (fused, composite) = (Engine::cpu(1).unwrap(), Engine::composite().unwrap());
    let params = net.init(4);
    for objective in [Objective::CrossEntropy, Objective::Mse] {
        let g = |e: &Engine| e.gradient(net, &params, batch, PLAN, objective).unwrap();
        let (a, b) = (g(&fused), g(&composite));
        assert!((a.loss - b.loss).abs() < 1e-6 * b.loss, "{} and {}", a.loss, b.loss); // f32
        assert_eq!((a.n_correct, a.n_readouts), (b.n_correct, b.n_readouts));
        assert!(distance(&wide(&a.grad), &wide(&b.grad)) < 1e-6); // f32
        let at = wide(&params);
        let g = |e: &Engine| e.gradient_f64(net, &at, batch, PLAN, objective).unwrap();
        let (a, b) = (g(&fused), g(&composite));
        assert!((a.loss - b.loss).abs() < 1e-13 * b.loss.max(1.0)); // f64 sums of some hundred terms
        // The library's f64 erf is single precision.
        let bar = if net.layout().get("g2").is_some() { 1e-6 } else { 1e-12 };
        assert!(distance(&a.grad, &b.grad) < bar, "{}", distance(&a.grad, &b.grad));
    }
    let o = |e: &Engine| e.outputs(net, &params, batch, PLAN, &["pattern", "resid"]).unwrap();
    let (a, b) = (o(&fused), o(&composite));
    assert!(distance(&wide(&a.logits.values), &wide(&b.logits.values)) < 1e-6);
    assert!(a.taps.keys().eq(b.taps.keys()));
    for (a, b) in a.taps.values().zip(b.taps.values()) {
        assert_eq!((a.rows, a.cols), (b.rows, b.cols));
        assert!(distance(&wide(&a.values), &wide(&b.values)) < 1e-6);
    }
}

#[test]
fn fused_operations_equal_composed_ones() {
    check(&tanh_mlp(), &features(8, 5, 3));
    check(&relu_mlp(), &features(13, 20, 4));
    check(&grokking(), &tokens(17, 3, 11, 11, false));
    check(&grokking_gathered(), &tokens(17, 3, 11, 11, false));
    check(&decoder(), &tokens(9, 6, 13, 13, true));
    check(&decoder(), &tokens(3, 20, 13, 13, true)); // past the short loops
    check(&decoder(), &tokens(2, 70, 13, 13, true)); // two blocks of queries
    check(&conv_net(), &images(8, 2, 6, 3));
}

#[test]
fn gradients_of_inputs_and_activations_equal_composed_ones() {
    let (fused, composite) = (Engine::cpu(1).unwrap(), Engine::composite().unwrap());
    let (net, batch) = (relu_mlp(), features(13, 20, 4));
    let params = net.init(4);
    let ce = Objective::CrossEntropy;
    let input = |e: &Engine| e.input_gradient(&net, &params, &batch, PLAN, ce).unwrap();
    let (a, b) = (input(&fused), input(&composite));
    assert!(distance(&wide(&a.values), &wide(&b.values)) < 1e-6);
    let hidden =
        |e: &Engine| e.activation_gradients(&net, &params, &batch, PLAN, ce, &["hidden"]).unwrap();
    let (a, b) = (hidden(&fused), hidden(&composite));
    assert_eq!((a["hidden"].rows, a["hidden"].cols), (13, 16));
    assert!(distance(&wide(&a["hidden"].values), &wide(&b["hidden"].values)) < 1e-6);
}

#[test]
fn certified_losses_equal_composed_ones() {
    let (fused, composite) = (Engine::cpu(1).unwrap(), Engine::composite().unwrap());
    let check = |net: &dyn Network, batch: &Batch, c: Certified| {
        let at = wide(&net.layout().init(4, 1.0));
        let g = |e: &Engine| e.certified_gradient_f64(net, &at, batch, None, PLAN, &c).unwrap();
        let ((a, of_a), (b, of_b)) = (g(&fused), g(&composite));
        assert!((a.loss - b.loss).abs() < 1e-12, "{} and {}", a.loss, b.loss); // f64 sums
        assert_eq!(of_a.certified_ratio, of_b.certified_ratio);
        assert!(distance(&a.grad, &b.grad) < 1e-12, "{c:?}: {}", distance(&a.grad, &b.grad));
    };
    for kappa in [0.0, 0.3] {
        let ibp = Certified { eps: 0.05, kappa, range: Some([0.0, 1.0]), ..Certified::default() };
        let crown = Certified { crown: 0.6, ..ibp };
        let regularized = Certified { tightness: 0.3, balance: 0.4, tau: 0.9, ..ibp };
        for c in [ibp, crown, regularized] {
            check(&chain_mlp(), &in_unit_range(features(7, 8, 3)), c);
            check(&chain_conv(), &in_unit_range(images(5, 2, 7, 4)), c);
        }
    }
}
