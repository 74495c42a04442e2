//! The stack of curve families on curves of known truth: coverage, silence on random walks, time.
//!
//! The slow ones print what docs quote: `cargo test --release -p ontogeny_analysis --test curves -- --ignored --nocapture`.
#![expect(clippy::print_stdout, reason = "the slow tests measure")]

use ontogeny_analysis::curves::synthetic::{HORIZON, Kind, Synthetic, curve, walk};
use ontogeny_analysis::curves::{Averaging, Options, Stack, forecast};
use ontogeny_analysis::distribution::{Cdf, Support};
use ontogeny_analysis::scores::{crps, crps_gaussian};
use ontogeny_core::random::Philox;
use rayon::prelude::*;

/// Whether the outcome lies in the central 80 and 90 %, and the score.
#[derive(Debug, Clone, Copy)]
struct Hit {
    in80: bool,
    in90: bool,
    crps: f64,
    walk: f64,
    is_spoken: bool,
    /// Whether the disturbance, if there is one, lies in the prefix.
    disturbed: Option<bool>,
}

/// Forecasts a curve from a share of its horizon for its last reading.
fn ask(c: &Synthetic, share: f64, options: &Options) -> Option<Hit> {
    let t0 = share * HORIZON;
    let seen: Vec<(f64, f64)> = c.points.iter().copied().filter(|p| p.0 <= t0).collect();
    let stack = Stack::fit(&seen, false, options).ok()?;
    let p = stack.predict(HORIZON).ok()?;
    let y = c.points[c.points.len() - 1].1;
    let u = Cdf::new(&p, Support::Line)?.at(y);
    let n = seen.len();
    let steps: Vec<f64> = seen[n / 2..].windows(2).map(|w| (w[1].1 - w[0].1).powi(2)).collect();
    let var = (steps.iter().sum::<f64>() / steps.len() as f64) * (c.points.len() - n) as f64;
    let walk = crps_gaussian(seen[n - 1].1, var.sqrt(), y);
    let is_spoken = stack.forecast(HORIZON).is_ok();
    Some(Hit {
        in80: (u - 0.5).abs() <= 0.4,
        in90: (u - 0.5).abs() <= 0.45,
        crps: crps(&p, y)?,
        walk,
        is_spoken,
        disturbed: c.disturbance.map(|d| d.1 <= t0),
    })
}

fn summary(name: &str, hits: &[Hit]) {
    let n = hits.len() as f64;
    let mean = |f: fn(&Hit) -> f64| hits.iter().map(f).sum::<f64>() / n;
    println!(
        "{name}: n {n} cover80 {:.3} cover90 {:.3} crps {:.4} walk {:.4} heard {:.3}",
        share(hits, |h| h.in80),
        share(hits, |h| h.in90),
        mean(|h| h.crps),
        mean(|h| h.walk),
        share(hits, |h| h.is_spoken)
    );
}

const SHARES: [f64; 4] = [0.1, 0.2, 0.4, 0.6];

/// Forecasts of the curves of these seeds, each from one of [`SHARES`] in turn.
fn hits(seeds: std::ops::Range<u64>, kind: Kind, options: &Options) -> Vec<Hit> {
    seeds
        .into_par_iter()
        .filter_map(|s| ask(&curve(s, kind), SHARES[s as usize % SHARES.len()], options))
        .collect()
}

fn share(hits: &[Hit], f: impl Fn(&Hit) -> bool) -> f64 {
    hits.iter().filter(|h| f(h)).count() as f64 / hits.len() as f64
}

#[test]
fn intervals_of_predictable_curves_cover() {
    let all = hits(40_000..40_120, Kind::default(), &Options::quick());
    let heard: Vec<Hit> = all.iter().copied().filter(|h| h.is_spoken).collect();
    // About 65 curves: three standard errors of √(.16/65), beside the four points that are allowed.
    let cover = share(&heard, |h| h.in80);
    assert!(heard.len() >= 40 && (cover - 0.8).abs() < 0.19, "{} {cover}", heard.len());
    let sum = |f: fn(&Hit) -> f64| heard.iter().map(f).sum::<f64>();
    assert!(sum(|h| h.crps) < 0.7 * sum(|h| h.walk));
}

