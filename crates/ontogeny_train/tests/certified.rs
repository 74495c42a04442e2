//! Certified training: it keeps the laws, its numbers are schedules, and bad numbers are refused by name.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ontogeny_core::{Curve, Schedule, Seeds, Step};
use ontogeny_engine::{Engine, LanePlan, Objective};
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::tasks::two_block::TwoBlockConfig;
use ontogeny_train::{
    CertifiedConfig, Initialization, Method, ObjectiveConfig, OptimizerConfig, RecordPlan,
    RunConfig, TrainState, Trainer, apply_set, parse_set,
};
use std::sync::Arc;

/// Boxes from step 10 on that have their size at step 40; inputs are normal numbers.
fn ibp() -> CertifiedConfig {
    let whole = CertifiedConfig::ibp(
        Schedule::Curve(Curve::Smoothed { value: 0.1, start: 10, until: 40 }),
        Schedule::Curve(Curve::Ramp { from: 1.0, value: 0.5, start: 10, until: 40 }),
    );
    CertifiedConfig { range: None, ..whole }
}

fn sabr() -> CertifiedConfig {
    CertifiedConfig { method: Method::Sabr, lambda: 0.4.into(), kappa: 0.0.into(), ..ibp() }
}

fn config(certified: CertifiedConfig) -> RunConfig {
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
        treatment: None,
    };
    RunConfig {
        task: TaskConfig::TwoBlock(task),
        model: ModelConfig::Mlp(MlpConfig { widths: vec![32, 16], activation: Activation::Relu }),
        init_scale: 1.0,
        objective: certified.into(),
        optimizer: OptimizerConfig::adamw(3e-3, 0.0),
        horizon: 100,
        lanes: LanePlan { lanes: 4, chunk_examples: 16 },
        record: RecordPlan {
            probe_every: 10,
            checkpoint_every: 0,
            probes: vec![],
            hash_every: 0,
            probe_at: vec![],
            checkpoint_at: vec![],
        },
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
fn law_2_forks_are_exact_in_the_middle_of_a_ramp() {
    for certified in [ibp(), sabr()] {
        let mut whole = trainer(config(certified.clone()), 1);
        go(&mut whole, 25);
        let saved = through_a_checkpoint(&whole);
        let straight = go(&mut whole, 30);
        let engine = Arc::new(Engine::cpu(1).unwrap());
        let mut again =
            Trainer::from_state(config(certified), Seeds::all(3), engine, saved).unwrap();
        assert_eq!(go(&mut again, 30), straight);
        assert_eq!(again.state().hash(), whole.state().hash());
    }
}

#[test]
fn law_3_randomness_is_addressed_a_certified_step_has_the_same_bits_for_any_number_of_threads() {
    for certified in [ibp(), sabr()] {
        let hash = |threads| {
            let mut t = trainer(config(certified.clone()), threads);
            go(&mut t, 45);
            t.state().hash()
        };
        let one = hash(1);
        assert_eq!(one, hash(2));
        assert_eq!(one, hash(5));
    }
}

#[test]
fn law_1_looking_at_gradients_of_a_certified_run_changes_nothing() {
    let (mut plain, mut looked) = (trainer(config(sabr()), 1), trainer(config(sabr()), 1));
    go(&mut plain, 30);
    go(&mut looked, 30);
    for _ in 0..5 {
        let batch = looked.task().batch(looked.state().step.0);
        looked.look_ahead(&[]).unwrap();
        let natural = looked.natural_gradient_of(&batch).unwrap();
        let (certified, parts) = looked.certified_gradient_of(&batch, None).unwrap().unwrap();
        assert!(parts.certified > parts.natural && natural.loss < certified.loss);
        assert_ne!(natural.grad, certified.grad);
        assert_eq!(go(&mut plain, 1), go(&mut looked, 1));
        assert_eq!(plain.state().hash(), looked.state().hash());
    }
}

#[test]
fn certified_training_makes_bounds_better_than_natural_training_does() {
    let last = |certified: CertifiedConfig| {
        let mut t = trainer(config(certified), 1);
        for _ in 0..400 {
            t.update().unwrap();
        }
        let batch = t.task().batch(0);
        t.certified_gradient_of(&batch, Some(0.1)).unwrap().unwrap().1
    };
    let natural = last(CertifiedConfig { kappa: 1.0.into(), ..ibp() });
    for certified in [ibp(), sabr()] {
        let certified = last(certified);
        assert!(certified.certified < natural.certified, "{certified:?} against {natural:?}");
        assert!(certified.certified_ratio > natural.certified_ratio);
    }
}

#[test]
fn where_nothing_is_bounded_the_run_is_the_plain_one() {
    let mut plain =
        trainer(RunConfig { objective: Objective::CrossEntropy.into(), ..config(ibp()) }, 1);
    let mut certified = trainer(config(ibp()), 1);
    assert_eq!(go(&mut plain, 11), go(&mut certified, 11));
    assert_eq!(plain.state().hash(), certified.state().hash());
    assert_eq!(plain.state().clocks, certified.state().clocks);
    go(&mut plain, 1);
    go(&mut certified, 1);
    assert_ne!(plain.state().hash(), certified.state().hash());
    // Three products where plain training has one.
    assert!(certified.state().clocks.flop > plain.state().clocks.flop);
}

#[test]
fn a_fork_can_change_each_number_of_the_objective() {
    let pixels = CertifiedConfig { range: Some([0.0, 1.0]), ..ibp() };
    let set = |text: &str| apply_set(&config(pixels.clone()), &[parse_set(text).unwrap()]);
    let eps = |c: &RunConfig, t| {
        let ObjectiveConfig::Certified(c) = &c.objective else { unreachable!() };
        c.eps.at(Step(t))
    };
    assert_eq!(eps(&set("objective.eps.value=0.2").unwrap(), 40), 0.2);
    assert_eq!(eps(&set("objective.eps=0.05").unwrap(), 0), 0.05);
    let knots = r#"objective.eps={"shape":"knots","points":[[10,0],[20,0.1],[60,0.3]]}"#;
    assert_eq!(eps(&set(knots).unwrap(), 40), 0.2);
    assert_eq!(set("objective=cross_entropy").unwrap().objective, Objective::CrossEntropy.into());
    let whole = r#"objective={"method":"sabr","eps":0.1,"kappa":0,"lambda":0.4}"#;
    assert!(matches!(set(whole).unwrap().objective, ObjectiveConfig::Certified(_)));
    let refused = |text: &str, expected: &str| {
        let error = set(text).unwrap_err();
        let source = std::error::Error::source(&error).map(|s| format!(": {s}"));
        let text = format!("{error}{}", source.unwrap_or_default());
        assert!(text.contains(expected), "{text}");
    };
    refused("objective.eps=1.5", "objective.eps: value 1.5 lies outside [0, 1]");
    refused("objective.eps=-0.1", "objective.eps: value -0.1 lies outside [0, 1]");
    refused("objective.kappa=1.5", "objective.kappa: value 1.5 lies outside [0, 1]");
    refused("objective.lambda=0", "objective.lambda: value 0 lies outside [0.000001, 1]");
    refused("objective.epsilon=0.1", "did you mean objective.eps?");
    refused("objective.method=crown", "unknown variant `crown`");
    refused("objective=hinge", "unknown variant `hinge`");
    refused(r#"objective={"method":"ibp","eps":0.1}"#, "missing field `kappa`");
}

#[test]
fn networks_without_bounds_are_refused_by_name() {
    let transformer = RunConfig {
        task: TaskConfig::Modular(ModularConfig::addition(13, 0.6)),
        model: ModelConfig::Transformer(TransformerConfig::grokking(16, 2, 32)),
        ..config(ibp())
    };
    let text = transformer.check().unwrap_err().to_string();
    assert!(text.starts_with(
        "a certified objective and model transformer do not go together: unsupported layer"
    ));
    let mut tanh = config(ibp());
    let ModelConfig::Mlp(model) = &mut tanh.model else { unreachable!() };
    model.activation = Activation::Tanh;
    assert!(tanh.check().unwrap_err().to_string().contains("unsupported layer"));
}

#[test]
fn the_initialization_for_bounds_has_its_standard_deviation_and_the_same_draws() {
    let init = |init| trainer(config(CertifiedConfig { init, ..ibp() }), 1);
    let (standard, shi) = (init(Initialization::Standard), init(Initialization::Ibp));
    let (range, spec) = standard.layout().get("layers.1.w").unwrap();
    assert_eq!(spec.shape, [32, 16]);
    let (a, b) = (&standard.state().params[range.clone()], &shi.state().params[range]);
    let rms = (b.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 512.0).sqrt();
    let expected = (2.0 * std::f64::consts::PI).sqrt() / 32.0;
    assert!((rms / expected - 1.0).abs() < 0.1, "{rms} not {expected}"); // 512 draws: 3 standard errors
    let ratio = b[0] / a[0];
    assert!(a.iter().zip(b).all(|(a, b)| (b / a / ratio - 1.0).abs() < 1e-6));
}
