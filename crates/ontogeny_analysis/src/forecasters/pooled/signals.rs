//! What the beginning of a run shows, as one row of numbers that means the same for every run.
//!
//! Of the target's own series: the last value, the values at half and at a quarter of the prefix, the least and
//! the greatest, the slope in `ln t` over the second half, the roughness there, and how many readings there
//! were. Of every other series that most runs have: the last value and its change since half the prefix. Then
//! the hyper-parameters; where nothing is read of any run, those alone. What a run lacks is filled with the median of the runs that were fitted.

use crate::forecasters::hparams::Encoding;
use crate::forecasters::landmark::{Landmark, on_axis};
use crate::math::{median, quantile};
use ontogeny_core::{Point, Prefix, Series, Step};
use std::collections::BTreeMap;

/// Other series that are read, at most.
const MOST_SERIES: usize = 16;

/// How rows are made, learned from the fit runs.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    series: String,
    log: bool,
    /// Whether the target's series is read at all.
    own: bool,
    others: Vec<String>,
    encoding: Encoding,
    fill: Vec<f64>,
}

impl Signals {
    /// Learns which series there are and what to fill gaps with.
    pub(super) fn learn(marks: &[Landmark<'_>], series: &str, log: bool) -> Self {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for m in marks {
            let seen = m.prefix.names().filter(|n| m.prefix.last(n).is_some_and(f64::is_finite));
            for name in seen {
                *count.entry(name).or_default() += 1;
            }
        }
        let common = count.into_iter().filter(|(n, c)| *n != series && 5 * c >= 4 * marks.len());
        let others = common.map(|(n, _)| n.to_owned()).take(MOST_SERIES).collect();
        let encoding = Encoding::learn(&marks.iter().map(|m| m.run).collect::<Vec<_>>());
        let own = marks.iter().any(|m| m.prefix.series(series).is_some());
        let series = series.to_owned();
        let mut made = Self { series, log, own, others, encoding, fill: Vec::new() };
        let rows: Vec<Vec<f64>> =
            marks.iter().filter_map(|m| made.raw(&m.prefix, &m.run.features)).collect();
        let width = rows.first().map_or(0, Vec::len);
        let middle = |j: usize| {
            let there: Vec<f64> = rows.iter().map(|r| r[j]).filter(|v| v.is_finite()).collect();
            median(&there).unwrap_or(0.0)
        };
        made.fill = (0..width).map(middle).collect();
        made
    }

    /// The last value of the target's series, on its axis.
    pub(super) fn last(&self, prefix: &Prefix) -> Option<f64> {
        on_axis(prefix.last(&self.series)?, self.log)
    }

    /// The row of a run; `None` before the first reading of the target's series.
    pub(super) fn row(
        &self,
        prefix: &Prefix,
        features: &BTreeMap<String, f64>,
    ) -> Option<Vec<f64>> {
        let mut row = self.raw(prefix, features)?;
        for (v, fill) in row.iter_mut().zip(&self.fill) {
            if !v.is_finite() {
                *v = *fill;
            }
        }
        Some(row)
    }

    fn raw(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Vec<f64>> {
        let mut row = if self.own { self.curve(prefix)? } else { Vec::new() };
        for name in &self.others {
            let s = prefix.series(name);
            let half = Step(prefix.cutoff().0 / 2);
            let (end, before) = (s.and_then(Series::last), s.and_then(|s| s.at_or_before(half)));
            let end = end.map_or(f64::NAN, |p| p.value);
            row.push(end);
            row.push(before.map_or(f64::NAN, |p| end - p.value));
        }
        row.extend(self.encoding.encode(features));
        (!row.is_empty()).then_some(row)
    }

    /// What the target's own series shows; `None` before its first reading.
    fn curve(&self, prefix: &Prefix) -> Option<Vec<f64>> {
        let own = prefix.series(&self.series)?;
        let axis = |p: &Point| Some((p.step, on_axis(p.value, self.log)?));
        let y: Vec<(Step, f64)> = own.points.iter().filter_map(axis).collect();
        let (_, last) = *y.last()?;
        let cutoff = prefix.cutoff().0;
        let at = |t: u64| y.iter().rev().find(|p| p.0.0 <= t).map_or(y[0].1, |p| p.1);
        let values: Vec<f64> = y.iter().map(|p| p.1).collect();
        let late: Vec<(Step, f64)> = y.iter().copied().filter(|p| 2 * p.0.0 >= cutoff).collect();
        Some(vec![
            last,
            at(cutoff / 2),
            at(cutoff / 4),
            values.iter().copied().fold(f64::INFINITY, f64::min),
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            slope(&late),
            roughness(&late),
            (y.len() as f64).ln(),
        ])
    }
}

/// Slope of the values in `ln t`; 0 of fewer than two.
fn slope(y: &[(Step, f64)]) -> f64 {
    let n = y.len() as f64;
    let x = |t: Step| (t.0.max(1) as f64).ln();
    let (mx, my) =
        (y.iter().map(|p| x(p.0)).sum::<f64>() / n, y.iter().map(|p| p.1).sum::<f64>() / n);
    let xx: f64 = y.iter().map(|p| (x(p.0) - mx).powi(2)).sum();
    let xy: f64 = y.iter().map(|p| (x(p.0) - mx) * (p.1 - my)).sum();
    if xx > 0.0 { xy / xx } else { 0.0 }
}

/// Root mean square of the steps between neighbours; 0 of fewer than two.
fn roughness(y: &[(Step, f64)]) -> f64 {
    let d: Vec<f64> = y.windows(2).map(|w| (w[1].1 - w[0].1).powi(2)).collect();
    if d.is_empty() { 0.0 } else { (d.iter().sum::<f64>() / d.len() as f64).sqrt() }
}

/// Columns brought to one scale: centred on the median, divided by the spread between the 5 % and 95 %
/// quantiles, and cut off at ±3, so that a diverged run does not decide the fit.
#[derive(Debug, Clone)]
pub(super) struct Scale(Vec<(f64, f64)>);

impl Scale {
    pub(super) fn learn(rows: &[Vec<f64>]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let of = |j: usize| {
            let column: Vec<f64> = rows.iter().map(|r| r[j]).collect();
            let q = |p| quantile(&column, p).unwrap_or(0.0);
            let spread = (q(0.95) - q(0.05)) / 3.29;
            (q(0.5), if spread > 1e-12 { spread } else { f64::INFINITY })
        };
        Self((0..width).map(of).collect())
    }

    /// The scaled row.
    pub(super) fn apply(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(&self.0).map(|(v, (m, s))| ((v - m) / s).clamp(-3.0, 3.0)).collect()
    }
}
