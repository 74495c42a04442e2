//! Hessian-vector products and gradients that are not about parameters.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use ontogeny_engine::{Engine, Inputs, LanePlan, Network, Objective};
use support::{decoder, distance, features, relu_mlp, tanh_mlp, tokens, wide};

const PLAN: LanePlan = LanePlan { lanes: 2, chunk_examples: 4 };
const CE: Objective = Objective::CrossEntropy;

#[test]
fn the_product_with_the_hessian_equals_the_explicit_hessian() {
    let (net, batch, engine) = (tanh_mlp(), features(9, 5, 3), Engine::cpu(1).unwrap());
    let params = net.init(3);
    let n = params.len();
    assert!(n <= 60);
    let at = wide(&params);
    let loss = |moves: &[(usize, f64)]| {
        let mut at = at.clone();
        for &(i, by) in moves {
            at[i] += by;
        }
        engine.gradient_f64(&net, &at, &batch, PLAN, CE).unwrap().loss
    };
    // Second differences of the loss alone: truncation h² = 1e-6, rounding 1e-16 / h² = 1e-10.
    let h = 1e-3;
    let mut hessian = vec![vec![0.0; n]; n];
    #[expect(clippy::needless_range_loop, reason = "rows and columns of a matrix")]
    for i in 0..n {
        for j in 0..=i {
            let corner = |a: f64, b: f64| loss(&[(i, a * h), (j, b * h)]);
            let d = corner(1.0, 1.0) - corner(1.0, -1.0) - corner(-1.0, 1.0) + corner(-1.0, -1.0);
            hessian[i][j] = d / (4.0 * h * h);
            hessian[j][i] = hessian[i][j];
        }
    }
    for seed in 0..3 {
        let v = wide(&net.init(10 + seed));
        let explicit: Vec<f64> =
            hessian.iter().map(|row| row.iter().zip(&v).map(|(h, v)| h * v).sum()).collect();
        let product = engine.hvp(&net, &params, &batch, PLAN, CE, &v).unwrap();
        assert!(distance(&product, &explicit) < 1e-4, "{}", distance(&product, &explicit));
    }
    let nothing = engine.hvp(&net, &params, &batch, PLAN, CE, &vec![0.0; n]).unwrap();
    assert_eq!(nothing, vec![0.0; n]);
}

#[test]
fn the_hessian_of_a_transformer_is_symmetric() {
    let (net, batch, engine) = (decoder(), tokens(5, 15, 13, 13, true), Engine::cpu(1).unwrap());
    let (params, u, v) = (net.init(3), wide(&net.init(4)), wide(&net.init(5)));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let product = |v: &[f64]| engine.hvp(&net, &params, &batch, PLAN, CE, v).unwrap();
    let (uhv, vhu) = (dot(&u, &product(&v)), dot(&v, &product(&u)));
    assert!((uhv - vhu).abs() < 1e-6 * uhv.abs().max(1.0), "{uhv} and {vhu}");
}

#[test]
fn the_input_gradient_is_each_examples_own() {
    let (net, mut batch, engine) = (tanh_mlp(), features(6, 5, 3), Engine::cpu(2).unwrap());
    let params = net.init(3);
    let g = engine.input_gradient(&net, &params, &batch, PLAN, CE).unwrap();
    assert_eq!((g.rows, g.cols), (6, 5));
    let total =
        |batch: &_| 6.0 * engine.gradient_f64(&net, &wide(&params), batch, PLAN, CE).unwrap().loss;
    for i in 0..30 {
        let mut at = |by: f32| {
            let Inputs::Features { values, .. } = &mut batch.inputs else { unreachable!() };
            let kept = values[i];
            values[i] = kept + by;
            let (moved, loss) = (values[i], total(&batch));
            let Inputs::Features { values, .. } = &mut batch.inputs else { unreachable!() };
            values[i] = kept;
            (f64::from(moved), loss)
        };
        // Inputs are f32, so the step is what the rounding left of it.
        let ((a, ahead), (b, behind)) = (at(1e-3), at(-1e-3));
        let slope = (ahead - behind) / (a - b);
        assert!((f64::from(g.values[i]) - slope).abs() < 1e-5 * (1.0 + slope.abs()));
    }
}

#[test]
fn the_gradient_of_an_activation_explains_the_gradient_of_its_weights() {
    let (net, batch, engine) = (relu_mlp(), features(7, 20, 4), Engine::cpu(2).unwrap());
    let params = net.init(3);
    let hidden = engine
        .activation_gradients(&net, &params, &batch, PLAN, CE, &["hidden"])
        .unwrap()
        .remove("hidden")
        .unwrap();
    let values = engine.outputs(&net, &params, &batch, PLAN, &["hidden"]).unwrap();
    // The bias under a ReLU gets the sum of the gradients of active units.
    let mut bias = vec![0.0; 16];
    for i in 0..7 {
        for (b, (g, v)) in
            bias.iter_mut().zip(hidden.row(i).iter().zip(values.taps["hidden"].row(i)))
        {
            *b += if *v > 0.0 { f64::from(*g) } else { 0.0 };
        }
    }
    let g = engine.gradient(&net, &params, &batch, PLAN, CE).unwrap();
    let (range, _) = net.layout().get("b1").unwrap();
    let direct: Vec<f64> = g.grad[range].iter().map(|g| 7.0 * f64::from(*g)).collect();
    assert!(distance(&bias, &direct) < 1e-6);
}
