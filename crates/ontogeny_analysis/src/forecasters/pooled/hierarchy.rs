//! Curves of runs as draws from one population: what a curve will do is learned from what the others did.
//!
//! Each run's curve is a cubic spline in `ln(1 + 1000 t / T)` up to the target's step `T`, its coefficients drawn from a
//! normal whose mean is linear in the hyper-parameters and whose covariance is common to all runs; readings scatter about
//! it. Mean, covariance and scatter come from expectation maximization over the finished runs, in which runs and curves far
//! from the others weigh less, as under Student's t with four degrees of freedom. The forecast is the normal at `T` given
//! the prefix, moved and widened by what the same forecasts of finished runs missed, each part left out once.
//! Sources: Laird and Ware 1982 (random effects); Pinheiro, Liu and Wu 2001 (Student's t in them); Rice and Wu 2001 (splines).

use super::signals::Scale;
use crate::distribution::{from_samples, gaussian};
use crate::forecasters::hparams::Encoding;
use crate::forecasters::landmark::{landmarks, normal_from, on_axis};
use crate::forecasters::{
    Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun,
};
use crate::math::linear::{Cholesky, dot, gram};
use crate::math::{median, quantile};
use ontogeny_core::{Predictive, Prefix, Series, Step, Target, TheoryRef};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: TheorySpec = TheorySpec {
    name: "hierarchical-curves",
    version: 1,
    n_params: (K + K * (K + 1) / 2 + 1) as u32,
    scope: "values of runs among at least 10 finished ones with curves",
    source: "random-effects splines, Laird and Ware 1982; Rice and Wu 2001",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(HierarchicalCurves) };

/// Coefficients of a spline.
const K: usize = 7;
/// Readings are thinned to one for each of so many stretches of the axis.
const STRETCHES: usize = 24;
const SWEEPS: usize = 15;
/// Parts of the finished runs, each foretold from the others to see what forecasts miss.
const N_PARTS: usize = 4;
/// Degrees of freedom of the weights.
const FREEDOM: f64 = 4.0;
/// Penalty on what hyper-parameters do to the mean, in runs.
const PENALTY: f64 = 10.0;
/// Runs' worth of "coefficients are independent" in the covariance.
const SHRINKAGE: f64 = 2.0;
const LEAST_RUNS: usize = 10;
/// Readings that a curve needs at the median.
const LEAST_READINGS: f64 = 4.0;

/// Curves drawn from one population.
#[derive(Debug, Clone, Copy, Default)]
pub struct HierarchicalCurves;

type Row = [f64; K];
type Square = [Row; K];

/// Readings of a run, as far as a fit needs them: sums over its rows `x` of the spline basis and its values `y`.
#[derive(Debug, Clone, Copy, Default)]
struct Curve {
    n: f64,
    xx: Square,
    xy: Row,
    yy: f64,
}

impl Curve {
    fn add(&mut self, x: &Row, y: f64) {
        self.n += 1.0;
        self.yy += y * y;
        for i in 0..K {
            self.xy[i] += x[i] * y;
            for j in 0..K {
                self.xx[i][j] += x[i] * x[j];
            }
        }
    }

    /// Sum of squares about the curve with coefficients `b`, and what is not known of them, `v`.
    fn rss(&self, b: &Row, v: &Square) -> f64 {
        let unknown: f64 = self.xx.iter().zip(v).map(|(x, v)| dot(x, v)).sum();
        (self.yy - 2.0 * dot(b, &self.xy) + form(&self.xx, b) + unknown).max(0.0)
    }
}

/// The axis of time and values.
#[derive(Debug, Clone)]
struct Axis {
    series: String,
    log: bool,
    at: Step,
    centre: f64,
    scale: f64,
}

impl Axis {
    /// Place of a step in [0, 1].
    fn place(&self, step: Step) -> f64 {
        let t = 1000.0 * step.0 as f64 / self.at.0.max(1) as f64;
        (t.ln_1p() / 1000_f64.ln_1p()).min(1.0)
    }

    fn value(&self, raw: f64) -> Option<f64> {
        Some((on_axis(raw, self.log)? - self.centre) / self.scale)
    }

    /// The last reading of each stretch.
    fn curve(&self, series: &Series) -> Curve {
        let mut last: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for p in series.points.iter().filter(|p| p.step <= self.at) {
            let u = self.place(p.step);
            if let Some(y) = self.value(p.value) {
                last.insert((u * STRETCHES as f64) as usize, (u, y));
            }
        }
        let mut curve = Curve::default();
        for (u, y) in last.into_values() {
            curve.add(&basis(u), y);
        }
        curve
    }
}

