//! Log-normal accelerated failure time with a cure fraction.
//!
//! `ln T = β·x + σ ε`, `ε ~ N(0, 1)`, for the share `1 - π(x)` of runs in which it ever happens;
//! `logit π = γ·x`. An event in `(lo, hi]` contributes `(1-π)(Φ(b) - Φ(a))`, a censored run
//! `π + (1-π)(1 - Φ(c))`. Penalized maximum likelihood by BFGS with analytic gradient: coefficients on
//! standardized features have normal priors, `ln σ` a wide one, and the cure share Jeffreys' prior, so a
//! handful of runs gives a finite answer. Source: Farewell 1982 (mixture cure); docs/protocol.md section 5.

use super::Lifetime;
use crate::distribution::log_normal_with_cure;
use crate::math::linear::{Cholesky, dot, gram};
use crate::math::minimize::bfgs;
use crate::math::special::{normal_cdf, normal_pdf, normal_sf, student_quantile};
use crate::math::{logistic, mean, variance};
use ontogeny_core::Predictive;

/// One run of the fit.
#[derive(Debug, Clone, PartialEq)]
pub struct AftRow {
    /// Features, finite, without the constant.
    pub x: Vec<f64>,
    /// When it happened.
    pub t: Lifetime,
}

/// How strongly the fit is held back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AftOptions {
    /// Prior standard deviation of each coefficient of a standardized feature, in `ln t`; infinite for none.
    pub slope_sd: f64,
    /// Prior standard deviation of each cure coefficient; 0 leaves only the constant.
    pub cure_sd: f64,
    /// Whether some runs may never have the event.
    pub with_cure: bool,
    /// Prior of `ln σ` as (mean, sd); `None` for none.
    pub ln_sigma: Option<(f64, f64)>,
}

impl Default for AftOptions {
    fn default() -> Self {
        Self { slope_sd: 1.0, cure_sd: 1.0, with_cure: true, ln_sigma: Some((-1.0, 1.0)) }
    }
}

/// A fitted model.
#[derive(Debug, Clone)]
pub struct AftModel {
    /// Mean and standard deviation of each feature; coefficients are on `(x - mean) / sd`.
    scale: Vec<(f64, f64)>,
    beta: Vec<f64>,
    sigma: f64,
    gamma: Vec<f64>,
    with_cure: bool,
    factor: Option<Cholesky>,
    dof: f64,
    /// Student's 90 % quantile over the normal's for `dof`.
    student: f64,
    log_likelihood: f64,
}

/// `ln(Φ(b) - Φ(a))` and its derivatives with respect to `a` and `b`; `a < b`.
fn ln_interval(a: f64, b: f64) -> (f64, f64, f64) {
    let p = if a > 0.0 { normal_sf(a) - normal_sf(b) } else { normal_cdf(b) - normal_cdf(a) };
    let half_ln_tau = 0.918_938_533_204_672_8;
    if b - a < 1e-4 {
        // A density at the middle times the width.
        let (m, w) = (0.5 * (a + b), (b - a).max(1e-12));
        return (-0.5 * m * m - half_ln_tau + w.ln(), -0.5 * m - 1.0 / w, -0.5 * m + 1.0 / w);
    }
    if p < 1e-290 {
        // Far out, the tail beyond the end nearer to the bulk: φ(z) / |z|.
        let z = if a > 0.0 { a } else { b };
        let (value, slope) = (-0.5 * z * z - half_ln_tau - z.abs().ln(), -z - 1.0 / z);
        return if a > 0.0 { (value, slope, 0.0) } else { (value, 0.0, slope) };
    }
    (p.ln(), -normal_pdf(a) / p, normal_pdf(b) / p)
}

struct Objective<'a> {
    rows: &'a [(Vec<f64>, Lifetime)],
    p: usize,
    options: AftOptions,
    cure_p: usize,
}

