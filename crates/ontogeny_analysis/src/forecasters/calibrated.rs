//! Calibration and the verdict "not predictable" (law 7).
//!
//! Every fit run is forecast once by the theory fitted on the others (run = exchangeable unit). Two things
//! are learned from that. (1) Width: the conformal quantile, `⌈(n+1) q⌉` of `n`, of how many half-widths of
//! the central `q` interval the outcomes lay from the median; the quantiles are pulled out or in by that
//! factor. (2) Verdict: unless the theory's score is better than that of the best baseline beside it, by a
//! paired one-sided test over runs, it has nothing to say and says so. Below `min_runs` neither is possible:
//! forecasts pass unchanged and the verdict is "unjudged". Runs of a cell or axis never seen void the
//! guarantee. Source: Vovk et al. 2005; Barber et al. 2021 (jackknife+); docs/protocol.md section 4.

use super::landmark::{Answer, Landmark, answer, landmarks};
use super::{Fitted, NotFitted, Query, Theory, TheoryEntry, TrainingRun};
use crate::distribution::{Cdf, Support, median, rescale};
use crate::math::special::student_quantile;
use crate::math::{mean, variance};
use crate::scores::{crps, integrated_brier};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, RunId, Step, Target, TheoryRef};
use std::collections::{BTreeMap, BTreeSet};

/// Settings of the calibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationOptions {
    /// Fit runs below which nothing is calibrated or judged.
    pub min_runs: usize,
    /// The central interval whose coverage is made right.
    pub coverage: f64,
    /// One-sided confidence at which the gain over the best baseline must be above 0.
    pub confidence: f64,
    /// What is left out.
    pub by: Exchanged,
}

/// What is left out when fit runs are forecast, because it is what the run to be forecast is exchangeable with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanged {
    /// One run at a time, though others of its cell stay: the run to come is of a known cell.
    Run,
    /// A tenth or fifth of the cells at a time: the run to come is of a new cell, or there are many runs.
    Cell,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self { min_runs: 8, coverage: 0.8, confidence: 0.95, by: Exchanged::Run }
    }
}

/// What the fit runs said about a theory.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It beat the best baseline when each run was left out once.
    Predictable {
        /// `1 - mean score / mean score of the baseline`.
        skill: f64,
        /// The best baseline.
        against: String,
        /// Runs.
        n_runs: usize,
    },
    /// It did not: forecasts are withheld.
    NotPredictable {
        /// Why, in a sentence.
        reason: String,
    },
    /// Too few runs to say.
    Unjudged {
        /// Runs.
        n_runs: usize,
    },
}

/// One run forecast by a theory that was fitted on all others.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// The run.
    pub run: RunId,
    /// Its cell.
    pub cell: String,
    /// The forecast; `None` is "not predictable".
    pub predictive: Option<Predictive>,
    /// Its score, lower is better (integrated Brier for events, CRPS for values).
    pub score: Option<f64>,
}

/// Forecasts every usable fit run from a fit on the others.
///
/// A run is usable if it reached its cutoff and, for event times, was still waiting then. A fit that fails
/// without one run leaves that run without a forecast.
pub fn leave_one_out(theory: &dyn Theory, runs: &[TrainingRun], query: &Query) -> Vec<LeftOut> {
    let mut others = runs.to_vec();
    let mut out = Vec::new();
    for i in 0..runs.len() {
        let held = others.remove(i);
        out.extend(forecast_held(theory, &others, std::slice::from_ref(&held), query));
        others.insert(i, held);
    }
    out
}

/// Forecasts the usable runs of `held` from one fit on `others`.
fn forecast_held(
    theory: &dyn Theory,
    others: &[TrainingRun],
    held: &[TrainingRun],
    query: &Query,
) -> Vec<LeftOut> {
    let marks = landmarks(held, query);
    if marks.is_empty() {
        return Vec::new();
    }
    let fitted = theory.fit(others, query).ok();
    let forecast = |m: &Landmark<'_>| {
        let predictive = fitted.as_ref().and_then(|f| f.predict(&m.prefix, &m.run.features));
        let score = predictive.as_ref().and_then(|p| score(p, m, &query.target));
        LeftOut { run: m.run.run.clone(), cell: m.run.cell.clone(), predictive, score }
    };
    marks.iter().map(forecast).collect()
}

/// Parts into which cells are dealt where they are left out: five where there are many runs.
fn folds(n_runs: usize) -> usize {
    if n_runs < 100 { 10 } else { 5 }
}

