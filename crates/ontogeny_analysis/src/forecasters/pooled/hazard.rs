//! Discrete-time hazard: the chance that a run that is still waiting has the event in the next stretch of `ln t`.
//!
//! The time from the earliest cutoff to the horizon is cut into equal intervals of `ln t`; every run gives one record
//! for each interval in which it was still waiting (a person-period table), and
//! `P(event in interval j | waiting) = 1 - exp(-e exp(b_j + β·x))`, the complementary log-log model with the
//! exposure `e` (the share of the interval that the run was watched). `b_j` is the baseline in `ln t`, held smooth
//! by a penalty on its differences, `x` are the normal scores of signals at the cutoff and of hyper-parameters,
//! and `β` has a ridge. Both strengths are chosen by cross-validation over cells; "no signals at all" is among
//! the choices. The forecast is averaged over what is unknown of the coefficients (Laplace).
//!
//! Covariates are read at the cutoff and stay there: the run that is forecast has no later ones. Records with the
//! fit runs' readings at the start of each interval would teach what a signal says *on the eve*, and a forecast
//! made at the cutoff would then have to forecast the signals first (van Houwelingen 2007: landmarking). The
//! interval therefore enters only through the baseline.
//!
//! Source: Prentice & Gloeckler 1978; Allison 1982; P-splines of degree 0: Eilers & Marx 1996.

use super::normal_scores::NormalScores;
use super::waiting::{Reader, Waiting};
use crate::distribution::from_survival;
use crate::forecasters::{
    Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::math::linear::dot;
use crate::math::scoring::{Likelihood, fisher_scoring};
use crate::survival::Lifetime;
use ontogeny_core::{Predictive, Prefix, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "hazard",
    version: 1,
    n_params: 10,
    scope: "event times of runs among at least 20 finished ones in at least 3 cells",
    source: "discrete-time hazard, complementary log-log: Prentice & Gloeckler 1978",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(Hazard) };

/// Intervals of `ln t`.
const INTERVALS: usize = 16;
/// Penalties on the squared differences of the baseline: one over the variance of a step.
const ROUGHNESS: [f64; 3] = [100.0, 10.0, 1.0];
/// Penalties on the squared coefficients of normal scores, the strongest first; before them comes "none at all".
const RIDGES: [f64; 6] = [300.0, 100.0, 30.0, 10.0, 3.0, 1.0];

/// Discrete-time hazard on early signals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hazard;

/// One interval of one run.
#[derive(Debug, Clone, Copy)]
struct Period {
    interval: usize,
    /// Share of the interval, as a weight of the hazard.
    exposure: f64,
    event: bool,
    weight: f64,
}

/// The intervals, on `ln t`.
#[derive(Debug, Clone, Copy)]
struct Grid {
    from: f64,
    width: f64,
}

impl Grid {
    /// The periods of a run watched from `from`; its event counts for the interval that holds its middle.
    fn periods(self, from: f64, t: Lifetime) -> Vec<Period> {
        let end = INTERVALS as f64;
        let place = |u: f64| ((u - self.from) / self.width).clamp(0.0, end);
        let entry = place(from);
        let (exit, event) = match t {
            Lifetime::Event { lo, hi } => (place(0.5 * (lo + hi)).max(entry), true),
            Lifetime::Censored { at } => (place(at).max(entry), false),
        };
        let last = (exit as usize).min(INTERVALS - 1);
        let period = |j: usize| {
            let event = event && j == last;
            let stop = if event { j as f64 + 1.0 } else { exit.min(j as f64 + 1.0) };
            Period { interval: j, exposure: stop - entry.max(j as f64), event, weight: 1.0 }
        };
        (entry as usize..=last).map(period).filter(|p| p.exposure > 1e-9).collect()
    }

    /// What the middle run is taken to have shown before anyone looked: half an event spread over the intervals and
    /// half a run without one. It keeps the baseline finite where all or none had the event.
    fn pseudo_run() -> Vec<Period> {
        let n = INTERVALS as f64;
        let row = |interval, event, weight| Period { interval, exposure: 1.0, event, weight };
        (0..INTERVALS)
            .flat_map(|j| {
                let (alive, happens) = (0.5 + 0.5 * (n - j as f64) / n, 0.5 / n);
                [row(j, true, happens), row(j, false, alive - happens)]
            })
            .collect()
    }
}

/// `ln P` of a period at hazard `m` (exposure included), its slope in `ln m` and its expected information.
fn period_likelihood(m: f64, event: bool) -> (f64, f64, f64) {
    let odds = m.exp_m1();
    let (value, slope) = if event { ((-(-m).exp_m1()).ln(), m / odds) } else { (-m, -m) };
    (value, slope, m * m / odds)
}

/// A run of the table.
#[derive(Debug)]
struct Row<'a> {
    x: &'a [f64],
    periods: &'a [Period],
}

