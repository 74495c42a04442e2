use super::*;
use crate::math::special::normal_cdf;
use crate::survival::Lifetime;
use proptest::prelude::*;

#[test]
fn a_gaussian_reads_back_as_a_gaussian() {
    let c = Cdf::new(&gaussian(1.0, 2.0), Support::Line).unwrap();
    // Between .95 and .975 a chord of the Gaussian lies up to .0035 off it.
    for z in [-3.0, -2.0, -0.7, 0.0, 0.3, 1.5, 2.5, 3.2] {
        let x = 1.0 + 2.0 * z;
        assert!((c.at(x) - normal_cdf(z)).abs() < 4e-3, "{z} {} {}", c.at(x), normal_cdf(z));
    }
    assert!((c.quantile(0.5).unwrap() - 1.0).abs() < 1e-12);
}

#[test]
fn mass_beyond_the_horizon_becomes_never() {
    let h = 1000.0_f64.ln();
    let p = gaussian_event(h, 0.5, Step(1), Step(1000));
    assert!((p.never_prob - 0.5).abs() < 1e-9);
    assert!(p.quantiles.iter().all(|q| *q <= h));
    // Given it happens, the median is the 25 % quantile of the whole.
    assert!((median(&p) - (h + 0.5 * normal_quantile(0.25))).abs() < 1e-6);
    let cure = gaussian_event_with_cure(h, 0.5, 0.2, Step(1), Step(1000));
    assert!((cure.never_prob - 0.6).abs() < 1e-9);
}

#[test]
fn waiting_in_two_steps_is_waiting_in_one() {
    let once = gaussian_event(6.0, 0.6, Step(300), Step(2000));
    let p = gaussian_event(6.0, 0.6, Step(100), Step(2000));
    let twice = given_not_yet(&p, Step(100), Step(300), Step(2000)).unwrap();
    assert!((once.never_prob - twice.never_prob).abs() < 1e-3);
    for (a, b) in once.quantiles.iter().zip(&twice.quantiles) {
        // 23 quantiles hold a Gaussian to a few thousandths of mass, .03 on its axis here.
        assert!((a - b).abs() < 0.03, "{a} {b}");
    }
}

#[test]
fn an_overdue_event_sits_at_the_cutoff() {
    let p = gaussian_event(2.0, 0.01, Step(5000), Step(10_000));
    assert!(median(&p) - 5000.0_f64.ln() < 1e-2 && p.never_prob < 1e-9);
}

#[test]
fn the_empirical_distribution_counts_the_runs_without_the_event() {
    let event = |t: f64| Lifetime::Event { lo: t.ln(), hi: t.ln() };
    let runs =
        [event(50.0), event(300.0), event(600.0), Lifetime::Censored { at: 1000.0_f64.ln() }];
    let p = from_lifetimes(&runs, Step(100), Step(1000));
    // Three runs were waiting, one of them in vain: (1 + 1/2) / (3 + 1).
    assert!((p.never_prob - 0.375).abs() < 1e-9);
    assert!(median(&p) > 250.0_f64.ln() && median(&p) < 600.0_f64.ln());
    assert!((from_lifetimes(&[], Step(100), Step(1000)).never_prob - 0.5).abs() < 1e-9);
}

#[test]
fn malformed_predictions_are_none() {
    let mut p = gaussian(0.0, 1.0);
    p.quantiles.swap(3, 9);
    assert!(Cdf::new(&p, Support::Line).is_none());
    p.quantiles.clear();
    assert!(Cdf::new(&p, Support::Line).is_none());
}

proptest! {
    #[test]
    fn a_distribution_function_rises_from_0_to_1(
        mu in 3.0..9.0_f64, sigma in 0.01..2.0_f64, cured in 0.0..1.0_f64,
    ) {
        let p = gaussian_event_with_cure(mu, sigma, cured, Step(100), Step(5000));
        let c = Cdf::new(&p, Support::between(Step(100), Step(5000)).unwrap()).unwrap();
        let mut last = 0.0;
        for i in 0..=200 {
            let f = c.at(100.0_f64.ln() + 50.0_f64.ln() * f64::from(i) / 200.0);
            prop_assert!(f >= last - 1e-12 && f <= 1.0);
            last = f;
        }
        prop_assert!((last - c.happens()).abs() < 1e-9);
    }

    #[test]
    fn a_mixture_with_itself_is_itself(mu in 5.0..8.0_f64, sigma in 0.1..1.0_f64) {
        let p = gaussian_event(mu, sigma, Step(100), Step(5000));
        let w = Support::between(Step(100), Step(5000)).unwrap();
        let m = mixture(&[(1.0, p.clone()), (2.0, p.clone())], w).unwrap();
        prop_assert!((m.never_prob - p.never_prob).abs() < 1e-9);
        for (a, b) in p.quantiles.iter().zip(&m.quantiles) {
            prop_assert!((a - b).abs() < 1e-6);
        }
    }
}
