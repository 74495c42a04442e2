//! Whether first, then when: the chance that the event comes by the horizon, and where it comes if it does.
//!
//! *Whether* is a mixture of three answers: the share of finished runs in which it came, a probability forest (trees
//! that separate yes from no), and a logistic regression with a ridge on the normal scores of the signals. *When*
//! is a mixture of two: the times of all finished runs that had the event, and the same times weighted by a forest
//! that separates their ranks. The weights of the mixtures are those under which cells left out score best
//! (stacking, Wolpert 1992; Brier score for whether, CRPS for when), in quarters; where signals say nothing, the
//! answers without signals get the weight. A mixture of probabilities is too near the middle wherever its parts are
//! sure, so the log-odds of *whether* then get a constant and a slope from the same left-out answers (Platt 1999),
//! held near 0 and 1.
//!
//! A forest of event times knows both things, but its cuts serve the order of the times, and "never" is only the
//! last of them: with few such runs it is hardly worth a cut. Here the rare answer has trees of its own.

use super::normal_scores::NormalScores;
use super::trees::Trees;
use super::waiting::{Reader, Waiting};
use crate::distribution::from_weighted;
use crate::forecasters::{
    Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::math::linear::dot;
use crate::math::logistic;
use crate::math::scoring::{Likelihood, fisher_scoring};
use crate::scores::{brier, crps};
use crate::stats::ranks;
use ontogeny_core::{Predictive, Prefix, TheoryRef};
use std::collections::BTreeMap;

const SPEC: TheorySpec = TheorySpec {
    name: "pooled-hurdle",
    version: 1,
    n_params: 10,
    scope: "event times of runs among at least 20 finished ones in at least 3 cells",
    source: "hurdle (Cragg 1971) of probability forest and ridge logistic, stacked by left-out cells",
};
pub(crate) const ENTRY: TheoryEntry = TheoryEntry { spec: SPEC, build: || Box::new(PooledHurdle) };

/// Penalties on the squared coefficients of normal scores.
const RIDGES: [f64; 6] = [100.0, 30.0, 10.0, 3.0, 1.0, 0.3];
/// Prior standard deviation of constant and slope of the recalibration.
const PRIOR_SD: f64 = 0.5;
/// Steps in which the weights of mixtures are chosen.
const PARTS: usize = 4;

/// Whether, then when.
#[derive(Debug, Clone, Copy, Default)]
pub struct PooledHurdle;

/// Ridge logistic regression with constant first; `rows` are `(x, yes, weight)`. Half a yes and half a no at the
/// middle run keep the constant finite where all agree.
fn ridge_logistic(rows: &[(&[f64], bool, f64)], ridge: f64, start: Vec<f64>) -> Option<Vec<f64>> {
    let n = start.len();
    let at = |theta: &[f64]| {
        let (c, beta) = (theta[0], &theta[1..]);
        let mut value = 0.0;
        let mut gradient = vec![0.0; n];
        let mut information = vec![vec![0.0; n]; n];
        for (x, yes, weight) in rows {
            let eta = c + dot(x, beta);
            let p = logistic(eta);
            // ln p or ln (1 - p), without cancellation.
            let z = if *yes { -eta } else { eta };
            value -= weight * (z.max(0.0) + (-z.abs()).exp().ln_1p());
            let (slope, w) = (weight * (f64::from(u8::from(*yes)) - p), weight * p * (1.0 - p));
            gradient[0] += slope;
            information[0][0] += w;
            for (j, a) in x.iter().enumerate() {
                gradient[1 + j] += slope * a;
                information[1 + j][0] += w * a;
                for (k, b) in x[..=j].iter().enumerate() {
                    information[1 + j][1 + k] += w * a * b;
                }
            }
        }
        let p = logistic(c);
        value += 0.5 * (p.max(1e-300).ln() + (1.0 - p).max(1e-300).ln());
        gradient[0] += 0.5 - p;
        information[0][0] += p * (1.0 - p);
        for j in 1..n {
            value -= 0.5 * ridge * theta[j] * theta[j];
            gradient[j] -= ridge * theta[j];
            information[j][j] += ridge;
        }
        Likelihood { value, gradient, information }
    };
    Some(fisher_scoring(start, at)?.0)
}

/// Yes and no of finished runs, with their weights.
struct Sides<'a> {
    x: Vec<Vec<f64>>,
    outcomes: &'a [(bool, f64)],
    fold: &'a [usize],
}

