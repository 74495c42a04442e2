//! Early signals to a final value: extremely randomized trees over named series, with CV+ intervals.
//!
//! 300 trees, leaves of at least 2, half of the columns tried at a node (Geurts et al. 2006). Of each named series a row
//! holds the last value before the cutoff and its changes since half and since a quarter of it. The width comes from
//! ten parts: the forecast is the sample of what the trees that have not seen a part say of the new run, moved by the
//! errors that they made on that part (CV+, Barber et al. 2021, arXiv:1905.02928, with the cell as the unit that is
//! exchanged). One form serves several questions: signals alone, signals beside hyper-parameters, hyper-parameters
//! alone, and what an oracle would know ([`Known`]).

use super::trees::{Growth, Trees};
use crate::distribution::from_samples;
use crate::forecasters::hparams::Encoding;
use crate::forecasters::landmark::landmarks;
use crate::forecasters::{Fitted, Identity, NotFitted, Query, Theory, TheorySpec, TrainingRun};
use crate::math::median;
use ontogeny_core::{Predictive, Prefix, RunId, Series, Step, Target, TheoryRef};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs below which no forest is grown.
const LEAST_RUNS: usize = 16;
/// Parts of the cells.
const PARTS: usize = 10;
const GROWTH: Growth = Growth { trees: 300, leaf: 2, seen: 1.0, columns: usize::MAX };

/// Numbers about runs that stand beside their hyper-parameters, by run: what only an oracle knows, or what a cheaper
/// run of the same configuration ended at.
pub type Known = Arc<BTreeMap<RunId, BTreeMap<String, f64>>>;

/// A forest from early signals to a final value.
#[derive(Debug, Clone)]
pub struct EarlyForest {
    /// Its name: each choice below is a theory of its own.
    pub name: &'static str,
    /// Series that are read; none for a forecast before the run.
    pub series: Vec<String>,
    /// Whether hyper-parameters are read.
    pub reads_config: bool,
    /// What else is known.
    pub known: Known,
    /// Where values can lie at all.
    pub range: (f64, f64),
}

impl EarlyForest {
    fn raw(&self, encoding: &Encoding, p: &Prefix, features: &BTreeMap<String, f64>) -> Vec<f64> {
        let mut row = Vec::new();
        for name in &self.series {
            let s = p.series(name);
            let at = |n: u64| s.and_then(|s| s.at_or_before(Step(p.cutoff().0 / n)));
            let end = s.and_then(Series::last).map_or(f64::NAN, |p| p.value);
            let since = |n: u64| at(n).map_or(f64::NAN, |p| end - p.value);
            row.extend([end, since(2), since(4)]);
        }
        row.extend(encoding.encode(&self.features(p.run(), features)));
        row
    }

    /// Hyper-parameters, if they are read, and what else is known.
    fn features(&self, run: &RunId, own: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
        let mut all = if self.reads_config { own.clone() } else { BTreeMap::new() };
        if let Some(more) = self.known.get(run) {
            all.extend(more.iter().map(|(k, v)| (k.clone(), *v)));
        }
        all
    }
}

#[derive(Debug)]
struct FittedEarly {
    theory: EarlyForest,
    encoding: Encoding,
    fill: Vec<f64>,
    answers: Vec<f64>,
    /// Of each part: trees that have not seen it, the runs that they have seen, and the errors on the part.
    parts: Vec<(Trees, Vec<usize>, Vec<f64>)>,
    identity: Identity,
}

/// The mean answer of the leaves that a row falls into.
fn says(trees: &Trees, seen: &[usize], answers: &[f64], row: &[f64]) -> Option<f64> {
    let weights = trees.weights(row);
    let total: f64 = weights.iter().sum();
    let sum: f64 = weights.iter().zip(seen).map(|(w, i)| w * answers[*i]).sum();
    (total > 0.0).then(|| sum / total)
}

