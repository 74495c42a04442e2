//! A mean with its standard error.

use crate::math::{mean, variance};

/// Mean of values and its standard error over them; `None` below two values.
///
/// # Examples
/// ```
/// let (mean, error) = ontogeny_analysis::stats::mean_and_error(&[1.0, 2.0, 3.0]).unwrap();
/// assert_eq!((mean, error), (2.0, (1.0_f64 / 3.0).sqrt()));
/// assert!(ontogeny_analysis::stats::mean_and_error(&[1.0]).is_none());
/// ```
pub fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    Some((mean(values)?, (variance(values)? / values.len() as f64).sqrt()))
}
