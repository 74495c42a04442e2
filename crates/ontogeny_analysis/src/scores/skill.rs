//! Skill against a baseline, with an interval over configuration cells.

use crate::stats::{bootstrap_interval, cluster_bootstrap, clusters_of};

/// `SS = 1 - Σ S_i / Σ B_i` with a cluster-bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Skill {
    /// Records.
    pub n: usize,
    /// Cells.
    pub n_cells: usize,
    /// The skill; 1 is perfect, 0 is no better than the baseline.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub lo: f64,
    /// Upper end of the 95 % interval.
    pub hi: f64,
    /// Share of resamples without skill (at least 1/(resamples + 1)): a one-sided p-value.
    pub p: f64,
}

/// Resamples of the bootstrap.
pub(crate) const N_RESAMPLES: usize = 2000;

/// Skill of `scores` against `baseline` on the same records; `cells` names each record's configuration.
///
/// The interval resamples whole cells (2000 times, addressed by `seed`). `None` without records, or if the
/// baseline's scores sum to 0.
///
/// # Panics
/// If the three differ in length.
pub fn skill(scores: &[f64], baseline: &[f64], cells: &[String], seed: u64) -> Option<Skill> {
    assert!(scores.len() == baseline.len() && scores.len() == cells.len(), "skill: lengths differ");
    // Sums per cell: a resample of cells is a sum of their sums.
    let sums: Vec<(f64, f64)> = clusters_of(cells)
        .iter()
        .map(|c| c.iter().fold((0.0, 0.0), |(s, b), i| (s + scores[*i], b + baseline[*i])))
        .collect();
    let of = |idx: &[usize]| {
        let (s, b) = idx.iter().fold((0.0, 0.0), |(s, b), i| (s + sums[*i].0, b + sums[*i].1));
        (b > 0.0).then(|| 1.0 - s / b)
    };
    let clusters: Vec<Vec<usize>> = (0..sums.len()).map(|i| vec![i]).collect();
    let value = of(&(0..sums.len()).collect::<Vec<_>>())?;
    let resampled = cluster_bootstrap(&clusters, N_RESAMPLES, seed, of);
    let (lo, hi) = bootstrap_interval(&resampled, 0.95)?;
    let without = resampled.partition_point(|v| *v <= 0.0);
    Some(Skill {
        n: scores.len(),
        n_cells: clusters.len(),
        value,
        lo,
        hi,
        p: (without + 1) as f64 / (resampled.len() + 1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skill_by_hand_and_its_interval() {
        let cells: Vec<String> = (0..12).map(|i| format!("c{}", i / 2)).collect();
        let s = skill(&[1.0; 12], &[2.0; 12], &cells, 1).unwrap();
        assert_eq!((s.value, s.lo, s.hi, s.n_cells), (0.5, 0.5, 0.5, 6));
        let mixed: Vec<f64> = (0..12).map(|i| if i / 2 % 2 == 0 { 1.0 } else { 3.0 }).collect();
        let s = skill(&mixed, &[2.0; 12], &cells, 1).unwrap();
        assert!(s.value == 0.0 && s.lo < 0.0 && s.hi > 0.0 && s.p > 0.2);
        assert!(skill(&[], &[], &[], 1).is_none());
    }
}
