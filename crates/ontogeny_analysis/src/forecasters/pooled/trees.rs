//! Extremely randomized trees whose leaves keep their members (Geurts et al. 2006).
//!
//! At a node a few columns are drawn, each with the value of a random member as threshold, and the cut that best
//! separates the goals is taken. Every tree is grown without a third of the cells, so a run can be asked of
//! the trees that have not seen its cell. What the goals are is the caller's choice: ranks of answers, or 0 and 1.

use ontogeny_core::random::{Draws, Philox};
use std::collections::BTreeSet;

/// Least members of a leaf of ordinary trees.
pub(crate) const LEAF: usize = 5;

/// How trees are grown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth {
    /// How many.
    pub trees: u64,
    /// Least members of a leaf.
    pub leaf: usize,
    /// Share of the cells that a tree sees.
    pub seen: f64,
    /// Most columns tried at a node, beside half of them.
    pub columns: usize,
}

impl Growth {
    /// A hundred trees with leaves of five that have seen two thirds of the cells.
    pub(crate) const ORDINARY: Self = Self { trees: 100, leaf: LEAF, seen: 0.67, columns: 12 };
}

#[derive(Debug)]
enum Tree {
    Leaf(Vec<u32>),
    Cut { column: usize, at: f64, below: Box<Tree>, above: Box<Tree> },
}

impl Tree {
    fn leaf(&self, row: &[f64]) -> &[u32] {
        match self {
            Self::Leaf(members) => members,
            Self::Cut { column, at, below, above } => {
                if row[*column] < *at {
                    below.leaf(row)
                } else {
                    above.leaf(row)
                }
            }
        }
    }
}

/// Grows trees from rows and goals.
struct Grower<'a> {
    rows: &'a [Vec<f64>],
    goals: &'a [f64],
    growth: Growth,
    draws: Draws,
    /// Index of the next random number.
    next: u64,
}

impl Grower<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.next += 1;
        self.draws.below(self.next, n as u64) as usize
    }

    fn grow(&mut self, members: Vec<u32>) -> Tree {
        if members.len() < 2 * self.growth.leaf {
            return Tree::Leaf(members);
        }
        let width = self.rows[0].len();
        let mut best: Option<(f64, usize, f64)> = None;
        for _ in 0..width.div_ceil(2).min(self.growth.columns) {
            let column = self.below(width);
            let at = self.rows[members[self.below(members.len())] as usize][column];
            if let Some(gain) = self.gain(&members, column, at)
                && best.is_none_or(|b| gain > b.0)
            {
                best = Some((gain, column, at));
            }
        }
        let Some((_, column, at)) = best else { return Tree::Leaf(members) };
        let (below, above) = members.into_iter().partition(|i| self.rows[*i as usize][column] < at);
        Tree::Cut {
            column,
            at,
            below: Box::new(self.grow(below)),
            above: Box::new(self.grow(above)),
        }
    }

    /// Between-group sum of squares of the goals; `None` if a side would be too small.
    fn gain(&self, members: &[u32], column: usize, at: f64) -> Option<f64> {
        let (mut n, mut sum, mut total) = (0usize, 0.0, 0.0);
        for &i in members {
            let goal = self.goals[i as usize];
            total += goal;
            if self.rows[i as usize][column] < at {
                n += 1;
                sum += goal;
            }
        }
        let m = members.len() - n;
        (n.min(m) >= self.growth.leaf)
            .then(|| sum * sum / n as f64 + (total - sum).powi(2) / m as f64)
    }
}

/// Trees over the same rows.
#[derive(Debug)]
pub(crate) struct Trees {
    /// With the number under which each was drawn.
    grown: Vec<(u64, Tree)>,
    growth: Growth,
    n_rows: usize,
    cell_of: Vec<u64>,
    one_cell: bool,
    philox: Philox,
}

impl Trees {
    /// Grows trees that separate `goals`; `rows`, `goals` and `cells` are of one length. Deterministic: `stream`
    /// names the random numbers. Below [`LEAF`] rows no tree is grown.
    pub(crate) fn grow(rows: &[Vec<f64>], goals: &[f64], cells: &[&str], stream: &str) -> Self {
        Self::grown(rows, goals, cells, stream, Growth::ORDINARY)
    }

    /// [`grow`](Self::grow) with other numbers; below `growth.leaf` rows no tree is grown.
    pub(crate) fn grown(
        rows: &[Vec<f64>],
        goals: &[f64],
        cells: &[&str],
        stream: &str,
        growth: Growth,
    ) -> Self {
        let names: Vec<&str> = cells.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let cell = |c: &&str| names.binary_search(c).unwrap_or(0) as u64;
        let mut made = Self {
            grown: Vec::new(),
            growth,
            n_rows: rows.len(),
            cell_of: cells.iter().map(cell).collect(),
            one_cell: names.len() < 2,
            philox: Philox::new(0, stream),
        };
        for t in 0..growth.trees {
            let members: Vec<u32> =
                (0..rows.len()).filter(|i| made.sees(t, *i)).map(|i| i as u32).collect();
            if members.len() >= growth.leaf {
                let mut grower = Grower { rows, goals, growth, draws: made.philox.at(t), next: 0 };
                made.grown.push((t, grower.grow(members)));
            }
        }
        made
    }

    /// Whether a tree was grown with this row; with a single cell there is nothing to leave out.
    fn sees(&self, tree: u64, row: usize) -> bool {
        self.one_cell
            || self.philox.at(tree).uniform(self.cell_of[row] + (1 << 40)) < self.growth.seen
    }

    /// The share of every row in the leaves that `row` falls into, `[n_rows]`; all 0 without trees.
    pub(crate) fn weights(&self, row: &[f64]) -> Vec<f64> {
        self.over(row, |_| true)
    }

    /// The same for the `i`-th row, from the trees that have not seen its cell.
    pub(crate) fn unseen(&self, i: usize, row: &[f64]) -> Vec<f64> {
        self.over(row, |t| !self.sees(t, i))
    }

    fn over(&self, row: &[f64], asked: impl Fn(u64) -> bool) -> Vec<f64> {
        let mut weights = vec![0.0; self.n_rows];
        for (_, tree) in self.grown.iter().filter(|(t, _)| asked(*t)) {
            let leaf = tree.leaf(row);
            for &i in leaf {
                weights[i as usize] += 1.0 / leaf.len() as f64;
            }
        }
        weights
    }
}
