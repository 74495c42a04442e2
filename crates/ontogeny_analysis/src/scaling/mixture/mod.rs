//! Laws of data mixtures: from the shares of the domains to the loss on one of them.
//!
//! To add one: a file here with its [`MixtureLaw`], its `mod` line and its row in [`MIXTURE_LAWS`].

mod choose;
mod exponential;
mod regression;
mod share;

use super::error::ScalingError;
use std::fmt;

pub use choose::{Chosen, choose_mixture};
pub use exponential::EXPONENTIAL;
pub use regression::{LINEAR, LOG_SHARES};
pub use share::SHARE_ONLY;

/// A way to predict the loss on a domain from a mixture.
pub trait MixtureLaw: fmt::Debug + Sync {
    /// Name and formula.
    fn spec(&self) -> (&'static str, &'static str);

    /// Fits to mixtures `[n_mixtures][n_domains]` (shares, sum 1) and losses; `own` is the domain whose loss it is, if
    /// it is among those mixed. `None` if the mixtures cannot tell it.
    fn fit(
        &self,
        mixtures: &[Vec<f64>],
        losses: &[f64],
        own: Option<usize>,
    ) -> Option<Box<dyn Mixture>>;
}

/// A fitted mixture law.
pub trait Mixture: fmt::Debug + Send + Sync {
    /// The loss at a mixture.
    fn loss(&self, mixture: &[f64]) -> f64;
}

/// Every mixture law; the first is the baseline.
pub static MIXTURE_LAWS: &[&dyn MixtureLaw] = &[&SHARE_ONLY, &LINEAR, &LOG_SHARES, &EXPONENTIAL];

/// Refuses tables that cannot be fitted.
pub(super) fn check(mixtures: &[Vec<f64>], losses: &[f64]) -> Result<(), ScalingError> {
    let law = "mixture";
    if mixtures.len() != losses.len() {
        return Err(ScalingError::Unpaired {
            what: law,
            left: mixtures.len(),
            right: losses.len(),
        });
    }
    let n_theta = mixtures.first().map_or(0, Vec::len);
    let needed = 2 * (n_theta + 2);
    if mixtures.len() < needed {
        return Err(ScalingError::TooFewPoints { law, n_points: mixtures.len(), n_theta, needed });
    }
    for (point, (mixture, loss)) in mixtures.iter().zip(losses).enumerate() {
        if !(loss.is_finite() && *loss > 0.0) {
            return Err(ScalingError::NotPositive { law, column: "loss", point, value: *loss });
        }
        if let Some(share) = mixture.iter().find(|s| !(s.is_finite() && **s >= 0.0)) {
            return Err(ScalingError::NotPositive { law, column: "share", point, value: *share });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
