//! The stack: all families fitted to one prefix, their weights, and the mixture they make.

use super::change::{Change, chance, changes};
use super::families::{FAMILIES, Family};
use super::fit::Effort;
use super::flags::{Flags, flags};
use super::origins::{FIRST, Origins, Skill, prior_weights};
use super::posterior::{FamilyFit, Part};
use super::readings::{Readings, clean};
use super::{CurveForecast, Silence};
use crate::math::special::normal_cdf;
use ontogeny_core::{LEVELS, Predictive};

/// How families are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Averaging {
    /// By time-ordered validation inside the prefix (E2).
    Stacking,
    /// Half evenly, half by the Bayesian information criterion (E3): no origins, hence no verdict.
    Bic,
}

/// Settings of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Names of the families; unknown names are ignored.
    pub families: Vec<&'static str>,
    /// Effort of every fit.
    pub effort: Effort,
    /// Bins to which longer prefixes are thinned.
    pub max_points: usize,
    /// Origins inside the prefix.
    pub n_origins: usize,
    /// Draws of parameters per family.
    pub n_draws: u64,
    /// How families are weighted.
    pub averaging: Averaging,
    /// Whether changes are looked for and only what follows the last is fitted.
    pub find_changes: bool,
    /// Changes still to come per unit of `ln t` before any was seen; 0 for none ever.
    pub hazard: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            families: FAMILIES.iter().map(|f| f.name).collect(),
            effort: Effort::default(),
            max_points: 120,
            n_origins: 6,
            n_draws: 72,
            averaging: Averaging::Stacking,
            find_changes: true,
            hazard: 0.06,
        }
    }
}

impl Options {
    /// For many curves: fewer bins, origins and draws, and no broken laws, which cost more than all the rest.
    pub fn quick() -> Self {
        let families = FAMILIES.iter().map(|f| f.name).filter(|n| !n.starts_with("bnsl")).collect();
        Self { families, max_points: 60, n_origins: 5, n_draws: 48, ..Self::default() }
    }
}

/// Families fitted to a prefix, with their weights.
#[derive(Debug)]
pub struct Stack {
    readings: Readings,
    fits: Vec<FamilyFit>,
    weights: Vec<f64>,
    origins: Origins,
    changes: Vec<Change>,
    first: f64,
    hazard: f64,
    range: f64,
    flags: Flags,
}

impl Stack {
    /// Fits a prefix of (step, value).
    ///
    /// # Errors
    /// [`Silence`] if the readings are too few or all the same, if a change is too recent, or nothing fits.
    pub fn fit(points: &[(f64, f64)], log: bool, options: &Options) -> Result<Self, Silence> {
        let cleaned = clean(points, log);
        if cleaned.len() < FIRST {
            return Err(Silence::TooFewReadings { found: cleaned.len(), needed: FIRST });
        }
        let all = Readings::new(&cleaned, log, options.max_points).ok_or(Silence::Constant)?;
        let (found, from) = if options.find_changes { changes(&all) } else { (vec![], 0) };
        let readings = all.since(from);
        if let Some(last) = found.last().filter(|_| readings.len() < FIRST) {
            return Err(Silence::RecentChange { at: last.at, found: readings.len() });
        }
        let families: Vec<&'static Family> =
            FAMILIES.iter().filter(|f| options.families.contains(&f.name)).collect();
        let fits: Vec<Option<FamilyFit>> = families
            .iter()
            .map(|f| FamilyFit::new(f, &readings, options.effort, options.n_draws, &[]))
            .collect();
        let prior = prior_weights(&fits);
        let n_origins = if options.averaging == Averaging::Bic { 0 } else { options.n_origins };
        let origins = Origins::new(&readings, &families, options.effort, n_origins);
        let weights = origins.weights(&prior);
        let (fits, weights): (Vec<FamilyFit>, Vec<f64>) =
            fits.into_iter().zip(weights).filter_map(|(f, w)| Some((f?, w))).unzip();
        let best = fits.iter().min_by(|a, b| a.bic.total_cmp(&b.bic)).ok_or(Silence::NoFit)?;
        let flags = flags(&all, best, found.len());
        let range = all.range();
        let first = all.t[0];
        let hazard = if options.find_changes { options.hazard } else { 0.0 };
        Ok(Self { readings, fits, weights, origins, changes: found, first, hazard, range, flags })
    }

    /// The step of the last reading.
    pub fn last(&self) -> f64 {
        self.readings.end
    }

