//! What the stack must do, on curves whose truth is known.

use super::posterior::FamilyFit;
use super::readings::{Readings, clean};
use super::synthetic::{HORIZON, Kind, Synthetic, curve};
use super::*;
use crate::distribution::{Cdf, Support};
use crate::scores::crps;
use ontogeny_core::random::Philox;

/// Noiseless readings of a family at its `seed`-th draw, range 1, time in units of the prefix.
fn noiseless(f: &'static Family, seed: u64) -> Option<(Vec<f64>, Vec<(f64, f64)>)> {
    let theta = f.start(1000 + seed);
    let mut p = vec![1.0];
    if f.has_floor {
        p.push(0.0);
    }
    p.extend(&theta[..f.theta.len()]);
    let phi = |x: f64| f.value(x, &p);
    let (a, b) = (phi(0.02), phi(1.0));
    if !(a - b).is_finite() || (a - b).abs() < 1e-3 || (a - b).abs() > 1e4 {
        return None;
    }
    p[0] = 1.0 / (a - b).abs();
    if f.has_floor {
        p[1] = 0.5;
    }
    let points = (1..=100).map(|i| (f64::from(i), f.value(f64::from(i) / 100.0, &p))).collect();
    Some((p, points))
}

#[test]
fn every_family_recovers_its_own_noiseless_curve() {
    for f in FAMILIES {
        let (mut n, mut off) = (0, vec![]);
        for seed in 0..20 {
            let Some((p, points)) = noiseless(f, seed) else { continue };
            let r = Readings::new(&clean(&points, false), false, 200).unwrap();
            let effort = Effort { starts: 128, descents: 12, steps: 300 };
            let fit = FamilyFit::new(f, &r, effort, 1, &[]).unwrap();
            let size = points.iter().fold(0.0_f64, |m, q| m.max(q.1.abs()));
            let worst = [2.0, 10.0, 50.0, 90.0, 100.0, 120.0, 150.0]
                .iter()
                .map(|t| {
                    let truth = f.value(t / 100.0, &p);
                    (fit.curve(*t) * r.scale - truth).abs() / size.max(truth.abs())
                })
                .fold(0.0_f64, f64::max);
            n += 1;
            if worst > 1e-4 {
                off.push((seed, worst));
            }
        }
        println!("{} {n} {off:?}", f.name);
    }
}

#[test]
#[ignore = "slow"]
fn slow_timing() {
    for n in [30, 100, 1000, 100_000] {
        let t = std::time::Instant::now();
        for seed in 0..5 {
            let c = curve(seed, Kind { n, ..Kind::default() });
            let _ = Stack::fit(&c.points, false, &Options::default());
        }
        println!("{n} {:?}", t.elapsed() / 5);
    }
    for n in [30, 100, 1000] {
        let t = std::time::Instant::now();
        for seed in 0..20 {
            let c = curve(seed, Kind { n, ..Kind::default() });
            let _ = Stack::fit(&c.points, false, &Options::quick());
        }
        println!("quick {n} {:?}", t.elapsed() / 20);
    }
    let c = curve(5, Kind { n: 100, ..Kind::default() });
    let r = Readings::new(&clean(&c.points, false), false, 200).unwrap();
    for f in FAMILIES {
        let t = std::time::Instant::now();
        for _ in 0..10 {
            let _ = FamilyFit::new(f, &r, Effort::default(), 48, &[]);
        }
        println!("{} {:?}", f.name, t.elapsed() / 10);
    }
    let t = std::time::Instant::now();
    let _ = super::change::changes(&r);
    println!("changes {:?}", t.elapsed());
}

/// Whether the outcome lies in the central 80 and 90 %, and the score.
#[derive(Debug, Clone, Copy)]
struct Hit {
    in80: bool,
    in90: bool,
    crps: f64,
    walk: f64,
    is_spoken: bool,
}

/// Forecasts a curve from a share of its horizon for its last reading.
fn ask(c: &Synthetic, share: f64, options: &Options) -> Option<Hit> {
    let t0 = share * HORIZON;
    let seen: Vec<(f64, f64)> = c.points.iter().copied().filter(|p| p.0 <= t0).collect();
    let stack = Stack::fit(&seen, false, options).ok()?;
    let p = stack.predict(HORIZON).ok()?;
    let y = c.points[c.points.len() - 1].1;
    let u = Cdf::new(&p, Support::Line).unwrap().at(y);
    let n = seen.len();
    let steps: Vec<f64> = seen[n / 2..].windows(2).map(|w| (w[1].1 - w[0].1).powi(2)).collect();
    let var = crate::math::mean(&steps).unwrap() * (c.points.len() - n) as f64;
    let walk = crate::scores::crps_gaussian(seen[n - 1].1, var.sqrt(), y);
    let is_spoken = stack.forecast(HORIZON).is_ok();
    Some(Hit {
        in80: (u - 0.5).abs() <= 0.4,
        in90: (u - 0.5).abs() <= 0.45,
        crps: crps(&p, y).unwrap(),
        walk,
        is_spoken,
    })
}