/// `exp` of the linear predictor, kept where nothing overflows or vanishes.
fn rate(eta: f64) -> f64 {
    eta.clamp(-30.0, 20.0).exp()
}

/// Log-likelihood of the table at `theta = [baseline (INTERVALS), β]`, without penalties.
fn plain(rows: &[Row<'_>], theta: &[f64]) -> f64 {
    let (base, beta) = theta.split_at(INTERVALS);
    let of = |row: &Row<'_>| {
        let eta = dot(&row.x[..beta.len()], beta);
        let one = |p: &Period| {
            p.weight * period_likelihood(p.exposure * rate(base[p.interval] + eta), p.event).0
        };
        row.periods.iter().map(one).sum::<f64>()
    };
    rows.iter().map(of).sum()
}

fn penalized(rows: &[Row<'_>], theta: &[f64], roughness: f64, ridge: f64) -> Likelihood {
    let n = theta.len();
    let (base, beta) = theta.split_at(INTERVALS);
    let mut value = 0.0;
    let mut gradient = vec![0.0; n];
    let mut information = vec![vec![0.0; n]; n];
    for row in rows {
        let x = &row.x[..beta.len()];
        let eta = dot(x, beta);
        let (mut slopes, mut weights) = (0.0, 0.0);
        for p in row.periods {
            let m = p.exposure * rate(base[p.interval] + eta);
            let (v, s, w) = period_likelihood(m, p.event);
            let (v, s, w) = (p.weight * v, p.weight * s, p.weight * w);
            value += v;
            gradient[p.interval] += s;
            information[p.interval][p.interval] += w;
            for (j, x) in x.iter().enumerate() {
                information[INTERVALS + j][p.interval] += w * x;
            }
            slopes += s;
            weights += w;
        }
        for (j, a) in x.iter().enumerate() {
            gradient[INTERVALS + j] += slopes * a;
            for (k, b) in x[..=j].iter().enumerate() {
                information[INTERVALS + j][INTERVALS + k] += weights * a * b;
            }
        }
    }
    for j in 1..INTERVALS {
        let step = base[j] - base[j - 1];
        value -= 0.5 * roughness * step * step;
        gradient[j] -= roughness * step;
        gradient[j - 1] += roughness * step;
        information[j][j] += roughness;
        information[j - 1][j - 1] += roughness;
        information[j][j - 1] -= roughness;
    }
    for j in INTERVALS..n {
        value -= 0.5 * ridge * theta[j] * theta[j];
        gradient[j] -= ridge * theta[j];
        information[j][j] += ridge;
    }
    Likelihood { value, gradient, information }
}

/// What is fitted: penalties, and where to start.
fn solve(
    rows: &[Row<'_>],
    start: Vec<f64>,
    roughness: f64,
    ridge: f64,
) -> Option<(Vec<f64>, crate::math::linear::Cholesky)> {
    fisher_scoring(start, |theta| penalized(rows, theta, roughness, ridge))
}

/// The table of all runs, with the pseudo-run.
struct Table {
    scaled: Vec<Vec<f64>>,
    periods: Vec<Vec<Period>>,
    fold: Vec<usize>,
    pseudo: Vec<Period>,
    origin: Vec<f64>,
}

impl Table {
    /// Rows of the runs for which `wanted` holds.
    fn rows(&self, wanted: impl Fn(usize) -> bool) -> Vec<Row<'_>> {
        let chosen = (0..self.fold.len()).filter(|i| wanted(self.fold[*i]));
        chosen.map(|i| Row { x: &self.scaled[i], periods: &self.periods[i] }).collect()
    }

    /// The same and the pseudo-run: what is fitted to.
    fn fit_rows(&self, wanted: impl Fn(usize) -> bool) -> Vec<Row<'_>> {
        let mut rows = self.rows(wanted);
        rows.push(Row { x: &self.origin, periods: &self.pseudo });
        rows
    }

    /// The penalties (roughness, ridge) under which cells left out are likeliest; no ridge is "no signals".
    fn penalties(&self, folds: &[usize]) -> Option<(f64, Option<f64>)> {
        let mut base = [0.0; ROUGHNESS.len()];
        let mut starts = vec![vec![Vec::new(); folds.len()]; ROUGHNESS.len()];
        for (k, &f) in folds.iter().enumerate() {
            let (seen, rest) = (self.fit_rows(|i| i != f), self.rows(|i| i == f));
            let mut start = vec![-3.0; INTERVALS];
            for (r, &roughness) in ROUGHNESS.iter().enumerate() {
                start = solve(&seen, start, roughness, 0.0)?.0;
                base[r] += plain(&rest, &start);
                starts[r][k].clone_from(&start);
            }
        }
        let best = (0..base.len()).reduce(|a, b| if base[b] > base[a] { b } else { a })?;
        let mut with = [0.0; RIDGES.len()];
        for (k, &f) in folds.iter().enumerate() {
            let (seen, rest) = (self.fit_rows(|i| i != f), self.rows(|i| i == f));
            let mut start = starts[best][k].clone();
            start.resize(INTERVALS + self.origin.len(), 0.0);
            for (r, &ridge) in RIDGES.iter().enumerate() {
                start = solve(&seen, start, ROUGHNESS[best], ridge)?.0;
                with[r] += plain(&rest, &start);
            }
        }
        let ridge = (0..with.len()).reduce(|a, b| if with[b] > with[a] { b } else { a })?;
        Some((ROUGHNESS[best], (with[ridge] > base[best]).then_some(RIDGES[ridge])))
    }
}

