//! Curricula: how epsilon and the weight of the natural loss go through a run, as shares of its length.

use ontogeny_core::random::Draws;
use ontogeny_core::{Curve, Schedule};
use ontogeny_train::CertifiedConfig;

/// Places of the knots of a designed curriculum, as shares of its way to the whole epsilon.
const KNOTS: [f64; 7] = [0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 1.0];
/// Where the published ramps begin, as a share of the run.
const CLEAN: f64 = 0.05;

/// How epsilon rises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rise {
    /// A straight line after a short natural phase (Gowal et al. 2018, arXiv:1810.12715).
    Linear,
    /// Slowly first (Xu et al. 2020, arXiv:2002.12920).
    Smoothed,
    /// Straight lines between knots; what epsilon rises by between two of them, as shares of the whole.
    Knots([f64; 6]),
}

/// One curriculum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curriculum {
    pub rise: Rise,
    /// Share of the run at which epsilon is whole.
    pub until: f64,
    /// Epsilon of training over that of the test.
    pub overshoot: f64,
    /// Weight of the natural loss from there on; before, it falls from 1 in a straight line.
    pub kappa_end: f64,
}

impl Curriculum {
    /// A published ramp.
    pub(super) fn published(rise: Rise, until: f64, kappa_end: f64) -> Self {
        Self { rise, until, overshoot: 1.0, kappa_end }
    }

    /// One of the space that is searched: increments uniform on the simplex, whole at .6 or .8 of the run, an overshoot
    /// uniform in [.8, 1.3], a last kappa of 0, .25 or .5.
    pub(super) fn drawn(draws: Draws) -> Self {
        let gaps: [f64; 6] = std::array::from_fn(|i| -(1.0 - draws.uniform(i as u64)).ln());
        let sum: f64 = gaps.iter().sum();
        Self {
            rise: Rise::Knots(gaps.map(|g| g / sum)),
            until: [0.6, 0.8][draws.below(6, 2) as usize],
            overshoot: 0.8 + 0.5 * draws.uniform(7),
            kappa_end: [0.0, 0.25, 0.5][draws.below(8, 3) as usize],
        }
    }

    /// The objective of a run of `horizon` updates that is tested at `eps`.
    pub(super) fn objective(&self, horizon: u64, eps: f64) -> CertifiedConfig {
        let at = |share: f64| (share * horizon as f64).round() as u64;
        let (value, until) = (self.overshoot * eps, at(self.until));
        let start = at(CLEAN);
        let (first, rise) = match self.rise {
            Rise::Linear => (start, Curve::Ramp { from: 0.0, value, start, until }),
            Rise::Smoothed => (start, Curve::Smoothed { value, start, until }),
            Rise::Knots(gaps) => {
                let mut points = vec![(0, 0.0)];
                let mut risen = 0.0;
                for (knot, gap) in KNOTS[1..].iter().zip(gaps) {
                    risen += gap;
                    points.push((at(self.until * knot), value * f64::min(risen, 1.0)));
                }
                // Knots of a very short run may fall on one step: the later one counts.
                points.reverse();
                points.dedup_by_key(|p| p.0);
                points.reverse();
                (0, Curve::Knots { points })
            }
        };
        let kappa = Curve::Ramp { from: 1.0, value: self.kappa_end, start: first, until };
        CertifiedConfig::ibp(Schedule::Curve(rise), Schedule::Curve(kappa))
    }

    /// In a few words.
    pub(super) fn name(&self) -> String {
        let rise = match self.rise {
            Rise::Linear => "linear".to_owned(),
            Rise::Smoothed => "smoothed".to_owned(),
            Rise::Knots(gaps) => {
                let mut risen = 0.0;
                let at = gaps.map(|g| {
                    risen += 100.0 * g;
                    format!("{risen:.0}")
                });
                format!("knots {} %", at.join("-"))
            }
        };
        let (until, over) = (100.0 * self.until, self.overshoot);
        format!("{rise} by {until:.0} % of the run, x{over:.2}, kappa {}", self.kappa_end)
    }

    /// What a forecaster may know of it before the run.
    pub(super) fn features(&self) -> Vec<(String, f64)> {
        // Shares of the whole epsilon at shares of the run: comparable between kinds of ramps.
        const N: u64 = 1000;
        let eps = self.objective(N, 1.0).eps;
        let at = |share: f64| eps.at(ontogeny_core::Step((share * N as f64) as u64));
        let mut all: Vec<(String, f64)> =
            [0.1, 0.2, 0.3, 0.5, 0.7].map(|s| (format!("eps_at_{s}"), at(s))).to_vec();
        all.push(("until".into(), self.until));
        all.push(("overshoot".into(), self.overshoot));
        all.push(("kappa_end".into(), self.kappa_end));
        all
    }
}

/// The `i`-th of the settings over which a published ramp is tuned: its length and its last kappa. Lengths fill [.2, .9]
/// evenly however many there are (van der Corput); each is tried with both published values of kappa.
pub(super) fn tuning(rise: Rise, i: u64) -> Curriculum {
    let (mut n, mut place, mut share) = (i / 2 + 1, 0.5, 0.0);
    while n > 0 {
        share += place * (n % 2) as f64;
        (n, place) = (n / 2, place / 2.0);
    }
    Curriculum::published(rise, 0.2 + 0.7 * share, [0.5, 0.0][(i % 2) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::Step;
    use ontogeny_core::random::Philox;

    #[test]
    fn drawn_curricula_rise_from_0_to_the_whole_and_stay_in_their_space() {
        for i in 0..200 {
            let c = Curriculum::drawn(Philox::new(5, "test").at(i));
            assert!((0.8..1.3).contains(&c.overshoot) && [0.6, 0.8].contains(&c.until));
            assert!([0.0, 0.25, 0.5].contains(&c.kappa_end));
            let o = c.objective(400, 0.1);
            let eps: Vec<f64> = (0..=400).map(|t| o.eps.at(Step(t))).collect();
            assert!(eps.is_sorted() && eps[0] == 0.0);
            let end = (400.0 * c.until) as usize;
            assert!((eps[end] - 0.1 * c.overshoot).abs() < 1e-12 && eps[400] == eps[end]);
            assert_eq!([0, 400].map(|t| o.kappa.at(Step(t))), [1.0, c.kappa_end]);
        }
    }

    #[test]
    fn a_short_run_has_a_curriculum_too() {
        let c = Curriculum::drawn(Philox::new(5, "test").at(1));
        let o = c.objective(7, 0.1);
        o.eps.check(0.0, 1.0).unwrap();
        assert!((o.eps.at(Step(6)) - 0.1 * c.overshoot).abs() < 1e-12);
    }

    #[test]
    fn tuning_fills_lengths_evenly_with_either_kappa() {
        let all: Vec<(f64, f64)> = (0..6)
            .map(|i| tuning(Rise::Linear, i))
            .map(|c| ((1000.0 * c.until).round(), c.kappa_end))
            .collect();
        let expected =
            [(550.0, 0.5), (550.0, 0.0), (375.0, 0.5), (375.0, 0.0), (725.0, 0.5), (725.0, 0.0)];
        assert_eq!(all, expected);
        assert_eq!(
            tuning(Rise::Smoothed, 0).name(),
            "smoothed by 55 % of the run, x1.00, kappa 0.5"
        );
    }
}
