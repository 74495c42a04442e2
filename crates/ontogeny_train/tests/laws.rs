//! The laws of the lab that the trainer keeps by itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ontogeny_core::{Seeds, Step};
use ontogeny_engine::{Engine, LanePlan, Objective, Outputs};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::tasks::sparse_parity::SparseParityConfig;
use ontogeny_train::tasks::two_block::{How, Treatment, TwoBlockConfig};
use ontogeny_train::{
    OptimizerConfig, RecordPlan, RunConfig, TrainError, TrainState, Trainer, apply_set, parse_set,
};
use std::sync::Arc;

fn grokking() -> RunConfig {
    RunConfig {
        task: TaskConfig::Modular(ModularConfig::addition(13, 0.6)),
        model: ModelConfig::Transformer(TransformerConfig::grokking(16, 2, 32)),
        init_scale: 1.0,
        objective: Objective::CrossEntropy.into(),
        optimizer: OptimizerConfig::adamw(3e-3, 1.0),
        horizon: 100,
        lanes: LanePlan { lanes: 4, chunk_examples: 16 },
        record: RecordPlan::every(10, 0, &[]),
    }
}

fn parity() -> RunConfig {
    let task = SparseParityConfig { batch_examples: 64, ..SparseParityConfig::zipf(0.6) };
    RunConfig {
        task: TaskConfig::SparseParity(task),
        model: ModelConfig::Mlp(MlpConfig { widths: vec![32], activation: Activation::Relu }),
        ..grokking()
    }
}

fn trainer(config: RunConfig, threads: usize) -> Trainer {
    Trainer::new(config, Seeds::all(3), Arc::new(Engine::cpu(threads).unwrap())).unwrap()
}

fn go(t: &mut Trainer, n: u64) -> Vec<u64> {
    (0..n).map(|_| t.update().unwrap().loss.to_bits()).collect()
}

/// Through names and numbers and back, as a checkpoint does.
fn through_a_checkpoint(t: &Trainer) -> TrainState {
    let mut tensors = std::collections::BTreeMap::new();
    t.state().for_each_tensor(t.layout(), |x| {
        tensors.insert(x.name.to_owned(), x.values.to_vec());
    });
    let extra = serde_json::from_str(&t.state().extra().to_string()).unwrap();
    TrainState::rebuild(t.layout(), &extra, |name| tensors.get(name).cloned()).unwrap()
}

#[test]
fn law_2_forks_are_exact_resume_equals_never_having_stopped() {
    for config in [grokking(), parity()] {
        let mut whole = trainer(config.clone(), 1);
        go(&mut whole, 20);
        let saved = through_a_checkpoint(&whole);
        assert_eq!(saved.hash(), whole.state().hash());
        let straight = go(&mut whole, 40);
        let engine = Arc::new(Engine::cpu(1).unwrap());
        let mut again = Trainer::from_state(config, Seeds::all(3), engine, saved).unwrap();
        assert_eq!(go(&mut again, 40), straight);
        assert_eq!(again.state().hash(), whole.state().hash());
    }
}

#[test]
fn law_3_randomness_is_addressed_a_step_has_the_same_bits_for_any_number_of_threads() {
    for config in [grokking(), parity()] {
        let hash = |threads| {
            let mut t = trainer(config.clone(), threads);
            go(&mut t, 30);
            t.state().hash()
        };
        let one = hash(1);
        assert_eq!(one, hash(2));
        assert_eq!(one, hash(5));
    }
}

#[test]
fn law_1_looking_ahead_changes_nothing_and_shows_what_an_evaluation_shows() {
    let (mut plain, mut looked) = (trainer(grokking(), 1), trainer(grokking(), 1));
    let mut joined = Outputs::default();
    for _ in 0..5 {
        let taps = looked.task().taps();
        let seen = looked.look_ahead(taps).unwrap();
        assert!(looked.evaluate_rest(&seen, taps, &mut joined).unwrap());
        assert_eq!(joined, looked.evaluate(0, taps).unwrap());
        assert_eq!(go(&mut plain, 1), go(&mut looked, 1));
        assert_eq!(plain.state().hash(), looked.state().hash());
        assert_eq!(plain.last_gradient(), looked.last_gradient());
    }
    // What was looked at and then not used is made again.
    looked.look_ahead(&[]).unwrap();
    let mut resumed = trainer(grokking(), 1);
    while resumed.state().step < looked.state().step {
        resumed.update().unwrap();
    }
    assert_eq!(go(&mut looked, 1), go(&mut resumed, 1));
    // A task whose batch is not part of what is read has nothing to save.
    let mut other = trainer(parity(), 1);
    let seen = other.look_ahead(&[]).unwrap();
    assert!(!other.evaluate_rest(&seen, &[], &mut joined).unwrap());
}

#[test]
fn an_intervention_changes_what_it_declares_and_nothing_before() {
    let mut parent = trainer(grokking(), 1);
    go(&mut parent, 20);
    let set = [parse_set("optimizer.weight_decay=0").unwrap()];
    let config = apply_set(parent.config(), &set).unwrap();
    let engine = Arc::new(Engine::cpu(1).unwrap());
    let state = parent.state().clone();
    let mut fork = Trainer::from_state(config, Seeds::all(3), engine, state).unwrap();
    // The loss at the fork step is the parent's: the change acts from the first update on.
    assert_eq!(go(&mut fork, 1), go(&mut parent, 1));
    assert_ne!(fork.state().hash(), parent.state().hash());
}

#[test]
fn training_learns() {
    let mut t = trainer(grokking(), 1);
    let first = t.update().unwrap().loss;
    go(&mut t, 400);
    let last = t.update().unwrap();
    assert!(last.loss < first / 3.0 && last.accuracy > 0.9, "{first} -> {last:?}");
}

