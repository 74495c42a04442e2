//! The trainer against a theory that is exact: a linear student of two teachers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ontogeny_core::{Schedule, Seeds};
use ontogeny_engine::{Engine, LanePlan, Objective};
use ontogeny_train::models::{LinearConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::teacher_mixture::TeacherMixtureConfig;
use ontogeny_train::{OptimizerConfig, OptimizerName, RecordPlan, RunConfig, Trainer};
use std::sync::Arc;

const ETA: f64 = 0.3;

fn task(d: usize) -> TeacherMixtureConfig {
    // The rarer group varies more: it is preferred first, the common one later.
    let variances = [0.3, 1.5];
    TeacherMixtureConfig { d, share_plus: 0.7, variances, overlap: 0.9, batch_examples: 1 }
}

fn config(d: usize) -> RunConfig {
    RunConfig {
        task: TaskConfig::TeacherMixture(task(d)),
        model: ModelConfig::Linear(LinearConfig {}),
        init_scale: 1.0,
        objective: Objective::Mse.into(),
        optimizer: OptimizerConfig {
            name: OptimizerName::Sgd,
            lr: Schedule::Constant(ETA),
            beta1: Schedule::Constant(0.0),
            ..OptimizerConfig::adamw(ETA, 0.0)
        },
        horizon: 1_000_000,
        lanes: LanePlan { lanes: 1, chunk_examples: 1 },
        record: RecordPlan::every(100, 0, &[]),
    }
}

/// Differences between simulation and theory at 20 times, `[seed][time][R+, R-, M, Q]`; both start from the same
/// weights and know the same teachers.
fn differences(d: usize, seeds: std::ops::Range<u64>) -> Vec<Vec<[f64; 4]>> {
    let taus: Vec<f64> = (1..=20).map(|i| 0.4 * f64::from(i)).collect();
    let one = |seed: u64| {
        let engine = Arc::new(Engine::cpu(1).unwrap());
        let mut t = Trainer::new(config(d), Seeds::all(seed), engine).unwrap();
        let generator = task(d).build(seed);
        let theory = generator.theory(generator.order(&t.state().params), ETA, &taus);
        let at = |(tau, expected): (&f64, ontogeny_train::tasks::teacher_mixture::Order)| {
            while (t.state().step.0 as f64) < (tau * d as f64).round() {
                t.update().unwrap();
            }
            let (found, expected) =
                (generator.order(&t.state().params).to_array(), expected.to_array());
            std::array::from_fn(|i| found[i] - expected[i])
        };
        taus.iter().zip(theory).map(at).collect()
    };
    seeds.map(one).collect()
}

/// The largest mean difference in standard errors over seeds, with what and when.
fn worst(all: &[Vec<[f64; 4]>]) -> (f64, String) {
    let n = all.len() as f64;
    let names = ["R+", "R-", "M", "Q"];
    let mut worst = (0.0, String::new());
    for t in 0..all[0].len() {
        for (k, name) in names.iter().enumerate() {
            let x: Vec<f64> = all.iter().map(|run| run[t][k]).collect();
            let mean = x.iter().sum::<f64>() / n;
            let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let z = (mean / (variance / n).sqrt()).abs();
            if z > worst.0 {
                worst = (z, format!("{name} at time {t}: {mean:+.5}, {z:.2} standard errors"));
            }
        }
    }
    worst
}

#[test]
fn a_student_of_two_teachers_follows_its_equation_at_twenty_times() {
    let (z, what) = worst(&differences(300, 0..16));
    assert!(z < 3.0, "{what}");
}

#[test]
#[ignore = "slow: the published size takes half a minute"]
fn slow_a_student_of_two_teachers_follows_its_equation_at_the_published_size() {
    let (z, what) = worst(&differences(1000, 0..16));
    assert!(z < 3.0, "{what}");
}

#[test]
fn a_wrong_equation_is_found_out() {
    // The same simulation against a student that learns a tenth faster.
    let d = 300;
    let taus = [2.0];
    let z: Vec<f64> = (0..16)
        .map(|seed| {
            let engine = Arc::new(Engine::cpu(1).unwrap());
            let mut t = Trainer::new(config(d), Seeds::all(seed), engine).unwrap();
            let generator = task(d).build(seed);
            let start = generator.order(&t.state().params);
            let wrong = generator.theory(start, 1.1 * ETA, &taus)[0];
            for _ in 0..600 {
                t.update().unwrap();
            }
            generator.order(&t.state().params).q - wrong.q
        })
        .collect();
    let mean = z.iter().sum::<f64>() / 16.0;
    let variance = z.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 15.0;
    assert!((mean / (variance / 16.0).sqrt()).abs() > 3.0, "{mean} {variance}");
}

#[test]
fn the_preferred_group_changes_during_training() {
    let generator = task(1000).build(0);
    let start = ontogeny_train::tasks::teacher_mixture::Order { r: [0.0; 2], m: 0.0, q: 0.0 };
    let taus: Vec<f64> = (1..=200).map(|i| 0.2 * f64::from(i)).collect();
    let gaps: Vec<f64> = generator
        .theory(start, ETA, &taus)
        .into_iter()
        .map(|o| {
            let [plus, minus] = generator.group_losses(o);
            plus - minus
        })
        .collect();
    assert!(gaps[2] > 0.0, "the group that varies more is preferred first: {}", gaps[2]);
    assert!(gaps[199] < 0.0, "the common group is preferred in the end: {}", gaps[199]);
}