    /// Families by falling weight; those below a thousandth are left out.
    pub fn weights(&self) -> Vec<(&'static str, f64)> {
        let mut w: Vec<(&'static str, f64)> = self
            .fits
            .iter()
            .zip(&self.weights)
            .filter(|(_, w)| **w >= 1e-3)
            .map(|(f, w)| (f.family.name, *w))
            .collect();
        w.sort_by(|a, b| b.1.total_cmp(&a.1));
        w
    }

    /// What is unusual about the curve.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Changes found; the forecast rests on the readings after the last.
    pub fn changes(&self) -> Vec<Change> {
        let scale = if self.readings.log { 1.0 } else { self.readings.scale };
        self.changes.iter().map(|c| Change { at: c.at, size: c.size * scale }).collect()
    }

    /// Gain over persistence inside the prefix, for a question at step `at`; `None` where there are too few
    /// windows.
    pub fn skill(&self, at: f64) -> Option<Skill> {
        self.origins.skill(&self.readings, at / self.last())
    }

    /// The forecast at a step, if the stack beat persistence inside the prefix.
    ///
    /// # Errors
    /// [`Silence`] if it did not, could not be judged, or the step is not after the last reading.
    pub fn forecast(&self, at: f64) -> Result<CurveForecast, Silence> {
        let predictive = self.predict(at)?;
        let skill = self.skill(at).ok_or(Silence::Unjudged { found: self.readings.len() })?;
        if skill.lower <= 0.0 || skill.far <= 0.0 {
            let Skill { skill, lower, far, reach, .. } = skill;
            return Err(Silence::NotPredictable { skill, lower, far, reach });
        }
        Ok(CurveForecast {
            at,
            predictive,
            weights: self.weights(),
            flags: self.flags,
            changes: self.changes(),
            skill,
        })
    }

    /// What the stack says of a step, whether or not it has earned to be heard.
    ///
    /// # Errors
    /// [`Silence::NotLater`] for a step that is not after the last reading, [`Silence::NoFit`] if no family has
    /// a value there.
    pub fn predict(&self, at: f64) -> Result<Predictive, Silence> {
        let last = self.last();
        if at.is_nan() || at <= last || !at.is_finite() {
            return Err(Silence::NotLater { at, last });
        }
        let mut parts: Vec<Part> = vec![];
        for (fit, w) in self.fits.iter().zip(&self.weights).filter(|(_, w)| **w >= 1e-3) {
            parts.extend(fit.parts(at).iter().map(|p| Part { weight: w * p.weight, ..*p }));
        }
        let total: f64 = parts.iter().map(|p| p.weight).sum();
        if total <= 0.0 {
            return Err(Silence::NoFit);
        }
        parts.retain(|p| p.weight > 1e-4 * total);
        Self::widen(&mut parts, self.origins.width(&self.readings, at / last));
        let chance = chance(self.hazard, self.changes.len(), self.first, last, at);
        if chance > 0.0 {
            self.add_change(&mut parts, chance);
        }
        Ok(Predictive { quantiles: self.quantiles(&parts), never_prob: 0.0 })
    }

    /// Pulls a mixture apart from its mean.
    fn widen(parts: &mut [Part], factor: f64) {
        let (mean, _) = moments(parts);
        for p in parts {
            p.mean = mean + factor * (p.mean - mean);
            p.var *= factor * factor;
        }
    }

    /// A change still to come moves the curve by as much as changes did, or a quarter of the range.
    fn add_change(&self, parts: &mut Vec<Part>, chance: f64) {
        let total: f64 = parts.iter().map(|p| p.weight).sum();
        let (mean, var) = moments(parts);
        let n = self.changes.len() as f64;
        let seen: f64 = self.changes.iter().map(|c| c.size * c.size).sum();
        let jump = (seen + (0.25 * self.range).powi(2)) / (n + 1.0);
        for p in parts.iter_mut() {
            p.weight *= (1.0 - chance) / total;
        }
        parts.push(Part { weight: chance, mean, var: var + jump });
    }

    /// Quantiles of a mixture of normals, in units of the readings.
    fn quantiles(&self, parts: &[Part]) -> Vec<f64> {
        let total: f64 = parts.iter().map(|p| p.weight).sum();
        let parts: Vec<(f64, f64, f64)> =
            parts.iter().map(|p| (p.weight / total, p.mean, p.var.sqrt().max(1e-12))).collect();
        let edge = |sign: f64| {
            parts.iter().fold(f64::NEG_INFINITY, |m, p| m.max(sign * p.1 + 8.0 * p.2)) * sign
        };
        let (mut lo, top) = (edge(-1.0), edge(1.0));
        let cdf = |x: f64| parts.iter().map(|(w, m, s)| w * normal_cdf((x - m) / s)).sum::<f64>();
        let mut out = Vec::with_capacity(LEVELS.len());
        let mut before = f64::NEG_INFINITY;
        for level in LEVELS {
            let mut hi = top;
            for _ in 0..50 {
                let mid = 0.5 * (lo + hi);
                if cdf(mid) < level {
                    lo = mid;
                } else {
                    hi = mid;
                }
                if hi - lo <= 1e-12 * (hi.abs() + lo.abs()) {
                    break;
                }
            }
            // The search ends within its tolerance; order is kept whatever it is.
            let at = (0.5 * (lo + hi)).max(before);
            before = at;
            out.push(if self.readings.log {
                at + self.readings.scale.ln()
            } else {
                at * self.readings.scale
            });
        }
        out
    }
}

/// Mean and variance of a mixture.
fn moments(parts: &[Part]) -> (f64, f64) {
    let total: f64 = parts.iter().map(|p| p.weight).sum();
    let mean = parts.iter().map(|p| p.weight * p.mean).sum::<f64>() / total;
    let var = parts.iter().map(|p| p.weight * (p.var + (p.mean - mean).powi(2))).sum::<f64>();
    (mean, var / total)
}