#[test]
fn computing_the_last_position_only_is_the_same_function() {
    let mut config = grokking();
    let mut quick = trainer(config.clone(), 1);
    let ModelConfig::Transformer(model) = &mut config.model else { unreachable!() };
    model.compute_all_positions = true;
    let mut full = trainer(config, 1);
    for _ in 0..20 {
        let (a, b) = (quick.update().unwrap().loss, full.update().unwrap().loss);
        // f32 sums in another order; Adam's normalization lets rounding grow a little.
        assert!((a - b).abs() < 1e-4 * b, "{a} and {b}");
    }
}

#[test]
fn a_step_that_is_not_finite_is_refused_and_changes_nothing() {
    let set = [parse_set("optimizer.lr=10").unwrap(), parse_set("init_scale=100").unwrap()];
    let config = apply_set(&parity(), &set).unwrap();
    let mut t = trainer(config, 1);
    let mut state = t.state().clone();
    state.params[0] = f32::NAN;
    let engine = Arc::new(Engine::cpu(1).unwrap());
    let config = t.config().clone();
    t = Trainer::from_state(config, Seeds::all(3), engine, state).unwrap();
    let before = t.state().hash();
    let error = t.update().unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: Step(0), .. }), "{error}");
    assert_eq!(error.to_string(), "training diverged at step 0: the loss is not finite");
    assert_eq!(t.state().hash(), before);
}

/// Two blocks, under a treatment that begins and ends between the checkpoints of the tests here.
fn two_block(how: Option<How>) -> RunConfig {
    let task = TwoBlockConfig {
        majority: 0.6,
        rho: 0.7,
        k: 2,
        core_gain: 1.5,
        shortcut_gain: 2.0,
        label_noise: 0.05,
        n_train: 1024,
        batch_examples: 64,
        n_probe: 256,
        n_audit: 256,
        treatment: how.map(|how| Treatment { how, from: 10, until: Some(40) }),
    };
    let mut config = RunConfig {
        task: TaskConfig::TwoBlock(task),
        model: ModelConfig::Mlp(MlpConfig { widths: vec![16, 16], activation: Activation::Relu }),
        ..grokking()
    };
    config.optimizer.name = ontogeny_train::OptimizerName::Sgd;
    config.optimizer.lr = ontogeny_core::Schedule::Constant(0.05);
    config.optimizer.weight_decay = ontogeny_core::Schedule::Constant(1e-3);
    config
}

const TREATMENTS: [How; 5] = [
    How::Balanced,
    How::GroupDro { eta: 0.1 },
    How::ErrorsUp { weight: 20.0 },
    How::ShortcutDropout { p: 0.5 },
    How::LastLayer,
];

#[test]
fn law_2_forks_are_exact_in_the_middle_of_a_treatment_and_with_momentum() {
    for how in TREATMENTS.map(Some).into_iter().chain([None]) {
        let config = two_block(how);
        let mut whole = trainer(config.clone(), 1);
        go(&mut whole, 20);
        let saved = through_a_checkpoint(&whole);
        assert_eq!(saved.hash(), whole.state().hash(), "{how:?}");
        let straight = go(&mut whole, 40);
        for threads in [1, 3] {
            let engine = Arc::new(Engine::cpu(threads).unwrap());
            let seeds = Seeds::all(3);
            let again = Trainer::from_state(config.clone(), seeds, engine, saved.clone());
            let mut again = again.unwrap();
            assert_eq!(go(&mut again, 40), straight, "{how:?}");
            assert_eq!(again.state().hash(), whole.state().hash(), "{how:?}");
        }
    }
}

#[test]
fn readings_out_of_order_and_treatments_out_of_range_are_refused_by_name() {
    let error = |set: &str| {
        apply_set(&two_block(None), &[parse_set(set).unwrap()]).unwrap_err().to_string()
    };
    assert_eq!(
        error("record.probe_at=[1,5,5]"),
        "configuration key record.probe_at is 5, 5, but must lie in increasing order (each reading is taken once)"
    );
    assert_eq!(
        error(
            r#"task.treatment={"how":{"kind":"shortcut_dropout","p":1.5},"from":0,"until":null}"#
        ),
        "configuration key task.treatment.how.p is 1.5, but must lie in [0, 1] (it is a probability)"
    );
    assert_eq!(
        error("task.majority=1"),
        "configuration key task.majority is 1, but must lie in [0.05, 0.95] (both attributes must be met, or \
         nothing can be compared)"
    );
}

#[test]
fn a_treatment_changes_nothing_before_its_window_and_something_in_it() {
    let mut plain = trainer(two_block(None), 1);
    let mut others: Vec<Trainer> =
        TREATMENTS.iter().map(|how| trainer(two_block(Some(*how)), 1)).collect();
    go(&mut plain, 10);
    for (other, how) in others.iter_mut().zip(TREATMENTS) {
        go(other, 10);
        assert_eq!(other.state().params, plain.state().params, "{how:?}");
    }
    go(&mut plain, 5);
    for (other, how) in others.iter_mut().zip(TREATMENTS) {
        let before = other.state().clone();
        go(other, 5);
        assert_ne!(other.state().params, plain.state().params, "{how:?}");
        if how == How::LastLayer {
            let last = 16 * 2 + 2;
            let rest = before.params.len() - last;
            assert_eq!(other.state().params[..rest], before.params[..rest]);
            assert_eq!(other.state().optim.m[..rest], before.optim.m[..rest]);
            assert_ne!(other.state().params[rest..], before.params[rest..]);
        }
    }
}
