//! Columns as normal scores: the quantile of the standard normal at a value's rank among the fit runs.
//!
//! A linear form in them does not depend on whether a norm was logged as it is or as a logarithm, a diverged
//! run is no further out than the last of the others, and no run is beyond the fit runs: there is no
//! extrapolation. Source: van der Waerden 1952.

use crate::math::special::normal_quantile;

/// How columns are mapped, learned from the fit runs.
#[derive(Debug, Clone)]
pub(super) struct NormalScores {
    /// Of each column its distinct values in order, with their scores.
    columns: Vec<Vec<(f64, f64)>>,
}

impl NormalScores {
    /// Learns the scores of finite `rows`, `[n_rows, n_columns]`; ties share the score of their middle rank, so
    /// a constant column is 0.
    pub(super) fn learn(rows: &[Vec<f64>]) -> Self {
        let n = rows.len() as f64;
        let of = |j: usize| {
            let mut column: Vec<f64> = rows.iter().map(|r| r[j]).collect();
            column.sort_by(f64::total_cmp);
            let mut below = 0.0;
            let mut scores = Vec::new();
            for same in column.chunk_by(|a, b| a == b) {
                let k = same.len() as f64;
                scores.push((same[0], normal_quantile((below + 0.5 * k) / n)));
                below += k;
            }
            scores
        };
        Self { columns: (0..rows.first().map_or(0, Vec::len)).map(of).collect() }
    }

    /// The scores of a row, linear between values that were seen.
    pub(super) fn apply(&self, row: &[f64]) -> Vec<f64> {
        let score = |(v, column): (&f64, &Vec<(f64, f64)>)| {
            let n = column.partition_point(|c| c.0 <= *v);
            match (n.checked_sub(1).and_then(|i| column.get(i)), column.get(n)) {
                (Some((x0, s0)), Some((x1, s1))) => s0 + (s1 - s0) * (v - x0) / (x1 - x0),
                (Some((_, s)), None) | (None, Some((_, s))) => *s,
                (None, None) => 0.0,
            }
        };
        row.iter().zip(&self.columns).map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_ranks_and_end_where_the_runs_end() {
        let rows: Vec<Vec<f64>> = [1.0, 10.0, 100.0, 1e9].map(|v| vec![v, 7.0]).to_vec();
        let s = NormalScores::learn(&rows);
        let z = normal_quantile(0.875);
        assert!((s.apply(&[1.0, 7.0])[0] + z).abs() < 1e-12);
        assert_eq!(s.apply(&[1e30, 9.0]), s.apply(&[1e9, 7.0]));
        assert_eq!(s.apply(&[10.0, 7.0])[1], 0.0);
        // Half-way between two values, half-way between their scores.
        let middle = s.apply(&[55.0, 7.0])[0];
        assert!(middle.abs() < 1e-12, "{middle}");
    }
}
