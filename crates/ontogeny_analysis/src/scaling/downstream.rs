//! From loss or compute to what people care about: link functions for errors and accuracies.
//!
//! To add a link: one value of [`Link`] with its formula, its gradient and its starts.

use super::error::ScalingError;
use super::law::{MAX_THETA, Theta, theta};
use super::minimize::{Minimum, Stop, minimize};

/// A function from one number (loss, or ln C) to a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// `err = eps - k exp(-g L)` of the loss (Gadre et al. 2024, arXiv:2403.08540, eq. 5); `[eps, ln k, g]`.
    Exponential,
    /// `acc = b + a / (1 + exp(k (L - L0)))` of the loss, the second step of Bhagia et al. 2024 (arXiv:2412.04403);
    /// `[b, a, ln k, L0]`.
    Logistic,
    /// `acc = exp(-K C^-g)` of ln C: a power law of -ln(accuracy) in compute (Krajewski et al. 2025,
    /// arXiv:2512.08894); `[ln K, g]`.
    DirectPower,
}

impl Link {
    /// Name on the command line, and the formula.
    pub fn spec(self) -> (&'static str, &'static str) {
        match self {
            Self::Exponential => ("exponential", "err = eps - k exp(-g L)"),
            Self::Logistic => ("logistic", "acc = b + a/(1 + exp(k (L - L0)))"),
            Self::DirectPower => ("direct-power", "acc = exp(-K/C^g)"),
        }
    }

    fn n_theta(self) -> usize {
        match self {
            Self::Exponential => 3,
            Self::Logistic => 4,
            Self::DirectPower => 2,
        }
    }

    /// Value at `x` and gradient over the parameters.
    pub fn value(self, t: &Theta, x: f64, grad: &mut Theta) -> f64 {
        match self {
            Self::Exponential => {
                let drop = (t[1] - t[2] * x).min(50.0).exp();
                *grad = theta([1.0, -drop, x * drop]);
                t[0] - drop
            }
            Self::Logistic => {
                let k = t[2].min(10.0).exp();
                let s = crate::math::logistic(-k * (x - t[3]));
                let slope = t[1] * s * (1.0 - s);
                *grad = theta([1.0, s, -slope * k * (x - t[3]), slope * k]);
                t[0] + t[1] * s
            }
            Self::DirectPower => {
                let hard = (t[0] - t[1] * x).min(50.0).exp();
                let acc = (-hard).exp();
                *grad = theta([-acc * hard, acc * hard * x]);
                acc
            }
        }
    }

    fn starts(self, x: &[f64], y: &[f64]) -> Vec<Theta> {
        let fold =
            |v: &[f64], s: f64| v.iter().map(|v| s * v).fold(f64::NEG_INFINITY, f64::max) * s;
        let (x_low, x_high, y_low, y_high) =
            (fold(x, -1.0), fold(x, 1.0), fold(y, -1.0), fold(y, 1.0));
        let (middle, span) = (0.5 * (x_low + x_high), (y_high - y_low).max(1e-3));
        let mut all = Vec::new();
        for rate in [0.3, 1.0, 2.0, 4.0, 8.0] {
            for part in [0.0, 0.1, 0.5, 1.0] {
                match self {
                    Self::Exponential => {
                        let eps = y_high + part * span;
                        all.push(theta([eps, (eps - y_low).max(1e-6).ln() + rate * x_low, rate]));
                    }
                    Self::Logistic => {
                        for at in [x_low, middle, x_high] {
                            let top = span * (1.0 + part);
                            all.push(theta([y_low - 0.1 * part, top, f64::ln(rate), at]));
                        }
                    }
                    Self::DirectPower => {
                        let hard = -(0.5 * (y_low + y_high)).clamp(1e-3, 0.999).ln();
                        let g = 0.05 * rate;
                        all.push(theta([hard.ln() + g * (middle + part), g]));
                    }
                }
            }
        }
        all
    }
}

/// A fitted link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkFit {
    /// The link.
    pub link: Link,
    /// Its parameters, in the order that [`Link`] names.
    pub theta: Theta,
    /// score - predicted, point by point.
    pub residuals: Vec<f64>,
}

impl LinkFit {
    /// The score at a loss, or at ln C for [`Link::DirectPower`].
    pub fn at(&self, x: f64) -> f64 {
        self.link.value(&self.theta, x, &mut [0.0; MAX_THETA])
    }

    /// Root mean square of the residuals, degrees of freedom taken off.
    pub fn residual_sd(&self) -> f64 {
        let rest = self.residuals.len().saturating_sub(self.link.n_theta()).max(1);
        (self.residuals.iter().map(|r| r * r).sum::<f64>() / rest as f64).sqrt()
    }
}