fn filled(mut row: Vec<f64>, fill: &[f64]) -> Vec<f64> {
    for (v, f) in row.iter_mut().zip(fill) {
        if !v.is_finite() {
            *v = *f;
        }
    }
    row
}

impl Theory for EarlyForest {
    fn spec(&self) -> TheorySpec {
        TheorySpec {
            name: self.name,
            version: 1,
            n_params: 10,
            scope: "values of runs among at least 16 finished ones of the same length",
            source: "trees: Geurts et al. 2006, width: arXiv:1905.02928",
        }
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let theory = self.name;
        if !matches!(query.target, Target::Value { .. }) {
            return Err(NotFitted::WrongTarget { theory });
        }
        let marks: Vec<_> = landmarks(runs, query)
            .into_iter()
            .filter_map(|m| Some((m.answer.value()?, m)))
            .collect();
        if marks.len() < LEAST_RUNS {
            return Err(NotFitted::TooFewRuns { theory, needed: LEAST_RUNS, found: marks.len() });
        }
        let known: Vec<TrainingRun> = (marks.iter())
            .map(|(_, m)| TrainingRun {
                features: self.features(&m.run.run, &m.run.features),
                series: Vec::new(),
                ..m.run.clone()
            })
            .collect();
        let encoding = Encoding::learn(&known.iter().collect::<Vec<_>>());
        let raw: Vec<Vec<f64>> =
            (marks.iter()).map(|(_, m)| self.raw(&encoding, &m.prefix, &m.run.features)).collect();
        let width = raw[0].len();
        if width == 0 {
            let why = "there is nothing to read: no series and no hyper-parameter".to_owned();
            return Err(NotFitted::NoLaw { theory, why });
        }
        let middle = |j: usize| {
            let there: Vec<f64> = raw.iter().map(|r| r[j]).filter(|v| v.is_finite()).collect();
            median(&there).unwrap_or(0.0)
        };
        let fill: Vec<f64> = (0..width).map(middle).collect();
        let rows: Vec<Vec<f64>> = raw.into_iter().map(|r| filled(r, &fill)).collect();
        let answers: Vec<f64> = marks.iter().map(|(y, _)| *y).collect();
        let cells: Vec<&str> = marks.iter().map(|(_, m)| m.run.cell.as_str()).collect();
        let names: Vec<&str> = cells.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let part_of = |i: usize| names.binary_search(&cells[i]).unwrap_or(0) % PARTS;
        let mut parts = Vec::new();
        for part in 0..PARTS.min(names.len()) {
            let (held, seen): (Vec<usize>, Vec<usize>) =
                (0..rows.len()).partition(|i| part_of(*i) == part);
            let r: Vec<Vec<f64>> = seen.iter().map(|i| rows[*i].clone()).collect();
            let y: Vec<f64> = seen.iter().map(|i| answers[*i]).collect();
            let c: Vec<&str> = seen.iter().map(|i| cells[*i]).collect();
            let trees = Trees::grown(&r, &y, &c, "early-forest", GROWTH);
            let error = |i: &usize| Some(answers[*i] - says(&trees, &seen, &answers, &rows[*i])?);
            let errors: Vec<f64> = held.iter().filter_map(error).collect();
            parts.push((trees, seen, errors));
        }
        let params = parts.iter().flat_map(|p| p.2.iter().copied()).collect();
        let identity = Identity::new(self.spec(), params, runs);
        Ok(Box::new(FittedEarly { theory: self.clone(), encoding, fill, answers, parts, identity }))
    }
}

impl Fitted for FittedEarly {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let raw = self.theory.raw(&self.encoding, prefix, features);
        // A run of which nothing that is wanted was read says nothing.
        if !raw.iter().any(|v| v.is_finite()) {
            return None;
        }
        let row = filled(raw, &self.fill);
        let (low, high) = self.theory.range;
        let mut sample = Vec::new();
        for (trees, seen, errors) in &self.parts {
            let centre = says(trees, seen, &self.answers, &row)?;
            sample.extend(errors.iter().map(|e| (centre + e).clamp(low, high)));
        }
        from_samples(&sample)
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution;
    use crate::forecasters::{Cutoff, CutoffRule};
    use ontogeny_core::random::Philox;

