//! Certified losses: known answers, gradients, bounds against everything in the box.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use ontogeny_engine::{
    Batch, Certified, CertifiedLoss, Engine, EngineError, Gradient, Inputs, LanePlan, Network,
    Objective, ReluShares, Stage,
};
use support::{
    Chain, chain_conv, chain_mlp, distance, features, images, in_unit_range, relu_mlp, tokens, wide,
};

const PLAN: LanePlan = LanePlan { lanes: 2, chunk_examples: 3 };

fn ibp(eps: f64, kappa: f64) -> Certified {
    Certified { eps, kappa, range: Some([0.0, 1.0]), ..Certified::default() }
}

fn mlp_batch(n: usize) -> Batch {
    in_unit_range(features(n, 8, 3))
}

fn conv_batch(n: usize) -> Batch {
    in_unit_range(images(n, 2, 7, 4))
}

fn loss(net: &dyn Network, at: &[f64], batch: &Batch, c: &Certified) -> CertifiedLoss {
    Engine::cpu(1).unwrap().certified_gradient_f64(net, at, batch, None, PLAN, c).unwrap().1
}

/// The `f64` gradient equals central differences of the `f64` loss, and the `f32` gradient equals it too.
#[track_caller]
fn check(net: &dyn Network, batch: &Batch, certified: &Certified) {
    let engine = Engine::cpu(1).unwrap();
    let params = net.layout().init(3, 1.0);
    let at = wide(&params);
    let whole =
        |at: &[f64]| engine.certified_gradient_f64(net, at, batch, None, PLAN, certified).unwrap();
    let (exact, parts) = whole(&at);
    let bounded = (1.0 - certified.kappa) * parts.certified;
    let total = certified.kappa * parts.natural + bounded + parts.regularizer;
    assert!((exact.loss - total).abs() < 1e-12, "{} and {total}", exact.loss);
    let h = 1e-6;
    let differences: Vec<f64> = (0..at.len())
        .map(|i| {
            let loss = |step: f64| {
                let mut moved = at.clone();
                moved[i] += step;
                whole(&moved).0.loss
            };
            (loss(h) - loss(-h)) / (2.0 * h)
        })
        .collect();
    // Truncation h² = 1e-12 and rounding 1e-16 / h = 1e-10 of losses near 1.
    assert!(distance(&exact.grad, &differences) < 1e-7, "{}", distance(&exact.grad, &differences));
    let mut single = Gradient::default();
    let f = engine
        .certified_gradient_into(net, &params, batch, None, PLAN, certified, &mut single)
        .unwrap();
    assert!((single.loss - exact.loss).abs() < 2e-6 * exact.loss.abs()); // f32 forward pass
    assert!(
        distance(&wide(&single.grad), &exact.grad) < 3e-6,
        "{}",
        distance(&wide(&single.grad), &exact.grad)
    );
    assert_eq!(f.certified_ratio, parts.certified_ratio);
    assert_eq!(single.n_correct, exact.n_correct);
}

#[test]
fn a_certified_loss_has_the_gradient_of_central_differences() {
    for kappa in [0.0, 0.3] {
        check(&chain_mlp(), &mlp_batch(7), &ibp(0.05, kappa));
        check(&chain_conv(), &conv_batch(5), &ibp(0.03, kappa));
        check(&chain_mlp(), &mlp_batch(4), &Certified { range: None, ..ibp(0.5, kappa) });
    }
}

#[test]
fn linear_bounds_have_the_gradient_of_central_differences() {
    for (kappa, crown) in [(0.0, 1.0), (0.3, 0.6)] {
        check(&chain_mlp(), &mlp_batch(7), &Certified { crown, ..ibp(0.1, kappa) });
        check(&chain_conv(), &conv_batch(5), &Certified { crown, ..ibp(0.1, kappa) });
    }
}

#[test]
fn regularizers_have_the_gradient_of_central_differences() {
    for (tightness, balance, kappa) in [(0.5, 0.0, 0.0), (0.0, 0.5, 0.3), (0.3, 0.4, 1.0)] {
        let c = Certified { tightness, balance, tau: 0.9, ..ibp(0.05, kappa) };
        let of = |net: &Chain, batch| loss(net, &wide(&net.init(3)), batch, &c).regularizer;
        let found = (of(&chain_mlp(), &mlp_batch(7)), of(&chain_conv(), &conv_batch(5)));
        assert!(found.0 > 0.01 && found.1 > 0.01, "{found:?}");
        check(&chain_mlp(), &mlp_batch(7), &c);
        check(&chain_conv(), &conv_batch(5), &c);
    }
}

