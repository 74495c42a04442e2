//! Fits a law from many starts: a sum of Huber losses in the logarithm of the loss.
//!
//! The sum and not the mean: averaged, the objective is so small that usual tolerances stop the search long before
//! the optimum, which is what happened to the published fit of Hoffmann et al. (Besiroglu et al. 2024,
//! arXiv:2404.10102).

use super::curvature::Curvature;
use super::data::{Data, Point, Scale};
use super::error::ScalingError;
use super::law::{Law, MAX_THETA, Theta};
use super::minimize::{Inverse, Minimum, Stop, minimize_knowing};
use rayon::prelude::*;

/// So many starts are all followed to the end.
const SCREEN_ABOVE: usize = 500;

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// Threshold of the Huber loss, in nats of ln(loss).
    pub huber_delta: f64,
    /// So many points of highest loss are left out, being runs that had hardly begun.
    pub drop_highest: usize,
    /// Runs with fewer training tokens per parameter than this are left out; 0 keeps all, and so do runs of which
    /// size or data are not known.
    pub least_tokens_per_param: f64,
    /// Follow every start to its end. Otherwise, of more than 500 starts, all are followed for 15 steps and the
    /// best tenth to the end.
    pub follow_all: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { huber_delta: 1e-3, drop_highest: 0, least_tokens_per_param: 0.0, follow_all: false }
    }
}

impl FitOptions {
    /// The recipe of Besiroglu et al.: threshold 1e-3, the 5 points of highest loss left out.
    pub const BESIROGLU: Self =
        Self { huber_delta: 1e-3, drop_highest: 5, least_tokens_per_param: 0.0, follow_all: false };

    /// Whether a run counts.
    pub(super) fn keeps(&self, at: &Scale) -> bool {
        // A ratio that is not known is NaN and keeps the run.
        let is_below = at.tokens / at.params < self.least_tokens_per_param;
        !is_below
    }
}

/// A fitted law.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The law.
    pub law: &'static dyn Law,
    /// How it was fitted.
    pub options: FitOptions,
    /// Its parameters in uncentred coordinates (logarithms where [`Coordinate`](super::Coordinate) says so).
    pub theta: Theta,
    /// Sum of Huber losses at the optimum.
    pub objective: f64,
    /// Starts tried.
    pub n_starts: usize,
    /// Starts that were followed to the end.
    pub n_followed: usize,
    /// Of those, the ones that ended within one part in a thousand of the optimum.
    pub n_reached: usize,
    /// The points fitted, those left out not among them.
    pub points: Vec<Point>,
    /// ln(measured) - ln(predicted) at each point.
    pub residuals: Vec<f64>,
    pub(super) data: Data,
    pub(super) centred: Theta,
    pub(super) curvature: Curvature,
}

impl Fit {
    /// Parameters as people know them, and derived quantities: (name, value).
    pub fn quantities(&self) -> Vec<(&'static str, f64)> {
        quantities(self.law, &self.theta)
    }

    /// A quantity by name.
    pub fn quantity(&self, name: &str) -> Option<f64> {
        self.quantities().into_iter().find(|q| q.0 == name).map(|q| q.1)
    }

    /// The loss at a place.
    ///
    /// # Errors
    /// [`ScalingError::MissingInput`] if the law needs what the place does not give.
    pub fn loss(&self, at: &Scale) -> Result<f64, ScalingError> {
        check_inputs(self.law, at)?;
        Ok(ln_loss(self.law, &self.theta, at).exp())
    }

    /// Parameters of the law.
    pub fn n_theta(&self) -> usize {
        self.law.spec().theta.len()
    }
}

/// Parameters and derived quantities from uncentred coordinates.
pub(super) fn quantities(law: &dyn Law, theta: &Theta) -> Vec<(&'static str, f64)> {
    let coordinates = law.spec().theta.iter().zip(theta);
    coordinates.map(|(c, v)| (c.name, c.natural(*v))).chain(law.derived(theta)).collect()
}

/// ln of the loss at a place, from uncentred coordinates.
pub(super) fn ln_loss(law: &dyn Law, theta: &Theta, at: &Scale) -> f64 {
    law.ln_loss(theta, &at.ln(), &mut [0.0; MAX_THETA])
}

pub(super) fn check_inputs(law: &dyn Law, at: &Scale) -> Result<(), ScalingError> {
    let spec = law.spec();
    let lacks = spec.inputs.iter().find(|i| !(at.get(**i).is_finite() && at.get(**i) > 0.0));
    lacks.map_or(Ok(()), |i| Err(ScalingError::MissingInput { law: spec.name, input: *i }))
}

