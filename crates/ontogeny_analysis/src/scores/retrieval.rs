//! How well a ranking finds the few that matter: precision, recall, and the area under their curve.

/// Thresholds from the highest on: (forecast, asked so far, found so far), equal forecasts together.
fn cuts(records: &[(f64, bool)]) -> Vec<(f64, usize, usize)> {
    let mut sorted: Vec<(f64, bool)> = records.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut made, mut found) = (Vec::new(), 0);
    for (i, (p, yes)) in sorted.iter().enumerate() {
        found += usize::from(*yes);
        if sorted.get(i + 1).is_none_or(|next| next.0 != *p) {
            made.push((*p, i + 1, found));
        }
    }
    made
}

/// Area under the precision-recall curve as average precision, equal forecasts counted together: the rate of yes for a
/// forecaster that says the same of all. `None` if nothing or everything happened.
pub fn auprc(records: &[(f64, bool)]) -> Option<f64> {
    let n_yes = records.iter().filter(|r| r.1).count();
    if n_yes == 0 || n_yes == records.len() {
        return None;
    }
    let mut before = 0;
    let area = cuts(records).into_iter().map(|(_, asked, found)| {
        let gained = found - std::mem::replace(&mut before, found);
        gained as f64 * found as f64 / asked as f64
    });
    Some(area.sum::<f64>() / n_yes as f64)
}

/// The largest recall at a threshold whose precision is at least `precision`; 0 if there is no such threshold. `None` if
/// nothing happened.
pub fn recall_at_precision(records: &[(f64, bool)], precision: f64) -> Option<f64> {
    let n_yes = records.iter().filter(|r| r.1).count();
    let enough = cuts(records).into_iter().filter(|c| c.2 as f64 >= precision * c.1 as f64);
    (n_yes > 0).then(|| enough.map(|c| c.2).max().unwrap_or(0) as f64 / n_yes as f64)
}

/// Precision and recall of "yes" where the forecast is above `threshold`; precision is `None` if nobody is above, recall
/// if nothing happened.
pub fn precision_and_recall(records: &[(f64, bool)], threshold: f64) -> (Option<f64>, Option<f64>) {
    let above = records.iter().filter(|r| r.0 > threshold);
    let (asked, found) = above.fold((0, 0), |(n, f), r| (n + 1, f + usize::from(r.1)));
    let n_yes = records.iter().filter(|r| r.1).count();
    let share = |of: usize| (of > 0).then(|| found as f64 / of as f64);
    (share(asked), share(n_yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_by_hand() {
        let (y, n) = (true, false);
        // Found at ranks 1 and 3: (1/1 + 2/3) / 2.
        let r = [(0.9, y), (0.8, n), (0.7, y), (0.1, n)];
        assert!((auprc(&r).unwrap() - f64::midpoint(1.0, 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!(auprc(&[(0.5, y), (0.5, n), (0.5, n), (0.5, n)]), Some(0.25));
        assert_eq!(auprc(&[(0.9, y), (0.8, y), (0.2, n)]), Some(1.0));
        assert_eq!((auprc(&[(0.5, y)]), auprc(&[(0.5, n)]), auprc(&[])), (None, None, None));
        assert_eq!(recall_at_precision(&r, 0.9), Some(0.5));
        assert_eq!(recall_at_precision(&r, 0.6), Some(1.0));
        assert_eq!(recall_at_precision(&[(0.9, n), (0.1, y)], 0.9), Some(0.0));
        assert_eq!(recall_at_precision(&[(0.9, n)], 0.9), None);
        assert_eq!(precision_and_recall(&r, 0.75), (Some(0.5), Some(0.5)));
        assert_eq!(precision_and_recall(&r, 0.95), (None, Some(0.0)));
    }
}
