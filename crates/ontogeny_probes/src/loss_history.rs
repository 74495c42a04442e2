//! What the first training losses look like as a signal.
//!
//! Source: Notsawo et al. 2023 (arXiv:2306.13253): slow oscillation of the early loss tells runs that will grok
//! from those that will not; Hjorth 1970 for activity, mobility and complexity.

/// Training losses that are looked at.
pub const EARLY_STEPS: usize = 400;
/// Below this frequency, in cycles per step, oscillation counts as slow.
const SLOW: f64 = 0.02;
/// Fewer losses than this hold no spectrum worth the name.
const ENOUGH: usize = 8;

/// The early training loss as a signal, after its least-squares line is taken away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralFeature {
    /// Share of power below 0.02 cycles per step.
    pub slow_share: f64,
    /// Hjorth activity: the variance, in squared nats.
    pub activity: f64,
    /// Hjorth mobility: `sqrt(var(x') / var(x))`, per step.
    pub mobility: f64,
    /// Hjorth complexity: the mobility of x' over that of x; 1 for a sine, larger for anything else.
    pub complexity: f64,
}

/// The feature of the first `min(400, len)` training losses, one for every step.
///
/// To be causal at step t0, hand in the first t0 losses and no more. `None` for fewer than 8 losses, for losses
/// that are not finite, and for a straight line.
///
/// # Examples
/// ```
/// let losses: Vec<f64> = (0..500).map(|t| 3.0 - 0.001 * t as f64 + (0.05 * t as f64).sin()).collect();
/// let feature = ontogeny_probes::spectral_feature(&losses).unwrap();
/// assert!(feature.slow_share > 0.95); // 0.05 / (2 pi) is 0.008 cycles per step
/// ```
pub fn spectral_feature(losses: &[f64]) -> Option<SpectralFeature> {
    let losses = &losses[..losses.len().min(EARLY_STEPS)];
    if losses.len() < ENOUGH || losses.iter().any(|l| !l.is_finite()) {
        return None;
    }
    let x = detrended(losses);
    let activity = variance(&x);
    let size = losses.iter().fold(0.0_f64, |m, l| m.max(l.abs()));
    // What rounding leaves of a straight line is no signal.
    if activity <= (1e-13 * size).powi(2) {
        return None;
    }
    let dx = differences(&x);
    let mobility = (variance(&dx) / activity).sqrt();
    let complexity = (variance(&differences(&dx)) / variance(&dx)).sqrt() / mobility;
    Some(SpectralFeature { slow_share: slow_share(&x), activity, mobility, complexity })
}

/// The signal less its least-squares line.
fn detrended(x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let (t_mean, x_mean) = ((n - 1.0) / 2.0, x.iter().sum::<f64>() / n);
    let (mut cross, mut square) = (0.0, 0.0);
    for (t, x) in x.iter().enumerate() {
        let t = t as f64 - t_mean;
        cross += t * (x - x_mean);
        square += t * t;
    }
    let slope = cross / square;
    x.iter().enumerate().map(|(t, x)| x - x_mean - slope * (t as f64 - t_mean)).collect()
}

/// Share of the power spectrum below [`SLOW`]; the mean has none of it.
fn slow_share(x: &[f64]) -> f64 {
    let n = x.len();
    let waves: Vec<(f64, f64)> = (0..n)
        .map(|j| std::f64::consts::TAU * j as f64 / n as f64)
        .map(|angle| (angle.cos(), angle.sin()))
        .collect();
    let (mut slow, mut all) = (0.0, 0.0);
    for j in 1..=n / 2 {
        let (mut re, mut im) = (0.0, 0.0);
        for (t, x) in x.iter().enumerate() {
            let (cos, sin) = waves[j * t % n];
            re += cos * x;
            im += sin * x;
        }
        // Every frequency but the highest of an even number stands for two.
        let power = (re * re + im * im) * if 2 * j == n { 1.0 } else { 2.0 };
        all += power;
        slow += if (j as f64) < SLOW * n as f64 { power } else { 0.0 };
    }
    slow / all
}

fn differences(x: &[f64]) -> Vec<f64> {
    x.windows(2).map(|w| w[1] - w[0]).collect()
}

fn variance(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn a_sine_has_its_frequency_and_complexity_one() {
        // Ten periods in 400 steps: 0.025 cycles per step, above the bound; four are 0.01, below it.
        for (periods, slow) in [(10.0, false), (4.0, true)] {
            let w = std::f64::consts::TAU * periods / 400.0;
            let x: Vec<f64> = (0..400).map(|t| 2.0 * (w * f64::from(t) + 0.3).cos()).collect();
            let f = spectral_feature(&x).unwrap();
            // The line that is taken away disturbs a few per cent.
            assert!((f.slow_share - f64::from(u8::from(slow))).abs() < 0.05, "{f:?}");
            assert!((f.activity - 2.0).abs() < 0.1 && (f.mobility - w).abs() < 0.1 * w);
            assert!((f.complexity - 1.0).abs() < 0.1, "{f:?}");
        }
    }

    #[test]
    fn white_noise_spreads_its_power_evenly() {
        let draws = Philox::new(0, "noise").at(0);
        let share = |seed: u64| {
            let x: Vec<f64> = (0..400).map(|t| draws.normal(1000 * seed + t)).collect();
            spectral_feature(&x).unwrap().slow_share
        };
        let mean = (0..50).map(share).sum::<f64>() / 50.0;
        // Seven of 200 frequencies are slow; the standard error over 50 seeds is 0.002.
        assert!((mean - 0.035).abs() < 0.01, "{mean}");
    }

    #[test]
    fn only_the_first_400_losses_are_read_and_a_line_is_no_signal() {
        let draws = Philox::new(1, "noise").at(0);
        let x: Vec<f64> = (0..1000).map(|t| draws.normal(t)).collect();
        assert_eq!(spectral_feature(&x), spectral_feature(&x[..400]));
        let line: Vec<f64> = (0..400).map(|t| 3.0 - 0.01 * f64::from(t)).collect();
        assert_eq!(spectral_feature(&line), None);
        assert_eq!(spectral_feature(&x[..7]), None);
        assert_eq!(spectral_feature(&[f64::NAN; 10]), None);
    }
}