/// Forecasts every usable fit run from a fit on the runs of other cells; of more than ten cells (five where there are
/// a hundred runs) some are left out together.
///
/// The cell is what is exchanged: runs of one cell share what made them, so a neighbour in the fit would say too
/// much. A fit that fails without one cell leaves its runs without a forecast.
pub fn leave_cell_out(theory: &dyn Theory, runs: &[TrainingRun], query: &Query) -> Vec<LeftOut> {
    let cells: BTreeSet<&str> = runs.iter().map(|r| r.cell.as_str()).collect();
    let cells: Vec<&str> = cells.into_iter().collect();
    let folds = folds(runs.len());
    let fold = |r: &TrainingRun| cells.iter().position(|c| *c == r.cell).unwrap_or(0) % folds;
    let mut out = Vec::new();
    for left in 0..folds.min(cells.len()) {
        let (held, others): (Vec<TrainingRun>, Vec<TrainingRun>) =
            runs.iter().cloned().partition(|r| fold(r) == left);
        out.extend(forecast_held(theory, &others, &held, query));
    }
    out
}

/// A baseline by name with its left-out forecasts.
pub type Rival = (String, Vec<LeftOut>);

/// Left-out forecasts of a list of baselines: made once, they judge every theory asked the same question.
pub fn rivals(
    baselines: &[TheoryEntry],
    runs: &[TrainingRun],
    query: &Query,
    by: Exchanged,
) -> Vec<Rival> {
    baselines
        .iter()
        .map(|b| (b.spec.name.to_owned(), left_out((b.build)().as_ref(), runs, query, by)))
        .collect()
}

fn left_out(
    theory: &dyn Theory,
    runs: &[TrainingRun],
    query: &Query,
    by: Exchanged,
) -> Vec<LeftOut> {
    match by {
        Exchanged::Run => leave_one_out(theory, runs, query),
        Exchanged::Cell => leave_cell_out(theory, runs, query),
    }
}

fn score(p: &Predictive, m: &Landmark, target: &Target) -> Option<f64> {
    match (m.answer, target) {
        (Answer::Time(t), Target::EventTime { horizon, .. }) => {
            integrated_brier(p, m.prefix.cutoff(), *horizon, t)
        }
        (Answer::Value(v), _) => crps(p, v),
        _ => None,
    }
}

fn support(query: &Query, cutoff: Step) -> Option<Support> {
    match query.target {
        Target::EventTime { horizon, .. } => Support::between(cutoff, horizon),
        _ => Some(Support::Line),
    }
}

/// A theory with honest widths, or with a reason to be silent.
#[derive(Debug)]
pub struct Calibrated {
    inner: Box<dyn Fitted>,
    query: Query,
    factor: f64,
    verdict: Verdict,
    own_fit: Option<f64>,
}

impl Calibrated {
    /// What the fit runs said.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The factor by which distances from the median are multiplied.
    pub fn width_factor(&self) -> f64 {
        self.factor
    }
}

/// Fits `theory` on all runs, calibrates it by leaving each out once, and judges it against [`rivals`], which must
/// have left out the same ([`CalibrationOptions::by`]).
///
/// # Errors
/// What [`Theory::fit`] says of the fit on all runs.
pub fn calibrate(
    theory: &dyn Theory,
    rivals: &[Rival],
    runs: &[TrainingRun],
    query: &Query,
    options: CalibrationOptions,
) -> Result<Calibrated, NotFitted> {
    let inner = theory.fit(runs, query)?;
    let own = left_out(theory, runs, query, options.by);
    let (mut factor, mut verdict) = (1.0, Verdict::Unjudged { n_runs: own.len() });
    if own.len() >= options.min_runs {
        factor = width_factor(&own, runs, query, options.coverage).unwrap_or(1.0);
        verdict = judge_gain(&own, rivals, options);
    }
    let own_fit = own_fit(&*inner, runs, query);
    Ok(Calibrated { inner, query: query.clone(), factor, verdict, own_fit })
}

/// R² of the medians on the very runs that were fitted; runs without the event are left out.
fn own_fit(fitted: &dyn Fitted, runs: &[TrainingRun], query: &Query) -> Option<f64> {
    let (mut said, mut found) = (Vec::new(), Vec::new());
    for m in landmarks(runs, query) {
        let y = match m.answer {
            Answer::Time(Lifetime::Event { lo, hi }) => 0.5 * (lo + hi),
            Answer::Time(Lifetime::Censored { .. }) => continue,
            Answer::Value(v) => v,
        };
        if let Some(p) = fitted.predict(&m.prefix, &m.run.features) {
            said.push(median(&p));
            found.push(y);
        }
    }
    let total = variance(&found).filter(|v| *v > 0.0)? * (found.len() as f64 - 1.0);
    let rest: f64 = said.iter().zip(&found).map(|(a, b)| (a - b).powi(2)).sum();
    Some(1.0 - rest / total)
}

