//! A small run that is really trained and really kept.
#![allow(dead_code, reason = "each test file uses its part")]

use ontogeny_core::{
    Block, Direction, Findings, FixedClock, LedgerEntry, RunId, Seeds, Step, Table, ThresholdRule,
};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_lab::studies::{StudyOptions, Tier, conduct_study, study};
use ontogeny_lab::{
    Conductor, Progress, RunPlan, RunRecord, StopRule, Unobserved, Unwatched, Watch, state_at,
};
use ontogeny_store::{Ledger, Store};
use ontogeny_train::models::{ModelConfig, TransformerConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::ModularConfig;
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const PROBES: [&str; 5] =
    ["set_loss", "embedding_spectrum", "key_frequencies", "progress_measures", "weight_norms"];

pub(crate) fn config() -> RunConfig {
    RunConfig {
        task: TaskConfig::Modular(ModularConfig::addition(11, 0.6)),
        model: ModelConfig::Transformer(TransformerConfig::grokking(16, 2, 32)),
        init_scale: 1.0,
        objective: Objective::CrossEntropy.into(),
        optimizer: OptimizerConfig::adamw(3e-3, 1.0),
        horizon: 200,
        lanes: LanePlan { lanes: 2, chunk_examples: 32 },
        record: RecordPlan::every(5, 40, &PROBES),
    }
}

pub(crate) fn plan(name: &str, config: RunConfig) -> RunPlan {
    let rule = ThresholdRule {
        event: "T_mem".into(),
        series: "train.accuracy".into(),
        direction: Direction::Rising,
        level: 0.9,
        persistence: 3,
    };
    RunPlan {
        id: RunId::new(name).unwrap(),
        study: None,
        role: "test".into(),
        cell: "only".into(),
        config,
        seeds: Seeds::all(4),
        fork: None,
        rules: vec![rule],
        stop: StopRule::Horizon,
    }
}

/// A run that is watched for no event.
pub(crate) fn quiet_plan(name: &str, config: RunConfig) -> RunPlan {
    RunPlan { rules: Vec::new(), seeds: Seeds::all(6), ..plan(name, config) }
}

/// Conducts a study at its smallest in the store at `folder`, or reads it there; with what the ledger then holds.
pub(crate) fn small_study(name: &str, folder: &Path) -> (Findings, Vec<LedgerEntry>) {
    let store = Store::open_or_create(folder).unwrap();
    let ledger = store.ledger();
    let conductor =
        Conductor { store: &store, ledger: &ledger, clock: &FixedClock(0.0), watch: &Unwatched };
    let options =
        StudyOptions { tier: Tier::Smoke, seed: 3, n_seeds: Some(1), threads: 2, data: None };
    let (_, findings) = conduct_study(study(name).unwrap(), conductor, options).unwrap();
    (findings, ledger.entries().unwrap())
}

/// The tables of a study in their order.
pub(crate) fn tables(findings: &Findings) -> Vec<&Table> {
    let blocks = findings.sections.iter().flat_map(|s| &s.blocks);
    blocks.filter_map(|b| if let Block::Table(t) = b { Some(t) } else { None }).collect()
}

pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
    ledger: Ledger,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(dir.path()).unwrap();
        let ledger = store.ledger();
        Self { _dir: dir, store, ledger }
    }

    pub(crate) fn with<'a>(&'a self, watch: &'a dyn Watch) -> Conductor<'a> {
        Conductor { store: &self.store, ledger: &self.ledger, clock: &FixedClock(0.0), watch }
    }

    pub(crate) fn go(&self, plan: &RunPlan) -> RunRecord {
        self.with(&Unwatched).conduct(plan, &mut Unobserved).unwrap()
    }

    pub(crate) fn hash(&self, run: &str, step: u64) -> String {
        state_at(&self.store, &RunId::new(run).unwrap(), Step(step)).unwrap().hash()
    }
}

/// Asks to stop after so many readings.
#[derive(Debug)]
pub(crate) struct StopAfter(pub(crate) AtomicU64);

impl Watch for StopAfter {
    fn run_progress(&self, _: &Progress<'_>) {
        let _ =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n.saturating_sub(1)));
    }

    fn should_stop(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// Readings as bits, because NaN equals itself here.
pub(crate) fn bits(
    series: &BTreeMap<String, ontogeny_core::Series>,
) -> BTreeMap<String, Vec<(u64, u64)>> {
    let of = |s: &ontogeny_core::Series| {
        s.points.iter().map(|p| (p.step.0, p.value.to_bits())).collect()
    };
    series.iter().map(|(name, s)| (name.clone(), of(s))).collect()
}