fn summary(name: &str, hits: &[Hit]) {
    let n = hits.len() as f64;
    let share = |f: fn(&Hit) -> bool| hits.iter().filter(|h| f(h)).count() as f64 / n;
    let mean = |f: fn(&Hit) -> f64| hits.iter().map(f).sum::<f64>() / n;
    println!(
        "{name}: n {n} cover80 {:.3} cover90 {:.3} crps {:.4} walk {:.4} spoken {:.3}",
        share(|h| h.in80),
        share(|h| h.in90),
        mean(|h| h.crps),
        mean(|h| h.walk),
        share(|h| h.is_spoken)
    );
}

const SHARES: [f64; 4] = [0.1, 0.2, 0.4, 0.6];

#[test]
#[ignore = "slow"]
fn slow_coverage_of_generator_curves() {
    use rayon::prelude::*;
    let o = Options::default();
    for (name, kind, find) in [
        ("all", Kind::default(), true),
        ("undisturbed", Kind { disturbed: 0.0, ..Kind::default() }, true),
        ("jumps, with", Kind { disturbed: 1.0, only_jumps: true, n: 200 }, true),
        ("jumps, without", Kind { disturbed: 1.0, only_jumps: true, n: 200 }, false),
    ] {
        let o = Options { find_changes: find, ..o.clone() };
        let hits: Vec<(usize, Hit)> = (0..500_u64)
            .into_par_iter()
            .filter_map(|s| {
                let which = s as usize % SHARES.len();
                Some((which, ask(&curve(s, kind), SHARES[which], &o)?))
            })
            .collect();
        summary(name, &hits.iter().map(|h| h.1).collect::<Vec<_>>());
        for (i, s) in SHARES.iter().enumerate() {
            let of: Vec<Hit> = hits.iter().filter(|h| h.0 == i).map(|h| h.1).collect();
            summary(&format!("{name} {s}"), &of);
        }
    }
}

fn walk(seed: u64, n: usize) -> Vec<(f64, f64)> {
    let d = Philox::new(seed, "walk").at(0);
    let mut y = 0.0;
    (0..n as u64)
        .map(|i| {
            y += d.normal(i);
            ((i + 1) as f64, y)
        })
        .collect()
}

#[test]
#[ignore = "slow"]
fn slow_random_walks_are_not_predictable() {
    use rayon::prelude::*;
    for n in [30, 60, 120, 250, 500] {
        let spoke = (0..100_u64)
            .into_par_iter()
            .filter(|s| forecast(&walk(1000 * n as u64 + s, n), 2.0 * n as f64, false).is_ok())
            .count();
        println!("walk {n}: spoke {spoke} of 100");
    }
    for (name, rho) in [("pow3", 0.0), ("pow3", 0.6), ("exp3", 0.0), ("exp3", 0.6)] {
        let spoke = (0..100_u64)
            .into_par_iter()
            .filter(|&s| {
                let d = Philox::new(s, "plain").at(0);
                let (b, sd) = (0.2 + d.uniform(0), 0.005 + 0.02 * d.uniform(1));
                let mut e = 0.0;
                let points: Vec<(f64, f64)> = (1..=80)
                    .map(|i| {
                        e = rho * e + (1.0_f64 - rho * rho).sqrt() * sd * d.normal(i + 10);
                        let x = i as f64;
                        let y = if name == "pow3" { x.powf(-b) } else { (-b * x / 30.0).exp() };
                        (x, 0.3 + y + e)
                    })
                    .collect();
                forecast(&points, 160.0, false).is_ok()
            })
            .count();
        println!("{name} {rho}: spoke {spoke} of 100");
    }
}

#[test]
#[ignore = "slow"]
fn slow_diagnose() {
    use rayon::prelude::*;
    let kind = Kind { disturbed: 0.0, ..Kind::default() };
    let run = |name: &str, o: &(dyn Fn(&Synthetic) -> Options + Sync)| {
        let hits: Vec<(usize, &'static str, Hit)> = (0..500_u64)
            .into_par_iter()
            .filter_map(|s| {
                let which = s as usize % SHARES.len();
                let c = curve(s, kind);
                Some((which, c.family.name, ask(&c, SHARES[which], &o(&c))?))
            })
            .collect();
        summary(name, &hits.iter().map(|h| h.2).collect::<Vec<_>>());
        summary(
            &format!("{name} spoken"),
            &hits.iter().map(|h| h.2).filter(|h| h.is_spoken).collect::<Vec<_>>(),
        );
        for (i, s) in SHARES.iter().enumerate() {
            let of: Vec<Hit> = hits.iter().filter(|h| h.0 == i).map(|h| h.2).collect();
            summary(&format!("{name} {s}"), &of);
        }
    };
    let o = Options { hazard: 0.0, find_changes: false, ..Options::default() };
    run("bic", &|_: &Synthetic| Options { averaging: Averaging::Bic, ..o.clone() });
    run("stack", &|_: &Synthetic| o.clone());
}
