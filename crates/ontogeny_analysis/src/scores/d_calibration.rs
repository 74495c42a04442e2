//! D-calibration: whether event times fall evenly over the tenths of their forecasts.

use super::PitRange;
use crate::math::special::chi_square_sf;
use serde::Serialize;

/// Tenths.
const BINS: usize = 10;

/// How event times fell over the tenths of their forecast distributions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DCalibration {
    /// Records.
    pub n: usize,
    /// Share of the outcomes in each tenth of `F(T)`.
    pub shares: [f64; BINS],
    /// `Σ (n_k - n/10)² / (n/10)`.
    pub chi_square: f64,
    /// Chance of as much or more on 9 degrees of freedom, were the forecasts calibrated.
    pub p: f64,
}

/// D-calibration of PIT ranges ([`super::pit`]): a run whose event was not seen is spread over the tenths that are left
/// to it in proportion, as is an interval-censored one.
///
/// Spreading makes the test conservative where much is censored. It needs some 50 records to notice anything, and
/// forecasts that share their fit are not independent: read `p` as a description. Source: Haider et al. 2020,
/// arXiv:1811.11347. `None` without records.
pub fn d_calibration(pits: &[PitRange]) -> Option<DCalibration> {
    if pits.is_empty() {
        return None;
    }
    let n = pits.len() as f64;
    let edge = |k: usize| k as f64 / BINS as f64;
    let mut shares = [0.0; BINS];
    for p in pits {
        // A point is in one tenth only, also where it lies on an edge.
        if p.hi - p.lo < 1e-12 {
            shares[((p.lo * BINS as f64) as usize).min(BINS - 1)] += 1.0 / n;
            continue;
        }
        for (k, share) in shares.iter_mut().enumerate() {
            *share += p.share_in(edge(k), edge(k + 1)) / n;
        }
    }
    let even = n / BINS as f64;
    let chi_square = shares.iter().map(|s| (s * n - even).powi(2) / even).sum();
    let p = chi_square_sf(chi_square, BINS as u32 - 1);
    Some(DCalibration { n: pits.len(), shares, chi_square, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(at: impl IntoIterator<Item = f64>) -> Vec<PitRange> {
        at.into_iter().map(|u| PitRange { lo: u, hi: u }).collect()
    }

    #[test]
    fn even_outcomes_are_calibrated_and_crowded_ones_are_not() {
        let even = d_calibration(&points((0..100).map(|i| (f64::from(i) + 0.5) / 100.0))).unwrap();
        assert!(even.chi_square < 1e-9 && even.p > 0.999, "{even:?}");
        // All hundred in one tenth: 9 tenths of 100 missing, (90² + 9 · 10²) / 10 = 900.
        let crowded = d_calibration(&points(vec![0.55; 100])).unwrap();
        assert!((crowded.chi_square - 900.0).abs() < 1e-9 && crowded.p < 1e-9);
        assert!(d_calibration(&[]).is_none());
    }

    #[test]
    fn a_censored_run_counts_for_what_is_left() {
        // Never, with F(H) = .6: a quarter in each of the last four tenths.
        let d = d_calibration(&[PitRange { lo: 0.6, hi: 1.0 }]).unwrap();
        for (k, s) in d.shares.iter().enumerate() {
            let expected = if k < 6 { 0.0 } else { 0.25 };
            assert!((s - expected).abs() < 1e-12, "{d:?}");
        }
    }
}