/// `W = [[1, -2], [3, 1]]` (rows are inputs), `b = [0, 1]`, x = (1, 2), eps = 1/2, target 0: z = (7, 1), and
/// `|W_0 - W_1| = (3, 2)`, so the margin falls from 6 to at least 6 - 5/2.
#[test]
fn one_layer_by_hand() {
    let net = Chain::new(&[("a.w", &[2, 2]), ("a.b", &[2])], vec![Stage::dense("a")]);
    let at = [1.0, -2.0, 3.0, 1.0, 0.0, 1.0];
    let inputs = Inputs::Features { values: vec![1.0, 2.0], width: 2 };
    let batch = Batch { inputs, targets: vec![0] };
    let free = Certified { range: None, ..ibp(0.5, 0.0) };
    let found = loss(&net, &at, &batch, &free);
    assert!((found.certified - (-3.5f64).exp().ln_1p()).abs() < 1e-14, "{found:?}");
    assert!((found.natural - (-6.0f64).exp().ln_1p()).abs() < 1e-14);
    assert_eq!(found.certified_ratio, Some(1.0));
    // At eps 1.2 the margin ends exactly at 0, which is no certificate.
    assert_eq!(loss(&net, &at, &batch, &Certified { eps: 1.2, ..free }).certified_ratio, Some(0.0));
    // Cut to [0, 2], the second input can only fall: its box is [1.5, 2].
    let cut = Certified { range: Some([0.0, 2.0]), ..free };
    let margin = (1.0 - 0.5) * 3.0 + 1.5 * 2.0 - 1.0; // x1 in [.5, 1.5], x2 in [1.5, 2]: 3 x1 + 2 x2 - 1
    let found = loss(&net, &at, &batch, &cut).certified;
    assert!((found - f64::exp(-margin).ln_1p()).abs() < 1e-14);
}

/// The margins of every corner of a box.
fn corners(net: &Chain, at: &[f32], x: &[f32], eps: f32, target: u32) -> Vec<Vec<f64>> {
    let d = x.len();
    let values = (0..1usize << d).flat_map(|mask| {
        let side = move |i: usize| if mask >> i & 1 == 1 { eps } else { -eps };
        x.iter().enumerate().map(move |(i, v)| v + side(i)).collect::<Vec<_>>()
    });
    let inputs = Inputs::Features { values: values.collect(), width: d };
    let batch = Batch { inputs, targets: vec![] };
    let logits = Engine::cpu(1).unwrap().outputs(net, at, &batch, PLAN, &[]).unwrap().logits;
    let margins = |i| {
        let z = logits.row(i);
        z.iter().map(|v| f64::from(z[target as usize]) - f64::from(*v)).collect()
    };
    (0..1usize << d).map(margins).collect()
}

#[test]
fn bounds_hold_at_every_corner_and_one_affine_layer_is_tight() {
    let engine = Engine::cpu(1).unwrap();
    let one = Chain::new(&[("a.w", &[8, 3]), ("a.b", &[3])], vec![Stage::dense("a")]);
    for (net, is_tight) in [(one, true), (chain_mlp(), false)] {
        for seed in 0..5 {
            let (at, batch) = (net.init(seed), mlp_batch(6));
            for eps in [0.01, 0.1, 0.5] {
                for crown in [0.0, 0.5, 1.0] {
                    let free = Certified { range: None, crown, ..ibp(eps, 0.0) };
                    let found = engine.bounded_margins(&net, &at, &batch, PLAN, &free).unwrap();
                    let Inputs::Features { values, .. } = &batch.inputs else { unreachable!() };
                    for (i, &t) in batch.targets.iter().enumerate() {
                        let all = corners(&net, &at, &values[i * 8..][..8], eps as f32, t);
                        for (j, &bound) in found.row(i).iter().enumerate() {
                            let least = all.iter().map(|m| m[j]).fold(f64::INFINITY, f64::min);
                            let slack = least - f64::from(bound);
                            assert!(slack > -1e-4, "{least} below {bound}"); // f32 logits near 10
                            assert!(!is_tight || slack < 1e-4, "{least} above {bound}");
                            assert!(j != t as usize || bound == 0.0);
                        }
                    }
                }
            }
        }
    }
}