#[derive(Debug)]
struct FittedHazard {
    reader: Reader,
    scores: NormalScores,
    grid: Grid,
    theta: Vec<f64>,
    factor: crate::math::linear::Cholesky,
    identity: Identity,
}

impl Theory for Hazard {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let w = Waiting::of(runs, query, SPEC.name)?;
        let scores = NormalScores::learn(&w.rows);
        let from = w.from.iter().copied().fold(f64::INFINITY, f64::min);
        let grid = Grid { from, width: ((w.to - from) / INTERVALS as f64).max(1e-9) };
        let table = Table {
            scaled: w.rows.iter().map(|r| scores.apply(r)).collect(),
            periods: w.from.iter().zip(&w.times).map(|(f, t)| grid.periods(*f, *t)).collect(),
            fold: w.fold.clone(),
            pseudo: Grid::pseudo_run(),
            origin: vec![0.0; w.rows[0].len()],
        };
        let none = NotFitted::NoSolution { theory: SPEC.name };
        let folds: Vec<usize> = w.folds().collect();
        let (roughness, ridge) = table.penalties(&folds).ok_or(none.clone())?;
        let n = INTERVALS + ridge.map_or(0, |_| table.origin.len());
        let mut start = vec![-3.0; INTERVALS];
        start.resize(n, 0.0);
        let rows = table.fit_rows(|_| true);
        let (theta, factor) = solve(&rows, start, roughness, ridge.unwrap_or(0.0)).ok_or(none)?;
        let params = theta.iter().copied().chain([roughness, ridge.unwrap_or(0.0)]).collect();
        let identity = Identity::new(SPEC, params, runs);
        Ok(Box::new(FittedHazard { reader: w.reader, scores, grid, theta, factor, identity }))
    }
}

impl FittedHazard {
    /// Hazard of the middle run summed from the start of the grid to `u`, on `ln t`; beyond the grid its ends go on.
    fn cumulative(&self, u: f64) -> f64 {
        let at = (u - self.grid.from) / self.grid.width;
        let whole = (at.max(0.0) as usize).min(INTERVALS - 1);
        let before: f64 = self.theta[..whole].iter().map(|b| rate(*b)).sum();
        before + (at - whole as f64) * rate(self.theta[whole])
    }
}

/// Nodes and weights of Gauss-Hermite quadrature for a standard normal (5 points).
const NORMAL_NODES: [(f64, f64); 5] = [
    (-2.856_970_013_872_806, 0.011_257_411_327_720_7),
    (-1.355_626_179_974_266, 0.222_075_922_005_613),
    (0.0, 0.533_333_333_333_333),
    (1.355_626_179_974_266, 0.222_075_922_005_613),
    (2.856_970_013_872_806, 0.011_257_411_327_720_7),
];

impl Fitted for FittedHazard {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let row = self.reader.row(prefix, features)?;
        let (from, to) = self.reader.window(prefix)?;
        let beta = &self.theta[INTERVALS..];
        let x = &self.scores.apply(&row)[..beta.len()];
        // What is unknown of the log-hazard, averaged over the intervals.
        let share = 1.0 / INTERVALS as f64;
        let z: Vec<f64> = [share; INTERVALS].into_iter().chain(x.iter().copied()).collect();
        let sd = self.factor.inverse_form(&z).max(0.0).sqrt();
        let eta = dot(x, beta);
        let rates = NORMAL_NODES.map(|(node, weight)| (rate(eta + sd * node), weight));
        let past = self.cumulative(from);
        let survival = |u: f64| {
            let h = self.cumulative(u) - past;
            rates.iter().map(|(r, weight)| weight * (-h * r).exp()).sum()
        };
        Some(from_survival(survival, from, to))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