/// The conformal factor; `None` if too few runs say anything.
fn width_factor(own: &[LeftOut], runs: &[TrainingRun], query: &Query, q: f64) -> Option<f64> {
    let mut ratios: Vec<f64> = own
        .iter()
        .filter_map(|l| {
            let run = runs.iter().find(|r| r.run == l.run)?;
            let p = l.predictive.as_ref()?;
            let y = match answer(run, &query.target)? {
                Answer::Time(Lifetime::Event { lo, hi }) => 0.5 * (lo + hi),
                // "Never" is the business of never_prob, not of the width.
                Answer::Time(Lifetime::Censored { .. }) => return None,
                Answer::Value(v) => v,
            };
            let support = support(query, query.cutoff.step(&run.events)?)?;
            let given = Predictive { never_prob: 0.0, ..p.clone() };
            let cdf = Cdf::new(&given, support)?;
            let centre = median(p);
            let edge = cdf.quantile(if y > centre { 0.5 + 0.5 * q } else { 0.5 - 0.5 * q })?;
            let half = (edge - centre).abs().max(1e-9);
            Some((y - centre).abs() / half)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let n = ratios.len();
    let rank = ((n as f64 + 1.0) * q).ceil() as usize;
    // With n too small for the rank the largest ratio would have to be infinite: leave the width alone.
    (n >= 4 && rank <= n).then(|| ratios[rank - 1].clamp(0.5, 4.0))
}

fn judge_gain(own: &[LeftOut], rivals: &[Rival], options: CalibrationOptions) -> Verdict {
    let confidence = options.confidence;
    let how = match options.by {
        Exchanged::Run => "one by one",
        Exchanged::Cell => "part by part",
    };
    let total = own.len();
    let best = rivals
        .iter()
        .filter_map(|(name, r)| {
            let scores: Vec<f64> = r.iter().filter_map(|l| l.score).collect();
            (scores.len() == total).then_some(())?;
            Some((mean(&scores)?, name, scores))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((base, against, base_scores)) = best else {
        return Verdict::Unjudged { n_runs: total };
    };
    let answered = own.iter().filter(|l| l.score.is_some()).count();
    if answered * 2 <= total {
        let reason = format!("it could forecast only {answered} of {total} fit runs");
        return Verdict::NotPredictable { reason };
    }
    // Where the theory is silent it earns nothing and loses nothing.
    let gains: Vec<f64> =
        own.iter().zip(&base_scores).map(|(l, b)| l.score.map_or(0.0, |s| b - s)).collect();
    let n = total as f64;
    let (gain, var) = (mean(&gains).unwrap_or(0.0), variance(&gains).unwrap_or(0.0));
    let lower = gain - student_quantile(confidence, n - 1.0) * (var / n).sqrt();
    let skill = if base > 0.0 { gain / base } else { 0.0 };
    if lower > 0.0 {
        Verdict::Predictable { skill, against: against.clone(), n_runs: total }
    } else {
        let reason = format!(
            "left out {how}, {total} fit runs show no gain over {against} (skill {skill:+.2}, \
             lower bound {:+.2} at {:.0} %)",
            if base > 0.0 { lower / base } else { 0.0 },
            100.0 * confidence
        );
        Verdict::NotPredictable { reason }
    }
}

impl Fitted for Calibrated {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        if matches!(self.verdict, Verdict::NotPredictable { .. }) {
            return None;
        }
        self.conjecture(prefix, features)
    }

    fn conjecture(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let p = self.inner.predict(prefix, features)?;
        Some(rescale(&p, self.factor, support(&self.query, prefix.cutoff())?))
    }

    fn theory_ref(&self) -> TheoryRef {
        let inner = self.inner.theory_ref();
        let mut h = blake3::Hasher::new();
        h.update(inner.hash.as_bytes());
        h.update(&self.factor.to_bits().to_le_bytes());
        TheoryRef {
            hash: h.finalize().to_hex().to_string(),
            n_params: inner.n_params + u32::from(self.factor != 1.0),
            own_fit: self.own_fit,
            ..inner
        }
    }

    fn remark(&self, prefix: &Prefix) -> Option<String> {
        self.inner.remark(prefix)
    }

    fn speaker(&self) -> Option<String> {
        self.inner.speaker()
    }

    fn reason(&self) -> Option<String> {
        match &self.verdict {
            Verdict::NotPredictable { reason } => Some(reason.clone()),
            _ => None,
        }
    }
}
