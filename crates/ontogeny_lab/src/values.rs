//! How forecasts of final values did: explained variance and coverage beside proper scores, everybody on the same runs.

use ontogeny_analysis::distribution::{Cdf, Support, median};
use ontogeny_analysis::stats::{bootstrap_interval, cluster_bootstrap, mean_and_error, spearman};
use ontogeny_core::{LEVELS, Predictive, RunId};
use std::collections::BTreeMap;

/// What somebody said about each run.
pub(crate) type Said = BTreeMap<RunId, Predictive>;
/// What came out.
pub(crate) type Found = BTreeMap<RunId, f64>;

/// Resamples of the bootstrap over runs.
const RESAMPLES: usize = 10_000;

/// The score of one forecaster on one question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PointScore {
    pub n: usize,
    /// Share of the variance over the runs that the medians explain; negative if their mean would have done better.
    pub r2: f64,
    /// Mean absolute error of the medians.
    pub mae: f64,
    /// Rank correlation of medians and outcomes; `None` if one of them is constant.
    pub spearman: Option<f64>,
    /// Mean pinball loss over all levels.
    pub pinball: f64,
    /// Share of outcomes within the central 50 and 90 %, and the mean width of the latter.
    pub cov50: f64,
    pub cov90: f64,
    pub width90: f64,
}

/// Median and outcome of every run that has both.
pub(crate) fn pairs(said: &Said, found: &Found) -> Vec<(f64, f64)> {
    said.iter().filter_map(|(run, p)| Some((median(p), *found.get(run)?))).collect()
}

/// `1 - squared errors / squared distances from the mean outcome`; `None` without spread.
pub(crate) fn r2(pairs: &[(f64, f64)]) -> Option<f64> {
    let mean = pairs.iter().map(|p| p.1).sum::<f64>() / pairs.len() as f64;
    let rest: f64 = pairs.iter().map(|(x, y)| (y - x).powi(2)).sum();
    let total: f64 = pairs.iter().map(|(_, y)| (y - mean).powi(2)).sum();
    (total > 0.0).then(|| 1.0 - rest / total)
}

/// Scores what was said about the runs whose outcome is known; `None` below three of them.
pub(crate) fn point_score(said: &Said, found: &Found) -> Option<PointScore> {
    let both: Vec<(&Predictive, f64)> =
        said.iter().filter_map(|(run, p)| Some((p, *found.get(run)?))).collect();
    let n = both.len();
    if n < 3 {
        return None;
    }
    let points = pairs(said, found);
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let mean = |f: &dyn Fn(&Predictive, f64) -> Option<f64>| -> Option<f64> {
        let all: Option<Vec<f64>> = both.iter().map(|(p, y)| f(p, *y)).collect();
        Some(all?.iter().sum::<f64>() / n as f64)
    };
    let ends = |p: &Predictive, share: f64| {
        let cdf = Cdf::new(p, Support::Line)?;
        Some((cdf.quantile(0.5 - 0.5 * share)?, cdf.quantile(0.5 + 0.5 * share)?))
    };
    let covers = |share: f64| {
        mean(&|p, y| ends(p, share).map(|(lo, hi)| f64::from(u8::from(lo <= y && y <= hi))))
    };
    let pinball = |p: &Predictive, y: f64| -> f64 {
        let loss =
            |(q, tau): (&f64, f64)| if y >= *q { tau * (y - q) } else { (1.0 - tau) * (q - y) };
        p.quantiles.iter().zip(LEVELS).map(loss).sum::<f64>() / LEVELS.len() as f64
    };
    Some(PointScore {
        n,
        r2: r2(&points)?,
        mae: points.iter().map(|(x, y)| (x - y).abs()).sum::<f64>() / n as f64,
        spearman: spearman(&x, &y),
        pinball: mean(&|p, y| Some(pinball(p, y)))?,
        cov50: covers(0.5)?,
        cov90: covers(0.9)?,
        width90: mean(&|p, _| ends(p, 0.9).map(|(lo, hi)| hi - lo))?,
    })
}

/// R² of one forecaster less that of another on the runs about which both spoke, with the 95 % interval of a paired
/// bootstrap over runs.
pub(crate) fn r2_difference(a: &Said, b: &Said, found: &Found) -> Option<(f64, f64, f64)> {
    let both: Vec<(f64, f64, f64)> = (a.iter())
        .filter_map(|(run, p)| Some((median(p), median(b.get(run)?), *found.get(run)?)))
        .collect();
    if both.len() < 3 {
        return None;
    }
    let of = |rows: &[usize]| {
        let mine: Vec<(f64, f64)> = rows.iter().map(|i| (both[*i].0, both[*i].2)).collect();
        let theirs: Vec<(f64, f64)> = rows.iter().map(|i| (both[*i].1, both[*i].2)).collect();
        Some(r2(&mine)? - r2(&theirs)?)
    };
    let clusters: Vec<Vec<usize>> = (0..both.len()).map(|i| vec![i]).collect();
    let value = of(&(0..both.len()).collect::<Vec<_>>())?;
    let resampled = cluster_bootstrap(&clusters, RESAMPLES, 1, of);
    let (lo, hi) = bootstrap_interval(&resampled, 0.95)?;
    Some((value, lo, hi))
}

/// Mean with the ends of its normal 95 % interval; `None` below two numbers.
pub(crate) fn mean_interval(x: &[f64]) -> Option<(f64, f64, f64)> {
    let (m, se) = mean_and_error(x)?;
    Some((m, m - 1.96 * se, m + 1.96 * se))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_analysis::distribution::gaussian;

    fn runs(n: u32) -> impl Iterator<Item = RunId> {
        (0..n).map(|i| RunId::new(format!("r{i:03}")).unwrap())
    }

    #[test]
    fn scores_of_forecasts_whose_errors_are_known() {
        let found: Found = runs(101).enumerate().map(|(i, r)| (r, i as f64 / 100.0)).collect();
        // Off by .1 everywhere: R² = 1 - .01 / variance, all medians in order.
        let said: Said =
            found.iter().map(|(r, y)| (r.clone(), gaussian(y + 0.1, 0.1 / 1.2815))).collect();
        let s = point_score(&said, &found).unwrap();
        let variance = (101.0 * 101.0 - 1.0) / 12.0 / 1e4;
        assert!((s.r2 - (1.0 - 0.01 / variance)).abs() < 1e-9 && (s.mae - 0.1).abs() < 1e-9);
        assert_eq!(s.spearman, Some(1.0));
        // Outcomes stand at the 10 % quantile: outside the middle half, inside the middle nine tenths.
        assert_eq!((s.n, s.cov50, s.cov90), (101, 0.0, 1.0));
        let mean = gaussian(0.5, 0.3);
        let flat: Said = found.keys().map(|r| (r.clone(), mean.clone())).collect();
        assert!(point_score(&flat, &found).unwrap().r2.abs() < 1e-9);
        let (d, lo, hi) = r2_difference(&said, &flat, &found).unwrap();
        assert!((d - s.r2).abs() < 1e-9 && lo > 0.0 && lo < d && d < hi);
        assert_eq!(r2_difference(&said, &said, &found).unwrap(), (0.0, 0.0, 0.0));
    }

    #[test]
    fn too_few_runs_have_no_score() {
        let found: Found = runs(2).map(|r| (r, 0.5)).collect();
        let said: Said = found.keys().map(|r| (r.clone(), gaussian(0.0, 1.0))).collect();
        assert_eq!(point_score(&said, &found), None);
        assert_eq!(r2_difference(&said, &said, &found), None);
    }
}
