//! Averages over forms, weighted by how each has predicted the largest budgets from smaller ones, or by BIC.

use super::bootstrap::{Bootstrap, BootstrapOptions, bootstrap};
use super::data::{Point, Scale};
use super::error::ScalingError;
use super::fit::{Fit, FitOptions, fit, ln_loss};
use super::law::Law;
use super::validate::{HeldOut, Ladder, held_out_error};

/// Fewest training tokens per parameter with which a form is tried beside all runs: runs that saw less than one token a
/// parameter had hardly begun, and the forms that describe finished trainings bend to them.
const LEAST_TOKENS_PER_PARAM: f64 = 1.0;

/// What decides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// Errors on the largest budgets, each predicted from those below ([`super::leave_largest_out`]).
    HeldOut,
    /// The Bayesian information criterion under Laplace noise, which the Huber loss stands for.
    Bic,
}

/// One form in an average.
#[derive(Debug, Clone)]
pub struct Member {
    /// The fit to all points.
    pub fit: Fit,
    /// Its weight; all sum to 1.
    pub weight: f64,
    /// Mean absolute ln error on budgets left out; `None` where that could not be tried.
    pub held_out_error: Option<f64>,
    /// BIC under Laplace noise; the lower the better.
    pub bic: f64,
    /// The predictions behind the error.
    pub held_out: Vec<HeldOut>,
    /// Predictions from several places on the way, near and far, for the width of intervals.
    pub rolled: Vec<HeldOut>,
}

impl Member {
    /// The form, and what it was fitted without.
    pub fn name(&self) -> String {
        let law = self.fit.law.spec().name;
        let least = self.fit.options.least_tokens_per_param;
        if least > 0.0 { format!("{law} (D >= {least} N)") } else { law.to_owned() }
    }
}

/// Several forms with weights, the heaviest first.
#[derive(Debug, Clone)]
pub struct Average {
    /// The forms.
    pub members: Vec<Member>,
}

/// Fits each of `laws` and weighs them. Laws that the points cannot tell are left out.
///
/// Where some runs saw less than one token a parameter, each law stands twice: fitted to all points, and without those.
/// By held-out error `e` over `k` budgets the weight is `(e_best / e)^k`: the likelihood of `k` Laplace errors, errors
/// within one budget being one fact and not many. Both are judged on every point.
///
/// # Errors
/// That of the last law if none can be fitted.
pub fn average(
    laws: &[&'static dyn Law],
    points: &[Point],
    weighing: Weighing,
    fit_options: &FitOptions,
    budget_factor: f64,
) -> Result<Average, ScalingError> {
    let mut members = Vec::new();
    let mut failure = ScalingError::TooFewBudgets { n_budgets: 0, needed: 1 };
    let trimmed = FitOptions { least_tokens_per_param: LEAST_TOKENS_PER_PARAM, ..*fit_options };
    let is_asked = fit_options.least_tokens_per_param > 0.0;
    let trims = !is_asked && points.iter().any(|p| !trimmed.keeps(&p.at));
    let recipes: &[FitOptions] =
        if trims { &[*fit_options, trimmed] } else { std::slice::from_ref(fit_options) };
    for (law, recipe) in laws.iter().flat_map(|l| recipes.iter().map(move |r| (*l, r))) {
        match fit(law, points, recipe) {
            Ok(fit) => {
                let mut ladder = Ladder::new(law, points, recipe, budget_factor);
                let (held_out, rolled) = (ladder.largest(), ladder.rolled());
                let held_out_error = held_out_error(&held_out);
                let bic = bic(&fit);
                members.push(Member { fit, weight: 0.0, held_out_error, bic, held_out, rolled });
            }
            Err(e) => failure = e,
        }
    }
    if members.is_empty() {
        return Err(failure);
    }
    let log_weight = |m: &Member| match (weighing, m.held_out_error) {
        (Weighing::HeldOut, Some(e)) => {
            let budgets: std::collections::BTreeSet<usize> =
                m.held_out.iter().map(|h| h.budget).collect();
            -(budgets.len() as f64) * e.max(1e-9).ln()
        }
        (Weighing::HeldOut, None) => f64::NEG_INFINITY,
        (Weighing::Bic, _) => -0.5 * m.bic,
    };
    let logs: Vec<f64> = members.iter().map(log_weight).collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Where no form could be tried on held-out budgets, they count alike.
    let raw = logs.iter().map(|l| if top.is_finite() { (l - top).exp() } else { 1.0 });
    let raw: Vec<f64> = raw.collect();
    let total: f64 = raw.iter().sum();
    members.iter_mut().zip(&raw).for_each(|(m, w)| m.weight = w / total);
    members.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    Ok(Average { members })
}

fn bic(fit: &Fit) -> f64 {
    let n = fit.residuals.len() as f64;
    let mean = fit.residuals.iter().map(|r| r.abs()).sum::<f64>() / n;
    2.0 * n * mean.max(1e-12).ln() + fit.n_theta() as f64 * n.ln()
}

impl Average {
    /// Weighted mean of ln(loss) over the forms, as a loss.
    ///
    /// # Errors
    /// [`ScalingError::MissingInput`] if a form needs what the place does not give.
    pub fn loss(&self, at: &Scale) -> Result<f64, ScalingError> {
        let mut sum = 0.0;
        for m in &self.members {
            super::fit::check_inputs(m.fit.law, at)?;
            sum += m.weight * ln_loss(m.fit.law, &m.fit.theta, at);
        }
        Ok(sum.exp())
    }

    /// Bootstraps every form that has a weight of one in a hundred or more.
    pub fn bootstrap(&self, options: &BootstrapOptions) -> Vec<(&Member, Bootstrap)> {
        let heavy = self.members.iter().filter(|m| m.weight >= 0.01);
        heavy.map(|m| (m, bootstrap(&m.fit, None, options))).collect()
    }
}
