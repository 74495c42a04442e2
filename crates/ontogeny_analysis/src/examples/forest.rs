//! Extremely randomized trees that separate yes from no (Geurts et al. 2006).

use crate::forecasters::Trees;

/// A fitted forest.
#[derive(Debug)]
pub struct ExampleForest {
    trees: Trees,
    yes: Vec<bool>,
}

impl ExampleForest {
    /// Grows a hundred trees over rows of one length; each is grown without a third of the runs. Deterministic.
    ///
    /// `None` below ten rows, with answers of one kind alone, or where a number is not finite.
    pub fn fit(rows: &[Vec<f64>], yes: &[bool], runs: &[&str]) -> Option<Self> {
        let n_yes = yes.iter().filter(|y| **y).count();
        let fits = yes.len() == rows.len() && runs.len() == rows.len();
        let one_length = rows.iter().all(|r| r.len() == rows[0].len() && !r.is_empty());
        let finite = rows.iter().flatten().all(|v| v.is_finite());
        if !fits || !one_length || !finite || rows.len() < 10 || n_yes == 0 || n_yes == yes.len() {
            return None;
        }
        let goals: Vec<f64> = yes.iter().map(|y| f64::from(u8::from(*y))).collect();
        let trees = Trees::grow(rows, &goals, runs, "example-forest");
        Some(Self { trees, yes: yes.to_vec() })
    }

    /// The probability of yes: the share of it in the leaves that `row` falls into.
    pub fn probability(&self, row: &[f64]) -> f64 {
        let weights = self.trees.weights(row);
        let total: f64 = weights.iter().sum();
        let yes: f64 = weights.iter().zip(&self.yes).filter(|(_, y)| **y).map(|(w, _)| w).sum();
        if total > 0.0 { yes / total } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn a_rule_of_two_columns_is_learned_that_no_line_separates() {
        let draws = Philox::new(4, "forest").at(0);
        let rows: Vec<Vec<f64>> =
            (0..800).map(|i| vec![draws.uniform(3 * i), draws.uniform(3 * i + 1)]).collect();
        let is = |r: &[f64]| (r[0] > 0.5) != (r[1] > 0.5);
        let yes: Vec<bool> = rows.iter().map(|r| is(r)).collect();
        let runs: Vec<String> = (0..800).map(|i| format!("r{}", i / 100)).collect();
        let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
        let f = ExampleForest::fit(&rows, &yes, &runs).unwrap();
        for (row, high) in [([0.2, 0.8], true), ([0.8, 0.2], true), ([0.2, 0.2], false)] {
            assert_eq!(f.probability(&row) > 0.6, high, "{row:?}: {}", f.probability(&row));
        }
        assert!(ExampleForest::fit(&rows, &vec![true; 800], &runs).is_none());
        assert!(ExampleForest::fit(&rows[..5], &yes[..5], &runs[..5]).is_none());
    }
}
