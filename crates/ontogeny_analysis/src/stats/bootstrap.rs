//! Resampling whole clusters: records of one configuration cell are not independent.

use crate::math::quantile_sorted;
use ontogeny_core::random::Philox;

/// Groups record indices by the name of their cluster, clusters in order of first appearance.
pub fn clusters_of<S: AsRef<str>>(names: &[S]) -> Vec<Vec<usize>> {
    let mut order: Vec<&str> = Vec::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let at = order.iter().position(|o| *o == name.as_ref()).unwrap_or_else(|| {
            order.push(name.as_ref());
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(i);
    }
    groups
}

/// The statistic on `n_resamples` resamples of whole clusters, sorted.
///
/// Resample `r` draws as many clusters as there are, with replacement; draw `c` is
/// `Philox(seed, "cluster-bootstrap").at(r).below(c, n)`. Resamples on which the statistic is undefined are
/// left out.
pub fn cluster_bootstrap(
    clusters: &[Vec<usize>],
    n_resamples: usize,
    seed: u64,
    statistic: impl Fn(&[usize]) -> Option<f64>,
) -> Vec<f64> {
    if clusters.is_empty() {
        return Vec::new();
    }
    let stream = Philox::new(seed, "cluster-bootstrap");
    let n = clusters.len() as u64;
    let mut chosen = Vec::new();
    let mut values: Vec<f64> = (0..n_resamples as u64)
        .filter_map(|r| {
            chosen.clear();
            let draws = stream.at(r);
            for c in 0..n {
                chosen.extend_from_slice(&clusters[draws.below(c, n) as usize]);
            }
            statistic(&chosen).filter(|v| v.is_finite())
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The central interval of sorted resampled values; `None` if there are none.
pub fn bootstrap_interval(sorted: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let tail = 0.5 * (1.0 - confidence);
    Some((quantile_sorted(sorted, tail)?, quantile_sorted(sorted, 1.0 - tail)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_has_the_width_of_its_standard_error() {
        let d = Philox::new(5, "x").at(0);
        let x: Vec<f64> = (0..400).map(|i| d.normal(i)).collect();
        let clusters: Vec<Vec<usize>> = (0..400).map(|i| vec![i]).collect();
        let stat = |idx: &[usize]| Some(idx.iter().map(|i| x[*i]).sum::<f64>() / idx.len() as f64);
        let v = cluster_bootstrap(&clusters, 2000, 1, stat);
        let (lo, hi) = bootstrap_interval(&v, 0.95).unwrap();
        // 2 * 1.96 / sqrt(400) = .196, up to the noise of x's own variance and of 2000 resamples.
        assert!((hi - lo - 0.196).abs() < 0.03, "{lo} {hi}");
        assert_eq!(v, cluster_bootstrap(&clusters, 2000, 1, stat));
    }

    #[test]
    fn clusters_keep_their_order() {
        assert_eq!(clusters_of(&["b", "a", "b"]), [vec![0, 2], vec![1]]);
    }
}