/// Cubic B-splines on [0, 1] with evenly spaced knots: [`K`] of them, which sum to 1.
fn basis(u: f64) -> Row {
    let spans = (K - 3) as f64;
    let u = u.clamp(0.0, 1.0) * spans;
    let cell = (u.floor() as usize).min(K - 4);
    let f = u - cell as f64;
    let g = 1.0 - f;
    let weights = [
        g * g * g / 6.0,
        (3.0 * f * f * f - 6.0 * f * f + 4.0) / 6.0,
        (3.0 * g * g * g - 6.0 * g * g + 4.0) / 6.0,
        f * f * f / 6.0,
    ];
    let mut row = [0.0; K];
    row[cell..cell + 4].copy_from_slice(&weights);
    row
}

/// What runs have in common.
#[derive(Debug, Clone)]
struct Population {
    /// Entry `j`: how coefficient `j` depends on a constant and the hyper-parameters.
    mean: Vec<Vec<f64>>,
    covariance: Square,
    /// Variance of a reading about its curve.
    noise: f64,
}

/// Coefficients of one run given its readings: mean and covariance.
struct Posterior {
    b: Row,
    v: Square,
}

/// The inverse of a symmetric positive definite matrix by Cholesky's factor; `None` if it is not one.
fn inverse(a: &Square) -> Option<Square> {
    let mut l = [[0.0; K]; K];
    for i in 0..K {
        for j in 0..=i {
            let rest = a[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            if i == j {
                if rest.is_nan() || rest <= 1e-14 * a[i][i].abs() {
                    return None;
                }
                l[i][i] = rest.sqrt();
            } else {
                l[i][j] = rest / l[j][j];
            }
        }
    }
    // The inverse of the factor, then its product with itself.
    let mut m = [[0.0; K]; K];
    for i in 0..K {
        m[i][i] = 1.0 / l[i][i];
        let row: Row =
            std::array::from_fn(|j| -(j..i).map(|k| l[i][k] * m[k][j]).sum::<f64>() / l[i][i]);
        m[i][..i].copy_from_slice(&row[..i]);
    }
    let entry = |i: usize, j: usize| (i.max(j)..K).map(|k| m[k][i] * m[k][j]).sum::<f64>();
    Some(std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j))))
}

fn times(a: &Square, x: &Row) -> Row {
    std::array::from_fn(|i| dot(&a[i], x))
}

fn form(a: &Square, x: &Row) -> f64 {
    dot(&times(a, x), x)
}

impl Population {
    fn prior(&self, z: &[f64]) -> Row {
        std::array::from_fn(|j| dot(&self.mean[j], z))
    }

    /// `precision` is the inverse of the covariance.
    fn posterior(precision: &Square, prior: &Row, noise: f64, curve: &Curve) -> Option<Posterior> {
        let both = |i: usize, j: usize| curve.xx[i][j] / noise + precision[i][j];
        let v = inverse(&std::array::from_fn(|i| std::array::from_fn(|j| both(i, j))))?;
        let drawn = times(precision, prior);
        let b = times(&v, &std::array::from_fn(|i| drawn[i] + curve.xy[i] / noise));
        Some(Posterior { b, v })
    }