impl Sides<'_> {
    fn rows(&self, wanted: impl Fn(usize) -> bool) -> Vec<(&[f64], bool, f64)> {
        (0..self.x.len())
            .filter(|i| wanted(self.fold[*i]) && self.outcomes[*i].1 > 0.0)
            .map(|i| (self.x[i].as_slice(), self.outcomes[i].0, self.outcomes[i].1))
            .collect()
    }

    /// Weighted share of yes, with half a yes and half a no.
    fn share(&self, wanted: impl Fn(usize) -> bool) -> f64 {
        let rows = self.rows(wanted);
        let total: f64 = rows.iter().map(|r| r.2).sum();
        let yes: f64 = rows.iter().filter(|r| r.1).map(|r| r.2).sum();
        (yes + 0.5) / (total + 1.0)
    }

    fn start(&self) -> Vec<f64> {
        vec![0.0; 1 + self.x.first().map_or(0, Vec::len)]
    }

    fn fit(&self, ridge: f64) -> Option<Vec<f64>> {
        ridge_logistic(&self.rows(|_| true), ridge, self.start())
    }

    /// The ridge under which cells left out are likeliest, and what was then said of them.
    fn left_out(&self, folds: &[usize]) -> Option<(f64, Vec<f64>)> {
        let mut said = vec![vec![0.5; self.x.len()]; RIDGES.len()];
        let mut losses = [0.0; RIDGES.len()];
        for &f in folds {
            let seen = self.rows(|i| i != f);
            let mut theta = self.start();
            for (r, &ridge) in RIDGES.iter().enumerate() {
                theta = ridge_logistic(&seen, ridge, theta)?;
                for i in (0..self.x.len()).filter(|i| self.fold[*i] == f) {
                    let p = logistic(theta[0] + dot(&self.x[i], &theta[1..]));
                    let (yes, weight) = self.outcomes[i];
                    losses[r] += weight * crate::scores::log_score(p, yes);
                    said[r][i] = p;
                }
            }
        }
        let best = (0..RIDGES.len()).reduce(|a, b| if losses[b] < losses[a] { b } else { a })?;
        Some((RIDGES[best], said.swap_remove(best)))
    }
}

/// The share of yes in the leaves; `None` without any weight.
fn share_of_yes(weights: &[f64], outcomes: &[(bool, f64)]) -> Option<f64> {
    let (mut yes, mut total) = (0.0, 0.0);
    for (w, (happened, known)) in weights.iter().zip(outcomes) {
        total += w * known;
        yes += if *happened { w * known } else { 0.0 };
    }
    (total > 0.0).then(|| yes / total)
}

/// All ways to share [`PARTS`] among three, those with more for the first earlier.
fn shares_of_three() -> impl Iterator<Item = [f64; 3]> {
    let part = |k: usize| k as f64 / PARTS as f64;
    (0..=PARTS).flat_map(move |rest| {
        (0..=rest).map(move |b| [part(PARTS - rest), part(b), part(rest - b)])
    })
}

fn mix(shares: [f64; 3], answers: [f64; 3]) -> f64 {
    dot(&shares, &answers)
}

