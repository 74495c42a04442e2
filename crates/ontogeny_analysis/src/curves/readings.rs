//! Readings made ready for a fit: cleaned, spikes cut back, thinned to bins, with relative noise.
//!
//! Non-finite readings, those at step 0 or before, and, on a logarithmic axis, those that are not positive are
//! skipped. A spike of one or two readings (more than six deviations and a twentieth of the range from the median
//! of five) is cut back to six deviations. More readings than `max_points` become means of bins whose edges are
//! half evenly and half geometrically spaced; the variance of a mean of `n` readings is taken as `n^-1/2` of a
//! reading's, between independent noise (`1/n`) and slow noise (1). Noise may grow or shrink along the series:
//! `ln sd` is a line in the position, its slope shrunk by its own error.

use crate::math::{mad, mean, median, quantile};

/// Readings that a fit can use, oldest first; values are divided by `scale`.
#[derive(Debug, Clone)]
pub(crate) struct Readings {
    pub(crate) t: Vec<f64>,
    pub(crate) y: Vec<f64>,
    /// One over the relative standard deviation; 1 is a reading at the end.
    pub(crate) w: Vec<f64>,
    /// Variance of one reading about the mean of its bin, on the same axis as the noise.
    pub(crate) within: f64,
    /// The largest absolute value.
    pub(crate) scale: f64,
    /// Step of the last reading; its bin lies before it.
    pub(crate) end: f64,
    /// Whether noise is relative to the level.
    pub(crate) log: bool,
    /// Readings cut back.
    pub(crate) spikes: usize,
}

/// Cleaned readings in order of their steps; of several at one step the last.
pub(crate) fn clean(points: &[(f64, f64)], log: bool) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .filter(|p| p.0.is_finite() && p.0 > 0.0 && p.1.is_finite() && (!log || p.1 > 0.0))
        .collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(kept.len());
    for p in kept {
        match out.last_mut().filter(|l| l.0 == p.0) {
            Some(last) => *last = p,
            None => out.push(p),
        }
    }
    out
}

impl Readings {
    /// From cleaned readings; `None` if they are all the same.
    pub(crate) fn new(cleaned: &[(f64, f64)], log: bool, max_points: usize) -> Option<Self> {
        let mut points = cleaned.to_vec();
        let spikes = cut_spikes(&mut points);
        let scale = points.iter().fold(0.0_f64, |m, p| m.max(p.1.abs()));
        let lowest = points.iter().fold(f64::INFINITY, |m, p| m.min(p.1));
        let highest = points.iter().fold(f64::NEG_INFINITY, |m, p| m.max(p.1));
        if scale.is_nan() || scale <= 1e-300 || highest - lowest <= 1e-12 * scale {
            return None;
        }
        for p in &mut points {
            p.1 /= scale;
        }
        let mut r = Self {
            t: vec![],
            y: vec![],
            w: vec![],
            within: 0.0,
            scale,
            end: points[points.len() - 1].0,
            log,
            spikes,
        };
        let mut counts = vec![];
        let mut scatter = vec![];
        for (from, to) in bins(points.len(), max_points) {
            let bin = &points[from..to];
            let n = bin.len() as f64;
            r.t.push(bin.iter().map(|p| p.0).sum::<f64>() / n);
            let level = bin.iter().map(|p| p.1).sum::<f64>() / n;
            r.y.push(level);
            counts.push(n);
            if 2 * from >= points.len() {
                scatter.extend(about_line(bin).map(|v| if log { v / (level * level) } else { v }));
            }
        }
        // The median over bins: one bin with a jump inside says nothing of the others.
        r.within = median(&scatter).unwrap_or(0.0);
        r.w = relative_weights(&r, &counts);
        Some(r)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.t.len()
    }

    /// The readings from the `from`-th on.
    pub(crate) fn since(&self, from: usize) -> Self {
        Self {
            t: self.t[from..].to_vec(),
            y: self.y[from..].to_vec(),
            w: self.w[from..].to_vec(),
            ..self.clone()
        }
    }

    /// The readings before the `end`-th.
    pub(crate) fn until(&self, end: usize) -> Self {
        Self {
            t: self.t[..end].to_vec(),
            y: self.y[..end].to_vec(),
            w: self.w[..end].to_vec(),
            end: self.t[end - 1],
            ..self.clone()
        }
    }

    /// A value of the fit on the axis of the forecast.
    pub(crate) fn on_axis(&self, y: f64) -> f64 {
        if self.log { y.ln() } else { y }
    }

    /// From the 5 % to the 95 % quantile, on the axis of the forecast.
    pub(crate) fn range(&self) -> f64 {
        let y: Vec<f64> = self.y.iter().map(|y| self.on_axis(*y)).collect();
        quantile(&y, 0.95).unwrap_or(0.0) - quantile(&y, 0.05).unwrap_or(0.0)
    }

    /// How far apart the last readings are, steps.
    pub(crate) fn spacing(&self) -> f64 {
        let n = self.len();
        let back = (n / 4).clamp(1, n - 1);
        (self.t[n - 1] - self.t[n - 1 - back]) / back as f64
    }
}

