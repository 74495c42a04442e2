//! What is refused, and in which words.
#![allow(clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ontogeny_engine::{
    Batch, Chunk, Engine, EngineError, Inputs, Lane, LanePlan, Objective, Var, ops::embed,
};
use support::{FnNet, features, relu_mlp, tanh_mlp, tokens};

const PLAN: LanePlan = LanePlan { lanes: 1, chunk_examples: 4 };

fn gradient(net: &FnNet, n: usize, batch: &Batch, plan: LanePlan) -> Result<f64, EngineError> {
    let engine = Engine::cpu(1).unwrap();
    let params = vec![0.1; n];
    Ok(engine.gradient(net, &params, batch, plan, Objective::CrossEntropy)?.loss)
}

#[track_caller]
fn check_error(n: usize, batch: &Batch, plan: LanePlan, expected: &str) {
    let error = gradient(&tanh_mlp(), n, batch, plan).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn input_that_does_not_fit_is_an_error() {
    let batch = features(4, 5, 3);
    let with = |targets| Batch { targets, ..batch.clone() };
    check_error(53, &batch, PLAN, "read parameters: the network has 54 scalars, the vector 53");
    check_error(54, &with(vec![]), PLAN, "compute a gradient: the batch has no targets");
    check_error(54, &with(vec![0; 5]), PLAN, "read a batch: 5 targets for 4 examples");
    let ragged =
        Batch { inputs: Inputs::Features { values: vec![0.; 9], width: 5 }, ..with(vec![0]) };
    check_error(
        54,
        &ragged,
        PLAN,
        "read a batch: its inputs are not a whole number of examples, at least one",
    );
    check_error(
        54,
        &batch,
        LanePlan { lanes: 0, ..PLAN },
        "plan lanes: a plan needs at least one lane and one example per chunk",
    );
}

#[cfg(not(feature = "gpu"))]
#[test]
fn a_missing_graphics_processor_says_how_to_get_one() {
    let error = Engine::gpu().unwrap_err().to_string();
    assert_eq!(
        error,
        "use the graphics processor: this build has none; build with `--features gpu`"
    );
}

#[test]
fn tokens_have_no_input_gradient() {
    let engine = Engine::cpu(1).unwrap();
    let (net, batch) = (support::grokking(), tokens(4, 3, 11, 11, false));
    let g = engine.input_gradient(&net, &net.init(1), &batch, PLAN, Objective::CrossEntropy);
    assert!(matches!(g, Err(EngineError::TokensHaveNoGradient)));
}

type Forward = fn(&Lane<'_>, &Chunk<'_>) -> Var<2>;

/// A mistake in a network's code panics and explains.
#[track_caller]
fn check_panic(forward: Forward, expected: &str) {
    let params: &[(&str, &[usize])] = &[("w", &[5, 3]), ("b", &[3])];
    // A function pointer cannot capture, so the case travels through the thread.
    thread_local! {
        static CASE: std::cell::Cell<Option<Forward>> = const { std::cell::Cell::new(None) };
    }
    CASE.set(Some(forward));
    let net = FnNet::new(params, |lane, chunk, _| CASE.get().unwrap()(lane, chunk));
    let run = || gradient(&net, 18, &features(4, 5, 3), PLAN);
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
    let words = panic.downcast_ref::<String>().cloned().or(literal).unwrap_or_default();
    assert!(words.contains(expected), "{words}");
}

#[test]
fn a_mistake_in_a_network_panics_and_explains() {
    check_panic(|lane, _| lane.param("v"), "the layout has no parameter v");
    check_panic(|lane, _| lane.param("b"), "parameter b has rank 1, not 2");
    check_panic(|lane, _| embed(&lane.param("w"), &[9]), "token id 9 is outside a vocabulary of 5");
    check_panic(
        |lane, chunk| lane.features(chunk).slice_cols(0..4).linear(&lane.param("w"), None),
        "linear: x has 4 columns, w has 5 rows",
    );
    check_panic(
        |lane, chunk| {
            let x = lane.features(chunk).linear(&lane.param("w"), None);
            x.slice_rows(0..3)
        },
        "one target per row of logits",
    );
    check_panic(
        |lane, chunk| lane.images(chunk).global_mean_pool(),
        "the batch holds tokens or features",
    );
    check_panic(
        |lane, chunk| {
            let w = lane.param("w");
            KEPT.set(Some(w.clone()));
            lane.features(chunk).linear(&w, None)
        },
        "kept a parameter's tensor beyond its forward pass",
    );
    KEPT.set(None);
}

thread_local! {
    static KEPT: std::cell::Cell<Option<Var<2>>> = const { std::cell::Cell::new(None) };
}

#[test]
fn the_engine_works_on_after_a_panic() {
    let engine = Engine::cpu(2).unwrap();
    let (net, batch) = (relu_mlp(), features(8, 20, 4));
    let params = net.init(1);
    let plan = LanePlan { lanes: 2, chunk_examples: 2 };
    let run = |batch: &Batch| engine.gradient(&net, &params, batch, plan, Objective::CrossEntropy);
    let before = run(&batch).unwrap();
    let wrong = Batch { targets: vec![9; 8], ..batch.clone() };
    assert!(catch_unwind(AssertUnwindSafe(|| run(&wrong))).is_err());
    assert_eq!(run(&batch).unwrap(), before);
}
