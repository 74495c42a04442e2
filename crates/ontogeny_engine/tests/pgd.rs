//! The attack finds what is there, and says when it could not look.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use ontogeny_engine::{Attack, Batch, Engine, EngineError, Inputs, LanePlan, pixel_range};
use support::{FnNet, features, relu_mlp};

const PLAN: LanePlan = LanePlan { lanes: 2, chunk_examples: 3 };

fn attack(eps: f64) -> Attack {
    Attack { eps, n_steps: 20, n_restarts: 3 }
}

/// Logits `x W`.
fn linear() -> FnNet {
    FnNet::new(&[("w", &[4, 3])], |lane, chunk, _| {
        lane.features(chunk).linear(&lane.param("w"), None)
    })
}

fn batch(n: usize, width: usize, classes: u64) -> Batch {
    let mut batch = features(n, width, classes);
    let Inputs::Features { values, .. } = &mut batch.inputs else { unreachable!() };
    for v in values.iter_mut() {
        *v = v.abs().fract();
    }
    batch
}

fn values(batch: &Batch) -> &[f32] {
    let Inputs::Features { values, .. } = &batch.inputs else { unreachable!() };
    values
}

#[test]
fn of_a_linear_network_the_attack_finds_the_least_margin_there_is() {
    let (engine, net, batch) = (Engine::cpu(1).unwrap(), linear(), batch(11, 4, 3));
    let params = net.init(3);
    let eps = 0.2;
    let found = engine.attack(&net, &params, &batch, PLAN, attack(eps)).unwrap();
    for i in 0..11 {
        let y = batch.targets[i] as usize;
        let x = &values(&batch)[4 * i..4 * i + 4];
        // Each pixel at its worse end, for each other class.
        let worst = (0..3).filter(|j| *j != y).map(|j| {
            let terms = x.iter().enumerate().map(|(k, v)| {
                let d = f64::from(params[3 * k + y]) - f64::from(params[3 * k + j]);
                let [low, high] = pixel_range(*v, eps).map(f64::from);
                d * if d < 0.0 { high } else { low }
            });
            terms.sum::<f64>()
        });
        let least = worst.fold(f64::INFINITY, f64::min);
        // Examples that are broken are not attacked further.
        assert!(found.margins[i] >= least - 1e-5, "{i}");
        assert!(found.margins[i] <= 0.0 || found.margins[i] < least + 1e-5, "{i}: {least}");
        assert_eq!(found.margins[i] > 0.0, least > 0.0, "{i}");
    }
    assert!(found.is_blind.iter().zip(&found.margins).all(|(blind, m)| !blind || *m <= 0.0));
    assert!(found.accuracy().is_some());
}

#[test]
fn worst_images_stay_in_their_box_and_have_the_margin_that_is_said() {
    let (engine, net, batch) = (Engine::cpu(1).unwrap(), relu_mlp(), batch(9, 20, 4));
    let params = net.init(1);
    let found = engine.attack(&net, &params, &batch, PLAN, attack(0.05)).unwrap();
    for (v, at) in values(&batch).iter().zip(&found.worst) {
        let [low, high] = pixel_range(*v, 0.05);
        assert!((low..=high).contains(at));
    }
    let worst = Batch { inputs: Inputs::Features { values: found.worst, width: 20 }, ..batch };
    let out = engine.outputs(&net, &params, &worst, PLAN, &[]).unwrap();
    for i in 0..9 {
        let (row, y) = (out.logits.row(i), worst.targets[i] as usize);
        let rival = (0..4).filter(|j| *j != y).map(|j| row[j]).fold(f32::NEG_INFINITY, f32::max);
        let margin = f64::from(row[y]) - f64::from(rival);
        assert!((margin - found.margins[i]).abs() < 1e-5, "{i}: {margin} {}", found.margins[i]);
    }
}

