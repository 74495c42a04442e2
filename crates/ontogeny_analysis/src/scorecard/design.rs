//! Level 3, design: sealed problems solved by one proposed recipe on fresh seeds.

use super::{Computed, DesignRecord, Provenance};
use crate::math::median;
use crate::stats::{clopper_pearson, sign_test};
use serde::Serialize;

/// The numbers of level 3.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DesignBlock {
    /// Sealed problems with at least 5 fresh seeds.
    pub n: usize,
    /// Problems left out: not sealed, or fewer seeds.
    pub n_left_out: usize,
    /// Problems with at least 4 in 5 seeds inside the target, within budget.
    pub solved: usize,
    /// Solved by equal-compute random search.
    pub random_solved: usize,
    /// Solved by the default recipe.
    pub default_solved: usize,
    /// Sign test over problems against random search.
    pub random_p: f64,
    /// Sign test over problems against the default recipe.
    pub default_p: f64,
    /// Lower 90 % bound of P(target) over all seeds.
    pub reliability: f64,
    /// Median cost over the best found by search.
    pub regret: Computed<f64>,
    /// Targets outside the range seen in fitting.
    pub n_outside: usize,
    /// Whether every side-effect constraint was kept.
    pub constraints_kept: bool,
}

fn hits(d: &DesignRecord) -> usize {
    d.outcomes.iter().filter(|y| **y >= d.target.0 && **y <= d.target.1).count()
}

fn is_solved(d: &DesignRecord) -> bool {
    hits(d) * 5 >= d.outcomes.len() * 4 && d.cost <= d.budget
}

pub(crate) fn block(provenance: &Provenance, theory: &str) -> Computed<DesignBlock> {
    let mine: Vec<&DesignRecord> =
        provenance.designs.iter().filter(|d| d.theory == theory).collect();
    let (valid, left_out): (Vec<&DesignRecord>, Vec<&DesignRecord>) =
        mine.into_iter().partition(|d| d.sealed && d.outcomes.len() >= 5);
    if valid.is_empty() {
        return Computed::not("no sealed design problem with 5 fresh seeds");
    }
    let versus = |rival: fn(&DesignRecord) -> bool| {
        let d: Vec<f64> = valid
            .iter()
            .map(|d| f64::from(u8::from(is_solved(d))) - f64::from(u8::from(rival(d))))
            .collect();
        (valid.iter().filter(|d| rival(d)).count(), sign_test(&d))
    };
    let (random_solved, random_p) = versus(|d| d.random_search_hit);
    let (default_solved, default_p) = versus(|d| d.default_hit);
    let seeds: usize = valid.iter().map(|d| d.outcomes.len()).sum();
    let inside: usize = valid.iter().map(|d| hits(d)).sum();
    let regrets: Vec<f64> = valid
        .iter()
        .filter(|d| d.best_found_cost > 0.0)
        .map(|d| d.cost / d.best_found_cost)
        .collect();
    let outside =
        |d: &&&DesignRecord| d.target.0 > d.fitted_range.1 || d.target.1 < d.fitted_range.0;
    Computed::Value(DesignBlock {
        n: valid.len(),
        n_left_out: left_out.len(),
        solved: valid.iter().filter(|d| is_solved(d)).count(),
        random_solved,
        default_solved,
        random_p,
        default_p,
        reliability: clopper_pearson(inside as u64, seeds as u64, 0.8).0,
        regret: Computed::from_option(median(&regrets), "no search found a recipe"),
        n_outside: valid.iter().filter(outside).count(),
        constraints_kept: valid.iter().all(|d| d.constraints_kept),
    })
}