impl Objective<'_> {
    /// Negative log posterior and gradient at `[β (p), ln σ, γ (cure_p)]`.
    fn at(&self, theta: &[f64]) -> (f64, Vec<f64>) {
        let (p, q) = (self.p, self.cure_p);
        let (beta, ln_sigma, gamma) = (&theta[..p], theta[p], &theta[p + 1..]);
        let sigma = ln_sigma.exp();
        let mut value = 0.0;
        let mut grad = vec![0.0; theta.len()];
        for (x, t) in self.rows {
            let mu = dot(x, beta);
            let pi = if q == 0 { 0.0 } else { logistic(dot(&x[..q], gamma)) };
            let (d_mu, d_ln_sigma, d_eta) = match *t {
                Lifetime::Event { lo, hi } => {
                    // An exactly known time is a very short interval: the likelihood is then a density
                    // times a constant width.
                    let (lo, hi) = if hi - lo < 1e-6 { (lo - 5e-7, lo + 5e-7) } else { (lo, hi) };
                    let (a, b) = ((lo - mu) / sigma, (hi - mu) / sigma);
                    let (l, da, db) = ln_interval(a, b);
                    value += l + (1.0 - pi).ln();
                    (-(da + db) / sigma, -(a * da + b * db), -pi)
                }
                Lifetime::Censored { at } => {
                    let c = (at - mu) / sigma;
                    let s = normal_sf(c);
                    let alive = pi + (1.0 - pi) * s;
                    value += alive.max(1e-300).ln();
                    let d_c = -(1.0 - pi) * normal_pdf(c) / alive.max(1e-300);
                    let d_pi = (1.0 - s) / alive.max(1e-300);
                    (-d_c / sigma, -c * d_c, d_pi * pi * (1.0 - pi))
                }
            };
            for j in 0..p {
                grad[j] += d_mu * x[j];
            }
            grad[p] += d_ln_sigma;
            for j in 0..q {
                grad[p + 1 + j] += d_eta * x[j];
            }
        }
        for j in 1..p {
            value -= 0.5 * (beta[j] / self.options.slope_sd).powi(2);
            grad[j] -= beta[j] / self.options.slope_sd.powi(2);
        }
        if let Some((m, sd)) = self.options.ln_sigma {
            value -= 0.5 * ((ln_sigma - m) / sd).powi(2);
            grad[p] -= (ln_sigma - m) / (sd * sd);
        }
        if q > 0 {
            let pi = logistic(gamma[0]);
            value += 0.5 * (pi.max(1e-300).ln() + (1.0 - pi).max(1e-300).ln());
            grad[p + 1] += 0.5 - pi;
            for j in 1..q {
                value -= 0.5 * (gamma[j] / self.options.cure_sd).powi(2);
                grad[p + 1 + j] -= gamma[j] / self.options.cure_sd.powi(2);
            }
        }
        (-value, grad.iter().map(|g| -g).collect())
    }
}

/// Fits the model.
///
/// Returns `None` if rows differ in length, a number is not finite, or no run had the event.
/// Deterministic: the start is the least-informed fit.
pub fn fit_aft(rows: &[AftRow], options: AftOptions) -> Option<AftModel> {
    let n_features = rows.first()?.x.len();
    let finite = |l: Lifetime| match l {
        Lifetime::Event { lo, hi } => lo.is_finite() && hi.is_finite() && lo <= hi,
        Lifetime::Censored { at } => at.is_finite(),
    };
    if rows
        .iter()
        .any(|r| r.x.len() != n_features || r.x.iter().any(|v| !v.is_finite()) || !finite(r.t))
    {
        return None;
    }
    let mids: Vec<f64> = rows.iter().filter_map(|r| r.t.mid()).collect();
    let centre = mean(&mids)?;
    let scale: Vec<(f64, f64)> = (0..n_features)
        .map(|j| {
            let column: Vec<f64> = rows.iter().map(|r| r.x[j]).collect();
            let sd = variance(&column).unwrap_or(0.0).sqrt();
            (mean(&column).unwrap_or(0.0), if sd > 1e-9 { sd } else { f64::INFINITY })
        })
        .collect();
    let design: Vec<(Vec<f64>, Lifetime)> =
        rows.iter().map(|r| (standardize(&r.x, &scale), r.t)).collect();
    let p = n_features + 1;
    let cure_p = match (options.with_cure, options.cure_sd > 0.0) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => p,
    };
    let mut start = vec![0.0; p + 1 + cure_p];
    start[0] = centre;
    start[p] = variance(&mids).unwrap_or(0.25).sqrt().max(0.1).ln();
    if cure_p > 0 {
        let never = (rows.len() - mids.len()) as f64;
        start[p + 1] = ((never + 0.5) / (mids.len() as f64 + 0.5)).ln();
    }
    let objective = Objective { rows: &design, p, options, cure_p };
    let best = bfgs(&start, |t| objective.at(t))?;
    let sigma = best.x[p].exp();
    // What is unknown of β: precision XᵀX/σ² over the runs with events, plus the prior.
    let prior = (sigma / options.slope_sd).powi(2);
    let mut ridge = vec![prior; p];
    ridge[0] = 0.0;
    let events: Vec<Vec<f64>> =
        design.iter().filter(|r| r.1.mid().is_some()).map(|r| r.0.clone()).collect();
    let factor = Cholesky::new(&gram(&events, &ridge));
    let used: f64 = factor.as_ref().map_or(0.0, |f| events.iter().map(|x| f.inverse_form(x)).sum());
    let dof = (events.len() as f64 - used).max(1.0);
    Some(AftModel {
        scale,
        beta: best.x[..p].to_vec(),
        sigma,
        gamma: best.x[p + 1..].to_vec(),
        with_cure: options.with_cure,
        factor,
        dof,
        student: student_quantile(0.95, dof.max(2.0)) / 1.644_853_626_951_472_7,
        log_likelihood: -best.value,
    })
}

