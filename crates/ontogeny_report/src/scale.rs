//! From values to positions and back to tick labels, linear and logarithmic.

use crate::extent::{Extent, is_drawable};
use crate::number;

/// Room left of a logarithmic axis for values that are exactly zero, as step 0 always is.
const ZERO_GUTTER: f64 = 30.0;

/// A mapping from values to one coordinate of the figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    pub(crate) log: bool,
    /// Values at the two ends.
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    /// Positions of `lo` and `hi`.
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Where exact zeros stand on a logarithmic axis.
    pub(crate) zero_at: Option<f64>,
}

/// A tick; minor ticks have no label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

impl Scale {
    /// An x axis: the extent as it is, with a gutter for step 0 if the axis is logarithmic.
    pub(crate) fn for_x(extent: &Extent, log: bool, from: f64, to: f64) -> Option<Self> {
        if extent.is_empty(log) {
            return None;
        }
        let zero_at = (log && extent.n_zero > 0).then_some(from);
        let from = if zero_at.is_some() { from + ZERO_GUTTER } else { from };
        let (lo, hi) = widened(extent, log);
        Some(Self { log, lo, hi, from, to, zero_at })
    }

    /// A y axis: the extent with a little air, reaching zero when zero is near.
    pub(crate) fn for_y(extent: &Extent, log: bool, from: f64, to: f64) -> Option<Self> {
        if extent.is_empty(log) {
            return None;
        }
        let (mut lo, mut hi) = widened(extent, log);
        if log {
            let air = ((hi.ln() - lo.ln()) * 0.04).exp();
            (lo, hi) = ((lo / air).max(f64::MIN_POSITIVE), (hi * air).min(1e305));
        } else {
            let air = (hi - lo) * 0.05;
            let (old_lo, old_hi) = (lo, hi);
            lo = if old_lo >= 0.0 && old_lo < 0.3 * old_hi { 0.0 } else { old_lo - air };
            hi = if old_hi <= 0.0 && old_hi > 0.3 * old_lo { 0.0 } else { old_hi + air };
        }
        Some(Self { log, lo, hi, from, to, zero_at: None })
    }

    /// A scale with given ends, e.g. from `y_range`; `None` if they span nothing.
    pub(crate) fn fixed(lo: f64, hi: f64, log: bool, from: f64, to: f64) -> Option<Self> {
        let (lo, hi) = (lo.min(hi), lo.max(hi));
        let is_valid = is_drawable(lo) && is_drawable(hi) && lo < hi && (!log || lo > 0.0);
        is_valid.then_some(Self { log, lo, hi, from, to, zero_at: None })
    }

    /// Position of a value; `None` if it has none on this axis.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        if !is_drawable(value) {
            return None;
        }
        if self.log && value <= 0.0 {
            return if value == 0.0 { self.zero_at } else { None };
        }
        let share = if self.log {
            (value.ln() - self.lo.ln()) / (self.hi.ln() - self.lo.ln())
        } else {
            (value - self.lo) / (self.hi - self.lo)
        };
        // Far outside is as good as the edge of the paper, and keeps coordinates short.
        Some((self.from + share * (self.to - self.from)).clamp(-1e5, 1e5))
    }

    /// Position of a value held within the ends.
    pub(crate) fn place_within(&self, value: f64) -> Option<f64> {
        let (a, b) = (self.from.min(self.to), self.from.max(self.to));
        let a = self.zero_at.map_or(a, |zero| zero.min(a));
        Some(self.place(value)?.clamp(a, b))
    }

    /// Ticks with labels, about `wanted` of them, and unlabelled minor ticks on logarithmic axes.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<Tick> {
        let wanted = wanted.max(2);
        let mut ticks = if self.log { self.log_ticks(wanted) } else { self.linear_ticks(wanted) };
        if let Some(zero_at) = self.zero_at {
            ticks.insert(0, Tick { at: zero_at, label: "0".to_owned() });
        }
        ticks
    }

    /// The mapping as text for the read-out: kind, ends, positions, position of zero.
    pub(crate) fn attribute(&self) -> String {
        let zero = self.zero_at.map_or(String::new(), crate::svg::n);
        let (from, to) = (crate::svg::n(self.from), crate::svg::n(self.to));
        let kind = if self.log { "log" } else { "lin" };
        format!("{kind} {} {} {from} {to} {zero}", number::exact(self.lo), number::exact(self.hi))
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<Tick> {
        let rough = (self.hi - self.lo) / wanted as f64;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|&s| s >= rough * 0.999);
        let step = step.unwrap_or(rough);
        let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
        let largest = self.lo.abs().max(self.hi.abs());
        let first = (self.lo / step - 1e-9).ceil();
        let is_power = largest >= 1e15 || (largest > 0.0 && decimals >= 5);
        let mut ticks = Vec::new();
        for i in 0..50 {
            let value = (first + f64::from(i)) * step;
            if value > self.hi + step * 1e-9 {
                break;
            }
            if let Some(at) = self.place(value) {
                let label = if is_power {
                    number::human(if value.abs() < step * 1e-6 { 0.0 } else { value })
                } else {
                    number::tick(value, decimals, largest >= 1e4 && step >= 100.0)
                };
                ticks.push(Tick { at, label });
            }
        }
        ticks
    }

    fn log_ticks(&self, wanted: usize) -> Vec<Tick> {
        let (lo, hi) = (self.lo.log10(), self.hi.log10());
        let decades: Vec<i32> = ((lo - 1e-9).ceil() as i32..=(hi + 1e-9).floor() as i32).collect();
        if hi - lo < 0.7 {
            // Less than a factor of five: decades say too little, a linear ladder of values does.
            return self.linear_ticks(wanted.min(5));
        }
        let mut ticks = Vec::new();
        let plain = lo >= -4.01 && hi <= 12.0;
        let every =
            i32::try_from(decades.len().div_ceil(wanted + wanted / 2)).map_or(1, |n| n.max(1));
        let room = (self.to - self.from).abs() / (hi - lo);
        let extra: &[f64] = match (decades.len() <= 1, hi - lo < 2.6) {
            (true, _) => &[2.0, 5.0],
            (false, true) if room >= 95.0 => &[2.0, 5.0],
            (false, true) if room >= 50.0 => &[3.0],
            _ => &[],
        };
        for exponent in lo.floor() as i32..=hi.floor() as i32 {
            let decade = 10f64.powi(exponent);
            for multiple in 1..10 {
                let value = decade * f64::from(multiple);
                let is_inside = value >= self.lo * (1.0 - 1e-9) && value <= self.hi * (1.0 + 1e-9);
                let Some(at) = self.place(value).filter(|_| is_inside) else { continue };
                let label = if multiple == 1 && exponent.rem_euclid(every) == 0 {
                    number::power_of_ten(exponent, plain)
                } else if extra.contains(&f64::from(multiple)) && plain {
                    let decimals = (-exponent).max(0) as usize;
                    number::tick(value, decimals, exponent >= 3)
                } else {
                    String::new()
                };
                if !label.is_empty() || every == 1 || multiple == 1 {
                    ticks.push(Tick { at, label });
                }
            }
        }
        ticks
    }
}

