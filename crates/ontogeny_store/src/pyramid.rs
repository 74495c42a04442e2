//! Bins: what is seen of a series where there are more readings than columns on a screen, exactly.
//!
//! A bin of level k covers 2^k steps from a multiple of 2^k on. Bins are aligned to steps, so those of two segments
//! are put together without looking at the readings, as long as no step of one lies among those of the other.

use crate::wire::Cursor;
use ontogeny_core::{Point, Step};
use std::ops::RangeInclusive;

/// Readings that a bin of the finest level holds on average. With fewer, the rows are as quick to read.
const READINGS_PER_BIN: usize = 128;
/// Bytes of a bin in a file.
pub(crate) const BIN_BYTES: usize = 84;

/// The readings of some neighbouring steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Steps that have a reading.
    pub n: u64,
    /// Those of them whose reading is NaN.
    pub n_nan: u64,
    /// The reading at the first step.
    pub first: Point,
    /// The reading at the last step.
    pub last: Point,
    /// The lowest reading, the first of them if there are several; `None` if all are NaN. Infinities count.
    pub min: Option<Point>,
    /// The highest reading, likewise.
    pub max: Option<Point>,
    /// Sum of the readings that are finite. It is rounded, and the order of its terms depends on how the run was
    /// sealed: good for drawing, no more.
    pub sum: f64,
    /// Readings that are finite.
    pub n_finite: u64,
}

impl Bin {
    /// One reading.
    pub(crate) fn of(p: Point) -> Self {
        let (is_nan, is_finite) = (p.value.is_nan(), p.value.is_finite());
        let seen = (!is_nan).then_some(p);
        Self {
            n: 1,
            n_nan: u64::from(is_nan),
            first: p,
            last: p,
            min: seen,
            max: seen,
            sum: if is_finite { p.value } else { 0.0 },
            n_finite: u64::from(is_finite),
        }
    }

    /// All readings of `points`, which are in step order; `None` if there are none.
    #[cfg(test)]
    pub(crate) fn of_all(points: &[Point]) -> Option<Self> {
        let mut bins = points.iter().map(|&p| Self::of(p));
        let mut all = bins.next()?;
        bins.for_each(|b| all.add(&b));
        Some(all)
    }

    /// Adds what lies after it.
    pub(crate) fn add(&mut self, later: &Self) {
        self.n += later.n;
        self.n_nan += later.n_nan;
        self.last = later.last;
        self.min = pick(self.min, later.min, |new, old| new < old);
        self.max = pick(self.max, later.max, |new, old| new > old);
        self.sum += later.sum;
        self.n_finite += later.n_finite;
    }

    /// Mean of the finite readings; `None` if there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.n_finite > 0).then(|| self.sum / self.n_finite as f64)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        // A segment has less than 2^32 rows, so the counts fit.
        for n in [self.n, self.n_nan, self.n_finite] {
            out.extend_from_slice(&(n as u32).to_le_bytes());
        }
        let none = Point { step: Step(0), value: f64::NAN };
        for p in [self.first, self.last, self.min.unwrap_or(none), self.max.unwrap_or(none)] {
            out.extend_from_slice(&p.step.0.to_le_bytes());
            out.extend_from_slice(&p.value.to_le_bytes());
        }
        out.extend_from_slice(&self.sum.to_le_bytes());
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let [n, n_nan, n_finite] = [cursor.u32()?, cursor.u32()?, cursor.u32()?].map(u64::from);
        let mut point = || Some(Point { step: cursor.step()?, value: cursor.f64()? });
        let (first, last, min, max) = (point()?, point()?, point()?, point()?);
        let sum = cursor.f64()?;
        let seen = |p: Point| (n_nan < n).then_some(p);
        Some(Self { n, n_nan, first, last, min: seen(min), max: seen(max), sum, n_finite })
    }
}

fn pick(old: Option<Point>, new: Option<Point>, wins: fn(f64, f64) -> bool) -> Option<Point> {
    match (old, new) {
        (Some(old), Some(new)) if wins(new.value, old.value) => Some(new),
        (Some(old), _) => Some(old),
        (None, new) => new,
    }
}

/// A series at the resolution of a screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Name of the series.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// A bin covers 2^`level` steps, from a multiple of that on.
    pub level: u32,
    /// Bins that have readings, in step order.
    pub bins: Vec<Bin>,
}

impl Overview {
    /// Steps that a bin covers, as far as that can be counted.
    pub fn steps_per_bin(&self) -> u64 {
        1_u64.checked_shl(self.level).unwrap_or(u64::MAX)
    }