/// Where no ReLU switches, lines are exact; intervals are not.
#[test]
fn linear_bounds_are_tighter_than_intervals_and_exact_without_switches() {
    let (net, batch) = (chain_mlp(), mlp_batch(6));
    let engine = Engine::cpu(1).unwrap();
    let mut n_tighter = 0;
    for seed in 0..5 {
        let at = net.init(seed);
        let bounds = |eps, crown| {
            let c = Certified { range: None, crown, ..ibp(eps, 0.0) };
            engine.bounded_margins(&net, &at, &batch, PLAN, &c).unwrap()
        };
        let Inputs::Features { values, .. } = &batch.inputs else { unreachable!() };
        let (interval, line) = (bounds(1e-3, 0.0), bounds(1e-3, 1.0));
        for (i, &t) in batch.targets.iter().enumerate() {
            let all = corners(&net, &at, &values[i * 8..][..8], 1e-3, t);
            for j in (0..3).filter(|j| *j != t as usize) {
                let least = all.iter().map(|m| m[j]).fold(f64::INFINITY, f64::min);
                let slack = |b: &ontogeny_engine::Table| least - f64::from(b.row(i)[j]);
                let (loose, tight) = (slack(&interval), slack(&line));
                n_tighter += usize::from(tight < 2e-5 && loose > 1e-3);
            }
        }
    }
    assert!(n_tighter > 40, "{n_tighter} of 60"); // the others have a ReLU that switches
}

#[test]
fn a_larger_box_has_no_smaller_loss_and_a_vanishing_one_the_natural_loss() {
    for seed in 0..10 {
        let (net, batch) = (chain_mlp(), mlp_batch(7));
        let at = wide(&net.init(seed));
        let of = |eps| loss(&net, &at, &batch, &ibp(eps, 0.0));
        let natural = Engine::cpu(1)
            .unwrap()
            .gradient_f64(&net, &at, &batch, PLAN, Objective::CrossEntropy)
            .unwrap();
        assert_eq!(of(0.0).certified.to_bits(), natural.loss.to_bits());
        let mut last = of(1e-13).certified;
        assert!((last - natural.loss).abs() < 1e-10, "{last} and {}", natural.loss);
        for eps in [1e-6, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0] {
            let now = of(eps);
            // Cut to [0, 1], the boxes of 1 and of 2 are the same.
            assert!(now.certified >= last, "eps {eps}: {} after {last}", now.certified);
            assert!((now.natural - natural.loss).abs() < 1e-12);
            last = now.certified;
        }
    }
}

