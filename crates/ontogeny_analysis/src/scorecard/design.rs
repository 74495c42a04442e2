//! Level 3, design: sealed problems solved by one proposed recipe on fresh seeds.

use super::Computed;
use super::records::Subject;
use crate::math::median;
use crate::stats::{clopper_pearson, sign_test};
use ontogeny_core::{DesignOutcome, DesignProblem, LedgerBody, LedgerEntry};
use serde::Serialize;
use std::collections::BTreeSet;

/// Fresh seeds that a problem needs.
const SEEDS: usize = 5;

/// The numbers of level 3.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DesignBlock {
    /// Sealed problems with at least 5 fresh seeds.
    pub n: usize,
    /// Problems left out: sealed after their outcome, on fewer seeds, or still open.
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
    /// Median cost over that of the cheapest rival that hit the target.
    pub regret: Computed<f64>,
    /// Targets that reach outside the range seen in fitting.
    pub n_outside: usize,
}

/// Problems in the ledger.
pub(crate) fn problems(entries: &[LedgerEntry]) -> impl Iterator<Item = (u64, &DesignProblem)> {
    entries.iter().filter_map(|e| match &e.body {
        LedgerBody::Design(d) => Some((e.seq, &**d)),
        _ => None,
    })
}

/// A problem with its outcome.
type Tried<'a> = (&'a DesignProblem, &'a DesignOutcome);

fn is_solved((problem, outcome): &Tried<'_>) -> bool {
    problem.is_hit_by(&outcome.recipe) && outcome.costs.0 <= problem.budget
}

/// The problems of a subject that count, and the number of those that do not.
fn gather<'a>(entries: &'a [LedgerEntry], subject: &Subject<'_>) -> (Vec<Tried<'a>>, usize) {
    let outcome = |id: &str, after: u64| {
        entries.iter().find_map(|e| match &e.body {
            LedgerBody::DesignOutcome(o) if o.problem == id => Some((e.seq > after, o)),
            _ => None,
        })
    };
    let mut seen = BTreeSet::new();
    let (mut valid, mut n_left_out) = (Vec::new(), 0);
    for (seq, problem) in problems(entries).filter(|(_, d)| subject.poses(d)) {
        match outcome(&problem.id, seq) {
            Some((true, o)) if seen.insert(&problem.id) && o.recipe.len() >= SEEDS => {
                valid.push((problem, o));
            }
            _ => n_left_out += 1,
        }
    }
    (valid, n_left_out)
}

pub(crate) fn block(entries: &[LedgerEntry], subject: &Subject<'_>) -> Computed<DesignBlock> {
    let (valid, n_left_out) = gather(entries, subject);
    if valid.is_empty() {
        return Computed::not("no sealed design problem with 5 fresh seeds");
    }
    let versus = |rival: fn(&Tried<'_>) -> bool| {
        let d: Vec<f64> = valid
            .iter()
            .map(|d| f64::from(u8::from(is_solved(d))) - f64::from(u8::from(rival(d))))
            .collect();
        (valid.iter().filter(|d| rival(d)).count(), sign_test(&d))
    };
    let (random_solved, random_p) = versus(|(d, o)| d.is_hit_by(&o.random));
    let (default_solved, default_p) = versus(|(d, o)| d.is_hit_by(&o.default));
    let inside = |(d, o): &Tried<'_>| {
        o.recipe.iter().flatten().filter(|y| **y >= d.target.0 && **y <= d.target.1).count()
    };
    let seeds: usize = valid.iter().map(|(_, o)| o.recipe.len()).sum();
    let hits: usize = valid.iter().map(inside).sum();
    let regret = |(d, o): &Tried<'_>| {
        let rivals = [(&o.random, o.costs.1), (&o.default, o.costs.2)];
        let best = rivals.into_iter().filter(|(y, _)| d.is_hit_by(y)).map(|(_, c)| c);
        Some(o.costs.0 / best.reduce(f64::min).filter(|c| *c > 0.0)?)
    };
    let regrets: Vec<f64> = valid.iter().filter_map(regret).collect();
    let outside =
        |(d, _): &&Tried<'_>| d.target.1 > d.fitted_range.1 || d.target.0 < d.fitted_range.0;
    Computed::Value(DesignBlock {
        n: valid.len(),
        n_left_out,
        solved: valid.iter().filter(|d| is_solved(d)).count(),
        random_solved,
        default_solved,
        random_p,
        default_p,
        reliability: clopper_pearson(hits as u64, seeds as u64, 0.8).0,
        regret: Computed::from_option(median(&regrets), "no rival found a recipe"),
        n_outside: valid.iter().filter(outside).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn ledger(bodies: Vec<LedgerBody>) -> Vec<LedgerEntry> {
        let mut entries: Vec<LedgerEntry> = Vec::new();
        for body in bodies {
            entries.push(LedgerEntry::seal(entries.last(), 0.0, body));
        }
        entries
    }

    fn problem(id: &str) -> LedgerBody {
        LedgerBody::Design(Box::new(DesignProblem {
            id: id.into(),
            property: "p".into(),
            theory: "t".into(),
            version: 1,
            wanted: "an outcome between 1 and 2".into(),
            target: (1.0, 2.0),
            recipe: BTreeMap::new(),
            seeds: (0..5).collect(),
            budget: 10.0,
            fitted_range: (0.0, 1.5),
        }))
    }

    fn outcome(id: &str, recipe: [f64; 5], random: [f64; 5]) -> LedgerBody {
        let some = |v: [f64; 5]| v.map(Some).to_vec();
        LedgerBody::DesignOutcome(DesignOutcome {
            problem: id.into(),
            recipe: some(recipe),
            random: some(random),
            default: vec![None; 5],
            costs: (4.0, 2.0, 10.0),
        })
    }

    #[test]
    fn counts_what_was_sealed_before_it_was_tried() {
        let (good, bad) = ([1.5; 5], [3.0; 5]);
        let entries = ledger(vec![
            problem("a"),
            problem("b"),
            outcome("late", good, bad),
            problem("late"),
            outcome("a", good, good),
            outcome("b", [1.5, 1.5, 1.5, 3.0, 3.0], bad),
            problem("open"),
        ]);
        let subject = Subject { theory: "t", property: "p" };
        let block = block(&entries, &subject);
        let b = block.value().unwrap();
        assert_eq!((b.n, b.n_left_out, b.solved, b.random_solved), (2, 2, 1, 1));
        assert_eq!(b.regret, Computed::Value(2.0)); // only the first has a rival that hit: 4 over 2
        assert_eq!(b.n_outside, 2); // up to 2, fitted to 1.5
        // 8 of 10 seeds: the exact 90 % lower bound.
        assert!((b.reliability - 0.550).abs() < 1e-3, "{}", b.reliability);
    }
}
