//! Simulated studies for the scorecard's own tests: a structural model, forecasters of every character, and
//! the ledger that they leave.
//!
//! `ln T = 7.6 - w - .5 z + .15 ε`: `w` is the cell's logarithmic weight decay, `z` a hidden cause that is
//! fixed by the seed and visible through a signal `x = z` in the prefix. Under do(x) the signal moves and
//! `T` does not.

use super::{Alternative, ForkInfo, OffTarget, Provenance, RunInfo};
use crate::distribution::{Cdf, Support, gaussian, gaussian_event};
use crate::effects::{NO_EFFECT, OBSERVATIONAL};
use ontogeny_core::random::Philox;
use ontogeny_core::{
    Forecast, LedgerBody, LedgerEntry, Observed, Outcome, Predictive, Prefix, RunId, ScoringRule,
    Series, Step, Target, TheoryRef,
};
use std::collections::BTreeMap;

pub(crate) const THEORY: &str = "theory";
pub(crate) const PROPERTY: &str = "event time";
const CUTOFF: Step = Step(200);
const HORIZON: Step = Step(40_000);

/// The character of a forecaster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Character {
    /// Knows `w`, `z` and the size of what it does not know.
    Oracle,
    /// Climatology under another name, from its own sample.
    Clone,
    /// The oracle with a third of the spread.
    Overconfident,
    /// Read the whole run, claims the cutoff.
    Leaky,
}

/// What a forecaster of fork effects believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    /// `T` follows `z`; the signal is only its shadow.
    Structural,
    /// `T` follows the signal.
    Confounded,
}

/// A ledger under construction with its provenance.
#[derive(Debug, Default)]
pub(crate) struct Study {
    pub(crate) entries: Vec<LedgerEntry>,
    pub(crate) provenance: Provenance,
    widened: BTreeMap<String, Observed>,
}

fn name(text: String) -> RunId {
    RunId::new(text).unwrap()
}

fn theory(version: u32, n_params: u32) -> TheoryRef {
    TheoryRef {
        name: THEORY.into(),
        version,
        hash: format!("v{version}"),
        n_params,
        fitted_on: vec![name("fit-0".into())],
        own_fit: Some(0.9),
    }
}

impl Study {
    pub(crate) fn push(&mut self, body: LedgerBody) {
        let n = self.entries.len();
        self.entries.push(LedgerEntry::seal(self.entries.last(), n as f64, body));
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.push(LedgerBody::Note { about: THEORY.into(), text: text.into() });
    }

    fn resolve(&mut self, forecast: Forecast, observed: Observed, known_at: Step) {
        let id = forecast.id.clone();
        self.push(LedgerBody::Forecast(Box::new(forecast)));
        self.push(LedgerBody::Outcome(Outcome { forecast: id, observed, known_at }));
    }

    /// `n_cells` cells of `n_seeds` runs, each forecast once by a forecaster of this character.
    pub(crate) fn observe(seed: u64, n_cells: u64, n_seeds: u64, who: Character) -> Self {
        let mut study = Self::default();
        let fit = RunInfo {
            seed: 99,
            axes: BTreeMap::from([("wd".to_owned(), "0".to_owned())]),
            parent: None,
        };
        study.provenance.runs.insert(name("fit-0".into()), fit);
        for c in 0..n_cells {
            for s in 0..n_seeds {
                study.one_run(seed, c, n_cells, s, who);
            }
        }
        let outcomes = study.widened.clone();
        study.provenance.alternatives.push(Alternative { name: "level x0.8".into(), outcomes });
        study
    }

    fn one_run(&mut self, seed: u64, c: u64, n_cells: u64, s: u64, who: Character) {
        let d = Philox::new(seed, "study").at(c * 1000 + s);
        let w = 1.2 * (c as f64 / (n_cells as f64 - 1.0) - 0.5);
        // Bounded, so that no run has its event before the cutoff and drops out.
        let z = d.normal(0).clamp(-2.5, 2.5);
        let ln_t = 7.6 - w - 0.5 * z + 0.15 * d.normal(1);
        let run = name(format!("run-{c}-{s}"));
        let series = Series::from_pairs("x", "1", (0..8).map(|i| (i * 50, z)));
        let prefix = Prefix::cut(run.clone(), CUTOFF, [&series]);
        let read = if who == Character::Leaky {
            Prefix::cut(run.clone(), HORIZON, [&series])
        } else {
            prefix.clone()
        };
        let event = |mu: f64, sd: f64| gaussian_event(mu, sd, CUTOFF, HORIZON);
        let predictive = match who {
            Character::Oracle | Character::Leaky => event(7.6 - w - 0.5 * z, 0.15),
            Character::Overconfident => event(7.6 - w - 0.5 * z, 0.05),
            // Its own sample of fit runs: a little off in centre and width, the same in every cell.
            Character::Clone => {
                let e = Philox::new(seed, "clone").at(0);
                event(7.6 + 0.1 * e.normal(0), 0.64 * (0.1 * e.normal(1)).exp())
            }
        };
        let window = Support::between(CUTOFF, HORIZON).unwrap();
        let cdf = Cdf::new(&predictive, window).unwrap();
        let acceptance = cdf.quantile(0.1).zip(cdf.quantile(0.9));
        let id = format!("sim/{run}/{THEORY}/T@{CUTOFF}");
        let forecast = Forecast {
            id: id.clone(),
            property: PROPERTY.into(),
            theory: theory(1, 3),
            run: run.clone(),
            cell: format!("wd{c}"),
            target: Target::EventTime { event: "T".into(), horizon: HORIZON },
            cutoff: CUTOFF,
            cutoff_name: "2 T_mem".into(),
            prefix_hash: read.hash().into(),
            sealed_at: CUTOFF,
            predictive: Some(predictive),
            baselines: vec![
                ("climatology".into(), event(7.6, 0.64)),
                ("persistence".into(), event(7.0, 1.5)),
                ("delta".into(), event(7.65, 0.66)),
                ("hparams-only".into(), event(7.6 - w, 0.52)),
            ],
            rule: ScoringRule::IntegratedBrier,
            acceptance,
            family: "grid".into(),
        };
        let seen = |width: u64| {
            let probe = (ln_t.exp() / width as f64).floor() as u64 * width;
            Observed::Event { lo: Step(probe.max(CUTOFF.0)), hi: Step(probe + width) }
        };
        let info = RunInfo {
            seed: s,
            axes: BTreeMap::from([("wd".to_owned(), format!("{c}"))]),
            parent: None,
        };
        self.provenance.runs.insert(run, info);
        self.provenance.prefix_hashes.insert(id.clone(), prefix.hash().into());
        self.widened.insert(id, seen(50));
        self.resolve(forecast, seen(25), HORIZON);
    }

