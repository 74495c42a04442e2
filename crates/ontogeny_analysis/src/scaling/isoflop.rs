//! Chinchilla's approach 2: a parabola in ln N for each compute budget, and a power law through their bottoms
//! (Hoffmann et al. 2022, arXiv:2203.15556, sec. 3.2).

use super::bootstrap::central;
use super::budgets::budgets;
use super::data::Point;
use super::error::ScalingError;
use super::power_line::PowerLine;
use crate::math::linear::Ridge;
use crate::math::mean;
use ontogeny_core::random::Philox;

/// The bottom of one iso-FLOP parabola.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bottom {
    /// The budget, FLOP: the geometric mean of its points.
    pub flops: f64,
    /// Size of least loss, parameters.
    pub params: f64,
    /// Tokens at that size, `C / 6N`.
    pub tokens: f64,
    /// The least loss.
    pub loss: f64,
    /// Half the second derivative of the loss in ln N.
    pub curvature: f64,
    /// Points of the budget.
    pub n_points: usize,
}

/// Optimal size, data and loss as functions of compute.
#[derive(Debug, Clone, PartialEq)]
pub struct IsoFlop {
    /// The bottoms used, smallest budget first.
    pub bottoms: Vec<Bottom>,
    /// Budgets without a bottom inside the sizes tried: FLOP.
    pub without: Vec<f64>,
    /// Optimal parameters in compute.
    pub params: PowerLine,
    /// Optimal tokens in compute.
    pub tokens: PowerLine,
}

/// How to find the bottoms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IsoFlopOptions {
    /// Compute within this factor is one budget.
    pub budget_factor: f64,
    /// Resamples for the intervals, points drawn within each budget.
    pub n_resamples: usize,
    /// Decides the draws.
    pub seed: u64,
    /// Confidence of the intervals.
    pub confidence: f64,
}

impl Default for IsoFlopOptions {
    fn default() -> Self {
        Self { budget_factor: 1.5, n_resamples: 1000, seed: 0, confidence: 0.9 }
    }
}

/// The bottom of the points; `None` if they do not bend upwards around a size inside those tried.
fn bottom(points: &[Point]) -> Option<Bottom> {
    let ln_n: Vec<f64> = points.iter().map(|p| p.at.params.ln()).collect();
    let centre = mean(&ln_n)?;
    let rows: Vec<Vec<f64>> =
        ln_n.iter().map(|x| vec![1.0, x - centre, (x - centre).powi(2)]).collect();
    let losses: Vec<f64> = points.iter().map(|p| p.loss).collect();
    let fit = Ridge::fit(&rows, &losses, &[0.0; 3])?;
    let (b, c) = (fit.coef[1], fit.coef[2]);
    let x = -0.5 * b / c;
    let reach = |s: f64| ln_n.iter().map(|v| s * (v - centre)).fold(f64::NEG_INFINITY, f64::max);
    if c <= 0.0 || x > reach(1.0) || -x > reach(-1.0) {
        return None;
    }
    let ln_c = mean(&points.iter().map(|p| p.at.flops.ln()).collect::<Vec<_>>())?;
    let (flops, params) = (ln_c.exp(), (x + centre).exp());
    Some(Bottom {
        flops,
        params,
        tokens: flops / (6.0 * params),
        loss: fit.coef[0] - 0.25 * b * b / c,
        curvature: c,
        n_points: points.len(),
    })
}

fn lines(bottoms: &[Bottom]) -> Option<(PowerLine, PowerLine)> {
    let column = |f: fn(&Bottom) -> f64| bottoms.iter().map(f).collect::<Vec<_>>();
    let flops = column(|b| b.flops);
    let params = PowerLine::fit(&flops, &column(|b| b.params))?;
    Some((params, PowerLine::fit(&flops, &column(|b| b.tokens))?))
}