/// Constant and slope that bring log-odds in line with what happened, with normal priors about 0 and 1.
fn recalibrate(said: &[f64], outcomes: &[(bool, f64)]) -> Option<[f64; 2]> {
    let precision = 1.0 / (PRIOR_SD * PRIOR_SD);
    let at = |theta: &[f64]| {
        let (c, slope) = (theta[0], theta[1]);
        let mut value = -0.5 * precision * (c * c + (slope - 1.0).powi(2));
        let mut gradient = vec![-precision * c, -precision * (slope - 1.0)];
        let mut information = vec![vec![precision, 0.0], vec![0.0, precision]];
        for (p, (yes, weight)) in said.iter().zip(outcomes) {
            let z = log_odds(*p);
            let q = logistic(c + slope * z);
            value += weight * (if *yes { q } else { 1.0 - q }).max(1e-300).ln();
            let (s, w) = (weight * (f64::from(u8::from(*yes)) - q), weight * q * (1.0 - q));
            gradient[0] += s;
            gradient[1] += s * z;
            information[0][0] += w;
            information[1][0] += w * z;
            information[1][1] += w * z * z;
        }
        Likelihood { value, gradient, information }
    };
    let (theta, _) = fisher_scoring(vec![0.0, 1.0], at)?;
    // A forecast that is better turned round is no forecast.
    Some([theta[0], theta[1].max(0.0)])
}

/// `ln(p / (1 - p))` with `p` kept inside [.005, .995].
fn log_odds(p: f64) -> f64 {
    let p = p.clamp(0.005, 0.995);
    (p / (1.0 - p)).ln()
}

/// When, given that it happens: times of finished runs with weights.
#[derive(Debug)]
struct When {
    trees: Trees,
    /// `ln` of the times.
    times: Vec<f64>,
    /// Share of the forest's weights; the rest is even.
    trust: f64,
}

/// Half an event spread over the window in so many places stands beside those of finished runs.
const PSEUDO: usize = 4;

/// The distribution of `times` between `from` and `to`; `weights` need not sum to 1.
fn given_it_happens(times: &[f64], weights: &[f64], from: f64, to: f64) -> Option<Predictive> {
    let within = times.iter().zip(weights).filter(|(t, w)| **t > from && **w > 0.0);
    let mut points: Vec<(f64, f64)> = within.map(|(t, w)| (t.min(to), *w)).collect();
    let (sum, squares) = points.iter().fold((0.0, 0.0), |(s, q), p| (s + p.1, q + p.1 * p.1));
    // One event weighs as much as an even sample of the same width would give it (Kish 1965).
    let one = if sum > 0.0 { squares / sum } else { 1.0 };
    for k in 0..PSEUDO {
        let at = from + (k as f64 + 0.5) / PSEUDO as f64 * (to - from);
        points.push((at, 0.5 * one / PSEUDO as f64));
    }
    from_weighted(&points)
}

/// The forest's weights and even ones, each summing to 1, mixed.
fn blend(forest: &[f64], trust: f64) -> Vec<f64> {
    let total: f64 = forest.iter().sum();
    let even = 1.0 / forest.len() as f64;
    forest
        .iter()
        .map(|w| if total > 0.0 { trust * w / total + (1.0 - trust) * even } else { even })
        .collect()
}

impl When {
    fn learn(w: &Waiting<'_>) -> Self {
        let had: Vec<usize> = (0..w.times.len()).filter(|i| w.times[*i].mid().is_some()).collect();
        let times: Vec<f64> = had.iter().filter_map(|i| w.times[*i].mid()).collect();
        let rows: Vec<Vec<f64>> = had.iter().map(|i| w.rows[*i].clone()).collect();
        let cells: Vec<&str> = had.iter().map(|i| w.cells[*i]).collect();
        let trees = Trees::grow(&rows, &ranks(&times), &cells, "pooled-hurdle.when");
        let unseen: Vec<Vec<f64>> =
            rows.iter().enumerate().map(|(i, row)| trees.unseen(i, row)).collect();
        // Even weights must not profit from the run itself either.
        let loss = |trust: f64| -> f64 {
            let of = |i: usize| {
                let mut weights = blend(&unseen[i], trust);
                for (k, weight) in weights.iter_mut().enumerate() {
                    if cells[k] == cells[i] {
                        *weight = 0.0;
                    }
                }
                let p = given_it_happens(&times, &weights, w.from[had[i]], w.to)?;
                crps(&p, times[i])
            };
            (0..times.len()).filter_map(of).sum()
        };
        let mut best = (f64::INFINITY, 0.0);
        for k in 0..=PARTS {
            let trust = k as f64 / PARTS as f64;
            let l = loss(trust);
            if l < best.0 {
                best = (l, trust);
            }
        }
        Self { trees, times, trust: best.1 }
    }

