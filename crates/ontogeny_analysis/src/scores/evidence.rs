//! Evidence as an e-process: a bet of the theory against a baseline.
//!
//! `E_n = Π p_theory(y_i) / p_base(y_i)` over outcomes in the order in which the forecasts were registered.
//! If the baseline is true, `E_n` has expectation at most 1 at every stopping time, so `P(E ever >= 20) <= 5 %`
//! (Ville). One factor per outcome: two forecasts of one outcome are one bet.

use crate::distribution::{Cdf, Support};
use crate::survival::Lifetime;
use ontogeny_core::{Observed, Predictive};

/// Share of a broad distribution mixed into both sides, so that no single surprise is worth infinitely much.
pub const LIKELIHOOD_FLOOR: f64 = 1e-6;

/// Likelihood of an outcome: the mass of its censoring interval, of "never", or the density of a value.
///
/// A value's density is averaged over ±`resolution`. Kept at or above [`LIKELIHOOD_FLOOR`]. `None` if the
/// prediction is malformed or outcome and support do not match.
pub fn likelihood(
    p: &Predictive,
    support: Support,
    observed: Observed,
    resolution: f64,
) -> Option<f64> {
    let cdf = Cdf::new(p, support)?;
    let raw = match (observed, support) {
        (Observed::Value { value }, Support::Line) => cdf.density(value, resolution),
        (other, Support::Window { from, to }) => match Lifetime::from_observed(other)? {
            Lifetime::Event { lo, hi } if hi <= to => cdf.mass(lo.max(from), hi.max(from)),
            _ => 1.0 - cdf.happens(),
        },
        _ => return None,
    };
    Some(raw.max(LIKELIHOOD_FLOOR))
}

/// A running product of likelihood ratios.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EProcess {
    log10_path: Vec<f64>,
}

impl EProcess {
    /// Adds the next outcome.
    pub fn push(&mut self, theory: f64, baseline: f64) {
        let last = self.log10();
        self.log10_path.push(last + (theory / baseline).log10());
    }

    /// `log10 E_n` now.
    pub fn log10(&self) -> f64 {
        self.log10_path.last().copied().unwrap_or(0.0)
    }

    /// The whole path.
    pub fn path(&self) -> &[f64] {
        &self.log10_path
    }

    /// Whether it ever reached `e`, e.g. 20.
    pub fn ever_reached(&self, e: f64) -> bool {
        self.log10_path.iter().any(|l| *l >= e.log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::gaussian_event_with_cure;
    use ontogeny_core::Step;
    use ontogeny_core::random::Philox;

    /// 8.5 (3): a true baseline is "strongly refuted" in at most 5 % of studies, however long one waits.
    #[test]
    fn evidence_of_20_is_rare_under_the_null_at_every_stopping_time() {
        let (t0, h) = (Step(200), Step(6000));
        let w = Support::between(t0, h).unwrap();
        let truth = gaussian_event_with_cure(7.0, 0.5, 0.2, t0, h);
        let cdf = Cdf::new(&truth, w).unwrap();
        let studies = 2000;
        let fooled = (0..studies)
            .filter(|s| {
                let d = Philox::new(*s, "null").at(0);
                let mut e = EProcess::default();
                for i in 0..60 {
                    let observed = match cdf.quantile(d.uniform(2 * i)) {
                        Some(u) => {
                            let probe = (u.exp() / 50.0).floor() as u64 * 50;
                            Observed::Event { lo: Step(probe), hi: Step(probe + 50) }
                        }
                        None => Observed::Never { horizon: h },
                    };
                    // The rival moves its centre by a guess: sometimes it wins a while.
                    let rival = gaussian_event_with_cure(
                        7.0 + 0.25 * d.normal(2 * i + 1),
                        0.45,
                        0.2,
                        t0,
                        h,
                    );
                    e.push(
                        likelihood(&rival, w, observed, 0.0).unwrap(),
                        likelihood(&truth, w, observed, 0.0).unwrap(),
                    );
                }
                e.ever_reached(20.0)
            })
            .count();
        assert!(fooled as f64 / studies as f64 <= 0.05, "{fooled}");
        assert!(fooled > 0, "the test would not notice an e-process that never moves");
    }
}
