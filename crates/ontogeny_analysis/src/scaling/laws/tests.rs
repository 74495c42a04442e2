//! What every law must do, for every row of the list.

use super::*;
use crate::scaling::{FitOptions, MAX_THETA, Point, Scale, Theta, fit};
use ontogeny_core::random::Philox;

/// A grid of sizes and token counts over two decades each.
fn grid() -> Vec<Scale> {
    let steps = |k: i32| 10f64.powf(f64::from(k) / 3.0);
    (0..7)
        .flat_map(|i| (0..7).map(move |j| Scale::of_params_tokens(5e7 * steps(i), 1e9 * steps(j))))
        .collect()
}

/// Plausible parameters of each law.
fn planted(law: &dyn Law) -> Theta {
    let t: &[f64] = match law.spec().name {
        "kaplan-n" => &[0.076 * 8.8e13_f64.ln(), 0.076],
        "kaplan-d" => &[0.095 * 5.4e13_f64.ln(), 0.095],
        "kaplan-c" => &[0.05 * 3.1e8_f64.ln() + 2.0, 0.05],
        "kaplan-nd" => &[0.738 * 6.4e13_f64.ln(), 1.8e13_f64.ln(), 0.738, 0.103],
        "floor-n" | "floor-d" => &[6.2, 0.6, 0.34],
        "frontier" => &[7.0, 0.6, 0.16],
        "chinchilla" => &[6.169, 7.670, 0.5973, 0.3473, 0.3672],
        "overtraining" => &[6.2, 7.1, 0.55, 0.33],
        "floor-nd" => &[0.9 * 20.0, 24.5, 0.9, 0.35, 0.5],
        "valley" => &[7.0, 0.6, 0.16, -2.0, 0.5, -3.0],
        other => panic!("plant parameters for {other} here"),
    };
    let mut all = [0.0; MAX_THETA];
    all[..t.len()].copy_from_slice(t);
    all
}

fn noisy(law: &dyn Law, sd: f64, seed: u64) -> Vec<Point> {
    let draws = Philox::new(seed, "test-noise").at(0);
    let theta = planted(law);
    let at = grid().into_iter().zip(0..);
    at.map(|(at, i)| {
        let ln = law.ln_loss(&theta, &at.ln(), &mut [0.0; MAX_THETA]);
        Point { at, loss: (ln + sd * draws.normal(i)).exp() }
    })
    .collect()
}

#[test]
fn names_are_unique_and_rows_are_filled_in() {
    for (i, law) in LAWS.iter().enumerate() {
        let spec = law.spec();
        assert!(LAWS[..i].iter().all(|l| l.spec().name != spec.name), "{}", spec.name);
        assert!(!spec.inputs.is_empty() && spec.theta.len() <= MAX_THETA, "{}", spec.name);
        assert!(spec.source.contains("arXiv:") && spec.formula.starts_with("L = "));
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for law in LAWS {
        let theta = planted(*law);
        for at in grid().iter().step_by(5) {
            let (x, mut g) = (at.ln(), [0.0; MAX_THETA]);
            law.ln_loss(&theta, &x, &mut g);
            for j in 0..law.spec().theta.len() {
                let h = 1e-5;
                let at = |d: f64| {
                    let mut t = theta;
                    t[j] += d;
                    law.ln_loss(&t, &x, &mut [0.0; MAX_THETA])
                };
                let numeric = (at(h) - at(-h)) / (2.0 * h);
                let error = (g[j] - numeric).abs() / numeric.abs().max(1.0);
                assert!(error < 1e-6, "{} {j}: {} {numeric}", law.spec().name, g[j]);
            }
        }
    }
}

#[test]
fn objectives_have_the_gradient_and_value_of_the_plain_sum() {
    for law in LAWS {
        let points = noisy(*law, 0.02, 1);
        let data = crate::scaling::Data::new(*law, &points).unwrap();
        let back = data.centre().map(|c| -c);
        let mut theta = law.shift(&planted(*law), &back);
        theta[0] += 0.01;
        let plain = |t: &Theta| -> f64 {
            (0..data.len())
                .map(|i| {
                    let r: f64 =
                        law.ln_loss(t, &data.x(i), &mut [0.0; MAX_THETA]) - data.ln_loss(i);
                    if r.abs() <= 1e-3 { 0.5 * r * r } else { 1e-3 * (r.abs() - 0.5e-3) }
                })
                .sum()
        };
        let mut g = [0.0; MAX_THETA];
        let value = law.objective(&data, 1e-3, &theta, &mut g);
        assert!((value / plain(&theta) - 1.0).abs() < 1e-12, "{}", law.spec().name);
        for j in 0..law.spec().theta.len() {
            let at = |d: f64| {
                let mut t = theta;
                t[j] += d;
                plain(&t)
            };
            let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((g[j] - numeric).abs() < 1e-6, "{} {j} {} {numeric}", law.spec().name, g[j]);
        }
    }
}

#[test]
fn shifting_moves_inputs_and_nothing_else() {
    for law in LAWS {
        let (theta, by) = (planted(*law), [1.5, -2.0, 0.7]);
        let moved = law.shift(&theta, &by);
        for at in grid().iter().step_by(7) {
            let x = at.ln();
            let far = [x[0] + by[0], x[1] + by[1], x[2] + by[2]];
            let here = law.ln_loss(&theta, &x, &mut [0.0; MAX_THETA]);
            let there = law.ln_loss(&moved, &far, &mut [0.0; MAX_THETA]);
            assert!((here - there).abs() < 1e-10, "{}: {here} {there}", law.spec().name);
        }
    }
}

#[test]
fn recovers_every_planted_law() {
    for law in LAWS {
        let found = fit(*law, &noisy(*law, 0.0, 0), &FitOptions::default()).unwrap();
        for (at, expected) in grid().iter().zip(noisy(*law, 0.0, 0)) {
            let error = (found.loss(at).unwrap() / expected.loss).ln();
            // Noiseless: what is left is the search's tolerance.
            assert!(error.abs() < 1e-4, "{}: {error} of {}", law.spec().name, found.objective);
        }
    }
}

#[test]
fn units_of_the_inputs_change_no_prediction() {
    // Sizes in millions, tokens in billions, FLOP in 1e18.
    for law in LAWS {
        let points = noisy(*law, 0.003, 4);
        let scaled: Vec<Point> = (points.iter())
            .map(|p| Point {
                at: Scale {
                    params: p.at.params / 1e6,
                    tokens: p.at.tokens / 1e9,
                    flops: p.at.flops / 1e18,
                },
                loss: p.loss,
            })
            .collect();
        let (a, b) = (
            fit(*law, &points, &FitOptions::default()),
            fit(*law, &scaled, &FitOptions::default()),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        let name = law.spec().name;
        assert!((a.objective / b.objective - 1.0).abs() < 1e-3, "{name}");
        let (p, q) = (a.loss(&points[40].at).unwrap(), b.loss(&scaled[40].at).unwrap());
        assert!((p / q - 1.0).abs() < 1e-3, "{name}: {p} {q}");
    }
}
