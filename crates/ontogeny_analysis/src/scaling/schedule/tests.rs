//! Known answers for the schedule-aware laws.

use super::*;
use crate::scaling::law::theta;

fn cosine(n: u32) -> Vec<f64> {
    (0..n)
        .map(|i| 3e-4 * (0.55 + 0.45 * (std::f64::consts::PI * f64::from(i) / f64::from(n)).cos()))
        .collect()
}

fn schedule(lr: Vec<f64>) -> Schedule {
    Schedule { first_step: 100, warm_up_sum: 0.015, lr }
}

fn curve(law: &dyn ScheduleLaw, t: &Theta, lr: Vec<f64>) -> ScheduledCurve {
    let schedule = schedule(lr);
    let steps: Vec<u64> = (0..60).map(|i| 150 + i * (schedule.lr.len() as u64 - 60) / 60).collect();
    let mut out = Vec::new();
    law.prepare(&schedule, &steps).losses(t, &mut out);
    ScheduledCurve { losses: out.iter().map(|o| o.0).collect(), steps, schedule }
}

const PLANTED: [(&dyn ScheduleLaw, [f64; 7]); 2] = [
    (&ANNEALING, [0.95, -0.6, 0.5, -1.0, 0.0, 0.0, 0.0]),
    (&MULTI_POWER, [0.95, -0.6, 0.5, 5.5, 0.3, 0.5, 0.6]),
];

#[test]
fn the_recursion_equals_the_double_sum() {
    let (lr, lambda) = (cosine(300), 0.98_f64);
    let fast = annealing_area(&lr, lambda);
    let mut slow = 0.0;
    for (i, fast) in fast.iter().enumerate().skip(1) {
        let power = |k: usize| lambda.powi(i32::try_from(i - k).unwrap());
        slow += (1..=i).map(|k| (lr[k - 1] - lr[k]) * power(k)).sum::<f64>();
        assert!((fast - slow).abs() < 1e-12 * slow.abs().max(1e-6), "{i}: {fast} {slow}");
    }
}

#[test]
fn drops_taken_together_equal_the_plain_sum() {
    let (t, lr) = (theta(PLANTED[1].1), cosine(3000));
    let together = curve(&MULTI_POWER, &t, lr.clone());
    let schedule = &together.schedule;
    let s1 = schedule.sums();
    for (step, loss) in together.steps.iter().zip(&together.losses) {
        let i = (*step - schedule.first_step) as usize;
        let gain: f64 = (1..=i)
            .map(|k| {
                let x = lr[k].powf(-t[6]) * (s1[i] - s1[k - 1]);
                (lr[k - 1] - lr[k]) * (1.0 - (1.0 + t[4].exp() * x).powf(-t[5]))
            })
            .sum();
        let plain = t[0].exp() + t[1].exp() * s1[i].powf(-t[2]) - t[3].exp() * gain;
        // 64 updates of 3,000 are taken as one drop.
        assert!((loss - plain).abs() < 1e-3, "{step}: {loss} {plain}");
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for (law, planted) in PLANTED {
        let (schedule, steps) = (schedule(cosine(2000)), [300, 1000, 2000]);
        let ready = law.prepare(&schedule, &steps);
        let losses = |t: &Theta| {
            let mut out = Vec::new();
            ready.losses(t, &mut out);
            out
        };
        let t = theta(planted);
        for j in 0..law.n_theta() {
            let at = |d: f64| {
                let mut t = t;
                t[j] += d;
                losses(&t)
            };
            let (up, down) = (at(1e-6), at(-1e-6));
            for ((u, d), (_, g)) in up.iter().zip(&down).zip(&losses(&t)) {
                let numeric = (u.0 - d.0) / 2e-6;
                assert!(
                    (g[j] - numeric).abs() < 1e-6 * numeric.abs().max(1.0),
                    "{law:?} {j} {} {numeric}",
                    g[j]
                );
            }
        }
    }
}

#[test]
fn a_law_fitted_on_two_schedules_predicts_a_third() {
    for (law, planted) in PLANTED {
        let t = theta(planted);
        let seen = [curve(law, &t, cosine(4000)), curve(law, &t, vec![3e-4; 4000])];
        let law: &'static dyn ScheduleLaw =
            if law.n_theta() == 4 { &ANNEALING } else { &MULTI_POWER };
        let fit = fit_schedule(law, &seen).unwrap();
        let two_step: Vec<f64> = (0..4000).map(|i| if i < 2500 { 3e-4 } else { 1e-4 }).collect();
        let unseen = curve(law, &t, two_step);
        let predicted = fit.losses(&unseen.schedule, &unseen.steps);
        for (p, l) in predicted.iter().zip(&unseen.losses) {
            assert!((p - l).abs() < 5e-3, "{law:?}: {p} {l}");
        }
    }
}

#[test]
fn readings_become_a_schedule_with_its_steps_and_slopes() {
    let flat_then_drop = [(10, 1.0), (12, 1.0), (14, 0.5), (16, 0.5)];
    let s = Schedule::from_readings(&flat_then_drop).unwrap();
    assert_eq!(s.lr, [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5]);
    assert_eq!((s.warm_up_sum, s.sums()[1]), (5.0, 7.0));
    let slope = Schedule::from_readings(&[(0, 1.0), (2, 0.95), (4, 0.9)]).unwrap();
    assert!((slope.lr[1] - 0.975).abs() < 1e-12);
    assert!(Schedule::from_readings(&[(0, 1.0), (0, 1.0)]).is_err());
    assert!(Schedule::from_readings(&[(0, 1.0), (1, f64::NAN)]).is_err());
}