/// Cuts spikes back; returns how many.
fn cut_spikes(points: &mut [(f64, f64)]) -> usize {
    let y: Vec<f64> = points.iter().map(|p| p.1).collect();
    if y.len() < 9 {
        return 0;
    }
    let about: Vec<f64> = (0..y.len())
        .map(|i| {
            let from = i.saturating_sub(2).min(y.len() - 5);
            median(&y[from..from + 5]).unwrap_or(y[i])
        })
        .collect();
    let off: Vec<f64> = y.iter().zip(&about).map(|(y, m)| y - m).collect();
    let range = quantile(&y, 0.95).unwrap_or(0.0) - quantile(&y, 0.05).unwrap_or(0.0);
    let far = (6.0 * 1.4826 * mad(&off).unwrap_or(0.0)).max(0.05 * range);
    let mut n = 0;
    // The ends of a steep curve are no spikes, and the median of five is not centred there.
    for i in 2..y.len() - 2 {
        if off[i].abs() > far {
            points[i].1 = about[i] + far * off[i].signum();
            n += 1;
        }
    }
    n
}

/// Bins as index ranges: single readings up to `max` of them.
fn bins(n: usize, max: usize) -> Vec<(usize, usize)> {
    if n <= max {
        return (0..n).map(|i| (i, i + 1)).collect();
    }
    let half = (max / 2).max(2);
    let mut edges: Vec<usize> = (0..=half).map(|k| n * k / half).collect();
    edges.extend((0..half).map(|k| ((n as f64).powf(k as f64 / half as f64)) as usize));
    edges.push(0);
    edges.sort_unstable();
    edges.dedup();
    edges.windows(2).map(|e| (e[0], e[1])).collect()
}

/// Variance about a line through the readings of a bin; `None` below four.
fn about_line(bin: &[(f64, f64)]) -> Option<f64> {
    if bin.len() < 4 {
        return None;
    }
    let n = bin.len() as f64;
    let (mt, my) =
        (bin.iter().map(|p| p.0).sum::<f64>() / n, bin.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut tt, mut ty, mut yy) = (0.0, 0.0, 0.0);
    for &(t, y) in bin {
        tt += (t - mt) * (t - mt);
        ty += (t - mt) * (y - my);
        yy += (y - my) * (y - my);
    }
    Some((yy - ty * ty / tt).max(0.0) / (n - 2.0))
}

fn relative_weights(r: &Readings, counts: &[f64]) -> Vec<f64> {
    let n = r.len();
    let level: Vec<f64> = (0..n)
        .map(|i| {
            let window = &r.y[i.saturating_sub(2)..(i + 3).min(n)];
            if r.log { median(window).unwrap_or(1.0) } else { 1.0 }
        })
        .collect();
    let slope = noise_slope(r, &level);
    let last = counts[n - 1];
    (0..n)
        .map(|i| {
            let position = (i as f64 + 1.0) / n as f64;
            (counts[i] / last).powf(0.25) / ((slope * (position - 1.0)).exp() * level[i])
        })
        .collect()
}

/// Slope of `ln sd` in the position (0 to 1), from how far readings lie off the line between their neighbours.
fn noise_slope(r: &Readings, level: &[f64]) -> f64 {
    let n = r.len();
    if n < 20 {
        return 0.0;
    }
    let off: Vec<f64> = (1..n - 1)
        .map(|i| {
            let share = (r.t[i] - r.t[i - 1]) / (r.t[i + 1] - r.t[i - 1]);
            (r.y[i] - r.y[i - 1] - share * (r.y[i + 1] - r.y[i - 1])).abs() / level[i]
        })
        .collect();
    let floor = 0.1 * mean(&off).unwrap_or(0.0);
    if floor <= 0.0 {
        return 0.0;
    }
    let mid = 0.5;
    let (mut uu, mut uz) = (0.0, 0.0);
    for (i, o) in off.iter().enumerate() {
        let u = (i as f64 + 0.5) / off.len() as f64 - mid;
        uu += u * u;
        uz += u * (o + floor).ln();
    }
    let slope = uz / uu;
    // ln |normal| has standard deviation 1.11; neighbours share readings, hence twice the variance.
    let error = 2.0 * 1.11 * 1.11 / uu;
    (slope * slope * slope / (slope * slope + error)).clamp(-3.0, 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::random::Philox;

    #[test]
    fn what_cannot_be_used_is_skipped() {
        let p = [
            (0.0, 1.0),
            (2.0, f64::NAN),
            (3.0, -1.0),
            (1.0, 4.0),
            (3.0, 2.0),
            (4.0, f64::INFINITY),
        ];
        assert_eq!(clean(&p, false), [(1.0, 4.0), (3.0, 2.0)]);
        assert_eq!(clean(&[(1.0, -1.0), (2.0, 1.0)], true), [(2.0, 1.0)]);
    }

    #[test]
    fn long_series_become_few_bins_that_hold_every_reading_once() {
        for n in [50, 121, 1000, 100_000] {
            let b = bins(n, 120);
            assert!(b.len() <= 122 && b[0].0 == 0 && b[b.len() - 1].1 == n, "{n} {}", b.len());
            assert!(b.windows(2).all(|w| w[0].1 == w[1].0));
        }
    }

    #[test]
    fn a_spike_is_cut_back_and_a_jump_is_not() {
        let d = Philox::new(1, "spike").at(0);
        let mut p: Vec<(f64, f64)> =
            (1..60).map(|i| (f64::from(i), 1.0 + 0.01 * d.normal(i as u64))).collect();
        p[30].1 = 5.0;
        let r = Readings::new(&p, false, 120).unwrap();
        assert!(r.spikes == 1 && r.y.iter().all(|y| *y <= 1.0), "{r:?}");
        let jump: Vec<(f64, f64)> =
            p.iter().map(|q| (q.0, if q.0 > 20.0 { 3.0 } else { 1.0 })).collect();
        assert_eq!(Readings::new(&jump, false, 120).unwrap().spikes, 0);
        assert!(Readings::new(&[(1.0, 2.0), (2.0, 2.0)], false, 120).is_none());
    }
}
