//! A design problem: a wanted outcome with the one recipe that a theory proposes for it, sealed before it is tried.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sealed design problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesignProblem {
    /// Unique within the ledger: `<study>/design/<problem>`.
    pub id: String,
    /// The property that is designed.
    pub property: String,
    /// Name of the theory that proposes the recipe.
    pub theory: String,
    /// Its version.
    pub version: u32,
    /// What is wanted, in a sentence.
    pub wanted: String,
    /// What a seed's outcome must lie in.
    pub target: (f64, f64),
    /// The recipe, as configuration keys with their values.
    pub recipe: BTreeMap<String, serde_json::Value>,
    /// The fresh seeds on which it is tried.
    pub seeds: Vec<u64>,
    /// Updates that the recipe may spend on one seed.
    pub budget: f64,
    /// Least and greatest outcome that the theory was fitted on.
    pub fitted_range: (f64, f64),
}

/// What became of a design problem. Outcomes are `None` where they never came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesignOutcome {
    /// The problem it answers.
    pub problem: String,
    /// The outcome of each fresh seed under the recipe.
    pub recipe: Vec<Option<f64>>,
    /// The same under a recipe drawn at random from the same choices, at the same compute.
    pub random: Vec<Option<f64>>,
    /// The same under the recipe that one starts from.
    pub default: Vec<Option<f64>>,
    /// Updates that the recipe, the random recipe and the default spent on one seed, in the median.
    pub costs: (f64, f64, f64),
}

impl DesignProblem {
    /// Whether at least four in five of these outcomes lie in the target.
    pub fn is_hit_by(&self, outcomes: &[Option<f64>]) -> bool {
        let inside = |y: f64| y >= self.target.0 && y <= self.target.1;
        let n = outcomes.iter().flatten().filter(|y| inside(**y)).count();
        !outcomes.is_empty() && 5 * n >= 4 * outcomes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_in_five_must_lie_inside_and_never_is_outside() {
        let problem = DesignProblem {
            id: "s/design/1".into(),
            property: "grok time".into(),
            theory: "t".into(),
            version: 1,
            wanted: "between 1 and 2".into(),
            target: (1.0, 2.0),
            recipe: BTreeMap::new(),
            seeds: vec![1, 2, 3, 4, 5],
            budget: 10.0,
            fitted_range: (0.0, 1.0),
        };
        let (y, n) = (Some(1.5), None);
        assert!(problem.is_hit_by(&[y, y, y, y, n]));
        assert!(!problem.is_hit_by(&[y, y, y, Some(2.1), n]));
        assert!(!problem.is_hit_by(&[]));
    }
}
