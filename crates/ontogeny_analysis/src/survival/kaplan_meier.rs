//! The Kaplan-Meier estimate of a survival function.

use super::Lifetime;

/// One step of the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KmStep {
    /// `ln` of the time.
    pub ln_t: f64,
    /// Runs still waiting just before.
    pub at_risk: usize,
    /// Events at this time.
    pub events: usize,
    /// `S(t) = Π (1 - d_i / n_i)` after it.
    pub survival: f64,
    /// Greenwood's standard error of `survival`.
    pub std_error: f64,
}

/// Kaplan-Meier steps at the event times.
///
/// An interval counts as an event at its middle on `ln t`; runs censored at an event time are still at risk
/// there.
pub fn kaplan_meier(lifetimes: &[Lifetime]) -> Vec<KmStep> {
    let mut times: Vec<(f64, bool)> = lifetimes
        .iter()
        .map(|l| match *l {
            Lifetime::Event { lo, hi } => (0.5 * (lo + hi), true),
            Lifetime::Censored { at } => (at, false),
        })
        .collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut steps: Vec<KmStep> = Vec::new();
    let (mut survival, mut greenwood) = (1.0, 0.0);
    let mut i = 0;
    while i < times.len() {
        let at_risk = times.len() - i;
        let same = times[i..].iter().take_while(|t| t.0 == times[i].0).count();
        let events = times[i..i + same].iter().filter(|t| t.1).count();
        if events > 0 {
            let (n, d) = (at_risk as f64, events as f64);
            survival *= 1.0 - d / n;
            if at_risk > events {
                greenwood += d / (n * (n - d));
            }
            steps.push(KmStep {
                ln_t: times[i].0,
                at_risk,
                events,
                survival,
                std_error: survival * f64::sqrt(greenwood),
            });
        }
        i += same;
    }
    steps
}

/// The estimate at `ln_t`.
pub fn survival_at(steps: &[KmStep], ln_t: f64) -> f64 {
    let n = steps.partition_point(|s| s.ln_t <= ln_t);
    n.checked_sub(1).map_or(1.0, |i| steps[i].survival)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_textbook_table() {
        // Gehan's 6-MP arm (Freireich et al. 1963): 6,6,6,6+,7,9+,10,10+,11+,13,16,17+,19+,20+,22,23,25+,32+,
        // 32+,34+,35+ weeks; S = .857, .807, .753, .690, .627, .538, .448.
        let weeks = [
            (6, 1),
            (6, 1),
            (6, 1),
            (6, 0),
            (7, 1),
            (9, 0),
            (10, 1),
            (10, 0),
            (11, 0),
            (13, 1),
            (16, 1),
            (17, 0),
            (19, 0),
            (20, 0),
            (22, 1),
            (23, 1),
            (25, 0),
            (32, 0),
            (32, 0),
            (34, 0),
            (35, 0),
        ];
        let lifetimes: Vec<Lifetime> = weeks
            .iter()
            .map(|&(w, event)| {
                let u = f64::from(w).ln();
                if event == 1 {
                    Lifetime::Event { lo: u, hi: u }
                } else {
                    Lifetime::Censored { at: u }
                }
            })
            .collect();
        let km = kaplan_meier(&lifetimes);
        let expected =
            [0.857_143, 0.806_723, 0.752_941, 0.690_196, 0.627_451, 0.537_815, 0.448_179];
        assert_eq!(km.len(), expected.len());
        for (s, e) in km.iter().zip(expected) {
            assert!((s.survival - e).abs() < 1e-6, "{s:?}");
        }
        // Greenwood at 10 weeks: .0963.
        assert!((km[2].std_error - 0.0963).abs() < 1e-4);
        assert!((survival_at(&km, 8.0_f64.ln()) - 0.806_723).abs() < 1e-6);
        assert_eq!(survival_at(&km, 0.0), 1.0);
    }
}