    /// Before any sweep: coefficients that are all the middle of the values, with the spread of the values.
    fn first(curves: &[Curve], n_inputs: usize) -> Self {
        let means: Vec<f64> =
            curves.iter().filter(|c| c.n > 0.0).map(|c| c.xy.iter().sum::<f64>() / c.n).collect();
        let squares: Vec<f64> = curves.iter().filter(|c| c.n > 0.0).map(|c| c.yy / c.n).collect();
        let middle = median(&means).unwrap_or(0.0);
        let variance = (median(&squares).unwrap_or(1.0) - middle * middle).max(1e-6);
        let mut row = vec![0.0; n_inputs];
        row[0] = middle;
        let entry = |i: usize, j: usize| if i == j { variance } else { 0.0 };
        let covariance = std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)));
        Self { mean: vec![row; K], covariance, noise: 0.1 * variance }
    }

    fn learn(curves: &[Curve], inputs: &[Vec<f64>]) -> Option<Self> {
        let mut made = Self::first(curves, inputs.first()?.len());
        for _ in 0..SWEEPS {
            made = made.sweep(curves, inputs)?;
        }
        Some(made)
    }

    /// Mean and standard deviation at the target's step, on the scaled axis.
    fn at_the_end(&self, precision: &Square, curve: &Curve, z: &[f64]) -> Option<(f64, f64)> {
        let post = Self::posterior(precision, &self.prior(z), self.noise, curve)?;
        let x = basis(1.0);
        let sd = (form(&post.v, &x) + self.noise).sqrt();
        Some((dot(&x, &post.b), sd)).filter(|(m, s)| m.is_finite() && s.is_finite())
    }

    /// One sweep of expectation maximization.
    fn sweep(&self, curves: &[Curve], inputs: &[Vec<f64>]) -> Option<Self> {
        let precision = inverse(&self.covariance)?;
        let (mut posts, mut weights) = (Vec::new(), Vec::new());
        let (mut scatter, mut n_readings) = (0.0, 0.0);
        for (curve, z) in curves.iter().zip(inputs) {
            let prior = self.prior(z);
            let post = Self::posterior(&precision, &prior, self.noise, curve)?;
            let off = std::array::from_fn(|i| post.b[i] - prior[i]);
            weights.push((FREEDOM + K as f64) / (FREEDOM + form(&precision, &off)));
            let rss = curve.rss(&post.b, &post.v);
            scatter += rss * (FREEDOM + curve.n) / (FREEDOM + rss / self.noise);
            n_readings += curve.n;
            posts.push(post);
        }
        let mean = Self::regress(&posts, &weights, inputs)?;
        let n = curves.len() as f64;
        let mut made = Self { mean, covariance: [[0.0; K]; K], noise: scatter / n_readings };
        made.noise = made.noise.max(1e-8);
        for ((post, z), w) in posts.iter().zip(inputs).zip(&weights) {
            let prior = made.prior(z);
            for i in 0..K {
                for j in 0..K {
                    let share = if i == j { n } else { n + SHRINKAGE };
                    let off = (post.b[i] - prior[i]) * (post.b[j] - prior[j]);
                    made.covariance[i][j] += (w * off + post.v[i][j]) / share;
                }
            }
        }
        (0..K).for_each(|i| made.covariance[i][i] += 1e-8);
        Some(made)
    }

    /// Weighted ridge regression of coefficients on the hyper-parameters; the constant is not penalized.
    fn regress(posts: &[Posterior], weights: &[f64], inputs: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        let n_inputs = inputs.first()?.len();
        let rows: Vec<Vec<f64>> = (inputs.iter().zip(weights))
            .map(|(z, w)| z.iter().map(|v| v * w.sqrt()).collect())
            .collect();
        let mut ridge = vec![PENALTY; n_inputs];
        ridge[0] = 1e-9;
        let factor = Cholesky::new(&gram(&rows, &ridge))?;
        let of = |j: usize| {
            let sum = |i: usize| {
                let one = |((z, w), p): ((&Vec<f64>, &f64), &Posterior)| w * z[i] * p.b[j];
                inputs.iter().zip(weights).zip(posts).map(one).sum::<f64>()
            };
            factor.solve(&(0..n_inputs).map(sum).collect::<Vec<f64>>())
        };
        Some((0..K).map(of).collect())
    }
}

#[derive(Debug)]
struct FittedCurves {
    axis: Axis,
    population: Population,
    precision: Square,
    encoding: Encoding,
    inputs: Scale,
    /// Errors of the same forecasts of finished runs that were left out, in standard deviations.
    misses: Vec<f64>,
    identity: Identity,
}

fn with_constant(inputs: &Scale, row: &[f64]) -> Vec<f64> {
    std::iter::once(1.0).chain(inputs.apply(row)).collect()
}