#[test]
fn more_room_never_helps_the_defender_much_and_none_leaves_the_example() {
    let (engine, net, batch) = (Engine::cpu(1).unwrap(), relu_mlp(), batch(40, 20, 4));
    let params = net.init(2);
    let at = |eps| engine.attack(&net, &params, &batch, PLAN, attack(eps)).unwrap();
    let (none, some, all) = (at(0.0), at(0.05), at(0.5));
    assert_eq!(none.worst, values(&batch));
    let right = |a: &ontogeny_engine::Attacked| a.margins.iter().filter(|m| **m > 0.0).count();
    assert!(right(&none) >= right(&some) && right(&some) >= right(&all));
    assert!(right(&none) > right(&all), "the attack breaks nothing: the test says nothing");
}

#[test]
fn any_number_of_threads_finds_the_same_bits() {
    let (net, batch) = (relu_mlp(), batch(17, 20, 4));
    let params = net.init(5);
    let of = |threads| {
        Engine::cpu(threads).unwrap().attack(&net, &params, &batch, PLAN, attack(0.1)).unwrap()
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn a_network_without_gradient_is_called_blind_and_has_no_accuracy() {
    // Every hidden unit is off: the logits are the constants.
    let net = FnNet::new(
        &[("w1", &[4, 5]), ("b1", &[5]), ("w2", &[5, 2]), ("b2", &[2])],
        |lane, chunk, _| {
            let h = lane.features(chunk).linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
            h.linear(&lane.param("w2"), Some(&lane.param("b2")))
        },
    );
    let mut params = net.init(1);
    params[20..25].fill(-100.0);
    params[35..].copy_from_slice(&[1.0, 0.0]);
    let mut batch = batch(6, 4, 2);
    batch.targets = vec![0, 1, 0, 1, 0, 1];
    let engine = Engine::cpu(1).unwrap();
    let found = engine.attack(&net, &params, &batch, PLAN, attack(0.1)).unwrap();
    assert_eq!(found.is_blind, [true; 6]);
    assert_eq!(found.margins, [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]);
    assert_eq!(found.accuracy(), None);
    // Broken examples need no gradient.
    batch.targets = vec![1; 6];
    let found = engine.attack(&net, &params, &batch, PLAN, attack(0.1)).unwrap();
    assert_eq!(found.accuracy(), Some(0.0));
}

#[test]
fn the_attack_moves_every_pixel_that_matters_as_far_as_it_may() {
    let (engine, net) = (Engine::cpu(1).unwrap(), linear());
    let params: Vec<f32> = (0..12).map(|k| if k % 3 == 1 { 1.0 } else { 0.0 }).collect();
    let inputs = Inputs::Features { values: vec![0.5; 4], width: 4 };
    let batch = Batch { inputs, targets: vec![1] };
    let one = Attack { eps: 0.4, n_steps: 8, n_restarts: 1 };
    let found = engine.attack(&net, &params, &batch, PLAN, one).unwrap();
    // The margin is the sum of the pixels: the attack makes all of them as small as it may.
    assert_eq!(found.worst, [pixel_range(0.5, 0.4)[0]; 4]);
}

#[test]
fn what_cannot_be_attacked_is_named() {
    let (engine, net) = (Engine::cpu(1).unwrap(), linear());
    let params = net.init(1);
    let said = |batch: &Batch, eps| {
        engine.attack(&net, &params, batch, PLAN, attack(eps)).unwrap_err().to_string()
    };
    let good = batch(3, 4, 3);
    assert_eq!(said(&good, -0.1), "attack a network: eps is -0.1, but must lie in [0, 1]");
    let mut bright = good.clone();
    let Inputs::Features { values, .. } = &mut bright.inputs else { unreachable!() };
    values[5] = 1.5;
    assert_eq!(
        said(&bright, 0.1),
        "attack a network: input 1 of example 1 is 1.5, but must lie in [0, 1]"
    );
    let tokens =
        Batch { inputs: Inputs::Tokens { ids: vec![0; 3], n_ctx: 1 }, targets: vec![0; 3] };
    let refused = engine.attack(&net, &params, &tokens, PLAN, attack(0.1));
    assert!(matches!(refused, Err(EngineError::TokensHaveNoGradient)));
    let unlabelled = Batch { targets: vec![], ..good };
    let refused = engine.attack(&net, &params, &unlabelled, PLAN, attack(0.1));
    assert!(matches!(refused, Err(EngineError::Targets { .. })));
}
