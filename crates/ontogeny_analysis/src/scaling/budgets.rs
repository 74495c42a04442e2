//! Compute budgets: which points were trained with about the same FLOP.

use super::data::Point;

/// Compute within this factor is one budget, unless a caller says otherwise.
pub const BUDGET_FACTOR: f64 = 1.5;

/// Points by budget, the smallest first. A budget begins where compute exceeds the first point of the budget before
/// by more than `factor`.
pub fn budgets(points: &[Point], factor: f64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*a].at.flops.total_cmp(&points[*b].at.flops));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut first = f64::NEG_INFINITY;
    for i in order {
        let flops = points[i].at.flops;
        if groups.is_empty() || flops > factor * first {
            groups.push(Vec::new());
            first = flops;
        }
        if let Some(group) = groups.last_mut() {
            group.push(i);
        }
    }
    groups
}

/// Points at or below a budget, for a look at what lies beyond.
pub fn up_to(points: &[Point], flops: f64) -> Vec<Point> {
    points.iter().filter(|p| p.at.flops <= flops).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::Scale;

    #[test]
    fn budgets_are_in_order_and_hold_every_point_once() {
        let flops = [3e19, 1e18, 1.05e18, 9e18, 3.2e19, 0.95e18];
        let points = flops.map(|c| Point { at: Scale::of_params_flops(1e8, c), loss: 3.0 });
        assert_eq!(budgets(&points, 1.5), [vec![5, 1, 2], vec![3], vec![0, 4]]);
        assert_eq!(up_to(&points, 1e19).len(), 4);
    }
}
