//! Known answers for the mixture laws.

use super::*;
use ontogeny_core::random::Philox;

/// Mixtures of four domains.
fn mixtures(n: u64) -> Vec<Vec<f64>> {
    let stream = Philox::new(8, "mix");
    (0..n)
        .map(|i| {
            let raw: Vec<f64> = (0..4).map(|k| -(1.0 - stream.at(i).uniform(k)).ln()).collect();
            let sum: f64 = raw.iter().sum();
            raw.iter().map(|v| v / sum).collect()
        })
        .collect()
}

fn planted(m: &[f64]) -> f64 {
    1.4 + (1.2 - 2.5 * m[0] - 0.3 * m[1] + 0.4 * m[2]).exp()
}

#[test]
fn the_exponential_law_is_recovered_and_chosen() {
    let x = mixtures(80);
    let y: Vec<f64> = x.iter().map(|m| planted(m)).collect();
    let chosen = choose_mixture(&x, &y, Some(0), 1).unwrap();
    assert_eq!(chosen.law.spec().0, "exponential", "{:?}", chosen.errors);
    let pure = [0.9, 0.05, 0.03, 0.02];
    assert!((chosen.fit.loss(&pure) - planted(&pure)).abs() < 5e-3, "{}", chosen.fit.loss(&pure));
    assert!(chosen.errors[0] > 3.0 * chosen.errors[3], "{:?}", chosen.errors);
}

#[test]
fn a_loss_of_the_own_share_alone_is_left_to_the_baseline() {
    let x = mixtures(80);
    let draws = Philox::new(9, "noise").at(0);
    let y: Vec<f64> = (x.iter().zip(0..))
        .map(|(m, i)| (1.0 - 0.1 * (m[2] + 1e-3).ln() + 0.02 * draws.normal(i)).exp())
        .collect();
    let chosen = choose_mixture(&x, &y, Some(2), 1).unwrap();
    assert!(chosen.errors[0] <= 1.05 * chosen.errors.iter().copied().fold(f64::NAN, f64::min));
}

#[test]
fn bad_tables_are_refused() {
    let x = mixtures(40);
    let mut y = vec![2.0; 40];
    assert!(choose_mixture(&x, &y[..39], None, 0).is_err());
    assert!(choose_mixture(&x[..5], &y[..5], None, 0).is_err());
    y[7] = f64::NAN;
    let e = choose_mixture(&x, &y, None, 0).unwrap_err();
    assert!(matches!(e, ScalingError::NotPositive { point: 7, .. }), "{e}");
}
