//! Scores of probabilities of yes or no.

/// Brier score `(p - y)²`.
pub fn brier(p: f64, happened: bool) -> f64 {
    (p - f64::from(u8::from(happened))).powi(2)
}

/// Logarithmic score `-ln p(y)` in nats, with the probability kept above 1e-6.
pub fn log_score(p: f64, happened: bool) -> f64 {
    -(if happened { p } else { 1.0 - p }).max(1e-6).ln()
}

/// Expected cost of an alarm raised where `p > threshold`, in units of one false alarm.
///
/// Returns the mean over records of `cost_ratio` per miss and 1 per false alarm, and the same for
/// always-alarm and never-alarm: a monitor must beat both. `None` without records.
pub fn cost_weighted(
    records: &[(f64, bool)],
    threshold: f64,
    cost_ratio: f64,
) -> Option<(f64, f64, f64)> {
    if records.is_empty() {
        return None;
    }
    let n = records.len() as f64;
    let cost = |alarm: &dyn Fn(f64) -> bool| {
        records
            .iter()
            .map(|&(p, y)| match (alarm(p), y) {
                (false, true) => cost_ratio,
                (true, false) => 1.0,
                _ => 0.0,
            })
            .sum::<f64>()
            / n
    };
    Some((cost(&|p| p > threshold), cost(&|_| true), cost(&|_| false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert!((brier(0.8, true) - 0.04).abs() < 1e-12);
        assert!((log_score(0.5, false) - std::f64::consts::LN_2).abs() < 1e-12);
        assert!((log_score(0.0, true) - 1e6_f64.ln()).abs() < 1e-9);
        let r = [(0.9, true), (0.2, true), (0.6, false), (0.1, false)];
        assert_eq!(cost_weighted(&r, 0.5, 10.0), Some((11.0 / 4.0, 2.0 / 4.0, 20.0 / 4.0)));
    }
}
