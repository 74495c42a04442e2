//! What a scaling law is: a prediction of ln(loss) from ln(N), ln(D), ln(C), with its gradient.

use super::data::Data;
use std::fmt;

/// Most parameters a law may have.
pub const MAX_THETA: usize = 8;

/// Parameters of a law in the coordinates it is fitted in; those beyond the law's own are 0.
pub type Theta = [f64; MAX_THETA];

/// What a law reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// N, parameters.
    Params,
    /// D, training tokens.
    Tokens,
    /// C, training FLOP.
    Flops,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Params => "params",
            Self::Tokens => "tokens",
            Self::Flops => "flops",
        })
    }
}

/// One parameter as people know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinate {
    /// Its symbol in the formula.
    pub name: &'static str,
    /// Whether the fit works on its logarithm, so that it is always positive.
    pub is_log: bool,
}

impl Coordinate {
    /// A parameter fitted as it is.
    pub const fn plain(name: &'static str) -> Self {
        Self { name, is_log: false }
    }

    /// A positive parameter, fitted as its logarithm.
    pub const fn log(name: &'static str) -> Self {
        Self { name, is_log: true }
    }

    /// The parameter itself, from the coordinate.
    pub fn natural(&self, coordinate: f64) -> f64 {
        if self.is_log { coordinate.exp() } else { coordinate }
    }
}

/// The row of a law in [`LAWS`](super::LAWS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LawSpec {
    /// Name on the command line; stable once released.
    pub name: &'static str,
    /// The law as it is written.
    pub formula: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// What it reads.
    pub inputs: &'static [Input],
    /// Its parameters.
    pub theta: &'static [Coordinate],
}

/// A law of the loss.
///
/// Inputs arrive centred, `x = ln(input) - centre`, which keeps the parameters nearly uncorrelated while they are
/// searched; [`Law::shift`] says what the parameters are without centring.
pub trait Law: fmt::Debug + Sync {
    /// Name, formula, source, inputs and parameters.
    fn spec(&self) -> &'static LawSpec;

    /// ln of the loss at centred `x = [ln N, ln D, ln C]`, and its gradient over the parameters.
    fn ln_loss(&self, theta: &Theta, x: &[f64; 3], grad: &mut Theta) -> f64;

    /// The same law when inputs are moved: parameters for `x + by` from those for `x`. Affine in `theta`.
    fn shift(&self, theta: &Theta, by: &[f64; 3]) -> Theta;

    /// Where searches begin, in uncentred coordinates.
    fn starts(&self, data: &Data) -> Vec<Theta>;

    /// Quantities derived from uncentred parameters, e.g. the exponent of the optimal size.
    fn derived(&self, _theta: &Theta) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Weighted sum of Huber losses of ln(predicted) - ln(measured), and its gradient.
    fn objective(&self, data: &Data, delta: f64, theta: &Theta, grad: &mut Theta) -> f64 {
        let n_theta = self.spec().theta.len();
        let mut value = 0.0;
        *grad = [0.0; MAX_THETA];
        let mut g = [0.0; MAX_THETA];
        for i in 0..data.len() {
            let r = self.ln_loss(theta, &data.x(i), &mut g) - data.ln_loss(i);
            let psi = r.clamp(-delta, delta);
            let w = data.weight(i);
            value += w * psi * (r - 0.5 * psi);
            (0..n_theta).for_each(|j| grad[j] += w * psi * g[j]);
        }
        if value.is_finite() { value } else { f64::INFINITY }
    }
}

/// A [`Theta`] from the parameters that a law has.
pub(super) fn theta<const N: usize>(values: [f64; N]) -> Theta {
    let mut all = [0.0; MAX_THETA];
    all[..N].copy_from_slice(&values);
    all
}