fn standardize(x: &[f64], scale: &[(f64, f64)]) -> Vec<f64> {
    std::iter::once(1.0).chain(x.iter().zip(scale).map(|(x, (m, sd))| (x - m) / sd)).collect()
}

impl AftModel {
    /// Scale of `ln T`, as fitted.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Penalized log-likelihood at the fit.
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// Constant and coefficients on the features as given (not standardized).
    pub fn coefficients(&self) -> Vec<f64> {
        let slopes: Vec<f64> =
            self.beta[1..].iter().zip(&self.scale).map(|(b, (_, sd))| b / sd).collect();
        let shift: f64 = slopes.iter().zip(&self.scale).map(|(b, (m, _))| b * m).sum();
        std::iter::once(self.beta[0] - shift).chain(slopes).collect()
    }

    /// Every fitted number, for hashing and counting.
    pub fn parameters(&self) -> Vec<f64> {
        self.beta.iter().copied().chain([self.sigma]).chain(self.gamma.iter().copied()).collect()
    }

    /// Expected `ln T` given that it happens.
    pub fn location(&self, x: &[f64]) -> f64 {
        dot(&standardize(x, &self.scale), &self.beta)
    }

    /// Probability that it never happens.
    pub fn cured(&self, x: &[f64]) -> f64 {
        if !self.with_cure {
            return 0.0;
        }
        let z = standardize(x, &self.scale);
        logistic(dot(&z[..self.gamma.len()], &self.gamma))
    }

    /// Predictive scale of `ln T`: `σ √(n/dof) √(1 + leverage)`, widened by Student's 90 % quantile over the
    /// normal's for the residual degrees of freedom.
    pub fn predictive_sd(&self, x: &[f64]) -> f64 {
        let z = standardize(x, &self.scale);
        let (n, leverage) = self
            .factor
            .as_ref()
            .map_or((1.0, 1.0), |f| (self.dof + self.beta.len() as f64, f.inverse_form(&z)));
        self.sigma
            * (n / self.dof).min(4.0).sqrt()
            * (1.0 + leverage.min(9.0)).sqrt()
            * self.student
    }

    /// P(T > e^u) with predictive scale.
    pub fn survival(&self, x: &[f64], u: f64) -> f64 {
        let cured = self.cured(x);
        let sd = self.predictive_sd(x).max(1e-6);
        cured + (1.0 - cured) * normal_sf((u - self.location(x)) / sd)
    }