/// Ends that span something: a single value gets room around it.
fn widened(extent: &Extent, log: bool) -> (f64, f64) {
    let lo = if log { extent.lo_positive.max(f64::MIN_POSITIVE) } else { extent.lo };
    let hi = extent.hi.max(lo);
    let is_narrow =
        if log { hi / lo < 1.0 + 1e-9 } else { hi - lo <= lo.abs().max(hi.abs()) * 1e-12 };
    if !is_narrow {
        (lo, hi)
    } else if log {
        ((lo / 2.0).max(f64::MIN_POSITIVE), (hi * 2.0).min(1e305))
    } else {
        let room = if lo.abs() < 1e-290 { 1.0 } else { lo.abs() * 0.1 };
        (lo - room, hi + room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lo: f64, hi: f64, log: bool, expected: &[&str]) {
        let scale = Scale::fixed(lo, hi, log, 0.0, 100.0).unwrap();
        let labels: Vec<String> =
            scale.ticks(5).into_iter().map(|t| t.label).filter(|label| !label.is_empty()).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn ticks_are_round() {
        check(0.0, 1.0, false, &["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(0.0, 43_000.0, false, &["0", "10k", "20k", "30k", "40k"]);
        check(-3.0, 3.0, false, &["−2", "0", "2"]);
        check(1.0, 100_000.0, true, &["1", "10", "100", "1k", "10k", "100k"]);
        check(1e-9, 1.0, true, &["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]);
        check(0.2, 9.0, true, &["0.2", "0.5", "1", "2", "5"]);
        check(100.0, 130.0, true, &["100", "110", "120", "130"]);
    }

    #[test]
    fn step_zero_has_a_place_on_a_logarithmic_axis() {
        let scale = Scale::for_x(&Extent::of([0.0, 1.0, 10.0]), true, 50.0, 150.0).unwrap();
        assert_eq!(scale.place(0.0), Some(50.0));
        assert_eq!(scale.place(1.0), Some(80.0));
        assert_eq!(scale.place(-1.0), None);
    }

    #[test]
    fn odd_values_have_no_place() {
        let scale = Scale::fixed(0.0, 1.0, false, 0.0, 1.0).unwrap();
        assert_eq!([f64::NAN, f64::INFINITY, 1e301].map(|v| scale.place(v)), [None; 3]);
        assert_eq!(Scale::fixed(1.0, 1.0, false, 0.0, 1.0), None);
        assert_eq!(Scale::for_x(&Extent::of([0.0]), true, 0.0, 1.0), None);
    }

    #[test]
    fn a_single_value_gets_room() {
        let scale = Scale::for_y(&Extent::of([5.0]), false, 0.0, 1.0).unwrap();
        assert!(scale.lo < 5.0 && scale.hi > 5.0);
    }
}
