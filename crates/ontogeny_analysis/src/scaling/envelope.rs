//! Chinchilla's approach 1: the lower envelope of training curves over compute (Hoffmann et al. 2022,
//! arXiv:2203.15556, sec. 3.1).

use super::bootstrap::central;
use super::data::{Point, Scale};
use super::error::ScalingError;
use super::power_line::PowerLine;
use ontogeny_core::random::Philox;

/// One training curve.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingCurve {
    /// Parameters.
    pub params: f64,
    /// (FLOP so far, loss), compute increasing.
    pub losses: Vec<(f64, f64)>,
}

/// The envelope and what it says of optimal sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The best loss at each compute of a logarithmic grid, with the size that reached it.
    pub frontier: Vec<Point>,
    /// Optimal parameters in compute.
    pub params: PowerLine,
    /// Optimal tokens in compute.
    pub tokens: PowerLine,
}

/// Loss of a curve at a compute, between readings by a line in ln C; `None` outside them.
fn at(curve: &TrainingCurve, flops: f64) -> Option<f64> {
    let k = curve.losses.partition_point(|p| p.0 < flops);
    let &(right, high) = curve.losses.get(k)?;
    if right == flops {
        return Some(high);
    }
    let &(left, low) = curve.losses.get(k.checked_sub(1)?)?;
    let part = (flops / left).ln() / (right / left).ln();
    Some(low + part * (high - low))
}

/// The envelope at `n_grid` budgets. Computes at which fewer than two curves can be compared are left out, and so are
/// those won by the smallest or largest size there, which say nothing about an optimum between.
fn frontier(curves: &[&TrainingCurve], n_grid: usize) -> Vec<Point> {
    let ends = curves.iter().flat_map(|c| c.losses.first().into_iter().chain(c.losses.last()));
    let (low, high) = ends.fold((f64::INFINITY, 0.0_f64), |(l, h), p| (l.min(p.0), h.max(p.0)));
    let step = (high / low).ln() / (n_grid.max(2) - 1) as f64;
    (0..n_grid)
        .filter_map(|i| {
            let flops = low * (step * i as f64).exp();
            let there = curves.iter().filter_map(|c| Some((c.params, at(c, flops)?)));
            let there: Vec<(f64, f64)> = there.collect();
            let best = there.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
            let is_between =
                there.iter().any(|t| t.0 < best.0) && there.iter().any(|t| t.0 > best.0);
            let at = Scale::of_params_flops(best.0, flops);
            is_between.then_some(Point { at, loss: best.1 })
        })
        .collect()
}

fn lines(frontier: &[Point]) -> Option<(PowerLine, PowerLine)> {
    let column = |f: fn(&Point) -> f64| frontier.iter().map(f).collect::<Vec<_>>();
    let flops = column(|p| p.at.flops);
    let params = PowerLine::fit(&flops, &column(|p| p.at.params))?;
    Some((params, PowerLine::fit(&flops, &column(|p| p.at.tokens))?))
}

/// Finds the envelope of `curves` at 1,500 budgets, as published, with bootstrap intervals over whole curves.
///
/// Draw `i` of resample `r` is `Philox(seed, "envelope").at(r).below(i, n)`.
///
/// # Errors
/// [`ScalingError::TooFewBudgets`] if no two budgets have an optimum between the sizes tried.
pub fn envelope(
    curves: &[TrainingCurve],
    n_resamples: usize,
    seed: u64,
    confidence: f64,
) -> Result<Envelope, ScalingError> {
    let frontier_of = |chosen: &[&TrainingCurve], n: usize| frontier(chosen, n);
    let all: Vec<&TrainingCurve> = curves.iter().collect();
    let best = frontier_of(&all, 1500);
    let too_few = ScalingError::TooFewBudgets { n_budgets: best.len(), needed: 2 };
    let (mut params, mut tokens) = lines(&best).ok_or(too_few)?;
    let stream = Philox::new(seed, "envelope");
    let n = curves.len() as u64;
    let (mut of_params, mut of_tokens): (Vec<f64>, Vec<f64>) = (0..n_resamples as u64)
        .filter_map(|r| {
            let draws = stream.at(r);
            let drawn: Vec<&TrainingCurve> =
                (0..n).map(|i| &curves[draws.below(i, n) as usize]).collect();
            lines(&frontier_of(&drawn, 200)).map(|(a, b)| (a.exponent, b.exponent))
        })
        .unzip();
    of_params.sort_by(f64::total_cmp);
    of_tokens.sort_by(f64::total_cmp);
    params.interval = central(&of_params, confidence);
    tokens.interval = central(&of_tokens, confidence);
    Ok(Envelope { frontier: best, params, tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_of_planted_curves_has_the_planted_exponent() {
        // L = 400/N^.34 + 400/D^.34 + 1.7 is lowest at N = sqrt(C/6), exponent one half.
        let curves: Vec<TrainingCurve> = (0..25)
            .map(|k| {
                let params = 1e7 * 10f64.powf(f64::from(k) / 8.0);
                let tokens = (0..60).map(|i| 1e8 * 10f64.powf(f64::from(i) / 15.0));
                let loss = |d: f64| 1.7 + 400.0 / params.powf(0.34) + 400.0 / d.powf(0.34);
                let losses = tokens.map(|d| (6.0 * params * d, loss(d))).collect();
                TrainingCurve { params, losses }
            })
            .collect();
        let found = envelope(&curves, 50, 1, 0.9).unwrap();
        // The sizes are a grid, 1.33 apart.
        assert!((found.params.exponent - 0.5).abs() < 0.02, "{:?}", found.params);
        assert!((found.params.exponent + found.tokens.exponent - 1.0).abs() < 1e-9);
        assert!(found.params.interval.is_some());
        assert!(envelope(&curves[..1], 5, 1, 0.9).is_err());
    }
}