    fn predict(&self, row: &[f64], from: f64, to: f64) -> Option<Predictive> {
        given_it_happens(&self.times, &blend(&self.trees.weights(row), self.trust), from, to)
    }
}

#[derive(Debug)]
struct FittedHurdle {
    reader: Reader,
    scores: NormalScores,
    outcomes: Vec<(bool, f64)>,
    share: f64,
    trees: Trees,
    coef: Vec<f64>,
    /// Weights of share, forest and regression.
    shares: [f64; 3],
    /// Constant and slope of the recalibration.
    line: [f64; 2],
    when: When,
    identity: Identity,
}

impl Theory for PooledHurdle {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let w = Waiting::of(runs, query, SPEC.name)?;
        let none = NotFitted::NoSolution { theory: SPEC.name };
        let scores = NormalScores::learn(&w.rows);
        let outcomes = w.outcomes();
        let x = w.rows.iter().map(|r| scores.apply(r)).collect();
        let sides = Sides { x, outcomes: &outcomes, fold: &w.fold };
        // Runs whose answer is not known have weight 0 in the leaves; as a goal they count as undecided.
        let share = sides.share(|_| true);
        let goal = |o: &(bool, f64)| if o.1 > 0.0 { f64::from(u8::from(o.0)) } else { share };
        let goals: Vec<f64> = outcomes.iter().map(goal).collect();
        let trees = Trees::grow(&w.rows, &goals, &w.cells, "pooled-hurdle.whether");
        let folds: Vec<usize> = w.folds().collect();
        let without: Vec<f64> = folds.iter().map(|f| sides.share(|i| i != *f)).collect();
        let (ridge, linear) = sides.left_out(&folds).ok_or(none.clone())?;
        let answers: Vec<[f64; 3]> = (0..w.rows.len())
            .map(|i| {
                let plain = without[w.fold[i]];
                let forest = share_of_yes(&trees.unseen(i, &w.rows[i]), &outcomes);
                [plain, forest.unwrap_or(plain), linear[i]]
            })
            .collect();
        let loss = |shares: [f64; 3]| -> f64 {
            answers.iter().zip(&outcomes).map(|(a, o)| o.1 * brier(mix(shares, *a), o.0)).sum()
        };
        let mut best = (f64::INFINITY, [1.0, 0.0, 0.0]);
        for shares in shares_of_three() {
            let l = loss(shares);
            if l < best.0 {
                best = (l, shares);
            }
        }
        let said: Vec<f64> = answers.iter().map(|a| mix(best.1, *a)).collect();
        let line = recalibrate(&said, &outcomes).ok_or(none.clone())?;
        let coef = sides.fit(ridge).ok_or(none)?;
        let when = When::learn(&w);
        let mut params = coef.clone();
        params.extend(best.1);
        params.extend(line);
        params.extend([share, ridge, when.trust]);
        params.extend(&when.times);
        let identity = Identity::new(SPEC, params, runs);
        Ok(Box::new(FittedHurdle {
            reader: w.reader,
            scores,
            share,
            trees,
            coef,
            shares: best.1,
            line,
            when,
            outcomes,
            identity,
        }))
    }
}

impl Fitted for FittedHurdle {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let row = self.reader.row(prefix, features)?;
        let (from, to) = self.reader.window(prefix)?;
        let forest = share_of_yes(&self.trees.weights(&row), &self.outcomes).unwrap_or(self.share);
        let linear = logistic(self.coef[0] + dot(&self.scores.apply(&row), &self.coef[1..]));
        // Never surer than one exception among so many runs and one more.
        let least = 0.5 / (self.outcomes.len() as f64 + 1.0);
        let z = log_odds(mix(self.shares, [self.share, forest, linear]));
        let happens = logistic(self.line[0] + self.line[1] * z).clamp(least, 1.0 - least);
        let when = self.when.predict(&row, from, to)?;
        Some(Predictive { never_prob: 1.0 - happens, ..when })
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