impl Theory for HierarchicalCurves {
    fn spec(&self) -> TheorySpec {
        SPEC
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let Target::Value { series, at, log } = &query.target else {
            return Err(NotFitted::WrongTarget { theory: SPEC.name });
        };
        let marks: Vec<_> =
            landmarks(runs, query).into_iter().filter(|m| m.answer.value().is_some()).collect();
        if marks.len() < LEAST_RUNS {
            let (needed, found) = (LEAST_RUNS, marks.len());
            return Err(NotFitted::TooFewRuns { theory: SPEC.name, needed, found });
        }
        let answers: Vec<f64> = marks.iter().filter_map(|m| m.answer.value()).collect();
        let q = |p| quantile(&answers, p).unwrap_or(0.0);
        let scale = (0.5 * (q(0.84) - q(0.16))).max(1e-9 * q(0.5).abs()).max(1e-12);
        let axis = Axis { series: series.clone(), log: *log, at: *at, centre: q(0.5), scale };
        let curves: Vec<Curve> = (marks.iter())
            .map(|m| m.run.series(series).map_or_else(Curve::default, |s| axis.curve(s)))
            .collect();
        let lengths: Vec<f64> = curves.iter().map(|c| c.n).collect();
        if median(&lengths).is_none_or(|n| n < LEAST_READINGS) {
            let why = format!("most runs have fewer than {LEAST_READINGS} readings of {series}");
            return Err(NotFitted::NoLaw { theory: SPEC.name, why });
        }
        let encoding = Encoding::learn(&marks.iter().map(|m| m.run).collect::<Vec<_>>());
        let rows: Vec<Vec<f64>> = marks.iter().map(|m| encoding.encode(&m.run.features)).collect();
        let inputs = Scale::learn(&rows);
        let z: Vec<Vec<f64>> = rows.iter().map(|r| with_constant(&inputs, r)).collect();
        let none = NotFitted::NoSolution { theory: SPEC.name };
        let population = Population::learn(&curves, &z).ok_or_else(|| none.clone())?;
        let mut params: Vec<f64> = population.mean.iter().flatten().copied().collect();
        params.extend(population.covariance.iter().flatten());
        params.push(population.noise);
        if params.iter().any(|p| !p.is_finite()) {
            return Err(none);
        }
        let precision = inverse(&population.covariance).ok_or(none)?;
        let cells: Vec<&str> = marks.iter().map(|m| m.run.cell.as_str()).collect();
        let parts = parts(&cells);
        let mut misses = Vec::new();
        for part in 0..N_PARTS {
            let rest = |i: &usize| parts[*i] != part;
            let kept: Vec<usize> = (0..marks.len()).filter(rest).collect();
            let others: Vec<Curve> = kept.iter().map(|i| curves[*i]).collect();
            let inputs: Vec<Vec<f64>> = kept.iter().map(|i| z[*i].clone()).collect();
            let Some(theirs) = Population::learn(&others, &inputs) else { continue };
            let Some(precision) = inverse(&theirs.covariance) else { continue };
            misses.extend((0..marks.len()).filter(|i| !rest(i)).filter_map(|i| {
                let seen = marks[i].prefix.series(series).map(|s| axis.curve(s))?;
                let (mean, sd) = theirs.at_the_end(&precision, &seen, &z[i])?;
                Some(((marks[i].answer.value()? - axis.centre) / axis.scale - mean) / sd)
            }));
        }
        let identity = Identity::new(SPEC, params, runs);
        Ok(Box::new(FittedCurves {
            axis,
            population,
            precision,
            encoding,
            inputs,
            misses,
            identity,
        }))
    }
}

/// Deals runs into parts, cells whole where there are as many; in the order of their names.
fn parts(cells: &[&str]) -> Vec<usize> {
    let names: BTreeSet<&str> = cells.iter().copied().collect();
    if names.len() < N_PARTS {
        return (0..cells.len()).map(|i| i % N_PARTS).collect();
    }
    let place: BTreeMap<&str, usize> = names.into_iter().enumerate().map(|(i, n)| (n, i)).collect();
    cells.iter().map(|c| place[c] % N_PARTS).collect()
}

impl Fitted for FittedCurves {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let curve = self.axis.curve(prefix.series(&self.axis.series)?);
        if curve.n == 0.0 {
            return None;
        }
        let z = with_constant(&self.inputs, &self.encoding.encode(features));
        let (mean, sd) = self.population.at_the_end(&self.precision, &curve, &z)?;
        let off = if self.misses.len() >= 20 {
            from_samples(&self.misses)?
        } else {
            normal_from(&self.misses).map(|(m, s)| gaussian(m, s))?
        };
        let back = |q: f64| self.axis.centre + self.axis.scale * (mean + sd * q);
        let quantiles: Vec<f64> = off.quantiles.iter().map(|q| back(*q)).collect();
        quantiles.iter().all(|q| q.is_finite()).then_some(Predictive { quantiles, ..off })
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecasters::{Cutoff, CutoffRule, Delta};
    use crate::scores::crps;
    use ontogeny_core::RunId;
    use ontogeny_core::random::Philox;

    const END: u64 = 10_000;