    /// Forks of three kinds over doses and seeds, and placebos, forecast by someone who believes `law`.
    pub(crate) fn intervene(&mut self, seed: u64, law: Law) {
        for (k, kind) in ["weight_decay", "hidden_cause", "signal", "placebo"].iter().enumerate() {
            for (i, dose) in [-1.0, -0.5, 0.5, 1.0, 1.5].iter().enumerate() {
                for s in 0..4 {
                    let dose = if *kind == "placebo" { 0.0 } else { *dose };
                    self.one_fork(seed, (k, kind), dose, (i as u64, s), law);
                }
            }
        }
    }

    fn one_fork(
        &mut self,
        seed: u64,
        (k, kind): (usize, &str),
        dose: f64,
        (i, s): (u64, u64),
        law: Law,
    ) {
        const SE: f64 = 0.06;
        let d = Philox::new(seed, "forks").at(k as u64 * 100 + i * 10 + s);
        let truth = match kind {
            "weight_decay" => -dose,
            "hidden_cause" => -0.5 * dose,
            _ => 0.0,
        };
        let believed = match (kind, law) {
            ("signal", Law::Confounded) => -0.5 * dose,
            ("placebo", _) => 0.0,
            _ => truth,
        };
        // A regression on unforked runs sees the signal, and confuses part of w with it.
        let regression = match kind {
            "weight_decay" => -0.6 * dose,
            "hidden_cause" | "signal" => -0.5 * dose,
            _ => 0.0,
        };
        let run = name(format!("fork-{kind}-{i}-{s}"));
        let id = format!("sim/{run}/{THEORY}/effect");
        let forecast = Forecast {
            id: id.clone(),
            property: PROPERTY.into(),
            theory: theory(1, 3),
            run: run.clone(),
            cell: format!("fork{k}-{i}"),
            target: Target::ForkEffect { intervention: kind.into(), outcome: "ln T".into() },
            cutoff: CUTOFF,
            cutoff_name: "fork".into(),
            prefix_hash: "prefix".into(),
            sealed_at: CUTOFF,
            predictive: Some(gaussian(believed, SE)),
            baselines: vec![
                (NO_EFFECT.into(), gaussian(0.0, SE)),
                (OBSERVATIONAL.into(), gaussian(regression, SE)),
            ],
            rule: ScoringRule::Crps,
            acceptance: None,
            family: "forks".into(),
        };
        let fork = ForkInfo {
            kind: kind.into(),
            dose,
            placebo: kind == "placebo",
            std_error: SE,
            seen_in_fit: kind == "weight_decay",
            off_target: vec![OffTarget { property: "loss".into(), effect: 0.01, bound: 0.1 }],
        };
        let value = if fork.placebo { 0.0 } else { truth + SE * d.normal(0) };
        self.provenance.prefix_hashes.insert(id.clone(), "prefix".into());
        self.provenance.forks.insert(id, fork);
        self.resolve(forecast, Observed::Value { value }, HORIZON);
    }

    /// One bold claim about a value by a version of the theory, and what became of it.
    pub(crate) fn claim(&mut self, version: u32, n_params: u32, passes: bool) {
        let n = self.entries.len();
        let run = name(format!("claim-{n}"));
        let id = format!("sim/{run}/{THEORY}/y");
        let spread: Predictive = gaussian(0.0, 10.0);
        let forecast = Forecast {
            id: id.clone(),
            property: PROPERTY.into(),
            theory: theory(version, n_params),
            run,
            cell: format!("c{n}"),
            target: Target::Value { series: "y".into(), at: HORIZON, log: false },
            cutoff: CUTOFF,
            cutoff_name: "t0".into(),
            prefix_hash: "prefix".into(),
            sealed_at: CUTOFF,
            predictive: Some(gaussian(3.0, 0.3)),
            baselines: vec![("climatology".into(), spread.clone()), ("delta".into(), spread)],
            rule: ScoringRule::Crps,
            acceptance: Some((2.5, 3.5)),
            family: "claims".into(),
        };
        self.provenance.prefix_hashes.insert(id, "prefix".into());
        let value = if passes { 3.1 } else { -5.0 };
        self.resolve(forecast, Observed::Value { value }, HORIZON);
    }
}
