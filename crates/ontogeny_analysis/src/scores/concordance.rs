//! Whether the order was right: area under the ROC curve for yes or no, Harrell's C for event times.
//!
//! Neither is a proper score: they judge the order of the forecasts and not their probabilities, and stand beside
//! the Brier score, never in its place.

use crate::survival::Lifetime;

/// One point if the larger prediction belongs to the larger outcome, half of one if the predictions are equal.
fn point(above: f64, below: f64) -> f64 {
    if above > below { 1.0 } else { 0.5 * f64::from(u8::from(above == below)) }
}

/// Share of points won over pairs; `None` without pairs.
fn share(points: impl Iterator<Item = f64>) -> Option<f64> {
    let (won, n) = points.fold((0.0, 0usize), |(w, n), p| (w + p, n + 1));
    (n > 0).then(|| won / n as f64)
}

/// Area under the ROC curve of `(probability, happened)`: the chance that a record in which it happened was given
/// more than one in which it did not, equal ones counting half (Hanley & McNeil 1982).
///
/// Forecasts that were made with the record itself left out are pulled away from it: a forecaster that only knows
/// the share of the others has an area of 0, not of .5. `None` if all or none happened.
pub fn auc(records: &[(f64, bool)]) -> Option<f64> {
    let of = |yes: bool| records.iter().filter(move |r| r.1 == yes).map(|r| r.0);
    share(of(true).flat_map(|a| of(false).map(move |b| point(a, b))))
}

/// The same at one time: events that came by `at` (on `ln t`, by their middle) against runs still waiting then, with
/// `P(T <= e^at)` (cumulative sensitivity, dynamic specificity: Heagerty & Zheng 2005). Runs that were not watched until
/// `at` are in no pair. `None` without pairs.
pub fn auc_at(records: &[(f64, Lifetime)], at: f64) -> Option<f64> {
    let known = records.iter().filter_map(|(p, t)| match *t {
        Lifetime::Event { lo, hi } => Some((*p, 0.5 * (lo + hi) <= at)),
        Lifetime::Censored { at: seen } => (seen >= at).then_some((*p, false)),
    });
    auc(&known.collect::<Vec<_>>())
}

/// Harrell's C: among pairs of which it is known who was first, the share that `predicted` (any number that is larger
/// for later times) puts in that order, equal predictions counting half.
///
/// A pair counts if the earlier of the two is an event that ended before the other began to be uncertain: two events
/// whose intervals overlap are no pair, and a censored run is only ever the later one. Source: Harrell et al. 1982.
/// `None` without such pairs.
///
/// # Examples
/// ```
/// # use ontogeny_analysis::{scores::harrell_c, survival::Lifetime};
/// let at = |u| Lifetime::Event { lo: u, hi: u };
/// let records = [(1.0, at(3.0)), (2.0, at(5.0)), (0.5, Lifetime::Censored { at: 4.0 })];
/// // First before second: right. First before third: wrong. Second and third: nobody knows.
/// assert_eq!(harrell_c(&records), Some(0.5));
/// ```
pub fn harrell_c(records: &[(f64, Lifetime)]) -> Option<f64> {
    let is_first = |a: &Lifetime, b: &Lifetime| match (*a, *b) {
        (Lifetime::Event { hi, .. }, Lifetime::Event { lo, hi: later }) => hi <= lo && hi < later,
        (Lifetime::Event { hi, .. }, Lifetime::Censored { at }) => hi <= at,
        (Lifetime::Censored { .. }, _) => false,
    };
    let pairs = records.iter().flat_map(|(p, a)| {
        records.iter().filter(move |(_, b)| is_first(a, b)).map(move |(q, _)| point(*q, *p))
    });
    share(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(u: f64) -> Lifetime {
        Lifetime::Event { lo: u, hi: u }
    }

    #[test]
    fn the_area_counts_pairs() {
        let r = [(0.9, true), (0.4, true), (0.4, false), (0.1, false)];
        // Four pairs: three won, one drawn.
        assert_eq!(auc(&r), Some(3.5 / 4.0));
        assert_eq!(auc(&r[..2]), None);
        assert_eq!(auc(&[]), None);
    }

    #[test]
    fn the_area_at_a_time_asks_who_had_it_by_then() {
        let r = [(0.8, at(2.0)), (0.3, at(6.0)), (0.5, Lifetime::Censored { at: 9.0 })];
        assert_eq!(auc_at(&r, 4.0), Some(1.0));
        // At 7 the second has had it, with less than the third.
        assert_eq!(auc_at(&r, 7.0), Some(0.5));
        // Nobody watched the third until 10.
        assert_eq!(auc_at(&r, 10.0), None);
    }

    #[test]
    fn c_is_one_in_the_right_order_and_a_half_without_one() {
        let times: Vec<Lifetime> = (0..9)
            .map(|i| {
                let u = f64::from(i);
                if i % 3 == 2 { Lifetime::Censored { at: u } } else { at(u) }
            })
            .collect();
        let c = |f: &dyn Fn(usize) -> f64| {
            harrell_c(&times.iter().enumerate().map(|(i, t)| (f(i), *t)).collect::<Vec<_>>())
        };
        assert_eq!(c(&|i| i as f64), Some(1.0));
        assert_eq!(c(&|i| -(i as f64)), Some(0.0));
        assert_eq!(c(&|_| 1.0), Some(0.5));
        // Overlapping intervals are no pair.
        let vague = Lifetime::Event { lo: 0.0, hi: 2.0 };
        assert_eq!(harrell_c(&[(0.0, vague), (1.0, at(1.0))]), None);
    }
}