    /// A power law whose floor, height and exponent vary from run to run; the exponent follows `lr`.
    fn run(seed: u64, wild: bool) -> TrainingRun {
        let d = Philox::new(seed, "hierarchy").at(0);
        let lr = d.normal(0);
        let (floor, height, rate) =
            (1.0 + 0.1 * d.normal(1), 2.0 + 0.3 * d.normal(2), 0.35 + 0.08 * lr);
        let points = (0..60_u64).map(|i| {
            let t = (END as f64 / 10.0).powf(i as f64 / 59.0) * 10.0;
            let y = floor + height * t.powf(-rate) + 0.01 * d.normal(10 + i);
            (t.round() as u64, if wild { 50.0 * y } else { y })
        });
        TrainingRun {
            run: RunId::new(format!("r{seed}")).unwrap(),
            cell: format!("c{}", seed % 10),
            features: BTreeMap::from([("lr".to_owned(), lr)]),
            series: vec![Series::from_pairs("loss", "nats", points)],
            events: Vec::new(),
        }
    }

    fn question() -> Query {
        Query {
            target: Target::Value { series: "loss".into(), at: Step(END), log: false },
            cutoff: Cutoff { name: "500".into(), rule: CutoffRule::Fixed { step: Step(500) } },
            rule: None,
            plans: Vec::new(),
        }
    }

    fn asked(fitted: &dyn Fitted, run: &TrainingRun) -> (Predictive, f64) {
        let prefix = Prefix::cut(run.run.clone(), Step(500), &run.series);
        let said = fitted.predict(&prefix, &run.features).unwrap();
        (said, run.series[0].last().unwrap().value)
    }

    #[test]
    fn splines_sum_to_one_and_carry_straight_lines() {
        // The coefficients of the line u are the knots' means, (j - 1) / 4.
        for u in [0.0, 0.1, 0.25, 0.6, 0.999, 1.0] {
            let row = basis(u);
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let line: f64 = row.iter().enumerate().map(|(j, b)| b * (j as f64 - 1.0) / 4.0).sum();
            assert!((line - u).abs() < 1e-12, "{u}: {line}");
        }
    }

    #[test]
    fn curves_of_a_population_are_foretold_better_than_by_typical_changes_and_intervals_cover() {
        let runs: Vec<TrainingRun> = (0..80).map(|s| run(s, false)).collect();
        let ours = HierarchicalCurves.fit(&runs, &question()).unwrap();
        let delta = Delta.fit(&runs, &question()).unwrap();
        let (mut sums, mut inside) = ([0.0, 0.0], 0);
        let n = 200;
        for s in 1000..1000 + n {
            let new = run(s, false);
            for (sum, f) in sums.iter_mut().zip([&ours, &delta]) {
                let (said, truth) = asked(f.as_ref(), &new);
                *sum += crps(&said, truth).unwrap_or(f64::NAN);
            }
            let (said, truth) = asked(ours.as_ref(), &new);
            let level = |p: f64| ontogeny_core::LEVELS.iter().position(|l| *l == p).unwrap();
            let (low, high) = (said.quantiles[level(0.05)], said.quantiles[level(0.95)]);
            inside += u32::from(low <= truth && truth <= high);
        }
        assert!(sums[0] < 0.6 * sums[1], "{sums:?}");
        let share = f64::from(inside) / n as f64;
        assert!((0.84..=0.96).contains(&share), "{share}");
    }

    #[test]
    fn a_few_diverged_runs_do_not_decide() {
        let mut runs: Vec<TrainingRun> = (0..40).map(|s| run(s, false)).collect();
        let plain = HierarchicalCurves.fit(&runs, &question()).unwrap();
        runs.extend((100..103).map(|s| run(s, true)));
        let with = HierarchicalCurves.fit(&runs, &question()).unwrap();
        let middle = |f: &dyn Fitted, s: u64| {
            let (said, truth) = asked(f, &run(s, false));
            (said.quantiles[said.quantiles.len() / 2] - truth).abs()
        };
        let total = |f: &dyn Fitted| (2000..2040).map(|s| middle(f, s)).sum::<f64>();
        let (a, b) = (total(plain.as_ref()), total(with.as_ref()));
        assert!(b < 2.0 * a, "{a} against {b}");
    }

    #[test]
    fn what_cannot_be_learned_is_said() {
        let few: Vec<TrainingRun> = (0..9).map(|s| run(s, false)).collect();
        let error = HierarchicalCurves.fit(&few, &question()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "fit hierarchical-curves: 9 usable runs, at least 10 are needed"
        );
        let mut short: Vec<TrainingRun> = (0..20).map(|s| run(s, false)).collect();
        for r in &mut short {
            let ends = [r.series[0].points[10], *r.series[0].points.last().unwrap()];
            r.series[0].points = ends.to_vec();
        }
        let error = HierarchicalCurves.fit(&short, &question()).unwrap_err().to_string();
        assert!(error.contains("fewer than 4 readings of loss"), "{error}");
    }
}