#[test]
#[ignore = "slow: minutes of fits"]
fn slow_coverage_of_generator_curves() {
    let jumps = Kind { disturbed: 1.0, only_jumps: true, n: 200 };
    let still = Kind { disturbed: 0.0, ..Kind::default() };
    let plain = Options { find_changes: false, ..Options::default() };
    for (name, kind, options) in [
        ("all", Kind::default(), Options::default()),
        ("undisturbed", still, Options::default()),
        ("undisturbed, bic", still, Options { averaging: Averaging::Bic, ..plain.clone() }),
        ("undisturbed, pow4", still, Options { families: vec!["pow4"], ..plain.clone() }),
        ("jumps, aware", jumps, Options::default()),
        ("jumps, unaware", jumps, plain.clone()),
    ] {
        let all = hits(10_000..10_600, kind, &options);
        summary(name, &all);
        let part = |f: fn(&Hit) -> bool| all.iter().copied().filter(f).collect::<Vec<_>>();
        summary(&format!("{name}, heard"), &part(|h| h.is_spoken));
        summary(&format!("{name}, before"), &part(|h| h.disturbed == Some(true)));
        let both = part(|h| h.disturbed == Some(true) && h.is_spoken);
        summary(&format!("{name}, before and heard"), &both);
        summary(&format!("{name}, later"), &part(|h| h.disturbed == Some(false)));
        if name == "undisturbed" {
            let heard = part(|h| h.is_spoken);
            assert!((share(&heard, |h| h.in80) - 0.8).abs() < 0.06);
            assert!((share(&heard, |h| h.in90) - 0.9).abs() < 0.06);
        }
    }
}

/// Random walks of several lengths about which something was said.
fn fooled(seeds: std::ops::Range<u64>) -> usize {
    const LENGTHS: [usize; 5] = [30, 60, 120, 250, 500];
    seeds
        .into_par_iter()
        .filter(|&s| {
            let n = LENGTHS[s as usize % LENGTHS.len()];
            forecast(&walk(100_000 + s, n), 2.0 * n as f64, false).is_ok()
        })
        .count()
}

#[test]
fn random_walks_are_not_predictable() {
    let n = fooled(0..200);
    assert!(n <= 10, "{n} of 200");
}

/// Curves with a floor, noise of .5 to 2 % of their range and memory, that are forecast to twice their length.
fn spoken(shape: fn(f64, f64) -> f64, rho: f64, seeds: std::ops::Range<u64>) -> usize {
    seeds
        .into_par_iter()
        .filter(|&s| {
            let d = Philox::new(s, "plain").at(0);
            let (b, sd) = (0.2 + d.uniform(0), 0.005 + 0.015 * d.uniform(1));
            let mut e = 0.0;
            let points: Vec<(f64, f64)> = (1..=80)
                .map(|i| {
                    e = rho * e + (1.0 - rho * rho).sqrt() * sd * d.normal(i + 10);
                    (i as f64, 0.3 + shape(i as f64, b) + e)
                })
                .collect();
            forecast(&points, 160.0, false).is_ok()
        })
        .count()
}

#[test]
fn curves_are_predictable() {
    let power = spoken(|t, b| t.powf(-b), 0.3, 500..560);
    let exponential = spoken(|t, b| (-b * t / 30.0).exp(), 0.3, 500..560);
    assert!(power + exponential >= 90, "{power} {exponential} of 60");
}

#[test]
#[ignore = "slow: minutes of fits"]
fn slow_random_walks_and_curves_are_told_apart() {
    let n = fooled(1000..2000);
    println!("walks {n} of 1000");
    for rho in [0.0, 0.3, 0.6] {
        let power = spoken(|t, b| t.powf(-b), rho, 1000..1200);
        let exponential = spoken(|t, b| (-b * t / 30.0).exp(), rho, 1000..1200);
        println!("rho {rho}: power {power} exponential {exponential} of 200");
    }
    assert!(n <= 50);
}

#[test]
#[ignore = "slow: minutes of fits"]
fn slow_timing() {
    for (name, options) in [("all", Options::default()), ("quick", Options::quick())] {
        for n in [30, 100, 1000, 100_000] {
            let t = std::time::Instant::now();
            for seed in 0..5 {
                let c = curve(seed, Kind { n, ..Kind::default() });
                let _ = Stack::fit(&c.points, false, &options);
            }
            println!("{name}, {n} readings: {:?}", t.elapsed() / 5);
        }
    }
}