    /// The first, lowest, highest and last reading of each bin, in step order: at a bin a column or less, a line
    /// through them looks like one through all readings.
    pub fn points(&self) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::with_capacity(4 * self.bins.len());
        for bin in &self.bins {
            let mut of_bin = [Some(bin.first), bin.min, bin.max, Some(bin.last)];
            of_bin.sort_by_key(|p| p.map(|p| p.step));
            for p in of_bin.into_iter().flatten() {
                if points.last().is_none_or(|last| last.step < p.step) {
                    points.push(p);
                }
            }
        }
        points
    }
}

/// Bins of one level, in step order, without empty ones.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) k: u32,
    pub(crate) bins: Vec<Bin>,
}

/// The number of the bin of level `k` that a step is in.
pub(crate) fn place(step: Step, k: u32) -> u64 {
    step.0.checked_shr(k).unwrap_or(0)
}

/// The steps of a bin.
pub(crate) fn steps_of(place: u64, k: u32) -> RangeInclusive<Step> {
    if k >= u64::BITS {
        return Step(0)..=Step(u64::MAX);
    }
    let first = place << k;
    Step(first)..=Step(first | ((1 << k) - 1))
}

/// The finest level at which so many bins, or fewer, hold all of the steps.
pub(crate) fn level_for(steps: &RangeInclusive<Step>, max_bins: u64) -> u32 {
    let n_bins = |k| place(*steps.end(), k) - place(*steps.start(), k);
    (0..=u64::BITS).find(|&k| n_bins(k) < max_bins.max(1)).unwrap_or(u64::BITS)
}

/// Bins of level `k` from what lies in them, which is in step order.
pub(crate) fn gathered(parts: impl IntoIterator<Item = Bin>, k: u32) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    for part in parts {
        match bins.last_mut() {
            Some(last) if place(last.first.step, k) == place(part.first.step, k) => last.add(&part),
            _ => bins.push(part),
        }
    }
    bins
}

/// The levels that are kept of `points`, which are in step order, each step once: finest first, the last with two bins
/// or one. None where there are few readings.
pub(crate) fn levels(points: &[Point]) -> Vec<Level> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() < 2 * READINGS_PER_BIN {
        return Vec::new();
    }
    let n_bins = (points.len() / READINGS_PER_BIN) as u64;
    let k = level_for(&(first.step..=last.step), n_bins);
    coarser(k, gathered(points.iter().map(|&p| Bin::of(p)), k))
}

/// The level of these bins and all coarser ones.
fn coarser(mut k: u32, mut bins: Vec<Bin>) -> Vec<Level> {
    let mut levels = Vec::new();
    while bins.len() > 2 {
        let coarser = gathered(bins.iter().copied(), k + 1);
        levels.push(Level { k, bins });
        (k, bins) = (k + 1, coarser);
    }
    levels.push(Level { k, bins });
    levels
}

/// Readings of which no more than so many are kept until it is known how coarse their bins will be.
const KEPT: usize = 1 << 20;

/// What is kept of a series whose rows come one by one, sorted by step and arrival; in memory of about a byte a row.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    /// The last one: another of its step would replace it.
    pending: Option<Point>,
    /// All readings, while they are few.
    points: Vec<Point>,
    /// All bins of some level, once they are many.
    bins: Option<(u32, Vec<Bin>)>,
    all: Option<Bin>,
}

impl Growing {
    pub(crate) fn push(&mut self, point: Point) {
        if let Some(before) = self.pending.replace(point).filter(|p| p.step != point.step) {
            self.settle(before);
        }
    }

    fn settle(&mut self, point: Point) {
        let bin = Bin::of(point);
        match &mut self.all {
            Some(all) => all.add(&bin),
            None => self.all = Some(bin),
        }
        let Some((k, bins)) = &mut self.bins else {
            self.points.push(point);
            if self.points.len() >= KEPT {
                self.bins = self.levels().into_iter().next().map(|level| (level.k, level.bins));
                self.points = Vec::new();
            }
            return;
        };
        match bins.last_mut() {
            Some(last) if place(last.first.step, *k) == place(point.step, *k) => last.add(&bin),
            _ => bins.push(bin),
        }
        // A level that is somewhat finer than it need be is made coarser at the end.
        let n = self.all.map_or(0, |all| all.n);
        while bins.len() as u64 > n / (READINGS_PER_BIN as u64 / 2) {
            *k += 1;
            *bins = gathered(bins.iter().copied(), *k);
        }
    }

    fn levels(&self) -> Vec<Level> {
        levels(&self.points)
    }

