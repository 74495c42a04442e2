//! What the stack must do, on curves whose truth is known.

use super::posterior::FamilyFit;
use super::readings::{Readings, clean};
use super::synthetic::{HORIZON, Kind, Synthetic, curve};
use super::*;
use crate::distribution::{Cdf, Support, median};
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
fn timing() {
    for n in [30, 100, 1000, 100_000] {
        let c = curve(5, Kind { n, ..Kind::default() });
        let t = std::time::Instant::now();
        let _ = Stack::fit(&c.points, false, &Options::default());
        println!("{n} {:?}", t.elapsed());
    }
}
