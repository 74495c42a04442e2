//! What a set of values spans, and how much of it cannot be drawn.

/// Values beyond this size are treated as not finite: differences of larger ones overflow.
const LARGEST: f64 = 1e300;

/// Whether a value can have a place on an axis.
pub(crate) fn is_drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < LARGEST
}

/// Range and census of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    /// Smallest and largest drawable value; infinite the wrong way round if there is none.
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    /// Smallest positive value; infinite if there is none.
    pub(crate) lo_positive: f64,
    /// Number of drawable values, of those not positive, of zeros, and of values that are not finite.
    pub(crate) n: usize,
    pub(crate) n_not_positive: usize,
    pub(crate) n_zero: usize,
    pub(crate) n_not_finite: usize,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            lo: f64::INFINITY,
            hi: f64::NEG_INFINITY,
            lo_positive: f64::INFINITY,
            n: 0,
            n_not_positive: 0,
            n_zero: 0,
            n_not_finite: 0,
        }
    }
}

impl Extent {
    /// Takes a value into account.
    pub(crate) fn add(&mut self, value: f64) {
        if !is_drawable(value) {
            self.n_not_finite += 1;
            return;
        }
        self.n += 1;
        self.lo = self.lo.min(value);
        self.hi = self.hi.max(value);
        if value > 0.0 {
            self.lo_positive = self.lo_positive.min(value);
        } else {
            self.n_not_positive += 1;
            self.n_zero += usize::from(value == 0.0);
        }
    }

    /// Takes many values into account.
    pub(crate) fn add_all(&mut self, values: impl IntoIterator<Item = f64>) {
        for value in values {
            self.add(value);
        }
    }

    /// Extent of `values`.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut extent = Self::default();
        extent.add_all(values);
        extent
    }

    /// Whether an axis of this kind can show anything.
    pub(crate) fn is_empty(&self, log: bool) -> bool {
        if log { self.lo_positive.is_infinite() } else { self.n == 0 }
    }

    /// Why nothing can be shown, for a reader.
    pub(crate) fn reason(&self, log: bool) -> String {
        if self.n == 0 && self.n_not_finite == 0 {
            "nothing was measured".to_owned()
        } else if self.n == 0 {
            format!("{} recorded, none finite", values(self.n_not_finite))
        } else if log {
            format!("{} recorded, none positive on the log axis", values(self.n))
        } else {
            "nothing to draw".to_owned()
        }
    }
}

/// A count of values in words.
pub(crate) fn values(n: usize) -> String {
    if n == 1 { "1 value".to_owned() } else { format!("{n} values") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_counted_and_leaves_the_range_alone() {
        let extent = Extent::of([f64::NAN, 1.0, f64::INFINITY, -2.0, 0.0, f64::MAX]);
        assert_eq!((extent.lo, extent.hi, extent.lo_positive), (-2.0, 1.0, 1.0));
        assert_eq!(
            (extent.n, extent.n_not_finite, extent.n_not_positive, extent.n_zero),
            (3, 3, 2, 1)
        );
    }

    #[test]
    fn emptiness_has_a_reason() {
        assert_eq!(Extent::of([]).reason(false), "nothing was measured");
        assert_eq!(Extent::of([f64::NAN]).reason(false), "1 value recorded, none finite");
        assert_eq!(
            Extent::of([0.0, -1.0]).reason(true),
            "2 values recorded, none positive on the log axis"
        );
    }
}