/// Threshold of the Huber loss on scores: one point of accuracy.
const SCORE_DELTA: f64 = 0.01;

/// Fits a link to (x, score) pairs from a grid of starts, with a sum of Huber losses of threshold .01.
///
/// `x` is the loss, or ln C for [`Link::DirectPower`]; scores are fractions.
///
/// # Errors
/// [`ScalingError`] if the columns do not pair up, hold fewer than two points more than parameters, or are not
/// finite.
pub fn fit_link(link: Link, x: &[f64], score: &[f64]) -> Result<LinkFit, ScalingError> {
    let (law, n_theta) = (link.spec().0, link.n_theta());
    if x.len() != score.len() {
        return Err(ScalingError::Unpaired { what: law, left: x.len(), right: score.len() });
    }
    let needed = n_theta + 2;
    if x.len() < needed {
        return Err(ScalingError::TooFewPoints { law, n_points: x.len(), n_theta, needed });
    }
    if let Some(point) = (0..x.len()).find(|i| !(x[*i].is_finite() && score[*i].is_finite())) {
        let is_x = !x[point].is_finite();
        let (column, value) = if is_x { ("x", x[point]) } else { ("score", score[point]) };
        return Err(ScalingError::NotPositive { law, column, point, value });
    }
    let objective = |t: &Theta, grad: &mut Theta| {
        let mut g = [0.0; MAX_THETA];
        let mut value = 0.0;
        *grad = [0.0; MAX_THETA];
        for (x, y) in x.iter().zip(score) {
            let r = link.value(t, *x, &mut g) - y;
            let psi = r.clamp(-SCORE_DELTA, SCORE_DELTA);
            value += psi * (r - 0.5 * psi);
            (0..n_theta).for_each(|j| grad[j] += psi * g[j]);
        }
        if value.is_finite() { value } else { f64::INFINITY }
    };
    let starts = link.starts(x, score);
    let ends = starts.iter().filter_map(|s| minimize(n_theta, s, Stop::FINE, objective));
    let best: Minimum = ends
        .min_by(|a, b| a.value.total_cmp(&b.value))
        .ok_or(ScalingError::NoOptimum { law, n_starts: starts.len() })?;
    let mut fit = LinkFit { link, theta: best.theta, residuals: Vec::new() };
    fit.residuals = x.iter().zip(score).map(|(x, y)| y - fit.at(*x)).collect();
    Ok(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(Link, [f64; 4], f64, f64); 3] = [
        (Link::Exponential, [0.85, 0.9, 0.7, 0.0], 2.0, 4.5),
        (Link::Logistic, [0.25, 0.6, 1.1, 2.9], 2.0, 4.5),
        (Link::DirectPower, [6.0, 0.14, 0.0, 0.0], 40.0, 52.0),
    ];

    #[test]
    fn recovers_planted_links() {
        for (link, planted, low, high) in CASES {
            let x: Vec<f64> = (0..30).map(|i| low + (high - low) * f64::from(i) / 29.0).collect();
            let at = |x: f64| link.value(&theta(planted), x, &mut [0.0; MAX_THETA]);
            let y: Vec<f64> = x.iter().map(|x| at(*x)).collect();
            let fit = fit_link(link, &x, &y).unwrap();
            let beyond = high + 0.1 * (high - low);
            assert!((fit.at(beyond) - at(beyond)).abs() < 1e-3, "{link:?} {:?}", fit.theta);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (link, planted, low, high) in CASES {
            let (t, mut g) = (theta(planted), [0.0; MAX_THETA]);
            for x in [low, 0.4 * low + 0.6 * high, high] {
                link.value(&t, x, &mut g);
                for j in 0..link.n_theta() {
                    let at = |d: f64| {
                        let mut t = t;
                        t[j] += d;
                        link.value(&t, x, &mut [0.0; MAX_THETA])
                    };
                    let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!((g[j] - numeric).abs() < 1e-6 * numeric.abs().max(1.0), "{link:?} {j}");
                }
            }
        }
    }

    #[test]
    fn bad_columns_are_refused() {
        assert!(fit_link(Link::Logistic, &[1.0; 5], &[0.5; 4]).is_err());
        assert!(fit_link(Link::Logistic, &[1.0; 5], &[0.5; 5]).is_err());
        assert!(fit_link(Link::DirectPower, &[1.0, f64::NAN, 2.0, 3.0], &[0.5; 4]).is_err());
    }
}
