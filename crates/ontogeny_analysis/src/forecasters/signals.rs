//! Signals at the cutoff: `ln T` on what the run shows by then and on its hyper-parameters.
//!
//! A log-normal AFT with cure fraction (ridge) on the last value of each signal through its link, on the
//! slope of some of them in `ln t`, on `ln t0`, and on every hyper-parameter that varies. Source:
//! docs/protocol.md section 1, theory v (features P1 to P5).

use super::hparams::Encoding;
use super::landmark::{horizon, landmarks};
use super::{Fitted, Identity, NotFitted, Query, Theory, TheoryEntry, TheorySpec, TrainingRun};
use crate::math::logit;
use crate::stats::ols;
use crate::survival::{AftModel, AftOptions, AftRow, fit_aft};
use ontogeny_core::{Predictive, Prefix, Step, TheoryRef};
use std::collections::BTreeMap;

pub(crate) const SPEC: TheorySpec = TheorySpec {
    name: "signals-aft",
    version: 1,
    n_params: 12,
    scope: "event times of runs with the standard grokking probes",
    source: "docs/protocol.md section 1, theory v: AFT with cure fraction on P1-P5 at the cutoff",
};
pub(crate) const ENTRY: TheoryEntry =
    TheoryEntry { spec: SPEC, build: || Box::new(SignalsAft::default()) };

/// The scale on which a signal enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// As it is.
    Identity,
    /// Natural logarithm, values below 1e-12 counting as 1e-12.
    Ln,
    /// Log-odds, probabilities kept inside [.001, .999].
    Logit,
}

impl Link {
    fn apply(self, v: f64) -> f64 {
        match self {
            Self::Identity => v,
            Self::Ln => v.max(1e-12).ln(),
            Self::Logit => logit(v),
        }
    }
}

/// One signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The series.
    pub series: String,
    /// Its scale.
    pub link: Link,
    /// Whether its slope in `ln t` over the last octave enters too.
    pub with_slope: bool,
}

impl Signal {
    /// A signal without its slope.
    pub fn level(series: &str, link: Link) -> Self {
        Self { series: series.into(), link, with_slope: false }
    }

    /// A signal with its slope.
    pub fn with_slope(series: &str, link: Link) -> Self {
        Self { with_slope: true, ..Self::level(series, link) }
    }

    /// Its one or two features; `None` if the prefix lacks them.
    fn read(&self, prefix: &Prefix, into: &mut Vec<f64>) -> Option<()> {
        let series = prefix.series(&self.series)?;
        let last = self.link.apply(series.last()?.value);
        if !last.is_finite() {
            return None;
        }
        into.push(last);
        if self.with_slope {
            let from = prefix.cutoff().0 / 2;
            let (x, y): (Vec<f64>, Vec<f64>) = series
                .points
                .iter()
                .filter(|p| p.step > Step(from) && p.value.is_finite())
                .map(|p| (p.step.ln(), self.link.apply(p.value)))
                .unzip();
            into.push(ols(&x, &y, 0.9)?.slope);
        }
        Some(())
    }
}

/// AFT on signals and hyper-parameters.
#[derive(Debug, Clone)]
pub struct SignalsAft {
    /// What it calls itself.
    pub spec: TheorySpec,
    /// The signals; those missing in any fit run are left out.
    pub signals: Vec<Signal>,
    /// Whether hyper-parameters enter.
    pub with_features: bool,
    /// How strongly the fit is held back.
    pub options: AftOptions,
}

impl Default for SignalsAft {
    fn default() -> Self {
        let signals = vec![
            Signal::with_slope("embedding.gini", Link::Logit),
            Signal::level("embedding.top5_share", Link::Logit),
            Signal::with_slope("weights.sq_norm", Link::Ln),
            Signal::level("train.loss", Link::Ln),
            Signal::level("test_mirror_in.accuracy", Link::Logit),
            Signal::level("restricted.all.loss", Link::Ln),
            Signal::level("excluded.train.loss", Link::Ln),
        ];
        let options = AftOptions { slope_sd: 0.3, cure_sd: 0.5, ..AftOptions::default() };
        Self { spec: SPEC, signals, with_features: true, options }
    }
}

#[derive(Debug)]
struct FittedSignals {
    signals: Vec<Signal>,
    encoding: Encoding,
    model: AftModel,
    horizon: Step,
    identity: Identity,
}

fn read_all(signals: &[Signal], prefix: &Prefix) -> Option<Vec<f64>> {
    let mut x = vec![prefix.cutoff().ln()];
    for s in signals {
        s.read(prefix, &mut x)?;
    }
    Some(x)
}

impl Theory for SignalsAft {
    fn spec(&self) -> TheorySpec {
        self.spec
    }

    fn fit(&self, runs: &[TrainingRun], query: &Query) -> Result<Box<dyn Fitted>, NotFitted> {
        let theory = self.spec.name;
        let horizon = horizon(query).ok_or(NotFitted::WrongTarget { theory })?;
        let marks = landmarks(runs, query);
        let signals: Vec<Signal> = self
            .signals
            .iter()
            .filter(|s| marks.iter().all(|m| s.read(&m.prefix, &mut Vec::new()).is_some()))
            .cloned()
            .collect();
        if let (true, Some(s)) = (signals.is_empty(), self.signals.first()) {
            return Err(NotFitted::NoSeries { theory, series: s.series.clone() });
        }
        // More runs than signals, or the fit explains everything and forecasts nothing.
        let needed = 4.max(signals.len() + 1);
        if marks.len() < needed {
            return Err(NotFitted::TooFewRuns { theory, needed, found: marks.len() });
        }
        let encoding = if self.with_features {
            Encoding::learn(&marks.iter().map(|m| m.run).collect::<Vec<_>>())
        } else {
            Encoding::default()
        };
        let rows: Vec<AftRow> = marks
            .iter()
            .filter_map(|m| {
                let mut x = read_all(&signals, &m.prefix)?;
                x.extend(encoding.encode(&m.run.features));
                Some(AftRow { x, t: m.answer.time()? })
            })
            .collect();
        let model = fit_aft(&rows, self.options).ok_or(NotFitted::NoSolution { theory })?;
        let params = model.parameters();
        let spec = TheorySpec { n_params: params.len() as u32, ..self.spec };
        let identity = Identity::new(spec, params, runs);
        Ok(Box::new(FittedSignals { signals, encoding, model, horizon, identity }))
    }
}

impl Fitted for FittedSignals {
    fn predict(&self, prefix: &Prefix, features: &BTreeMap<String, f64>) -> Option<Predictive> {
        let mut x = read_all(&self.signals, prefix)?;
        x.extend(self.encoding.encode(features));
        let (from, to) = (prefix.cutoff().ln(), self.horizon.ln());
        (from < to).then(|| self.model.predict(&x, from, to))
    }

    fn theory_ref(&self) -> TheoryRef {
        self.identity.theory_ref()
    }
}
