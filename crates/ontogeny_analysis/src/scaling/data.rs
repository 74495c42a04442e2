//! Measured losses, and their logarithms laid out for the fit.

use super::error::ScalingError;
use super::lanes::LANES;
use super::law::{Input, Law};

/// Where a loss is measured or asked: size, data, compute. What is not known is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// N, parameters.
    pub params: f64,
    /// D, training tokens.
    pub tokens: f64,
    /// C, training FLOP.
    pub flops: f64,
}

impl Scale {
    /// From size and data, with C = 6 N D.
    pub fn of_params_tokens(params: f64, tokens: f64) -> Self {
        Self { params, tokens, flops: 6.0 * params * tokens }
    }

    /// From size and compute, with D = C / (6 N).
    pub fn of_params_flops(params: f64, flops: f64) -> Self {
        Self { params, tokens: flops / (6.0 * params), flops }
    }

    /// Compute alone.
    pub fn of_flops(flops: f64) -> Self {
        Self { params: f64::NAN, tokens: f64::NAN, flops }
    }

    /// One of the three.
    pub fn get(&self, input: Input) -> f64 {
        self.array()[input as usize]
    }

    /// All three, as N, D, C.
    pub fn array(&self) -> [f64; 3] {
        [self.params, self.tokens, self.flops]
    }

    /// Their natural logarithms.
    pub fn ln(&self) -> [f64; 3] {
        self.array().map(f64::ln)
    }
}

/// A measured loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Where.
    pub at: Scale,
    /// The loss, above zero; nats per token as a rule.
    pub loss: f64,
}

/// Points as logarithms, centred and weighted.
///
/// Columns are padded with copies of the first point of weight 0 to a multiple of eight.
#[derive(Debug, Clone)]
pub struct Data {
    n: usize,
    centre: [f64; 3],
    pub(super) x: [Vec<f64>; 3],
    pub(super) y: Vec<f64>,
    pub(super) w: Vec<f64>,
}

impl Data {
    /// Takes the points, each of weight 1, after checking what `law` needs of them.
    ///
    /// # Errors
    /// Too few points, a value that is not finite and positive, or an input without spread.
    pub fn new(law: &dyn Law, points: &[Point]) -> Result<Self, ScalingError> {
        let spec = law.spec();
        let needed = spec.theta.len() + 2;
        let n = points.len();
        if n < needed {
            let n_theta = spec.theta.len();
            return Err(ScalingError::TooFewPoints {
                law: spec.name,
                n_points: n,
                n_theta,
                needed,
            });
        }
        for (point, p) in points.iter().enumerate() {
            let check = |column: &'static str, value: f64| {
                let ok = value.is_finite() && value > 0.0;
                let law = spec.name;
                ok.then_some(()).ok_or(ScalingError::NotPositive { law, column, point, value })
            };
            for input in spec.inputs {
                let column = match input {
                    Input::Params => "params",
                    Input::Tokens => "tokens",
                    Input::Flops => "flops",
                };
                check(column, p.at.get(*input))?;
            }
            check("loss", p.loss)?;
        }
        let logs: Vec<[f64; 3]> = points.iter().map(|p| p.at.ln()).collect();
        for input in spec.inputs {
            let column = logs.iter().map(|l| l[*input as usize]);
            let (lo, hi) = column
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
            if hi - lo < 1e-6 {
                return Err(ScalingError::NoSpread { law: spec.name, input: *input });
            }
        }
        let mean = |k: usize| logs.iter().map(|l| l[k]).sum::<f64>() / n as f64;
        let centre = [mean(0), mean(1), mean(2)].map(|m| if m.is_finite() { m } else { 0.0 });
        let padded = n.next_multiple_of(LANES);
        let at = |i: usize| if i < n { i } else { 0 };
        let x = [0, 1, 2].map(|k| (0..padded).map(|i| logs[at(i)][k] - centre[k]).collect());
        let y = (0..padded).map(|i| points[at(i)].loss.ln()).collect();
        let w = (0..padded).map(|i| f64::from(u8::from(i < n))).collect();
        Ok(Self { n, centre, x, y, w })
    }

    /// The same points with `counts[i]` copies of point `i`; points that are not drawn are left out.
    pub(super) fn resampled(&self, counts: &[u32]) -> Self {
        let kept: Vec<usize> = (0..self.n).filter(|i| counts[*i] > 0).collect();
        let n = kept.len();
        let padded = n.next_multiple_of(LANES);
        let at = |i: usize| kept.get(i).or(kept.first()).copied().unwrap_or(0);
        let pick = |column: &[f64]| (0..padded).map(|i| column[at(i)]).collect::<Vec<_>>();
        let w = (0..padded).map(|i| if i < n { f64::from(counts[kept[i]]) } else { 0.0 }).collect();
        let x = [pick(&self.x[0]), pick(&self.x[1]), pick(&self.x[2])];
        Self { n, centre: self.centre, x, y: pick(&self.y), w }
    }

    /// Points, not counting the padding.
    #[expect(clippy::len_without_is_empty, reason = "there are never none")]
    pub fn len(&self) -> usize {
        self.n
    }

    /// What was taken off the logarithms; 0 for an input that is not known everywhere.
    pub fn centre(&self) -> [f64; 3] {
        self.centre
    }

    /// Centred logarithms of point `i`.
    pub fn x(&self, i: usize) -> [f64; 3] {
        [self.x[0][i], self.x[1][i], self.x[2][i]]
    }

    /// ln of the loss of point `i`.
    pub fn ln_loss(&self, i: usize) -> f64 {
        self.y[i]
    }

    /// Weight of point `i`.
    pub fn weight(&self, i: usize) -> f64 {
        self.w[i]
    }

    /// Mean ln of the loss.
    pub fn mean_ln_loss(&self) -> f64 {
        self.y[..self.n].iter().sum::<f64>() / self.n as f64
    }

    /// Smallest ln of the loss.
    pub fn least_ln_loss(&self) -> f64 {
        self.y[..self.n].iter().copied().fold(f64::INFINITY, f64::min)
    }
}