    /// The bin of all readings, which is `None` if there are none, and the levels.
    pub(crate) fn finish(mut self) -> (Option<Bin>, Vec<Level>) {
        if let Some(last) = self.pending.take() {
            self.settle(last);
        }
        let levels = match (self.bins.take(), self.all) {
            (Some((k, bins)), Some(all)) => {
                let steps = all.first.step..=all.last.step;
                let k = k.max(level_for(&steps, all.n / READINGS_PER_BIN as u64));
                coarser(k, gathered(bins, k))
            }
            _ => self.levels(),
        };
        (self.all, levels)
    }
}

/// Sorts by step and keeps, of equal steps, the one that was appended last.
pub(crate) fn keep_last<T>(items: &mut Vec<T>, step: impl Fn(&T) -> Step) {
    if items.windows(2).all(|w| step(&w[0]) < step(&w[1])) {
        return;
    }
    items.reverse();
    items.sort_by_key(|i| std::cmp::Reverse(step(i)));
    items.dedup_by_key(|i| step(i));
    items.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(pairs: &[(u64, f64)]) -> Vec<Point> {
        pairs.iter().map(|&(step, value)| Point { step: Step(step), value }).collect()
    }

    #[test]
    fn a_bin_knows_ends_extremes_and_nan() {
        let all = points(&[(3, f64::NAN), (4, 2.0), (5, -1.0), (6, -1.0), (7, f64::INFINITY)]);
        let bin = Bin::of_all(&all).unwrap();
        assert_eq!((bin.n, bin.n_nan, bin.n_finite, bin.sum), (5, 1, 3, 0.0));
        assert_eq!((bin.min, bin.max), (Some(all[2]), Some(all[4])));
        assert_eq!((bin.first.step, bin.last), (Step(3), all[4]));
        let nan = Bin::of_all(&all[..1]).unwrap();
        assert_eq!((nan.min, nan.max, nan.mean()), (None, None, None));
    }

    #[test]
    fn a_level_has_no_more_bins_than_asked() {
        assert_eq!(level_for(&(Step(0)..=Step(999)), 1000), 0);
        assert_eq!(level_for(&(Step(0)..=Step(1000)), 1000), 1);
        assert_eq!(level_for(&(Step(0)..=Step(u64::MAX)), 1), 64);
        assert_eq!(level_for(&(Step(7)..=Step(8)), 1), 4);
        assert_eq!(steps_of(0, 64), Step(0)..=Step(u64::MAX));
        assert_eq!(steps_of(3, 4), Step(48)..=Step(63));
    }

    #[test]
    fn a_long_series_has_the_levels_of_its_readings() {
        for (n, stride_after) in [(2 * KEPT as u64, 1), (KEPT as u64 + 300_000, 5000)] {
            let mut growing = Growing::default();
            let mut all: Vec<Point> = Vec::new();
            let mut step = 0;
            for i in 0..n {
                step += if i > KEPT as u64 { stride_after } else { 1 + i % 2 };
                let point =
                    Point { step: Step(step), value: (i.wrapping_mul(2_654_435_761) % 97) as f64 };
                if i % 5 == 0 {
                    growing.push(Point { value: -1e9, ..point });
                }
                growing.push(point);
                all.push(point);
            }
            let (bin, levels) = growing.finish();
            assert_eq!(bin, Bin::of_all(&all));
            for level in &levels {
                let direct = gathered(all.iter().map(|&p| Bin::of(p)), level.k);
                assert_eq!(level.bins, direct, "level {}", level.k);
            }
            assert!(levels[0].bins.len() as u64 <= n / 64);
            assert!(levels[0].bins.len() as u64 >= n / 1024, "{}", levels[0].bins.len());
            assert!(levels.last().is_some_and(|l| l.bins.len() <= 2));
        }
    }

    proptest! {
        #[test]
        fn coarser_bins_are_those_of_the_readings(gaps in proptest::collection::vec((1..40_u64, -9..9_i32), 1..900)) {
            let mut step = 0;
            let all: Vec<Point> = gaps.iter().map(|&(gap, v)| {
                step += gap;
                Point { step: Step(step), value: if v == 8 { f64::NAN } else { f64::from(v) } }
            }).collect();
            for level in levels(&all) {
                let direct = gathered(all.iter().map(|&p| Bin::of(p)), level.k);
                prop_assert_eq!(format!("{:?}", level.bins), format!("{direct:?}"));
                let mut bytes = Vec::new();
                level.bins.iter().for_each(|b| b.put(&mut bytes));
                prop_assert_eq!(bytes.len(), BIN_BYTES * level.bins.len());
                let mut cursor = Cursor(&bytes);
                for bin in &level.bins {
                    prop_assert_eq!(format!("{:?}", Bin::take(&mut cursor)), format!("{:?}", Some(bin)));
                }
            }
        }
    }
}