/// Fits the parabolas and the power laws through their bottoms.
///
/// Draw `i` of budget `b` in resample `r` is `Philox(seed, "isoflop").at(r).below((b << 32) + i, n)`.
///
/// # Errors
/// [`ScalingError::TooFewBudgets`] if fewer than two budgets have a bottom inside the sizes tried.
pub fn isoflop(points: &[Point], options: &IsoFlopOptions) -> Result<IsoFlop, ScalingError> {
    let groups: Vec<Vec<Point>> = (budgets(points, options.budget_factor).iter())
        .map(|g| g.iter().map(|i| points[*i]).collect())
        .collect();
    let found: Vec<Option<Bottom>> =
        groups.iter().map(|g| if g.len() < 4 { None } else { bottom(g) }).collect();
    let without = groups.iter().zip(&found).filter(|(_, b)| b.is_none());
    let without: Vec<f64> = without.filter_map(|(g, _)| g.first().map(|p| p.at.flops)).collect();
    let bottoms: Vec<Bottom> = found.iter().copied().flatten().collect();
    let too_few = ScalingError::TooFewBudgets { n_budgets: bottoms.len(), needed: 2 };
    let (mut params, mut tokens) = lines(&bottoms).ok_or(too_few)?;
    let used: Vec<&Vec<Point>> =
        groups.iter().zip(&found).filter(|(_, b)| b.is_some()).map(|(g, _)| g).collect();
    let stream = Philox::new(options.seed, "isoflop");
    let mut exponents: (Vec<f64>, Vec<f64>) = (0..options.n_resamples as u64)
        .filter_map(|r| {
            let draws = stream.at(r);
            let again = used.iter().zip(0_u64..).filter_map(|(group, b)| {
                let n = group.len() as u64;
                let drawn = (0..n).map(|i| group[draws.below((b << 32) + i, n) as usize]);
                bottom(&drawn.collect::<Vec<_>>())
            });
            lines(&again.collect::<Vec<_>>()).map(|(n, d)| (n.exponent, d.exponent))
        })
        .unzip();
    exponents.0.sort_by(f64::total_cmp);
    exponents.1.sort_by(f64::total_cmp);
    params.interval = central(&exponents.0, options.confidence);
    tokens.interval = central(&exponents.1, options.confidence);
    Ok(IsoFlop { bottoms, without, params, tokens })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::Scale;

    /// Losses on a Chinchilla surface whose optimal size grows as C^.52.
    fn planted(noise: f64) -> Vec<Point> {
        let draws = Philox::new(3, "iso").at(0);
        let mut points = Vec::new();
        for (b, flops) in [1e18, 3e18, 1e19, 3e19, 1e20].into_iter().enumerate() {
            let best = 0.6 * f64::powf(flops, 0.45);
            for i in 0..9 {
                let params = best * (0.25 * f64::from(i - 4)).exp();
                let at = Scale::of_params_flops(params, flops);
                let u = (params / best).ln();
                let jitter = noise * draws.normal((b * 9) as u64 + i as u64);
                let loss = 1.7 + 900.0 / f64::powf(flops, 0.16) * (1.0 + 0.05 * u * u) + jitter;
                points.push(Point { at, loss });
            }
        }
        points
    }

    #[test]
    fn recovers_planted_exponents() {
        let found = isoflop(&planted(0.0), &IsoFlopOptions::default()).unwrap();
        assert!((found.params.exponent - 0.45).abs() < 1e-6, "{:?}", found.params);
        assert!((found.tokens.exponent - 0.55).abs() < 1e-6);
        let noisy = isoflop(&planted(0.002), &IsoFlopOptions::default()).unwrap();
        let (low, high) = noisy.params.interval.unwrap();
        assert!(low < 0.45 && 0.45 < high && high - low < 0.2, "{low} {high}");
    }

    #[test]
    fn a_budget_without_a_bottom_is_named() {
        let mut points = planted(0.0);
        points.retain(|p| p.at.flops < 5e19 || p.at.params < 3e8);
        let found = isoflop(&points, &IsoFlopOptions::default()).unwrap();
        assert_eq!(found.without, [1e20]);
        assert!(isoflop(&points[..9], &IsoFlopOptions::default()).is_err());
    }
}