    const END: Step = Step(100);

    fn query() -> Query {
        Query {
            target: Target::Value { series: "flip".into(), at: END, log: false },
            cutoff: Cutoff { name: "10 %".into(), rule: CutoffRule::Fixed { step: Step(10) } },
            rule: None,
            plans: Vec::new(),
        }
    }

    /// The final value is a signal's reading at step 10, with a little noise; the own series starts anywhere.
    fn run(i: u64) -> TrainingRun {
        let d = Philox::new(i, "early").at(0);
        let (s, own) = (d.uniform(0), d.uniform(1));
        let flip = [(10, own), (100, (s + 0.02 * d.normal(2)).clamp(0.0, 1.0))];
        TrainingRun {
            run: RunId::new(format!("r{i}")).unwrap(),
            cell: format!("c{i:03}"),
            features: BTreeMap::from([("noise".to_owned(), d.normal(3))]),
            series: vec![
                Series::from_pairs("flip", "1", flip),
                Series::from_pairs("shift", "1", [(5, 0.0), (10, s), (100, 0.0)]),
            ],
            events: Vec::new(),
        }
    }

    fn forest(series: &[&str], reads_config: bool) -> EarlyForest {
        EarlyForest {
            name: "early-forest",
            series: series.iter().map(|s| (*s).to_owned()).collect(),
            reads_config,
            known: Known::default(),
            range: (0.0, 1.0),
        }
    }

    /// Share of the variance over new runs that is explained, and coverage of the central 90 %.
    fn scored(theory: &EarlyForest) -> (f64, f64) {
        let fit: Vec<TrainingRun> = (0..60).map(run).collect();
        let fitted = theory.fit(&fit, &query()).unwrap();
        let (mut rest, mut total, mut inside) = (0.0, 0.0, 0);
        for i in 1000..1200 {
            let r = run(i);
            let p = Prefix::cut(r.run.clone(), Step(10), &r.series);
            let said = fitted.predict(&p, &r.features).unwrap();
            let y = r.series[0].points[1].value;
            rest += (distribution::median(&said) - y).powi(2);
            total += (0.5 - y).powi(2);
            let cdf = distribution::Cdf::new(&said, distribution::Support::Line).unwrap();
            inside += usize::from((0.05..=0.95).contains(&cdf.at(y)));
        }
        (1.0 - rest / total, inside as f64 / 200.0)
    }

    #[test]
    fn a_signal_is_found_among_others_and_widths_are_honest() {
        let (r2, coverage) = scored(&forest(&["flip", "shift"], true));
        assert!(r2 > 0.9, "{r2}");
        // 60 fit runs decide the width: two standard errors of a quantile beside those of 200 runs.
        assert!((0.82..=0.98).contains(&coverage), "{coverage}");
    }

    #[test]
    fn where_nothing_is_told_nothing_is_explained_and_widths_stay_honest() {
        let (r2, coverage) = scored(&forest(&[], true));
        assert!(r2 < 0.1, "{r2}");
        assert!((0.8..=0.98).contains(&coverage), "{coverage}");
        let fit: Vec<TrainingRun> = (0..60).map(run).collect();
        let error = forest(&[], false).fit(&fit, &query()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "fit early-forest: there is nothing to read: no series and no hyper-parameter"
        );
    }

    #[test]
    fn what_is_known_otherwise_is_used() {
        let ids = (0..60).chain(1000..1200);
        let known = ids.map(|i| {
            let s = Philox::new(i, "early").at(0).uniform(0);
            (RunId::new(format!("r{i}")).unwrap(), BTreeMap::from([("s".to_owned(), s)]))
        });
        let oracle = EarlyForest { known: Arc::new(known.collect()), ..forest(&[], false) };
        assert!(scored(&oracle).0 > 0.9);
    }
}