/// Fits `law` to `points` from all of the law's starts.
///
/// Starts are followed to a part in ten million (see [`FitOptions::follow_all`]); the best of them are then followed
/// to the last digits.
/// The same points give the same bits, whatever the number of threads.
///
/// # Errors
/// [`ScalingError`] if the points cannot tell the law: too few, without a logarithm, without spread.
///
/// # Examples
/// ```
/// use ontogeny_analysis::scaling::{FRONTIER, FitOptions, Point, Scale, fit};
/// let points: Vec<Point> = (0..12)
///     .map(|i| Scale::of_flops(1e18 * 2f64.powi(i)))
///     .map(|at| Point { at, loss: 1.8 + 3e3 / at.flops.powf(0.19) })
///     .collect();
/// let fit = fit(&FRONTIER, &points, &FitOptions::default())?;
/// assert!((fit.quantity("E").unwrap() - 1.8).abs() < 1e-3);
/// # Ok::<(), ontogeny_analysis::scaling::ScalingError>(())
/// ```
pub fn fit(
    law: &'static dyn Law,
    points: &[Point],
    options: &FitOptions,
) -> Result<Fit, ScalingError> {
    let kept: Vec<Point> = points.iter().filter(|p| options.keeps(&p.at)).copied().collect();
    let points = without_highest(&kept, options.drop_highest);
    let data = Data::new(law, &points)?;
    let n = law.spec().theta.len();
    let back = data.centre().map(|c| -c);
    let starts: Vec<Theta> = law.starts(&data).iter().map(|s| law.shift(s, &back)).collect();
    let follow = |start: &Theta, known: Option<&Inverse>, stop: Stop| {
        let objective = |t: &Theta, g: &mut Theta| law.objective(&data, options.huber_delta, t, g);
        minimize_knowing(n, start, known, stop, objective)
    };
    let n_starts = starts.len();
    let is_screened = n_starts > SCREEN_ABOVE && !options.follow_all;
    let first = if is_screened { Stop::GLANCE } else { Stop::COARSE };
    let mut ends = in_order(starts.par_iter().map(|s| follow(s, None, first)).collect());
    if is_screened {
        ends.truncate(n_starts / 10);
        let on = |m: &Minimum| follow(&m.theta, Some(&m.inverse), Stop::COARSE);
        ends = in_order(ends.par_iter().map(on).collect());
    }
    let candidates = apart(n, &ends, 6);
    let polished: Vec<Minimum> =
        candidates.iter().filter_map(|m| follow(&m.theta, None, Stop::FINE)).collect();
    let best = polished
        .iter()
        .min_by(|a, b| a.value.total_cmp(&b.value))
        .ok_or(ScalingError::NoOptimum { law: law.spec().name, n_starts })?;
    let near = best.value + 1e-3 * best.value.abs();
    let residuals: Vec<f64> = (0..data.len())
        .map(|i| data.ln_loss(i) - law.ln_loss(&best.theta, &data.x(i), &mut [0.0; MAX_THETA]))
        .collect();
    let curvature = Curvature::new(law, &data, options.huber_delta, &best.theta, &residuals);
    Ok(Fit {
        law,
        curvature,
        options: *options,
        theta: law.shift(&best.theta, &data.centre()),
        objective: best.value,
        n_starts,
        n_followed: ends.len(),
        n_reached: ends.iter().filter(|m| m.value <= near).count(),
        residuals,
        centred: best.theta,
        points,
        data,
    })
}

/// Ends by value, the lowest first.
fn in_order(ends: Vec<Option<Minimum>>) -> Vec<Minimum> {
    let mut ends: Vec<Minimum> = ends.into_iter().flatten().collect();
    ends.sort_by(|a, b| a.value.total_cmp(&b.value));
    ends
}

/// Points without the `n` of highest loss, in their order.
fn without_highest(points: &[Point], n: usize) -> Vec<Point> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*b].loss.total_cmp(&points[*a].loss));
    let dropped = &order[..n.min(order.len())];
    (0..points.len()).filter(|i| !dropped.contains(i)).map(|i| points[i]).collect()
}

/// The first `k` ends that differ from each other, from ends in order of value.
fn apart(n: usize, ends: &[Minimum], k: usize) -> Vec<Minimum> {
    let mut kept: Vec<Minimum> = Vec::new();
    for end in ends {
        let is_new = kept.iter().all(|m| (0..n).any(|i| (m.theta[i] - end.theta[i]).abs() > 1e-3));
        if is_new {
            kept.push(*end);
        }
        if kept.len() == k {
            break;
        }
    }
    kept
}
