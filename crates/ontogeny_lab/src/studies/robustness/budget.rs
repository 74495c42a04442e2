//! What compute was spent on what, in floating-point operations that the runs themselves counted.

use crate::RunRecord;
use std::collections::BTreeMap;

/// The compute of one competitor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spent {
    pub who: String,
    /// Runs that came to their end, and runs that were stopped before.
    pub n_whole: usize,
    pub n_pruned: usize,
    /// Updates and floating-point operations, pruned work counted.
    pub updates: u64,
    pub flop: f64,
}

impl Spent {
    /// What the runs of `records` spent, each from where it left its parent: a run that went on over several rungs is
    /// counted piece by piece. The parents of all forks among them must be there.
    pub(super) fn of(who: &str, records: &[&RunRecord], horizon: u64) -> Self {
        let ends: BTreeMap<_, _> = records.iter().map(|r| (r.id(), &r.manifest)).collect();
        let mut spent =
            Self { who: who.to_owned(), n_whole: 0, n_pruned: 0, updates: 0, flop: 0.0 };
        for r in records {
            let m = &r.manifest;
            let from = m.fork.as_ref().map_or(0, |f| f.step.0);
            let before = m.fork.as_ref().and_then(|f| ends.get(&f.parent));
            spent.flop += m.clocks.flop - before.map_or(0.0, |p| p.clocks.flop);
            spent.updates += m.step.0 - from;
            let goes_on =
                |o: &RunRecord| o.manifest.fork.as_ref().is_some_and(|f| &f.parent == r.id());
            if m.step.0 >= horizon {
                spent.n_whole += 1;
            } else if !records.iter().any(|o| goes_on(o)) {
                spent.n_pruned += 1;
            }
        }
        spent
    }
}

/// How many updates of a run with this cumulative cost come nearest to `budget`; the cost of `n` updates is `cost(n)`.
pub(super) fn affordable(budget: f64, horizon: u64, cost: impl Fn(u64) -> f64) -> u64 {
    // Costs increase with the number of updates.
    let (mut low, mut high) = (0, horizon);
    while low < high {
        let middle = u64::midpoint(low, high) + 1;
        if cost(middle) <= budget { low = middle } else { high = middle - 1 }
    }
    let over = cost((low + 1).min(horizon)) - budget;
    if low < horizon && over < budget - cost(low) { low + 1 } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_budget_buys_the_nearest_number_of_updates() {
        let cost = |n: u64| 10.0 * n as f64;
        for (budget, expected) in
            [(0.0, 0), (4.0, 0), (6.0, 1), (104.0, 10), (106.0, 11), (1e9, 50)]
        {
            assert_eq!(affordable(budget, 50, cost), expected, "{budget}");
        }
    }
}
