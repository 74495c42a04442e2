//! A linear forecast from early signals, its penalty and its width both learned by leaving cells out.
//!
//! Signals are scaled robustly, answers are cut off far outside their quartiles for the fit. The forecast is
//! the linear prediction plus the errors that the same fit made on cells it had not seen (CV+, Barber et al.
//! 2021, arXiv:1905.02928, with the cell as the unit that is exchanged).

use super::signals::{Scale, Signals};
use crate::distribution::from_samples;
use crate::forecasters::landmark::landmarks;
use crate::forecasters::{
    Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::math::linear::Ridge;
use crate::math::quantile;
use ontogeny_core::{Predictive, Prefix, Target, TheoryRef};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: TheorySpec = TheorySpec {
    name: "pooled-ridge",
    version: 1,
    n_params: 10,
    scope: "values of runs among at least 20 finished ones in at least 3 cells",
    source: "ridge regression on early signals; width: arXiv:1905.02928",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(PooledRidge) };

const PENALTIES: [f64; 5] = [0.3, 3.0, 30.0, 300.0, 3000.0];
const LEAST_RUNS: usize = 20;

/// Ridge regression on early signals.
#[derive(Debug, Clone, Copy, Default)]
pub struct PooledRidge;

#[derive(Debug)]
struct FittedRidge {
    signals: Signals,
    scale: Scale,
    coef: Vec<f64>,
    errors: Vec<f64>,
    identity: Identity,
}

fn with_constant(scale: &Scale, row: &[f64]) -> Vec<f64> {
    std::iter::once(1.0).chain(scale.apply(row)).collect()
}

fn solve(x: &[Vec<f64>], y: &[f64], penalty: f64) -> Option<Vec<f64>> {
    let mut ridge = vec![penalty; x.first()?.len()];
    ridge[0] = 1e-9;
    Some(Ridge::fit(x, y, &ridge)?.coef)
}

/// Errors on each cell of a fit to the others.
fn left_out(x: &[Vec<f64>], y: &[f64], cells: &[&str], penalty: f64) -> Option<Vec<f64>> {
    let mut errors = vec![0.0; y.len()];
    for cell in cells.iter().copied().collect::<BTreeSet<_>>() {
        let inside = |i: &usize| cells[*i] == cell;
        let rest: Vec<usize> = (0..y.len()).filter(|i| !inside(i)).collect();
        let xs: Vec<Vec<f64>> = rest.iter().map(|i| x[*i].clone()).collect();
        let ys: Vec<f64> = rest.iter().map(|i| y[*i]).collect();
        let coef = solve(&xs, &ys, penalty)?;
        for i in (0..y.len()).filter(inside) {
            errors[i] = y[i] - crate::math::linear::dot(&x[i], &coef);
        }
    }
    Some(errors)
}

impl Theory for PooledRidge {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, log, .. } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let marks = landmarks(runs, query);
        let signals = Signals::learn(&marks, series, *log);
        let (mut rows, mut answers, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        for m in &marks {
            let row = signals.row(&m.prefix, &m.run.features);
            let (Some(row), Some(y)) = (row, m.answer.value()) else { continue };
            rows.push(row);
            answers.push(y);
            cells.push(m.run.cell.as_str());
        }
        let n_cells = cells.iter().collect::<BTreeSet<_>>().len();
        if rows.len() < LEAST_RUNS || n_cells < 3 {
            let found = if n_cells < 3 { n_cells } else { rows.len() };
            let needed = if n_cells < 3 { 3 } else { LEAST_RUNS };
            return Err(NotFitted::TooFewRuns { theory: SPEC.name, needed, found });
        }
        let none = NotFitted::NoSolution { theory: SPEC.name };
        let q = |p| quantile(&answers, p).unwrap_or(0.0);
        let (low, high) = (q(0.25), q(0.75));
        let reach = 5.0 * (high - low).max(1e-12);
        let y: Vec<f64> = answers.iter().map(|v| v.clamp(low - reach, high + reach)).collect();
        let scale = Scale::learn(&rows);
        let x: Vec<Vec<f64>> = rows.iter().map(|r| with_constant(&scale, r)).collect();
        // The size of an error is its absolute value: one wild run must not choose the penalty.
        let tried = PENALTIES.iter().filter_map(|&penalty| {
            let errors = left_out(&x, &y, &cells, penalty)?;
            Some((errors.iter().map(|e| e.abs()).sum::<f64>(), penalty))
        });
        let best = tried.filter(|t| t.0.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
        let (_, penalty) = best.ok_or(none.clone())?;
        let coef = solve(&x, &y, penalty).ok_or(none.clone())?;
        let clipped = left_out(&x, &y, &cells, penalty).ok_or(none)?;
        // Widths come from the answers as they were.
        let errors = clipped.iter().zip(&answers).zip(&y).map(|((e, a), y)| e + (a - y)).collect();
        let mut params = coef.clone();
        params.push(penalty);
        let identity = Identity::new(SPEC, params, runs);
        Ok(Box::new(FittedRidge { signals, scale, coef, errors, identity }))
    }
}

impl Fitted for FittedRidge {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let row = self.signals.row(prefix, features)?;
        let centre = crate::math::linear::dot(&with_constant(&self.scale, &row), &self.coef);
        let sample: Vec<f64> = self.errors.iter().map(|e| centre + e).collect();
        from_samples(&sample)
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
