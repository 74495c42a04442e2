//! Chooses among mixture laws by cross-validation, and says when none beats the baseline.

use super::{MIXTURE_LAWS, Mixture, MixtureLaw, check};
use crate::scaling::error::ScalingError;
use ontogeny_core::random::Philox;

/// The law chosen for one loss.
#[derive(Debug)]
pub struct Chosen {
    /// The law.
    pub law: &'static dyn MixtureLaw,
    /// Fitted to all mixtures.
    pub fit: Box<dyn Mixture>,
    /// Root mean square ln error in five-fold cross-validation, law by law in the order of [`MIXTURE_LAWS`]; NaN where
    /// a law could not be fitted.
    pub errors: Vec<f64>,
}

/// Fits every law in five folds, and the best one to all. Folds are `Philox(seed, "mixture-folds")`'s permutation.
///
/// # Errors
/// [`ScalingError`] if shares and losses do not pair up, are too few, or are not numbers that a law can be told from.
pub fn choose_mixture(
    mixtures: &[Vec<f64>],
    losses: &[f64],
    own: Option<usize>,
    seed: u64,
) -> Result<Chosen, ScalingError> {
    check(mixtures, losses)?;
    let order = Philox::new(seed, "mixture-folds").at(0).permutation(losses.len());
    let error_of = |law: &'static dyn MixtureLaw| -> f64 {
        let mut sum = 0.0;
        for fold in 0..5 {
            let is_out = |at: usize| at % 5 == fold;
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for (_, i) in order.iter().enumerate().filter(|(at, _)| !is_out(*at)) {
                x.push(mixtures[*i as usize].clone());
                y.push(losses[*i as usize]);
            }
            let Some(fit) = law.fit(&x, &y, own) else { return f64::NAN };
            for (_, i) in order.iter().enumerate().filter(|(at, _)| is_out(*at)) {
                sum += (fit.loss(&mixtures[*i as usize]) / losses[*i as usize]).ln().powi(2);
            }
        }
        (sum / losses.len() as f64).sqrt()
    };
    let errors: Vec<f64> = MIXTURE_LAWS.iter().map(|law| error_of(*law)).collect();
    let mut order: Vec<usize> = (0..errors.len()).filter(|i| errors[*i].is_finite()).collect();
    order.sort_by(|a, b| errors[*a].total_cmp(&errors[*b]));
    for k in order {
        if let Some(fit) = MIXTURE_LAWS[k].fit(mixtures, losses, own) {
            return Ok(Chosen { law: MIXTURE_LAWS[k], fit, errors });
        }
    }
    Err(ScalingError::NoOptimum { law: "mixture", n_starts: MIXTURE_LAWS.len() })
}
