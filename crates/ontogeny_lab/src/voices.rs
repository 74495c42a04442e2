//! Who said what about the final values of the test runs of a study, how it came about, and how good it was.

use crate::sealing::Registered;
use crate::values::{Found, PointScore, Said, pairs, point_score, r2_difference};
use ontogeny_core::{Predictive, RunId, Target};
use std::collections::BTreeMap;

/// How a forecast came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In the ledger before the outcome existed.
    Sealed,
    /// The fit runs did not support it, so nothing was sealed: what it would have said.
    Withheld,
    /// It knows what nobody can know before.
    Oracle,
}

/// What everybody said about one series from one origin, and what came out.
#[derive(Debug)]
pub(crate) struct Voices {
    pub found: Found,
    said: BTreeMap<String, (Said, Standing)>,
}

impl Voices {
    /// What stands in the ledger about `series` in runs of `study` from `origin` and was not refused.
    pub(crate) fn sealed(
        index: &Registered,
        study: &str,
        series: &str,
        origin: &str,
        found: Found,
    ) -> Self {
        let mine = format!("{study}/");
        let mut said: BTreeMap<String, (Said, Standing)> = BTreeMap::new();
        for f in index.forecasts.values().filter(|f| f.id.starts_with(&mine)) {
            let is_asked = matches!(&f.target, Target::Value { series: s, .. } if s == series);
            let is_refused = index.scores.get(&f.id).is_some_and(|s| s.refused.is_some());
            if !is_asked || is_refused || f.cutoff_name != origin {
                continue;
            }
            let own = f.predictive.iter().map(|p| (&f.theory.name, p));
            for (name, p) in own.chain(f.baselines.iter().map(|(name, p)| (name, p))) {
                let entry = said.entry(name.clone());
                let entry = entry.or_insert_with(|| (Said::new(), Standing::Sealed));
                entry.0.insert(f.run.clone(), p.clone());
            }
        }
        Self { found, said }
    }

    /// Adds what was not sealed. Of whom anything stands in the ledger, only that counts.
    pub(crate) fn add(
        &mut self,
        name: &str,
        standing: Standing,
        run: &RunId,
        what: Option<Predictive>,
    ) {
        let entry = self.said.entry(name.to_owned()).or_insert_with(|| (Said::new(), standing));
        if let Some(p) = what
            && entry.1 != Standing::Sealed
        {
            entry.0.insert(run.clone(), p);
        }
    }

    /// Everybody by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Said, Standing)> {
        self.said.iter().map(|(name, (said, standing))| (name.as_str(), said, *standing))
    }

    /// What somebody said, by run.
    pub(crate) fn said(&self, name: &str) -> Option<&Said> {
        self.said.get(name).map(|s| &s.0)
    }

    pub(crate) fn standing(&self, name: &str) -> Option<Standing> {
        self.said.get(name).map(|s| s.1)
    }

    /// Median and outcome of every run about which somebody spoke.
    pub(crate) fn points(&self, name: &str) -> Option<Vec<(f64, f64)>> {
        Some(pairs(self.said(name)?, &self.found))
    }

    pub(crate) fn score(&self, name: &str) -> Option<PointScore> {
        point_score(self.said(name)?, &self.found)
    }

    /// The one of `names` with the largest R².
    pub(crate) fn best_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let of = |name: &&'a str| Some((*name, self.score(name)?.r2));
        names.iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1)).map(|b| b.0)
    }

    /// R² of somebody less that of the best of `baselines`, with its 95 % interval.
    pub(crate) fn gain_over<'a>(
        &self,
        name: &str,
        baselines: &[&'a str],
    ) -> Option<(&'a str, (f64, f64, f64))> {
        let best = self.best_of(baselines)?;
        Some((best, r2_difference(self.said(name)?, self.said(best)?, &self.found)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_analysis::distribution::gaussian;

    #[test]
    fn what_was_sealed_is_not_talked_over_and_the_best_baseline_is_the_one_to_beat() {
        let runs: Vec<RunId> = (0..20).map(|i| RunId::new(format!("r{i:02}")).unwrap()).collect();
        let found: Found = runs.iter().enumerate().map(|(i, r)| (r.clone(), i as f64)).collect();
        let said = |off: f64| -> Said {
            found.iter().map(|(r, y)| (r.clone(), gaussian(y + off, 1.0))).collect()
        };
        let named = |name: &str, off: f64| (name.to_owned(), (said(off), Standing::Sealed));
        let all = [named("mine", 0.5), named("near", 1.0), named("far", 3.0)];
        let mut voices = Voices { found: found.clone(), said: all.into() };
        let (best, (gain, lo, _)) = voices.gain_over("mine", &["far", "near", "absent"]).unwrap();
        // R² is 1 - off² / 33.25 for outcomes 0 to 19.
        assert_eq!(best, "near");
        assert!((gain - 0.75 / 33.25).abs() < 1e-9 && lo > 0.0);
        for (run, y) in &found {
            voices.add("mine", Standing::Withheld, run, Some(gaussian(*y, 1.0)));
            voices.add("late", Standing::Withheld, run, Some(gaussian(*y, 1.0)));
            voices.add("silent", Standing::Withheld, run, None);
        }
        assert_eq!(voices.standing("mine"), Some(Standing::Sealed));
        assert!((voices.score("mine").unwrap().mae - 0.5).abs() < 1e-9);
        assert_eq!(voices.standing("late"), Some(Standing::Withheld));
        assert!(voices.points("late").unwrap().iter().all(|(x, y)| (x - y).abs() < 1e-9));
        assert!(voices.score("silent").is_none() && voices.said("absent").is_none());
    }
}
