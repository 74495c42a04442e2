//! What an insertion did to an example, by difference in differences: the memorization profile (Lesci et al. 2024,
//! arXiv:2406.04327).
//!
//! `τ(g, t) = [L_ctrl(t) - L_ctrl(g)] - [L_can(t) - L_can(g)]`, with `g` the last reading before the example was first
//! inserted. Positive if the loss of the inserted fell more than that of strings of the same law that never were.

/// An example with the step of its first insertion.
#[derive(Debug, Clone, Copy)]
pub struct Cohort<'a> {
    /// The first update whose batch held it.
    pub first: u64,
    /// Its loss at each reading.
    pub losses: &'a [f64],
}

/// Mean effects by when examples were first inserted and when they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The last step before the insertion, one a row.
    pub inserted: Vec<u64>,
    /// The steps of the readings, one a column.
    pub steps: Vec<u64>,
    /// `[row][column]`; NaN before the insertion and where nobody was inserted.
    pub effects: Vec<Vec<f64>>,
}

/// The reading before a first insertion: the last one at or before it, for the reading at a step sees the weights before
/// that step's update.
fn before(steps: &[u64], first: u64) -> Option<usize> {
    steps.partition_point(|s| *s <= first).checked_sub(1)
}

/// The effect on one example at reading `at`; `None` before its insertion, or where readings are missing.
pub fn effect_of_insertion(
    steps: &[u64],
    example: Cohort<'_>,
    controls: &[f64],
    at: usize,
) -> Option<f64> {
    let g = before(steps, example.first).filter(|g| *g < at)?;
    let change = |l: &[f64]| Some(l.get(at)? - l.get(g)?);
    Some(change(controls)? - change(example.losses)?)
}

/// The profile over examples; `controls` is the mean loss of the never-inserted at each reading.
pub fn profile(steps: &[u64], examples: &[Cohort<'_>], controls: &[f64]) -> Profile {
    let n = steps.len();
    let mut sums = vec![vec![(0.0, 0_u32); n]; n];
    for e in examples {
        let Some(g) = before(steps, e.first) else { continue };
        for (at, cell) in sums[g].iter_mut().enumerate() {
            if let Some(v) = effect_of_insertion(steps, *e, controls, at) {
                *cell = (cell.0 + v, cell.1 + 1);
            }
        }
    }
    let used: Vec<usize> = (0..n).filter(|g| sums[*g].iter().any(|c| c.1 > 0)).collect();
    Profile {
        inserted: used.iter().map(|g| steps[*g]).collect(),
        steps: steps.to_vec(),
        effects: used
            .iter()
            .map(|g| {
                let mean = |c: &(f64, u32)| if c.1 > 0 { c.0 / f64::from(c.1) } else { f64::NAN };
                sums[*g].iter().map(mean).collect()
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_effect_is_told_from_the_drift_that_all_share() {
        let steps = [0, 10, 20, 30, 40];
        let drift = [5.0, 4.0, 3.5, 3.2, 3.0];
        // Inserted at update 10 and never again: 2 nats, of which half is lost by each reading.
        let touched = [7.0, 6.0, 3.5, 4.2, 4.5];
        let e = Cohort { first: 10, losses: &touched };
        let of = |at| effect_of_insertion(&steps, e, &drift, at);
        assert_eq!((of(0), of(1)), (None, None));
        assert_eq!((of(2), of(3), of(4)), (Some(2.0), Some(1.0), Some(0.5)));
        let never = Cohort { first: 25, losses: &drift };
        let p = profile(&steps, &[e, never, e], &drift);
        assert_eq!(p.inserted, [10, 20]);
        assert!(p.effects[0][1].is_nan() && p.effects[0][2..] == [2.0, 1.0, 0.5]);
        assert!(p.effects[1][2].is_nan() && p.effects[1][3..] == [0.0, 0.0]);
    }
}
