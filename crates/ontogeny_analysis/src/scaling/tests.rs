//! Known answers for whole fits: a synthetic Chinchilla set that always runs, and coverage of the intervals.

use super::*;
use ontogeny_core::random::Philox;

/// Parameters of the published replication (arXiv:2404.10102): A, B, E, alpha, beta.
const PLANTED: [f64; 5] = [482.01, 2085.43, 1.8172, 0.3478, 0.3658];

fn law(at: &Scale) -> f64 {
    let [a, b, e, alpha, beta] = PLANTED;
    e + a / at.params.powf(alpha) + b / at.tokens.powf(beta)
}

/// Iso-FLOP runs drawn from the published law with noise .003 in ln(loss): 9 budgets of 27 sizes.
fn synthetic(seed: u64, sizes: u32) -> Vec<Point> {
    let draws = Philox::new(seed, "synthetic-chinchilla").at(0);
    let budgets = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21];
    let mut points = Vec::new();
    for (flops, b) in budgets.into_iter().zip(0_u64..) {
        let best = (flops / 6.0_f64).powf(0.513) * 0.25;
        for k in 0..sizes {
            let offset = 3.0 * (f64::from(k) / f64::from(sizes - 1) - 0.5);
            let at = Scale::of_params_flops(best * offset.exp(), flops);
            let noise = 0.003 * draws.normal(b * 1000 + u64::from(k));
            points.push(Point { at, loss: law(&at) * noise.exp() });
        }
    }
    points
}

#[test]
fn the_published_law_is_recovered_from_synthetic_runs() {
    let points = synthetic(0, 27);
    let found = fit(&Chinchilla, &points, &FitOptions::default()).unwrap();
    let boot =
        bootstrap(&found, None, &BootstrapOptions { n_resamples: 400, ..Default::default() });
    for (name, planted) in ["A", "B", "E", "alpha", "beta"].iter().zip(PLANTED) {
        // 99.8 %: the planted value lies inside but for one seed in 500.
        let (low, high) = boot.interval(&found, name, 0.998).unwrap();
        assert!(low < planted && planted < high, "{name}: {planted} not in {low} {high}");
    }
    let far = Scale::of_params_tokens(7e10, 1.4e12);
    assert!((found.loss(&far).unwrap() / law(&far) - 1.0).abs() < 5e-3);
    let doubts = diagnose(&found, &boot);
    assert!(doubts.lack_of_fit_p.unwrap() > 0.01, "{doubts:?}");
    assert!(doubts.unidentified.is_empty(), "{doubts:?}");
    let followed =
        fit(&Chinchilla, &points, &FitOptions { follow_all: true, ..Default::default() });
    assert!((followed.unwrap().objective / found.objective - 1.0).abs() < 1e-9);
}

#[test]
fn parameters_that_few_runs_cannot_tell_are_named() {
    let found = fit(&Chinchilla, &synthetic(0, 4), &FitOptions::default()).unwrap();
    let boot =
        bootstrap(&found, None, &BootstrapOptions { n_resamples: 200, ..Default::default() });
    let doubts = diagnose(&found, &boot);
    assert!(doubts.unidentified.contains(&"A"), "{doubts:?}");
    assert!(!doubts.unidentified.contains(&"E"), "{doubts:?}");
}

#[test]
fn a_wrong_form_is_called_wrong() {
    let points = synthetic(1, 27);
    let found = fit(&KaplanNd, &points, &FitOptions::default()).unwrap();
    let boot = bootstrap(&found, None, &BootstrapOptions { n_resamples: 50, ..Default::default() });
    assert!(diagnose(&found, &boot).lack_of_fit_p.unwrap() < 1e-4);
    let held_out = |law| {
        let e = leave_largest_out(law, &points, &FitOptions::default(), BUDGET_FACTOR);
        held_out_error(&e.unwrap()).unwrap()
    };
    assert!(held_out(&KaplanNd) > 2.0 * held_out(&Chinchilla));
}

