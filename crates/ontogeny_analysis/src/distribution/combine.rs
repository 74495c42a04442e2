//! Changes predictive distributions: waiting longer, mixing, subtracting, widening.

use super::make::{from_survival, gaussian, log_uniform};
use super::{Cdf, Support, median, spread};
use ontogeny_core::{Predictive, Step};

/// The distribution after learning that it has not happened by `cutoff`.
///
/// `P(T <= t | T > t0)`; probability of "never" grows by `1 / P(T > t0)`. `earlier` is where `p` started.
/// `None` if `p` is malformed or the cutoff is not before the horizon.
pub fn given_not_yet(
    p: &Predictive,
    earlier: Step,
    cutoff: Step,
    horizon: Step,
) -> Option<Predictive> {
    let cdf = Cdf::new(p, Support::between(earlier, horizon)?)?;
    Support::between(cutoff, horizon)?;
    Some(from_survival(|u| 1.0 - cdf.at(u), cutoff.ln(), horizon.ln()))
}

/// A weighted mixture of distributions on one support; weights need not sum to 1.
///
/// `None` if nothing has positive weight or a part is malformed.
pub fn mixture(parts: &[(f64, Predictive)], support: Support) -> Option<Predictive> {
    let total: f64 = parts.iter().map(|p| p.0).sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let cdfs: Vec<(f64, Cdf)> = parts
        .iter()
        .map(|(w, p)| Some((w / total, Cdf::new(p, support)?)))
        .collect::<Option<_>>()?;
    let happens: f64 = cdfs.iter().map(|(w, c)| w * c.happens()).sum();
    let (from, to) = match support {
        Support::Window { from, to } => (from, to),
        Support::Line => {
            let ends = cdfs.iter().flat_map(|(_, c)| [c.quantile(1e-4), c.quantile(0.9999)]);
            ends.flatten().fold((f64::INFINITY, f64::NEG_INFINITY), |a, x| (a.0.min(x), a.1.max(x)))
        }
    };
    if happens <= 1e-12 {
        return Some(Predictive { quantiles: log_uniform(from, to), never_prob: 1.0 });
    }
    let at = |u: f64| cdfs.iter().map(|(w, c)| w * c.at(u)).sum::<f64>();
    let mut mixed = from_survival(|u| 1.0 - at(u).min(happens) / happens, from, to);
    mixed.never_prob = (1.0 - happens).clamp(0.0, 1.0);
    Some(mixed)
}

/// The difference `a - b` of two roughly normal predictions whose errors have correlation `rho`.
///
/// Centre: difference of medians; variance: `sa² + sb² - 2 rho sa sb` of their [`spread`]s, at least
/// `floor²`. Used for fork effects, where treated and control share the run.
pub fn difference(a: &Predictive, b: &Predictive, rho: f64, floor: f64) -> Predictive {
    let (sa, sb) = (spread(a), spread(b));
    let variance = (sa * sa + sb * sb - 2.0 * rho * sa * sb).max(floor * floor);
    gaussian(median(a) - median(b), variance.sqrt())
}

/// The prediction with its quantiles pulled from or to the median by `factor`, kept inside `support`.
pub fn rescale(p: &Predictive, factor: f64, support: Support) -> Predictive {
    let m = median(p);
    let clip = |x: f64| match support {
        Support::Window { from, to } => x.clamp(from, to),
        Support::Line => x,
    };
    let quantiles = p.quantiles.iter().map(|q| clip(m + factor * (q - m))).collect();
    Predictive { quantiles, never_prob: p.never_prob }
}