    /// The prediction given "not yet" at `from` and looked at until `to` (both `ln t`).
    pub fn predict(&self, x: &[f64], from: f64, to: f64) -> Predictive {
        let sd = self.predictive_sd(x);
        log_normal_with_cure(self.location(x), sd, self.cured(x), from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::minimize::numeric_gradient;
    use ontogeny_core::random::Philox;

    const FREE: AftOptions =
        AftOptions { slope_sd: f64::INFINITY, cure_sd: 0.0, with_cure: false, ln_sigma: None };

    fn exact(x: &[f64], u: f64) -> AftRow {
        AftRow { x: x.to_vec(), t: Lifetime::Event { lo: u, hi: u } }
    }

    #[test]
    fn without_censoring_it_is_least_squares() {
        // Slope and constant 1.1, maximum-likelihood sigma² = 2.7 / 4.
        let rows: Vec<AftRow> =
            [1.0, 3.0, 2.0, 5.0].iter().enumerate().map(|(i, u)| exact(&[i as f64], *u)).collect();
        let m = fit_aft(&rows, FREE).unwrap();
        let c = m.coefficients();
        assert!((c[0] - 1.1).abs() < 1e-4 && (c[1] - 1.1).abs() < 1e-4, "{c:?}");
        assert!((m.sigma() - 0.675_f64.sqrt()).abs() < 1e-4);
    }

    /// 200 rows made by a formula; the numbers are lifelines 0.30's `LogNormalAFTFitter`, right-censored and
    /// interval-censored, without penalty.
    #[test]
    fn coefficients_equal_those_of_lifelines() {
        let row = |i: u32, width: f64| {
            let i = f64::from(i);
            let (x, w) = ((i * 1.7).sin(), (i * 0.9).cos());
            let u = 2.0 + 0.5 * x - 0.2 * w + 0.6 * (12.9898 * i).sin() * (3.1 * i).cos();
            let lo = (u * 10.0).floor() / 10.0;
            let t = match (u > 2.3, width > 0.0) {
                (true, _) => Lifetime::Censored { at: 2.3 },
                (false, true) => Lifetime::Event { lo, hi: lo + width },
                (false, false) => Lifetime::Event { lo: u, hi: u },
            };
            AftRow { x: vec![x, w], t }
        };
        let check = |width: f64, expected: [f64; 4]| {
            let rows: Vec<AftRow> = (1..=200).map(|i| row(i, width)).collect();
            let m = fit_aft(&rows, FREE).unwrap();
            let c = m.coefficients();
            let got = [c[0], c[1], c[2], m.sigma().ln()];
            for (g, e) in got.iter().zip(expected) {
                assert!((g - e).abs() < 1e-4, "{got:?} {expected:?}");
            }
        };
        check(0.0, [2.007_836, 0.512_545, -0.224_100, -1.208_481]);
        check(0.1, [2.008_478, 0.508_977, -0.228_380, -1.223_904]);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_likelihood() {
        let rows = vec![
            (vec![1.0, 0.3], Lifetime::Event { lo: 1.0, hi: 1.4 }),
            (vec![1.0, -1.0], Lifetime::Event { lo: 2.0, hi: 2.0 }),
            (vec![1.0, 2.0], Lifetime::Event { lo: -30.0, hi: -29.0 }),
            (vec![1.0, 0.7], Lifetime::Censored { at: 2.5 }),
            (vec![1.0, 0.1], Lifetime::Censored { at: 0.5 }),
        ];
        let o = Objective { rows: &rows, p: 2, options: AftOptions::default(), cure_p: 2 };
        let theta = [1.2, 0.4, -0.3, -0.8, 0.5];
        let analytic = o.at(&theta).1;
        let numeric = numeric_gradient(&theta, |t| o.at(t).0);
        for (a, b) in analytic.iter().zip(&numeric) {
            assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{analytic:?} {numeric:?}");
        }
    }

    #[test]
    fn recovers_a_planted_law_with_censoring_and_cure() {
        let d = Philox::new(11, "aft").at(0);
        let rows: Vec<AftRow> = (0..4000_u64)
            .map(|i| {
                let x = d.normal(3 * i);
                let cured = d.uniform(3 * i + 1) < logistic(-1.0 + 1.5 * x);
                let u = 2.0 - 0.5 * x + 0.3 * d.normal(3 * i + 2);
                let t = if cured || u > 3.0 {
                    Lifetime::Censored { at: 3.0 }
                } else {
                    let lo = (u * 20.0).floor() / 20.0;
                    Lifetime::Event { lo, hi: lo + 0.05 }
                };
                AftRow { x: vec![x], t }
            })
            .collect();
        let m =
            fit_aft(&rows, AftOptions { slope_sd: 100.0, cure_sd: 100.0, ..AftOptions::default() })
                .unwrap();
        let c = m.coefficients();
        // Standard errors at n = 4000 are below .01 for β and below .06 for the cure's log-odds.
        assert!((c[0] - 2.0).abs() < 0.03 && (c[1] + 0.5).abs() < 0.03, "{c:?}");
        assert!((m.sigma() - 0.3).abs() < 0.02);
        assert!((m.cured(&[0.0]) - logistic(-1.0)).abs() < 0.04);
        assert!((m.cured(&[1.0]) - logistic(0.5)).abs() < 0.06);
    }

    #[test]
    fn no_event_no_model() {
        let row = AftRow { x: vec![], t: Lifetime::Censored { at: 1.0 } };
        assert!(fit_aft(&[row], AftOptions::default()).is_none());
    }
}
