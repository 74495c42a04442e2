//! Holm's correction for several tests at once.

/// Holm's step-down adjusted p-values, in the order given (Holm 1979).
///
/// With p sorted ascending, `p~_(i) = max_{j <= i} min(1, (m - j) p_(j))`, j from 0.
///
/// # Examples
/// ```
/// let adjusted = ontogeny_analysis::stats::holm(&[0.01, 0.04, 0.03]);
/// assert_eq!(adjusted, [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut floor = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max(((p.len() - rank) as f64 * p[i]).min(1.0));
        adjusted[i] = floor;
    }
    adjusted
}
