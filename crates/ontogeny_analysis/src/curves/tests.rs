//! What the stack must do, on curves whose truth is known.

use super::posterior::FamilyFit;
use super::readings::{Readings, clean};
use super::synthetic::{HORIZON, Kind, Synthetic, curve};
use super::*;
use crate::distribution::{Cdf, Support};
use crate::scores::crps;
use ontogeny_core::random::Philox;
use rayon::prelude::*;

type Points = Vec<(f64, f64)>;

/// Noiseless readings of a family at its `seed`-th draw, range 1, time in units of the prefix.
fn noiseless(f: &'static Family, seed: u64) -> Option<(Vec<f64>, Points)> {
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

/// The largest error relative to the curve's size at these shares of the prefix.
fn recovery(f: &'static Family, seed: u64, shares: &[f64]) -> Option<f64> {
    let (p, points) = noiseless(f, seed)?;
    let r = Readings::new(&clean(&points, false), false, 200).unwrap();
    let effort = Effort { starts: 128, descents: 12, steps: 300 };
    let fit = FamilyFit::new(f, &r, effort, 1, &[]).unwrap();
    let size = points.iter().fold(0.0_f64, |m, q| m.max(q.1.abs()));
    let off = |x: &f64| {
        let truth = f.value(*x, &p);
        (fit.curve(100.0 * x) * r.scale - truth).abs() / size.max(truth.abs())
    };
    Some(shares.iter().map(off).fold(0.0, f64::max))
}

/// On the prefix to 1e-4 of the curve's size: all draws of nearly all families; of the broken laws a few of twenty
/// end beside the best of their many valleys. Ahead only where the prefix says so: a hockey stick whose
/// corner is still to come is a line so far.
#[test]
fn every_family_recovers_its_own_noiseless_curve() {
    for f in FAMILIES {
        let (mut asked, mut seen_off, mut ahead_off) = (0, 0, 0);
        for seed in 0..20 {
            let Some(seen) = recovery(f, seed, &[0.02, 0.1, 0.33, 0.5, 0.77, 0.9, 1.0]) else {
                continue;
            };
            let ahead = recovery(f, seed, &[1.2, 1.5]).unwrap();
            asked += 1;
            seen_off += usize::from(seen > 1e-4);
            ahead_off += usize::from(ahead > 1e-4);
            if f.name.starts_with("bnsl") {
                assert!(seen < 2e-2, "{} {seed} {seen:.1e}", f.name);
            }
        }
        println!("{}: {asked} asked, {seen_off} off, {ahead_off} off ahead", f.name);
        let allowed = match f.name {
            "bnsl1" | "bnsl2" => 5,
            // Where its exponent is cut it has corners.
            "vap" => 1,
            _ => 0,
        };
        assert!(asked >= 8 && seen_off <= allowed, "{} {seen_off} of {asked}", f.name);
        assert!(ahead_off <= allowed.max(1) || f.name == "hockey", "{} {ahead_off}", f.name);
    }
}

#[test]
fn whitened_residuals_have_no_memory() {
    let mut lags = vec![];
    for seed in 0..20 {
        let d = Philox::new(seed, "memory").at(0);
        let rho = 0.9 * d.uniform(0);
        let mut e = d.normal(1);
        let points: Vec<(f64, f64)> = (1..=400)
            .map(|i| {
                e = rho * e + (1.0 - rho * rho).sqrt() * d.normal(i + 10);
                (i as f64, 1.0 + (i as f64).powf(-0.5) + 0.02 * e)
            })
            .collect();
        let r = Readings::new(&clean(&points, false), false, 400).unwrap();
        let fit = FamilyFit::new(family("pow3").unwrap(), &r, Effort::default(), 1, &[]).unwrap();
        let off: Vec<f64> = points.iter().map(|p| p.1 - fit.curve(p.0) * r.scale).collect();
        let fresh: Vec<f64> = off.windows(2).map(|w| w[1] - fit.rho * w[0]).collect();
        let all: f64 = fresh.iter().map(|e| e * e).sum();
        lags.push(fresh.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / all);
        assert!((fit.rho - rho).abs() < 0.15, "{rho} {}", fit.rho);
    }
    // The standard error of a lag of 400 is .05: two of it for each, and 20 of them average out.
    let within = lags.iter().filter(|l| l.abs() <= 0.1).count();
    assert!(within >= 18 && crate::math::mean(&lags).unwrap().abs() < 0.05, "{lags:?}");
}

#[test]
fn units_do_not_matter_and_broken_readings_are_skipped() {
    let c = curve(20_001, Kind { disturbed: 0.0, n: 60, ..Kind::default() });
    let seen = &c.points[..30];
    let plain = Stack::fit(seen, false, &Options::quick()).unwrap().predict(HORIZON).unwrap();
    let other: Vec<(f64, f64)> = seen.iter().map(|p| (8.0 * p.0, -4.0 * p.1)).collect();
    let mut broken = other.clone();
    broken.insert(3, (8.0 * seen[3].0 - 1.0, f64::NAN));
    broken.insert(0, (0.0, 7.0));
    broken.push((9.0 * seen[29].0, f64::INFINITY));
    for points in [other, broken] {
        let p =
            Stack::fit(&points, false, &Options::quick()).unwrap().predict(8.0 * HORIZON).unwrap();
        for (a, b) in plain.quantiles.iter().zip(p.quantiles.iter().rev()) {
            assert!((a + b / 4.0).abs() < 1e-6, "{plain:?} {p:?}");
        }
    }
}

#[test]
fn a_logarithmic_target_is_the_logarithm_of_the_value() {
    let d = Philox::new(4, "log").at(0);
    let points: Vec<(f64, f64)> = (1..=80)
        .map(|i| (f64::from(i), 5.0 * f64::from(i).powf(-0.6) * (0.02 * d.normal(i as u64)).exp()))
        .collect();
    let f = forecast(&points, 400.0, true).unwrap();
    let truth = (5.0 * 400_f64.powf(-0.6)).ln();
    let u = Cdf::new(&f.predictive, Support::Line).unwrap().at(truth);
    assert!((0.02..=0.98).contains(&u), "{truth} {f:?}");
    assert!(f.skill.skill > 0.2 && (f.weights.iter().map(|w| w.1).sum::<f64>() - 1.0).abs() < 0.02);
    let many = at_many(&points, &[160.0, 400.0, 70.0], true).unwrap();
    assert_eq!(many[1].as_ref().unwrap(), &f);
    assert_eq!(many[2], Err(Silence::NotLater { at: 70.0, last: 80.0 }));
}

#[test]
fn what_cannot_be_forecast_is_said_so() {
    let flat: Vec<(f64, f64)> = (1..20).map(|i| (f64::from(i), 2.0)).collect();
    assert_eq!(forecast(&flat, 40.0, false).unwrap_err(), Silence::Constant);
    assert!(matches!(forecast(&walk(3, 200), 400.0, false), Err(Silence::NotPredictable { .. })));
    let few = &walk(3, 9)[..];
    assert!(matches!(forecast(few, 40.0, false), Err(Silence::Unjudged { .. })));
}

#[test]
fn a_jump_is_found_and_a_smooth_curve_or_a_walk_has_none() {
    let found = |points: &[(f64, f64)]| {
        Stack::fit(points, false, &Options::quick()).map(|s| s.changes()).unwrap_or_default()
    };
    let d = Philox::new(9, "jump").at(0);
    let jump = |height: f64| -> Vec<(f64, f64)> {
        (1..=60)
            .map(|i| {
                let t = f64::from(i);
                let y = t.powf(-0.5) + if i > 25 { height } else { 0.0 };
                (t, y + 0.01 * d.normal(i as u64))
            })
            .collect()
    };
    let c = found(&jump(-0.4));
    assert!(c.len() == 1 && c[0].at == 26.0 && (c[0].size - 0.4).abs() < 0.1, "{c:?}");
    assert!(found(&jump(0.0)).is_empty());
    let walks = (0..40).filter(|s| !found(&walk(900 + s, 60)).is_empty()).count();
    assert!(walks <= 4, "{walks} of 40");
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
#[ignore = "slow"]
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
#[ignore = "slow"]
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
