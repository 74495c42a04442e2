//! Total loss as the sum of the skills that remain: `L(t) = s · Σ_k P_k ln 2 · 1{T_k > t}`.
//!
//! Skill times come from the prefix where the skill is learned and from the local slope where it is not;
//! each step is a logistic in `ln t` of width .1, and the scale `s` matches the loss at the cutoff. A smooth
//! curve made of discrete steps: the bridge from scaling laws to skills. Source: Michaud et al. 2023
//! (arXiv:2303.13506).

use super::local_slope::Line;
use super::{Centre, SkillNames};
use crate::distribution::gaussian;
use crate::forecasters::landmark::{landmarks, normal_about_zero, on_axis};
use crate::forecasters::{
    Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::math::logistic;
use ontogeny_core::{Predictive, Prefix, Step, Target, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "remaining-skills",
    version: 1,
    n_params: 3,
    scope: "total loss of runs whose task probabilities are known",
    source: "arXiv:2303.13506: the loss is the frequency-weighted sum of skills not yet learned",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(RemainingSkills::default()) };

const WIDTH: f64 = 0.1;

/// Total loss as the sum of the skills that remain.
#[derive(Debug, Clone, Default)]
pub struct RemainingSkills {
    /// Names.
    pub names: SkillNames,
}

impl RemainingSkills {
    fn centre(
        &self,
        prefix: &Prefix,
        features: &BTreeMap<String, f64>,
        series: &str,
        at: Step,
    ) -> Option<f64> {
        let learned = self.names.learned(prefix, features);
        let skills: Vec<(f64, f64)> = self
            .names
            .ln_p(features)
            .map(|(k, ln_p)| {
                let t = self.names.time_in(prefix, k).or_else(|| Line.centre(&learned, ln_p));
                Some((ln_p.exp(), t?.max(0.0)))
            })
            .collect::<Option<_>>()?;
        let left = |u: f64| -> f64 {
            skills.iter().map(|(p, t)| p * logistic((t - u) / WIDTH)).sum::<f64>().max(1e-9)
        };
        let now = prefix.series(series)?.last()?.value;
        Some(now * left(at.ln()) / left(prefix.cutoff().ln())).filter(|v| v.is_finite())
    }
}

#[derive(Debug)]
struct FittedRemaining {
    theory: RemainingSkills,
    series: String,
    at: Step,
    log: bool,
    sd: Option<f64>,
    identity: Identity,
}

impl Theory for RemainingSkills {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, at, log } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        // Without the rates of the tasks there are no skills to wait for.
        let knows_rates = |r: &TrainingRun| self.names.ln_p(&r.features).next().is_some();
        if !runs.is_empty() && !runs.iter().any(knows_rates) {
            let feature = format!("{}*", self.names.ln_p_prefix);
            return Err(NotFitted::NoFeature { theory: SPEC.name, feature });
        }
        let errors: Vec<f64> = landmarks(runs, query)
            .iter()
            .filter_map(|m| {
                let c = self.centre(&m.prefix, &m.run.features, series, *at)?;
                Some(m.answer.value()? - on_axis(c, *log)?)
            })
            .collect();
        let sd = normal_about_zero(&errors).filter(|_| errors.len() > 2);
        let identity = Identity::new(SPEC, sd.into_iter().collect(), runs);
        let (series, theory) = (series.clone(), self.clone());
        Ok(Box::new(FittedRemaining { theory, series, at: *at, log: *log, sd, identity }))
    }
}

impl Fitted for FittedRemaining {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        self.theory.names.ln_p(features).next()?;
        let raw = self.theory.centre(prefix, features, &self.series, self.at)?;
        let centre = on_axis(raw, self.log)?;
        // Alone: 20 % per unit of ln t ahead.
        let ahead = (self.at.ln() - prefix.cutoff().ln()).max(0.1);
        let alone = 0.2 * ahead * if self.log { 1.0 } else { raw.abs() };
        Some(gaussian(centre, self.sd.unwrap_or(alone).max(1e-9)))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