#[test]
fn profile_and_bootstrap_intervals_cover_what_was_planted() {
    let n_seeds = 60;
    let (mut profile, mut boot_covers) = (0, 0);
    for seed in 0..n_seeds {
        let found = fit(&FRONTIER, &frontier_points(seed), &FitOptions::default()).unwrap();
        let interval = profile_interval(&found, 2, 0.9).unwrap();
        let (low, high) = (interval.low.unwrap_or(0.0), interval.high.unwrap_or(f64::INFINITY));
        profile += i32::from(low <= 0.16 && 0.16 <= high);
        let options = BootstrapOptions { n_resamples: 200, seed, ..Default::default() };
        let (low, high) = bootstrap(&found, None, &options).interval(&found, "g", 0.9).unwrap();
        boot_covers += i32::from(low <= 0.16 && 0.16 <= high);
    }
    // 54 expected of 60; binomial with p = .9 lies in 46..=60 with probability .999.
    assert!(profile >= 46, "profile {profile}");
    assert!(boot_covers >= 46, "bootstrap {boot_covers}");
}

fn frontier_points(seed: u64) -> Vec<Point> {
    let draws = Philox::new(seed, "frontier").at(1);
    (0..60)
        .map(|i| {
            let at = Scale::of_flops(1e18 * 10f64.powf(f64::from(i) / 12.0));
            let loss = 1.8 + 1100.0 / at.flops.powf(0.16);
            Point { at, loss: loss * (0.004 * draws.normal(i as u64)).exp() }
        })
        .collect()
}

#[test]
fn a_bootstrap_is_the_same_for_any_number_of_threads() {
    let points = synthetic(2, 9);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let found = fit(&Chinchilla, &points, &FitOptions::default()).unwrap();
            let options = BootstrapOptions { n_resamples: 40, ..Default::default() };
            (found.theta, bootstrap(&found, None, &options))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn averages_prefer_the_planted_form_and_their_intervals_cover() {
    let points = synthetic(3, 12);
    let below = up_to(&points, 1.1e21);
    let forms: [&'static dyn Law; 3] = [&Chinchilla, &KaplanNd, &Overtraining];
    let options = (FitOptions::default(), 1.5);
    let all = average(&forms, &below, Weighing::HeldOut, &options.0, options.1).unwrap();
    assert_ne!(all.members[0].fit.law.spec().name, "kaplan-nd");
    let boots = all.bootstrap(&BootstrapOptions { n_resamples: 200, ..Default::default() });
    let beyond: Vec<&Point> = points.iter().filter(|p| p.at.flops > 2e21).collect();
    let covered = beyond.iter().filter(|p| {
        let (_, low, high) = predict(&all, &boots, &p.at, &[0.9], 0).unwrap().intervals[0];
        low <= p.loss && p.loss <= high
    });
    // 12 points of one budget share its error; more than half must be inside.
    assert!(covered.count() >= 7);
    let bic = average(&forms, &below, Weighing::Bic, &options.0, options.1).unwrap();
    assert!((bic.members.iter().map(|m| m.weight).sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn points_that_tell_no_law_are_refused() {
    let points = synthetic(4, 9);
    let options = FitOptions::default();
    let refused = |points: &[Point]| fit(&Chinchilla, points, &options).unwrap_err().to_string();
    assert_eq!(
        refused(&points[..4]),
        "fit chinchilla: 4 points are too few for 5 parameters; give at least 7"
    );
    let mut bad = points.clone();
    bad[3].loss = f64::NAN;
    assert_eq!(
        refused(&bad),
        "fit chinchilla: loss of point 3 is NaN; it must be finite and above zero"
    );
    let same: Vec<Point> =
        (points.iter()).map(|p| Point { at: Scale { params: 1e8, ..p.at }, ..*p }).collect();
    assert!(refused(&same).contains("all points have the same params"));
    let no_size = Scale::of_flops(1e20);
    assert!(fit(&Chinchilla, &points, &options).unwrap().loss(&no_size).is_err());
    assert!(leave_largest_out(&Chinchilla, &points[..18], &options, BUDGET_FACTOR).is_err());
}