#[test]
fn natural_training_keeps_its_bits() {
    let engine = Engine::cpu(1).unwrap();
    let (net, batch) = (chain_conv(), conv_batch(7));
    let at = net.init(1);
    let natural = engine.gradient(&net, &at, &batch, PLAN, Objective::CrossEntropy).unwrap();
    for c in [ibp(0.0, 0.0), ibp(0.3, 1.0)] {
        let mut g = Gradient::default();
        engine.certified_gradient_into(&net, &at, &batch, None, PLAN, &c, &mut g).unwrap();
        assert_eq!(g, natural);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let plan = LanePlan { lanes: 5, chunk_examples: 2 };
    let run = |threads, net: &Chain, batch: &Batch, c: &Certified| {
        let (engine, mut g) = (Engine::cpu(threads).unwrap(), Gradient::default());
        let at = net.init(2);
        let loss = engine.certified_gradient_into(net, &at, batch, None, plan, c, &mut g).unwrap();
        (g, loss)
    };
    let regularized = Certified { tightness: 0.1, balance: 0.2, ..ibp(0.1, 0.5) };
    for c in [ibp(0.1, 0.0), ibp(0.1, 0.5), Certified { crown: 0.7, ..ibp(0.1, 0.2) }, regularized]
    {
        let (mlp, conv) =
            (run(1, &chain_mlp(), &mlp_batch(23), &c), run(1, &chain_conv(), &conv_batch(23), &c));
        for threads in [2, 3, 5] {
            assert_eq!(run(threads, &chain_mlp(), &mlp_batch(23), &c), mlp);
            assert_eq!(run(threads, &chain_conv(), &conv_batch(23), &c), conv);
        }
    }
}

/// `W1 = [[1, -1, 1]]`, `b1 = [0, -3, -1/2]`, x = 1, eps = 1/2: boxes [1/2, 3/2], [-9/2, -7/2], [0, 1] (which is on),
/// then `W2 = [[1], [5], [2]]`: radius 1/2 + 2/2.
#[test]
fn statistics_of_bounds_by_hand() {
    let stages = vec![Stage::dense("a"), Stage::Relu, Stage::dense("b")];
    let params: &[(&str, &[usize])] =
        &[("a.w", &[1, 3]), ("a.b", &[3]), ("b.w", &[3, 1]), ("b.b", &[1])];
    let net = Chain::new(params, stages);
    let at = [1.0, -1.0, 1.0, 0.0, -3.0, -0.5, 1.0, 5.0, 2.0, 0.0];
    let inputs = Inputs::Features { values: vec![1.0], width: 1 };
    let batch = Batch { inputs, targets: vec![0] };
    let of = |eps| {
        let c = Certified { range: None, ..ibp(eps, 0.0) };
        Engine::cpu(1).unwrap().bound_statistics(&net, &at, &batch, PLAN, &c).unwrap()
    };
    let found = of(0.5);
    assert_eq!((found[0].weight.as_str(), found[1].weight.as_str()), ("a.w", "b.w"));
    assert_eq!((found[0].radius, found[0].growth), (0.5, 1.0));
    let third = 1.0 / 3.0;
    assert_eq!(found[0].relu, Some(ReluShares { dead: third, active: 2.0 * third, unstable: 0.0 }));
    assert_eq!((found[1].radius, found[1].growth, found[1].relu), (1.5, 3.0, None));
    let unstable = of(1.5)[0].relu.unwrap();
    assert_eq!(unstable, ReluShares { dead: third, active: 0.0, unstable: 2.0 * third });
    assert!(of(0.0)[1].growth.is_nan());
}

#[test]
fn a_box_may_have_another_middle() {
    let (net, batch) = (chain_mlp(), mlp_batch(6));
    let at = wide(&net.init(4));
    let engine = Engine::cpu(1).unwrap();
    let Inputs::Features { values, .. } = &batch.inputs else { unreachable!() };
    let moved: Vec<f32> = values.iter().map(|v| 1.0 - v).collect();
    let inputs = Inputs::Features { values: moved.clone(), width: 8 };
    let there = Batch { inputs, targets: batch.targets.clone() };
    let c = ibp(0.05, 0.4);
    let found = engine.certified_gradient_f64(&net, &at, &batch, Some(&moved), PLAN, &c).unwrap().1;
    let (here, there) = (loss(&net, &at, &batch, &c), loss(&net, &at, &there, &c));
    assert_eq!((found.natural, found.certified), (here.natural, there.certified));
}

#[test]
fn says_why_a_network_or_a_number_cannot_be_bounded() {
    let engine = Engine::cpu(1).unwrap();
    let try_it = |net: &dyn Network, batch: &Batch, c: &Certified| {
        let at = net.layout().init(1, 1.0);
        let out = &mut Gradient::default();
        engine.certified_gradient_into(net, &at, batch, None, PLAN, c, out).unwrap_err()
    };
    let (net, batch) = (chain_mlp(), mlp_batch(3));
    let of = |c: Certified| try_it(&net, &batch, &c).to_string();
    assert_eq!(of(ibp(-0.1, 0.0)), "bound a network: eps is -0.1, but must lie in [0, ∞)");
    assert_eq!(of(ibp(f64::NAN, 0.0)), "bound a network: eps is NaN, but must lie in [0, ∞)");
    assert_eq!(of(ibp(0.1, 1.5)), "bound a network: kappa is 1.5, but must lie in [0, 1]");
    let found = try_it(&relu_mlp(), &features(3, 20, 4), &ibp(0.1, 0.0)).to_string();
    assert!(found.contains("has a layer without bounds"), "{found}");
    let mut outside = batch.clone();
    let Inputs::Features { values, .. } = &mut outside.inputs else { unreachable!() };
    values[17] = 1.25;
    assert_eq!(
        try_it(&net, &outside, &ibp(0.1, 0.0)).to_string(),
        "bound a network: input 1.25 of example 2 lies outside the range [0, 1] of inputs"
    );
    let found = try_it(&net, &tokens(3, 8, 5, 3, false), &ibp(0.1, 0.0));
    assert!(matches!(found, EngineError::TokensHaveNoGradient));
    let unlabelled = Batch { targets: vec![], ..batch.clone() };
    let found = try_it(&net, &unlabelled, &ibp(0.1, 0.0)).to_string();
    assert_eq!(found, "bound a network: 0 targets for 3 examples, one each is needed");
}
