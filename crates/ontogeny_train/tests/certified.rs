//! Certified training: it keeps the laws, its numbers are schedules, and bad numbers are refused by name.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ontogeny_core::{Curve, Schedule, Seeds, Step};
use ontogeny_engine::{Batch, Certified, Engine, Inputs, LanePlan, Objective};
use ontogeny_train::models::{Activation, ConvConfig, MlpConfig, ModelConfig, TransformerConfig};
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::tasks::two_block::TwoBlockConfig;
use ontogeny_train::tasks::{InputShape, TaskConfig, TaskShape};
use ontogeny_train::{
    CertifiedConfig, Initialization, Method, ObjectiveConfig, OptimizerConfig, RecordPlan,
    Regularizer, RunConfig, TrainState, Trainer, apply_set, parse_set,
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

/// Lines that give way to intervals, and both regularizers.
fn crown() -> CertifiedConfig {
    let beta = Schedule::Curve(Curve::Ramp { from: 1.0, value: 0.0, start: 10, until: 40 });
    let regularizer = Some(Regularizer::shi());
    CertifiedConfig { method: Method::CrownIbp, beta, regularizer, ..ibp() }
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
    for certified in [ibp(), sabr(), crown()] {
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
    for certified in [ibp(), sabr(), crown()] {
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
    for certified in [ibp(), sabr(), crown()] {
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
    refused("objective.beta=2", "objective.beta: value 2 lies outside [0, 1]");
    let tau = r#"objective.regularizer={"weight":0.5,"tau":0,"tightness":true,"balance":true}"#;
    refused(tau, "configuration key objective.regularizer.tau is 0");
    refused("objective.lambda=0", "objective.lambda: value 0 lies outside [0.000001, 1]");
    refused("objective.epsilon=0.1", "did you mean objective.eps?");
    refused(
        "objective.method=crown",
        "unknown variant `crown`, expected one of `ibp`, `crown_ibp`, `sabr`",
    );
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

#[test]
fn a_loss_that_is_no_number_is_refused_and_the_state_stays() {
    let mut t = trainer(config(ibp()), 1);
    go(&mut t, 30);
    let mut state = t.state().clone();
    state.params[0] = f32::NAN;
    let engine = Arc::new(Engine::cpu(1).unwrap());
    let mut broken = Trainer::from_state(config(ibp()), Seeds::all(3), engine, state).unwrap();
    let before = broken.state().hash();
    let error = broken.update().unwrap_err();
    assert_eq!(error.to_string(), "training diverged at step 30: the loss is not finite");
    assert_eq!(broken.state().hash(), before);
}

#[test]
fn plain_objectives_are_written_as_they_always_were() {
    let plain = RunConfig { objective: Objective::CrossEntropy.into(), ..config(ibp()) };
    let json = serde_json::to_value(&plain).unwrap();
    assert_eq!(json["objective"], "cross_entropy");
    assert_eq!(serde_json::from_value::<RunConfig>(json).unwrap(), plain);
    let mut json = serde_json::to_value(config(crown())).unwrap();
    assert_eq!(serde_json::from_value::<RunConfig>(json.clone()).unwrap(), config(crown()));
    json["objective"] = 3.into();
    let error = serde_json::from_value::<RunConfig>(json).unwrap_err().to_string();
    assert!(error.contains("expected the name of an objective, or an object"), "{error}");
}

/// The network of the published figures: two convolutions of 4 by 4, stride 2, without padding, and 100 hidden units.
#[test]
fn the_small_published_convolutional_network_has_bounds() {
    let json = r#"{"kind":"conv","channels":[16,32],"strides":[2,2],"kernel":4,"hidden":100}"#;
    let padded: ModelConfig = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_value(&padded).unwrap().get("padding"), None);
    let ModelConfig::Conv(conv) = padded.clone() else { unreachable!() };
    let bare = ModelConfig::Conv(ConvConfig { padding: Some(0), ..conv.clone() });
    let shape = |side| TaskShape {
        input: InputShape::Image { shape: [1, side, side] },
        n_classes: 10,
        every_position: false,
    };
    for (model, n_flat) in [(&padded, 32 * 8 * 8), (&bare, 32 * 5 * 5)] {
        let net = model.build(&shape(28)).unwrap();
        assert_eq!(net.layout().get("hidden.w").unwrap().1.shape, [n_flat, 100]);
        let values = (0..2 * 784).map(|i| (i % 17) as f32 / 17.0).collect();
        let inputs = Inputs::Images { values, channels: 1, height: 28, width: 28 };
        let batch = Batch { inputs, targets: vec![3, 7] };
        let (engine, plan) = (Engine::cpu(1).unwrap(), LanePlan { lanes: 1, chunk_examples: 2 });
        let params = net.layout().init(1, 1.0);
        let logits = engine.outputs(&*net, &params, &batch, plan, &[]).unwrap().logits;
        let point = Certified { eps: 1e-7, range: Some([0.0, 1.0]), ..Certified::default() };
        let margins = engine.bounded_margins(&*net, &params, &batch, plan, &point).unwrap();
        for (i, t) in [3, 7].into_iter().enumerate() {
            for (z, m) in logits.row(i).iter().zip(margins.row(i)) {
                assert!((logits.row(i)[t] - z - m).abs() < 1e-3, "{z} {m}"); // 1e-7 times the growth of boxes
            }
        }
    }
    let error = bare.build(&shape(5)).unwrap_err().to_string();
    assert!(error.contains("a kernel is larger than the image it reads"), "{error}");
    let pooled = ModelConfig::Conv(ConvConfig { hidden: 0, ..conv });
    assert!(pooled.build(&shape(28)).unwrap().stages().is_none());
}
